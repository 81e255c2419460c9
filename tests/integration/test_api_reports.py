"""Accident reports over the API: who sees what when, what is needed, what is late, and what an exercise is kept from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from respond.cases.models import CaseEvent, Outgoing
from respond.models import Audit, Incident
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
FACTS: dict[str, Any] = {"learned_at": "2026-05-01T11:00:00+09:00", "system": "민원 포털", "summary": "Malware was run"}
CLOSING = {"cause": "An old plugin", "impact": "Two hours without service", "actions": "Restored from a backup"}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def step(client: httpx.AsyncClient, number: str, action: str, version: int, **wish: object) -> httpx.Response:
    return await client.post(f"/v1/reports/{number}/{action}", json=wish, headers={"If-Match": f'"{version}"'})


async def draft(client: httpx.AsyncClient, **wish: object) -> str:
    answer = await client.post("/v1/reports", json=wish)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"])


async def test_a_report_goes_from_draft_to_closed(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead, centre.as_person("mayor") as mayor:
        number = await draft(officer, **FACTS)
        assert number == "RPT-2026-000001"
        submitted = (await step(officer, number, "submit", 1, contact="Kim, 02-000-0000")).json()
        assert (submitted["state"], submitted["versions"], submitted["late_seconds"], submitted["receipt"]) == ("submitted", 1, 0, "")
        received = (await step(lead, number, "receive", 2)).json()
        assert (received["receipt"], received["received_at"]) == ("RCP-2026-000001", "2026-05-01T03:00:30Z")
        assert (await step(lead, number, "request_followup", 3)).status_code == 422
        asked = await step(lead, number, "request_followup", 3, questions=["Which plugin?"], due_at="2026-05-02T00:00:00Z")
        assert asked.json()["state"] == "followup_requested"
        assert (await step(officer, number, "submit_closing", 4, **CLOSING)).status_code == 409
        assert (await step(officer, number, "submit_followup", 4, cause="A plugin")).json()["versions"] == 2
        assert (await step(officer, number, "submit_closing", 5)).json()["detail"] == "a closing report needs impact, actions"
        assert (await step(officer, number, "submit_closing", 5, **CLOSING)).json()["state"] == "closing_submitted"
        assert (await step(lead, number, "accept", 6)).status_code == 200
        assert (await step(lead, number, "close", 7)).json()["state"] == "closed"
        detail = (await mayor.get(f"/v1/reports/{number}")).json()
    assert [(one["number"], one["kind"], one["content"]["cause"]) for one in detail["submitted"]] == [
        (1, "first", ""),
        (2, "followup", "A plugin"),
        (3, "closing", "An old plugin"),
    ]
    assert detail["submitted"][0]["content"]["learned_at"] == "2026-05-01T02:00:00Z"
    assert detail["submitted"][0]["content"]["contact"] == "Kim, 02-000-0000"
    clocks = {one["name"]: one for one in detail["progress"]["clocks"]}
    assert (clocks["report"]["basis"], clocks["report"]["started_at"]) == ("target", "2026-05-01T02:00:00Z")
    assert "not a time limit of the law" in clocks["report"]["source"]
    assert (clocks["followup"]["basis"], clocks["followup"]["stopped_at"]) == ("set", "2026-05-01T03:00:30Z")


async def test_what_is_kept_of_a_version_is_what_was_hashed(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        number = await draft(officer, **FACTS)
        await step(officer, number, "submit", 1)
        (version,) = (await officer.get(f"/v1/reports/{number}")).json()["submitted"]
    with centre.centre.database.session(readonly=True) as session:
        (row,) = session.execute(sa.text("SELECT content, sha256 FROM report_versions")).all()
    assert hashlib.sha256(row.content.encode()).hexdigest() == row.sha256
    assert json.loads(row.content)["system"] == "민원 포털"
    assert version["sha256"] == row.sha256
    assert row.content == json.dumps(version["content"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)


async def test_a_first_report_may_be_incomplete_but_not_empty(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        number = await draft(officer)
        assert (await step(officer, number, "submit", 1)).json()["detail"] == "a report needs learned_at, system, summary"
        assert (await step(officer, number, "edit", 1, learned_at="2026-05-01T04:00:00Z")).json()[
            "detail"
        ] == "learned_at lies in the future"
        early = {"learned_at": "2026-05-01T01:00:00Z", "occurred_at": "2026-05-01T02:00:00Z"}
        assert (await step(officer, number, "edit", 1, **early)).status_code == 422
        assert (await step(officer, number, "edit", 1, colour="red")).status_code == 422
        assert (await step(officer, number, "edit", 1, learned_at="0001-01-01T00:00:00+09:00")).status_code == 422
        assert (await step(officer, number, "edit", 1, system=" x ")).json()["content"]["system"] == "x"
        assert (await step(officer, number, "submit", 2, learned_at="2026-05-01T02:00:00Z", summary="s")).status_code == 200


async def test_a_late_report_needs_a_reason_and_is_taken(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        number = await draft(officer, **FACTS)
    centre.clock.advance(timedelta(hours=25))
    async with centre.as_person("officer") as officer, centre.as_person("analyst") as analyst:
        refused = await step(officer, number, "submit", 1)
        assert (refused.status_code, "not a time limit of the law" in refused.json()["detail"]) == (422, True)
        taken = (await step(officer, number, "submit", 1, reason="The officer was ill")).json()
        assert (taken["state"], taken["late_seconds"], taken["late_reason"]) == ("submitted", 2 * 3600 + 30, "The officer was ill")
        (clock,) = (await analyst.get(f"/v1/reports/{number}")).json()["progress"]["clocks"]
    assert (clock["basis"], clock["due_at"], clock["overdue_seconds"]) == ("target", "2026-05-02T02:00:00Z", 2 * 3600 + 30)


async def test_without_a_target_nothing_is_late(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, respond={"reports": {"target_hours": None}})
    async with running_centre(settings, FixedClock(NOW)) as centre, centre.as_person("officer") as officer:
        number = await draft(officer, **{**FACTS, "learned_at": "2020-01-01T00:00:00Z"})
        assert (await step(officer, number, "submit", 1)).json()["late_seconds"] == 0
        (clock,) = (await officer.get(f"/v1/reports/{number}")).json()["progress"]["clocks"]
    assert (clock["due_at"], clock["overdue_seconds"]) == (None, 0)


async def test_the_clock_follows_the_time_the_agency_states(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        number = await draft(officer, **FACTS)
        await step(officer, number, "edit", 1, learned_at="2026-04-30T02:00:00Z")
        (clock,) = (await officer.get(f"/v1/reports/{number}")).json()["progress"]["clocks"]
        assert (clock["started_at"], clock["due_at"], clock["stopped_at"]) == ("2026-04-30T02:00:00Z", "2026-05-01T02:00:00Z", None)
        await step(officer, number, "edit", 2, learned_at=None)
        (clock,) = (await officer.get(f"/v1/reports/{number}")).json()["progress"]["clocks"]
        assert clock["stopped_at"] == "2026-05-01T03:00:30Z"


async def test_a_draft_is_its_agencys_own(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        number = await draft(officer, **FACTS)
        for name in ("lead", "analyst", "mayor", "auditor"):
            async with centre.as_person(name) as other:
                assert (await other.get(f"/v1/reports/{number}")).status_code == 404, name
                assert (await other.get("/v1/reports")).json()["items"] == [], name
                assert (await other.get("/v1/reports", params={"state": "draft"})).json()["items"] == [], name
        assert [one["number"] for one in (await officer.get("/v1/reports")).json()["items"]] == [number]
        await step(officer, number, "submit", 1)
        for name in ("lead", "mayor"):
            async with centre.as_person(name) as other:
                assert (await other.get(f"/v1/reports/{number}")).json()["state"] == "submitted", name


async def test_another_agencys_reports_do_not_exist(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        assert (await officer.post("/v1/reports", json={"agency": "parks"})).status_code == 403
        number = await draft(officer, **FACTS)
        await step(officer, number, "submit", 1)
        with centre.centre.database.session() as session:
            session.execute(sa.text("UPDATE reports SET agency = 'parks'"))
        assert (await officer.get(f"/v1/reports/{number}")).status_code == 404
        assert (await step(officer, number, "submit_followup", 2)).status_code == 404


async def test_an_incident_fills_what_it_can(centre: TestCentre) -> None:
    more = (("agency", "seogu"), ("rule_title", "Web shell"), ("rule_level", "high"), ("rule_tags", "attack.execution"))
    await centre.put_detections([Finding(1, more=(*more, ("dst_ip", "10.1.2.3")))])
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead:
        made = (await officer.post("/v1/reports", json={"incident": "INC-2026-000001", "summary": "Ours"})).json()
        assert (made["about"], made["agency"], made["exercise"]) == ("incident/INC-2026-000001", "seogu", False)
        said = made["content"]
        assert (said["system"], said["type"], said["summary"], said["learned_at"]) == ("10.1.2.3", "malware", "Ours", None)
        assert said["occurred_at"] == (await lead.get("/v1/incidents/INC-2026-000001")).json()["first_event_at"]
        summary = (await officer.post("/v1/reports", json={"incident": "INC-2026-000001"})).json()["content"]["summary"]
        assert summary == "Web shell (INC-2026-000001, high): 1 findings of Web shell"
        assert said["personal_data"] == "unknown"
        assert (await officer.post("/v1/reports", json={"incident": "INC-2026-000001", "exercise": True})).status_code == 422
        assert (await officer.post("/v1/reports", json={"incident": "INC-2026-000009"})).status_code == 404
        with centre.centre.database.session() as session:
            session.execute(sa.update(Incident).values(agency="parks"))
        assert (await officer.post("/v1/reports", json={"incident": "INC-2026-000001"})).status_code == 404


async def test_what_people_said_of_an_incident_is_not_asked_again(centre: TestCentre) -> None:
    more = (("agency", "seogu"), ("rule_title", "Web shell"), ("dst_ip", "10.1.2.3"))
    await centre.put_detections([Finding(1, more=more), Finding(2, src="192.0.2.9", more=more)])
    with centre.centre.database.session() as session:
        first, second = session.scalars(sa.select(Incident).order_by(Incident.id)).all()
        first.agency_aware_at = first.opened_at
        first.personal_data, first.cause, first.impact = True, "An old framework", "The portal is down"
        second.agency_aware_at = second.first_event_at - timedelta(days=1)
        wanted = [(one.number, one.agency_aware_at) for one in (first, second)]
    async with centre.as_person("officer") as officer:
        said = [(await officer.post("/v1/reports", json={"incident": number})).json()["content"] for number, _ in wanted]
    assert datetime.fromisoformat(said[0]["learned_at"]) == wanted[0][1]
    assert (said[0]["personal_data"], said[0]["cause"], said[0]["impact"]) == ("yes", "An old framework", "The portal is down")
    assert (said[1]["learned_at"], said[1]["personal_data"]) == (None, "unknown"), "learned before it happened is asked again"


async def test_an_exercise_goes_its_way_and_never_into_the_feed(centre: TestCentre) -> None:
    await centre.put_detections([Finding(1, more=(("agency", "seogu"),))])
    with centre.centre.database.session() as session:
        session.execute(sa.update(Incident).values(exercise=True))
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead, centre.as_person("mayor") as mayor:
        number = await draft(officer, incident="INC-2026-000001", **FACTS, occurred_at=None)
        await step(officer, number, "submit", 1)
        received = (await step(lead, number, "receive", 2)).json()
        assert (received["exercise"], received["receipt"]) == (True, "RCX-2026-000001")
        await step(officer, number, "submit_followup", 3)
        assert (await mayor.get("/v1/feed/reports")).json()["items"] == []
        real = await draft(officer, **FACTS)
        await step(officer, real, "submit", 1)
        assert (await step(lead, real, "receive", 2)).json()["receipt"] == "RCP-2026-000001"
    with centre.centre.database.session(readonly=True) as session:
        told = session.execute(sa.select(Outgoing.kind, Outgoing.exercise).order_by(Outgoing.id)).all()
        clocks = session.execute(sa.text("SELECT basis FROM case_clocks")).scalars().all()
    assert [(kind, exercise) for kind, exercise in told if kind.startswith("report.")][:3] == [
        ("report.submit", True),
        ("report.receive", True),
        ("report.submit_followup", True),
    ]
    assert set(clocks) == {"target"}


async def test_trail_history_and_news_carry_no_content(centre: TestCentre) -> None:
    secret = "Hong Gildong 900101-1234567"
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead:
        number = await draft(officer, **{**FACTS, "summary": secret, "contact": secret})
        await step(officer, number, "edit", 1, impact=secret)
        await step(officer, number, "submit", 2)
        await step(lead, number, "receive", 3)
        await step(officer, number, "submit_closing", 4, **{**CLOSING, "cause": secret})
    with centre.centre.database.session(readonly=True) as session:
        kept = [
            *session.scalars(sa.select(Audit.detail)),
            *(json.dumps(data) for data in session.scalars(sa.select(CaseEvent.data))),
            *(json.dumps(data) for data in session.scalars(sa.select(Outgoing.data))),
        ]
    assert len(kept) >= 15
    assert not [text for text in kept if "Hong" in text]


async def test_a_privacy_officer_reads_those_that_concern_personal_data(centre: TestCentre) -> None:
    await centre.put_detections([Finding(1, more=(("agency", "seogu"),)), Finding(2, src="192.0.2.9", more=(("agency", "seogu"),))])
    marked, plain, after = "INC-2026-000001", "INC-2026-000002", FACTS | {"learned_at": "2026-05-01T12:00:20+09:00"}
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead, centre.as_person("privacy") as privacy:
        made = await lead.post(f"/v1/incidents/{marked}/mark", json={"reason": "r", "personal_data": True}, headers={"If-Match": '"1"'})
        assert made.status_code == 200
        said = await draft(officer, **FACTS, personal_data="yes")
        about = await draft(officer, **after, incident=marked)
        others = [await draft(officer, **after, incident=plain), await draft(officer, **FACTS, personal_data="no")]
        for number in (said, about, *others):
            assert (await privacy.get(f"/v1/reports/{number}")).status_code == 404, "a draft is its agency's own"
            assert (await step(officer, number, "submit", 1)).status_code == 200
            assert (await step(lead, number, "receive", 2)).status_code == 200
        assert [one["number"] for one in (await privacy.get("/v1/reports")).json()["items"]] == [about, said]
        assert [(await privacy.get(f"/v1/reports/{number}")).status_code for number in (said, about, *others)] == [200, 200, 404, 404]
        assert {one["report"] for one in (await privacy.get("/v1/feed/reports")).json()["items"]} == {said, about}
        assert (await step(privacy, said, "receive", 3)).status_code == 403
    with centre.centre.database.session(readonly=True) as session:
        opened = (Audit.action == "report.read", Audit.detail.contains('"what":"report"'))
        rows = session.execute(sa.select(Audit.actor, Audit.object, Audit.agency).where(*opened)).all()
    assert [tuple(row) for row in rows] == [("user:privacy", f"report/{number}", "seogu") for number in (said, about)]


async def test_a_level_in_force_shortens_the_target_for_the_agencies_it_reaches(centre: TestCentre) -> None:
    async def target(name: str) -> str:
        async with centre.as_person(name) as client:
            number = await draft(client, **FACTS)
            (clock,) = (await client.get(f"/v1/reports/{number}")).json()["progress"]["clocks"]
            assert clock["basis"] == "target"
            return str(clock["due_at"])

    assert await target("officer") == "2026-05-02T02:00:00Z"
    national = {"issuer": "NCSC", "reference": "1", "level": "serious", "title": "t", "starts_at": "2026-05-01T03:00:00Z"}
    async with centre.as_person("lead") as lead:
        made = await lead.post("/v1/warnings", json=national | {"agencies": ["seogu"]})
        wanted = await lead.post(f"/v1/warnings/{made.json()['number']}/propagate", json={}, headers={"If-Match": '"1"'})
        assert wanted.status_code == 200
    assert await target("officer") == "2026-05-01T05:00:00Z", "three hours after it learned of it"
