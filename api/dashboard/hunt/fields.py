"""The columns beside the table: what each means, its commonest values, and whether the table shows it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, Final

from nicegui import ui
from nicegui.events import GenericEventArguments

from api.dashboard.client import Refused
from api.dashboard.hunt.asked import SHOWABLE
from api.dashboard.hunt.columns import GROUPS, UNCOUNTED
from api.dashboard.hunt.mistakes import mistake
from api.dashboard.texts import Texts, number, share
from api.dashboard.visitor import Visitor

_MOST_VALUES: Final = 10


class Fields:
    """The sidebar of a page. `values` asks for the commonest values of a column as the page is asked; `chosen` is told of the table's."""

    def __init__(
        self,
        visitor: Visitor,
        columns: tuple[str, ...],
        values: Callable[[str, int], Awaitable[dict[str, Any]]],
        chosen: Callable[[tuple[str, ...]], Awaitable[None]],
    ) -> None:
        self._visitor, self._values, self._chosen = visitor, values, chosen
        ui.html(self._html(columns), tag="aside", sanitize=False).classes("panel hunt-fields").props(f'aria-label="{visitor.t("Columns")}"')
        ui.on("hunt-field", self._opened)
        ui.on("hunt-columns", self._changed)

    async def _opened(self, event: GenericEventArguments) -> None:
        column = str(event.args)
        if column not in SHOWABLE:
            return
        try:
            shown = self._values_html(await self._values(column, _MOST_VALUES))
        except Refused as refused:
            shown = f'<p class="soft">{escape(mistake(self._visitor, refused).said)}</p>'
        ui.run_javascript(f"bongsuHunt.values({json.dumps(column)}, {json.dumps(shown)})")

    async def _changed(self, event: GenericEventArguments) -> None:
        wanted = tuple(name for name in event.args if name in SHOWABLE)
        if wanted:
            await self._chosen(wanted)

    def _values_html(self, found: dict[str, Any]) -> str:
        t, column = self._visitor.t, found["column"]
        if not found["events"]:
            return f'<p class="soft">{escape(t("No event was found."))}</p>'
        about = t(
            "{share} of the events have it · about {count} values",
            share=share(found["set"], found["events"]),
            count=number(found["distinct"]),
        )
        rows = "".join(self._value_html(column, one, found["events"]) for one in found["commonest"])
        if found["set"] < found["events"]:
            rows += self._value_html(column, {"value": "", "events": found["events"] - found["set"]}, found["events"])
        return f'<p class="soft">{escape(about)}</p><ul>{rows}</ul>'

    def _value_html(self, column: str, one: dict[str, Any], events: int) -> str:
        t = self._visitor.t
        shown = value_text(self._visitor, column, one["value"]) if one["value"] != "" else t("not set")
        part = f"{100 * one['events'] / events:.1f}"
        return (
            f'<li><span class="bar-of" style="width:{part}%"></span><span class="value" title="{escape(shown, quote=True)}">{escape(shown)}'
            f'</span><span class="num" title="{escape(number(one["events"]))}">{share(one["events"], events)}</span>'
            f"{filters_html(t, column, one['value'], shown)}</li>"
        )

    def _html(self, columns: tuple[str, ...]) -> str:
        t = self._visitor.t
        groups = "".join(
            f"<section><h3>{escape(t.word('column_group', group))}</h3>{''.join(self._field_html(name, name in columns) for name in names)}"
            "</section>"
            for group, names in GROUPS.items()
        )
        return f'<details open><summary><span>{escape(t("Columns"))}</span></summary><div class="hunt-groups">{groups}</div></details>'

    def _field_html(self, name: str, shown: bool) -> str:
        t, meaning = self._visitor.t, self._visitor.t.word("column", name)
        tick = (
            f'<input type="checkbox" data-hunt-column="{name}"{" checked" if shown else ""} '
            f'aria-label="{escape(t("Show {column} in the table", column=name), quote=True)}">'
        )
        if name in UNCOUNTED:
            return f'<div class="field">{tick}<span class="name" title="{escape(meaning, quote=True)}">{name}</span></div>'
        return (
            f'<div class="field">{tick}<button type="button" class="name" data-hunt-field="{name}" aria-expanded="false" '
            f'aria-controls="values-{name}" title="{escape(meaning, quote=True)}">{name}</button></div>'
            f'<div class="values" id="values-{name}" hidden></div>'
        )


def value_text(visitor: Visitor, column: str, value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    name = visitor.agency_name(str(value)) if column == "agency" else ""
    return f"{name} ({value})" if name and name != value else str(value)


def filters_html(t: Texts, column: str, value: Any, shown: str) -> str:
    """The two buttons that ask for a value, or exclude it."""
    told = escape(json.dumps({"column": column, "value": value}, ensure_ascii=False), quote=True)
    only, without = t("Only {column}: {value}", column=column, value=shown), t("Without {column}: {value}", column=column, value=shown)
    return (
        f'<button type="button" class="mini" data-hunt-filter="{told}" aria-label="{escape(only, quote=True)}" '
        f'title="{escape(only, quote=True)}">+</button>'
        f'<button type="button" class="mini" data-hunt-filter="{told}" data-without aria-label="{escape(without, quote=True)}" '
        f'title="{escape(without, quote=True)}">−</button>'
    )
