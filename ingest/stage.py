"""The normalise stage: a handler for `core.stage.Stage` on `logs.raw`, producing to `events` and `quarantine`.

A batch is shared out to several threads, each with a normaliser of its own: what a line becomes does not depend on the lines before it.

What comes of partition p goes to partition p, in the order of the lines, and a message holds all rows of each raw offset it touches: the
invariant of `core.topics` by which readers recognise a repeated delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import attrgetter

import numpy as np
import pyarrow as pa

from core import arrow, topics
from core.bus.contract import Bus, Message, Record
from ingest.normalise import Normalised, Normaliser

_LARGEST_MESSAGE = 8 << 20  # bytes of Arrow buffers before compression; one raw offset may be more
_SMALLEST_SHARE = 64 << 10  # bytes as on the bus, mostly compressed: less is not worth a thread


class NormaliseStage:
    """`handle` is the handler."""

    def __init__(self, bus: Bus, normalisers: Sequence[Normaliser]) -> None:
        """Takes `normalisers` over, one for each thread it may use."""
        self._bus = bus
        self._normalisers = tuple(normalisers)
        self._epoch = ""

    async def handle(self, records: Sequence[Record], generation: int) -> None:  # noqa: ARG002 - nothing is kept of a partition
        """Parse `records` and produce the rows; durable on return."""
        if not self._epoch:
            self._epoch = await self._bus.epoch(topics.LOGS_RAW)
        shares = _shares(records, len(self._normalisers))
        work = [asyncio.to_thread(self._messages, *one) for one in zip(self._normalisers, shares, strict=False)]
        await asyncio.wait(tasks := [asyncio.create_task(one) for one in work])  # all, before the batch may be tried again
        done = [task.result() for task in tasks]
        events = [message for one in done for message in one[0]]
        quarantine = [message for one in done for message in one[1]]
        if quarantine:
            await self._bus.produce(topics.QUARANTINE, quarantine)
        if events:
            await self._bus.produce(topics.EVENTS, events)

    async def close(self) -> None:
        """Free what the engine holds for it; call when no `handle` is under way."""
        for normaliser in self._normalisers:
            await asyncio.to_thread(normaliser.close)

    def _messages(self, normaliser: Normaliser, records: Sequence[Record]) -> tuple[list[Message], list[Message]]:
        events: list[Message] = []
        quarantine: list[Message] = []
        for partition, ordered in groupby(records, key=attrgetter("partition")):
            done: Normalised = normaliser.normalise(list(ordered), self._epoch)
            events += [Message(arrow.encode(rows), partition=partition) for rows in _whole_offsets(done.events)]
            quarantine += [Message(arrow.encode(rows), partition=partition) for rows in _whole_offsets(done.refused)]
        return events, quarantine


def _shares(records: Sequence[Record], most: int) -> list[list[Record]]:
    """`records` by partition, cut into at most so many pieces of about the same size."""
    ordered = sorted(records, key=attrgetter("partition"))
    sizes = np.cumsum([len(record.value) for record in ordered])
    pieces = max(1, min(most, int(sizes[-1]) // _SMALLEST_SHARE, len(ordered)))
    edges = [0, *(np.searchsorted(sizes, sizes[-1] * np.arange(1, pieces) / pieces) + 1).tolist(), len(ordered)]
    return [ordered[start:stop] for start, stop in pairwise(edges) if stop > start]


def _whole_offsets(rows: pa.Table) -> Iterator[pa.Table]:
    """`rows` in pieces of a bounded size, cut only between raw offsets."""
    if not rows.num_rows:
        return
    pieces = -(-rows.nbytes // _LARGEST_MESSAGE)
    offsets = rows.column("raw_offset").to_numpy()
    starts = np.flatnonzero(np.diff(offsets)) + 1
    wanted = np.arange(1, pieces) * rows.num_rows // pieces
    cuts = np.unique(starts[np.clip(np.searchsorted(starts, wanted), 0, len(starts) - 1)]) if len(starts) else starts
    edges = [0, *cuts.tolist(), rows.num_rows]
    for start, stop in pairwise(edges):
        yield rows.slice(start, stop - start)
