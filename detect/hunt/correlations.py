"""Correlations over history: the matches of all they are made of, judged by the firing rule of the stream.

The matches are looked for slice by slice like those of rules, only with the columns that correlations need, and judged together at the
end: a window may reach over any number of slices. They are looked for from before the hunt's time on, so that what fires in it is what the
stream would have fired; what completed before it is not told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.clock import from_millis
from core.engine import Engine
from core.errors import QueryTooCostly
from core.events import EVENTS, FIRINGS, POSITION
from core.storage.contract import Store
from detect.compiled import CompiledRule, compile_rule
from detect.correlation.definition import Correlation
from detect.correlation.history import judged
from detect.correlation.members import ROWS, Members
from detect.correlation.resolve import Resolved, resolve
from detect.correlation.telling import completing_events
from detect.correlation.telling import detections as told
from detect.fields import EventFields
from detect.hunt.findings import Maker
from detect.hunt.plan import plan
from detect.hunt.search import Search, Tally
from detect.hunt.statements import Reach
from detect.rules import Rule, RuleBook
from detect.ruleset import Matches, Plan

MOST_MATCHES: Final = 1_000_000
"""Matches of members one hunt may judge: some 200 bytes each are held in memory."""

_AT_ONCE: Final = 20_000
_ALWAYS: Final = frozenset(("received_at", "agency", "event_time", *(column.name for column in POSITION)))


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
        columns = _ALWAYS.union(*({*use.keys, *use.values} for use in self._resolved.uses if isinstance(use.of, Rule)))
        self._search = Search(store, self._compiled, threads=threads, columns=[name for name in EVENTS.names if name in columns])

    @property
    def problems(self) -> dict[str, str]:
        """Why members, by title, were left out."""
        return {self._compiled[place].rule.title: why for place, why in self._search.problems.items()}

    async def fired(self, reach: Reach, alive: Callable[[int], Awaitable[bool]]) -> pa.Table | None:
        """The firings within `reach`, columns of FIRED in order of time; None as soon as `alive`, told how many rows are done, says no.

        QueryTooCostly when there are more matches than can be judged. StoreError as the store raises it.
        """
        rows = await self._matches(reach, alive)
        if rows is None:
            return None
        found = await asyncio.to_thread(judged, self._resolved, rows)
        low, high = (pa.scalar(at, EVENTS.column("event_time").arrow.type) for at in (reach.since, reach.until))
        inside = pc.and_(pc.greater_equal(found["event_time"], low), pc.less(found["event_time"], high))
        mine = pc.is_in(found["rule_hash"], pa.array(sorted(self._wanted), pa.string()))
        return found.filter(pc.and_(inside, mine)).sort_by([("event_time", "ascending"), ("event", "ascending"), ("rule_id", "ascending")])

    async def _matches(self, reach: Reach, alive: Callable[[int], Awaitable[bool]]) -> pa.Table | None:
        before = timedelta(milliseconds=2 * sum(one.span_ms for one in self._resolved.correlations))
        wide = reach.within(reach.since - before, reach.until)
        members = Members(self._resolved, Plan(self._compiled, []), self._engine)
        found = [ROWS.empty_table()]
        done = matches = 0
        try:
            for piece in await plan(self._store, self._search, wide):
                if not await alive(done):
                    return None
                part = wide.within(from_millis(piece.start), from_millis(piece.end))
                tallies = await self._search.tallies(part, _AT_ONCE)
                matches += sum(tally.count for tally in tallies)
                if matches > MOST_MATCHES:
                    raise QueryTooCostly(
                        f"the rules of these correlations match more than {MOST_MATCHES:,} events: hunt a shorter time, or fewer agencies"
                    )
                async for lines in self._search.every_line(part, tallies, _AT_ONCE):
                    count = lines.events.num_rows
                    hits = Matches(rules=np.full(count, lines.rule, np.int64), rows=np.arange(count, dtype=np.int64))
                    found.append(await asyncio.to_thread(members.rows, lines.events, hits))
                done += piece.rows
        finally:
            await asyncio.to_thread(members.close)
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
