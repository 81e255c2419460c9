"""The SQL of a hunt: the expressions of the stream over the rows of the store.

Few rules are asked one by one: the engine then reads first the columns of each rule's cheap conditions, and the others only where these
hold; those that look at the same one column are asked together, so that it is read once. Many are asked together by the classes of logs
they are for: one scan leaves out the rows in which no witness stands, and each rule is judged on what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from core.events import LogClass
from core.storage.event_queries import Scope, Where
from detect import literals
from detect.compiled import CompiledRule
from detect.ruleset import SETTINGS
from detect.scan import FOLDING_TO_ASCII

ALONE: Final = 8
"""Up to as many rules are asked one by one, unless they look at one and the same column."""

_FEWEST_SCANNED: Final = 16
_FEW: Final = 64  # literals
_PLACE: Final = ("event_time", "raw_epoch", "raw_partition", "raw_offset", "raw_line")

Place = tuple[str, int, int, int]
"""Epoch, partition, first and last offset (both included) of `logs.raw`."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The rows a hunt looks at: `since` <= event_time < `until`, of `agencies`, within `ranges` if there are any."""

    since: datetime
    until: datetime
    agencies: Scope
    ranges: tuple[Place, ...] = ()
    received_before: datetime | None = None

    def within(self, since: datetime, until: datetime) -> Reach:
        """The part of it between two times."""
        return replace(self, since=since, until=until)

    def where(self) -> Where:
        where = Where()
        where.scope(self.agencies)
        where.between("event_time", self.since, self.until)
        if self.received_before is not None:
            where.add(lambda p: f"received_at < {p}", ("DateTime64(3, 'UTC')", self.received_before))
        if self.ranges:
            values: list[tuple[str, Any]] = []
            for epoch, partition, first, last in self.ranges:
                values += [("String", epoch), ("UInt16", partition), ("UInt64", first), ("UInt64", last)]
            where.add(_any_range, *values)
        return where


def _any_range(*names: str) -> str:
    each = [names[at : at + 4] for at in range(0, len(names), 4)]
    parts = [f"(raw_epoch = {e} AND raw_partition = {p} AND raw_offset BETWEEN {a} AND {b})" for e, p, a, b in each]
    return f"({' OR '.join(parts)})"


@dataclass(frozen=True, slots=True)
class Pass:
    """Rules (places in a list of compiled rules) that are asked in one statement.

    `guard` is met by all their matches; `scan` too by those of the rules that are not in `direct`, '' where that is none.
    """

    rules: tuple[int, ...]
    tests: tuple[str, ...]
    guard: str
    scan: str = ""
    direct: frozenset[int] = frozenset()

    def halves(self) -> tuple[Pass, Pass]:
        """The same in two."""
        half = len(self.rules) // 2
        return replace(self, rules=self.rules[:half], tests=self.tests[:half]), replace(
            self, rules=self.rules[half:], tests=self.tests[half:]
        )

    @property
    def likely(self) -> str:
        """What rows must meet to be worth looking at rule by rule: one scan, and the tests it cannot speak for."""
        direct = [test for rule, test in zip(self.rules, self.tests, strict=True) if rule in self.direct]
        some = [self.scan, *direct] if self.scan else direct
        return f"{self.guard} AND ({' OR '.join(some)})" if len(self.rules) > 1 else f"{self.guard} AND {self.tests[0]}"

    @property
    def exactly(self) -> str:
        """What the rows are that any rule matches."""
        return f"{self.likely} AND ({' OR '.join(self.tests)})" if self.scan and len(self.rules) > 1 else self.likely


def passes(compiled: Sequence[CompiledRule]) -> list[Pass]:
    """The statements that together ask all of `compiled`."""
    together: dict[object, list[int]] = {}
    for place, one in enumerate(compiled):
        alone = len(compiled) <= ALONE and len(one.columns) > 1
        together.setdefault(place if alone else (one.classes, one.columns if len(compiled) <= ALONE else None), []).append(place)
    return [_pass(compiled, places) for places in together.values()]


def _pass(compiled: Sequence[CompiledRule], places: Sequence[int]) -> Pass:
    first = compiled[places[0]]
    tests = tuple(compiled[place].sql for place in places)
    if len(places) == 1:
        return Pass(tuple(places), tests, _guard_alone(first))
    scanned = [place for place in places if compiled[place].witnesses]
    if len(scanned) < _FEWEST_SCANNED:
        scanned = []
    scan = _witnessed(compiled[place] for place in scanned) if scanned else ""
    return Pass(tuple(places), tests, _of_classes(first.classes), scan, frozenset(places).difference(scanned))


def _guard_alone(one: CompiledRule) -> str:
    """Where the whole line is read only beside a literal in another column, that column is read first."""
    of_class = _of_classes(one.classes)
    if one.witnesses and "raw" in one.columns and all(witness.column != "raw" for witness in one.witnesses):
        return f"{of_class} AND {_witnessed([one])}"
    return of_class


def _of_classes(classes: frozenset[LogClass]) -> str:
    if classes >= frozenset(LogClass):
        return "1"
    return f"log_class IN ({', '.join(literals.string(word) for word in sorted(classes))})"


def _witnessed(compiled: Iterable[CompiledRule]) -> str:
    by_column: dict[str, set[str]] = {}
    for one in compiled:
        for witness in one.witnesses:
            by_column.setdefault(witness.column, set()).add(witness.literal)
    return f"({' OR '.join(_any_of(column, wanted) for column, wanted in sorted(by_column.items()))})"


def _any_of(column: str, wanted: set[str]) -> str:
    """Whether one of the literals stands in the text, in any case. For few the engine has a search that need not lower the text first."""
    found = sorted(wanted)
    if len(found) <= _FEW:
        return f"multiSearchAnyCaseInsensitive(`{column}`, [{', '.join(map(literals.string, (*found, *FOLDING_TO_ASCII)))}])"
    return f"multiMatchAny(lowerUTF8(`{column}`), [{', '.join(literals.string(re.escape(one)) for one in found)}])"


def counting(asked: Pass, reach: Reach, times: int, threads: int) -> tuple[str, dict[str, Any]]:
    """Matches by rule (place in the pass) and agency: how many, and the times of the first `times`."""
    where = reach.where()
    hunted = "0" if len(asked.tests) == 1 else f"arrayJoin({_hits(asked)})"
    sql = (
        f"SELECT toUInt32(hunted) AS rule, agency, count() AS matches, "
        f"groupArraySorted({times})(toUnixTimestamp64Milli(event_time)) AS times "
        f"FROM (SELECT agency, event_time, {hunted} AS hunted FROM events WHERE {where.sql} AND {asked.likely}) "
        f"GROUP BY hunted, agency ORDER BY hunted, agency{_settings(threads)}"
    )
    return sql, where.params


def condition(one: CompiledRule) -> str:
    """What holds of the rows of `events` that a rule matches."""
    return f"{_guard_alone(one)} AND {one.sql}"


def matching(select: Sequence[str], where: str, condition: str) -> str:
    """The statement that gives events in order of time and position: those of which `where` and a rule's `condition` hold."""
    return f"SELECT {', '.join(select)}\nFROM events\nWHERE {where}\n  AND {condition}\nORDER BY {', '.join(_PLACE)}"


def first(asked: Pass, reach: Reach, columns: Sequence[str], limit: int, threads: int) -> tuple[str, dict[str, Any]]:
    """The first `limit` events that rules of a pass match; of a pass of several with `hits`, the places of those rules in it.

    Up to 10,000 rows the engine reads the columns no condition looks at only where a row is wanted in the end.
    """
    where = reach.where()
    select = [f"`{name}`" for name in columns]
    if len(asked.tests) > 1:
        select.append(f"{_hits(asked)} AS hits")
    return f"{matching(select, where.sql, asked.exactly)} LIMIT {limit}{_settings(threads)}", where.params


def _hits(asked: Pass) -> str:
    """The places in the pass of the rules that match."""
    return f"arrayFilter((i, hit) -> hit, range({len(asked.tests)}), [{', '.join(asked.tests)}])"


def lines(
    one: CompiledRule, reach: Reach, places: Sequence[tuple[str, datetime]], columns: Sequence[str], limit: str, threads: int
) -> tuple[str, dict[str, Any]]:
    """The events `one` matches of those of these agencies and times, in order of time and position; `limit` says how many."""
    where = reach.where()
    where.add(
        lambda agencies, times: f"(agency, event_time) IN (SELECT p.1, p.2 FROM (SELECT arrayJoin(arrayZip({agencies}, {times})) AS p))",
        ("Array(String)", [agency for agency, _ in places]),
        ("Array(DateTime64(3, 'UTC'))", [at for _, at in places]),
    )
    select = [f"`{name}`" for name in columns]
    return f"{matching(select, where.sql, condition(one))} {limit}{_settings(threads)}", where.params


def size(one: CompiledRule, reach: Reach) -> str:
    """The bytes of the columns `one` reads of the rows it looks at, not compressed; the parameters are those of `reach.where()`."""
    columns = ", ".join(f"`{name}`" for name in sorted(one.columns | {"agency", "event_time", "log_class"}))
    return f"SELECT sum(byteSize({columns})) AS bytes FROM events WHERE {reach.where().sql} AND {_of_classes(one.classes)}"


def _settings(threads: int) -> str:
    """A statement carries the settings of the rule set's own; `threads` 0 leaves their number to the engine."""
    own = dict(SETTINGS) | ({"max_threads": threads} if threads else {})
    return " SETTINGS " + ", ".join(f"{name} = {value!r}" for name, value in own.items())
