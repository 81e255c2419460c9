"""A process of its own for the tests of the embedded bus: `python bus_child.py ROLE FILE ...`, run and killed by them.

Every line it prints is flushed at once, so that what was printed before a kill had been acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

from core.bus.contract import Message, Position
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.errors import BusError, BusFull

RAW = "logs.raw"


def make_bus(path: Path, partitions: int = 2) -> EmbeddedBus:
    return EmbeddedBus(path, partitions=partitions, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=SystemClock())


def value(name: str) -> bytes:
    """The content that belongs to a name: sizes from a few bytes to a megabyte."""
    sizes = (10, 200, 3000, 70_000, 1 << 20)
    return (name.encode() + b";") * (sizes[sum(name.encode()) % len(sizes)] // len(name) + 1)


async def produce(path: Path, life: str) -> None:
    """Produce from eight tasks and commit from a ninth until killed; prints what was acknowledged."""
    bus = make_bus(path)
    await bus.start()

    async def producer(task: int) -> None:
        for number in range(1_000_000):
            names = [f"{life}/{task}/{number}/{half}" for half in range(2)]
            for name, place in zip(names, await bus.produce(RAW, [Message(value(name), {"name": name}) for name in names]), strict=True):
                print("produced", name, place.partition, place.offset, flush=True)

    async def committer() -> None:
        consumer = await bus.consumer("g", [RAW])
        while True:
            for record in await consumer.poll(max_messages=3, max_bytes=1 << 20, timeout=1.0):
                await consumer.commit({(RAW, record.partition): record.offset + 1})
                print("committed", record.partition, record.offset + 1, flush=True)

    await bus.consumer("keeper", [RAW])  # never commits, so that nothing is removed
    await asyncio.gather(committer(), *(producer(task) for task in range(8)))


async def refuse(path: Path) -> None:
    """Open what another process has open; prints the error."""
    try:
        await make_bus(path).start()
    except BusError as error:
        print(type(error).__name__, error)


async def full_disk(path: Path) -> None:
    """On a small disk of its own: fill it with something else, then make room again."""
    bus = make_bus(path, 1)
    await bus.start()
    consumer = await bus.consumer("g", [RAW])
    taken: list[Position] = list(await bus.produce(RAW, [Message(b"%d" % number) for number in range(5)]))
    ballast = path.with_name("ballast")
    with ballast.open("wb") as file:
        free = os.statvfs(path.parent)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    refused = 0
    for _ in range(3):
        try:
            taken += await bus.produce(RAW, [Message(bytes(1 << 20))])
        except BusFull as error:
            refused += 1
            print("refused", error)
    assert refused == 3
    assert "full" in await bus.healthy()
    ballast.unlink()
    taken += await bus.produce(RAW, [Message(b"after")])
    records = await consumer.poll(max_messages=100, max_bytes=1 << 20, timeout=5.0)
    assert [record.offset for record in records] == [place.offset for place in taken] == list(range(6))
    assert [record.value for record in records] == [b"0", b"1", b"2", b"3", b"4", b"after"]
    assert await bus.healthy() == ""
    await bus.close()
    print("recovered")


if __name__ == "__main__":
    role, file, *rest = sys.argv[1:]
    roles: dict[str, Callable[..., Coroutine[None, None, None]]] = {"produce": produce, "refuse": refuse, "full_disk": full_disk}
    asyncio.run(roles[role](Path(file), *rest))
