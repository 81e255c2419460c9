"""One slice of a hunt: what its rules match, counted by agency, and the first of the matching events themselves.

Matches are counted in the store; only the events that are wanted leave it, found again by agency and time, for which the table is
ordered. A rule the engine refuses is left out with its reason, the others go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.clock import from_millis
from core.errors import StoreError, StoreUnavailable
from core.events import EVENTS
from core.storage.contract import Limits, Store
from detect.compiled import CompiledRule
from detect.hunt import statements
from detect.hunt.statements import Pass, Reach

Ints = npt.NDArray[np.int64]

_LIMITS: Final = Limits(seconds=600.0, rows=1_000_000, memory_bytes=4 << 30)


@dataclass(frozen=True, slots=True)
class Tally:
    """The matches of a rule (its place among the compiled ones) in one agency: how many, the first one's time (ms) and event id."""

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
        self.problems: dict[int, str] = {}

    @property
    def compiled(self) -> tuple[CompiledRule, ...]:
        return self._compiled

    async def tallies(self, reach: Reach, times: int) -> list[Tally]:
        """The matches within `reach`, with the first `times` instants of each rule and agency. StoreError when the store fails."""
        found: list[Tally] = []
        waiting = list(self._passes)
        while waiting:
            asked = waiting.pop(0)
            try:
                found += await self._counted(asked, reach, times)
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
            Tally(asked.rules[row["rule"]], row["agency"], row["matches"], row["first"], row["event"], times_of[place].values.to_numpy())
            for place, row in enumerate(rows.drop_columns("times").to_pylist())
        ]

    async def lines(self, reach: Reach, tallies: Sequence[Tally], room: Mapping[int, int]) -> AsyncIterator[Lines]:
        """The first events of each rule that was found, as many as it has `room`, rule by rule."""
        for rule in sorted({tally.rule for tally in tallies}):
            if room.get(rule, 0) <= 0:
                continue
            places = _earliest([tally for tally in tallies if tally.rule == rule], room[rule])
            sql, params = statements.lines(self._compiled[rule], reach, places, self._columns, room[rule], self._threads)
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


def _earliest(tallies: Sequence[Tally], room: int) -> list[tuple[str, datetime]]:
    """Agency and instant of the earliest matches of one rule, those of the last instant together."""
    times = np.concatenate([tally.times for tally in tallies])
    last = np.partition(times, room - 1)[room - 1] if len(times) > room else times.max()
    return [(tally.agency, from_millis(at)) for tally in tallies for at in np.unique(tally.times[tally.times <= last]).tolist()]


def _stop(tallies: Sequence[Tally]) -> int | None:
    """Where a portion must end: before the last known instant of what is not known whole; None: everything is known."""
    cut = [tally for tally in tallies if tally.count > len(tally.times)]
    return min((max(int(tally.times[-1]), int(tally.times[0]) + 1) for tally in cut), default=None)
