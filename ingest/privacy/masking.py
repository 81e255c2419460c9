"""Stars over resident registration numbers, card numbers and passwords, before a line is stored or published.

- The length never changes and no line end does: one byte for each byte, so framing and offsets hold. A star for each, but a 9 where JSON
  has a number.
- Nothing is found across a line end.
- What is masked once is not changed by masking it again.

A blob of many lines costs one scan for all patterns (vectorscan, which frees the GIL) and one look at its runs of digits; Python sees
only what they find.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Final

import hyperscan
import numpy as np

from core.clock import Clock
from core.config import MaskingSettings
from ingest.privacy import credentials, numbers, runs
from ingest.privacy.numbers import Found
from ingest.privacy.runs import EDGE, Array
from ingest.privacy.surroundings import is_json_number

RRN: Final = numbers.RRN
CARD: Final = numbers.CARD
PASSWORD: Final = "password"  # noqa: S105 - the name of a class
KINDS: Final = (RRN, CARD, PASSWORD)
_EDGE: Final = b"\n" * EDGE
_LF: Final = ord("\n")
_RUNS: Final = "runs"
_LARGE: Final = 24 << 10  # bytes from which looking for runs of digits by themselves is cheaper


@dataclass(frozen=True, slots=True)
class Masked:
    """Bytes with stars. `counts` tells how many values of each kind were hidden, `places` where they begin, in order."""

    data: bytes
    counts: Mapping[str, int]
    places: Array

    @property
    def lines(self) -> Array:
        """The numbers of the lines that were changed, counted by line ends from 0."""
        if not len(self.places):
            return self.places
        ends = np.flatnonzero(np.frombuffer(self.data, np.uint8) == _LF)
        return np.unique(np.searchsorted(ends, self.places)).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class MaskedLines:
    """Lines with stars, and the places of those that were changed."""

    lines: Sequence[bytes]
    counts: Mapping[str, int]
    changed: Array


_NOTHING: Final = np.zeros(0, np.int64)


class Masker:
    """Masks the kinds its settings leave on. May be used by several threads at once."""

    def __init__(self, settings: MaskingSettings, clock: Clock) -> None:
        self.kinds = frozenset(kind for kind in KINDS if getattr(settings, kind).enabled)
        self._clock = clock
        self._of_thread = threading.local()

    def mask(self, data: bytes) -> Masked:
        """`data` is whole lines joined by LF, in any encoding that leaves ASCII as it is."""
        if not self.kinds or not data:
            return Masked(data, {}, _NOTHING)
        buffer = b"".join((_EDGE, data, _EDGE))
        everything = list(_outermost(self._found(buffer, self._clock.now())))
        if not everything:
            return Masked(data, {}, _NOTHING)
        masked = bytearray(buffer)
        counts: Counter[str] = Counter()
        places = []
        for found in everything:
            fill = b"9" if is_json_number(buffer, found.start, found.stop) else b"*"
            for start, stop in found.hidden:
                masked[start:stop] = fill * (stop - start)
            if masked[found.start : found.stop] != buffer[found.start : found.stop]:
                counts[found.kind] += 1
                places.append(found.start - EDGE)
        return Masked(bytes(memoryview(masked)[EDGE:-EDGE]), counts, np.array(places, np.int64))

    def mask_lines(self, lines: Sequence[bytes]) -> MaskedLines:
        """As `mask`, for separate lines, each of which may hold an LF."""
        masked = self.mask(b"\n".join(lines))
        if not masked.counts:
            return MaskedLines(lines, {}, _NOTHING)
        ends = np.cumsum([len(line) + 1 for line in lines])
        cut = [masked.data[start : stop - 1] for start, stop in pairwise([0, *ends.tolist()])]
        return MaskedLines(cut, masked.counts, np.unique(np.searchsorted(ends, masked.places, side="right")).astype(np.uint32))

    def _found(self, buffer: bytes, now: datetime) -> Iterator[Found]:
        """What to hide in `buffer`, some of it inside other or twice, in no order."""
        hits = self._scan(buffer)
        if self.kinds & {RRN, CARD}:
            if len(buffer) > _LARGE:
                yield from numbers.bare(buffer, *runs.find(buffer), self.kinds, now)
            elif _RUNS in hits:
                yield from numbers.bare(buffer, *runs.ending(buffer, hits.pop(_RUNS)), self.kinds, now)
        for name, stops in hits.items():
            if name in numbers.PATTERNS:
                yield from numbers.grouped(buffer, name, stops, now)
                continue
            for stop in stops:
                place = credentials.value(buffer, name, stop)
                if place:
                    yield Found(PASSWORD, *place, (place,))

    def _scan(self, buffer: bytes) -> dict[str, list[int]]:
        """Where each pattern is found to end."""
        database, names = _database(self.kinds, len(buffer) <= _LARGE)
        hits: dict[str, list[int]] = defaultdict(list)

        def collect(number: int, _start: int, stop: int, _flags: int, _context: object) -> None:
            hits[names[number]].append(stop)

        database.scan(buffer, match_event_handler=collect, scratch=self._scratch(database))
        return hits

    def _scratch(self, database: hyperscan.Database) -> hyperscan.Scratch:
        """What a scan writes into: one for each thread and database."""
        scratches: dict[hyperscan.Database, hyperscan.Scratch] = self._of_thread.__dict__.setdefault("scratches", {})
        if database not in scratches:
            scratches[database] = hyperscan.Scratch(database)
        return scratches[database]


def _outermost(everything: Iterable[Found]) -> Iterator[Found]:
    """In the order of where they begin, without what lies inside another of its kind."""
    reach = dict.fromkeys(KINDS, 0)
    for found in sorted(everything, key=lambda one: (one.start, -one.stop)):
        if found.stop > reach[found.kind]:
            yield found
            reach[found.kind] = found.stop


@lru_cache
def _database(kinds: frozenset[str], with_runs: bool) -> tuple[hyperscan.Database, tuple[str, ...]]:
    """The compiled patterns of `kinds`, and their names by the number a scan reports."""
    patterns = {name: pattern for name, (pattern, layout) in numbers.PATTERNS.items() if layout.kind in kinds}
    if PASSWORD in kinds:
        patterns |= credentials.PATTERNS
    if with_runs and kinds & {RRN, CARD}:
        patterns[_RUNS] = runs.PATTERN
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    expressions = [pattern.encode() for pattern in patterns.values()]
    database.compile(expressions, ids=list(range(len(patterns))), elements=len(patterns), flags=hyperscan.HS_FLAG_CASELESS)
    return database, tuple(patterns)
