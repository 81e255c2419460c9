"""The intake on a real embedded bus, and what arrived on `logs.raw`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from core import topics
from core.bus.contract import Consumer
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.config import Listener, Settings, validate
from ingest import rawbatch
from ingest.attribution import Attribution
from ingest.exercises import Exercises
from ingest.rawbatch import Origin, RawBatch
from ingest.sources.intake import Intake
from ingest.sources.stream import StreamLimits
from ingest.sources.syslog import SyslogServer

ARRIVE_SECONDS = 20.0


class Receiving:
    """A bus, an intake on it, and a reader that has read nothing yet."""

    def __init__(self, bus: EmbeddedBus, settings: Settings, consumer: Consumer, write_seconds: float) -> None:
        self.bus = bus
        self.settings = settings
        self.intake = Intake(bus, settings.intake, SystemClock(), write_seconds=write_seconds)
        self.batches: list[RawBatch] = []
        self.servers: list[SyslogServer] = []
        self._consumer = consumer

    async def listen(self, listener: Listener, limits: StreamLimits | None = None, exercises: Exercises | None = None) -> SyslogServer:
        """A started listener; it is stopped in the end."""
        server = SyslogServer(listener, self.intake, Attribution(self.settings), limits, exercises)
        await server.start()
        self.servers.append(server)
        return server

    async def read(self) -> bool:
        """Take what is on the bus now into `batches`, and let the bus forget it; whether there was anything."""
        records = await self._consumer.poll(max_messages=10_000, max_bytes=1 << 30, timeout=0.05)
        self.batches += [rawbatch.decode(record) for record in records]
        if records:
            await self._consumer.commit({(record.topic, record.partition): record.offset + 1 for record in records})
        return bool(records)

    async def until(self, lines: int) -> None:
        """Read until so many lines have come."""
        async with asyncio.timeout(ARRIVE_SECONDS):
            while sum(len(batch.lines) for batch in self.batches) < lines:
                await self.read()

    async def full(self) -> None:
        """Wait until the bus takes no more."""
        async with asyncio.timeout(ARRIVE_SECONDS):
            while not await self.bus.healthy():  # noqa: ASYNC110 - the bus has no event for it
                await asyncio.sleep(0.01)

    async def all(self) -> None:
        """Read until nothing is left."""
        while await self.read():
            pass

    def lines(self, origin: Origin | None = None) -> list[bytes]:
        """The lines read, of one origin or of all."""
        return [line for batch in self.batches if origin in (None, batch.origin) for line in batch.lines]

    @property
    def origins(self) -> set[Origin]:
        return {batch.origin for batch in self.batches}


@asynccontextmanager
async def receiving(
    folder: Path, tree: Mapping[str, Any] | None = None, *, backlog: int = 256 << 20, write_seconds: float = 5.0
) -> AsyncIterator[Receiving]:
    """`tree` are settings; `backlog` in bytes is what the bus holds before it is full."""
    bus = EmbeddedBus(folder / "bus.sqlite", partitions=1, max_backlog_bytes=backlog, min_free_disk_bytes=0, clock=SystemClock())
    await bus.start()
    consumer = await bus.consumer("reader", [topics.LOGS_RAW])
    centre = Receiving(bus, validate(tree or {}), consumer, write_seconds)
    try:
        yield centre
    finally:
        for server in centre.servers:
            await server.stop()
        await centre.intake.close()
        await consumer.close()
        await bus.close()


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(ARRIVE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


def count(metric: Counter, *labels: str) -> float:
    """What a counter stands at."""
    found = [
        s.value for family in metric.collect() for s in family.samples if s.name.endswith("_total") and tuple(s.labels.values()) == labels
    ]
    return found[0] if found else 0.0
