"""The normalise stage: a handler for `core.stage.Stage` on `logs.raw`, producing to `events` and `quarantine`.

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


class NormaliseStage:
    """`handle` is the handler."""

    def __init__(self, bus: Bus, normaliser: Normaliser) -> None:
        self._bus = bus
        self._normaliser = normaliser
        self._epoch = ""

    async def handle(self, records: Sequence[Record], generation: int) -> None:  # noqa: ARG002 - nothing is kept of a partition
        """Parse `records` and produce the rows; durable on return."""
        if not self._epoch:
            self._epoch = await self._bus.epoch(topics.LOGS_RAW)
        events, quarantine = await asyncio.to_thread(self._messages, records)
        if quarantine:
            await self._bus.produce(topics.QUARANTINE, quarantine)
        if events:
            await self._bus.produce(topics.EVENTS, events)

    async def close(self) -> None:
        """Free what the engine holds for it; call when no `handle` is under way."""
        await asyncio.to_thread(self._normaliser.close)

    def _messages(self, records: Sequence[Record]) -> tuple[list[Message], list[Message]]:
        events: list[Message] = []
        quarantine: list[Message] = []
        for partition, ordered in groupby(sorted(records, key=attrgetter("partition")), key=attrgetter("partition")):
            done: Normalised = self._normaliser.normalise(list(ordered), self._epoch)
            events += [Message(arrow.encode(rows), partition=partition) for rows in _whole_offsets(done.events)]
            quarantine += [Message(arrow.encode(rows), partition=partition) for rows in _whole_offsets(done.quarantine)]
        return events, quarantine


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
