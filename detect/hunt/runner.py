"""The service that searches history: one search at a time, slice by slice.

- What a slice found is durable on the bus before the slice counts as done. A slice that is repeated after a restart gives the same
  messages at the same places of the search's order, which the store and respond drop.
- What nobody asked for runs on one thread of the engine, and waits while the stages are behind.
- A search that cannot go on ends with its reason; a store or bus that does not answer only makes it wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core import arrow, metrics, topics
from core.bus.contract import Bus, Message
from core.clock import Clock, from_millis
from core.database import Database
from core.engine import Engine
from core.errors import BongsuError, BusError, StoreError, StoreUnavailable
from core.storage.contract import Limits, Store
from detect.hunt import correlations, findings, refill, requests, tuned
from detect.hunt.background import Background
from detect.hunt.correlations import Correlating
from detect.hunt.findings import Maker
from detect.hunt.models import Hunt
from detect.hunt.plan import plan
from detect.hunt.queue import HELD, Outcome, Queue, slice_of
from detect.hunt.requests import Kind
from detect.hunt.search import Found, Lines, Search
from detect.hunt.slices import Slice
from detect.hunt.statements import Reach
from detect.rule_files import RuleLibrary
from detect.tuning import Tunings

MOST_KEPT: Final = 10_000
"""Detections a hunt makes of one rule, the earliest; further matches are counted."""

SETTLED: Final = timedelta(minutes=10)
"""A backfill at an operator's word leaves alone what came this short a time before: the stream may still be at it."""

_AT_ONCE: Final = 2_000  # matches of one rule and agency that a backfill takes at a time
_IDLE_SECONDS: Final = 2.0
_LOOK_AROUND_SECONDS: Final = 60.0
_KNOWN_LIMITS: Final = Limits(seconds=120.0, rows=1_000_000)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The rules and correlations of the search under way. Correlations have slices of their own, behind those of the rules."""

    hunt_id: str
    search: Search
    tunings: Tunings
    correlations: tuple[str, ...]
    correlating: Correlating | None

    def at_correlations(self, hunt: Hunt) -> bool:
        """Whether the slice that is next is one of correlations. Both kinds begin with the same instant."""
        slices = hunt.slices or []
        begins = [number for number, (start, _, _) in enumerate(slices) if start == slices[0][0]]
        return hunt.slices_done >= begins[-1] if len(begins) > 1 else not self.search.compiled


class HuntRunner:
    """Runs searches until cancelled. `busy` says whether the stages are behind; `holder` names this runner among those of a cluster."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        database: Database,
        clock: Clock,
        library: RuleLibrary,
        engine: Engine,
        *,
        history: timedelta,
        busy: Callable[[], bool],
        holder: str,
    ) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._engine = engine
        self._library = library
        self._busy = busy
        self._queue = Queue(database, holder)
        self.background = Background(store, database, library, history=history)
        self._prepared: _Prepared | None = None

    async def run(self) -> None:
        """Search whatever waits; look for new rules and gaps every minute."""
        looked = -_LOOK_AROUND_SECONDS
        loop = asyncio.get_running_loop()
        try:
            while True:
                worked = False
                try:
                    if loop.time() - looked >= _LOOK_AROUND_SECONDS:
                        looked = loop.time()
                        await self.background.look_around()
                    worked = await self.step()
                except (BusError, StoreError) as error:
                    metrics.STAGE_RETRIES.labels("hunts").inc()
                    _log.warning("hunt.waits", error=str(error))
                except Exception as error:  # noqa: BLE001 - the loop's boundary: a defect must not end the process
                    metrics.STAGE_RETRIES.labels("hunts").inc()
                    _log.error("hunt.look_around_failed", error=str(error), exc_info=error)
                if not worked:
                    await asyncio.sleep(_IDLE_SECONDS)
        finally:
            with suppress(StoreError):
                self._queue.release()

    async def step(self) -> bool:
        """Plan the next search, or run its next slice; False when there is nothing to do. BusError and StoreUnavailable may pass."""
        hunt = await asyncio.to_thread(self._queue.take, background=not self._busy())
        if hunt is None:
            return False
        try:
            async with self._holding(hunt.id):
                prepared = await self._prepare(hunt)
                if hunt.slices is None:
                    await asyncio.to_thread(self._queue.planned, hunt.id, await self._planned(hunt, prepared))
                elif prepared.at_correlations(hunt):
                    await self._correlations(hunt, prepared)
                else:
                    await self._slice(hunt, prepared)
        except (BusError, StoreUnavailable):
            raise
        except BongsuError as error:
            await self._fail(hunt, str(error))
        except Exception as error:  # noqa: BLE001 - the loop's boundary: one search must not stop those behind it
            _log.error("hunt.failed", hunt=hunt.id, error=str(error), exc_info=error)
            await self._fail(hunt, "a defect of ours; the log of the centre has more under the hunt's id")
        return True

    async def _fail(self, hunt: Hunt, problem: str) -> None:
        metrics.HUNTS_FAILED.labels(hunt.kind).inc()
        await asyncio.to_thread(self._queue.fail, hunt.id, problem)

    @asynccontextmanager
    async def _holding(self, hunt_id: str) -> AsyncIterator[None]:
        """Hold a search however long a slice takes."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(HELD.total_seconds() / 3)
                with suppress(StoreError):
                    await asyncio.to_thread(self._queue.hold, hunt_id)

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()

    async def _prepare(self, hunt: Hunt) -> _Prepared:
        if self._prepared is None or self._prepared.hunt_id != hunt.id:
            self._prepared = await asyncio.to_thread(self._read, hunt)
        return self._prepared

    def _read(self, hunt: Hunt) -> _Prepared:
        found = requests.as_asked(self._library.current(), hunt)
        threads = 0 if hunt.kind == Kind.HUNT else 1
        tunings = tuned.tunings_of(hunt.rules)
        search = Search(self._store, [tuned.laid_over(one, tunings) for one in requests.compiled(found.rules)], threads=threads)
        hashes = [one.hash for one in found.correlations]
        correlating = Correlating(self._store, self._engine, found.members, hashes, threads=threads) if hashes else None
        return _Prepared(hunt.id, search, tunings, tuple(one.id for one in found.correlations), correlating)

    async def _planned(self, hunt: Hunt, prepared: _Prepared) -> list[Slice]:
        """The slices of the rules, and behind them those of the correlations."""
        reach = reach_of(hunt)
        made = await plan(self._store, prepared.search, reach) if prepared.search.compiled else []
        return made if prepared.correlating is None else [*made, *await prepared.correlating.plan(reach)]

    async def _correlations(self, hunt: Hunt, prepared: _Prepared) -> None:
        async def alive(rows: int) -> bool:
            return await asyncio.to_thread(self._queue.hold, hunt.id, rows)

        outcome = Outcome(problems=_problems(hunt, prepared))
        if (correlating := prepared.correlating) is not None:
            piece = slice_of(hunt)
            reach = reach_of(hunt).within(from_millis(piece.start), from_millis(piece.end))
            if not await alive(0):
                return  # cancelled
            if hunt.kind == Kind.BACKFILL:
                await self._refill(hunt, correlating, reach)
            elif (fired := await correlating.fired(reach, alive)) is not None:
                outcome.tallies = correlations.tallies(fired, prepared.correlations)
                if hunt.kind == Kind.HUNT:
                    await self._tell_fired(hunt, prepared.correlations, fired, outcome)
            else:
                return  # cancelled
            outcome.problems |= correlating.problems
        await asyncio.to_thread(self._queue.advance, hunt.id, hunt.slices_done, outcome)

    async def _tell_fired(self, hunt: Hunt, ids: Sequence[str], fired: pa.Table, outcome: Outcome) -> None:
        """Make detections of the earliest firings; durable on return."""
        room = {one: max(MOST_KEPT - hunt.kept.get(one, 0), 0) for one in ids}
        kept = pa.concat_tables([fired.filter(pc.equal(fired["rule_id"], one)).slice(0, room[one]) for one in ids])
        for message, portion in enumerate(findings.portions(kept)):
            offset = findings.offset(hunt.slices_done, message)
            made = await correlations.detections(self._store, portion, maker_of(hunt), offset, self._clock.now())
            await self._tell(hunt, made, outcome)

    async def _refill(self, hunt: Hunt, correlating: Correlating, reach: Reach) -> None:
        """Hand what the stream missed to the correlate stage; durable on return."""
        shards = len(await self._bus.end_offsets(topics.MATCHES))
        async with aclosing(correlating.missed(reach)) as rows:
            async for sent in refill.messages(self._store, rows, correlating.by_hash, maker_of(hunt), hunt.slices_done, shards):
                await self._bus.produce(topics.MATCHES, sent)

    async def _slice(self, hunt: Hunt, prepared: _Prepared) -> None:
        search = prepared.search
        piece = slice_of(hunt)
        reach = reach_of(hunt).within(from_millis(piece.start), from_millis(piece.end))
        ids = [one.rule.id for one in search.compiled]
        room = {place: MOST_KEPT - hunt.kept.get(rule, 0) for place, rule in enumerate(ids)}
        if hunt.kind == Kind.HUNT:
            found = await search.first(reach, room)
        else:
            found = Found(await search.tallies(reach, _AT_ONCE if hunt.kind == Kind.BACKFILL else 1), {})
        known = {place: hunt.found.get(rule, {}) for place, rule in enumerate(ids)}
        tallies = await search.named(reach, found.tallies, known)
        if not await asyncio.to_thread(self._queue.hold, hunt.id):
            return  # cancelled: what this slice found is not told
        outcome = Outcome([(ids[tally.rule], tally) for tally in tallies], problems=_problems(hunt, prepared))
        if hunt.kind == Kind.HUNT:
            await self._produce(hunt, prepared, search.lines(reach, found.tallies, room, found.events), outcome)
        elif hunt.kind == Kind.BACKFILL:
            await self._produce(hunt, prepared, search.every_line(reach, found.tallies, _AT_ONCE), outcome)
        await asyncio.to_thread(self._queue.advance, hunt.id, hunt.slices_done, outcome)
        metrics.HUNTED_ROWS.labels(hunt.kind).inc(piece.rows)

    async def _produce(self, hunt: Hunt, prepared: _Prepared, found: AsyncIterator[Lines], outcome: Outcome) -> None:
        """Make detections of what was found; durable on return."""
        maker = maker_of(hunt)
        message = 0
        async for lines in found:
            compiled = prepared.search.compiled[lines.rule]
            rule = compiled.rule
            for events in findings.portions(lines.events):
                offset = findings.offset(hunt.slices_done, message)
                message += 1
                if hunt.kind == Kind.BACKFILL:
                    events = await self._unknown(findings.detection_ids(rule, events), events)  # noqa: PLW2901 - the rest of it
                if events.num_rows:
                    levels = tuned.levels(compiled, events["agency"], prepared.tunings)
                    made = findings.detections(rule, events, levels, maker, offset, self._clock.now())
                    await self._tell(hunt, made, outcome)

    async def _tell(self, hunt: Hunt, made: pa.Table, outcome: Outcome) -> None:
        await self._bus.produce(topics.DETECTIONS, [Message(arrow.encode(made), key=hunt.id)])
        for rule_id in made["rule_id"].to_pylist():
            outcome.kept[rule_id] = outcome.kept.get(rule_id, 0) + 1

    async def _unknown(self, ids: pa.Array, events: pa.Table) -> pa.Table:
        """The events of which there is no detection under these ids but those of hunts."""
        low, high = pc.min_max(events["event_time"]).as_py().values()
        found = await self._store.query(
            "SELECT detection_id FROM detections WHERE agency IN {agencies:Array(String)} AND origin != 'hunt' "
            "AND event_time >= {low:DateTime64(3, 'UTC')} AND event_time <= {high:DateTime64(3, 'UTC')} "
            "AND detection_id IN {ids:Array(String)}",
            {"agencies": pc.unique(events["agency"]).to_pylist(), "low": low, "high": high, "ids": ids.to_pylist()},
            _KNOWN_LIMITS,
        )
        return events.filter(pc.invert(pc.is_in(ids, found["detection_id"].combine_chunks().cast(pa.string()))))


def _problems(hunt: Hunt, prepared: _Prepared) -> dict[str, str]:
    ids = [one.rule.id for one in prepared.search.compiled]
    there = {*ids, *prepared.correlations}
    lost = {about["id"]: "changed or removed meanwhile" for about in hunt.rules if about["id"] not in there}
    return lost | {ids[place]: why for place, why in prepared.search.problems.items()}


def reach_of(hunt: Hunt) -> Reach:
    """The rows a search looks at."""
    ranges = tuple((str(epoch), int(partition), int(first), int(last)) for epoch, partition, first, last in hunt.ranges or ())
    settled = hunt.asked_at - SETTLED if hunt.kind == Kind.BACKFILL and not ranges else None
    agencies: Sequence[str] | None = hunt.agencies
    return Reach(hunt.since, hunt.until, None if agencies is None else frozenset(agencies), ranges, settled)


def maker_of(hunt: Hunt) -> Maker:
    """How the detections of a search are marked."""
    if hunt.kind == Kind.BACKFILL:
        return Maker(f"fill{hunt.id}", "backfill", hunt.id)
    return Maker(f"hunt{hunt.id}", "hunt", hunt.id)
