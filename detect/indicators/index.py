"""All indicators in force, in memory, and their matches in batches of events.

- What is found is exactly what `values` says: keys give candidates, each is checked against the indicator itself.
- No Python runs per event: events are hashed in columns and looked up in one sorted array of keys, behind a table of bits that turns
  away most that are not there. Python runs per candidate text, and those are nearly all matches.
- A network is looked up by the first bits of an address, once for each length of prefix there is, and only for addresses in a block of
  16 bits where there is some network.
- An index is never changed; memory is some 100 bytes an indicator (`nbytes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.storage.indicators import MATCHED
from core.storage.tables import INDICATORS
from detect.indicators import keys, values
from detect.indicators.hashing import Hashes, Ints
from detect.indicators.keys import Addresses, Hosts, Keys, masked
from detect.indicators.values import Type

COLUMNS: Final = (*keys.ADDRESS_COLUMNS, *keys.NAME_COLUMNS, keys.URL_COLUMN, keys.HASH_COLUMN)
"""The columns of events that are looked at; of several in which an indicator is met, the first is told."""
SCHEMA: Final = pa.schema([INDICATORS.column(name).arrow for name in MATCHED])
_WORDS: Final = ("feed", "type", "tlp")
_BITS_PER_KEY: Final = 16
_NEVER: Final = np.iinfo(np.int64).max
_BLOCKS: Final = 2 << 16


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of places in order of the row: `rows` of events, `indicators` in the index's rows, `columns` in COLUMNS."""

    rows: Ints
    indicators: Ints
    columns: Ints


class Index:
    """Indicators ready for matching. `rows` has the columns of SCHEMA, words as dictionaries."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = _with_dictionaries(rows)
        self._valid_from = _instants(rows["valid_from"], 0)
        self._valid_until = _instants(rows["valid_until"], _NEVER)
        self._prefixes = rows["prefix"].combine_chunks().to_numpy()
        self._addresses = _halves(rows["address"].combine_chunks())
        networks = np.flatnonzero((self._prefixes > 0) & (self._prefixes < 128))
        self._lengths = np.unique(self._prefixes[networks]).tolist()
        self._near = _blocks(Addresses(networks, *self._halves_of(networks)), self._prefixes[networks])
        self._keys, self._of_key = _sorted(_keys_of(rows))
        shift = max(1, (len(self._keys) * _BITS_PER_KEY - 1).bit_length())
        self._shift = np.uint64(64 - shift)
        self._bits = np.zeros(1 << max(shift - 3, 0), np.uint8)
        slots = self._keys >> self._shift
        np.bitwise_or.at(self._bits, (slots >> np.uint64(3)).astype(np.int64), np.uint8(1) << (slots & np.uint64(7)).astype(np.uint8))

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def types(self) -> frozenset[str]:
        """The types of indicators there are."""
        return frozenset(self.rows["type"].unique().to_pylist())

    def blocks(self) -> tuple[list[str], list[str]]:
        """The first addresses of the blocks of 16 bits where there is some network: of IPv4, and of IPv6."""
        near = np.flatnonzero(self._near)
        first_v4 = _BLOCKS // 2
        v4 = [f"::ffff:{block - first_v4 >> 8}.{block - first_v4 & 255}.0.0" for block in near[near >= first_v4].tolist()]
        return v4, [f"{block:x}::" for block in near[near < first_v4].tolist()]

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        arrays = (self._valid_from, self._valid_until, self._prefixes, self._addresses, self._near, self._keys, self._of_key, self._bits)
        return int(self.rows.nbytes) + sum(array.nbytes for array in arrays)

    def match(self, events: pa.Table, now: int) -> Matches:
        """Every event and indicator in force at `now` (milliseconds UTC) that meet; `events` has the columns COLUMNS."""
        if not len(self):
            return _joined([])
        found = [*self._of_addresses(events, now), *self._of_texts(events, now)]
        return _joined(found)

    def _of_addresses(self, events: pa.Table, now: int) -> Iterator[Matches]:
        for number, name in enumerate(keys.ADDRESS_COLUMNS):
            every = keys.addresses(events[name])
            if not len(every.rows):
                continue
            yield self._checked_addresses(every, every.keys(), number, now)
            if self._lengths:
                near = every.take(np.flatnonzero(self._near[every.blocks()]))
                for length in self._lengths:
                    yield self._checked_addresses(near, near.keys(length), number, now)

    def _checked_addresses(self, every: Addresses, looked_up: Hashes, number: int, now: int) -> Matches:
        places, indicators = self._probe(looked_up, now)
        high, low = self._halves_of(indicators)
        own = every.take(places)
        right = np.zeros(len(places), np.bool_)
        for length in np.unique(self._prefixes[indicators]).tolist():
            of_length = self._prefixes[indicators] == length
            own_high, own_low = masked(own.high, own.low, int(length)) if length else (own.high, own.low)
            right |= of_length & (own_high == high) & (own_low == low) & (length > 0)
        return Matches(own.rows[right], indicators[right], np.full(int(right.sum()), number))

    def _of_texts(self, events: pa.Table, now: int) -> Iterator[Matches]:
        hosts = Hosts(events.num_rows)
        names: Callable[[str, str], str] = lambda text, _: values.host_of_name(text)  # noqa: E731 - one of several of a shape
        for name in keys.NAME_COLUMNS:
            whole = hosts if name == "domain" else None
            yield from self._checked_texts(events, name, keys.of_names(events[name], whole), names, now)
        yield from self._checked_texts(events, keys.URL_COLUMN, keys.of_urls(events[keys.URL_COLUMN], hosts), None, now)
        yield from self._checked_texts(
            events, keys.HASH_COLUMN, keys.of_hashes(events[keys.HASH_COLUMN]), lambda text, _: text.lower(), now
        )

    def _checked_texts(
        self, events: pa.Table, column: str, looked_up: Iterable[Keys], said: Callable[[str, str], str] | None, now: int
    ) -> Iterator[Matches]:
        for some in looked_up:
            places, indicators = self._probe(some.keys, now)
            if not len(places):
                continue
            rows = some.rows[places]
            texts, domains = (
                [text[: 2 * values.LONGEST] for text in events[name].take(pa.array(rows)).to_pylist()] for name in (column, "domain")
            )
            meant = self.rows["value"].take(pa.array(indicators)).to_pylist()
            kinds = self.rows["type"].take(pa.array(indicators)).to_pylist()
            right = np.array([_is_met(*each, said) for each in zip(kinds, meant, texts, domains, strict=True)], np.bool_)
            yield Matches(rows[right], indicators[right], np.full(int(right.sum()), COLUMNS.index(column)))

    def _probe(self, looked_up: Hashes, now: int) -> tuple[Ints, Ints]:
        """Places in `looked_up` and the indicators in force that have those keys."""
        slots = looked_up >> self._shift
        bits = self._bits[(slots >> np.uint64(3)).view(np.int64)] >> (slots & np.uint64(7)).astype(np.uint8)
        places = np.flatnonzero(bits & 1)
        found = looked_up[places]
        left = np.searchsorted(self._keys, found)
        there = np.flatnonzero(self._keys[np.minimum(left, len(self._keys) - 1)] == found)
        places, found, left = places[there], found[there], left[there]
        counts = np.searchsorted(self._keys, found, side="right") - left
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        indicators = self._of_key[np.repeat(left, counts) + within].astype(np.int64)
        places = np.repeat(places, counts)
        valid = (self._valid_from[indicators] <= now) & (now < self._valid_until[indicators])
        return places[valid], indicators[valid]

    def _halves_of(self, indicators: Ints) -> tuple[Hashes, Hashes]:
        chosen = self._addresses[indicators]
        return chosen[:, 0].astype(np.uint64), chosen[:, 1].astype(np.uint64)


def _is_met(kind: str, value: str, text: str, domain: str, said: Callable[[str, str], str] | None) -> bool:
    """Whether an indicator speaks of an event's text, by `values`. `said` None: the text is a URL."""
    if kind == Type.URL:
        return said is None and value == (values.canonical_url(text) or values.url_of(domain, text))
    own = values.host_of_url(text) if said is None else said(text, domain)
    return values.is_at(kind, value, own)


def _keys_of(rows: pa.Table) -> Iterator[Keys]:
    """Each indicator's keys."""
    prefixes = rows["prefix"].combine_chunks().to_numpy()
    for length in np.unique(prefixes[prefixes > 0]).tolist():
        of_length = np.flatnonzero(prefixes == length)
        own = keys.addresses(rows["address"].take(pa.array(of_length)))
        yield Keys(of_length, own.keys(int(length)))
    written: tuple[tuple[tuple[Type, ...], Callable[[Any], Iterator[Keys]]], ...] = (
        ((Type.DOMAIN, Type.ADDRESS), keys.of_whole_names),
        ((Type.URL,), keys.of_whole_urls),
        ((Type.HASH,), keys.of_hashes),
    )
    for types, of_whole in written:
        chosen = np.flatnonzero(pc.is_in(rows["type"], pa.array([str(kind) for kind in types])).to_numpy())
        texts = rows["value"].take(pa.array(chosen)).combine_chunks()
        for some in of_whole(texts):
            yield Keys(chosen[some.rows], some.keys)
        if Type.HASH not in types:
            yield from _other_spellings(chosen, texts, of_whole)


def _other_spellings(chosen: Ints, texts: Any, of_whole: Callable[[Any], Iterator[Keys]]) -> Iterator[Keys]:
    """Names in A-labels are met as people write them, too."""
    idn = np.flatnonzero(pc.match_substring(texts, "xn--").to_numpy(zero_copy_only=False))
    spelled = pa.array([values.other_spelling(text) for text in texts.take(pa.array(idn)).to_pylist()], pa.string())
    for some in of_whole(spelled):
        yield Keys(chosen[idn[some.rows]], some.keys)


def _sorted(every: Iterable[Keys]) -> tuple[Hashes, npt.NDArray[np.int32]]:
    listed = list(every)
    hashes = np.concatenate([some.keys for some in listed] or [np.zeros(0, np.uint64)])
    rows = np.concatenate([some.rows for some in listed] or [np.zeros(0, np.int64)])
    order = np.argsort(hashes)
    return hashes[order], rows[order].astype(np.int32)


def _blocks(networks: Addresses, prefixes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which blocks of 16 bits hold a part of some network."""
    near = np.zeros(_BLOCKS, np.bool_)
    begins = networks.blocks()
    is_v4 = begins >= _BLOCKS // 2
    fixed = prefixes.astype(np.int64) - np.where(is_v4, 96, 0)
    for begin, span in zip(begins.tolist(), (1 << np.maximum(16 - fixed, 0)).tolist(), strict=True):
        near[begin : begin + span] = True
    return near


def _halves(column: pa.Array) -> npt.NDArray[Any]:
    """Addresses as pairs of big-endian numbers; anything where there is none."""
    filled = column.fill_null(bytes(16)) if column.null_count else column
    if not len(filled):
        return np.zeros((0, 2), ">u8")
    return np.frombuffer(filled.buffers()[1], ">u8", 2 * len(filled), 16 * filled.offset).reshape(-1, 2)


def _instants(column: pa.ChunkedArray, unset: int) -> Ints:
    return np.asarray(column.cast(pa.int64()).fill_null(unset).combine_chunks().to_numpy())


def _with_dictionaries(rows: pa.Table) -> pa.Table:
    kept = rows.drop_columns(["address", "prefix"]).combine_chunks()
    for name in _WORDS:
        kept = kept.set_column(kept.schema.get_field_index(name), name, kept[name].dictionary_encode())
    return kept


def _joined(found: Iterable[Matches]) -> Matches:
    """All matches in order of the row, each pair of event and indicator once, under the first column it was met in."""
    listed = [some for some in found if len(some.rows)]
    if not listed:
        nothing = np.zeros(0, np.int64)
        return Matches(nothing, nothing, nothing)
    rows, indicators, columns = (np.concatenate([getattr(some, name) for some in listed]) for name in ("rows", "indicators", "columns"))
    order = np.lexsort((columns, indicators, rows))
    rows, indicators, columns = rows[order], indicators[order], columns[order]
    once = np.r_[True, (rows[1:] != rows[:-1]) | (indicators[1:] != indicators[:-1])]
    return Matches(rows[once], indicators[once], columns[once])
