"""A correlation rule as it is written, checked.

Beyond the letter of the specification, as other engines have it: several bounds at once (`gt: 2, lte: 5`), a list of fields for
value_count (their values together), and for the temporal types a boolean condition over the rules (`a and not b`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, isfinite
from typing import Any, Final

from core.errors import RuleError
from detect import conditions
from detect.tree import Exists, Item, Node

_SPAN: Final = re.compile(r"([0-9]{1,9}) ?([smhdwMy])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_629_746, "y": 31_556_952}
_RELATIONS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "eq": "=", "neq": "!="}
_KEYS: Final = frozenset(("type", "rules", "group-by", "timespan", "timeframe", "condition", "aliases", "generate"))
_MOST_MEMBERS: Final = 32
_MEDIAN: Final = 50.0


class Kind(StrEnum):
    """The types of the specification."""

    EVENT_COUNT = "event_count"
    VALUE_COUNT = "value_count"
    TEMPORAL = "temporal"
    TEMPORAL_ORDERED = "temporal_ordered"
    VALUE_SUM = "value_sum"
    VALUE_AVG = "value_avg"
    VALUE_PERCENTILE = "value_percentile"
    VALUE_MEDIAN = "value_median"

    @property
    def of_values(self) -> bool:
        """Whether it looks at a field's values."""
        return self.value.startswith("value_")

    @property
    def temporal(self) -> bool:
        """Whether it asks which of the rules matched."""
        return self.value.startswith("temporal")


@dataclass(frozen=True, slots=True)
class Bound:
    """What the number must be: in this relation (<, <=, >, >=, =, !=) to `value`."""

    relation: str
    value: float


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation. `members` are ids or names of rules or correlations, as written.

    `condition`, only of temporal types, is a tree of items whose field is a member. `aliases` gives for an alias and a member the field
    it stands for. `generate`: the members' own detections are told as well.
    """

    id: str
    name: str
    title: str
    level: str
    kind: Kind
    members: tuple[str, ...]
    group_by: tuple[str, ...]
    span_ms: int
    hash: str
    file: str
    line: int
    bounds: tuple[Bound, ...] = ()
    condition: Node | None = None
    fields: tuple[str, ...] = ()
    percentile: float = _MEDIAN
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    generate: bool = False
    tags: tuple[str, ...] = ()
    description: str = ""
    custom: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    status: str = ""

    def field_of(self, name: str, *members: str) -> str:
        """The field that `name` of `group-by` is in events of a member, which may be known by several names."""
        table = self.aliases.get(name, {})
        return next((table[member] for member in members if member in table), name)


def read(section: Any, file: str, line: int, **about: Any) -> Correlation:
    """The correlation of a document's section `correlation`; `about` is what the rest of the document says. RuleError: what is wrong."""
    return _Reader(section, file, line).correlation(about)


class _Reader:
    def __init__(self, section: Any, file: str, line: int) -> None:
        self._file = file
        self._line = line
        if not isinstance(section, dict):
            raise self._wrong("correlation must be a map")
        self._section: dict[str, Any] = section

    def _wrong(self, reason: str) -> RuleError:
        return RuleError(self._file, f"correlation: {reason}", self._line)

    def correlation(self, about: Mapping[str, Any]) -> Correlation:
        if unknown := sorted(map(str, set(self._section) - _KEYS)):
            raise self._wrong(f"a correlation has no {', '.join(unknown)}")
        kind = self._kind()
        members = self._names("rules", needed=True)
        if len(members) > _MOST_MEMBERS:
            raise self._wrong(f"a correlation of more than {_MOST_MEMBERS} rules is not supported")
        condition = self._section.get("condition")
        tree = self._boolean(kind, condition, members) if isinstance(condition, str) else None
        bounds, values, percentile = self._numbers(kind, None if tree else condition)
        return Correlation(
            file=self._file,
            line=self._line,
            kind=kind,
            members=members,
            group_by=self._names("group-by"),
            span_ms=self._span(),
            bounds=bounds,
            condition=tree,
            fields=values,
            percentile=percentile,
            aliases=self._aliases(),
            generate=self._flag("generate"),
            **about,
        )

    def _kind(self) -> Kind:
        try:
            return Kind(self._section.get("type", ""))
        except ValueError:
            raise self._wrong(f"the type of a correlation is one of {', '.join(Kind)}") from None

    def _names(self, key: str, *, needed: bool = False) -> tuple[str, ...]:
        value = self._section.get(key, [])
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names) or (needed and not names):
            raise self._wrong(f"{key} must be a list of names")
        return tuple(dict.fromkeys(names))

    def _flag(self, key: str) -> bool:
        value = self._section.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(f"{key} must be true or false")
        return value

    def _span(self) -> int:
        text = self._section.get("timespan", self._section.get("timeframe"))
        found = _SPAN.fullmatch(str(text))
        if not found or not int(found[1]):
            raise self._wrong(f"timespan must be a number above 0 and one of s m h d w M y, such as 5m; it is {text!r}")
        return int(found[1]) * _UNIT_SECONDS[found[2]] * 1000

    def _boolean(self, kind: Kind, text: str, members: Sequence[str]) -> Node:
        if not kind.temporal:
            raise self._wrong(f"the condition of {kind} is a map such as {{gte: 10}}")
        try:
            return conditions.parse(text, {name: lambda name=name: Item(name, Exists(wanted=True)) for name in members})  # type: ignore[misc]
        except conditions.ConditionError as error:
            raise self._wrong(str(error)) from None

    def _numbers(self, kind: Kind, condition: Any) -> tuple[tuple[Bound, ...], tuple[str, ...], float]:
        if condition is None and kind.temporal:
            return (), (), _MEDIAN
        if not isinstance(condition, dict):
            raise self._wrong(f"{kind} needs a condition, a map such as {{gte: 10}}")
        if unknown := sorted(map(str, set(condition) - set(_RELATIONS) - {"field", "percentile"})):
            raise self._wrong(f"a condition of a correlation has no {', '.join(unknown)}")
        bounds = tuple(Bound(sign, self._number(condition[word], word)) for word, sign in _RELATIONS.items() if word in condition)
        if not bounds:
            raise self._wrong(f"the condition needs one of {', '.join(_RELATIONS)}")
        values = condition.get("field", [])
        names = tuple([values] if isinstance(values, str) else values)
        if not all(isinstance(name, str) for name in names) or bool(names) != kind.of_values:
            raise self._wrong(f"{kind} needs a field in its condition" if kind.of_values else f"{kind} looks at no field")
        if len(names) > 1 and kind is not Kind.VALUE_COUNT:
            raise self._wrong(f"{kind} looks at one field")
        return bounds, names, self._percentile(kind, condition)

    def _percentile(self, kind: Kind, condition: Mapping[str, Any]) -> float:
        if kind is not Kind.VALUE_PERCENTILE:
            return _MEDIAN
        value = self._number(condition.get("percentile", _MEDIAN), "percentile")
        if not 0 <= value <= 100:
            raise self._wrong("percentile must be from 0 to 100")
        return value

    def _number(self, value: Any, word: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._wrong(f"{word} must be a number")
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = inf
        if not isfinite(number):
            raise self._wrong(f"{word} must be a number; it is {value!r}")
        return number

    def _aliases(self) -> dict[str, dict[str, str]]:
        aliases = self._section.get("aliases", {})
        if not isinstance(aliases, dict) or not all(isinstance(table, dict) for table in aliases.values()):
            raise self._wrong("aliases must be a map of maps: alias to rule to field")
        return {str(name): {str(rule): str(of) for rule, of in table.items()} for name, table in aliases.items()}
