"""How a value of a record is shown, by the field it stands in: times in KST, agencies by name, stored words in the visitor's language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from api.dashboard.elements import severity_html, time_html
from api.dashboard.response.kinds import link_of
from api.dashboard.steps.names import field_name, law_name, state_name, value_name
from api.dashboard.texts import Texts, number
from api.dashboard.visitor import Visitor
from api.dashboard.words import WORDS

AGENCIES: Final = frozenset({"agency", "agencies", "recipients", "victim", "watches", "unwatched", "overdue_agencies"})
LONG: Final = 90
"""Characters from which a text is set as one, and not among the facts."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_NUMBER: Final = re.compile(r"(?:[a-z_]+/)?([A-Z]{3}-\d{4}-\d{6,12})")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_LACKING: Final = re.compile(r"(\d+) more (\w+)")
"""How a team says whom it lacks."""
_UNSHOWN: Final = frozenset(
    {"prev_hash", "hash", "earlier", "progress", "exercise", "version", "created_by", "updated_at", "id", "entry", "drill.place"}
)
_BOTH: Final = frozenset({"ko", "en"})

Named = Mapping[str, Mapping[Any, str]]
"""How values of fields are called where the centre's settings name them: levels, roles, scenarios."""


@dataclass(frozen=True, slots=True)
class Showing:
    """Shows the values of one record; `of` is the machine whose words are used."""

    visitor: Visitor
    of: str
    named: Named

    @property
    def t(self) -> Texts:
        """The visitor's texts."""
        return self.visitor.t

    def name(self, field: str) -> str:
        """What a field is called."""
        return field_name(self.t, self.of, field)

    def html(self, field: str, value: Any) -> str:
        """A value as HTML."""
        if value in (None, "", [], {}):
            return self._nothing(field, value)
        match value:
            case bool():
                return escape(self.t("Yes") if value else self.t("No"))
            case int() | float():
                return escape(self._count(field, value))
            case str():
                return self.word(field, value)
            case Mapping():
                return self._group(value)
            case Sequence() if all(isinstance(one, Mapping) for one in value):
                return self.table(value)
            case _:
                return self._items(field, value)

    def _nothing(self, field: str, value: Any) -> str:
        if value == "" and f"{field}." in WORDS["value"]:
            return escape(value_name(self.t, field, ""))
        return escape(self.t("Every agency")) if field in ("agencies", "recipients") and value == [] else "–"

    def _count(self, field: str, value: float) -> str:
        if value in self.named.get(field, {}):
            return self.named[field][value]
        if field.endswith("_seconds"):
            return duration(self.t, value)
        return str(value) if field in ("year", "id", "number", "version", "item") else number(value)

    def word(self, field: str, value: str) -> str:
        """A text, or a stored word."""
        if value in self.named.get(field, {}):
            return escape(self.named[field][value])
        if field == "missing" and (lacking := _LACKING.fullmatch(value)):
            role = self.named.get("role", {}).get(lacking[2], lacking[2])
            return escape(self.t("{role}: {count} more", role=role, count=lacking[1]))
        if field == "severity":
            return severity_html(self.visitor, value)
        if field in AGENCIES:
            return escape(self.visitor.agency_name(value))
        if field == "law":
            return escape(law_name(self.t, value))
        if f"{field}.{value}" in WORDS["value"]:
            return escape(value_name(self.t, field, value))
        if _TIME.match(value):
            return time_html(value)
        if (found := _NUMBER.fullmatch(value)) and (link := link_of(found[1])):
            return f'<a href="{escape(link, quote=True)}">{escape(found[1])}</a>'
        if _HASH.fullmatch(value):
            return f'<span class="mono" title="{value}">{value[:12]}…</span>'
        return escape(value)

    def _is_shown(self, field: str) -> bool:
        return _UNSHOWN.isdisjoint((field, f"{self.of}.{field}"))

    def _items(self, field: str, values: Sequence[Any]) -> str:
        items = [self.html(field, one) for one in values]
        if all(len(one) < LONG for one in items) and field != "items":
            return ", ".join(items)
        return f"<ul>{''.join(f'<li>{one}</li>' for one in items)}</ul>"

    def _group(self, value: Mapping[str, Any]) -> str:
        if set(value) == _BOTH:
            return escape(self.both(value))
        parts = ((field, one) for field, one in value.items() if self._is_shown(field))
        return f'<dl class="inner">{"".join(self.pair(field, one) for field, one in parts)}</dl>'

    def both(self, value: Mapping[str, Any]) -> str:
        """A text there is in both languages, in the visitor's where it has one."""
        first, second = ("en", "ko") if self.t.language == "en" else ("ko", "en")
        return str(value.get(first) or value.get(second) or "")

    def pair(self, field: str, value: Any) -> str:
        """A fact: its name and its value."""
        return f"<div><dt>{escape(self.name(field))}</dt><dd>{self.html(field, value)}</dd></div>"

    def state(self, state: str) -> str:
        """A state of such a case."""
        return state_name(self.t, self.of, state)

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
        """Rows of the same fields; columns in which nothing stands are left out."""
        fields = columns or [field for field in rows[0] if self._is_shown(field)]
        filled = [field for field in fields if any(row.get(field) not in (None, "", [], {}) for row in rows)]
        head = "".join(f'<th scope="col">{escape(self.name(field))}</th>' for field in filled)
        body = "".join(f"<tr>{''.join(f'<td>{self.html(field, row.get(field))}</td>' for field in filled)}</tr>" for row in rows)
        return f'<div class="scroll" tabindex="0"><table class="list"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def duration(t: Texts, seconds: float) -> str:
    """A length of time as people say it, in its two largest units."""
    if not seconds:
        return t("none")
    minutes = round(seconds / 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return t("{days} d {hours} h", days=days, hours=hours)
    if minutes >= 60:
        return t("{hours} h {minutes} min", hours=hours, minutes=minutes % 60)
    return t("{minutes} min", minutes=max(minutes, 1))


def is_long(value: Any) -> bool:
    """Whether a value is a text to be set as one."""
    return isinstance(value, str) and (len(value) > LONG or "\n" in value)
