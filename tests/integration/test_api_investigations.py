"""Investigations over the API: findings in versions, evidence that changes hands, and a chain that shows what was changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from respond.models import Audit, Incident
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
DISK: dict[str, Any] = {"description": "Disk of web-01", "holder": "Kim Cheolsu", "place": "Lab", "sha256": "a" * 64, "at": NOW.isoformat()}
FOUND: dict[str, Any] = {
    "perpetrator": "Unknown; from 192.0.2.7",
    "cause": "An old plugin",
    "timeline": [{"at": "2026-05-01T11:00:00+09:00", "what": "First request"}],
}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        await made.put_detections([Finding(1, more=(("agency", "seogu"),))])
        yield made


async def step(client: httpx.AsyncClient, action: str, version: int, **wish: object) -> httpx.Response:
    return await client.post(f"/v1/investigations/INV-2026-000001/{action}", json=wish, headers={"If-Match": f'"{version}"'})


async def test_an_investigation_from_incident_to_conclusion(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        made = await analyst.post("/v1/investigations", json={"incident": "INC-2026-000001"})
        assert (made.status_code, made.json()["number"], made.json()["agency"]) == (201, "INV-2026-000001", "seogu")
        assert (await analyst.post("/v1/investigations", json={"incident": "INC-2026-000002"})).status_code == 404
        assert (await step(analyst, "record_findings", 1, **FOUND)).json()["state"] == "findings"
        assert "damage" in (await step(lead, "conclude", 2)).json()["detail"]
        assert (await step(analyst, "record_findings", 2, damage="None found")).json()["versions"] == 2
        assert (await step(analyst, "conclude", 3)).status_code == 403
        assert (await step(lead, "conclude", 3)).json()["state"] == "concluded"
        assert (await step(lead, "reopen", 4)).status_code == 422
        assert (await step(lead, "reopen", 4, reason="A new trace")).json()["state"] == "reopened"
        assert (await step(analyst, "record_findings", 5, cause="Two plugins")).json()["state"] == "findings"
        detail = (await analyst.get("/v1/investigations/INV-2026-000001")).json()
        listed = (await analyst.get("/v1/investigations", params={"incident": "INC-2026-000001"})).json()["items"]
    assert [one["content"]["cause"] for one in detail["written"]] == ["An old plugin", "An old plugin", "Two plugins"]
    assert detail["findings"]["timeline"] == [{"at": "2026-05-01T02:00:00Z", "what": "First request"}]
    assert [one["number"] for one in listed] == ["INV-2026-000001"]


async def test_custody_is_a_chain_that_shows_what_was_changed(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        await analyst.post("/v1/investigations", json={"incident": "INC-2026-000001"})
        assert (await step(analyst, "take_evidence", 1, **{**DISK, "sha256": "A" * 64})).status_code == 422
        assert (await step(analyst, "take_evidence", 1, **{**DISK, "at": "2026-05-01T04:00:00Z"})).json()[
            "detail"
        ] == "at lies in the future"
        assert (await step(analyst, "take_evidence", 1, **DISK)).json()["evidence"] == 1
        passed_on = {"item": 1, "holder": "Lee Younghee", "sha256": "a" * 64, "at": NOW.isoformat()}
        assert (await step(analyst, "hand_over", 2, **{**passed_on, "item": 2})).status_code == 422
        assert (await step(analyst, "hand_over", 2, **{**passed_on, "at": "2026-05-01T02:00:00Z"})).status_code == 422
        assert (await step(analyst, "hand_over", 2, **passed_on)).status_code == 200
        assert (await step(analyst, "hand_over", 3, **{**passed_on, "sha256": "b" * 64})).status_code == 200
        detail = (await analyst.get("/v1/investigations/INV-2026-000001")).json()
        assert [(one["event"], one["holder"], one["intact"]) for one in detail["custody"]] == [
            ("taken", "Kim Cheolsu", True),
            ("handed_over", "Lee Younghee", True),
            ("handed_over", "Lee Younghee", False),
        ]
        assert detail["broken_link"] == 0
        with centre.centre.database.session() as session:
            session.execute(sa.text("UPDATE investigation_custody SET holder = 'Park' WHERE number = 2"))
        assert (await analyst.get("/v1/investigations/INV-2026-000001")).json()["broken_link"] == 2
    with centre.centre.database.session(readonly=True) as session:
        assert not [text for text in session.scalars(sa.select(Audit.detail)) if "Kim Cheolsu" in text]


async def test_an_exercise_stays_one_and_the_scope_holds(centre: TestCentre) -> None:
    with centre.centre.database.session() as session:
        session.execute(sa.update(Incident).values(exercise=True, agency="parks"))
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        assert (await officer.post("/v1/investigations", json={"incident": "INC-2026-000001"})).status_code == 404
        assert (await analyst.post("/v1/investigations", json={"incident": "INC-2026-000001"})).json()["exercise"] is True
        assert (await officer.get("/v1/investigations/INV-2026-000001")).status_code == 404
        assert (await officer.get("/v1/investigations")).json()["items"] == []
