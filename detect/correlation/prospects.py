"""Which new matches may make a correlation fire, told without asking the store.

Of each correlation whose condition has lower bounds only, memory holds for every bucket how many matches it has by a hash of their keys (of
a value_count how many values, told apart by 64 bits of a hash; of types that ask which members matched: which). Keys may share a cell, so a
cell tells at least what is true of each of them. A window is as long as a bucket and touches two that follow each other; where neither pair
of such cells around a match comes to what the condition wants, no window that holds the match completes anything.

Invariants:
- What is known of a bucket is at least what the store holds of it: it is read from there when a match first comes near it, before that
  match is written, and counted with every match after that. Who may have missed a match forgets everything.
- What is not known may fire. So this spares questions, and decides nothing.
- Memory is bounded: buckets that were not used for longest are forgotten.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.errors import QueryTooCostly
from core.storage import correlation_queries as queries
from core.storage.contract import Store
from detect.correlation.definition import Bound, Correlation, Kind
from detect.correlation.thinning import least
from detect.correlation.windows import bounds_of, chain
from detect.tuning import UNCHANGED, Tunings

Ints = npt.NDArray[np.int64]
Cells = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

_BITS: Final = (12, 16, 20)  # of a key's hash that choose its cell; a bucket grows from one to the next
_HASH_BITS: Final = 32
_LOAD: Final = 16  # a cell is to hold that fraction of what a condition wants of one key
_OF_STORED: Final = 4  # taken for what is wanted of what is read: four cells for each that is not empty
_MOST_CELLS: Final = 32 << 20  # of four bytes, in all buckets, but for
_FEWEST_BUCKETS: Final = 64  # which are always kept: more than a batch of the present touches
_MOST_SEEN: Final = 1 << 18  # values of a bucket
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_MOST_BUCKETS: Final = 4096
_MOST_READ: Final = 1000  # buckets of one timespan that are read together
_MEMBERS: Final = (Kind.TEMPORAL, Kind.TEMPORAL_ORDERED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a window must hold at least: so many matches, or where `members` has bits so many of these."""

    least: int
    members: int = 0


def wanted(correlation: Correlation, tunings: Tunings) -> Wanted | None:
    """What fires `correlation` at the agency where it takes least; None: that cannot be told of a count."""
    alternatives = [bounds_of(correlation), *tunings.others(correlation)]
    if not all(bound.relation in (">", ">=") for bounds in alternatives for bound in bounds):
        return None
    lowest = min(_highest(bounds) for bounds in alternatives)
    match correlation.kind:
        case Kind.EVENT_COUNT | Kind.VALUE_COUNT:
            return Wanted(lowest)
        case Kind.TEMPORAL | Kind.TEMPORAL_ORDERED if correlation.condition is None:
            return Wanted(lowest, sum(1 << member for member in chain(correlation)))
        case _:
            return None


def _highest(bounds: Sequence[Bound]) -> int:
    return max(least(bound) for bound in bounds)


class _Tally:
    """The cells of one correlation and bucket."""

    __slots__ = ("_bits", "_room", "_seen", "cells")

    def __init__(self) -> None:
        self._seen: Hashes = np.empty(0, np.uint64)
        self._bits = _BITS[0]
        self._room = 0
        self.cells: Cells = np.zeros(1 << self._bits, np.uint32)

    def count(self, wanted: Wanted, keys: Cells, amounts: Cells) -> None:
        """Add `amounts`, of members their bits, to the cells of hashes."""
        self._room += len(keys)
        while self._room * _LOAD > len(self.cells) * max(wanted.least, 2) and self._bits < _BITS[-1]:
            larger = _BITS[_BITS.index(self._bits) + 1]
            self.cells, self._bits = np.repeat(self.cells, 1 << larger - self._bits), larger
        (np.bitwise_or if wanted.members else np.add).at(self.cells, self._at(keys), amounts)

    def unseen(self, values: Hashes) -> Ints:
        """The places of those of `values` that were not given here before, each once; all when there are too many to remember."""
        if len(self._seen) > _MOST_SEEN:
            return np.arange(len(values))
        new, first = np.unique(values, return_index=True)
        at = np.searchsorted(self._seen, new)
        known = at < len(self._seen)
        known[known] = self._seen[at[known]] == new[known]
        self._seen = np.insert(self._seen, at[~known], new[~known])
        return first[~known]

    @property
    def size(self) -> int:
        """What it takes of memory, in cells."""
        return len(self.cells) + 2 * len(self._seen)

    def of(self, keys: Cells) -> Cells:
        return self.cells[self._at(keys)]

    def _at(self, keys: Cells) -> Cells:
        return keys >> np.uint32(_HASH_BITS - self._bits)


@dataclass(frozen=True, slots=True)
class _Part:
    """New matches of one correlation: `places` among the rows, and of each its bucket's number, hash of the key, and what it adds.

    `least` is what is wanted with what agencies changed. `values`: of a value_count the hash of key and value.
    """

    correlation: Correlation
    wanted: Wanted
    least: int
    places: Ints
    buckets: Ints
    keys: Cells
    amounts: Cells
    values: Hashes | None


@dataclass(frozen=True, slots=True)
class Near:
    """New matches, and the buckets they may complete something in."""

    parts: Sequence[_Part]
    judged: Flags = field(repr=False)

    def buckets(self) -> dict[int, set[int]]:
        """The numbers of these buckets by timespan."""
        found: dict[int, set[int]] = {}
        for part in self.parts:
            own = np.unique(part.buckets)
            found.setdefault(part.correlation.span_ms, set()).update(np.concatenate((own - 1, own, own + 1)).tolist())
        return found


class Prospects:
    """Asks `store`. `correlations`: those that are judged, by hash. For one batch at a time."""

    def __init__(self, store: Store, correlations: Mapping[str, Correlation]) -> None:
        self._store = store
        self._correlations = correlations
        self._counted = {name: wants for name, one in correlations.items() if (wants := wanted(one, UNCHANGED)) is not None}
        self._known: dict[tuple[int, int], dict[str, _Tally | None]] = {}

    def forget(self) -> None:
        """Know nothing: somebody else may have written matches."""
        self._known.clear()

    def near(self, rows: pa.Table, tunings: Tunings) -> Near:
        """`rows` (of ROWS), which are not stored yet, as they are looked at here."""
        names, codes = _coded(rows["correlation"])
        texts, places = _coded(rows["group_key"])
        keys = np.array([zlib.crc32(text.encode()) for text in texts], np.uint32)[places]
        at = rows["event_time"].cast(pa.int64()).to_numpy()
        member = rows["member"].to_numpy().astype(np.uint32)
        judged = np.zeros(rows.num_rows, np.bool_)
        parts = []
        for code, name in enumerate(names):
            if (one := self._correlations.get(name)) is None:
                continue
            mine = np.flatnonzero(codes == code)
            judged[mine] = True
            if (wants := self._counted.get(name)) is not None:
                tuned = wanted(one, tunings)
                amounts = np.left_shift(np.uint32(1), member[mine]) if wants.members else np.ones(len(mine), np.uint32)
                values = _hashes(rows.take(pa.array(mine))) if one.kind is Kind.VALUE_COUNT else None
                least_of_all = tuned.least if tuned is not None else 0
                parts.append(_Part(one, wants, least_of_all, mine, at[mine] // one.span_ms, keys[mine], amounts, values))
        return Near(parts, judged)

    async def read(self, near: Near) -> None:
        """Know the buckets of `near` as they are stored. StoreError when that fails."""
        for span, buckets in near.buckets().items():
            for bucket in buckets:
                if (known := self._known.pop((span, bucket), None)) is not None:
                    self._known[span, bucket] = known  # the last ones used stand last
            if unknown := sorted(bucket for bucket in buckets if bucket > 0 and (span, bucket) not in self._known):
                await self._read(span, unknown[-_MOST_READ:])
        self._bound()

    async def _read(self, span: int, buckets: Sequence[int]) -> None:
        tallies: dict[int, dict[str, _Tally | None]] = {bucket: {} for bucket in buckets}
        names = [name for name in self._counted if self._correlations[name].span_ms == span]
        async for some, stored in self._stored(names, span, buckets):
            if stored is None:
                for of_bucket in tallies.values():
                    of_bucket.update(dict.fromkeys(some))
            else:
                self._add(stored, tallies)
        self._known.update({(span, bucket): of_bucket for bucket, of_bucket in tallies.items()})

    async def _stored(
        self, names: Sequence[str], span: int, buckets: Sequence[int]
    ) -> AsyncIterator[tuple[Sequence[str], pa.Table | None]]:
        """What is stored of the correlations, of each alone where it is too much for one question; None: of this one it is too much."""
        try:
            yield names, await queries.cells(self._store, names, span, buckets, _HASH_BITS - _BITS[-1])
        except QueryTooCostly:
            if len(names) == 1:
                yield names, None
                return
            for name in names:
                async for one in self._stored([name], span, buckets):
                    yield one

    def _add(self, stored: pa.Table, tallies: Mapping[int, dict[str, _Tally | None]]) -> None:
        names, codes = _coded(stored["correlation"])
        bucket, cell = stored["bucket"].to_numpy(), stored["cell"].to_numpy()
        told = {name: stored[name].to_numpy().astype(np.uint32) for name in ("matches", "texts", "members")}
        for code, name in enumerate(names):
            kind = self._correlations[name].kind
            amounts = told["members" if kind in _MEMBERS else "texts" if kind is Kind.VALUE_COUNT else "matches"]
            for number in np.unique(bucket[codes == code]).tolist():
                mine = (codes == code) & (bucket == number)
                tally = tallies[number][name] = _Tally()
                keys = cell[mine].astype(np.uint32) << np.uint32(_HASH_BITS - _BITS[-1])
                tally.count(Wanted(_OF_STORED, int(kind in _MEMBERS)), keys, amounts[mine])

    def likely(self, near: Near) -> Flags:
        """Count `near`, which is stored now, and tell which of its rows may fire something."""
        likely = near.judged.copy()
        for part in near.parts:
            by_bucket = [(number, np.flatnonzero(part.buckets == number)) for number in np.unique(part.buckets).tolist()]
            for number, mine in by_bucket:
                if (of_bucket := self._known.get((part.correlation.span_ms, number))) is not None:
                    tally = of_bucket.setdefault(part.correlation.hash, _Tally())
                    if tally is not None:
                        new = mine if part.values is None else mine[tally.unseen(part.values[mine])]
                        tally.count(part.wanted, part.keys[new], part.amounts[new])
            for number, mine in by_bucket:
                likely[part.places[mine]] = self._may_fire(part, number, part.keys[mine])
        self._bound()
        return likely

    def _may_fire(self, part: _Part, bucket: int, keys: Cells) -> Flags:
        around = [self._cells(part.correlation, number, keys) for number in (bucket, bucket - 1, bucket + 1)]
        own, before, after = around
        if own is None or before is None or after is None:
            return np.ones(len(keys), np.bool_)
        if part.wanted.members:
            members = np.uint32(part.wanted.members)
            counts = np.maximum(*(np.bitwise_count((own | other) & members) for other in (before, after)))
        else:
            counts = own + np.maximum(before, after)
        return counts >= part.least  # type: ignore[no-any-return]

    def _cells(self, correlation: Correlation, bucket: int, keys: Cells) -> Cells | None:
        """The cells of `keys`; None where they are not known."""
        of_bucket = self._known.get((correlation.span_ms, bucket))
        if of_bucket is None:
            return None
        if correlation.hash not in of_bucket:
            return np.zeros(len(keys), np.uint32)
        tally = of_bucket[correlation.hash]
        return None if tally is None else tally.of(keys)

    def _bound(self) -> None:
        cells = sum(_cells_in(of_bucket.values()) for of_bucket in self._known.values())
        while len(self._known) > _MOST_BUCKETS or (cells > _MOST_CELLS and len(self._known) > _FEWEST_BUCKETS):
            cells -= _cells_in(self._known.pop(next(iter(self._known))).values())


def _cells_in(tallies: Collection[_Tally | None]) -> int:
    return sum(tally.size for tally in tallies if tally is not None)


def _hashes(rows: pa.Table) -> Hashes:
    """Of key and value together."""
    of_key, of_text = (_hash(*_coded(rows[name])) for name in ("group_key", "text"))
    return of_key * _ODD + of_text


def _hash(values: Sequence[str], places: Ints) -> Hashes:
    each = b"".join(hashlib.blake2b(value.encode(), digest_size=8).digest() for value in values)
    return np.frombuffer(each, np.uint64)[places]


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Ints]:
    """The distinct values, and the place of each row's among them."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)
