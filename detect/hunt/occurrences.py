"""Every match of some rules in the store, in order of time, a bounded number of rows at once: what correlations over history are made of.

Time is cut in halves until what matches in a piece fits. A piece ends at a whole millisecond, so the matches of an instant stay together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pyarrow as pa

from core.events import EVENTS
from core.storage.contract import Limits, Store
from detect.compiled import CompiledRule
from detect.hunt import statements
from detect.hunt.search import Lines, Search
from detect.hunt.statements import Reach
from detect.ruleset import SETTINGS

AT_ONCE: Final = 200_000
"""Matches of all rules that a portion has at most, unless they are of one instant."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_LIMITS: Final = Limits(seconds=600.0, rows=1_000_000, memory_bytes=4 << 30)


@dataclass(frozen=True, slots=True)
class Portion:
    """The matches within `reach`, rule by rule."""

    reach: Reach
    lines: Sequence[Lines]


class Occurrences:
    """Matches of the rules of `search`, with `columns` of EVENTS; `threads` 0: as many as the engine likes."""

    def __init__(self, store: Store, search: Search, columns: Sequence[str], *, threads: int = 0) -> None:
        self._store = store
        self._search = search
        self._columns = ", ".join(f"`{name}`" for name in columns)
        self._shape = pa.schema([EVENTS.column(name).arrow for name in columns])
        settings = dict(SETTINGS) | ({"max_threads": threads} if threads else {})
        self._settings = ", ".join(f"{name} = {value!r}" for name, value in settings.items())

    async def portions(self, reach: Reach) -> AsyncIterator[Portion]:
        """All matches within `reach`, in order of time; also the portions in which nothing matched. StoreError as the store raises it."""
        waiting = [reach]
        while waiting:
            part = waiting.pop()
            tallies = await self._search.tallies(part, 1)
            if sum(tally.count for tally in tallies) > AT_ONCE and part.until - part.since > _MILLISECOND:
                middle = part.since + (part.until - part.since) // 2 // _MILLISECOND * _MILLISECOND
                waiting += [part.within(middle, part.until), part.within(part.since, middle)]
                continue
            places = sorted({tally.rule for tally in tallies})
            yield Portion(part, [Lines(place, await self._rows(self._search.compiled[place], part)) for place in places])

    async def _rows(self, one: CompiledRule, reach: Reach) -> pa.Table:
        where, (asked,) = reach.where(), statements.passes([one])
        condition = f"{where.sql} AND {asked.guard} AND {asked.tests[0]}"
        sql = f"SELECT {self._columns} FROM events WHERE {condition} SETTINGS {self._settings}"
        return (await self._store.query(sql, where.params, _LIMITS)).cast(self._shape)
