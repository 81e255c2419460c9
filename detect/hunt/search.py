"""One slice of a hunt: what its rules match, counted by agency, and the first of the matching events themselves.

Few matches come as they are, in one statement. Many are counted in the store, and only the events that are wanted leave it: the first ones,
or found again by agency and time, for which the table is ordered. A rule the engine refuses is left out with its reason, the others go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.clock import from_millis
from core.errors import StoreError, StoreUnavailable
from core.events import EVENTS, POSITION
from core.storage.contract import Limits, Store
from detect.compiled import CompiledRule
from detect.hunt import statements
from detect.hunt.findings import event_ids
from detect.hunt.statements import Pass, Reach

Ints = npt.NDArray[np.int64]

_LIMITS: Final = Limits(seconds=600.0, rows=1_000_000, memory_bytes=4 << 30)


@dataclass(frozen=True, slots=True)
class Tally:
    """The matches of a rule (its place among the compiled ones) in one agency: how many, the first one's time (ms) and event id.

    `event` is '' where it was not asked for; `times` are those of the first matches (ms).
    """

    rule: int
    agency: str
    count: int
    first: int
    event: str
    times: Ints


@dataclass(frozen=True, slots=True)
class Lines:
    """Events a rule matches (the columns of EVENTS that are wanted), in order of time."""

    rule: int
    events: pa.Table


@dataclass(frozen=True, slots=True)
class Found:
    """The matches of a slice, and the events themselves of the rules that are keys of `events`: all, or the first there is room for."""

    tallies: list[Tally]
    events: dict[int, pa.Table]


class Search:
    """A set of compiled rules over the store. `problems` says of rules why they were left out.

    `threads` 0: as many as the engine likes; `columns`: those of the events that are wanted.
    """

    def __init__(self, store: Store, compiled: Sequence[CompiledRule], *, threads: int = 0, columns: Sequence[str] = EVENTS.names) -> None:
        self._store = store
        self._compiled = tuple(compiled)
        self._threads = threads
        self._columns = tuple(columns)
        self._shape = pa.schema([EVENTS.column(name).arrow for name in columns])
        self._passes = statements.passes(self._compiled)
        self._many: set[Pass] = set()
        self.problems: dict[int, str] = {}

    @property
    def compiled(self) -> tuple[CompiledRule, ...]:
        return self._compiled

    async def tallies(self, reach: Reach, times: int) -> list[Tally]:
        """The matches within `reach`, with the first `times` instants of each rule and agency. StoreError when the store fails."""
        return await self._every_pass(lambda asked: self._counted(asked, reach, times))

    async def named(self, reach: Reach, tallies: Sequence[Tally], known: Mapping[int, Collection[str]]) -> list[Tally]:
        """`tallies` of `reach` with the first event of each; but for the agencies of a rule where it is `known` already."""
        wanted = [tally for tally in tallies if not tally.event and tally.agency not in known.get(tally.rule, ())]
        names: dict[tuple[int, str], str] = {}
        for rule in sorted({tally.rule for tally in wanted}):
            places = [(tally.agency, from_millis(tally.first)) for tally in wanted if tally.rule == rule]
            columns = ["agency", *(column.name for column in POSITION)]
            sql, params = statements.lines(self._compiled[rule], reach, places, columns, "LIMIT 1 BY agency", self._threads)
            rows = await self._store.query(sql, params, _LIMITS)
            names |= {(rule, agency): event for agency, event in zip(rows["agency"].to_pylist(), event_ids(rows).to_pylist(), strict=True)}
        return [replace(tally, event=names.get((tally.rule, tally.agency), tally.event)) for tally in tallies]

    async def first(self, reach: Reach, room: Mapping[int, int]) -> Found:
        """The matches within `reach` with their events, as far as one statement gives both; `lines` gets the others. As `tallies`.

        Most hunts find little: then nothing is looked for twice.
        """
        events: dict[int, pa.Table] = {}

        async def ask(asked: Pass) -> list[Tally]:
            places = [rule for rule in asked.rules if room.get(rule, 0) > 0]
            if asked in self._many or len(places) < len(asked.rules):
                return await self._counted(asked, reach, max([1, *(room[rule] for rule in places)]))
            limit = min(room[rule] for rule in places)
            sql, params = statements.first(asked, reach, self._columns, limit, self._threads)
            rows = await self._store.query(sql, params, _LIMITS)
            if rows.num_rows == limit and len(asked.rules) > 1:
                self._many.add(asked)  # whose rows are missing is not known; the next slices will not be different
                return await self._counted(asked, reach, max(room[rule] for rule in places))
            of_rules = _of_rules(asked, rows)
            events.update({rule: found.select(self._columns).cast(self._shape) for rule, found in of_rules.items()})
            if rows.num_rows == limit:
                return await self._counted(asked, reach, 1)
            return [tally for rule, found in of_rules.items() for tally in _tallies(rule, found)]

        return Found(await self._every_pass(ask), events)

    async def _every_pass(self, ask: Callable[[Pass], Awaitable[list[Tally]]]) -> list[Tally]:
        found: list[Tally] = []
        waiting = list(self._passes)
        while waiting:
            asked = waiting.pop(0)
            try:
                found += await ask(asked)
            except StoreUnavailable:
                raise
            except StoreError as error:
                await self._store.query("SELECT 1")  # a store that does not answer is no fault of the rule
                self._passes.remove(asked)
                if len(asked.rules) > 1:  # which of them it is, is found by halves
                    self._passes += asked.halves()
                    waiting += asked.halves()
                else:
                    self.problems[asked.rules[0]] = str(error)
        return found

    async def _counted(self, asked: Pass, reach: Reach, times: int) -> list[Tally]:
        sql, params = statements.counting(asked, reach, max(times, 1), self._threads)
        rows = await self._store.query(sql, params, _LIMITS)
        if not rows.num_rows:
            return []
        times_of = rows["times"].combine_chunks()
        return [
            Tally(
                asked.rules[row["rule"]],
                row["agency"],
                row["matches"],
                times_of[place].values[0].as_py(),
                "",
                times_of[place].values.to_numpy(),
            )
            for place, row in enumerate(rows.drop_columns("times").to_pylist())
        ]

    async def lines(
        self, reach: Reach, tallies: Sequence[Tally], room: Mapping[int, int], known: Mapping[int, pa.Table] = MappingProxyType({})
    ) -> AsyncIterator[Lines]:
        """The first events of each rule that was found, as many as it has `room`, rule by rule; `known` are there already."""
        for rule in sorted({tally.rule for tally in tallies}):
            if room.get(rule, 0) <= 0:
                continue
            if rule in known:
                yield Lines(rule, known[rule])
                continue
            places = _earliest([tally for tally in tallies if tally.rule == rule], room[rule])
            sql, params = statements.lines(self._compiled[rule], reach, places, self._columns, f"LIMIT {room[rule]}", self._threads)
            yield Lines(rule, (await self._store.query(sql, params, _LIMITS)).cast(self._shape))

    async def every_line(self, reach: Reach, tallies: Sequence[Tally], at_once: int) -> AsyncIterator[Lines]:
        """All events the rules match, in portions of about `at_once`; `tallies` are those of `reach` with `at_once` instants each.

        A portion ends before the instant that does not fit whole; one instant alone is never cut.
        """
        rest: Reach | None = reach
        while rest is not None and tallies:
            stop = _stop(tallies)
            part = rest if stop is None else rest.within(rest.since, from_millis(stop))
            within = [tally for tally in tallies if stop is None or tally.first < stop]
            async for found in self.lines(part, within, dict.fromkeys(range(len(self._compiled)), _LIMITS.rows)):
                yield found
            rest = None if stop is None else rest.within(from_millis(stop), rest.until)
            tallies = [] if rest is None else await self.tallies(rest, at_once)


def _of_rules(asked: Pass, rows: pa.Table) -> dict[int, pa.Table]:
    """The rows of each rule of a pass that has any."""
    if len(asked.rules) == 1:
        return {asked.rules[0]: rows} if rows.num_rows else {}
    hits = rows["hits"].combine_chunks()
    row, place = pc.list_parent_indices(hits), pc.list_flatten(hits).to_numpy()
    return {rule: rows.take(row.filter(pa.array(place == number))) for number, rule in enumerate(asked.rules) if (place == number).any()}


def _tallies(rule: int, rows: pa.Table) -> list[Tally]:
    """What `rows`, all matches of a rule in order of time and position, come to in each agency."""
    agencies = rows["agency"].combine_chunks().cast(pa.string()).to_numpy(zero_copy_only=False)
    times = rows["event_time"].cast(pa.int64()).to_numpy()
    names, firsts, counts = np.unique(agencies, return_index=True, return_counts=True)
    ids = event_ids(rows.take(pa.array(firsts))).to_pylist()
    return [
        Tally(rule, str(name), int(count), int(times[first]), event, times[agencies == name])
        for name, first, count, event in zip(names, firsts, counts, ids, strict=True)
    ]


def _earliest(tallies: Sequence[Tally], room: int) -> list[tuple[str, datetime]]:
    """Agency and instant of the earliest matches of one rule, those of the last instant together."""
    times = np.concatenate([tally.times for tally in tallies])
    last = np.partition(times, room - 1)[room - 1] if len(times) > room else times.max()
    return [(tally.agency, from_millis(at)) for tally in tallies for at in np.unique(tally.times[tally.times <= last]).tolist()]


def _stop(tallies: Sequence[Tally]) -> int | None:
    """Where a portion must end: before the last known instant of what is not known whole; None: everything is known."""
    cut = [tally for tally in tallies if tally.count > len(tally.times)]
    return min((max(int(tally.times[-1]), int(tally.times[0]) + 1) for tally in cut), default=None)
