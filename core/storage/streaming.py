"""Streaming results from blocking generators to coroutines, for every implementation of the store.

Each stream has a thread: the generator's steps and its close run there one after another, so a cancelled consumer never closes a
generator in the middle of a step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pyarrow as pa

from core.errors import StoreError

STREAMING: Final = {"max_result_rows": 0, "max_block_size": 8192}
"""Engine settings of a stream: no limit of rows, and pieces small enough that the engine holds little of the result at a time."""

Batches = Generator[pa.RecordBatch, None, None]


class Streams:
    """The open streams of a store."""

    def __init__(self) -> None:
        self._open: set[_Stream] = set()

    async def batches(self, make: Callable[[], Batches]) -> AsyncGenerator[pa.RecordBatch, None]:
        """What the generator of `make` gives. Closing the iterator closes the generator, which releases all it holds."""
        stream = _Stream(make)
        self._open.add(stream)
        try:
            while (batch := await asyncio.wrap_future(stream.next())) is not None:
                yield batch
        finally:
            stream.close().add_done_callback(lambda _: self._open.discard(stream))

    async def close(self) -> None:
        """End all streams and wait until they have released what they held; a consumer still reading gets StoreError."""
        for stream in tuple(self._open):
            await asyncio.wrap_future(stream.close())


class _Stream:
    def __init__(self, make: Callable[[], Batches]) -> None:
        self._thread = ThreadPoolExecutor(1, "store-stream")
        self._batches = make()
        self._end: Future[None] | None = None

    def next(self) -> Future[pa.RecordBatch | None]:
        """The next batch, None after the last."""
        if self._end is not None:
            raise StoreError("the store is closed")
        return self._thread.submit(next, self._batches, None)

    def close(self) -> Future[None]:
        """Close the generator after the step under way."""
        if self._end is None:
            self._end = self._thread.submit(self._batches.close)
            self._thread.shutdown(wait=False)
        return self._end
