"""The stage loop on a real bus: nothing is committed before its handler is done with it, and no failure loses a batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from core.bus.contract import Message, Record
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.errors import BusFull, StoreUnavailable
from core.stage import Handler, Stage, next_offsets

RAW = "logs.raw"
PATIENCE = 20.0


def make_bus(path: Path) -> EmbeddedBus:
    return EmbeddedBus(
        path / "bus.sqlite", partitions=2, max_backlog_bytes=1 << 24, min_free_disk_bytes=0, clock=SystemClock(), topics=(RAW,)
    )


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[EmbeddedBus]:
    bus = make_bus(tmp_path)
    await bus.start()
    yield bus
    await bus.close()


class Recorder:
    """A handler that fails as told, then remembers what it did."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls: list[tuple[list[bytes], int]] = []
        self.handled: list[bytes] = []
        self.called = asyncio.Event()

    async def __call__(self, records: Sequence[Record], generation: int) -> None:
        self.calls.append(([record.value for record in records], generation))
        self.called.set()
        if self.failures:
            raise self.failures.pop(0)
        self.handled += [record.value for record in records]


async def until(true: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - as it says
            await asyncio.sleep(0.01)


async def lag(bus: EmbeddedBus, name: str) -> int:
    return sum(each.messages for each in await bus.lag(name, RAW))


def retries(name: str) -> float:
    return REGISTRY.get_sample_value("bongsu_stage_retries_total", {"stage": name}) or 0.0


async def finish(stage: Stage, running: asyncio.Task[None]) -> None:
    stage.stop()
    await asyncio.wait_for(running, PATIENCE)


def started(name: str, bus: EmbeddedBus, handler: Handler, max_messages: int = 256, rest: float = 0.0) -> tuple[Stage, asyncio.Task[None]]:
    stage = Stage(name, bus, [RAW], handler, max_messages=max_messages, rest=rest)
    return stage, asyncio.create_task(stage.run())


async def test_batches_are_handled_in_order_and_committed(bus: EmbeddedBus) -> None:
    await bus.produce(RAW, [Message(b"%d" % number, partition=0) for number in range(10)])
    handler = Recorder()
    stage, running = started("in-order", bus, handler, max_messages=4)
    await until(lambda: len(handler.handled) == 10)
    await finish(stage, running)

    assert handler.handled == [b"%d" % number for number in range(10)]
    assert [len(values) for values, _ in handler.calls] == [4, 4, 2]
    assert await lag(bus, "in-order") == 0
    assert REGISTRY.get_sample_value("bongsu_stage_batches_total", {"stage": "in-order"}) == 3


@pytest.mark.parametrize(
    "failure", [StoreUnavailable("the store sleeps"), BusFull("no room"), ValueError("a defect")], ids=["store", "bus", "defect"]
)
async def test_a_batch_that_failed_is_tried_again_until_it_is_done(bus: EmbeddedBus, failure: Exception) -> None:
    name = f"retry-{type(failure).__name__}"
    await bus.produce(RAW, [Message(b"a", partition=0), Message(b"b", partition=0)])
    handler = Recorder(failure, failure)
    stage, running = started(name, bus, handler)
    await asyncio.wait_for(handler.called.wait(), PATIENCE)
    assert stage.problem == str(failure)
    assert await lag(bus, name) == 2
    await until(lambda: handler.handled == [b"a", b"b"])
    await finish(stage, running)

    assert [values for values, _ in handler.calls] == [[b"a", b"b"]] * 3
    assert stage.problem == ""
    assert await lag(bus, name) == 0
    assert retries(name) == 2


async def test_stopping_leaves_a_failing_batch_to_the_next_life(bus: EmbeddedBus) -> None:
    await bus.produce(RAW, [Message(b"a")])
    failing = Recorder(*[StoreUnavailable("down")] * 100)
    stage, running = started("next-life", bus, failing)
    await asyncio.wait_for(failing.called.wait(), PATIENCE)
    await finish(stage, running)
    assert failing.handled == []

    working = Recorder()
    stage, running = started("next-life", bus, working)
    await until(lambda: working.handled == [b"a"])
    await finish(stage, running)
    assert await lag(bus, "next-life") == 0


async def test_a_stage_rests_after_a_small_batch_and_not_while_it_is_behind(bus: EmbeddedBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.stage._LONGEST_REST", 3600.0)
    handler = Recorder()
    await bus.produce(RAW, [Message(b"%d" % number, partition=0) for number in range(17)])
    stage, running = started("rests", bus, handler, max_messages=8, rest=3600.0)
    await until(lambda: len(handler.handled) == 17)
    await bus.produce(RAW, [Message(b"later", partition=0)])
    await finish(stage, running)

    # Eight filled the limit, so the next came at once; the last was a small batch, so the stage was resting when it was stopped.
    assert [len(values) for values, _ in handler.calls] == [8, 8, 1]
    assert await lag(bus, "rests") == 1


async def test_what_comes_during_a_rest_is_one_batch(bus: EmbeddedBus) -> None:
    handler = Recorder()
    stage, running = started("gathers", bus, handler, rest=2.0)
    await bus.produce(RAW, [Message(b"first", partition=0)])
    await until(lambda: handler.handled == [b"first"])
    for number in range(5):
        await bus.produce(RAW, [Message(b"%d" % number, partition=0)])
    await until(lambda: len(handler.handled) == 6)
    await finish(stage, running)

    assert len(handler.calls) == 2


async def test_no_rest_is_longer_than_the_bound(bus: EmbeddedBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.stage._LONGEST_REST", 0.01)
    handler = Recorder()
    stage, running = started("bounded", bus, handler, rest=3600.0)
    for number in range(3):
        await bus.produce(RAW, [Message(b"%d" % number, partition=0)])
        await until(lambda wanted=number: len(handler.handled) == wanted + 1)  # type: ignore[misc]
    await finish(stage, running)

    assert handler.handled == [b"0", b"1", b"2"]


async def test_stopping_finishes_the_batch_under_way(bus: EmbeddedBus) -> None:
    await bus.produce(RAW, [Message(b"a")])
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(records: Sequence[Record], generation: int) -> None:
        entered.set()
        await release.wait()

    stage, running = started("under-way", bus, slow)
    await asyncio.wait_for(entered.wait(), PATIENCE)
    stage.stop()
    release.set()
    await asyncio.wait_for(running, PATIENCE)

    assert await lag(bus, "under-way") == 0


async def test_a_failing_batch_is_given_up_when_partitions_change_hands(bus: EmbeddedBus) -> None:
    await bus.produce(RAW, [Message(b"0", partition=0), Message(b"1", partition=1)])
    handler = Recorder(*[StoreUnavailable("down")] * 2)
    stage, running = started("sharing", bus, handler, max_messages=10)
    await asyncio.wait_for(handler.called.wait(), PATIENCE)
    other = await bus.consumer("sharing", [RAW])
    theirs = await other.poll(max_messages=10, max_bytes=1 << 20, timeout=PATIENCE)
    await until(lambda: bool(handler.handled))
    await finish(stage, running)

    assert [record.partition for record in theirs] == [1]
    assert handler.calls[0] == ([b"0", b"1"], 1) or handler.calls[0] == ([b"1", b"0"], 1)
    assert handler.calls[-1] == ([b"0"], 2)
    assert handler.handled == [b"0"]
    assert [each.messages for each in await bus.lag("sharing", RAW)] == [0, 1]


async def test_a_stage_waits_for_a_bus_that_does_not_answer_yet(tmp_path: Path) -> None:
    bus = make_bus(tmp_path)
    handler = Recorder()
    stage, running = started("early", bus, handler)
    await until(lambda: "not started" in stage.problem)
    await bus.start()
    await bus.produce(RAW, [Message(b"a")])
    await until(lambda: handler.handled == [b"a"])
    assert stage.problem == ""
    await finish(stage, running)
    await bus.close()


async def test_a_stage_can_be_stopped_while_it_waits_for_the_bus(tmp_path: Path) -> None:
    stage, running = started("never", make_bus(tmp_path), Recorder())
    await until(lambda: stage.problem != "")
    await finish(stage, running)
    assert retries("never") >= 1


async def test_a_closed_bus_shows_as_a_problem_and_recovery_clears_it(bus: EmbeddedBus) -> None:
    stage, running = started("closing", bus, Recorder())
    await asyncio.sleep(0)
    await bus.close()
    await until(lambda: "closed" in stage.problem)
    await finish(stage, running)


def test_next_offsets_are_one_past_the_last_of_each_partition() -> None:
    def record(topic: str, partition: int, offset: int) -> Record:
        return Record(topic, partition, offset, b"", {}, datetime(2026, 1, 1, tzinfo=UTC))

    records = [record("a", 0, 4), record("a", 0, 5), record("b", 0, 0), record("a", 1, 9), record("a", 1, 8)]

    assert next_offsets(records) == {("a", 0): 6, ("b", 0): 1, ("a", 1): 10}
