"""The intake on the real embedded bus: batches, order, durability, pushing back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from core import metrics
from core.bus.contract import Bus, Message, Position
from core.errors import BusFull, BusUnavailable
from core.events import IntakeFlag
from ingest.rawbatch import Origin
from ingest.sources.intake import Intake
from tests.servers.receiving import Receiving, count, receiving

ORIGIN = Origin("jongno-gu", "fw-1", "tcp", "192.0.2.1")
HTTP = Origin("jongno-gu", "fw-1", "http", "192.0.2.1")
TINY_BACKLOG = 64 << 10


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Receiving]:
    async with receiving(tmp_path) as made:
        yield made


async def test_what_is_offered_together_is_one_message_in_order(centre: Receiving) -> None:
    lines = [b"line %d" % number for number in range(50)]
    await asyncio.gather(*(centre.intake.submit(ORIGIN, line, 1) for line in lines))
    await centre.all()
    assert [list(batch.lines) for batch in centre.batches] == [lines]
    assert centre.batches[0].origin == ORIGIN


async def test_lines_are_on_the_bus_when_submit_returns(centre: Receiving) -> None:
    await centre.intake.submit(ORIGIN, b"a\nb", 2)
    assert await centre.bus.end_offsets("logs.raw") == {0: 1}


async def test_quiet_senders_share_one_write(tmp_path: Path) -> None:
    class Counting:
        """The real bus; its writes are counted."""

        writes = 0

        def __init__(self, bus: Bus) -> None:
            self._bus = bus

        async def produce(self, topic: str, messages: Sequence[Message], *, timeout: float = 30.0) -> Sequence[Position]:
            self.writes += 1
            return await self._bus.produce(topic, messages, timeout=timeout)

    async with receiving(tmp_path) as centre:
        bus = Counting(centre.bus)
        intake = Intake(bus, centre.settings.intake, centre.intake._clock)  # type: ignore[arg-type]
        await asyncio.gather(*(intake.submit(replace(ORIGIN, source=f"fw-{n}"), b"x", 1) for n in range(300)))
        await intake.close()
        await centre.all()
        assert bus.writes == 1
        assert {origin.source for origin in centre.origins} == {f"fw-{n}" for n in range(300)}


@pytest.mark.parametrize("setting", [{"batch_lines": 10}, {"batch_bytes": 1024}])
async def test_a_full_batch_does_not_linger(tmp_path: Path, setting: dict[str, int]) -> None:
    async with receiving(tmp_path, {"intake": {"linger_ms": 5000, **setting}}) as centre, asyncio.timeout(3):
        await centre.intake.submit(ORIGIN, b"\n".join([b"x" * 120] * 10), 10)


async def test_batches_keep_to_their_limits(tmp_path: Path) -> None:
    async with receiving(tmp_path, {"intake": {"batch_lines": 10, "batch_bytes": 1024}}) as centre:
        await asyncio.gather(*(centre.intake.submit(ORIGIN, b"y" * 300, 1) for _ in range(40)))
        await centre.all()
        assert {len(batch.lines) for batch in centre.batches} <= {1, 2, 3}
        assert len(centre.lines()) == 40


async def test_order_per_origin_holds_under_load(tmp_path: Path) -> None:
    dice = random.Random(7)
    async with receiving(tmp_path, {"intake": {"batch_lines": 16, "batch_bytes": 1024, "linger_ms": 1}}) as centre:
        origins = [replace(ORIGIN, source=f"fw-{n}") for n in range(3)]
        sent: dict[Origin, list[bytes]] = {origin: [] for origin in origins}
        durable = []
        for number in range(1500):
            origin = dice.choice(origins)
            sent[origin].append(b"%06d" % number)
            durable.append(centre.intake.offer(origin, sent[origin][-1], 1, insist=True))
            if dice.random() < 0.02:
                await asyncio.sleep(0)
        await asyncio.gather(*durable)
        await centre.all()
        assert {origin: centre.lines(origin) for origin in origins} == sent


async def test_a_small_batch_does_not_overtake_a_large_one(tmp_path: Path) -> None:
    # Takes longer to compress than the small one lingers, and holds no numbers and no keys, so that nothing of it is masked.
    large = random.Random(3).randbytes(8 << 20).translate(None, b"\n0123456789=:>[@%")
    async with receiving(tmp_path, {"intake": {"linger_ms": 1}}) as centre:
        first = centre.intake.offer(ORIGIN, large, 1)
        await asyncio.sleep(0)
        await centre.intake.submit(ORIGIN, b"small", 1)
        await first
        await centre.all()
        assert centre.lines() == [large, b"small"]


async def test_lines_that_hold_an_lf_stay_whole_among_others(centre: Receiving) -> None:
    intake = centre.intake
    await asyncio.gather(
        intake.submit(ORIGIN, b"one\ntwo", 2),
        intake.submit_lines(ORIGIN, [b"three\nand more", b"four"]),
        intake.submit(ORIGIN, b"five\nsix", 2),
        intake.submit_lines(ORIGIN, [b"seven"]),
    )
    await centre.all()
    assert [list(batch.lines) for batch in centre.batches] == [[b"one", b"two", b"three\nand more", b"four", b"five", b"six", b"seven"]]


async def test_flags_are_a_message_of_their_own_and_counted(centre: Receiving) -> None:
    cut = replace(ORIGIN, flags=IntakeFlag.TRUNCATED, transport="tls")
    before = count(metrics.LINES_TRUNCATED, "tls")
    await asyncio.gather(centre.intake.submit(ORIGIN, b"a", 1), centre.intake.submit(cut, b"b\nc", 2))
    await centre.all()
    assert (centre.lines(ORIGIN), centre.lines(cut)) == ([b"a"], [b"b", b"c"])
    assert count(metrics.LINES_TRUNCATED, "tls") - before == 2


async def test_what_is_durable_is_counted(centre: Receiving) -> None:
    labels = (ORIGIN.transport, ORIGIN.agency)
    lines, size = count(metrics.LINES_RECEIVED, *labels), count(metrics.BYTES_RECEIVED, *labels)
    await centre.intake.submit(ORIGIN, b"ab\nc", 2)
    assert count(metrics.LINES_RECEIVED, *labels) - lines == 2
    assert count(metrics.BYTES_RECEIVED, *labels) - size == 4


async def test_a_sender_that_goes_away_takes_nobodys_lines_with_it(centre: Receiving) -> None:
    goes = asyncio.create_task(centre.intake.submit(ORIGIN, b"from the one", 1))
    stays = asyncio.create_task(centre.intake.submit(ORIGIN, b"from the other", 1))
    await asyncio.sleep(0)
    goes.cancel()
    await stays
    await centre.all()
    assert b"from the other" in centre.lines()


async def fill(centre: Receiving) -> int:
    """Put random lines on the bus until it is full; how many it took."""
    lines = 0
    while True:
        try:
            await centre.intake.submit(HTTP, random.randbytes(8192).replace(b"\n", b""), 1)
        except BusFull:
            return lines
        lines += 1


async def test_a_full_bus_is_told_to_those_who_ask_and_waited_for_by_those_who_insist(tmp_path: Path) -> None:
    async with receiving(tmp_path, backlog=TINY_BACKLOG, write_seconds=0.2) as centre:
        taken = await fill(centre)
        assert taken > 0
        insisting = asyncio.create_task(centre.intake.submit(ORIGIN, b"patient", 1, insist=True))
        await centre.full()
        with pytest.raises(BusFull):
            await centre.intake.submit(HTTP, b"impatient", 1)
        assert not insisting.done()
        await centre.until(taken)
        await insisting
        await centre.intake.submit(HTTP, b"again", 1)
        await centre.until(taken + 2)
        assert centre.lines()[-2:] == [b"patient", b"again"]


async def test_too_much_held_makes_senders_wait(tmp_path: Path) -> None:
    async with receiving(tmp_path, {"intake": {"batch_bytes": 1024}}, backlog=TINY_BACKLOG, write_seconds=0.2) as centre:
        taken = await fill(centre)
        held = 0
        while not centre.intake.congested:
            centre.intake.offer(ORIGIN, b"z" * 900, 1, insist=True)
            held += 1
        assert held < 40
        with pytest.raises(BusFull, match="waiting"):
            await centre.intake.submit(HTTP, b"x", 1)
        waiting = asyncio.create_task(centre.intake.submit(ORIGIN, b"last", 1, insist=True))
        await centre.until(taken + held + 1)
        await waiting
        assert centre.lines()[-1] == b"last"


async def test_close_writes_what_is_held_and_then_takes_no_more(tmp_path: Path) -> None:
    async with receiving(tmp_path, {"intake": {"linger_ms": 5000}}) as centre:
        waiting = asyncio.create_task(centre.intake.submit(ORIGIN, b"held", 1))
        await asyncio.sleep(0)
        async with asyncio.timeout(3):
            await centre.intake.close()
            await waiting
        with pytest.raises(BusUnavailable, match="closing"):
            await centre.intake.submit(ORIGIN, b"late", 1, insist=True)
        await centre.all()
        assert centre.lines() == [b"held"]


async def test_close_does_not_wait_for_ever_for_a_full_bus(tmp_path: Path) -> None:
    async with receiving(tmp_path, backlog=TINY_BACKLOG, write_seconds=0.2) as centre:
        await fill(centre)
        insisting = asyncio.create_task(centre.intake.submit(ORIGIN, b"patient", 1, insist=True))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await centre.intake.close()
        with pytest.raises((BusFull, BusUnavailable)):
            await insisting


async def test_a_bus_that_is_closed_is_told_to_everyone(tmp_path: Path) -> None:
    async with receiving(tmp_path) as centre:
        await centre.bus.close()
        with pytest.raises(BusUnavailable):
            await centre.intake.submit(ORIGIN, b"x", 1, insist=True)
