"""Indicators of known-bad things in the columnar store: one row for each value of a feed.

- Of rows of the same feed, type and value the one of the newest import counts (the engine keeps it when it merges parts; questions
  here ask for `FINAL`).
- The row of type '' is a feed's own mark: its `import_id` is the newest import that is written to its end. It is written last, and a
  reader that sees it change reads the feed anew.
- `address` and `prefix` are set for addresses and networks: 16 bytes and the length of 128 bits, IPv4 as IPv4-mapped IPv6.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from core.storage.contract import Limits, Store
from core.storage.tables import INDICATORS

MATCHED: Final = (*("feed", "type", "value", "address", "prefix", "import_id", "valid_from", "valid_until", "confidence", "tlp"),)
"""The columns that matching needs."""

_LIMITS: Final = Limits(seconds=300.0, rows=1_000_000, memory_bytes=4 << 30)
_IN_FORCE: Final = "(valid_until IS NULL OR valid_until > {now:DateTime64(3, 'UTC')})"
_SHOWN: Final = ", ".join(column.name for column in INDICATORS.columns if column.name not in ("address", "prefix"))


async def newest_imports(store: Store) -> Mapping[str, int]:
    """The newest whole import of each feed: it changes whenever a feed does."""
    found = await store.query("SELECT feed, max(import_id) AS newest FROM indicators WHERE type = '' GROUP BY feed")
    return {row["feed"]: row["newest"] for row in found.to_pylist()}


def in_force(store: Store, now: datetime, first_import: int | None = None) -> AsyncIterator[pa.RecordBatch]:
    """The columns MATCHED of what has not ended at `now` (what begins later is there too); of one import's new ones if that is given."""
    conditions = _IN_FORCE
    params: dict[str, Any] = {"now": now}
    if first_import is not None:
        conditions += " AND first_import = {first:UInt64}"
        params |= {"first": first_import}
    return store.stream(f"SELECT {', '.join(MATCHED)} FROM indicators FINAL WHERE type != '' AND {conditions}", params, _LIMITS)


def known(store: Store, feed: str, now: datetime) -> AsyncIterator[pa.RecordBatch]:
    """Type, value and first import of what a feed holds in force."""
    return store.stream(
        f"SELECT type, value, first_import FROM indicators FINAL WHERE feed = {{feed:String}} AND type != '' AND {_IN_FORCE}",
        {"feed": feed, "now": now},
        _LIMITS,
    )


async def count_in_force(store: Store, now: datetime) -> Mapping[str, Mapping[str, int]]:
    """How many indicators of each feed and type are in force."""
    found = await store.query(
        f"SELECT feed, type, count() AS n FROM indicators FINAL WHERE type != '' AND {_IN_FORCE} GROUP BY feed, type", {"now": now}, _LIMITS
    )
    counts: dict[str, dict[str, int]] = {}
    for row in found.to_pylist():
        counts.setdefault(row["feed"], {})[row["type"]] = row["n"]
    return counts


async def find(store: Store, values: Sequence[str], hidden_tlp: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """The indicators that are one of `values`, ended ones too, without those marked by one of `hidden_tlp`."""
    found = await store.query(
        f"SELECT {_SHOWN} FROM indicators FINAL WHERE type != '' AND value IN {{values:Array(String)}} "
        f"AND tlp NOT IN {{hidden:Array(String)}} ORDER BY feed, type, value LIMIT {limit}",
        {"values": list(values), "hidden": list(hidden_tlp)},
        _LIMITS,
    )
    return found.to_pylist()  # type: ignore[no-any-return]


async def find_hash(store: Store, digest: str, limit: int) -> list[dict[str, Any]]:
    """The indicators whose SHA-256 of `type:value` begins with the 16 hexadecimal digits `digest`."""
    found = await store.query(
        f"SELECT {_SHOWN} FROM indicators FINAL WHERE type != '' "
        f"AND substring(lower(hex(SHA256(concat(type, ':', value)))), 1, 16) = {{digest:String}} ORDER BY feed, type, value LIMIT {limit}",
        {"digest": digest},
        _LIMITS,
    )
    return found.to_pylist()  # type: ignore[no-any-return]


async def remove_feed(store: Store, feed: str) -> None:
    """Remove all that a feed brought."""
    await store.delete(INDICATORS.name, "feed = {feed:String}", {"feed": feed})


async def remove_ended(store: Store, feed: str, before: datetime) -> None:
    """Remove what of a feed ended before then, with all older rows of it: else those would count again."""
    ended = "FROM indicators FINAL WHERE feed = {feed:String} AND valid_until < {before:DateTime64(3, 'UTC')}"
    params = {"feed": feed, "before": before}
    if (await store.query(f"SELECT count() AS n {ended}", params, _LIMITS))["n"][0].as_py():
        await store.delete(INDICATORS.name, f"feed = {{feed:String}} AND (type, value) IN (SELECT type, value {ended})", params)
