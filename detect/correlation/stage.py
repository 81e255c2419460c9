"""The correlate stage: from the topic `matches` to firings, each told once, whatever is killed when.

How it goes for the messages of a shard, and why a firing is neither lost nor doubled:
1. Their rows are written to the table `matches`, each once (`core.storage.writer`).
2. What fires through them is judged over the table, of which only what came up to the last of these messages is looked at.
3. The firings are written to the table `firings` in one insert, at the offset of that message. Nothing was told before, so it does not
   matter that messages which come again may be cut into other batches.
4. They are told: detections, and matches of the correlations made of them. Messages that come again up to the highest offset in `firings`
   are not judged anew; their firings are read from the table and told again, at the same positions, which readers drop.
5. The offsets are committed.

A detection's position: epoch `corr` and that of the topic `matches`, the shard, the offset of the last message, and a running number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core import arrow, metrics, topics
from core.bus.contract import Bus, Record
from core.clock import Clock
from core.errors import BadMessage, StoreError
from core.events import FIRINGS, MATCHES
from core.storage import correlation_queries as queries
from core.storage.contract import Store
from core.storage.correlation_queries import Pair, Seen
from core.storage.tables import in_shape
from core.storage.writer import TableWriter, highest_offsets
from detect.correlation import telling
from detect.correlation.firing import Nested
from detect.correlation.judge import Judge
from detect.correlation.members import ROWS
from detect.correlation.prospects import Flags, Prospects
from detect.correlation.resolve import resolve
from detect.rules import RuleBook
from detect.tuning import Tunings

_MOST_ROWS: Final = 200_000  # judged together, about: messages are never split
_EPOCH: Final = "corr"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Matches:
    """A message: the rows (of MATCHES) that it brought to its shard."""

    shard: int
    offset: int
    rows: pa.Table


class CorrelateStage:
    """`handle` is the handler (`core.stage.Stage` on the topic `matches`). `lateness`: how late an event may come and still be joined.

    `tunings` may be set by any thread.
    """

    def __init__(self, bus: Bus, store: Store, book: RuleBook, clock: Clock, lateness: timedelta) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._lateness_ms = lateness // timedelta(milliseconds=1)
        self._next: RuleBook | None = None
        self.tunings = Tunings()
        self._use(book)
        self._writer = TableWriter(store, MATCHES)
        self._generation: int | None = None
        self._judged: dict[int, int] = {}

    def replace(self, book: RuleBook) -> None:
        """Judge by `book` from the next batch on. For any thread. A correlation that was changed begins anew: its matches have its hash."""
        self._next = book

    def _use(self, book: RuleBook) -> None:
        resolved = resolve(book)
        self._longest_ms = max((one.span_ms for one in resolved.correlations), default=0)
        self._silent = pa.array(sorted(resolved.silent), pa.string())
        self._nested = Nested(resolved)
        correlations = {correlation.hash: correlation for correlation in resolved.correlations}
        self._judge = Judge(self._store, correlations)
        self._prospects = Prospects(self._store, correlations)

    async def handle(self, records: Sequence[Record], generation: int) -> None:
        """Judge `records` and tell what fires; durable on return. BusError and StoreError: give them again."""
        if (book := self._next) is not None:
            self._next = None
            self._use(book)
        epoch = await self._bus.epoch(topics.MATCHES)
        shards = len(await self._bus.end_offsets(topics.MATCHES))
        if generation != self._generation:
            self._judged = await self._highest_judged(f"{_EPOCH}{epoch}")
            self._prospects.forget()
        self._generation = None  # what is known of the table is known again when all of this has worked
        for part in _parts(await asyncio.to_thread(_read, records, epoch)):
            new = [one for one in part if one.offset > self._judged.get(one.shard, -1)]
            rows = pa.concat_tables([MATCHES.schema.empty_table(), *(one.rows for one in new)])
            near = await asyncio.to_thread(self._prospects.near, rows, self.tunings)
            await self._prospects.read(near)
            await self._writer.write([one.rows for one in part], generation)
            again = await self._fired_before(part, f"{_EPOCH}{epoch}")
            likely = await asyncio.to_thread(self._prospects.likely, near)
            fired = await self._fire(rows, likely, {one.shard: one.offset for one in new}, epoch)
            await self._tell(pa.concat_tables([again, fired]), shards)
        self._generation = generation

    async def _highest_judged(self, epoch: str) -> dict[int, int]:
        highest = await highest_offsets(self._store, FIRINGS)
        return {int(shard): offset for (of, shard), offset in highest.items() if of == epoch}

    async def _fired_before(self, part: Sequence[_Matches], epoch: str) -> pa.Table:
        """The firings of messages that were judged before."""
        found = [FIRINGS.schema.empty_table()]
        for shard in sorted({one.shard for one in part}):
            offsets = [one.offset for one in part if one.shard == shard and one.offset <= self._judged.get(shard, -1)]
            if offsets:
                rows = await queries.firings_at(self._store, epoch, shard, min(offsets), max(offsets))
                found.append(rows.cast(FIRINGS.schema))
        return pa.concat_tables(found)

    async def _fire(self, rows: pa.Table, likely: Flags, reach: Mapping[int, int], epoch: str) -> pa.Table:
        """Judge those of `rows` that are `likely` to fire, and write down what fires. `reach`: the last message of each shard."""
        if not likely.any():
            return FIRINGS.schema.empty_table()
        oldest = pc.min(rows["received_at"].cast(pa.int64())).as_py()
        seen = Seen(oldest - self._longest_ms - self._lateness_ms, epoch, reach)
        fired = await self._judge.fired(rows.select(ROWS.names).filter(pa.array(likely)), seen, self.tunings)
        if not fired.num_rows:
            return FIRINGS.schema.empty_table()
        firings = await asyncio.to_thread(self._placed, fired, rows, f"{_EPOCH}{epoch}", reach)
        if firings.num_rows:
            token = "/".join([FIRINGS.name, epoch, *(f"{shard}-{offset}" for shard, offset in sorted(reach.items()))])
            await self._store.insert(FIRINGS.name, firings, token)
            for shard in pc.unique(firings["raw_partition"]).to_pylist():
                self._judged[shard] = reach[shard]
            for rule in pc.value_counts(self._loud(firings)["rule_id"]).to_pylist():
                metrics.DETECTIONS.labels(rule["values"]).inc(rule["counts"])
        return firings

    def _placed(self, fired: pa.Table, rows: pa.Table, epoch: str, reach: Mapping[int, int]) -> pa.Table:
        """Firings with their positions, in order of these: on the shard that `rows` of their key came on."""
        known = rows.group_by(["correlation", "group_key"]).aggregate([("shard", "max")])
        shards = dict(zip(_pairs(known, "correlation"), known["shard_max"].to_pylist(), strict=True))
        fired = fired.append_column("raw_partition", pa.array([shards[pair] for pair in _pairs(fired, "rule_hash")], pa.uint16()))
        parts = [FIRINGS.schema.empty_table()]
        now = self._clock.now()  # of all, and as their time of receipt: what goes into one insert is of one day
        for shard, offset in sorted(reach.items()):
            mine = fired.filter(pc.equal(fired["raw_partition"], shard))
            same = {"raw_epoch": epoch, "raw_offset": offset, "fired_at": now, "received_at": now}
            given = {name: pa.repeat(pa.scalar(value, FIRINGS.schema.field(name).type), mine.num_rows) for name, value in same.items()}
            given["raw_line"] = pa.array(range(mine.num_rows), pa.uint32())
            columns = [given[name] if name in given else mine[name] for name in FIRINGS.names]
            parts.append(pa.table(columns, schema=FIRINGS.schema))
        return pa.concat_tables(parts)

    def _loud(self, firings: pa.Table) -> pa.Table:
        """Those that are told of by themselves."""
        return firings.filter(pc.invert(pc.is_in(firings["rule_hash"], self._silent)))

    async def _tell(self, firings: pa.Table, shards: int) -> None:
        """Produce the detections of `firings`, and the matches they are to other correlations."""
        if not firings.num_rows:
            return
        loud = self._loud(firings)
        events = await telling.completing_events(self._store, loud)
        messages = await asyncio.to_thread(lambda: telling.by_partition(telling.detections(loud, events)))
        if messages:
            await self._bus.produce(topics.DETECTIONS, messages)
        matches = await asyncio.to_thread(lambda: telling.to_shards(self._nested.rows(firings), shards))
        if matches:
            await self._bus.produce(topics.MATCHES, matches)


def _pairs(rows: pa.Table, correlation: str) -> Iterator[Pair]:
    return zip(rows[correlation].to_pylist(), rows["group_key"].to_pylist(), strict=True)


def _read(records: Sequence[Record], epoch: str) -> list[_Matches]:
    """The messages that can be read; one that cannot is logged with its position and passed over, or it would hold up all behind it."""
    found = []
    for record in records:
        try:
            rows = arrow.decode(record.value)
            at = {"shard_epoch": epoch, "shard": record.partition, "shard_offset": record.offset}
            for name, value in at.items():
                rows = rows.append_column(name, pa.repeat(pa.scalar(value, MATCHES.schema.field(name).type), rows.num_rows))
            found.append(_Matches(record.partition, record.offset, in_shape(MATCHES, rows)))
        except (BadMessage, StoreError) as error:
            metrics.MESSAGES_SKIPPED.labels("correlate").inc()
            _log.error("correlate.bad_message", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
    return found


def _parts(messages: Sequence[_Matches]) -> Iterator[list[_Matches]]:
    """Whole messages, in order, up to _MOST_ROWS where a message has no more."""
    part: list[_Matches] = []
    for message in messages:
        if part and sum(one.rows.num_rows for one in part) + message.rows.num_rows > _MOST_ROWS:
            yield part
            part = []
        part.append(message)
    if part:
        yield part
