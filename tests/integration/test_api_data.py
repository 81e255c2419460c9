"""What the API gives and takes: logs, events, incidents, figures, health, and how it says no."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard

from api.centre import StageState
from core import topics
from core.clock import FixedClock
from ingest import rawbatch
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
RAW = '<189>srcip=192.0.2.7 msg="</script>`${x}` 한글"'


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


def finding(offset: int, agency: str, title: str = "Port scan", level: str = "medium", minute: float = 0) -> Finding:
    return Finding(
        offset, minute, more=(("agency", agency), ("rule_id", title), ("rule_title", title), ("rule_level", level), ("raw", RAW))
    )


async def lines_on_the_bus(centre: TestCentre) -> list[tuple[str, str, str, list[bytes]]]:
    consumer = await centre.centre.bus.consumer("test", [topics.LOGS_RAW])
    records = await consumer.poll(max_messages=100, max_bytes=1 << 20, timeout=5)
    await consumer.close()
    batches = [rawbatch.decode(record) for record in records]
    return [(one.origin.agency, one.origin.source, one.origin.peer, list(one.lines)) for one in batches]


# ---- logs ----


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"one\ntwo\r\n\n", {"Content-Type": "text/plain; charset=utf-8"}),
        (gzip.compress(b"one\ntwo\n\n", mtime=0), {"Content-Encoding": "gzip"}),
        (zstandard.compress(b"one\ntwo\n\n"), {"Content-Encoding": "zstd", "Content-Type": "text/plain"}),
        (b'"one"\n"two"\n\n', {"Content-Type": "application/x-ndjson"}),
    ],
)
async def test_pushed_lines_are_on_the_bus_under_the_keys_source(centre: TestCentre, content: bytes, headers: dict[str, str]) -> None:
    async with centre.as_machine("logs:write", agency="seogu", source="fw-1") as machine:
        answer = await machine.post("/v1/logs", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"lines": 2, "truncated": 0, "empty": 1}
    assert await lines_on_the_bus(centre) == [("seogu", "fw-1", "127.0.0.1", [b"one", b"two"])]


async def test_what_cannot_be_taken_is_refused_by_name(centre: TestCentre) -> None:
    async with centre.as_machine("logs:write", agency="seogu", source="fw-1") as machine:
        answers = [
            await machine.post("/v1/logs", content=b"<a/>", headers={"Content-Type": "application/xml"}),
            await machine.post("/v1/logs", content=b"x", headers={"Content-Encoding": "br"}),
            await machine.post("/v1/logs", content=b"not gzip", headers={"Content-Encoding": "gzip"}),
            await machine.post("/v1/logs", content=b"a line of text\n" * 100_000),
            await machine.post("/v1/logs", content=gzip.compress(bytes(3 << 20)), headers={"Content-Encoding": "gzip"}),
        ]
    assert [one.status_code for one in answers] == [415, 415, 422, 413, 413]
    assert {one.headers["content-type"] for one in answers} == {"application/problem+json"}
    assert await lines_on_the_bus(centre) == []


async def test_only_a_key_with_a_source_may_push(centre: TestCentre) -> None:
    async with centre.as_machine("incidents:read", agency="seogu") as machine, centre.as_person("lead") as lead:
        assert (await machine.post("/v1/logs", content=b"x\n")).status_code == 403
        assert (await lead.post("/v1/logs", content=b"x\n")).status_code == 403


async def test_a_full_bus_pushes_back(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, bus={"min_free_disk_mb": 1 << 30})
    async with (
        running_centre(settings, FixedClock(NOW)) as centre,
        centre.as_machine("logs:write", agency="seogu", source="fw-1") as machine,
    ):
        answer = await machine.post("/v1/logs", content=b"x\n")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["code"] == "busy"


# ---- events ----


async def test_events_are_found_by_time_and_column(centre: TestCentre) -> None:
    await centre.put_events("seogu", NOW - timedelta(minutes=10), src_ip="192.0.2.7", url="/a?id=1 UNION SELECT 2", dst_port=22)
    await centre.put_events("seogu", NOW - timedelta(minutes=9), src_ip="198.51.100.1", url="/b", dst_port=80)
    await centre.put_events("seogu", NOW - timedelta(hours=3), src_ip="192.0.2.7")
    async with centre.as_person("analyst") as analyst:

        async def urls(**query: object) -> list[str]:
            answer = await analyst.get("/v1/events", params=query)
            assert answer.status_code == 200, answer.text
            return [one.get("url", "") for one in answer.json()["items"]]

        assert await urls() == ["/b", "/a?id=1 UNION SELECT 2"]
        assert await urls(src_ip="192.0.2.0/24") == ["/a?id=1 UNION SELECT 2"]
        assert await urls(**{"url.contains": "union select"}) == ["/a?id=1 UNION SELECT 2"]
        assert await urls(**{"url.prefix": "/b", "dst_port": 80}) == ["/b"]
        assert await urls(until="2026-05-01T00:10:00Z") == [""]
        assert await urls(since="2026-05-01T11:55:00+09:00") == []
        event = (await analyst.get("/v1/events", params={"dst_port": 22})).json()["items"][0]
        assert (await analyst.get(f"/v1/events/{event['event_id']}")).json() == event
        assert event["src_ip"] == "192.0.2.7"
        assert (await analyst.get("/v1/events/e1-0-999-0")).status_code == 404
        assert (await analyst.get("/v1/events/nonsense")).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        {"colour": "red"},
        {"url.regex": "x"},
        {"src_ip": "not an address"},
        {"since": "2026-05-01T00:00:00"},
        {"since": "2026-05-02T00:00:00Z"},
        {"limit": 0},
        {"limit": 100_000},
        {"cursor": "nonsense"},
        {"event_time": "2026"},
        {"q": "src_port:(22"},
        {"q": "colour:red"},
        {"q": "a" * 4001},
        [("url", "x")] * 40,
    ],
)
async def test_a_search_that_makes_no_sense_is_explained(centre: TestCentre, query: dict[str, str]) -> None:
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.get("/v1/events", params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"]


async def test_events_come_in_pages(centre: TestCentre) -> None:
    await centre.put_events("seogu", NOW - timedelta(minutes=10), 25)
    async with centre.as_person("analyst") as analyst:
        seen, cursor = [], ""
        for _ in range(3):
            page = (await analyst.get("/v1/events", params={"limit": 10, "cursor": cursor})).json()
            seen += [one["raw"] for one in page["items"]]
            cursor = page["next_cursor"]
    assert cursor == ""
    assert seen == [f"line {n}" for n in reversed(range(25))]


# ---- scope ----


async def test_an_agency_sees_its_own_and_nothing_else(centre: TestCentre) -> None:
    for n, agency in enumerate(("seogu", "parks", "_unknown")):
        await centre.put_events(agency, NOW - timedelta(minutes=5), 3)
        await centre.put_quarantined(agency, NOW - timedelta(minutes=5), 2)
        await centre.put_detections([finding(n, agency)])
    async with (
        centre.as_person("analyst") as analyst,
        centre.as_person("officer") as officer,
        centre.as_machine("logs:read", "incidents:read", "counters:read", agency="seogu") as machine,
    ):
        everything = (await analyst.get("/v1/events")).json()["items"]
        every_incident = (await analyst.get("/v1/incidents")).json()["items"]
        assert {one["agency"] for one in everything} == {one["agency"] for one in every_incident} == {"seogu", "parks", "_unknown"}
        assert (await analyst.get("/v1/counters")).json()["received_today"] == 15
        for scoped in (officer, machine):
            assert {one["agency"] for one in (await scoped.get("/v1/events")).json()["items"]} == {"seogu"}
            assert (await scoped.get("/v1/events", params={"agency": "parks"})).json()["items"] == []
            for event in everything:
                expected = 200 if event["agency"] == "seogu" else 404
                assert (await scoped.get(f"/v1/events/{event['event_id']}")).status_code == expected
            assert {one["agency"] for one in (await scoped.get("/v1/incidents")).json()["items"]} == {"seogu"}
            assert (await scoped.get("/v1/incidents", params={"agency": "parks"})).json()["items"] == []
            for incident in every_incident:
                expected = 200 if incident["agency"] == "seogu" else 404
                assert (await scoped.get(f"/v1/incidents/{incident['number']}")).status_code == expected
            figures = (await scoped.get("/v1/counters")).json()
            assert (figures["received_today"], figures["quarantined_today"]) == (5, 2)
            assert (figures["detections_today"], figures["open_incidents"]) == (1, 1)
            (source,) = (await scoped.get("/v1/coverage")).json()["sources"]
            assert source == {
                "agency": "seogu",
                "source": "fw-1",
                "lines": 5,
                "parsers": [{"parser": "generic_kv", "lines": 3, "filled": {}}],
                "refused": {"no_parser": 2},
                "masked": 0,
            }
        for incident in every_incident:
            answer = await officer.post(f"/v1/incidents/{incident['number']}/triage", json={}, headers={"If-Match": '"1"'})
            assert answer.status_code == (200 if incident["agency"] == "seogu" else 404)


# ---- incidents ----


async def test_an_incident_with_its_evidence(centre: TestCentre) -> None:
    await centre.put_detections([finding(n, "seogu", "SSH brute force", "high", n) for n in range(3)])
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.get("/v1/incidents/INC-2026-000001")
        missing = await analyst.get("/v1/incidents/INC-2026-000002")
        malformed = await analyst.get("/v1/incidents/1")
    incident = answer.json()
    assert answer.headers["etag"] == f'"{incident["version"]}"'
    assert (incident["title"], incident["severity"], incident["state"], incident["detections"]) == ("SSH brute force", "high", "new", 3)
    assert [one["raw"] for one in incident["evidence"]] == [RAW] * 3
    assert incident["evidence"][0]["fields"]["src_ip"] == "192.0.2.7"
    assert {"kind": "ip", "role": "source", "value": "192.0.2.7", "detections": 3} in incident["entities"]
    assert (missing.status_code, malformed.status_code) == (404, 422)


@pytest.mark.parametrize("name", ["mayor", "auditor"])
async def test_who_reads_no_raw_logs_gets_their_hash(centre: TestCentre, name: str) -> None:
    await centre.put_detections([finding(1, "seogu")])
    async with centre.as_person(name) as client:
        answer = await client.get("/v1/incidents/INC-2026-000001")
    (evidence,) = answer.json()["evidence"]
    assert (evidence["raw"], evidence["fields"]) == (None, None)
    assert evidence["raw_sha256"] == hashlib.sha256(RAW.encode()).hexdigest()
    assert "srcip" not in answer.text


async def test_incidents_are_filtered_and_paged(centre: TestCentre) -> None:
    for n, (agency, level) in enumerate([("seogu", "low"), ("parks", "high"), ("seogu", "critical"), ("parks", "low"), ("seogu", "high")]):
        await centre.put_detections([finding(n, agency, f"Rule {n}", level)])
    async with centre.as_person("analyst") as analyst:

        async def titles(**query: object) -> list[str]:
            answer = await analyst.get("/v1/incidents", params=query)
            assert answer.status_code == 200, answer.text
            return [one["title"] for one in answer.json()["items"]]

        assert await titles() == ["Rule 4", "Rule 3", "Rule 2", "Rule 1", "Rule 0"]
        assert await titles(severity=["high", "critical"], agency="seogu") == ["Rule 4", "Rule 2"]
        assert await titles(q="rule 3") == ["Rule 3"]
        assert await titles(q="192.0.2.7", severity="low") == ["Rule 3", "Rule 0"]
        assert await titles(state="closed") == []
        assert await titles(until=NOW.isoformat()) == []
        first = (await analyst.get("/v1/incidents", params={"limit": 3})).json()
        rest = (await analyst.get("/v1/incidents", params={"limit": 3, "cursor": first["next_cursor"]})).json()
        assert [one["title"] for one in first["items"] + rest["items"]] == await titles()
        assert rest["next_cursor"] == ""
        for wrong in ({"state": "sleeping"}, {"limit": 0}, {"colour": "red"}, {"since": "yesterday"}, {"cursor": "x"}):
            assert (await analyst.get("/v1/incidents", params=wrong)).status_code == 422, wrong


async def test_an_incident_moves_on_once_and_by_the_right_people(centre: TestCentre) -> None:
    await centre.put_detections([finding(1, "seogu")])
    path = "/v1/incidents/INC-2026-000001"
    async with (
        centre.as_person("analyst") as analyst,
        centre.as_person("lead") as lead,
        centre.as_person("mayor") as mayor,
    ):
        etag = (await analyst.get("/v1/incidents/INC-2026-000001")).headers["etag"]
        triage = f"{path}/triage"
        assert (await analyst.post(triage, json={})).status_code == 428
        assert (await analyst.post(triage, json={}, headers={"If-Match": "*"})).status_code == 422
        assert (await mayor.post(triage, json={}, headers={"If-Match": etag})).status_code == 403
        moved = await analyst.post(triage, json={}, headers={"If-Match": etag})
        assert (moved.status_code, moved.json()["state"]) == (200, "triaged")
        assert moved.headers["etag"] != etag
        again = await lead.post(f"{path}/confirm", json={}, headers={"If-Match": etag})
        assert (again.status_code, again.json()["code"]) == (412, "stale")
        seen = {"If-Match": moved.headers["etag"]}
        assert (await analyst.post(f"{path}/confirm", json={}, headers=seen)).status_code == 403
        assert (await lead.post(f"{path}/confirm", json={}, headers=seen)).status_code == 200


# ---- figures and health ----


async def test_the_figures_count_today_in_seoul(tmp_path: Path) -> None:
    at = datetime(2026, 5, 1, 20, 30, 30, tzinfo=UTC)  # 05:30:30 on the second of May in Seoul
    async with running_centre(settings_for(tmp_path), FixedClock(at)) as centre:
        await centre.put_events("seogu", at - timedelta(hours=6), 7)  # yesterday in Seoul
        await centre.put_events("seogu", at - timedelta(hours=5), 11)  # today, before the last hour
        await centre.put_quarantined("seogu", at - timedelta(hours=2), 3)
        await centre.put_events("parks", at.replace(second=0) - timedelta(minutes=1), 40)  # the minute before
        await centre.put_events("parks", at.replace(second=0), 10)  # the minute under way
        centre.stages += [StageState("normalise", lag=4), StageState("detect", "it is stuck", 5)]
        async with centre.as_person("admin") as admin, centre.as_person("mayor") as mayor:
            figures = (await admin.get("/v1/counters")).json()
            assert (await mayor.get("/v1/counters")).json()["open_incidents"] == 0
    assert (figures["received_today"], figures["quarantined_today"], figures["detections_today"]) == (64, 3, 0)
    assert figures["events_per_second"] == 0.5  # ten in this half minute, and half of the forty before
    assert figures["lag"] == 9
    assert figures["open_incidents"] is None
    assert [one["working"] for one in figures["stages"]] == [True, False]
    assert len(figures["minutes"]) == 60
    assert figures["minutes"][-1] == {"at": "2026-05-01T20:30:00Z", "events": 10, "quarantined": 0, "detections": 0}


async def test_readiness_names_what_does_not_answer(centre: TestCentre) -> None:
    async with centre.client() as local, centre.client("192.0.2.9") as stranger:
        assert (await local.get("/readyz")).status_code == 200
        centre.stages.append(StageState("detect", "no rule could be loaded", 3))
        local_answer, strange_answer = await local.get("/readyz"), await stranger.get("/readyz")
        assert local_answer.status_code == strange_answer.status_code == 503
        assert local_answer.json()["stages"] == [{"name": "detect", "ready": False, "problem": "no rule could be loaded", "lag": 3}]
        assert strange_answer.json()["stages"] == [{"name": "detect", "ready": False}]
        centre.stages.clear()
        await centre.centre.bus.close()
        parts = (await local.get("/readyz")).json()["parts"]
        assert [one["name"] for one in parts if not one["ready"]] == ["bus"]


# ---- manners ----


async def test_errors_are_problem_documents(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        for answer, status, code in (
            (await analyst.get("/v1/nothing"), 404, "not_found"),
            (await analyst.put("/v1/me"), 405, "method_not_allowed"),
            (await analyst.get("/v1/incidents", params={"limit": "many"}), 422, "malformed"),
            (await analyst.get("/v1/me", params={"x": "y" * 9000}), 414, "query_too_long"),
            (await analyst.post("/v1/login", content=b" " * (2 << 20)), 413, "too_large"),
            (await analyst.post("/v1/rule-drafts", content=b" " * (2 << 20), headers={"Idempotency-Key": "1"}), 413, "too_large"),
            (await analyst.get("/v1/keys"), 403, "forbidden"),
        ):
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert problem["status"] == status
            assert problem["code"] == code
            assert problem["request_id"] == answer.headers["x-request-id"]


async def test_a_defect_is_told_without_its_insides(centre: TestCentre) -> None:
    @centre.app.get("/healthz/defect")
    def defect() -> None:
        raise RuntimeError("the password is hunter2")

    centre.app.router.routes.insert(0, centre.app.router.routes.pop())
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.get("/healthz/defect")
    assert answer.status_code == 500
    assert answer.json()["code"] == "defect"
    assert "hunter2" not in answer.text


async def test_every_answer_has_an_id_and_protective_headers(centre: TestCentre) -> None:
    async with centre.client() as client:
        given = await client.get("/healthz", headers={"X-Request-ID": "my-request-1"})
        forged = await client.get("/healthz", headers={"X-Request-ID": "<script>alert"})
        refused = await client.get("/v1/me")
    assert given.headers["x-request-id"] == "my-request-1"
    assert forged.headers["x-request-id"] != refused.headers["x-request-id"]
    assert len(forged.headers["x-request-id"]) == 32
    for answer in (given, refused):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"


async def test_the_openapi_document_is_whole(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        document = (await analyst.get("/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operations = {(path, method): one for path, known in document["paths"].items() for method, one in known.items()}
    assert ("/v1/incidents/{number}/triage", "post") in operations
    for (path, method), one in operations.items():
        assert one["summary"], path
        assert {"4XX", "5XX"} <= one["responses"].keys()
        open_to_all = path in ("/healthz", "/readyz", "/metrics", "/v1/login", "/v1/login/code")
        assert bool(one.get("security")) != open_to_all, (path, method)
    names = {one["name"] for one in operations["/v1/events", "get"]["parameters"]}
    assert {"since", "until", "cursor", "limit", "src_ip", "url"} <= names
    problem = document["components"]["schemas"]["Problem"]
    assert set(json.loads(json.dumps(problem["examples"][0]))) <= set(problem["properties"])
