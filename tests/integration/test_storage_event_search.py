"""Searching events, on both stores: pages, filters, counts over time, commonest values, all of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from core.clock import KST
from core.errors import Invalid, QueryTooCostly
from core.events import EVENTS, IntakeFlag
from core.storage import event_search
from core.storage.contract import Store
from core.storage.event_queries import Scope
from core.storage.event_search import Bar, Common, Wanted, count, everything, histogram, page, values
from core.storage.rows import to_jsonable
from core.storage.search_language import parse
from tests.rows import NOON, ipv4, rows

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def wanted(search: str = "", agencies: Scope = None) -> Wanted:
    return Wanted(NOON - HOUR, NOON + HOUR, agencies, parse(search))


async def found(store: Store, search: str = "", agencies: Scope = None) -> list[int]:
    """The lines that meet the search, in order."""
    return sorted(int(row["event_id"].rsplit("-", 1)[1]) for row in (await page(store, wanted(search, agencies))).rows)


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
    (row,) = (await page(any_store, wanted())).rows
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
        shown = await page(any_store, wanted(), 4, cursor)
        seen += [(row["event_time"], row["event_id"]) for row in shown.rows]
        cursor, pages = shown.cursor, pages + 1
        # newer, and older of the same second as the first page: neither moves what is still to come
        await put(any_store, 1, f"more {pages}", event_time=NOON + pages * SECOND, raw_offset=1000 + pages)
    assert pages == 6
    assert len(set(seen)) == 23
    assert [time for time, _ in seen] == sorted((time for time, _ in seen), reverse=True)


async def test_a_last_page_that_is_full_ends(any_store: Store) -> None:
    await put(any_store, 4)
    shown = await page(any_store, wanted(), 4)
    assert (len(shown.rows), shown.cursor) == (4, "")
    assert (await page(any_store, wanted("user:nobody"))).rows == []


async def test_the_range_has_its_start_and_not_its_end(any_store: Store) -> None:
    await put(any_store, 3, event_time=[NOON - SECOND, NOON, NOON + SECOND])
    shown = await page(any_store, Wanted(NOON, NOON + SECOND, None))
    assert [row["event_time"] for row in shown.rows] == ["2026-03-02T12:00:00.000Z"]


async def test_a_scope_hides_other_agencies(any_store: Store) -> None:
    await put(any_store, 4, agency=["gangnam", "mapo", "mapo", "_unknown"])
    assert await found(any_store) == [0, 1, 2, 3]
    assert await found(any_store, agencies={"mapo"}) == [1, 2]
    assert await found(any_store, agencies={"gangnam", "_unknown"}) == [0, 3]
    assert await found(any_store, agencies=set()) == []
    assert await found(any_store, "agency:gangnam", agencies={"mapo"}) == []


SEARCHES: tuple[tuple[str, list[int]], ...] = (
    ("", [0, 1, 2, 3]),
    ("user:kim", [0, 1]),
    ("user:KIM", [0, 1]),
    ("user:k?m", [0, 1]),
    ("user:ki*", [0, 1]),
    ("user:*im", [0, 1]),
    ("user:i", []),
    ("user:adm*", [2]),
    ("user:*관리*", [2]),
    ("user:%", []),
    ("user:_im", []),
    ("user:*%*", []),
    ("user:*", [0, 1, 2]),
    ('user:""', [3]),
    ("NOT user:*", [3]),
    ("-user:kim", [2, 3]),
    ("action:deny", [1, 2]),
    ("action:(deny OR accept)", [0, 1, 2, 3]),
    ("action:(deny AND NOT accept)", [1, 2]),
    ("agency:gangnam", [0, 1, 2, 3]),
    ("agency:GANGNAM", []),
    ("src_ip:192.0.2.1", [0]),
    ("src_ip:::ffff:192.0.2.1", [0]),
    ("c-ip:192.0.2.1", [0]),
    ("SourceIP:192.0.2.1", [0]),
    ("src_ip:192.0.2.0/24", [0, 1]),
    ("src_ip:192.0.2.*", [0, 1]),
    ("src_ip:0.0.0.0/0", [0, 1]),
    ("src_ip:2001:db8::/32", [2]),
    ("src_ip:::/0", [0, 1, 2]),
    ("src_ip:[192.0.2.2 TO 192.0.2.255]", [1]),
    ("NOT src_ip:192.0.2.0/24", [2, 3]),
    ("src_port:0", [1]),
    ("src_port:443", [0]),
    ("src_port:*", [0, 1, 3]),
    ("NOT src_port:443", [1, 2, 3]),
    ("src_port:[80 TO 443]", [0, 3]),
    ("src_port:[80 TO 443}", [3]),
    ("src_port:{80 TO *]", [0]),
    ("src_port:<=80", [1, 3]),
    ("src_port:<80", [1]),
    ("src_port:>80", [0]),
    ("src_port:>=80", [0, 3]),
    ("action:deny src_ip:192.0.2.0/24", [1]),
    ("user:kim AND action:deny OR src_port:80", [1, 3]),
    ("user:kim and (action:deny or src_port:80)", [1]),
    ("select", [0, 1]),
    ('"UNION SELECT"', [1]),
    ("union*from", [1]),
    ('union "from t"', [1]),
    ("raw:union", [1]),
    ("100%", [3]),
    ("10_%", []),
    ('"and"', [2]),
    ("intake_flags:masked", [2]),
    ("intake_flags:(masked OR cp949)", [2, 3]),
    ("event_time:[2026-03-02T21:00:01 TO *]", [1, 2, 3]),
    ("event_time:>=2026-03-02T12:00:02Z", [2, 3]),
    ("event_time:[2026-03-02 TO 2026-03-02]", [0, 1, 2, 3]),
    ("event_time:<2026-03-02", []),
)


async def test_searches(any_store: Store) -> None:
    await put(
        any_store,
        4,
        user=["kim", "Kim", "adm관리자", ""],
        action=["accept", "deny", "deny", "accept"],
        src_ip=[ipv4(192, 0, 2, 1), ipv4(192, 0, 2, 255), bytes.fromhex("20010db8000000000000000000000005"), None],
        src_port=[443, 0, None, 80],
        raw=["please select one", "/a?q=1 Union Select 1 from t", "this and that", "100% done"],
        intake_flags=[0, 0, int(IntakeFlag.MASKED | IntakeFlag.TRUNCATED), int(IntakeFlag.CP949)],
        event_time=[NOON + n * SECOND for n in range(4)],
    )
    for search, lines in SEARCHES:
        assert await found(any_store, search) == lines, search


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ("no_such_column:1", 1),
        ("a scr_ip:1", 3),
        ("src_ip:300.1.1.1", 8),
        ("src_ip:*192*", 8),
        ("src_ip:[10.0.0.0/8 TO *]", 9),
        ("src_port:-1", 10),
        ("src_port:65536", 10),
        ("src_port:٣", 10),
        ("src_port:4*", 10),
        ("event_time:2026-01-01", 1),
        ("event_time:>yesterday", 13),
        ("event_time:>0001-01-01", 13),
        ("user:[a TO b]", 1),
        ("intake_flags:odd", 14),
    ],
)
async def test_a_wrong_search_says_where(bare_store: Store, wrong: str, where: int | None) -> None:
    if where is None:
        assert (await page(bare_store, wanted(wrong))).rows == []  # not a name, so text of the line
        return
    with pytest.raises(Invalid, match=f"^search, character {where}: "):
        await page(bare_store, wanted(wrong))


@pytest.mark.parametrize(
    "cursor",
    ["x", "====", "bnVsbA", "WzEsMl0", "WzEsImsiLC0xLDIsM10", "W25hbix7fSwxLDIsM10", "WzI1MzQwMjMwMDAwMDAwMCwiayIsMSwyLDNd", "한글"],
)
async def test_a_foreign_cursor_is_refused(bare_store: Store, cursor: str) -> None:
    with pytest.raises(Invalid, match="cursor"):
        await page(bare_store, wanted(), 100, cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_a_size(bare_store: Store, limit: int) -> None:
    with pytest.raises(Invalid, match="limit"):
        await page(bare_store, wanted(), limit)


async def test_a_histogram_has_every_step_and_what_devices_did(any_store: Store) -> None:
    at = [NOON, NOON, NOON + 29 * SECOND, NOON + 31 * SECOND, NOON - 2 * HOUR]
    await put(
        any_store, 5, event_time=at, disposition=["deny", "allow", "deny", "", "deny"], agency=["mapo", "mapo", "mapo", "mapo", "mapo"]
    )
    await put(any_store, 3, "others", event_time=NOON, agency="gangnam", raw_offset=2)
    made = await histogram(any_store, Wanted(NOON - 30 * SECOND, NOON + 60 * SECOND, {"mapo"}))
    assert made.step == SECOND
    assert len(made.bars) == 90
    assert {bar.at: bar.events for bar in made.bars if bar.events} == {
        NOON: {"deny": 1, "allow": 1},
        NOON + 29 * SECOND: {"deny": 1},
        NOON + 31 * SECOND: {"": 1},
    }


async def test_days_of_a_histogram_begin_in_seoul(any_store: Store) -> None:
    midnight = datetime(2026, 3, 3, tzinfo=KST)
    await put(any_store, 2, event_time=[midnight - SECOND, midnight])
    made = await histogram(any_store, Wanted(midnight - 50 * 24 * HOUR, midnight + 50 * 24 * HOUR, None))
    assert made.step == 24 * HOUR
    assert [bar for bar in made.bars if bar.events] == [Bar(midnight - 24 * HOUR, {"": 1}), Bar(midnight, {"": 1})]


async def test_the_commonest_values(any_store: Store) -> None:
    addresses = [ipv4(192, 0, 2, 1), ipv4(192, 0, 2, 2), ipv4(192, 0, 2, 2), None]
    await put(any_store, 4, src_ip=addresses, user=["a", "b", "c", "c"], intake_flags=[0, 64, 64, 64])
    made = await values(any_store, wanted(), EVENTS.column("src_ip"))
    assert (made.events, made.set, made.distinct) == (4, 3, 2)
    assert made.commonest == [Common("192.0.2.2", 2), Common("192.0.2.1", 1)]
    assert (await values(any_store, wanted("src_ip:192.0.2.2"), EVENTS.column("user"), 1)).commonest == [Common("b", 1)]
    assert (await values(any_store, wanted(), EVENTS.column("intake_flags"))).commonest == [Common(["masked"], 3)]
    for name in ("raw", "event_time"):
        with pytest.raises(Invalid, match=name):
            await values(any_store, wanted(), EVENTS.column(name))


async def test_everything_comes_by_agency_and_time(any_store: Store) -> None:
    at = [NOON + 2 * SECOND, NOON + SECOND, NOON]
    await put(any_store, 3, event_time=at, agency=["mapo", "gangnam", "mapo"])
    batches = [batch async for batch in await everything(any_store, wanted(), EVENTS.columns)]
    rows = [row for batch in batches for row in to_jsonable(pa.Table.from_batches([batch]))]
    assert [row["event_id"] for row in rows] == ["k1-0-0-1", "k1-0-0-2", "k1-0-0-0"]
    assert await count(any_store, wanted("agency:mapo")) == 2


async def test_too_many_are_refused_before_any_is_read(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_search, "MOST_EXPORTED", 2)
    await put(any_store, 3)
    with pytest.raises(QueryTooCostly, match="3 events are wanted, and an export has at most 2"):
        await everything(any_store, wanted(), EVENTS.columns)
