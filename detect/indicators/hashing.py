"""Hashes of texts and of parts of texts, for a whole column at once, without making the parts.

A text s has the hash H(s) = sum of R[s_j] * B^j modulo 2^64 over its bytes, with a random 64-bit number R for each byte value, the same for
a letter in upper and lower case (ASCII). With the running sums of a buffer the hash of any stretch of it costs three operations, and of
two texts written one after the other H(ab) = H(a) + B^len(a) * H(b). So every domain a name lies in, and a URL put together of host and
path, are hashed without a Python object being made.

Hashes find candidates, among them every true one. Whether a candidate is one is decided on the texts: a hash proves nothing, and who
knows R can make two texts of a kilobyte with the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detect.indicators.values import LONGEST

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

_LONGEST: Final = 2 * LONGEST
_PART: Final = 64 << 10  # bytes hashed at a time: the tables of a part stay in the processor's cache
_BASE: Final = 0x9E3779B97F4A7C15
_INVERSE: Final = pow(_BASE, -1, 1 << 64)
_BYTES: Final = _PART + _LONGEST + 1


def _powers(base: int) -> Hashes:
    powers = np.full(_BYTES, base, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


def _of_bytes() -> Hashes:
    numbers = np.random.default_rng(0x626F6E677375).integers(1, 1 << 63, 256, np.uint64) * np.uint64(2) + np.uint64(1)
    numbers[ord("A") : ord("Z") + 1] = numbers[ord("a") : ord("z") + 1]
    return numbers


_POWERS: Final = _powers(_BASE)
_INVERSES: Final = _powers(_INVERSE)
_R: Final = _of_bytes()


@cache
def _table(signs: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(signs)] = True
    return table


SIGNS: Final = b".:/?#@"
"""What the parts of a name or a URL are told by."""
_MARKS: Final = _table(SIGNS)


def mixed(numbers: Hashes) -> Hashes:
    """The numbers, each bit of them spread over all bits (the finaliser of SplitMix64, Steele and others 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


@dataclass(frozen=True, slots=True)
class Hashed:
    """Texts by hash and length, so that more can be written after them."""

    hashes: Hashes
    lengths: Ints

    def then(self, more: Hashed) -> Hashed:
        """Each text with another after it. Together they are at most some 64 KiB."""
        return Hashed(self.hashes + _POWERS[self.lengths] * more.hashes, self.lengths + more.lengths)

    def take(self, places: Ints) -> Hashed:
        return Hashed(self.hashes[places], self.lengths[places])


def constant(text: bytes, where: npt.NDArray[np.bool_]) -> Hashed:
    """`text` where it is asked for, nothing elsewhere."""
    own = np.uint64(sum(int(_R[byte]) * int(_POWERS[place]) for place, byte in enumerate(text)) % (1 << 64))
    return Hashed(np.where(where, own, np.uint64(0)), np.where(where, len(text), 0))


class Part:
    """Some texts of a column: `rows` are their places in it, `start` and `end` their stretches of `data`."""

    def __init__(self, rows: Ints, data: npt.NDArray[np.uint8], start: Ints, end: Ints) -> None:
        self.rows = rows
        self.data = data
        self.start = start
        self.end = end
        self._sums = np.zeros(len(data) + 1, np.uint64)
        np.cumsum(_R[data] * _POWERS[: len(data)], out=self._sums[1:])
        self._marks = np.flatnonzero(_MARKS[data])
        self._marked = data[self._marks]

    def hashed(self, start: Ints, end: Ints) -> Hashed:
        """The stretches of `data`; an end before its start counts as empty."""
        end = np.maximum(start, end)
        return Hashed((self._sums[end] - self._sums[start]) * _INVERSES[start], end - start)

    def places(self, signs: bytes) -> Ints:
        """Where `data` has one of `signs`, which are some of SIGNS."""
        return self._marks[_table(signs)[self._marked]]

    def is_at(self, places: Ints, sign: bytes) -> npt.NDArray[np.bool_]:
        """Whether `sign` is what stands at each place (which may be beyond the end)."""
        return np.asarray(self.data[np.minimum(places, len(self.data) - 1)] == sign[0]) & (places < len(self.data))


def first(places: Ints, start: Ints, end: Ints) -> Ints:
    """Of each stretch the first of the ascending `places` in it; its end when there is none."""
    following: Ints = np.append(places, np.iinfo(np.int64).max)[np.searchsorted(places, start)]
    return np.minimum(following, end)


def after_last(places: Ints, start: Ints, end: Ints) -> Ints:
    """Of each stretch the place after the last of `places` in it; its start when there is none."""
    before = np.append(places, -1)[np.searchsorted(places, end) - 1]
    return np.where((before >= start) & (before < end), before + 1, start)


def parts(column: pa.ChunkedArray | pa.Array) -> Iterator[Part]:
    """The texts of a column that are not empty, some at a time, each at most twice LONGEST bytes of it."""
    texts = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(texts):
        return
    offsets = _offsets(texts)
    lengths = np.diff(offsets)
    if int(lengths.max()) > _LONGEST:
        texts = pc.binary_slice(texts.cast(pa.binary()), 0, _LONGEST)
        offsets = _offsets(texts)
        lengths = np.diff(offsets)
    rows = np.flatnonzero(lengths)
    if not len(rows):
        return
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    start, end = offsets[rows], offsets[rows + 1]
    begin = 0
    while begin < len(rows):
        stop = max(begin + 1, int(np.searchsorted(end, start[begin] + _PART, side="right")))
        base = start[begin]
        yield Part(rows[begin:stop], data[base : end[stop - 1]], start[begin:stop] - base, end[begin:stop] - base)
        begin = stop


def _offsets(texts: Any) -> Ints:
    kind = np.int64 if pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type) else np.int32
    offsets = np.frombuffer(texts.buffers()[1], kind)
    return offsets[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
