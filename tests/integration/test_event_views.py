"""One event in other ways: OCSF, what a search met in it, what it led to; a search as a rule; a hunt by the hour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.clock import FixedClock
from detect.rules import parse
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
AT = NOW - timedelta(minutes=10)
RAW = "src=192.0.2.7:4444 dst=10.192.0.2.7 dport=22 Union  Select union select user=Kim"


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        columns = {"src_ip": "192.0.2.7", "dst_port": 22, "user": "Kim", "log_class": "firewall", "disposition": "deny"}
        await made.put_events("seogu", AT, 2, raw=RAW, **columns)
        yield made


@pytest.mark.parametrize(
    ("q", "columns", "parts"),
    [
        ("", [], []),
        ("nothing", [], []),
        ('"union select"', [], ["union select"]),
        ("union*select", [], ["Union", "Select"]),
        ("un?on*s?lect*kim", [], ["Un", "on", "S", "lect", "Kim"]),
        ("*".join("2" * 6) + "*", [], ["2", "2", "2", "2", "22"]),
        ("src_ip:192.0.2.0/24", ["src_ip"], ["192.0.2.7"]),
        ("user:k* OR dst_port:23", ["user"], ["Kim"]),
        ("dst_port:22 NOT user:lee NOT NOT user:kim", ["dst_port", "user"], ["22", "Kim"]),
        ("NOT user:lee", [], []),
        ("dst_port:[1 TO 30] raw:user", ["dst_port"], ["22", "user"]),
    ],
)
async def test_what_a_search_met_is_marked(centre: TestCentre, q: str, columns: list[str], parts: list[str]) -> None:
    async with centre.as_person("analyst") as analyst:
        found = (await analyst.get("/v1/events/e1-0-1-0/marks", params={"q": q})).json()
        assert (found["columns"], [RAW[start:end] for start, end in found["spans"]]) == (columns, parts)


async def test_a_search_that_cannot_be_read_marks_nothing(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.get("/v1/events/e1-0-1-0/marks", params={"q": "(a"})
        assert (answer.status_code, answer.json()["detail"]) == (422, "search, character 1: this `(` is never closed")


async def test_an_event_is_read_as_ocsf(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.get("/v1/events/e1-0-1-0/ocsf")
        assert answer.status_code == 200
        made = answer.json()
        assert (made["class_uid"], made["time"], made["src_endpoint"], made["raw_data"]) == (
            4001,
            int(AT.timestamp() * 1000),
            {"ip": "192.0.2.7"},
            RAW,
        )


async def test_what_an_event_led_to(centre: TestCentre) -> None:
    times = dict.fromkeys(("detected_at", "received_at", "event_time"), AT)
    own = {"raw_epoch": "e1", "rule_id": "r1", "rule_title": "One", "agency": "seogu", "kind": "rule", "origin": "stream", **times}
    other = own | {"raw_epoch": "c1", "rule_id": "r2", "rule_title": "Two", "kind": "correlation"}
    named = {"details": '{"events": ["e1-0-9-9", "e1-0-1-0"]}'}
    elsewhere = other | {"rule_id": "r3", "details": '{"events": ["e1-0-1-01"]}'}
    await centre.put_detections([Finding(1, more=(*own.items(),)), Finding(5, more=(*(other | named).items(),))])
    await centre.put_detections([Finding(6, more=(*elsewhere.items(),))])
    async with centre.as_person("analyst") as analyst, centre.as_machine("logs:read") as logs_only:
        found = (await analyst.get("/v1/events/e1-0-1-0/detections")).json()["items"]
        assert {(one["rule_title"], one["kind"]) for one in found} == {("One", "rule"), ("Two", "correlation")}
        assert all(one["incident"].startswith("INC-2026-") for one in found)
        assert (await analyst.get("/v1/events/e1-0-1-1/detections")).json()["items"] == []
        without = (await logs_only.get("/v1/events/e1-0-1-0/detections")).json()["items"]
        assert [one["incident"] for one in without] == ["", ""]


@pytest.mark.parametrize("view", ["ocsf", "marks", "detections"])
async def test_another_agencys_event_is_not_there(centre: TestCentre, view: str) -> None:
    await centre.put_events("parks", AT)
    async with centre.as_person("officer") as officer:
        assert (await officer.get(f"/v1/events/e1-0-1-0/{view}")).status_code == 200
        assert (await officer.get(f"/v1/events/e1-0-2-0/{view}")).status_code == 404


async def test_a_search_is_made_a_rule(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        asked = {"q": "dst_port:22 NOT user:lee", "title": "SSH", "level": "high"}
        text = (await analyst.get("/v1/events/rule", params=asked)).json()["yaml"]
        (rule,) = parse(text, "r.yml").rules
        assert (rule.title, rule.level, rule.description) == ("SSH", "high", "Made from the search: dst_port:22 NOT user:lee")
        assert "author: analyst\n" in text
        refused = await analyst.get("/v1/events/rule", params={"q": "event_time:>2026-01-01"})
        assert (refused.status_code, refused.json()["detail"][:20]) == (422, "search, character 1:")
