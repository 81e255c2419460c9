"""Questions of the correlate stage: what of some keys matched and fired, and the events behind it.

Times are milliseconds since 1970, both ends included. Pairs are a correlation's hash and a key; a question names few thousand at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from core.clock import from_millis
from core.events import EVENTS, FIRINGS, MATCHES, POSITION, parse_event_id
from core.storage.contract import Limits, Store
from core.storage.event_queries import Where

Pair = tuple[str, str]

_TIME: Final = "DateTime64(3, 'UTC')"
_EARLIEST: Final = -2_208_988_800_000  # the years 1900 to 2299: what a DateTime64 can hold
_LATEST: Final = 10_413_791_999_999
_SLOW: Final = 60.0
_QUICK: Final = 5.0
_EVENTS_AT_ONCE: Final = 500
_MOST_CELLS: Final = 4_000_000
_POSITION: Final = ", ".join(column.name for column in POSITION)
_ARRIVAL: Final = ", ".join(f"{name} DESC" for name in ("event_time", "received_at", *(column.name for column in POSITION)))
_READ: Final = ", ".join(f"`{name}`" for name in MATCHES.names if not name.startswith("shard"))


@dataclass(frozen=True, slots=True)
class Seen:
    """Which matches are looked at: those received since `since_ms`, and of the life `epoch` of the topic up to an offset per shard."""

    since_ms: int
    epoch: str
    reach: Mapping[int, int]


async def matches(store: Store, pairs: Collection[Pair], low: int, high: int, seen: Seen, most: int) -> pa.Table:
    """The matches of `pairs` that happened from `low` to `high`. QueryTooCostly when they are more than `most`."""
    where = _of_pairs("correlation", pairs)
    _between(where, "event_time", low, high)
    _seen(where, seen)
    return await store.query(f"SELECT {_READ} FROM {MATCHES.name} WHERE {where.sql}", where.params, Limits(_SLOW, most))


async def pairs_with_matches(store: Store, pairs: Collection[Pair], low: int, high: int, seen: Seen) -> set[Pair]:
    """Those of `pairs` of which anything matched from `low` to `high`."""
    where = _of_pairs("correlation", pairs)
    _between(where, "event_time", low, high)
    _seen(where, seen)
    found = await store.query(f"SELECT DISTINCT correlation, group_key FROM {MATCHES.name} WHERE {where.sql}", where.params, Limits(_SLOW))
    return set(zip(found["correlation"].to_pylist(), found["group_key"].to_pylist(), strict=True)) & set(pairs)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The matches of one pair that happened from `low` to `high` and are looked at."""

    pair: Pair
    low: int
    high: int
    seen: Seen

    def where(self) -> Where:
        where = Where()
        where.add(lambda h: f"correlation = {h}", ("String", self.pair[0]))
        where.add(lambda k: f"group_key = {k}", ("String", self.pair[1]))
        _between(where, "event_time", self.low, self.high)
        _seen(where, self.seen)
        return where


@dataclass(frozen=True, slots=True)
class Totals:
    """How many matches there are, how many they stand for, the sum of their numbers, and when the first happened (0: there are none)."""

    rows: int
    stands_for: int
    number: float
    first: int


async def totals(store: Store, stretch: Stretch) -> Totals:
    """What the matches of `stretch` come to."""
    where = stretch.where()
    sql = (
        "SELECT count() AS rows, sum(stands_for) AS stands_for, ifNull(sum(number), 0) AS number, "
        f"toUnixTimestamp64Milli(min(event_time)) AS first FROM {MATCHES.name} WHERE {where.sql}"
    )
    return Totals(**(await store.query(sql, where.params, Limits(_SLOW))).to_pylist()[0])


async def earliest(store: Store, stretch: Stretch, most: int) -> pa.Table:
    """The first `most` matches of `stretch`, in order of time."""
    where = stretch.where()
    sql = f"SELECT {_READ} FROM {MATCHES.name} WHERE {where.sql} ORDER BY event_time LIMIT {most}"
    return await store.query(sql, where.params, Limits(_SLOW, most))


async def newest(store: Store, stretch: Stretch, most: int) -> pa.Table:
    """The last `most` matches of `stretch`, in no order."""
    where = stretch.where()
    sql = f"SELECT {_READ} FROM {MATCHES.name} WHERE {where.sql} ORDER BY {_ARRIVAL} LIMIT {most}"
    return await store.query(sql, where.params, Limits(_SLOW, most))


async def last_of_each(store: Store, stretch: Stretch, column: str, most: int) -> pa.Table:
    """The values of `column` of the matches of `stretch` with the time of the last match of each (`event_time`); the `most` newest."""
    where = stretch.where()
    sql = (
        f"SELECT `{column}`, max(event_time) AS event_time FROM (SELECT `{column}`, event_time FROM {MATCHES.name} WHERE {where.sql}) "
        f"GROUP BY `{column}` ORDER BY event_time DESC LIMIT {most}"
    )
    return await store.query(sql, where.params, Limits(_SLOW, most))


def numbers(store: Store, stretch: Stretch) -> AsyncIterator[pa.RecordBatch]:
    """Time (`at`) and number of every match of `stretch`, in no order, in constant memory."""
    where = stretch.where()
    sql = f"SELECT toUnixTimestamp64Milli(event_time) AS at, ifNull(number, 0) AS number FROM {MATCHES.name} WHERE {where.sql}"
    return store.stream(sql, where.params, Limits(_SLOW))


async def cells(store: Store, correlations: Sequence[str], span_ms: int, buckets: Sequence[int], bits: int) -> pa.Table:
    """Of these correlations and buckets (numbers of timespans since 1970) how many matches there are, of how many texts and which members.

    `members` are bits. Keys are counted together whose CRC32 begins alike: `cell` is that of a key without its last `bits`. QueryTooCostly:
    there are too many.
    """
    bucket = f"intDiv(toUnixTimestamp64Milli(event_time), {span_ms:d})"
    where = Where()
    where.add(lambda p: f"correlation IN {p}", ("Array(String)", correlations))
    _between(where, "event_time", min(buckets) * span_ms, (max(buckets) + 1) * span_ms - 1)
    where.add(lambda p: f"{bucket} IN {p}", ("Array(Int64)", buckets))
    sql = (
        f"SELECT correlation, {bucket} AS bucket, bitShiftRight(CRC32(group_key), {bits:d}) AS cell, "
        "count() AS matches, uniqExact(text) AS texts, "
        f"groupBitOr(bitShiftLeft(toUInt32(1), member)) AS members FROM {MATCHES.name} WHERE {where.sql} GROUP BY correlation, bucket, cell"
    )
    return await store.query(sql, where.params, Limits(_QUICK, _MOST_CELLS))


async def firings_between(store: Store, correlations: Sequence[str], low: int, high: int) -> pa.Table:
    """What fired of these hashes by events that happened from `low` to `high`, in order of position; columns of FIRINGS."""
    where = Where()
    where.add(lambda p: f"rule_hash IN {p}", ("Array(String)", correlations))
    _between(where, "event_time", low, high)
    columns = ", ".join(f"`{name}`" for name in FIRINGS.names)
    sql = f"SELECT {columns} FROM {FIRINGS.name} WHERE {where.sql} ORDER BY {_POSITION}"
    return (await store.query(sql, where.params, Limits(_SLOW, 1_000_000))).cast(FIRINGS.schema)


async def known(store: Store, correlations: Sequence[str], low: int, high: int, events: Sequence[str]) -> set[tuple[str, str, int, str]]:
    """Correlation, key, member and event of the matches of `events` that are stored, received from `low` to `high`."""
    where = Where()
    where.add(lambda p: f"correlation IN {p}", ("Array(String)", correlations))
    _between(where, "received_at", low, high)
    where.add(lambda p: f"of_event IN {p}", ("Array(String)", events))
    own = f"arrayStringConcat([{', '.join(f'toString({column.name})' for column in POSITION)}], '-')"
    sql = f"SELECT correlation, group_key, member, if(event = '', {own}, event) AS of_event FROM {MATCHES.name} WHERE {where.sql}"
    found = await store.query(sql, where.params, Limits(_SLOW))
    return set(zip(*(found[name].to_pylist() for name in ("correlation", "group_key", "member", "of_event")), strict=True))


async def fired(store: Store, pairs: Collection[Pair], low: int, high: int) -> dict[Pair, set[int]]:
    """The buckets from `low` to `high` in which `pairs` have fired: their begins."""
    where = _of_pairs("rule_hash", pairs)
    _between(where, "bucket", low, high)
    found = await store.query(
        f"SELECT DISTINCT rule_hash, group_key, bucket FROM {FIRINGS.name} WHERE {where.sql}", where.params, Limits(_SLOW, 10_000_000)
    )
    columns = found["rule_hash"].to_pylist(), found["group_key"].to_pylist(), found["bucket"].cast(pa.int64()).to_pylist()
    buckets: dict[Pair, set[int]] = {}
    for correlation, key, bucket in zip(*columns, strict=True):
        buckets.setdefault((correlation, key), set()).add(bucket)
    return buckets


async def firings_at(store: Store, epoch: str, partition: int, first: int, last: int) -> pa.Table:
    """The firings whose position is on this partition of `epoch`, from offset `first` to `last`, in order; columns of FIRINGS."""
    where = Where()
    where.add(lambda p: f"raw_epoch = {p}", ("String", epoch))
    where.add(lambda p: f"raw_partition = {p}", ("UInt16", partition))
    where.add(lambda a, b: f"raw_offset BETWEEN {a} AND {b}", ("UInt64", first), ("UInt64", last))
    columns = ", ".join(f"`{name}`" for name in FIRINGS.names)
    sql = f"SELECT {columns} FROM {FIRINGS.name} WHERE {where.sql} ORDER BY raw_offset, raw_line"
    return await store.query(sql, where.params, Limits(_SLOW, 10_000_000))


async def events(store: Store, wanted: Sequence[tuple[str, int, str]]) -> pa.Table:
    """The events of (agency, time, event id) that are stored; columns of EVENTS, in no order."""
    parts = [EVENTS.schema.empty_table()]
    for start in range(0, len(wanted), _EVENTS_AT_ONCE):
        part = wanted[start : start + _EVENTS_AT_ONCE]
        where = Where()
        where.add(lambda p: f"agency IN {p}", ("Array(String)", sorted({agency for agency, _, _ in part})))
        where.add(lambda p: f"event_time IN {p}", (f"Array({_TIME})", [from_millis(at) for at in sorted({at for _, at, _ in part})]))
        positions = zip(*(parse_event_id(event) for _, _, event in part), strict=True)
        kinds = ("String" if column.kind.is_text else column.clickhouse for column in POSITION)
        where.add(
            lambda *p: f"({_POSITION}) IN (SELECT arrayJoin(arrayZip({', '.join(p)})))",
            *((f"Array({kind})", list(values)) for kind, values in zip(kinds, positions, strict=True)),
        )
        names = ", ".join(f"`{name}`" for name in EVENTS.names)
        parts.append(await store.query(f"SELECT {names} FROM {EVENTS.name} WHERE {where.sql}", where.params, Limits(_SLOW)))
    return pa.concat_tables([part.cast(EVENTS.schema) for part in parts])


def _of_pairs(correlation: str, pairs: Collection[Pair]) -> Where:
    where = Where()
    hashes, keys = zip(*sorted(pairs), strict=True)
    where.add(
        lambda h, k: f"({correlation}, group_key) IN (SELECT arrayJoin(arrayZip({h}, {k})))",
        ("Array(String)", list(hashes)),
        ("Array(String)", list(keys)),
    )
    return where


def _between(where: Where, column: str, low: int, high: int) -> None:
    times = (from_millis(min(max(at, _EARLIEST), _LATEST)) for at in (low, high))
    where.add(lambda a, b: f"{column} BETWEEN {a} AND {b}", *((_TIME, at) for at in times))


def _seen(where: Where, seen: Seen) -> None:
    where.add(lambda p: f"received_at >= {p}", (_TIME, from_millis(max(seen.since_ms, _EARLIEST))))
    for shard, offset in seen.reach.items():
        where.add(
            lambda e, s, o: f"NOT (shard_epoch = {e} AND shard = {s} AND shard_offset > {o})",
            ("String", seen.epoch),
            ("UInt16", shard),
            ("UInt64", offset),
        )
