"""Incidents over the API: the way from new to closed, who sees what, and what people add."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from respond.models import Audit
from tests.detections import Finding
from tests.servers.api import FIRST_SEEN, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
FIRST, SECOND, THIRD = (f"INC-2026-{n:06d}" for n in (1, 2, 3))


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    small = {"respond": {"incidents": {"attachment_mb": 2}}}
    async with running_centre(settings_for(tmp_path, **small), FixedClock(NOW)) as made:
        await made.put_detections([found(1, "seogu", "Scan"), found(2, "seogu", "Login"), found(3, "parks", "Scan")])
        yield made


def found(offset: int, agency: str, title: str) -> Finding:
    more = (("agency", agency), ("rule_id", title), ("rule_title", title), ("raw", f"line {offset}"))
    return Finding(offset, offset / 100, more=more)


async def step(client: httpx.AsyncClient, number: str, action: str, version: int, **wish: object) -> httpx.Response:
    return await client.post(f"/v1/incidents/{number}/{action}", json=wish, headers={"If-Match": f'"{version}"'})


async def status(client: httpx.AsyncClient, path: str, **query: str) -> int:
    return (await client.get(f"/v1/incidents/{path}", params=query)).status_code


def trail(centre: TestCentre, action: str) -> list[tuple[str, str, dict[str, object]]]:
    with centre.centre.database.session(readonly=True) as session:
        rows = session.scalars(sa.select(Audit).where(Audit.action == action).order_by(Audit.seq)).all()
        return [(row.actor, row.object, json.loads(row.detail)) for row in rows]


async def test_an_incident_goes_from_new_to_closed(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        assert (await step(analyst, FIRST, "assign", 1, assignee="nobody")).status_code == 422
        assert (await step(analyst, FIRST, "assign", 1, assignee="analyst")).json()["assignee"] == "user:analyst"
        mine = (await analyst.get("/v1/incidents", params={"assignee": "user:analyst", "exercise": "false"})).json()
        assert [one["number"] for one in mine["items"]] == [FIRST]
        assert (await step(analyst, FIRST, "triage", 2)).json()["state"] == "triaged"
        assert (await step(officer, FIRST, "confirm", 3)).status_code == 403
        confirmed = await step(lead, FIRST, "confirm", 3, aware_at="2026-05-01T11:50:00+09:00")
        assert confirmed.json()["centre_aware_at"] == "2026-05-01T02:50:00Z"
        assert confirmed.json()["agency_told_at"] == "2026-05-01T03:00:30Z"
        assert (await step(officer, FIRST, "acknowledge", 4)).json()["agency_aware_at"] == "2026-05-01T03:00:30Z"
        for version, action in ((5, "contain"), (6, "eradicate"), (7, "recover")):
            assert (await step(officer, FIRST, action, version)).status_code == 200
        assert (await step(lead, FIRST, "close", 8, reason="Done")).status_code == 422
        assert (await step(analyst, FIRST, "assess", 8, cause="A default password", impact="None")).status_code == 200
        assert (await step(lead, FIRST, "close", 9)).status_code == 422
        closed = await step(lead, FIRST, "close", 9, reason="Done")
        assert (closed.status_code, closed.json()["state"], closed.headers["etag"]) == (200, "closed", '"10"')
        detail = (await analyst.get(f"/v1/incidents/{FIRST}")).json()
        assert (detail["seal_holds"], detail["progress"]["steps"]) == (True, ["mark"])
        assert (await officer.get(f"/v1/incidents/{FIRST}")).json()["progress"]["clocks"] == []
        line = (await analyst.get(f"/v1/incidents/{FIRST}/timeline")).json()
        assert [one["what"] for one in line["items"]] == [
            *("Scan", "open", "assign", "triage", "confirm", "acknowledge", "contain", "eradicate", "recover", "assess", "close"),
        ]
        page = (await analyst.get(f"/v1/incidents/{FIRST}/timeline", params={"limit": 4})).json()
        rest = (await analyst.get(f"/v1/incidents/{FIRST}/timeline", params={"limit": 1000, "cursor": page["next_cursor"]})).json()
        assert page["items"] + rest["items"] == line["items"]
        assert await status(analyst, f"{FIRST}/timeline", cursor="nonsense") == 422


async def test_merge_and_split(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        assert (await step(officer, FIRST, "merge", 1, reason="the same", into=THIRD)).status_code == 422
        assert (await step(analyst, FIRST, "merge", 1, reason="the same", into=THIRD)).status_code == 422
        merged = await step(officer, SECOND, "merge", 1, reason="the same", into=FIRST)
        assert (merged.status_code, merged.json()["merged_into"]) == (200, FIRST)
        assert (await step(officer, SECOND, "triage", 2)).status_code == 409
        whole = (await officer.get(f"/v1/incidents/{FIRST}")).json()
        assert (whole["detections"], whole["version"]) == (2, 2)
        chosen = [one["detection_id"] for one in whole["evidence"] if one["rule_title"] == "Login"]
        assert (await step(officer, FIRST, "split", 2, detections=chosen)).status_code == 422  # no reason
        left = await step(officer, FIRST, "split", 2, detections=chosen, reason="another attacker")
        assert (left.status_code, left.json()["detections"]) == (200, 1)
        (told,) = [one for one in (await officer.get(f"/v1/incidents/{FIRST}")).json()["progress"]["history"] if one["action"] == "split"]
        child = (await officer.get(f"/v1/incidents/{told['data']['into']}")).json()
        assert (child["split_from"], child["title"], child["created_by"]) == (FIRST, "Login", "user:officer")
        related = (await officer.get(f"/v1/incidents/{FIRST}/related")).json()
        assert ([one["number"] for one in related["items"]], related["elsewhere"]) == ([child["number"]], 1)


async def test_a_compartment_is_for_its_members(centre: TestCentre) -> None:
    files = f"{FIRST}/attachments/1"
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        made = await analyst.post(f"/v1/incidents/{FIRST}/attachments", params={"name": "x"}, content=b"x")
        assert made.status_code == 201
        assert (await step(lead, FIRST, "restrict", 1, reason="DSO 10", members=["ghost"])).status_code == 422
        assert (await step(lead, FIRST, "restrict", 1, reason="DSO 10", members=["officer"])).json()["restricted"] is True
        for client in (lead, officer):
            assert (await client.get(f"/v1/incidents/{FIRST}")).json()["members"] == ["user:lead", "user:officer"]
        assert "unrestrict" in (await lead.get(f"/v1/incidents/{FIRST}")).json()["progress"]["steps"]
        for path in ("", "/timeline", "/related", "/cases"):
            assert await status(analyst, FIRST + path) == 404
        assert await status(analyst, files) == 404
        for method, path, body in (
            ("POST", "comments", {"text": "t"}),
            ("POST", "tasks", {"title": "t"}),
            ("PATCH", "tasks/1", {}),
            ("PUT", "watch", None),
            ("POST", "attachments?name=y", None),
        ):
            refused = await analyst.request(method, f"/v1/incidents/{FIRST}/{path}", json=body, headers=FIRST_SEEN)
            assert refused.status_code == 404, path
        assert (await step(analyst, FIRST, "triage", 2)).status_code == 404
        found = (await analyst.get("/v1/incidents", params={"q": "192.0.2.7"})).json()["items"]
        assert [one["number"] for one in found] == [THIRD, SECOND]
        assert (await analyst.get("/v1/counters")).json()["open_incidents"] == 2
        assert (await step(lead, FIRST, "unrestrict", 2, reason="over")).status_code == 200
        assert "unrestrict" not in (await lead.get(f"/v1/incidents/{FIRST}")).json()["progress"]["steps"]
        assert await status(analyst, FIRST) == 200
    reads = [(actor, detail["what"]) for actor, _, detail in trail(centre, "incident.read")]
    assert reads == [("user:lead", "incident"), ("user:officer", "incident")]
    ((actor, _, search),) = trail(centre, "incident.search")
    assert (actor, search["shown"], search["withheld"]) == ("user:analyst", [], 1)
    assert search["query_sha256"] == hashlib.sha256(b"192.0.2.7").hexdigest()


async def test_the_privacy_officer_sees_what_is_marked(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("privacy") as privacy:
        assert (await privacy.get("/v1/incidents")).json()["items"] == []
        assert (await privacy.get("/v1/counters")).json()["open_incidents"] == 0
        for number in (FIRST, THIRD):
            assert (await step(analyst, number, "mark", 1, reason="names in a file", personal_data=True)).status_code == 200
        assert [one["number"] for one in (await privacy.get("/v1/incidents")).json()["items"]] == [FIRST]
        shown = (await privacy.get(f"/v1/incidents/{FIRST}")).json()
        centre.clock.advance(timedelta(seconds=2))  # figures are kept for a moment
        assert [one["raw"] for one in shown["evidence"]] == [None]
        assert (await privacy.get("/v1/counters")).json()["open_incidents"] == 1
        assert [await status(privacy, number) for number in (SECOND, THIRD)] == [404, 404]
        assert (await step(privacy, FIRST, "triage", 2)).status_code == 403
        assert (await privacy.get("/v1/me")).json()["actions"]["incidents:read"] == "own_personal"
    assert [(actor, name) for actor, name, _ in trail(centre, "incident.read")] == [("user:privacy", f"incident/{FIRST}")]


async def test_what_people_add(centre: TestCentre) -> None:
    path = f"/v1/incidents/{FIRST}"
    async with centre.as_person("analyst") as analyst, centre.as_person("mayor") as mayor:
        assert (await analyst.post(f"{path}/comments", json={"text": "Seen before"})).json()["author"] == "user:analyst"
        task = (await analyst.post(f"{path}/tasks", json={"title": "Ask the vendor", "assignee": "officer"})).json()
        assert (await analyst.post(f"{path}/tasks", json={"title": "x", "assignee": "ghost"})).status_code == 422
        done = (await analyst.patch(f"{path}/tasks/{task['id']}", json={"done": True}, headers=FIRST_SEEN)).json()
        assert (done["done_by"], done["assignee"]) == ("user:analyst", "user:officer")
        assert (await analyst.patch(f"{path}/tasks/{task['id'] + 1}", json={"done": True}, headers=FIRST_SEEN)).status_code == 404
        assert (await mayor.put(f"{path}/watch")).status_code == 204
        detail = (await mayor.get(path)).json()
        assert (detail["watchers"], detail["version"]) == (["user:mayor"], 1)
        assert [one["text"] for one in detail["comments"]] == ["Seen before"]
        assert (await mayor.delete(f"{path}/watch")).status_code == 204
        assert (await mayor.get(path)).json()["watchers"] == []


async def test_files_come_and_go_as_they_are(centre: TestCentre) -> None:
    path = f"/v1/incidents/{FIRST}/attachments"
    page = b"<script>alert(1)</script>" * 50_000  # beyond the limit of other bodies
    async with centre.as_person("analyst") as analyst, centre.as_person("mayor") as mayor, centre.as_person("officer") as officer:
        made = await analyst.post(path, params={"name": '메모 "1".html'}, content=page, headers={"Content-Type": "text/html"})
        assert made.status_code == 201
        assert (made.json()["size"], made.json()["sha256"]) == (len(page), hashlib.sha256(page).hexdigest())
        assert (await analyst.post(path, params={"name": "big"}, content=bytes((2 << 20) + 1))).status_code == 413
        for name in ("", "../x", "a\nb"):
            assert (await analyst.post(path, params={"name": name}, content=b"x")).status_code == 422
        given = await officer.get(f"{path}/{made.json()['id']}")
        assert given.content == page
        assert given.headers["content-type"] == "application/octet-stream"
        assert given.headers["content-disposition"] == "attachment; filename*=UTF-8''%EB%A9%94%EB%AA%A8%20%221%22.html"
        assert (await mayor.get(f"{path}/{made.json()['id']}")).status_code == 403
        assert (await analyst.get(f"/v1/incidents/{SECOND}/attachments/{made.json()['id']}")).status_code == 404
        assert [one["name"] for one in (await mayor.get(f"/v1/incidents/{FIRST}")).json()["attachments"]] == ['메모 "1".html']
