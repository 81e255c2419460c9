"""A rule as the SQL it becomes."""

from __future__ import annotations

from dataclasses import dataclass

from core.events import LogClass
from detect.compiled import CompiledRule
from detect.hunt import statements

_SHOWN = ("event_time", "agency", "source", "raw")


@dataclass(frozen=True, slots=True)
class Converted:
    """`condition` is the expression over a row of `events`, the same on the stream and over history; `hunt` the SELECT a hunt
    runs, with fewer columns.

    The hunt takes the parameters `since` and `until`, DateTime64(3, 'UTC'). `witnesses` are `column: literal`, one of which stands in
    every event the rule matches; without any it is checked on every row of its classes.
    """

    condition: str
    classes: tuple[LogClass, ...]
    columns: tuple[str, ...]
    witnesses: tuple[str, ...]
    hunt: str


def converted(rule: CompiledRule) -> Converted:
    """What `rule` becomes."""
    classes = tuple(sorted(rule.classes))
    when = "event_time >= {since:DateTime64(3, 'UTC')} AND event_time < {until:DateTime64(3, 'UTC')}"
    hunt = statements.matching(_SHOWN, when, statements.condition(rule))
    witnesses = tuple(sorted(f"{one.column}: {one.literal}" for one in rule.witnesses))
    return Converted(rule.sql, classes, tuple(sorted(rule.columns)), witnesses, hunt)
