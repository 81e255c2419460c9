"""Correlations over history: the matches of all they are made of, judged by the firing rule of the stream.

History is gone through in order of time, a slice after the other, with the matches in memory that the next may still need. A slice that
does not continue the last one (the first of all, or after a restart) begins earlier: what came up to twice the timespans before it is read
and not told of. So what fires in a slice is what fires when all of history is at hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.clock import millis
from core.engine import Engine
from core.events import EVENTS, FIRINGS, POSITION
from core.storage import correlation_queries as queries
from core.storage.contract import Store
from detect.compiled import CompiledRule, compile_rule
from detect.correlation.definition import Correlation
from detect.correlation.firing import FIRED, Nested
from detect.correlation.members import ROWS, Members
from detect.correlation.resolve import EXERCISE, Resolved, resolve
from detect.correlation.sliding import Sliding
from detect.correlation.telling import completing_events
from detect.correlation.telling import detections as told
from detect.fields import EventFields
from detect.hunt.findings import Maker
from detect.hunt.occurrences import Occurrences, Portion
from detect.hunt.plan import plan
from detect.hunt.search import Search, Tally
from detect.hunt.slices import Slice
from detect.hunt.statements import Reach
from detect.rules import Rule, RuleBook
from detect.ruleset import Matches, Plan

MOST_MATCHES: Final = 1_000_000
"""Matches of members within reach of the timespans of the correlations of a search: some 200 bytes each are held in memory."""

_ALWAYS: Final = frozenset(("received_at", "agency", "event_time", EXERCISE, *(column.name for column in POSITION)))
Alive = Callable[[int], Awaitable[bool]]
"""Whether to go on; told how many rows of a slice are done."""


def closure(book: RuleBook, wanted: Collection[Correlation]) -> RuleBook:
    """`wanted` with every rule and correlation they are made of, of those in `book`."""
    every: list[Rule | Correlation] = [*book.rules, *book.correlations]
    known = {name: one for one in every for name in (one.id, one.name) if name}
    found: dict[str, Rule | Correlation] = {}
    waiting: list[Rule | Correlation] = list(wanted)
    while waiting:
        one = waiting.pop()
        if one.hash not in found:
            found[one.hash] = one
            if isinstance(one, Correlation):
                waiting += [known[name] for name in one.members if name in known]
    rules = tuple(one for one in found.values() if isinstance(one, Rule))
    return RuleBook(rules, (), tuple(one for one in found.values() if isinstance(one, Correlation)))


class Correlating:
    """The correlations of `book` that have the hashes `wanted`. RuleError when a rule of theirs cannot fire on our events."""

    def __init__(self, store: Store, engine: Engine, book: RuleBook, wanted: Collection[str], *, threads: int = 0) -> None:
        self._store = store
        self._engine = engine
        self._resolved: Resolved = resolve(book)
        self._wanted = frozenset(wanted)
        fields = EventFields()
        self._compiled: list[CompiledRule] = [compile_rule(rule, fields) for rule in book.rules]
        needed = _ALWAYS.union(*({*use.keys, *use.values} for use in self._resolved.uses if isinstance(use.of, Rule)))
        columns = [name for name in EVENTS.names if name in needed]
        self._search = Search(store, self._compiled, threads=threads, columns=columns)
        self._occurrences = Occurrences(store, self._search, columns, threads=threads)
        self._sliding: Sliding | None = None
        self._until: datetime | None = None

    @property
    def problems(self) -> Mapping[str, str]:
        """Why correlations that are wanted, by id, could not be judged."""
        broken = {
            self._compiled[place].rule.hash: f"{self._compiled[place].rule.title}: {why}" for place, why in self._search.problems.items()
        }
        broken |= self._sliding.problems if self._sliding else {}
        for one in self._resolved.correlations:  # each after those it is made of
            for use in self._resolved.uses:
                if use.correlation.hash == one.hash and use.of.hash in broken:
                    broken.setdefault(one.hash, broken[use.of.hash])
        return {one.id: broken[one.hash] for one in self._resolved.correlations if one.hash in broken and one.hash in self._wanted}

    async def plan(self, reach: Reach) -> list[Slice]:
        """The slices of a search. StoreError as the store raises it."""
        return await plan(self._store, self._search, reach)

    async def fired(self, reach: Reach, alive: Alive) -> pa.Table | None:
        """The firings within `reach`, columns of FIRED in order of time; None as soon as `alive` says no.

        StoreError as the store raises it.
        """
        if self._until != reach.since:
            self._sliding = None
            before = timedelta(milliseconds=2 * sum(one.span_ms for one in self._resolved.correlations))
            if await self._slide(reach.within(reach.since - before, reach.since), alive) is None:
                return None
        found = await self._slide(reach, alive)
        if found is None:
            return None
        mine = pc.is_in(found["rule_hash"], pa.array(sorted(self._wanted), pa.string()))
        return found.filter(mine).sort_by([("event_time", "ascending"), ("event", "ascending"), ("rule_id", "ascending")])

    async def matches(self, reach: Reach) -> AsyncGenerator[tuple[Reach, pa.Table]]:
        """What matches within `reach` is to the correlations, in order of time, a part of `reach` after the other; columns of ROWS."""
        members = Members(self._resolved, Plan(self._compiled, []), self._engine)
        try:
            async for portion in self._occurrences.portions(reach):
                yield portion.reach, await asyncio.to_thread(_matches, members, portion)
        finally:
            await asyncio.to_thread(members.close)

    async def missed(self, reach: Reach) -> AsyncGenerator[pa.Table]:
        """As `matches`, and what has fired in the time of `reach` of the correlations that others are made of."""
        async with aclosing(self.matches(reach)) as parts:
            async for _, rows in parts:
                yield rows
        inner = sorted({use.of.hash for use in self._resolved.uses if isinstance(use.of, Correlation)})
        if inner:
            fired = await queries.firings_between(self._store, inner, millis(reach.since), millis(reach.until) - 1)
            yield await asyncio.to_thread(Nested(self._resolved).rows, fired)

    @property
    def by_hash(self) -> dict[str, Correlation]:
        """The correlations that are judged, those that others are made of among them."""
        return {one.hash: one for one in self._resolved.correlations}

    async def _slide(self, reach: Reach, alive: Alive) -> pa.Table | None:
        sliding = self._sliding or Sliding(self._resolved, MOST_MATCHES)
        self._sliding, self._until = sliding, None  # a slice that breaks off leaves no state to go on with
        found = [FIRED.empty_table()]
        async with aclosing(self.matches(reach)) as parts:
            async for part, rows in parts:
                if not await alive(0):
                    return None
                found.append(await asyncio.to_thread(sliding.feed, rows, millis(part.since), millis(part.until)))
        self._until = reach.until
        return pa.concat_tables(found)


def _matches(members: Members, portion: Portion) -> pa.Table:
    """What a portion is to the correlations; columns of ROWS."""
    found = [ROWS.empty_table()]
    for lines in portion.lines:
        count = lines.events.num_rows
        found.append(members.rows(lines.events, Matches(rules=np.full(count, lines.rule, np.int64), rows=np.arange(count, dtype=np.int64))))
    return pa.concat_tables(found)


def tallies(fired: pa.Table, ids: Sequence[str]) -> list[tuple[str, Tally]]:
    """Firings by correlation and agency; `fired` is in order of time."""
    counted = fired.select(["rule_id", "agency", "event_time", "event"]).group_by(["rule_id", "agency"], use_threads=False)
    rows = counted.aggregate([("event_time", "count"), ("event_time", "first"), ("event", "first")])
    first = rows["event_time_first"].cast(pa.int64()).to_pylist()
    return [
        (
            row["rule_id"],
            Tally(ids.index(row["rule_id"]), row["agency"], row["event_time_count"], at, row["event_first"], np.empty(0, np.int64)),
        )
        for row, at in zip(rows.to_pylist(), first, strict=True)
    ]


async def detections(store: Store, fired: pa.Table, maker: Maker, raw_offset: int, now: datetime) -> pa.Table:
    """`fired` as rows of DETECTIONS at `raw_offset`. StoreUnavailable when an event is not to be found yet."""
    count = fired.num_rows
    said = {"raw_epoch": maker.epoch, "raw_partition": 0, "raw_offset": raw_offset, "fired_at": now}
    columns = {name: pa.repeat(pa.scalar(value, FIRINGS.column(name).arrow.type), count) for name, value in said.items()}
    columns["raw_line"] = pa.array(np.arange(count), pa.uint32())
    placed = pa.table([columns[name] if name in columns else fired[name] for name in FIRINGS.names], schema=FIRINGS.schema)
    return told(placed, await completing_events(store, fired), maker.origin)
