"""What `core.bus.contract` promises, asked of every implementation: the embedded journal and a real Kafka broker."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from core.bus.contract import Bus, Consumer, Message, Position, Record
from core.bus.embedded import EmbeddedBus
from core.bus.kafka import KafkaBus
from core.clock import SystemClock
from core.config import KafkaSettings
from core.errors import BusError

TOPICS = ("logs.raw", "events")
RAW = "logs.raw"
PARTITIONS = 4
PATIENCE = 30.0  # seconds until a test gives up waiting for what must come

Open = Callable[[], Awaitable[Bus]]


@pytest.fixture(params=["embedded", "kafka"])
async def open_bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a started bus; every call of one test opens it on the same data. Close one before you open the next."""
    opened: list[Bus] = []
    if request.param == "kafka":
        broker = request.getfixturevalue("kafka_broker")
    prefix = f"t{uuid4().hex[:12]}."

    async def open_one() -> Bus:
        bus: Bus
        if request.param == "embedded":
            bus = EmbeddedBus(
                tmp_path / "bus.sqlite",
                partitions=PARTITIONS,
                max_backlog_bytes=256 << 20,
                min_free_disk_bytes=0,
                clock=SystemClock(),
                topics=TOPICS,
            )
        else:
            settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, replication_factor=1, min_insync_replicas=1)
            bus = KafkaBus(settings, partitions=PARTITIONS, prefix=prefix, epoch="", clock=SystemClock(), topics=TOPICS)
        await bus.start()
        opened.append(bus)
        return bus

    yield open_one
    for bus in opened:
        await bus.close()


@pytest.fixture
async def bus(open_bus: Open) -> Bus:
    return await open_bus()


def numbered(count: int, partition: int | None = None, first: int = 0) -> list[Message]:
    return [Message(b"%d" % number, partition=partition) for number in range(first, first + count)]


async def read(consumer: Consumer, count: int, *, max_messages: int = 100, max_bytes: int = 64 << 20) -> list[Record]:
    """The next `count` records; fails when they do not come."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while len(records) < count:
            records += await consumer.poll(max_messages=max_messages, max_bytes=max_bytes, timeout=5.0)
    assert len(records) == count
    return records


async def nothing_more(consumer: Consumer) -> bool:
    return not await consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=0.3)


def values(records: Sequence[Record]) -> list[bytes]:
    return [record.value for record in records]


def done(records: Sequence[Record]) -> dict[tuple[str, int], int]:
    return {(record.topic, record.partition): record.offset + 1 for record in records}


async def test_offsets_grow_by_one_and_records_come_in_their_order(bus: Bus) -> None:
    given = [*await bus.produce(RAW, numbered(7, partition=2)), *await bus.produce(RAW, numbered(5, partition=2, first=7))]
    assert given == [Position(RAW, 2, offset) for offset in range(12)]

    records = await read(await bus.consumer("g", [RAW]), 12)

    assert values(records) == [b"%d" % number for number in range(12)]
    assert [(record.topic, record.partition, record.offset) for record in records] == [(RAW, 2, offset) for offset in range(12)]


async def test_positions_come_in_the_order_given_over_several_partitions(bus: Bus) -> None:
    wanted = [3, 0, 3, 1, 0, 3]

    positions = await bus.produce(RAW, [Message(b"%d" % at, partition=partition) for at, partition in enumerate(wanted)])

    assert [(p.partition, p.offset) for p in positions] == [(3, 0), (0, 0), (3, 1), (1, 0), (0, 1), (3, 2)]
    by_place = {(r.partition, r.offset): r.value for r in await read(await bus.consumer("g", [RAW]), 6)}
    assert [by_place[p.partition, p.offset] for p in positions] == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_producing_nothing_gives_no_position(bus: Bus) -> None:
    assert list(await bus.produce(RAW, [])) == []
    assert await bus.end_offsets(RAW) == dict.fromkeys(range(PARTITIONS), 0)


@pytest.mark.parametrize(
    "value", [b"", b"\0", b"a\0b\r\n\xff\xfe", bytes(range(256)) * 64, b"\0\x01" * (5 << 19)], ids=["empty", "nul", "mixed", "all", "5 MB"]
)
async def test_any_bytes_come_back_as_they_were(bus: Bus, value: bytes) -> None:
    await bus.produce(RAW, [Message(value)])

    (record,) = await read(await bus.consumer("g", [RAW]), 1)

    assert record.value == value


async def test_headers_come_back_as_they_were(bus: Bus) -> None:
    headers = {"agency": "종로구청", "empty": "", "quotes": "\"'\\\n\t\0", "sign": "\N{FIRE}", "received_at": "1700000000000"}
    await bus.produce(RAW, [Message(b"with", headers, partition=0), Message(b"without", partition=0)])

    with_headers, without = await read(await bus.consumer("g", [RAW]), 2)

    assert dict(with_headers.headers) == headers
    assert dict(without.headers) == {}


async def test_a_record_says_when_the_bus_took_it_in_utc(bus: Bus) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    await bus.produce(RAW, [Message(b"x")])
    after = datetime.now(UTC)

    (record,) = await read(await bus.consumer("g", [RAW]), 1)

    assert record.timestamp.utcoffset() == timedelta(0)
    assert before <= record.timestamp <= after


async def test_a_key_stays_in_its_partition_over_a_restart(open_bus: Open) -> None:
    keys = [f"agency/{number}" for number in range(60)]
    bus = await open_bus()
    first = [p.partition for p in await bus.produce(RAW, [Message(b"1", key=key) for key in keys])]
    again = [p.partition for p in await bus.produce(RAW, [Message(b"2", key=key) for key in reversed(keys)])][::-1]
    await bus.close()
    later = [p.partition for p in await (await open_bus()).produce(RAW, [Message(b"3", key=key) for key in keys])]

    assert first == again == later
    assert set(first) == set(range(PARTITIONS))


async def test_messages_without_key_are_spread(bus: Bus) -> None:
    positions = await bus.produce(RAW, numbered(200))

    assert {position.partition for position in positions} == set(range(PARTITIONS))


async def test_what_cannot_be_placed_is_refused(bus: Bus) -> None:
    with pytest.raises(BusError, match="no partition 4"):
        await bus.produce(RAW, [Message(b"x", partition=0), Message(b"x", partition=PARTITIONS)])
    with pytest.raises(BusError, match="no partition -1"):
        await bus.produce(RAW, [Message(b"x", partition=-1)])
    with pytest.raises(BusError, match="no topic 'nowhere'"):
        await bus.produce("nowhere", [Message(b"x")])
    with pytest.raises(BusError, match="no topic 'nowhere'"):
        await bus.consumer("g", ["nowhere"])
    with pytest.raises(BusError, match="larger than"):
        await bus.produce(RAW, [Message(b"x"), Message(bytes((64 << 20) + 1))])
    assert await bus.end_offsets(RAW) == dict.fromkeys(range(PARTITIONS), 0)


async def test_topics_do_not_mix(bus: Bus) -> None:
    await bus.produce(RAW, [Message(b"raw", partition=1)])
    await bus.produce("events", [Message(b"event", partition=1)])

    (event,) = await read(await bus.consumer("events only", ["events"]), 1)
    both = await read(await bus.consumer("both", TOPICS), 2)

    assert (event.topic, event.value, event.offset) == ("events", b"event", 0)
    assert {(record.topic, record.value) for record in both} == {("events", b"event"), (RAW, b"raw")}


async def test_groups_do_not_disturb_each_other(bus: Bus) -> None:
    await bus.produce(RAW, numbered(10, partition=0))
    store, detect = await bus.consumer("store", [RAW]), await bus.consumer("detect", [RAW])

    stored = await read(store, 10)
    await store.commit(done(stored))
    detected = await read(detect, 10)

    assert values(stored) == values(detected) == [b"%d" % number for number in range(10)]
    assert await nothing_more(store)
    assert [lag.messages for lag in await bus.lag("store", RAW)] == [0, 0, 0, 0]
    assert [lag.messages for lag in await bus.lag("detect", RAW)] == [10, 0, 0, 0]


async def test_a_new_member_resumes_at_the_commit(bus: Bus) -> None:
    await bus.produce(RAW, numbered(10, partition=0))
    first = await bus.consumer("g", [RAW])
    await read(first, 10)
    await first.commit({(RAW, 0): 6})
    await first.close()

    again = await read(await bus.consumer("g", [RAW]), 4)

    assert values(again) == [b"6", b"7", b"8", b"9"]


async def test_after_a_restart_what_was_not_committed_comes_again(open_bus: Open) -> None:
    bus = await open_bus()
    await bus.produce(RAW, numbered(10, partition=0))
    await bus.produce("events", numbered(3, partition=3))
    consumer = await bus.consumer("g", TOPICS)
    await read(consumer, 13)
    await consumer.commit({(RAW, 0): 4})
    await bus.close()

    bus = await open_bus()
    again = await read(await bus.consumer("g", TOPICS), 9)

    assert [record.value for record in again if record.topic == RAW] == [b"4", b"5", b"6", b"7", b"8", b"9"]
    assert [record.value for record in again if record.topic == "events"] == [b"0", b"1", b"2"]
    assert (await bus.produce(RAW, [Message(b"next", partition=0)]))[0].offset == 10


async def test_a_commit_is_kept_over_a_restart(open_bus: Open) -> None:
    bus = await open_bus()
    await bus.produce(RAW, numbered(3, partition=1))
    consumer = await bus.consumer("g", [RAW])
    await consumer.commit(done(await read(consumer, 3)))
    await bus.close()

    bus = await open_bus()
    await bus.produce(RAW, [Message(b"later", partition=1)])
    (record,) = await read(await bus.consumer("g", [RAW]), 1)

    assert (record.value, record.offset) == (b"later", 3)


async def test_lag_and_ends_count_from_what_is_committed(bus: Bus) -> None:
    await bus.produce(RAW, [*numbered(5, partition=0), *numbered(2, partition=3)])
    assert await bus.end_offsets(RAW) == {0: 5, 1: 0, 2: 0, 3: 2}
    assert [(lag.topic, lag.partition, lag.messages) for lag in await bus.lag("new", RAW)] == [
        (RAW, 0, 5),
        (RAW, 1, 0),
        (RAW, 2, 0),
        (RAW, 3, 2),
    ]

    consumer = await bus.consumer("g", [RAW])
    await read(consumer, 7)
    assert [lag.messages for lag in await bus.lag("g", RAW)] == [5, 0, 0, 2]  # reading is not committing
    await consumer.commit({(RAW, 0): 4, (RAW, 3): 2})

    assert [(lag.committed, lag.end, lag.messages) for lag in await bus.lag("g", RAW)] == [(4, 5, 1), (0, 0, 0), (0, 0, 0), (2, 2, 0)]


async def test_a_poll_stops_at_the_number_of_messages(bus: Bus) -> None:
    await bus.produce(RAW, numbered(10, partition=0))
    consumer = await bus.consumer("g", [RAW])

    polls = [await consumer.poll(max_messages=4, max_bytes=1 << 20, timeout=PATIENCE) for _ in range(3)]

    assert [len(records) for records in polls] == [4, 4, 2]
    assert [value for records in polls for value in values(records)] == [b"%d" % number for number in range(10)]


async def test_a_poll_stops_at_the_number_of_bytes(bus: Bus) -> None:
    sizes = [100, 100, 100, 5000, 10, 10]
    await bus.produce(RAW, [Message(bytes(size), partition=0) for size in sizes])
    consumer = await bus.consumer("g", [RAW])

    polls = [await consumer.poll(max_messages=100, max_bytes=250, timeout=PATIENCE) for _ in range(4)]

    assert [[len(value) for value in values(records)] for records in polls] == [[100, 100], [100], [5000], [10, 10]]


async def test_limits_hold_over_all_partitions(bus: Bus) -> None:
    await bus.produce(RAW, [Message(bytes(100), partition=partition) for partition in range(PARTITIONS) for _ in range(5)])
    consumer = await bus.consumer("g", [RAW])

    total = 0
    async with asyncio.timeout(PATIENCE):
        while total < 5 * PARTITIONS:
            records = await consumer.poll(max_messages=3, max_bytes=1 << 20, timeout=5.0)
            assert len(records) <= 3
            more = await consumer.poll(max_messages=100, max_bytes=450, timeout=5.0)
            assert sum(len(value) for value in values(more)) <= 450
            total += len(records) + len(more)
    assert total == 5 * PARTITIONS


async def test_a_poll_of_nothing_ends_empty(bus: Bus) -> None:
    consumer = await bus.consumer("g", [RAW])

    assert list(await consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=0.2)) == []
    assert list(await consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=0.0)) == []


async def test_a_poll_that_waits_wakes_up_for_a_message(bus: Bus) -> None:
    consumer = await bus.consumer("g", [RAW])
    waiting = asyncio.create_task(consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=PATIENCE))
    await asyncio.sleep(0)
    await bus.produce(RAW, [Message(b"at last")])

    assert values(await waiting) == [b"at last"]


async def test_a_cancelled_poll_loses_nothing(bus: Bus) -> None:
    consumer = await bus.consumer("g", [RAW])
    waiting = asyncio.create_task(consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=PATIENCE))
    await asyncio.sleep(0)
    produced = asyncio.create_task(bus.produce(RAW, numbered(20, partition=0)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await produced

    assert values(await read(consumer, 20)) == [b"%d" % number for number in range(20)]


async def test_a_cancelled_produce_harms_nobody_else(bus: Bus) -> None:
    given_up = [asyncio.create_task(bus.produce(RAW, [Message(b"given up", partition=0)])) for _ in range(5)]
    kept = [asyncio.create_task(bus.produce(RAW, [Message(b"kept %d" % number, partition=0)])) for number in range(5)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    positions = [(await task)[0] for task in kept]

    end = (await bus.end_offsets(RAW))[0]
    records = await read(await bus.consumer("g", [RAW]), end)

    assert {record.offset: record.value for record in records if record.value != b"given up"} == {
        position.offset: b"kept %d" % number for number, position in enumerate(positions)
    }


async def test_producers_at_the_same_time_get_places_of_their_own(bus: Bus) -> None:
    async def produce(name: int) -> list[Position]:
        places: list[Position] = []
        for number in range(10):
            places += await bus.produce(RAW, [Message(b"%d:%d:%d" % (name, number, half), partition=1) for half in range(2)])
        return places

    places = await asyncio.gather(*(produce(name) for name in range(12)))

    assert sorted(place.offset for each in places for place in each) == list(range(240))
    by_offset = {record.offset: record.value for record in await read(await bus.consumer("g", [RAW]), 240)}
    for name, each in enumerate(places):
        assert [by_offset[place.offset] for place in each] == [b"%d:%d:%d" % (name, at // 2, at % 2) for at in range(20)]
        assert [place.offset for place in each] == sorted(place.offset for place in each)


async def test_two_members_share_the_partitions(bus: Bus) -> None:
    one = await bus.consumer("g", [RAW])
    generation = one.generation
    polling = asyncio.create_task(one.poll(max_messages=100, max_bytes=1 << 20, timeout=1.0))
    two = await bus.consumer("g", [RAW])
    assert list(await polling) == []
    assert one.generation > generation
    await bus.produce(RAW, [Message(b"%d" % number, partition=number % PARTITIONS) for number in range(40)])

    got: dict[Consumer, list[Record]] = {one: [], two: []}
    async with asyncio.timeout(PATIENCE):
        while sum(map(len, got.values())) < 40:
            for member in got:
                got[member] += await member.poll(max_messages=100, max_bytes=1 << 20, timeout=0.5)

    owned = [{record.partition for record in records} for records in got.values()]
    assert owned[0] | owned[1] == set(range(PARTITIONS))
    assert not owned[0] & owned[1]
    assert [len(part) for part in owned] == [2, 2]
    assert sorted(int(record.value) for records in got.values() for record in records) == list(range(40))


async def test_what_a_member_that_left_did_not_commit_goes_to_the_other(bus: Bus) -> None:
    one, two = await bus.consumer("g", [RAW]), await bus.consumer("g", [RAW])
    await bus.produce(RAW, [Message(b"%d" % number, partition=number % PARTITIONS) for number in range(8)])
    async with asyncio.timeout(PATIENCE):
        while not (lost := await one.poll(max_messages=100, max_bytes=1 << 20, timeout=0.5)):
            await two.poll(max_messages=1, max_bytes=1 << 20, timeout=0.5)
    await one.commit({(RAW, lost[0].partition): lost[0].offset + 1})
    generation = two.generation
    await one.close()

    seen: set[int] = set()
    async with asyncio.timeout(PATIENCE):
        while len(seen) < 7:
            seen |= {int(record.value) for record in await two.poll(max_messages=100, max_bytes=1 << 20, timeout=0.5)}

    assert two.generation > generation
    assert seen == set(range(8)) - {int(lost[0].value)}


async def test_after_a_sharing_out_all_that_was_not_committed_comes_again(bus: Bus) -> None:
    one = await bus.consumer("g", [RAW])
    await bus.produce(RAW, [Message(b"%d" % partition, partition=partition) for partition in range(PARTITIONS)])
    await read(one, PARTITIONS)
    await one.commit({(RAW, 0): 1})
    joining = asyncio.create_task(bus.consumer("g", [RAW]))
    generation = one.generation
    again: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while one.generation == generation or not joining.done():
            again += await one.poll(max_messages=100, max_bytes=1 << 20, timeout=0.1)
        two = await joining
        while len(again) < PARTITIONS - 1:
            for member in (one, two):
                again += await member.poll(max_messages=100, max_bytes=1 << 20, timeout=0.2)

    assert sorted(values(again)) == [b"1", b"2", b"3"]


async def test_a_partition_that_went_to_another_member_cannot_be_committed(bus: Bus) -> None:
    one = await bus.consumer("g", [RAW])
    await bus.produce(RAW, [Message(b"x", partition=partition) for partition in range(PARTITIONS)])
    await read(one, PARTITIONS)
    joining = asyncio.create_task(bus.consumer("g", [RAW]))
    async with asyncio.timeout(PATIENCE):
        while not joining.done():
            await one.poll(max_messages=100, max_bytes=1 << 20, timeout=0.2)
    (others, *_) = await read(await joining, 2)

    with pytest.raises(BusError):
        await one.commit({(RAW, others.partition): 1})

    assert [lag.committed for lag in await bus.lag("g", RAW)] == [0] * PARTITIONS


async def test_a_closed_consumer_reads_no_more(bus: Bus) -> None:
    consumer = await bus.consumer("g", [RAW])
    await consumer.close()
    await consumer.close()

    with pytest.raises(BusError, match="closed"):
        await consumer.poll(max_messages=1, max_bytes=1, timeout=0.1)
    with pytest.raises(BusError, match="closed"):
        await consumer.commit({(RAW, 0): 0})


async def test_a_closed_bus_says_so(bus: Bus) -> None:
    consumer = await bus.consumer("g", [RAW])
    assert await bus.healthy() == ""
    await bus.close()
    await bus.close()

    assert "closed" in await bus.healthy()
    for call in (
        bus.produce(RAW, [Message(b"x")]),
        bus.consumer("g", [RAW]),
        bus.lag("g", RAW),
        bus.end_offsets(RAW),
        bus.epoch(RAW),
        consumer.poll(max_messages=1, max_bytes=1, timeout=0.1),
        consumer.commit({(RAW, 0): 0}),
    ):
        with pytest.raises(BusError, match="closed"):
            await call
    await consumer.close()


async def test_closing_finishes_what_is_under_way(open_bus: Open) -> None:
    bus = await open_bus()
    consumer = await bus.consumer("g", ["events"])
    waiting = asyncio.create_task(consumer.poll(max_messages=1, max_bytes=1, timeout=PATIENCE))
    under_way = [asyncio.create_task(bus.produce(RAW, [Message(b"%d" % number, partition=0)])) for number in range(20)]
    await asyncio.sleep(0)
    await bus.close()

    assert list(await waiting) == []
    positions = [(await task)[0] for task in under_way]
    bus = await open_bus()
    stored = {record.offset: record.value for record in await read(await bus.consumer("h", [RAW]), 20)}
    assert stored == {position.offset: b"%d" % number for number, position in enumerate(positions)}


async def test_the_epoch_lasts_as_long_as_the_data(open_bus: Open) -> None:
    bus = await open_bus()
    epoch = await bus.epoch(RAW)
    await bus.close()

    assert re.fullmatch(r"[A-Za-z0-9]+", epoch)
    assert await (await open_bus()).epoch(RAW) == epoch
