"""From matches on the stream to messages of the topic `matches`: each to the shard where all matches of its key come together.

Invariants:
- A pair of correlation and key belongs to one shard for as long as the number of partitions stays.
- All rows of a raw offset that go to a shard are in one message (`core.topics`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core import arrow
from core.bus.contract import Message
from core.engine import Engine, Stream
from core.errors import StoreError
from detect.correlation.definition import Kind
from detect.correlation.members import ROWS, Counted, Group, Members
from detect.correlation.resolve import Resolved
from detect.correlation.thinning import of_codes
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
        self._members = Members(resolved, plan, engine)
        self._engine = engine
        self._stream: Stream | None = None

    def messages(self, events: pa.Table, matches: Matches, ends: Sequence[int], shards: int, tunings: Tunings = UNCHANGED) -> list[Message]:
        """What of `matches` counts for correlations. `events` are batches that end before `ends`. StoreError: the engine failed.

        `tunings` are thresholds that agencies have of their own: what they need is sent too.
        """
        counted = self._members.counted(events, matches)
        cuts = _cuts(ends, sum((np.searchsorted(group.places, ends) for group in counted.groups), np.zeros(len(ends), np.int64)).tolist())
        needed = counted.only(self._thinned(events, counted, cuts, tunings))
        if not len(needed.places):
            return []
        of_row = self._shards(needed, shards)
        messages: list[Message] = []
        for start, end in pairwise([0, *np.searchsorted(needed.places, cuts).tolist()]):
            for shard in np.unique(of_row[start:end]).tolist():
                messages.append(to_shard(shard, needed.rows(start + np.flatnonzero(of_row[start:end] == shard))))
        return messages

    def _thinned(self, events: pa.Table, counted: Counted, cuts: Sequence[int], tunings: Tunings) -> list[Group]:
        """What is needed of the matches, those of a message by themselves: one that is lost and made again counts what it lacks."""
        at, received = (events[name].cast(pa.int64()).to_numpy() for name in ("event_time", "received_at"))
        found = []
        for group in counted.groups:
            one = tunings.widened(group.correlation)
            said = counted.value_codes(group) if one.kind is Kind.VALUE_COUNT else group.members
            times = at[group.places], received[group.places]
            keys = counted.key_codes(group)
            if len(cuts) > 1:
                keys = np.unique(keys, return_inverse=True)[1] * len(cuts) + np.searchsorted(cuts, group.places, side="right")
            fewer = of_codes(one, keys, said, times, group.stands_for)
            found.append(group if fewer is None else replace(group, stands_for=fewer.stands_for).taken(fewer.kept))
        return found

    def _shards(self, counted: Counted, shards: int) -> Ints:
        """The shard of each row."""
        if self._stream is None:
            self._stream = self._engine.stream(_SHARD, _KEYED)
        try:
            crc = self._stream.run(counted.keyed())["shard"]
        except StoreError:
            self._stream.close()
            self._stream = None
            raise
        return counted.in_order(crc.to_numpy().astype(np.int64) % shards)

    def close(self) -> None:
        """End the statements."""
        self._members.close()
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _cuts(ends: Sequence[int], rows: Sequence[int]) -> list[int]:
    """Those of `ends` of batches at which a message ends: it has up to _MOST_ROWS, where a batch has no more. `rows`: those until each."""
    cuts: list[int] = []
    start = last = 0
    for place, count in enumerate(rows):
        if last > start and count - start > _MOST_ROWS:
            cuts.append(ends[place - 1])
            start = last
        last = count
    return [*cuts, ends[-1]]
