"""The one way onto `logs.raw`: lines of many senders gathered into batches, and each sender told when its lines are durable.

- Lines of one Origin share a batch until it is full (`batch_lines`, `batch_bytes`) or its first line has waited `linger_ms`; then the
  batches of all origins that are ready go to the bus in one write, so a thousand quiet connections cost one.
- Order per origin is kept: an origin has one write under way at a time, and several origins may be written at once.
- What is offered and not yet durable is bounded: `congested` tells a sender to stop, `submit` waits by itself.
- What must never be stored is masked here (`ingest.privacy`), where lines of every kind of source pass on their way to the bus.
- A sender that can be held back (a TCP connection, a file) *insists*: its lines are tried again until the bus takes them. Any other
  (HTTP, UDP) is told BusFull or BusUnavailable after some seconds. The two never share a write, and neither can use up the other's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain

import structlog

from core import metrics, topics
from core.bus.contract import Bus, Message
from core.clock import Clock
from core.config import IntakeSettings
from core.errors import BusError, BusFull, BusUnavailable
from core.events import IntakeFlag
from ingest import rawbatch
from ingest.privacy.masking import Masker
from ingest.rawbatch import Masking, Origin

_LF = b"\n"
_WRITES_AT_ONCE = 4  # of those who insist, and as many of the others
_INSISTING = 12  # an insisting write gives the bus so many times longer: a write that is given up too early may come twice
_HELD_BATCHES = 16  # this many full batches may be held before senders are made to wait
_UNTHREADED_BYTES = 16384  # below this, building messages takes less than handing them to a thread
_log = structlog.get_logger()


class _Batch:
    """Lines of one origin on their way. `apart`: `parts` are single lines, of which one holds an LF; else they are blobs."""

    __slots__ = ("_encoded", "apart", "done", "insist", "lines", "masked", "origin", "parts", "received_at", "size")

    def __init__(self, origin: Origin, insist: bool, received_at: datetime, done: asyncio.Future[None]) -> None:
        self.origin = origin
        self.insist = insist
        self.received_at = received_at
        self.done = done
        self.parts: list[bytes] = []
        self.apart = False
        self.lines = 0
        self.size = 0
        self.masked: Mapping[str, int] = {}
        self._encoded: Message | None = None

    def add(self, parts: Sequence[bytes], apart: bool, lines: int, size: int) -> None:
        if apart and not self.apart:
            self.parts = [line for blob in self.parts for line in blob.split(_LF)]
            self.apart = True
        if self.apart and not apart:
            parts = list(chain.from_iterable(blob.split(_LF) for blob in parts))
        self.parts.extend(parts)
        self.lines += lines
        self.size += size

    def message(self, masker: Masker) -> Message:
        """The batch as it is written, masked; made once, from then on nothing can be added."""
        if self._encoded is None:
            self._encoded = self._masked_apart(masker) if self.apart else self._masked_blob(masker)
            self.parts.clear()
        return self._encoded

    def _masked_blob(self, masker: Masker) -> Message:
        masked = masker.mask(_LF.join(self.parts))
        self.masked = masked.counts
        return rawbatch.message_of_blob(self.origin, self.received_at, masked.data, self.lines, Masking.of(masker.kinds, masked.lines))

    def _masked_apart(self, masker: Masker) -> Message:
        masked = masker.mask_lines(self.parts)
        self.masked = masked.counts
        return rawbatch.message(self.origin, self.received_at, masked.lines, Masking.of(masker.kinds, masked.changed))


_Lane = tuple[Origin, bool]


class Intake:
    """Gathers lines and writes them to `logs.raw`. Used on one event loop; nothing here blocks it."""

    def __init__(self, bus: Bus, settings: IntakeSettings, clock: Clock, *, write_seconds: float = 5.0) -> None:
        """`write_seconds`: how long a write or a sender that cannot be held back waits for a full bus."""
        self._bus = bus
        self._write_seconds = write_seconds
        self._settings = settings
        self._clock = clock
        self._masker = Masker(settings.masking, clock)
        self._waiting: dict[_Lane, deque[_Batch]] = {}
        self._busy: set[_Lane] = set()
        self._writes: dict[bool, set[asyncio.Task[None]]] = {True: set(), False: set()}
        self._timer: asyncio.TimerHandle | None = None
        self._held = 0
        self._held_limit = _HELD_BATCHES * settings.batch_bytes
        self._room = asyncio.Event()
        self._room.set()
        self._closing = asyncio.Event()

    @property
    def settings(self) -> IntakeSettings:
        return self._settings

    @property
    def congested(self) -> bool:
        """So much is held that senders must stop for a while."""
        return self._held > self._held_limit

    async def submit(self, origin: Origin, blob: bytes, lines: int, *, insist: bool = False) -> None:
        """Take `lines` whole lines joined by LF; returns when they are durable.

        Waits while too much is held. Without `insist` raises BusFull or BusUnavailable after some seconds; the caller then holds the
        lines still and answers its sender. With it, waits for as long as it takes; BusUnavailable only when the intake closes.
        """
        await self._until_room(insist)
        await asyncio.shield(self.offer(origin, blob, lines, insist=insist))

    async def submit_lines(self, origin: Origin, lines: Sequence[bytes], *, insist: bool = False) -> None:
        """As `submit`, for separate lines, each of which may hold an LF."""
        await self._until_room(insist)
        await asyncio.shield(self.offer_lines(origin, lines, insist=insist))

    def offer(self, origin: Origin, blob: bytes, lines: int, *, insist: bool = False) -> asyncio.Future[None]:
        """As `submit` without waiting: the future ends when the lines are durable, and is shared with other lines; never cancel it.

        For callers that look at `congested` and then stop offering.
        """
        return self._add((origin, insist), (blob,), False, lines, len(blob))

    def offer_lines(self, origin: Origin, lines: Sequence[bytes], *, insist: bool = False) -> asyncio.Future[None]:
        """As `offer`, for separate lines, each of which may hold an LF."""
        blob = _LF.join(lines)
        if blob.count(_LF) == len(lines) - 1:
            return self.offer(origin, blob, len(lines), insist=insist)
        return self._add((origin, insist), lines, True, len(lines), len(blob))

    async def close(self) -> None:
        """Write what is held, then return. What the bus does not take within some seconds is told to its senders."""
        self._closing.set()
        while self._waiting or any(self._writes.values()):
            self._flush(everything=True)
            done, late = await asyncio.wait(self._writes[True] | self._writes[False], timeout=self._write_seconds)
            if not done:
                for write in late:
                    write.cancel()
        if self._timer is not None:
            self._timer.cancel()

    async def _until_room(self, insist: bool) -> None:
        if not self.congested:
            return
        try:
            await asyncio.wait_for(self._room.wait(), None if insist else self._write_seconds)
        except TimeoutError:
            raise BusFull("too much is waiting for the bus") from None

    def _add(self, lane: _Lane, parts: Sequence[bytes], apart: bool, lines: int, size: int) -> asyncio.Future[None]:
        if self._closing.is_set():
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            _fail(refused, _closed())
            return refused
        queue = self._waiting.get(lane)
        if queue is None:
            queue = self._waiting[lane] = deque()
        if not queue or self._is_full(queue[-1], lines, size):
            queue.append(_Batch(*lane, self._clock.now(), asyncio.get_running_loop().create_future()))
        batch = queue[-1]
        batch.add(parts, apart, lines, size)
        self._held += size
        if self.congested:
            self._room.clear()
        if self._is_ready(queue) and lane not in self._busy:
            self._flush(everything=False)
        else:
            self._set_timer()
        return batch.done

    def _is_full(self, batch: _Batch, lines: int, size: int) -> bool:
        """Whether so much more would not go in."""
        return batch.lines + lines > self._settings.batch_lines or batch.size + size > self._settings.batch_bytes

    def _is_ready(self, queue: deque[_Batch]) -> bool:
        return len(queue) > 1 or self._is_full(queue[0], 1, 1)

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._settings.linger_ms / 1000, self._linger_over)

    def _linger_over(self) -> None:
        self._timer = None
        self._flush(everything=True)

    def _flush(self, *, everything: bool) -> None:
        """Start writing the lanes that are free and ready: all with `everything`, else those with a full batch."""
        free = [lane for lane in self._waiting if lane not in self._busy]
        ready = free if everything else [lane for lane in free if self._is_ready(self._waiting[lane])]
        for insist, writes in self._writes.items():
            lanes = [lane for lane in ready if lane[1] is insist]
            if not lanes or len(writes) >= _WRITES_AT_ONCE:
                continue  # the write that ends first comes here again
            batches = [batch for lane in lanes for batch in self._waiting.pop(lane)]
            self._busy.update(lanes)
            write = asyncio.get_running_loop().create_task(self._write(batches, insist))
            writes.add(write)
            write.add_done_callback(self._written)

    def _written(self, write: asyncio.Task[None]) -> None:
        for writes in self._writes.values():
            writes.discard(write)
        self._flush(everything=False)
        if self._waiting:
            self._set_timer()

    async def _write(self, batches: list[_Batch], insist: bool) -> None:
        """Write batches until the bus has them, or their senders know that it has not."""
        error: BusError | None = None
        try:
            while True:
                error = await self._try(batches, insist)
                if error is None or not insist or self._closing.is_set():
                    break
                await self._pause(error.retry_after if isinstance(error, BusFull) else 1.0)
        except asyncio.CancelledError:
            error = _closed()
            raise
        except Exception as defect:  # noqa: BLE001 - a write's boundary: whatever it was, senders must be told
            _log.error("intake.write_failed", error=str(defect), exc_info=defect)
            error = BusUnavailable(f"writing failed: {defect}")
        finally:
            self._settle(batches, error)

    async def _try(self, batches: list[_Batch], insist: bool) -> BusError | None:
        """Write once; why it may succeed later, or None when the batches are durable."""
        if sum(batch.size for batch in batches) > _UNTHREADED_BYTES:
            messages = await asyncio.to_thread(_messages, batches, self._masker)
        else:
            messages = _messages(batches, self._masker)
        try:
            await self._bus.produce(topics.LOGS_RAW, messages, timeout=self._write_seconds * (_INSISTING if insist else 1))
        except (BusFull, BusUnavailable) as error:
            _log.warning("intake.bus_refuses", error=str(error), insist=insist)
            return error
        return None

    def _settle(self, batches: list[_Batch], error: BusError | None) -> None:
        for batch in batches:
            self._busy.discard((batch.origin, batch.insist))
            self._held -= batch.size
            if error is not None:
                _fail(batch.done, error)
                continue
            _count(batch)
            batch.done.set_result(None)
        if not self.congested:
            self._room.set()

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try, but not once the intake is closing."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return


def _messages(batches: list[_Batch], masker: Masker) -> list[Message]:
    return [batch.message(masker) for batch in batches]


def _closed() -> BusUnavailable:
    return BusUnavailable("the intake is closing")


def _fail(done: asyncio.Future[None], error: BusError) -> None:
    done.set_exception(error)
    done.exception()  # a sender that is gone does not ask; that is no defect


def _count(batch: _Batch) -> None:
    origin = batch.origin
    metrics.LINES_RECEIVED.labels(origin.transport, origin.agency).inc(batch.lines)
    metrics.BYTES_RECEIVED.labels(origin.transport, origin.agency).inc(batch.size)
    for kind, values in batch.masked.items():
        metrics.MASKED.labels(kind, origin.agency).inc(values)
    if origin.flags & IntakeFlag.TRUNCATED:
        metrics.LINES_TRUNCATED.labels(origin.transport).inc(batch.lines)
