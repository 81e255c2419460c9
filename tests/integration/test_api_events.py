"""Searching events over the API: the search language, figures about what is found, and files of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from core.clock import FixedClock
from core.events import EVENTS
from core.storage import event_search
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def test_a_search_and_column_filters_hold_together(centre: TestCentre) -> None:
    await centre.put_events("seogu", NOW - 10 * MINUTE, src_ip="192.0.2.7", url="/a?id=1 UNION SELECT 2", dst_port=22)
    await centre.put_events("seogu", NOW - 9 * MINUTE, src_ip="198.51.100.1", url="/b", dst_port=3389)
    await centre.put_events("parks", NOW - 9 * MINUTE, src_ip="198.51.100.1", url="/c", dst_port=3389)
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        query = "dst_port:(22 OR 3389) NOT url:*union*"
        for caller, urls in ((analyst, {"/b", "/c"}), (officer, {"/b"})):
            assert {one["url"] for one in (await caller.get("/v1/events", params={"q": query})).json()["items"]} == urls
        answer = await analyst.get("/v1/events", params={"q": query, "src_ip": "198.51.100.0/24", "agency": "parks"})
        assert [one["url"] for one in answer.json()["items"]] == ["/c"]
        refused = await analyst.get("/v1/events", params={"q": "dst_port:22 AND scr_ip:1"})
        assert refused.status_code == 422
        assert refused.json()["detail"] == "search, character 17: there is no column 'scr_ip'; did you mean src_ip, srcip, source_ip?"


async def test_figures_about_what_is_found(centre: TestCentre) -> None:
    await centre.put_events("seogu", NOW - 10 * MINUTE, 3, dst_port=22, disposition="deny")
    await centre.put_events("parks", NOW - 10 * MINUTE, 2, dst_port=22)
    await centre.put_events("seogu", NOW - 5 * MINUTE, dst_port=80)
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        made = (await analyst.get("/v1/events/histogram", params={"q": "dst_port:22"})).json()
        assert (made["events"], made["step_seconds"], len(made["bars"])) == (5, 60, 61)  # the range begins and ends within a minute
        (bar,) = [bar for bar in made["bars"] if bar["events"]]
        assert bar == {"at": "2026-05-01T02:50:00Z", "events": 5, "dispositions": {"deny": 3, "": 2}}
        ports = (await analyst.get("/v1/events/values", params={"of": "dst_port"})).json()
        assert ports["commonest"] == [{"value": 22, "events": 5}, {"value": 80, "events": 1}]
        own = (await officer.get("/v1/events/values", params={"of": "dest_port", "limit": 1})).json()
        assert own == {"column": "dst_port", "events": 4, "set": 4, "distinct": 2, "commonest": [{"value": 22, "events": 3}]}
        assert (await analyst.get("/v1/events/values", params={"of": "raw"})).status_code == 422


async def test_the_columns_are_listed_with_their_other_names(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        items = {one["name"]: one for one in (await analyst.get("/v1/events/columns")).json()["items"]}
    assert list(items) == list(EVENTS.names)
    assert items["src_ip"]["kind"] == "ip"
    assert "c-ip" in items["src_ip"]["aliases"]


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
async def test_a_file_holds_what_is_in_scope_and_the_trail_knows(centre: TestCentre, form: str) -> None:
    await centre.put_events("seogu", NOW - 10 * MINUTE, 3, src_ip="192.0.2.7", user="=cmd()", dst_port=22)
    await centre.put_events("parks", NOW - 10 * MINUTE, 2, dst_port=22)
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead:
        asked = {"format": form, "columns": "agency,src_ip,user,dst_port,event_time", "q": "dst_port:22"}
        answer = await officer.get("/v1/events/export", params=asked)
        trail = (await lead.get("/v1/audit", params={"action": "events.export"})).json()["items"]
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].endswith(f'.{form}"')
    if form == "ndjson":
        found = [json.loads(line) for line in answer.text.splitlines()]
    elif form == "csv":
        found = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert {one["user"] for one in found} == {"'=cmd()"}  # a spreadsheet would run it
    else:
        found = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    assert len(found) == 3
    assert {(one["agency"], one["src_ip"], str(one["dst_port"])) for one in found} == {("seogu", "192.0.2.7", "22")}
    assert len({one["event_id"] for one in found}) == 3
    assert list(found[0]) == ["event_id", "agency", "src_ip", "user", "dst_port", "event_time"]
    (told,) = trail
    assert told["actor"] == "user:officer"
    said = json.loads(told["detail"])
    assert (said["format"], said["since"], len(said["query_sha256"])) == (form, "2026-05-01T02:00:30+00:00", 64)
    assert "dst_port" not in told["detail"]


async def test_a_file_of_nothing_has_its_columns(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.get("/v1/events/export", params={"format": "parquet", "columns": "src_ip,bytes"})
        assert pq.read_table(io.BytesIO(answer.content)).schema.names == ["event_id", "src_ip", "bytes"]
        everything = await analyst.get("/v1/events/export", params={"format": "csv"})
    assert len(everything.content.decode("utf-8-sig").splitlines()) == 1


async def test_too_large_a_file_is_refused_with_what_to_do(centre: TestCentre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_search, "MOST_EXPORTED", 2)
    await centre.put_events("seogu", NOW - 10 * MINUTE, 3)
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.get("/v1/events/export")
    assert answer.status_code == 422
    assert "ask for a shorter time or with more filters" in answer.json()["detail"]
