"""The store stage: each row once, whatever is delivered again, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from core import arrow, topics
from core.bus.contract import Message, Record
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.errors import ConfigError, StoreUnavailable
from core.events import DETECTIONS, EVENTS, QUARANTINE
from core.stage import Stage
from core.storage import writer as writer_module
from core.storage.contract import Store
from core.storage.writer import TableWriter, check_positions, highest_offsets
from tests.rows import NOON, rows

LATE = datetime(2026, 3, 2, 23, 59, 59, 900_000, UTC)


def record(place: int, value: bytes | pa.Table, topic: str = topics.EVENTS) -> Record:
    return Record(topic, 0, place, value if isinstance(value, bytes) else arrow.encode(value), {}, NOON)


def message(offsets: Sequence[int], lines: int = 2, **columns: Any) -> pa.Table:
    """The rows of one message: `lines` lines of each raw offset."""
    return pa.concat_tables([rows(lines, raw_offset=offset, **columns) for offset in offsets])


async def positions(store: Store, table: str = "events") -> list[tuple[int, int, int]]:
    """Partition, offset and line of every stored row, in order, repeated ones repeated."""
    found = await store.query(f"SELECT raw_partition, raw_offset, raw_line FROM {table} ORDER BY ALL")
    return [tuple(row.values()) for row in found.to_pylist()]


def expected(partition: int, offsets: Sequence[int], lines: int = 2) -> list[tuple[int, int, int]]:
    return [(partition, offset, line) for offset in offsets for line in range(lines)]


async def inserts(store: Store) -> int:
    found = await store.query("SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND level = 0")
    return int(found[0][0].as_py())


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_delivery_is_one_insert(any_store: Store) -> None:
    await TableWriter(any_store, EVENTS).handle([record(i, message([2 * i, 2 * i + 1])) for i in range(5)], 1)
    assert await positions(any_store) == expected(0, range(10))
    assert await inserts(any_store) == 1


async def test_repeated_deliveries_are_dropped(any_store: Store) -> None:
    before = counted("bongsu_repeated_rows_total", table="events")
    writer = TableWriter(any_store, EVENTS)
    await writer.handle([record(0, message([1, 2])), record(1, message([3]))], 1)
    await writer.handle([record(1, message([3])), record(2, message([3, 4])), record(3, message([2, 3, 4, 5]))], 1)
    assert await positions(any_store) == expected(0, range(1, 6))
    assert counted("bongsu_repeated_rows_total", table="events") - before == 2 * 5


async def test_a_new_writer_resumes_where_the_table_ends(any_store: Store) -> None:
    await TableWriter(any_store, EVENTS).handle([record(0, message([1, 2, 3]))], 1)
    await TableWriter(any_store, EVENTS).handle([record(0, message([1, 2, 3])), record(1, message([3, 4]))], 1)
    assert await positions(any_store) == expected(0, range(1, 5))


async def test_a_new_generation_reads_what_another_member_wrote(any_store: Store) -> None:
    ours, theirs = TableWriter(any_store, EVENTS), TableWriter(any_store, EVENTS)
    await ours.handle([record(0, message([1]))], 1)
    await theirs.handle([record(1, message([2, 3]))], 1)
    await ours.handle([record(1, message([2, 3])), record(2, message([4]))], 2)
    assert await positions(any_store) == expected(0, range(1, 5))


async def test_partitions_and_epochs_have_their_own_offsets(any_store: Store) -> None:
    writer = TableWriter(any_store, EVENTS)
    await writer.handle([record(0, message([7], raw_partition=1)), record(1, message([3], raw_partition=2))], 1)
    mixed = pa.concat_tables([message([7, 8], raw_partition=1), message([3, 4], raw_partition=2)])
    await writer.handle([record(2, mixed), record(3, message([1], raw_epoch="k2"))], 1)
    assert await positions(any_store) == expected(0, [1]) + expected(1, [7, 8]) + expected(2, [3, 4])
    assert await highest_offsets(any_store, EVENTS) == {("k1", 1): 8, ("k1", 2): 4, ("k2", 0): 1}


async def test_each_insert_is_of_one_day_and_days_stay_in_order(any_store: Store) -> None:
    next_day = LATE + timedelta(seconds=1)
    delivery = [
        record(0, message([1], received_at=LATE)),
        record(1, message([2], received_at=next_day)),
        record(2, message([3], received_at=LATE)),
        record(3, message([9], received_at=next_day, raw_partition=1)),
    ]
    await TableWriter(any_store, EVENTS).handle(delivery, 1)
    assert await positions(any_store) == expected(0, [1, 2, 3]) + expected(1, [9])
    assert await inserts(any_store) == 3  # both partitions' rows of the new day go together


class Failing:
    """A store that fails as it is told, before or after the rows are durable; else the real one."""

    def __init__(self, store: Store, outcomes: Sequence[str]) -> None:
        self._store = store
        self._outcomes = list(outcomes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def insert(self, table: str, given_rows: pa.Table, token: str) -> None:
        outcome = self._outcomes.pop(0) if self._outcomes else "works"
        if outcome == "fails":
            raise StoreUnavailable("no answer")
        await self._store.insert(table, given_rows, token)
        if outcome == "works but nobody hears it":
            raise StoreUnavailable("no answer")


@pytest.mark.parametrize("outcomes", [["fails"], ["works but nobody hears it"], ["works", "fails"], ["works", "works but nobody hears it"]])
async def test_a_failed_insert_is_given_again_without_loss_or_repetition(any_store: Store, outcomes: list[str]) -> None:
    days = [LATE, LATE + timedelta(days=1), LATE + timedelta(days=2)]
    delivery = [record(i, message([i], received_at=day)) for i, day in enumerate(days)]
    writer = TableWriter(Failing(any_store, outcomes), EVENTS)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await writer.handle(delivery, 1)
    await writer.handle(delivery, 1)
    assert await positions(any_store) == expected(0, range(3))


async def test_what_is_not_ours_is_passed_over(any_store: Store) -> None:
    before = counted("bongsu_store_unreadable_messages_total", topic="events")
    other = pa.table({"x": [1]})
    delivery = [
        record(0, b"no Arrow"),
        record(1, message([1])),
        record(2, other),
        record(3, arrow.encode(message([2]))[:-40]),
        record(4, message([3])),
    ]
    await TableWriter(any_store, EVENTS).handle(delivery, 1)
    assert await positions(any_store) == expected(0, [1, 3])
    assert counted("bongsu_store_unreadable_messages_total", topic="events") - before == 3


@pytest.mark.parametrize("table", [QUARANTINE, DETECTIONS], ids=lambda table: table.name)
async def test_the_other_tables_follow_the_same_rule(any_store: Store, table: Any) -> None:
    first, again = (pa.concat_tables([rows(2, table, raw_offset=offset) for offset in offsets]) for offsets in ([1, 2], [2, 3]))
    await TableWriter(any_store, table).handle([record(0, first)], 1)
    await TableWriter(any_store, table).handle([record(0, first), record(1, again)], 1)
    assert await positions(any_store, table.name) == expected(0, [1, 2, 3])


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=12),
    most=st.integers(1, 12),
)
def test_a_plan_holds_every_row_once_in_order_and_within_a_day(sizes: list[tuple[int, int, int]], most: int) -> None:
    """Of any delivery: (partition, lines, day) per message."""
    offsets = dict.fromkeys(range(3), 0)
    delivery: list[Record] = []
    for i, (partition, lines, day) in enumerate(sizes):
        delivery.append(
            record(i, rows(lines, raw_partition=partition, raw_offset=offsets[partition], received_at=NOON + timedelta(days=day)))
        )
        offsets[partition] += 1
    writer = TableWriter(None, EVENTS)  # type: ignore[arg-type]
    kept, writer_module.MOST_ROWS = writer_module.MOST_ROWS, most  # type: ignore[misc]
    try:
        plan = writer._plan([arrow.decode(one.value) for one in delivery])
    finally:
        writer_module.MOST_ROWS = kept  # type: ignore[misc]
    seen: dict[int, list[tuple[int, int]]] = {}
    for insert in plan:
        assert len({at.date() for at in insert.rows["received_at"].to_pylist()}) == 1
        for row in insert.rows.select(["raw_partition", "raw_offset", "raw_line"]).to_pylist():
            seen.setdefault(row["raw_partition"], []).append((row["raw_offset"], row["raw_line"]))
        tops = {p: max(rows_of)[0] for p, rows_of in seen.items()}
        assert all(tops[partition] == offset for (_, partition), offset in insert.reaches.items())
    wanted: dict[int, list[tuple[int, int]]] = {}
    for partition, lines, _ in sizes:
        offset = max((o for o, _ in wanted.get(partition, [(-1, 0)])), default=-1) + 1
        wanted.setdefault(partition, []).extend((offset, line) for line in range(lines))
    assert seen == wanted
    assert len({insert.token for insert in plan}) == len(plan)


@pytest.fixture
async def bus(tmp_path: Path) -> Any:
    bus = EmbeddedBus(tmp_path / "bus.sqlite", partitions=2, max_backlog_bytes=64 << 20, min_free_disk_bytes=0, clock=SystemClock())
    await bus.start()
    yield bus
    await bus.close()


async def test_a_stage_stores_what_is_on_the_bus(any_store: Store, bus: EmbeddedBus) -> None:
    await bus.produce(topics.EVENTS, [Message(arrow.encode(message([i], raw_partition=i % 2)), partition=i % 2) for i in range(20)])
    stage = Stage("store-events", bus, [topics.EVENTS], TableWriter(any_store, EVENTS).handle)
    running = asyncio.create_task(stage.run())
    async with asyncio.timeout(20):
        while sum(lag.messages for lag in await bus.lag("store-events", topics.EVENTS)):  # noqa: ASYNC110 - the bus has no event for it
            await asyncio.sleep(0.02)
    stage.stop()
    await running
    assert await positions(any_store) == expected(0, range(0, 20, 2)) + expected(1, range(1, 20, 2))


async def test_a_topic_made_anew_under_its_old_epoch_is_refused(any_store: Store, bus: EmbeddedBus) -> None:
    await check_positions(any_store, bus)
    await bus.produce(topics.LOGS_RAW, [Message(b"x", partition=1)] * 3)
    epoch = await bus.epoch(topics.LOGS_RAW)
    writer = TableWriter(any_store, EVENTS)
    await writer.handle([record(0, message([2], raw_epoch=epoch, raw_partition=1)), record(1, message([900], raw_epoch="former"))], 1)
    await check_positions(any_store, bus)
    await writer.handle([record(2, message([3], raw_epoch=epoch, raw_partition=1))], 1)
    with pytest.raises(ConfigError, match=r"offset 3 of logs\.raw/1.*made anew") as caught:
        await check_positions(any_store, bus)
    assert caught.value.key == "bus.epoch"
