"""From matches on the stream to messages of the topic `matches`: each to the shard where all matches of its key come together.

Invariants:
- A pair of correlation and key belongs to one shard for as long as the number of partitions stays.
- All rows of a raw offset that go to a shard are in one message (`core.topics`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core import arrow
from core.bus.contract import Message
from core.engine import Engine, Stream
from core.errors import StoreError
from detect.correlation.members import ROWS, Members
from detect.correlation.resolve import Resolved
from detect.correlation.thinning import thinned
from detect.ruleset import Matches, Plan
from detect.tuning import UNCHANGED, Tunings

Ints = npt.NDArray[np.int64]

_MOST_ROWS: Final = 50_000  # of a message, about
_SHARD: Final = "SELECT CRC32(concat(correlation, group_key)) AS shard FROM Python(rows)"
_KEYED: Final = pa.schema([ROWS.field("correlation"), ROWS.field("group_key")])


def shard_of(correlation: str, key: str, shards: int) -> int:
    """The shard of a correlation's hash and a key."""
    return zlib.crc32((correlation + key).encode()) % shards


def to_shard(shard: int, rows: pa.Table) -> Message:
    """The message of `rows` (of ROWS)."""
    return Message(arrow.encode(rows), partition=shard)


class Dispatcher:
    """For one thread at a time; close it."""

    def __init__(self, resolved: Resolved, plan: Plan, engine: Engine) -> None:
        self._correlations = {correlation.hash: correlation for correlation in resolved.correlations}
        self._members = Members(resolved, plan, engine)
        self._engine = engine
        self._stream: Stream | None = None

    def messages(self, events: pa.Table, matches: Matches, ends: Sequence[int], shards: int, tunings: Tunings = UNCHANGED) -> list[Message]:
        """What of `matches` counts for correlations. `events` are batches that end before `ends`. StoreError: the engine failed.

        `tunings` are thresholds that agencies have of their own: what they need is sent too.
        """
        rows, places = self._members.numbered(events, matches)
        correlations = {one: tunings.widened(correlation) for one, correlation in self._correlations.items()}
        messages: list[Message] = []
        for start, end in _parts(np.searchsorted(places, ends).tolist()):
            part = thinned(rows.slice(start, end - start), correlations)
            of_row = self._shards(part, shards)
            messages += [to_shard(shard, part.filter(pa.array(of_row == shard))) for shard in np.unique(of_row).tolist()]
        return messages

    def _shards(self, rows: pa.Table, shards: int) -> Ints:
        if self._stream is None:
            self._stream = self._engine.stream(_SHARD, _KEYED)
        try:
            crc = self._stream.run(rows.select(_KEYED.names))["shard"]
        except StoreError:
            self._stream.close()
            self._stream = None
            raise
        return crc.to_numpy().astype(np.int64) % shards  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the statements."""
        self._members.close()
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _parts(ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Whole batches of rows together, up to _MOST_ROWS where a batch has no more."""
    start = last = 0
    for end in ends:
        if last > start and end - start > _MOST_ROWS:
            yield start, last
            start = last
        last = end
    if last > start:
        yield start, last
