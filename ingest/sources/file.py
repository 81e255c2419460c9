"""Replay of a file or of standard input: plain, gzip or zstd, recognised by its first bytes.

Reads in large chunks and holds back when the bus does. What was read is on the bus when `replay` returns; after an error or a
cancellation part of it is, and a second replay brings those lines a second time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path

from core import metrics
from core.events import IntakeFlag
from ingest.framing import Framed, Framer, Framing
from ingest.inflate import Inflater, recognise
from ingest.rawbatch import Origin
from ingest.sources.intake import Intake

_CHUNK = 1 << 20
_WINDOW = 16 << 20  # bytes of lines read and not yet durable

Progress = Callable[[int, int, int], None]
"""Called with the bytes read of the file as it lies there, its size (0: unknown), and the lines that are durable."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay put on the bus. `truncated` of the `lines` were cut; `empty` ones were passed over; `bytes_read` of the file."""

    lines: int
    truncated: int
    empty: int
    bytes_read: int


async def replay(source: Path | BufferedReader, origin: Origin, intake: Intake, on_progress: Progress | None = None) -> Replayed:
    """Put every line of `source` (a path, or an open stream such as `sys.stdin.buffer`) on the bus; all durable on return.

    OSError when it cannot be read, BadCompression when its compression is damaged (what came before is kept), BusUnavailable when the
    intake closes meanwhile. A full bus only makes it wait.
    """
    if not isinstance(source, Path):
        return await _Replay(source, 0, origin, intake, on_progress).run()
    file, size = await asyncio.to_thread(_opened, source)
    with file:
        return await _Replay(file, size, origin, intake, on_progress).run()


def _opened(path: Path) -> tuple[BufferedReader, int]:
    return path.open("rb"), path.stat().st_size


class _Replay:
    def __init__(self, file: BufferedReader, size: int, origin: Origin, intake: Intake, on_progress: Progress | None) -> None:
        self._file = file
        self._size = size
        self._origin = origin
        self._cut_origin = replace(origin, flags=origin.flags | IntakeFlag.TRUNCATED)
        self._intake = intake
        self._on_progress = on_progress
        self._bytes_read = 0
        self._truncated = 0
        self._empty = 0
        self._durable = 0
        self._pending: deque[tuple[asyncio.Future[None], int, int]] = deque()
        self._pending_bytes = 0

    async def run(self) -> Replayed:
        framer = Framer(self._intake.settings.max_line_bytes, Framing.LF)
        async for data in self._plain():
            self._take(framer.feed(data))
            await self._until_pending(_WINDOW)
        self._take(framer.end())
        await self._until_pending(0)
        metrics.LINES_EMPTY.labels(self._origin.transport).inc(self._empty)
        return Replayed(self._durable, self._truncated, self._empty, self._bytes_read)

    async def _plain(self) -> AsyncIterator[bytes]:
        """The content, decompressed."""
        chunk = await self._chunk()
        encoding = recognise(chunk)
        inflater = Inflater(encoding) if encoding else None
        while chunk:
            for data in inflater.feed(chunk) if inflater else (chunk,):
                yield data
            chunk = await self._chunk()
        if inflater:
            inflater.finish()

    async def _chunk(self) -> bytes:
        chunk = await asyncio.to_thread(self._file.read1, _CHUNK)
        self._bytes_read += len(chunk)
        return chunk

    def _take(self, framed: Framed) -> None:
        if framed.lines:
            self._track(self._intake.offer(self._origin, framed.blob, framed.lines, insist=True), framed.lines, len(framed.blob))
        if framed.cut:
            lines = len(framed.cut)
            self._truncated += lines
            self._track(self._intake.offer_lines(self._cut_origin, framed.cut, insist=True), lines, sum(map(len, framed.cut)))
        self._empty += framed.empty

    def _track(self, future: asyncio.Future[None], lines: int, size: int) -> None:
        self._pending.append((future, lines, size))
        self._pending_bytes += size

    async def _until_pending(self, most: int) -> None:
        """Wait until at most so many bytes are not yet durable."""
        while self._pending and (self._pending_bytes > most or self._pending[0][0].done()):
            future, lines, size = self._pending.popleft()
            await asyncio.shield(future)
            self._pending_bytes -= size
            self._durable += lines
        if self._on_progress is not None:
            self._on_progress(self._bytes_read, self._size, self._durable)
