"""Indicators from a feed's file to detections: real store, real bus, real database, and the API before them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import arrow, topics
from core.bus.contract import Record
from core.clock import FixedClock, millis
from core.events import DETECTIONS
from detect import rules
from detect.indicators.findings import Finder
from detect.indicators.history import History, search
from detect.indicators.library import Library, load
from detect.stream import Detector, DetectStage
from respond.models import Audit
from runtime.bootstrap import open_parts
from tests.event_rows import table
from tests.indicators import bundle, csv_feed, misp_event
from tests.servers.api import FIRST_SEEN, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 4, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RULE = """title: Scanner
id: 00000000-0000-4000-8000-000000000001
logsource: {category: web}
detection: {s: {user_agent|contains: sqlmap}, condition: s}
"""


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def post(centre: TestCentre, feed: str, body: bytes, query: str = "format=csv", **headers: str) -> Any:
    async with centre.as_machine("indicators:write") as machine:
        answer = await machine.post(f"/v1/indicators/feeds/{feed}?{query}", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ask(centre: TestCentre, path: str, *actions: str, agency: str = "") -> Any:
    async with centre.as_machine(*(actions or ("indicators:read",)), agency=agency) as machine:
        answer = await machine.get(f"/v1/indicators{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def library(centre: TestCentre) -> Library:
    return Library(centre.centre.store, centre.clock)


def history(centre: TestCentre) -> History:
    return History(centre.centre.store, centre.centre.database, centre.centre.bus, centre.clock)


async def search_all(centre: TestCentre) -> None:
    """Let the time pass that history waits for, and search all there is to search."""
    centre.clock.advance(timedelta(minutes=3))
    searcher = history(centre)
    while await searcher.step():
        pass


async def produced(centre: TestCentre, group: str = "test") -> list[dict[str, Any]]:
    """The detections on the bus."""
    consumer = await centre.centre.bus.consumer(group, [topics.DETECTIONS])
    found: list[dict[str, Any]] = []
    while records := await consumer.poll(max_messages=1000, max_bytes=1 << 26, timeout=0.2):
        found += [row for record in records for row in arrow.decode(record.value).to_pylist()]
    await consumer.close()
    return found


def event(offset: int, line: int = 0, **columns: Any) -> dict[str, Any]:
    place = {"raw_epoch": "e1", "raw_partition": 0, "raw_offset": offset, "raw_line": line, "agency": "parks", "raw": f"line {offset}"}
    return place | {"received_at": millis(NOW), "event_time": millis(NOW)} | columns


# From a file into use


async def test_what_is_imported_is_met_on_the_stream_within_one_message(centre: TestCentre, tmp_path: Path) -> None:
    await post(centre, "kisa", csv_feed("evil.example", "203.0.113.0/24", confidence="85"))
    await post(centre, "cert", json.dumps(misp_event(("ip-dst|port", "203.0.113.5|443"), tags=["tlp:green"])).encode(), "format=misp")
    async with open_parts(settings_for(tmp_path / "detect"), {"bus"}, centre.clock) as parts:
        in_use = library(centre)
        await in_use.refresh()
        engine = centre.centre.store._engine  # type: ignore[attr-defined] - the process has one
        detector = Detector(engine, rules.parse(RULE, "r.yml"), centre.clock, indicators=Finder(in_use, centre.clock))
        events = [
            event(5, 0, domain="a.evil.example", user_agent="sqlmap", log_class="web"),
            event(5, 1, user_agent="sqlmap", log_class="web"),
            event(6, 0, dst_ip="203.0.113.5", src_ip="10.0.0.9"),
            event(7, 0, dst_ip="203.0.114.5"),
        ]
        message = Record(topics.EVENTS, 0, 0, arrow.encode(table(events)), {}, NOW)
        await DetectStage(parts.bus, detector).handle([message], 1)
        consumer = await parts.bus.consumer("test", [topics.DETECTIONS])
        records = await consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=5)
        detector.close()
        await consumer.close()
    assert len(records) == 1
    found = arrow.decode(records[0].value)
    assert found.schema.equals(DETECTIONS.schema)
    assert found["raw_offset"].to_pylist() == [5, 5, 5, 6, 6]
    rows = sorted(found.to_pylist(), key=lambda row: (row["raw_offset"], row["raw_line"], row["rule_id"]))  # of one line in any order
    assert [(row["rule_id"], row["raw_offset"], row["raw_line"]) for row in rows] == [
        ("00000000-0000-4000-8000-000000000001", 5, 0),
        ("indicator-kisa", 5, 0),
        ("00000000-0000-4000-8000-000000000001", 5, 1),
        *[("indicator-cert", 6, 0), ("indicator-kisa", 6, 0)],
    ]
    domain, address, network = rows[1], rows[3], rows[4]
    assert (domain["kind"], domain["origin"], domain["rule_level"], domain["raw"]) == ("indicator", "stream", "high", "line 5")
    assert domain["rule_title"] == "Known-bad domain of feed kisa"
    assert (address["rule_level"], address["rule_tags"], network["rule_title"]) == (
        *("medium", "tlp.green"),
        "Known-bad network of feed kisa",
    )
    assert len({row["detection_id"] for row in rows}) == 5
    assert address["detection_id"].startswith("indicator-cert:e1-0-6-0:")
    details = json.loads(domain["details"])
    assert details.pop("hash") == domain["detection_id"].rpartition(":")[2]
    assert details == {
        "indicator": "evil.example",
        "type": "domain",
        "feed": "kisa",
        "column": "domain",
        "tlp": "amber",
        "confidence": 85,
        "valid_until": "2026-08-02T01:12:00Z",
    }


async def test_a_library_reads_anew_when_a_feed_changes_and_only_then(centre: TestCentre) -> None:
    in_use = library(centre)
    assert not await in_use.refresh()
    await post(centre, "kisa", csv_feed("evil.example"))
    assert await in_use.refresh()
    assert len(in_use.index) == 1
    assert not await in_use.refresh()
    await post(centre, "kisa", csv_feed("evil.example", "worse.example"))
    assert await in_use.refresh()
    assert sorted(in_use.index.rows["value"].to_pylist()) == ["evil.example", "worse.example"]
    async with centre.as_machine("indicators:write") as machine:
        twice_changed = {"If-Match": '"2"'}
        assert (await machine.delete("/v1/indicators/feeds/kisa", headers=FIRST_SEEN)).status_code == 412
        assert (await machine.delete("/v1/indicators/feeds/kisa", headers=twice_changed)).status_code == 204
        assert (await machine.delete("/v1/indicators/feeds/kisa", headers=twice_changed)).status_code == 404
    assert await in_use.refresh()
    assert len(in_use.index) == 0


async def test_a_running_library_takes_up_an_import_and_a_store_that_is_away_changes_nothing(centre: TestCentre) -> None:
    in_use = library(centre)
    running = asyncio.create_task(in_use.run())
    await post(centre, "kisa", csv_feed("evil.example"))
    async with asyncio.timeout(20):
        while not len(in_use.index):  # noqa: ASYNC110 - a library tells of nothing but its index
            await asyncio.sleep(0.05)
    running.cancel()
    await centre.centre.store.close()
    await in_use.look()
    assert "closed" in in_use.problem
    assert len(in_use.index) == 1


async def test_importing_twice_replaces_and_is_searched_for_once(centre: TestCentre) -> None:
    first = await post(centre, "kisa", csv_feed("evil.example", "203.0.113.5", "evil.example", tlp="green"))
    assert (first["accepted"], first["new"], first["refused"]) == (3, 2, {})
    again = await post(centre, "kisa", csv_feed("evil.example", "203.0.113.9", tlp="red"))
    assert (again["accepted"], again["new"]) == (2, 1)
    in_use = library(centre)
    await in_use.refresh()
    rows = {row["value"]: (row["tlp"], row["import_id"]) for row in in_use.index.rows.to_pylist()}
    one, two = first["import_id"], again["import_id"]
    assert rows == {"evil.example": ("red", two), "203.0.113.5": ("green", one), "203.0.113.9": ("red", two)}
    assert [len(await load(centre.centre.store, centre.clock, number)) for number in (one, two)] == [2, 1]


async def test_what_ended_is_not_met_nor_read_and_is_new_when_it_comes_again(centre: TestCentre) -> None:
    await post(centre, "kisa", csv_feed("evil.example", expires=NOW + timedelta(hours=1)))
    await post(centre, "kisa", csv_feed("old.example", expires=NOW - DAY))
    await post(centre, "short", csv_feed("brief.example"), "format=csv&expire_days=2")
    await post(centre, "ever", csv_feed("ever.example"), "format=csv&expire_days=0")
    finder_library = library(centre)
    await finder_library.refresh()
    events = table([event(n, domain=name) for n, name in enumerate(["evil.example", "old.example", "brief.example", "ever.example"])])
    finder = Finder(finder_library, centre.clock)
    assert finder.find(events)[0].tolist() == [0, 2, 3]
    centre.clock.advance(timedelta(hours=1))
    assert finder.find(events)[0].tolist() == [2, 3]
    assert (await post(centre, "kisa", csv_feed("evil.example")))["new"] == 1
    centre.clock.advance(timedelta(days=4000))
    assert finder.find(events)[0].tolist() == [3]
    assert len(await load(centre.centre.store, centre.clock)) == 1
    await post(centre, "kisa", csv_feed("next.example"))
    kept = await centre.centre.store.query("SELECT value FROM indicators FINAL WHERE feed = 'kisa' AND type != ''")
    assert kept["value"].to_pylist() == ["next.example"]


async def test_a_broken_file_changes_nothing(centre: TestCentre) -> None:
    await post(centre, "kisa", csv_feed("evil.example"))
    broken = bundle("[domain-name:value = 'worse.example']")[:-3]
    async with centre.as_machine("indicators:write") as machine:
        answers = [
            await machine.post("/v1/indicators/feeds/kisa?format=stix", content=broken),
            await machine.post("/v1/indicators/feeds/kisa?format=csv", content=b"name\nevil.example\n"),
            await machine.post("/v1/indicators/feeds/kisa?format=misp", content=b"{}"),
            await machine.post("/v1/indicators/feeds/kisa?format=stix", content=b"\xff\xfe"),
            await machine.post("/v1/indicators/feeds/kisa", content=b"{}", headers={"Content-Type": "application/json"}),
            await machine.post("/v1/indicators/feeds/kisa?format=csv", content=b"no gzip", headers={"Content-Encoding": "gzip"}),
            await machine.post("/v1/indicators/feeds/Bad%20Name?format=csv", content=csv_feed("evil.example")),
        ]
    assert [one.status_code for one in answers] == [422, 422, 422, 422, 415, 422, 422]
    assert [one["last_import"]["import_id"] for one in (await ask(centre, "/feeds"))["items"]] == [1]


async def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    settings_ = settings_for(tmp_path, indicators={"max_import_mb": 1})
    async with running_centre(settings_, FixedClock(NOW)) as centre, centre.as_machine("indicators:write") as machine:
        large = gzip.compress(b"value\n" + b"evil.example\n" * 100_000)
        answer = await machine.post("/v1/indicators/feeds/kisa?format=csv", content=large, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    assert "indicators.max_import_mb" in answer.json()["detail"]


# History


async def test_the_earliest_match_of_each_agency_is_told_within_scope(centre: TestCentre) -> None:
    await centre.put_events("parks", NOW - 3 * DAY, dst_ip="203.0.113.5", count=30)
    await centre.put_events("parks", NOW - 2 * DAY, domain="x.evil.example")
    await centre.put_events("seogu", NOW - DAY, url="http://evil.example/a", src_ip="203.0.113.5", count=2)
    await centre.put_events("seogu", NOW - 40 * DAY, dst_ip="203.0.113.5")
    await centre.put_events("seogu", NOW - DAY, dst_ip="203.0.114.5", domain="notevil.example")
    done = await post(centre, "kisa", csv_feed("203.0.113.0/24", "evil.example", "unseen.example"))
    await search_all(centre)
    told = await ask(centre, f"/imports/{done['import_id']}")
    assert [(one["agency"], one["first_at"], one["indicators"], one["events"]) for one in told["first_knowable"]] == [
        ("parks", "2026-05-01T01:12:00Z", 2, 31),
        ("seogu", "2026-05-03T01:12:00Z", 2, 4),
    ]
    assert told["history"]["searched_until"] is None
    assert not told["history"]["capped"]
    own = await ask(centre, f"/imports/{done['import_id']}", agency="seogu")
    assert {one["agency"] for one in [*own["first_knowable"], *own["sightings"]]} == {"seogu"}
    found = await produced(centre)
    assert {(row["kind"], row["origin"], row["raw_epoch"], row["raw_partition"]) for row in found} == {
        ("indicator", "hunt", "indicators1", 0)
    }
    assert sorted((row["agency"], row["rule_title"]) for row in found) == [
        *[("parks", "Known-bad domain of feed kisa"), ("parks", "Known-bad network of feed kisa")],
        *[("seogu", "Known-bad domain of feed kisa"), ("seogu", "Known-bad network of feed kisa")],
    ]
    network = next(row for row in found if row["agency"] == "parks" and "network" in row["rule_title"])
    details = json.loads(network["details"])
    assert (details["event_count"], details["column"], details["first"]) == (30, "dst_ip", "2026-05-01T01:12:00.000Z")
    assert details["events"] == [f"e1-0-1-{line}" for line in range(20)]
    assert (network["raw"], network["event_time"]) == ("line 0", NOW - 3 * DAY)
    assert len({row["detection_id"] for row in found}) == 4


async def test_a_day_that_is_searched_again_has_the_same_place(centre: TestCentre) -> None:
    await centre.put_events("parks", NOW - 3 * DAY, dst_ip="203.0.113.5")
    await centre.put_events("parks", NOW - DAY, dst_ip="203.0.113.5")
    done = await post(centre, "kisa", csv_feed("203.0.113.5"))
    centre.clock.advance(timedelta(minutes=3))
    before = await centre.centre.bus.end_offsets(topics.DETECTIONS)
    searcher, other = history(centre), history(centre)
    while await searcher.step():
        pass
    first = await produced(centre)
    with centre.centre.database.session() as session:
        session.execute(sa.text("UPDATE indicator_imports SET history_next = history_since"))
        session.execute(sa.text("DELETE FROM indicator_sightings"))
    while await other.step():
        pass
    again = (await produced(centre, "again"))[len(first) :]
    assert sum((await centre.centre.bus.end_offsets(topics.DETECTIONS)).values()) > sum(before.values())
    assert [(row["detection_id"], row["raw_offset"], row["raw_line"]) for row in again] == [
        (row["detection_id"], row["raw_offset"], row["raw_line"]) for row in first
    ]
    assert [row["raw_offset"] for row in first] == sorted({row["raw_offset"] for row in first})
    told = await ask(centre, f"/imports/{done['import_id']}")
    assert [(one["events"], one["first_at"]) for one in told["sightings"]] == [(2, "2026-05-01T01:12:00Z")]


async def test_the_last_stretch_waits_until_the_stream_has_taken_over(centre: TestCentre) -> None:
    done = await post(centre, "kisa", csv_feed("203.0.113.5"))
    searcher = history(centre)
    while await searcher.step():
        pass
    assert (await ask(centre, f"/imports/{done['import_id']}"))["history"]["searched_until"] == "2026-05-04T00:00:00Z"
    await centre.put_events("parks", NOW + timedelta(seconds=30), dst_ip="203.0.113.5")
    await search_all(centre)
    assert (await ask(centre, f"/imports/{done['import_id']}"))["first_knowable"][0]["events"] == 1


NAMES = st.sampled_from(["", "evil.example", "a.evil.example", "other.example", "EVIL.example:81", "203.0.113.5"])
ADDRESSES = st.sampled_from([None, "203.0.113.5", "203.0.113.200", "198.51.100.1", "2001:db8::5", "2001:db9::1"])
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            **dict.fromkeys(("src_ip", "dst_ip", "src_nat_ip", "dst_nat_ip"), ADDRESSES),
            **dict.fromkeys(("domain", "dns_query"), NAMES),
            "url": st.sampled_from(["", "/x", "http://evil.example/x", "evil.example", "http://203.0.113.5/"]),
            "file_hash": st.sampled_from(["", "A" * 32, "b" * 32]),
            "agency": st.sampled_from(["parks", "seogu"]),
        }
    ),
    min_size=1,
    max_size=25,
)
FEEDS = st.lists(
    st.sampled_from(
        [
            "203.0.113.5",
            "203.0.113.128/25",
            "2001:db8::/32",
            "evil.example",
            "http://evil.example/x",
            "a" * 32,
            "198.51.100.0/24",
            "x.example",
        ]
    ),
    min_size=1,
    max_size=6,
    unique=True,
)


async def test_history_finds_what_the_stream_finds(centre: TestCentre) -> None:
    """Each example has a feed and a day of its own in one store."""
    store, number = centre.centre.store, 0

    async def judged(feed: Sequence[str], happened: Sequence[dict[str, Any]]) -> None:
        nonlocal number
        number += 1
        begin = datetime(2025, 1, 1, tzinfo=UTC) + number * DAY
        rows = table([event(number, line, **one) | {"received_at": millis(begin) + line} for line, one in enumerate(happened)])
        await store.insert("events", rows, f"example {number}")
        done = await post(centre, f"feed{number}", csv_feed(*feed))
        index = await load(store, centre.clock, done["import_id"])
        found = await search(store, index, done["import_id"], begin, begin + DAY, NOW)
        matches = index.match(rows, millis(NOW))
        agencies = rows["agency"].to_pylist()
        expected: dict[tuple[int, str], int] = {}
        for row, indicator in zip(matches.rows.tolist(), matches.indicators.tolist(), strict=True):
            expected[indicator, agencies[row]] = expected.get((indicator, agencies[row]), 0) + 1
        assert {pair: met.count for pair, met in found.met.items()} == expected

    loop = asyncio.get_running_loop()

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(FEEDS, EVENTS)
    def examples(feed: list[str], happened: list[dict[str, Any]]) -> None:
        asyncio.run_coroutine_threadsafe(judged(feed, happened), loop).result(60)

    await asyncio.to_thread(examples)
    assert number >= 25


# What is shown, and to whom


async def test_a_value_is_found_with_what_it_lies_in(centre: TestCentre) -> None:
    await post(centre, "kisa", csv_feed("evil.example", "203.0.113.0/24", "http://evil.example/x", expires=NOW + DAY))
    await post(centre, "old", csv_feed("203.0.113.7", expires=NOW - DAY))

    async def known(value: str) -> list[tuple[str, bool]]:
        async with centre.as_person("mayor") as person:
            answer = await person.get("/v1/indicators", params={"value": value})
        return [(one["value"], one["in_force"]) for one in answer.json()["items"]]

    assert await known("203.0.113.7") == [("203.0.113.0/24", True), ("203.0.113.7", False)]
    assert await known("A.evil.example.") == [("evil.example", True)]
    assert await known("https://evil.example:443/x#y") == [("evil.example", True), ("evil.example/x", True)]
    assert await known("notevil.example") == []
    assert await known("::ffff:203.0.113.9") == [("203.0.113.0/24", True)]


async def test_red_is_shown_to_those_who_may_write_only(centre: TestCentre) -> None:
    await centre.put_events("parks", NOW - DAY, dst_ip="203.0.113.5")
    await post(centre, "secret", bundle("[ipv4-addr:value = '203.0.113.5']", "[ipv4-addr:value = '203.0.113.6']"), "format=stix&tlp=red")
    await search_all(centre)
    reads, writes = ("indicators:read",), ("indicators:read", "indicators:write")
    assert [len((await ask(centre, "?value=203.0.113.5", *who))["items"]) for who in (reads, writes)] == [0, 1]
    shown = [(await ask(centre, "/imports/1", *who))["sightings"][0] for who in (reads, writes)]
    assert [one["value"] for one in shown] == ["", "203.0.113.5"]
    details = json.loads((await produced(centre))[0]["details"])
    assert "indicator" not in details
    assert [one["value"] for one in (await ask(centre, f"/hashes/{details['hash']}", "indicators:write"))["items"]] == ["203.0.113.5"]
    async with centre.as_machine("indicators:read") as machine:
        assert (await machine.get(f"/v1/indicators/hashes/{details['hash']}")).status_code == 403
        assert (await machine.get("/v1/indicators/imports/1/refusals")).status_code == 403
        assert (await machine.post("/v1/indicators/feeds/x?format=csv", content=csv_feed("evil.example"))).status_code == 403
        assert (await machine.delete("/v1/indicators/feeds/secret", headers=FIRST_SEEN)).status_code == 403
    async with centre.as_person("officer") as officer:
        assert (await officer.get("/v1/indicators/feeds")).status_code == 403


async def test_what_is_refused_is_kept_with_its_reason_and_counted(centre: TestCentre) -> None:
    patterns = ["[domain-name:value = 'evil.example']", "[file:name = 'a.exe']", "[ipv4-addr:value = '300.1.1.1']", "nonsense"]
    done = await post(centre, "kisa", bundle(*patterns), "", **{"Content-Type": "application/stix+json;version=2.1"})
    assert done["refused"] == {"unsupported": 1, "value": 1, "malformed": 1}
    kept = (await ask(centre, f"/imports/{done['import_id']}/refusals", "indicators:write"))["items"]
    assert [(one["place"], one["given"]) for one in kept] == [(2, patterns[1]), (3, patterns[2]), (4, "nonsense")]
    assert kept[0]["reason"] == "file:name is not matched here"


async def test_feeds_are_listed_and_every_change_is_audited(centre: TestCentre) -> None:
    await post(centre, "kisa", csv_feed("evil.example", "203.0.113.5", "203.0.113.6"), "format=csv&confidence=90&tlp=green&expire_days=7")
    await post(centre, "kisa", csv_feed("203.0.113.7"))
    (feed,) = (await ask(centre, "/feeds"))["items"]
    assert (feed["name"], feed["expire_days"], feed["tlp"], feed["confidence"]) == ("kisa", 7, "green", 90)
    assert feed["in_force"] == {"address": 3, "domain": 1}
    assert feed["last_import"]["accepted"] == 1
    pages = [await ask(centre, "/imports?limit=1"), await ask(centre, "/imports?limit=1&cursor=2")]
    assert [(page["items"][0]["import_id"], page["next_cursor"]) for page in pages] == [(2, "2"), (1, "")]
    async with centre.as_machine("indicators:write") as machine:
        await machine.delete("/v1/indicators/feeds/kisa", headers={"If-Match": f'"{feed["version"]}"'})
    assert await ask(centre, "/feeds") == {"items": []}
    with centre.centre.database.session(readonly=True) as session:
        trail = session.execute(sa.select(Audit.action, Audit.object).where(Audit.object == "indicators/kisa").order_by(Audit.seq)).all()
    assert [tuple(row) for row in trail] == [
        (action, "indicators/kisa") for action in ("indicators.import",) * 2 + ("indicators.delete_feed",)
    ]
