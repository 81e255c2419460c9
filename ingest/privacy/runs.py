"""Runs of digits that are neither longer nor part of a word, found in a buffer without looking at every byte twice.

A run of 13 digits or more holds, wherever it begins, two whole aligned words of four digits in a row: the buffer is looked through four
bytes at a time, and only where two such words meet is anything looked at closely (`find`). That has a fixed cost of some hundred
microseconds, so in a small buffer the scan for all else looks for runs, too (`PATTERN`, `ending`).

A run after a percent-encoded byte (`%20`) begins after it, though that ends in a digit.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

EDGE: Final = 32
"""Bytes that must lie before the first and after the last byte looked at, none of them a digit."""

PATTERN: Final = r"(?:[^0-9]|%[0-9a-f]{2})(?:\d\d[01]\d{10}|[2-9]\d{13,18})[^0-9]"
"""Ends one byte after a run that may be a number of `ingest.privacy.identifiers`."""

_SHORTEST: Final = 13
_LONGEST: Final = 19
_HIGH: Final = np.uint32(0xF0F0F0F0)
_THREES: Final = np.uint32(0x30303030)
_SIXES: Final = np.uint32(0x06060606)  # carries a nibble above 9 over
_NINE: Final = np.uint8(9)
_ZERO: Final = np.uint8(ord("0"))
_ONE: Final = np.uint8(ord("1"))
_PERCENT: Final = ord("%")
_ENCODED: Final = 2  # digits of a percent-encoded byte
_WINDOW: Final = _LONGEST + _ENCODED + 1


def find(buffer: bytes) -> tuple[Array, Array]:
    """Where runs of 13 to 19 digits that may be numbers begin in `buffer`, and how long they are; `buffer` has edges of EDGE bytes."""
    octets = np.frombuffer(buffer, np.uint8)
    starts = _starts(octets, _pairs(buffer) * 4)
    month, issuer = octets[starts + 2] <= _ONE, octets[starts] > _ONE  # of a registration number, of a card
    return _measured(octets, starts[month | issuer | (octets[starts - 1] == _PERCENT)])


def ending(buffer: bytes, stops: list[int]) -> tuple[Array, Array]:
    """As `find`, for the runs that `PATTERN` found to end before `stops`."""
    starts = []
    for stop in stops:
        start = stop - 1
        while stop - start < _WINDOW and buffer[start - 1 : start].isdigit():
            start -= 1
        starts.append(start)
    return _measured(np.frombuffer(buffer, np.uint8), np.array(starts, np.int64))


def _measured(octets: Array, starts: Array) -> tuple[Array, Array]:
    """Where the runs of 13 to 19 digits among those that begin at `starts` begin, and how long they are."""
    if not starts.size:
        return starts, starts
    windows = np.lib.stride_tricks.sliding_window_view(octets, _WINDOW)[starts]
    others = windows - _ZERO > _NINE
    lengths = np.where(others.any(axis=1), others.argmax(axis=1), _WINDOW)
    encoded = octets[starts - 1] == _PERCENT
    starts = starts + _ENCODED * encoded
    lengths = lengths - _ENCODED * encoded
    kept = (lengths >= _SHORTEST) & (lengths <= _LONGEST)
    return starts[kept], lengths[kept]


def _pairs(buffer: bytes) -> Array:
    """Of the aligned words that are digits and are followed by another such word, the first of each run."""
    words = np.frombuffer(buffer, np.uint32, len(buffer) // 4)
    likely = (words & _HIGH) == _THREES  # bytes 0x30 to 0x3F
    pairs = np.flatnonzero(likely[1:] & likely[:-1])
    pairs = pairs[_are_digits(words[pairs]) & _are_digits(words[pairs + 1])]
    return pairs[np.diff(pairs, prepend=-2) > 1]


def _are_digits(words: Array) -> Array:
    return np.asarray(((words + _SIXES) & _HIGH) == _THREES)  # the higher nibbles are threes already


def _starts(octets: Array, at: Array) -> Array:
    """Where the runs begin that hold eight digits at `at`. Those that are too short by far are left out."""
    for near in (8, 9):  # at most three of 13 digits lie before the eight
        at = at[octets[at + near] - _ZERO <= _NINE]
    for _ in range(3):
        at = at - (octets[at - 1] - _ZERO <= _NINE)
    return at
