"""Questions about events, on both stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import Invalid, NotFound
from core.events import DETECTIONS, EVENTS, QUARANTINE, IntakeFlag
from core.storage.contract import Store
from core.storage.event_queries import EventQuery, Filter, Heard, Scope, counts, get_event, last_seen, search
from tests.rows import NOON, ipv4, rows

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def query(*filters: tuple[str, Any, str], agencies: Scope = None, limit: int = 100, cursor: str = "") -> EventQuery:
    return EventQuery(NOON - HOUR, NOON + HOUR, agencies, tuple(Filter(*f) for f in filters), limit, cursor)


async def found(store: Store, *filters: tuple[str, Any, str], agencies: Scope = None) -> list[int]:
    """The lines that meet the filters, in order."""
    page = await search(store, query(*filters, agencies=agencies))
    return sorted(int(row["event_id"].rsplit("-", 1)[1]) for row in page.rows)


async def put(store: Store, count: int, name: str = "t", **columns: Any) -> None:
    await store.insert("events", rows(count, **columns), name)


async def test_a_row_reads_as_people_read_it(any_store: Store) -> None:
    await put(
        any_store,
        1,
        raw_epoch="k7",
        raw_partition=3,
        raw_offset=99,
        event_time=NOON + timedelta(milliseconds=120),
        src_ip=ipv4(192, 0, 2, 7),
        dst_ip=[bytes.fromhex("20010db8000000000000000000000001")],
        src_port=0,
        intake_flags=int(IntakeFlag.CP949 | IntakeFlag.TRUNCATED),
        raw="접속 차단",
        parser_version=2,
    )
    (row,) = (await search(any_store, query())).rows
    assert row == {
        "event_id": "k7-3-99-0",
        "received_at": "2026-03-02T12:00:00.000Z",
        "agency": "gangnam",
        "source": "fw1",
        "transport": "tcp",
        "intake_flags": ["truncated", "cp949"],
        "raw": "접속 차단",
        "parser": "fortigate",
        "parser_version": 2,
        "event_time": "2026-03-02T12:00:00.120Z",
        "src_ip": "192.0.2.7",
        "src_port": 0,
        "dst_ip": "2001:db8::1",
    }


async def test_pages_go_from_newest_to_oldest_and_hold_each_event_once(any_store: Store) -> None:
    await put(any_store, 23, event_time=[NOON - (i // 5) * SECOND for i in range(23)])  # several events share each second
    seen: list[Any] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = await search(any_store, query(limit=4, cursor=cursor))
        seen += [(row["event_time"], row["event_id"]) for row in page.rows]
        cursor, pages = page.cursor, pages + 1
        # newer, and older of the same second as the first page: neither moves what is still to come
        await put(any_store, 1, f"more {pages}", event_time=NOON + pages * SECOND, raw_offset=1000 + pages)
    assert pages == 6
    assert len(set(seen)) == 23
    assert [time for time, _ in seen] == sorted((time for time, _ in seen), reverse=True)


async def test_a_last_page_that_is_full_ends(any_store: Store) -> None:
    await put(any_store, 4)
    page = await search(any_store, query(limit=4))
    assert (len(page.rows), page.cursor) == (4, "")
    assert (await search(any_store, query(("user", "eq", "nobody")))).rows == []


async def test_the_range_has_its_start_and_not_its_end(any_store: Store) -> None:
    await put(any_store, 3, event_time=[NOON - SECOND, NOON, NOON + SECOND])
    page = await search(any_store, EventQuery(NOON, NOON + SECOND, None))
    assert [row["event_time"] for row in page.rows] == ["2026-03-02T12:00:00.000Z"]


async def test_a_scope_hides_other_agencies(any_store: Store) -> None:
    await put(any_store, 4, agency=["gangnam", "mapo", "mapo", "_unknown"])
    assert await found(any_store) == [0, 1, 2, 3]
    assert await found(any_store, agencies={"mapo"}) == [1, 2]
    assert await found(any_store, agencies={"gangnam", "_unknown"}) == [0, 3]
    assert await found(any_store, agencies=set()) == []
    assert await found(any_store, ("agency", "eq", "gangnam"), agencies={"mapo"}) == []


FILTERS: tuple[tuple[list[tuple[str, Any, str]], list[int]], ...] = (
    ([("user", "eq", "kim")], [0]),
    ([("user", "eq", "")], [3]),
    ([("user", "prefix", "ki")], [0]),
    ([("user", "prefix", "ad")], [2]),
    ([("user", "contains", "IM")], [0, 1]),
    ([("user", "contains", "관리")], [2]),
    ([("user", "contains", "%")], []),
    ([("action", "eq", "deny")], [1, 2]),
    ([("action", "contains", "EN")], [1, 2]),
    ([("src_ip", "eq", "192.0.2.1")], [0]),
    ([("src_ip", "eq", "::ffff:192.0.2.1")], [0]),
    ([("src_ip", "eq", "192.0.2.0/24")], [0, 1]),
    ([("src_ip", "eq", "0.0.0.0/0")], [0, 1]),
    ([("src_ip", "eq", "2001:db8::/32")], [2]),
    ([("src_ip", "eq", "::/0")], [0, 1, 2]),
    ([("src_port", "eq", "0")], [1]),
    ([("src_port", "eq", "443")], [0]),
    ([("action", "eq", "deny"), ("src_ip", "eq", "192.0.2.0/24")], [1]),
)


async def test_filters(any_store: Store) -> None:
    await put(
        any_store,
        4,
        user=["kim", "Kim", "adm관리자", ""],
        action=["accept", "deny", "deny", "accept"],
        src_ip=[ipv4(192, 0, 2, 1), ipv4(192, 0, 2, 255), bytes.fromhex("20010db8000000000000000000000005"), None],
        src_port=[443, 0, None, 80],
    )
    for filters, lines in FILTERS:
        assert await found(any_store, *filters) == lines, filters


@pytest.mark.parametrize(
    "wrong",
    [
        ("no_such_column", "eq", "1"),
        ("user` = '' OR 1 --", "eq", "1"),
        ("src_ip", "eq", "300.1.1.1"),
        ("src_ip", "contains", "192"),
        ("src_port", "eq", "-1"),
        ("src_port", "eq", "65536"),
        ("src_port", "eq", "٣"),
        ("src_port", "prefix", "4"),
        ("event_time", "eq", "2026-01-01"),
    ],
)
async def test_wrong_filters_are_the_askers_fault(bare_store: Store, wrong: tuple[str, Any, str]) -> None:
    with pytest.raises(Invalid):
        await search(bare_store, query(wrong))


@pytest.mark.parametrize(
    "cursor",
    ["x", "====", "bnVsbA", "WzEsMl0", "WzEsImsiLC0xLDIsM10", "W25hbix7fSwxLDIsM10", "WzI1MzQwMjMwMDAwMDAwMCwiayIsMSwyLDNd", "한글"],
)
async def test_a_foreign_cursor_is_refused(bare_store: Store, cursor: str) -> None:
    with pytest.raises(Invalid, match="cursor"):
        await search(bare_store, query(cursor=cursor))


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_a_size(bare_store: Store, limit: int) -> None:
    with pytest.raises(Invalid, match="limit"):
        await search(bare_store, query(limit=limit))


async def test_one_event_by_its_id(any_store: Store) -> None:
    await put(any_store, 3, raw_epoch="k7", raw_partition=3, raw_offset=99, agency=["gangnam", "mapo", "mapo"])
    assert (await get_event(any_store, "k7-3-99-1", None))["agency"] == "mapo"
    assert (await get_event(any_store, "k7-3-99-1", {"mapo"}))["event_id"] == "k7-3-99-1"
    for name, scope in [
        ("k7-3-99-1", {"gangnam"}),
        ("k7-3-99-3", None),
        ("k8-3-99-1", None),
        ("k7-70000-99-1", None),
        ("k7-3--1-1", None),
        ("", None),
        ("'--", None),
    ]:
        with pytest.raises(NotFound):
            await get_event(any_store, name, scope)


async def test_counts_by_minute_of_what_reached_us(any_store: Store) -> None:
    minute = timedelta(minutes=1)
    at = [NOON, NOON + 59 * SECOND, NOON + 2 * minute, NOON - SECOND]
    await put(any_store, 4, received_at=at, event_time=NOON - 400 * HOUR, agency=["gangnam", "mapo", "mapo", "mapo"])
    await any_store.insert("quarantine", rows(1, QUARANTINE, received_at=NOON + minute, agency="mapo"), "t")
    await any_store.insert("detections", rows(2, DETECTIONS, received_at=NOON - 400 * HOUR, detected_at=NOON + minute), "t")
    drill = {"exercise": "DRL-2026-000001", "received_at": NOON + minute, "detected_at": NOON + minute, "raw_offset": 99}
    for table in (EVENTS, QUARANTINE, DETECTIONS):
        known = {name: value for name, value in drill.items() if name in table.names}
        await any_store.insert(table.name, rows(1, table, **known), "drill")
    all_of = await counts(any_store, NOON + 30 * SECOND, NOON + 3 * minute + 30 * SECOND, None)
    assert (all_of.events, all_of.quarantined, all_of.detections) == (3, 1, 2)
    assert [(m.at, m.events, m.quarantined, m.detections) for m in all_of.minutes] == [
        (NOON, 2, 0, 0),
        (NOON + minute, 0, 1, 2),
        (NOON + 2 * minute, 1, 0, 0),
    ]
    of_mapo = await counts(any_store, NOON, NOON + 3 * minute, {"mapo"})
    assert (of_mapo.events, of_mapo.quarantined, of_mapo.detections) == (2, 1, 0)


async def test_when_each_source_was_last_heard(any_store: Store) -> None:
    times = [NOON, NOON + SECOND, NOON - SECOND]
    await put(any_store, 3, received_at=times, agency=["gangnam", "gangnam", "mapo"], source=["fw1", "fw1", "ips"])
    await any_store.insert("quarantine", rows(1, QUARANTINE, received_at=NOON, agency="mapo", source="ips"), "t")
    await any_store.insert("quarantine", rows(1, QUARANTINE, received_at=NOON, agency="mapo", source="broken"), "u")
    await put(any_store, 1, raw_offset=99, received_at=NOON + SECOND, source="exercise/fw1", exercise="DRL-2026-000001")
    assert await last_seen(any_store, None) == [
        Heard("gangnam", "fw1", NOON + SECOND, 2),
        Heard("mapo", "broken", NOON, 1),
        Heard("mapo", "ips", NOON, 2),
    ]
    assert await last_seen(any_store, {"gangnam"}) == [Heard("gangnam", "fw1", datetime(2026, 3, 2, 12, 0, 1, tzinfo=UTC), 2)]
