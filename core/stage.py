"""The duties of every stage that reads the bus, written once: poll, handle, acknowledge, retry, measure, stop.

A handler gets a non-empty batch and returns when its effects are durable; then the offsets are committed. An error that may pass
(BusError, StoreError) is tried again with the same batch, with growing pauses, for ever: the bus keeps what is behind it and pushes
back on senders when it is full. Any other error is a defect: it is logged, counted and tried again likewise, so that a defect never
loses a line; the stage shows as failing in `problem`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from core import metrics
from core.bus.contract import Bus, Consumer, Record
from core.errors import BusError, StoreError

Handler = Callable[[Sequence[Record], int], Awaitable[None]]
"""Called with the records and the consumer's generation."""

_SHORTEST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 5.0
_RESTS = 2.0  # times what a small batch took, at least
_LONGEST_REST = 2.0
_log = structlog.get_logger()


class Stage:
    """One consumer loop. `name` is also its consumer group.

    After a batch that did not fill half of its limits it rests for `rest` seconds, or twice as long as that batch took, if that is
    longer, but never above two seconds: most handlers have a fixed cost, and fewer, larger batches need less of it. What comes after a
    quiet time is handled at once, and a stage that is behind never rests.
    """

    def __init__(
        self,
        name: str,
        bus: Bus,
        topics: Sequence[str],
        handler: Handler,
        *,
        max_messages: int = 256,
        max_bytes: int = 16 << 20,
        rest: float = 0.0,
    ) -> None:
        self.name = name
        self.problem = ""
        self._bus = bus
        self._topics = tuple(topics)
        self._handler = handler
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._rest = rest
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask the loop to end after the batch under way."""
        self._stop.set()

    async def run(self) -> None:
        """Consume until `stop`; the batch under way is finished and committed first, unless it keeps failing."""
        consumer = await self._join()
        if consumer is None:
            return
        try:
            while not self._stop.is_set():
                records = await self._poll(consumer)
                if records:
                    started = time.perf_counter()
                    await self._until_done(consumer, records)
                    if self._is_small(records):
                        took = time.perf_counter() - started
                        await self._pause(min(max(self._rest, _RESTS * took), _LONGEST_REST))
        finally:
            await consumer.close()

    def _is_small(self, records: Sequence[Record]) -> bool:
        return len(records) * 2 < self._max_messages and sum(len(record.value) for record in records) * 2 < self._max_bytes

    async def _join(self) -> Consumer | None:
        """Become a member of the group, however long the bus takes to let us in; None when stopped before."""
        pause = _SHORTEST_PAUSE
        while not self._stop.is_set():
            try:
                return await self._bus.consumer(self.name, self._topics)
            except BusError as error:
                self._failed(error)
            await self._pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return None

    async def _poll(self, consumer: Consumer) -> Sequence[Record]:
        try:
            records = await consumer.poll(max_messages=self._max_messages, max_bytes=self._max_bytes, timeout=0.5)
        except BusError as error:
            self._failed(error)
            await self._pause(1.0)
            return ()
        self.problem = ""
        return records

    async def _until_done(self, consumer: Consumer, records: Sequence[Record]) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            started = time.perf_counter()
            generation = consumer.generation
            try:
                await self._handler(records, generation)
                await consumer.commit(next_offsets(records))
            except (BusError, StoreError) as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - the loop's boundary: a defect must not lose lines
                self._failed(error, defect=True)
            else:
                self.problem = ""
                metrics.STAGE_BATCHES.labels(self.name).inc()
                metrics.STAGE_SECONDS.labels(self.name).observe(time.perf_counter() - started)
                return
            await self._pause(pause)
            if self._stop.is_set() or consumer.generation != generation:
                return  # not committed: whoever reads these partitions next gets the batch again
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _failed(self, error: Exception, *, defect: bool = False) -> None:
        self.problem = str(error) or type(error).__name__
        metrics.STAGE_RETRIES.labels(self.name).inc()
        _log.error("stage.failed", stage=self.name, error=self.problem, exc_info=error if defect else None)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


def next_offsets(records: Sequence[Record]) -> dict[tuple[str, int], int]:
    """What to commit once all of `records` are done."""
    done: dict[tuple[str, int], int] = {}
    for record in records:
        place = (record.topic, record.partition)
        done[place] = max(done.get(place, 0), record.offset + 1)
    return done
