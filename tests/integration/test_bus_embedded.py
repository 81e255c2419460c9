"""What only the embedded bus promises: limits, trimming, one process at a time, nothing lost to a kill."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.bus.contract import Consumer, Message
from core.bus.embedded import EmbeddedBus
from core.clock import FixedClock, SystemClock
from core.errors import BusError, BusFull, BusUnavailable
from tests.integration import bus_child

RAW, EVENTS = "logs.raw", "events"
MIB = 1 << 20
PATIENCE = 30.0
CHILD = Path(bus_child.__file__)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "bus.sqlite"


def make_bus(path: Path, *, partitions: int = 1, backlog: int = 256 * MIB, min_free: int = 0) -> EmbeddedBus:
    return EmbeddedBus(
        path, partitions=partitions, max_backlog_bytes=backlog, min_free_disk_bytes=min_free, clock=SystemClock(), topics=(RAW, EVENTS)
    )


async def opened(path: Path, *, partitions: int = 1, backlog: int = 256 * MIB, min_free: int = 0) -> EmbeddedBus:
    bus = make_bus(path, partitions=partitions, backlog=backlog, min_free=min_free)
    await bus.start()
    return bus


async def consume(consumer: Consumer, count: int) -> None:
    """Read and commit the next `count` records."""
    while count:
        records = await consumer.poll(max_messages=count, max_bytes=32 * MIB, timeout=PATIENCE)
        await consumer.commit({(record.topic, record.partition): record.offset + 1 for record in records})
        count -= len(records)


async def until(true: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - as it says
            await asyncio.sleep(0.02)


def size(path: Path) -> int:
    return path.stat().st_size


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)


def read(path: Path) -> bytes:
    return path.read_bytes()


def refusal(path: Path) -> str:
    """What another process says that opens the file."""
    return subprocess.run(child("refuse", path), capture_output=True, text=True, env=environment(), timeout=60, check=True).stdout


def child(*arguments: str | Path, wrap: tuple[str, ...] = ()) -> list[str]:
    return [*wrap, sys.executable, str(CHILD), *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHILD.parents[2])}


async def test_a_full_backlog_pushes_back_until_a_reader_commits(path: Path) -> None:
    bus = await opened(path, backlog=MIB)
    consumer = await bus.consumer("g", [RAW])
    for _ in range(4):
        await bus.produce(RAW, [Message(bytes(300_000))])

    with pytest.raises(BusFull, match=r"logs\.raw holds 1 MiB") as refused:
        await bus.produce(RAW, [Message(b"one more")], timeout=0.1)
    assert refused.value.retry_after > 0
    assert "logs.raw holds" in await bus.healthy()
    assert (await bus.end_offsets(RAW)) == {0: 4}

    waiting = asyncio.create_task(bus.produce(RAW, [Message(b"one more")], timeout=PATIENCE))
    await consume(consumer, 2)
    assert (await waiting)[0].offset == 4
    assert await bus.healthy() == ""
    await bus.close()


async def test_a_full_topic_leaves_room_in_the_next(path: Path) -> None:
    bus = await opened(path, backlog=MIB)
    await bus.produce(RAW, [Message(bytes(2 * MIB))])

    with pytest.raises(BusFull):
        await bus.produce(RAW, [Message(b"x")], timeout=0.1)
    assert (await bus.produce(EVENTS, [Message(b"x")], timeout=PATIENCE))[0].offset == 0
    await bus.close()


async def test_many_waiting_producers_pass_the_limit_by_no_more_than_they_hold(path: Path) -> None:
    bus = await opened(path, backlog=MIB)
    consumer = await bus.consumer("g", [RAW])
    waiting = [asyncio.create_task(bus.produce(RAW, [Message(bytes(200_000))], timeout=PATIENCE)) for _ in range(30)]
    await until(lambda: sum(task.done() for task in waiting) >= 6)
    assert sum(task.done() for task in waiting) == 6

    await consume(consumer, 30)
    await asyncio.gather(*waiting)
    await bus.close()


async def test_the_backlog_is_known_again_after_a_restart(path: Path) -> None:
    bus = await opened(path, backlog=MIB)
    await bus.consumer("g", [RAW])
    await bus.produce(RAW, [Message(bytes(2 * MIB))])
    await bus.close()

    bus = await opened(path, backlog=MIB)
    with pytest.raises(BusFull):
        await bus.produce(RAW, [Message(b"x")], timeout=0.1)
    await consume(await bus.consumer("g", [RAW]), 1)
    await bus.produce(RAW, [Message(b"x")], timeout=PATIENCE)
    await bus.close()


async def test_closing_ends_the_wait_for_room(path: Path) -> None:
    bus = await opened(path, backlog=1)
    await bus.produce(RAW, [Message(b"x")])
    waiting = asyncio.create_task(bus.produce(RAW, [Message(b"y")], timeout=PATIENCE))
    await asyncio.sleep(0)
    await bus.close()

    with pytest.raises(BusError, match="closed"):
        await waiting


async def test_intake_stops_before_the_disk_is_full_and_the_stages_go_on(path: Path) -> None:
    path.parent.mkdir()
    margin = 256 * MIB
    ballast = path.with_name("ballast")
    bus = await opened(path, min_free=shutil.disk_usage(path.parent).free - margin)
    try:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * margin)
        await until(lambda: ballast.exists() and bool(bus._shortage(RAW)))
        with pytest.raises(BusFull, match="must stay free"):
            await bus.produce(RAW, [Message(b"x")], timeout=0.1)
        assert "must stay free" in await bus.healthy()
        await bus.produce(EVENTS, [Message(b"x")], timeout=PATIENCE)

        waiting = asyncio.create_task(bus.produce(RAW, [Message(b"x")], timeout=PATIENCE))
        ballast.unlink()
        assert (await waiting)[0].offset == 0
    finally:
        ballast.unlink(missing_ok=True)
        await bus.close()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare (util-linux) gives the test a small disk of its own")
def test_a_disk_that_is_really_full_refuses_and_recovers(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=24m tmpfs {tmp_path} && exec "
    command = mount + " ".join(child("full_disk", tmp_path / "bus.sqlite"))
    ran = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", command],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    if "unshare" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip(f"this machine lets us have no disk of our own: {ran.stderr}")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("refused the disk of") == 3
    assert ran.stdout.endswith("recovered\n")


async def test_what_every_group_is_done_with_is_removed_and_its_room_used_again(path: Path) -> None:
    bus = await opened(path)
    store, detect = await bus.consumer("store", [RAW]), await bus.consumer("detect", [RAW])
    block = os.urandom(4 * MIB)
    for _ in range(60):
        await bus.produce(RAW, [Message(block)])
        await consume(store, 1)
        await consume(detect, 1)
    await bus.close()

    assert size(path) < 100 * MIB  # 240 went through
    bus = await opened(path)
    assert await bus.end_offsets(RAW) == {0: 60}
    late = await bus.consumer("late", [RAW])
    await bus.produce(RAW, [Message(b"after")])
    assert [record.offset for record in await late.poll(max_messages=10, max_bytes=MIB, timeout=PATIENCE)] == [60]
    await bus.close()


async def test_a_large_backlog_gives_its_room_back_to_the_disk(path: Path) -> None:
    bus = await opened(path)
    consumer = await bus.consumer("g", [RAW])
    for _ in range(20):
        await bus.produce(RAW, [Message(os.urandom(8 * MIB))])
    await until(lambda: size(path) > 100 * MIB)

    await consume(consumer, 20)

    await until(lambda: size(path) < 80 * MIB)
    await bus.close()


async def test_the_slowest_group_keeps_messages_and_a_topic_nobody_reads_keeps_all(path: Path) -> None:
    bus = await opened(path)
    fast, slow = await bus.consumer("fast", [RAW]), await bus.consumer("slow", [RAW])
    for topic in (RAW, EVENTS):
        await bus.produce(topic, [Message(b"%d" % number) for number in range(10)])
    await consume(fast, 10)
    await consume(slow, 4)
    await bus.close()

    bus = await opened(path)
    kept = await (await bus.consumer("new", [RAW])).poll(max_messages=100, max_bytes=MIB, timeout=PATIENCE)
    unread = await (await bus.consumer("first", [EVENTS])).poll(max_messages=100, max_bytes=MIB, timeout=PATIENCE)
    assert [record.value for record in kept] == [b"4", b"5", b"6", b"7", b"8", b"9"]
    assert [record.value for record in unread] == [b"%d" % number for number in range(10)]
    await bus.close()


def live_and_die(path: Path, life: str, acknowledgements: int) -> list[list[str]]:
    """Let a process produce and commit, kill it after some acknowledgements; gives all it printed before the end."""
    process = subprocess.Popen(child("produce", path, life), stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        if line.endswith("\n"):  # the last one may be torn
            lines.append(line.split())
        if len(lines) == acknowledgements:
            process.kill()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return lines


async def test_nothing_acknowledged_is_lost_to_kill_9(path: Path) -> None:
    produced: dict[tuple[int, int], str] = {}
    committed: dict[int, int] = {}
    moments = random.Random(9889)
    for life in range(6):
        for kind, *words in live_and_die(path, f"life{life}", moments.randint(20, 300)):
            if kind == "committed":
                committed[int(words[0])] = int(words[1])
            else:
                produced[int(words[1]), int(words[2])] = words[0]

    bus = bus_child.make_bus(path)
    await bus.start()
    ends = await bus.end_offsets(RAW)
    keeper = await bus.consumer("keeper", [RAW])
    stored: dict[tuple[int, int], str] = {}
    async with asyncio.timeout(PATIENCE):
        while len(stored) < sum(ends.values()):
            for record in await keeper.poll(max_messages=1000, max_bytes=32 * MIB, timeout=1.0):
                assert record.value == bus_child.value(record.headers["name"])
                stored[record.partition, record.offset] = record.headers["name"]
    assert set(stored) == {(partition, offset) for partition, end in ends.items() for offset in range(end)}
    assert {place: stored.get(place) for place in produced} == produced
    assert len(set(stored.values())) == len(stored)
    assert committed
    for lag in await bus.lag("g", RAW):
        assert lag.committed >= committed.get(lag.partition, 0)
    await bus.close()


async def test_a_second_process_is_refused_by_name(path: Path) -> None:
    bus = await opened(path)
    assert refusal(path).startswith(f"BusUnavailable {path} is locked: another bongsu runs there (process {os.getpid()})")

    with pytest.raises(BusUnavailable, match="another bongsu runs there"):
        await make_bus(path).start()
    assert (await bus.produce(RAW, [Message(b"the first goes on")]))[0].offset == 0
    await bus.close()

    assert refusal(path) == ""


async def test_a_foreign_lock_on_the_file_is_named(path: Path) -> None:
    bus = await opened(path)
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusUnavailable, match=r"bus\.sqlite is locked"):
        await bus.produce(RAW, [Message(b"x")])
    assert "is locked" in await bus.healthy()
    foreign.execute("ROLLBACK")
    foreign.close()

    await until(lambda: not bus._writer.problem)  # by itself, without a write of ours
    assert (await bus.produce(RAW, [Message(b"x")]))[0].offset == 0
    assert await bus.healthy() == ""
    await bus.close()


async def test_what_is_not_a_journal_is_not_touched(path: Path) -> None:
    minutes = b"minutes of the meeting\n" * 100
    write(path, minutes)
    with pytest.raises(BusUnavailable, match=r"bus\.sqlite: file is not a database"):
        await make_bus(path).start()
    assert read(path) == minutes

    with pytest.raises(BusUnavailable, match="cannot be opened"):
        await make_bus(path / "below a file" / "bus.sqlite").start()


async def test_a_journal_of_a_newer_version_is_refused(path: Path) -> None:
    await (await opened(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=2")
    connection.close()

    with pytest.raises(BusUnavailable, match="newer version"):
        await make_bus(path).start()


async def test_partitions_grow_and_never_shrink(path: Path) -> None:
    bus = await opened(path, partitions=1)
    await bus.consumer("g", [RAW])
    await bus.produce(RAW, [Message(b"old")])
    await bus.close()

    bus = await opened(path, partitions=3)
    assert await bus.end_offsets(RAW) == {0: 1, 1: 0, 2: 0}
    await bus.produce(RAW, [Message(b"new", partition=2)])
    await bus.close()

    bus = await opened(path, partitions=1)
    assert [lag.messages for lag in await bus.lag("g", RAW)] == [1, 0, 1]
    consumer = await bus.consumer("g", [RAW])
    await consume(consumer, 2)
    assert await bus.end_offsets(EVENTS) == {0: 0, 1: 0, 2: 0}
    await bus.close()


async def test_a_key_has_the_same_partition_in_every_process(path: Path) -> None:
    bus = await opened(path, partitions=4)
    (place,) = await bus.produce(RAW, [Message(b"x", key="123456789")])
    assert place.partition == 0xCBF43926 % 4  # the check value of CRC-32 (ITU-T V.42)
    await bus.close()


async def test_a_commit_beyond_the_end_is_refused(path: Path) -> None:
    bus = await opened(path)
    consumer = await bus.consumer("g", [RAW])
    await bus.produce(RAW, [Message(b"x")])
    with pytest.raises(BusError, match="ends at 1"):
        await consumer.commit({(RAW, 0): 2})
    await bus.close()


async def test_the_clock_dates_the_records_and_the_file_is_for_our_user_only(path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    bus = EmbeddedBus(path, partitions=1, max_backlog_bytes=MIB, min_free_disk_bytes=0, clock=FixedClock(at), topics=(RAW,))
    await bus.start()
    await bus.produce(RAW, [Message(b"x")])
    (record,) = await (await bus.consumer("g", [RAW])).poll(max_messages=1, max_bytes=1, timeout=PATIENCE)
    assert record.timestamp == at
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {
        "bus.sqlite": "0o600",
        "bus.sqlite-wal": "0o600",
        "bus.sqlite-shm": "0o600",
        "bus.sqlite.lock": "0o600",
    }
    await bus.close()
