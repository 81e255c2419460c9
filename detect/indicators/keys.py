"""The keys under which values are looked up: 64 bits for an address, a network, each domain a name lies in, a URL, a hash.

The same functions make the keys of indicators and of events' columns, so what is bad meets what happened. They say in columns what
`values` says of one text; where `values` sees a match, the keys agree (but for letters outside ASCII in another case).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detect.indicators.hashing import Hashed, Hashes, Ints, Part, after_last, constant, first, mixed, parts

ADDRESS_COLUMNS: Final = ("src_ip", "dst_ip", "src_nat_ip", "dst_nat_ip")
NAME_COLUMNS: Final = ("domain", "dns_query")
URL_COLUMN: Final = "url"
HASH_COLUMN: Final = "file_hash"
_NAME: Final = np.uint64(0x1D8E4E27C47D124F)
_URL: Final = np.uint64(0xEB44ACCAB455D165)
_HASH: Final = np.uint64(0x2545F4914F6CDD1D)
_ADDRESS: Final = np.uint64(0xD1342543DE82EF95)
_PREFIX: Final = 0xAF251AF3B0F025B5
_MAPPED: Final = np.uint64(0xFFFF)
_V4_BLOCKS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys with the rows they are of."""

    rows: Ints
    keys: Hashes


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses as two numbers of 64 bits, with their rows."""

    rows: Ints
    high: Hashes
    low: Hashes

    def keys(self, prefix: int = 128) -> Hashes:
        """The keys of the networks of that prefix the addresses lie in."""
        high, low = masked(self.high, self.low, prefix)
        of_prefix = np.uint64(prefix * _PREFIX & (1 << 64) - 1)
        return mixed(mixed(high ^ of_prefix) ^ low ^ _ADDRESS)

    def blocks(self) -> Ints:
        """The number of the block of 16 bits each lies in: those of IPv4 after those of IPv6."""
        mapped = (self.high == 0) & (self.low >> np.uint64(32) == _MAPPED)
        return np.where(mapped, (self.low >> np.uint64(16) & _MAPPED) + np.uint64(_V4_BLOCKS), self.high >> np.uint64(48)).astype(np.int64)

    def take(self, places: Ints) -> Addresses:
        return Addresses(self.rows[places], self.high[places], self.low[places])


def masked(high: Hashes, low: Hashes, prefix: int) -> tuple[Hashes, Hashes]:
    """The first `prefix` bits, the others zero."""
    mask = ((1 << prefix) - 1) << (128 - prefix)
    return high & np.uint64(mask >> 64), low & np.uint64(mask & (1 << 64) - 1)


def addresses(column: pa.ChunkedArray | pa.Array) -> Addresses:
    """The addresses of a column of 16 bytes, without those that are not set."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    rows = np.arange(len(values)) if not values.null_count else np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    if not len(rows):
        return Addresses(rows, np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    halves = np.frombuffer(values.buffers()[1], ">u8", 2 * len(values), 16 * values.offset).reshape(-1, 2)
    if len(rows) < len(values):
        halves = halves[rows]
    return Addresses(rows, halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64))


def of_names(column: Any, whole: Hosts | None = None) -> Iterator[Keys]:
    """Of each host or DNS name, which may have a port, the keys of itself and of every domain it lies in.

    `whole` is filled with the hosts themselves, for URLs that lack one.
    """
    for part in parts(column):
        end = first(part.places(b":/?#"), part.start, part.end)
        host_end = _without_dot(part, part.start, end)
        if whole is not None:
            colon = np.where(part.is_at(end, b":"), end, part.end)
            port_end = first(part.places(b"/?#"), part.start, part.end)
            whole.put(part.rows, part.hashed(part.start, host_end).then(_port(part, colon, port_end)))
        yield _suffixes(part, part.rows, part.start, host_end)


class Hosts:
    """The host and port each row of a table names, for paths that stand apart from it."""

    def __init__(self, rows: int) -> None:
        self.texts = Hashed(np.zeros(rows, np.uint64), np.zeros(rows, np.int64))

    def put(self, rows: Ints, texts: Hashed) -> None:
        self.texts.hashes[rows] = texts.hashes
        self.texts.lengths[rows] = texts.lengths


def of_urls(column: Any, hosts: Hosts) -> Iterator[Keys]:
    """Of each URL the key of itself, and of its host and every domain that lies in; of a path, of the URL it makes with the row's host."""
    for part in parts(column):
        mark = first(part.places(b":/?#"), part.start, part.end)
        schemed = _followed_by_slashes(part, mark)
        begin = np.where(schemed, mark + 3, part.start)
        is_path = ~schemed & (mark == part.start) & (mark < part.end)
        slashes = part.places(b"/?#")
        authority_end = np.where(is_path, part.start, first(slashes, begin, part.end))
        host = after_last(part.places(b"@"), np.minimum(begin, authority_end), authority_end)
        host = np.where(is_path, part.start, host)
        bracketed = part.is_at(host, b"[") & (host < authority_end)
        colon = np.where(bracketed, authority_end, first(part.places(b":"), host, authority_end))
        host_end = np.where(bracketed, authority_end, _without_dot(part, host, colon))
        named = part.hashed(host, host_end).then(_port(part, colon, authority_end))
        own = Hashed(
            np.where(is_path, hosts.texts.hashes[part.rows], named.hashes), np.where(is_path, hosts.texts.lengths[part.rows], named.lengths)
        )
        rest_end = first(part.places(b"#"), authority_end, part.end)
        rest = part.hashed(authority_end, rest_end)
        slash = constant(b"/", ~(part.is_at(authority_end, b"/") & (authority_end < rest_end)))
        hosted = own.lengths > 0
        url = own.then(slash).then(rest)
        yield Keys(part.rows[hosted], mixed(url.hashes[hosted] ^ _URL))
        yield _suffixes(part, part.rows, host, host_end)


def of_whole_urls(column: Any) -> Iterator[Keys]:
    """Of each URL as indicators have it, `host[:port]/path`, its key."""
    for part in parts(column):
        yield Keys(part.rows, mixed(part.hashed(part.start, part.end).hashes ^ _URL))


def of_whole_names(column: Any) -> Iterator[Keys]:
    """Of each name its own key."""
    for part in parts(column):
        yield Keys(part.rows, mixed(part.hashed(part.start, part.end).hashes ^ _NAME))


def of_hashes(column: Any) -> Iterator[Keys]:
    """Of each hash its key."""
    for part in parts(column):
        yield Keys(part.rows, mixed(part.hashed(part.start, part.end).hashes ^ _HASH))


def _suffixes(part: Part, rows: Ints, start: Ints, end: Ints) -> Keys:
    """The keys of what begins at the start of each host and after each dot in it."""
    dots = part.places(b".")
    owner = np.searchsorted(part.start, dots, side="right") - 1
    inside = (dots >= start[owner]) & (dots < end[owner])
    dots, owner = dots[inside], owner[inside]
    every = np.concatenate([np.arange(len(rows)), owner])
    begin = np.concatenate([start, dots + 1])
    return Keys(rows[every], mixed(part.hashed(begin, end[every]).hashes ^ _NAME))


def _without_dot(part: Part, start: Ints, end: Ints) -> Ints:
    return end - ((end > start) & part.is_at(end - 1, b"."))


def _port(part: Part, colon: Ints, end: Ints) -> Hashed:
    """The port with its colon, nothing where it says nothing or is 80 or 443."""
    length = end - colon
    is_80 = (length == 3) & part.is_at(colon + 1, b"8") & part.is_at(colon + 2, b"0")
    is_443 = (length == 4) & part.is_at(colon + 1, b"4") & part.is_at(colon + 2, b"4") & part.is_at(colon + 3, b"3")
    kept = (length > 1) & ~is_80 & ~is_443
    return part.hashed(colon, np.where(kept, end, colon))


def _followed_by_slashes(part: Part, mark: Ints) -> npt.NDArray[np.bool_]:
    there = part.is_at(mark, b":") & part.is_at(mark + 1, b"/") & part.is_at(mark + 2, b"/")
    return np.asarray(there & (mark + 3 <= part.end))
