"""What the store promises of indicators, and what history asks of it, on each implementation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from core.clock import FixedClock, millis
from core.errors import StoreError
from core.storage import indicators
from core.storage.contract import Store
from core.storage.tables import INDICATORS
from detect.indicators.findings import hash_of
from detect.indicators.history import detections, search
from detect.indicators.library import load
from detect.indicators.values import guess
from tests.event_rows import table

NOW = datetime(2026, 5, 4, tzinfo=UTC)
DAY = timedelta(days=1)
VALUES = ("203.0.113.5", "2001:db8::/32", "198.51.100.0/23", "evil.example", "http://evil.example/%41?q='\\", "f" * 128, "한글.kr")


def rows(values: Sequence[str], feed: str = "kisa", import_id: int = 1, **columns: Any) -> pa.Table:
    blank = {column.name: None if column.nullable else "" if column.kind.is_text else 0 for column in INDICATORS.columns}
    given = {"feed": feed, "import_id": import_id, "first_import": import_id, "tlp": "amber"} | columns
    own = ({"type": one.type.value, "value": one.text, "address": one.address, "prefix": one.prefix} for one in map(guess, values))
    return pa.Table.from_pylist([blank | given | one for one in own], schema=INDICATORS.schema)


def mark(feed: str, import_id: int) -> pa.Table:
    return rows(["x.example"], feed, import_id).set_column(1, "type", pa.array([""])).cast(INDICATORS.schema)


async def held(store: Store, now: datetime = NOW) -> list[dict[str, Any]]:
    return pa.Table.from_batches([batch async for batch in indicators.in_force(store, now)]).to_pylist()  # type: ignore[no-any-return]


async def test_the_table_is_what_the_module_says(any_store: Store) -> None:
    columns = await any_store.query(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'indicators' ORDER BY position"
    )
    assert [(row["name"], row["type"]) for row in columns.to_pylist()] == [(one.name, one.clickhouse) for one in INDICATORS.columns]


async def test_every_kind_comes_back_as_it_went_in(any_store: Store) -> None:
    until = NOW + DAY
    await any_store.insert("indicators", rows(VALUES, valid_until=until, confidence=7), "one")
    found = await held(any_store)
    assert {(row["type"], row["value"], row["prefix"], row["address"]) for row in found} == {
        (one.type.value, one.text, one.prefix, one.address) for one in map(guess, VALUES)
    }
    assert {(row["valid_until"], row["valid_from"], row["confidence"], row["tlp"]) for row in found} == {(until, None, 7, "amber")}


async def test_the_newest_import_counts_and_a_feed_goes_alone(any_store: Store) -> None:
    await any_store.insert("indicators", rows(["evil.example", "old.example"], confidence=1), "one")
    await any_store.insert("indicators", rows(["evil.example"], import_id=2, confidence=2, valid_until=NOW), "two")
    await any_store.insert("indicators", rows(["evil.example"], feed="other", import_id=3), "three")
    for feed, import_id in (("kisa", 1), ("kisa", 2), ("other", 3)):
        await any_store.insert("indicators", mark(feed, import_id), f"mark {feed} {import_id}")
    assert await indicators.newest_imports(any_store) == {"kisa": 2, "other": 3}
    earlier = await held(any_store, NOW - DAY)
    assert sorted((row["feed"], row["value"], row["confidence"]) for row in earlier) == [
        ("kisa", "evil.example", 2),
        ("kisa", "old.example", 1),
        ("other", "evil.example", 0),
    ]
    assert sorted((row["feed"], row["value"]) for row in await held(any_store)) == [("kisa", "old.example"), ("other", "evil.example")]
    assert await indicators.count_in_force(any_store, NOW) == {"kisa": {"domain": 1}, "other": {"domain": 1}}
    named = await indicators.find_hash(any_store, hash_of("domain", "evil.example"), 10)
    assert [row["feed"] for row in named] == ["kisa", "other"]
    await indicators.remove_ended(any_store, "kisa", NOW + DAY)  # and with it what it had taken the place of
    assert [row["feed"] for row in await indicators.find(any_store, ["evil.example"], [], 10)] == ["other"]
    assert await indicators.find(any_store, ["evil.example"], ["amber"], 10) == []
    await indicators.remove_feed(any_store, "kisa")
    assert [row["feed"] for row in await held(any_store)] == ["other"]
    assert await indicators.newest_imports(any_store) == {"other": 3}


async def test_what_is_deleted_is_what_was_asked_for(any_store: Store) -> None:
    await any_store.insert("indicators", rows(["http://a.example/it's\\x", "http://b.example/"]), "one")
    await any_store.delete("indicators", "value = {value:String}", {"value": "a.example/it's\\x"})
    assert [row["value"] for row in await held(any_store)] == ["b.example/"]
    with pytest.raises(StoreError, match="no table"):
        await any_store.delete("incidents", "1", {})


async def test_history_is_searched_for_the_new_ones_of_an_import_alone(any_store: Store) -> None:
    await any_store.insert("indicators", rows(VALUES, import_id=4), "four")
    await any_store.insert("indicators", rows(["worse.example"], import_id=5), "five")
    happened = [
        {"src_ip": "203.0.113.5", "dst_ip": "203.0.113.5"},
        {"dst_nat_ip": "2001:db8:1::9", "agency": "seogu"},
        {"src_nat_ip": "198.51.101.255"},
        {"src_nat_ip": "198.51.102.0"},
        {"dns_query": "a.evil.example", "domain": "worse.example"},
        {"domain": "evil.example", "url": "/%41?q='\\"},
        {"file_hash": "F" * 128},
        {"domain": "www.한글.kr"},
        {"src_ip": "203.0.113.6", "dst_ip": "::"},
    ]
    place = {"raw_epoch": "e1", "raw_offset": 7, "agency": "parks", "received_at": millis(NOW), "event_time": millis(NOW), "raw": "line"}
    await any_store.insert("events", table([place | {"raw_line": line} | one for line, one in enumerate(happened)]), "events")
    index = await load(any_store, FixedClock(NOW), 4)
    assert len(index) == len(VALUES)
    found = await search(any_store, index, 4, NOW, NOW + DAY, NOW)
    met = {
        (index.rows["value"][indicator].as_py(), agency): (one.count, one.column, [event for _, event in one.events])
        for (indicator, agency), one in found.met.items()
    }
    assert met == {
        ("203.0.113.5", "parks"): (1, "src_ip", ["e1-0-7-0"]),
        ("2001:db8::/32", "seogu"): (1, "dst_nat_ip", ["e1-0-7-1"]),
        ("198.51.100.0/23", "parks"): (1, "src_nat_ip", ["e1-0-7-2"]),
        ("evil.example", "parks"): (2, "dns_query", ["e1-0-7-4", "e1-0-7-5"]),
        ("evil.example/%41?q='\\", "parks"): (1, "url", ["e1-0-7-5"]),
        ("f" * 128, "parks"): (1, "file_hash", ["e1-0-7-6"]),
        ("xn--bj0bj06e.kr", "parks"): (1, "domain", ["e1-0-7-7"]),
    }
    (message,) = await detections(any_store, index, 4, 3, found, NOW, NOW + DAY, NOW)
    assert message.partition == 0
    nothing = await search(any_store, index, 4, NOW + DAY, NOW + 2 * DAY, NOW)
    assert (nothing.met, nothing.looked_at) == ({}, 0)
