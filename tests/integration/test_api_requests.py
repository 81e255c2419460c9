"""Requests of the Mayor over the API: who may, in which order, and what a step needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from respond.models import Incident
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
ASKED: dict[str, Any] = {
    "article": "19(2)",
    "agency": "seogu",
    "title": "Keep the service running",
    "purpose": "To minimise the damage",
    "items": ["Move to the standby servers"],
    "due_at": "2026-05-02T00:00:00Z",
}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def step(client: httpx.AsyncClient, number: str, action: str, version: int, **wish: object) -> httpx.Response:
    return await client.post(f"/v1/requests/{number}/{action}", json=wish, headers={"If-Match": f'"{version}"'})


async def test_a_request_goes_from_draft_to_closed(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("mayor") as mayor, centre.as_person("officer") as officer:
        made = await analyst.post("/v1/requests", json=ASKED)
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        number = made.json()["number"]
        assert number == "REQ-2026-000001"
        assert (await step(analyst, number, "issue", 1)).status_code == 403
        issued = await step(mayor, number, "issue", 1)
        assert (issued.status_code, issued.json()["state"], issued.headers["etag"]) == (200, "issued", '"2"')
        assert (await step(officer, number, "receive", 1)).status_code == 412
        assert (await step(officer, number, "comply", 2)).json()["detail"].startswith(f"{number} is issued: it cannot comply")
        assert (await step(officer, number, "receive", 2)).json()["state"] == "received"
        assert (await step(officer, number, "claim_cause", 3)).status_code == 422
        assert (await step(officer, number, "claim_cause", 3, reason="The vendor is away")).json()["state"] == "cause_claimed"
        assert (await step(mayor, number, "reject_cause", 4, reason="There is another")).json()["state"] == "cause_rejected"
        centre.clock.advance(timedelta(hours=2))
        again = await step(mayor, number, "reissue", 5, due_at="2026-05-01T12:00:00+09:00")
        assert again.status_code == 422  # has passed
        assert (await step(mayor, number, "reissue", 5, due_at="2026-05-03T00:00:00Z")).json()["state"] == "reissued"
        detail = (await officer.get(f"/v1/requests/{number}")).json()
        assert detail["progress"]["steps"] == ["receive"]
        (clock,) = detail["progress"]["clocks"]
        assert (clock["basis"], clock["due_at"], clock["stopped_at"]) == ("set", "2026-05-03T00:00:00Z", None)
        for client, action, version in ((officer, "receive", 6), (officer, "comply", 7), (mayor, "accept", 8), (mayor, "verify", 9)):
            assert (await step(client, number, action, version)).status_code == 200
        assert (await step(mayor, number, "close", 10)).json()["state"] == "closed"
        told = (await analyst.get(f"/v1/requests/{number}")).json()["progress"]
    assert [one["action"] for one in told["history"]] == [
        *("open", "issue", "receive", "claim_cause", "reject_cause", "reissue", "receive", "comply", "accept", "verify", "close")
    ]
    assert told["steps"] == []


async def test_a_step_needs_to_know_what_it_changes(centre: TestCentre) -> None:
    async with centre.as_person("mayor") as mayor:
        number = (await mayor.post("/v1/requests", json=ASKED)).json()["number"]
        assert (await mayor.post(f"/v1/requests/{number}/issue", json={})).status_code == 428
        assert (await step(mayor, number, "issue", 7)).status_code == 412
        assert (await step(mayor, "REQ-2026-000009", "issue", 1)).status_code == 404
        assert (await step(mayor, number, "issue", 1, colour="red")).status_code == 422


async def test_a_draft_is_seen_by_those_who_draft(centre: TestCentre) -> None:
    async with centre.as_person("mayor") as mayor, centre.as_person("officer") as officer, centre.as_person("auditor") as auditor:
        number = (await mayor.post("/v1/requests", json=ASKED)).json()["number"]
        for reader in (officer, auditor):
            assert (await reader.get("/v1/requests")).json()["items"] == []
            assert (await reader.get(f"/v1/requests/{number}")).status_code == 404
        await step(mayor, number, "issue", 1, due_at="2026-05-01T08:00:00Z")
        for reader in (officer, auditor):
            (seen,) = (await reader.get("/v1/requests", params={"state": "issued"})).json()["items"]
            assert (seen["number"], seen["overdue"]) == (number, False)
        centre.clock.advance(timedelta(hours=8))
        assert (await officer.get(f"/v1/requests/{number}")).json()["overdue"] is True


async def test_an_agency_sees_requests_to_others_not_at_all(centre: TestCentre) -> None:
    async with centre.as_person("mayor") as mayor, centre.as_person("officer") as officer:
        number = (await mayor.post("/v1/requests", json={**ASKED, "agency": "parks"})).json()["number"]
        await step(mayor, number, "issue", 1)
        assert (await officer.get("/v1/requests")).json()["items"] == []
        assert (await officer.get(f"/v1/requests/{number}")).status_code == 404
        assert (await step(officer, number, "receive", 2)).status_code == 404


async def test_a_lead_issues_when_the_mayor_delegated_it(centre: TestCentre, tmp_path: Path) -> None:
    async with centre.as_person("lead") as lead:
        number = (await lead.post("/v1/requests", json=ASKED)).json()["number"]
        refused = await step(lead, number, "issue", 1)
        assert (refused.status_code, "lead_issues_requests" in refused.json()["detail"]) == (403, True)


async def test_a_provider_answers_through_the_centre_and_need_not_comply(centre: TestCentre) -> None:
    asked = {**ASKED, "article": "17(4)", "agency": "", "provider": "Cloud of Example"}
    async with centre.as_person("mayor") as mayor, centre.as_person("officer") as officer:
        assert (await mayor.post("/v1/requests", json={**asked, "agency": "seogu", "provider": ""})).status_code == 422
        assert (await mayor.post("/v1/requests", json={**asked, "article": "12"})).status_code == 422
        made = (await mayor.post("/v1/requests", json=asked)).json()
        assert "no duty" in made["wording_en"]
        number = made["number"]
        await step(mayor, number, "issue", 1)
        assert (await step(officer, number, "receive", 2)).status_code == 404
        assert (await step(mayor, number, "note_receipt", 2)).status_code == 200
        declined = await step(mayor, number, "note_declined", 3, reason="Not in the contract")
        assert declined.json()["reply"] == {"action": "note_declined", "reason": "Not in the contract"}
        agency = (await mayor.post("/v1/requests", json=ASKED)).json()["number"]
        await step(mayor, agency, "issue", 1)
        assert (await step(mayor, agency, "note_receipt", 2)).status_code == 422


@pytest.mark.parametrize(
    ("article", "words"), [("12", "shall comply"), ("15(3)", "shall comply"), ("19(2)", "shall comply"), ("21(4)", "asked to reply")]
)
async def test_only_three_articles_speak_of_a_justifiable_cause(centre: TestCentre, article: str, words: str) -> None:
    async with centre.as_person("mayor") as mayor:
        made = (await mayor.post("/v1/requests", json={**ASKED, "article": article})).json()
    assert words in made["wording_en"]
    assert ("정당한 사유" in made["wording_ko"]) == (words == "shall comply")


async def test_about_an_incident_it_is_an_exercise_when_the_incident_is(centre: TestCentre) -> None:
    await centre.put_detections([Finding(1, more=(("agency", "seogu"),)), Finding(2, src="192.0.2.9", more=(("agency", "seogu"),))])
    with centre.centre.database.session() as session:
        session.execute(sa.update(Incident).where(Incident.number == "INC-2026-000002").values(exercise=True))
    real, drill, none = (f"incident/INC-2026-00000{number}" for number in (1, 2, 3))
    async with centre.as_person("mayor") as mayor:
        made = [(await mayor.post("/v1/requests", json={**ASKED, "about": about})).json() for about in (real, drill)]
        assert [one["exercise"] for one in made] == [False, True]
        wrong = await mayor.post("/v1/requests", json={**ASKED, "about": real, "exercise": True})
        assert (wrong.status_code, "is no exercise" in wrong.json()["detail"]) == (422, True)
        assert (await mayor.post("/v1/requests", json={**ASKED, "about": none})).status_code == 404
        assert (await mayor.post("/v1/requests", json={**ASKED, "about": "INC-2026-000002"})).json()["exercise"] is True
        assert (await step(mayor, made[1]["number"], "edit", 1, **{**ASKED, "about": real})).status_code == 422
        assert (await step(mayor, made[1]["number"], "edit", 1, **ASKED)).json()["exercise"] is True
        assert (await step(mayor, made[0]["number"], "edit", 1, **{**ASKED, "about": drill})).json()["exercise"] is True
