"""National warnings over the API: recorded, propagated, answered by each agency, and which level is in force when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from core.periodic import in_session
from respond.cases.models import Outgoing
from respond.warnings.service import expire_due
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
NATIONAL: dict[str, Any] = {
    "issuer": "NCSC",
    "reference": "2026-17",
    "level": "caution",
    "title": "Attacks on remote access",
    "starts_at": "2026-05-01T03:00:00Z",
}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def step(client: httpx.AsyncClient, path: str, action: str, **wish: object) -> httpx.Response:
    """Take a step on the case as it is now."""
    seen = (await client.get(f"/v1/{path}")).headers.get("etag", '"1"')
    return await client.post(f"/v1/{path}/{action}", json=wish, headers={"If-Match": seen})


async def prove_all(client: httpx.AsyncClient, path: str) -> None:
    for one in (await client.get(f"/v1/{path}")).json()["measures"]:
        answer = await step(client, path, "prove", measure=one["id"], proof="ticket 7")
        assert answer.status_code == 200, answer.text


async def test_a_warning_from_the_notice_to_its_end(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        made = await lead.post("/v1/warnings", json=NATIONAL)
        assert (made.status_code, made.json()["state"], made.json()["number"]) == (201, "recorded", "WRN-2026-000001")
        warning = "warnings/WRN-2026-000001"
        assert (await officer.get(f"/v1/{warning}")).status_code == 404, "agencies are told when it is propagated"
        assert (await lead.post("/v1/warnings", json=NATIONAL)).status_code == 409
        assert (await step(lead, warning, "propagate")).json()["state"] == "propagated"
        (mine,) = (await officer.get("/v1/warning-notices")).json()["items"]
        assert (mine["agency"], mine["level"], mine["state"]) == ("seogu", "caution", "propagated")
        told = (await officer.get(f"/v1/{warning}")).json()
        assert [one["agency"] for one in told["notices"]] == ["seogu"]
        assert [one["agency"] for one in (await lead.get(f"/v1/{warning}")).json()["notices"]] == ["parks", "seogu"]
        notice = f"warning-notices/{mine['number']}"
        assert (await step(officer, notice, "prove", measure="backups", proof="x")).status_code == 409
        centre.clock.advance(timedelta(hours=5))
        acknowledged = (await step(officer, notice, "acknowledge")).json()
        assert acknowledged["acknowledged_at"] == "2026-05-01T08:00:30Z"
        clocks = {one["name"]: one for one in (await officer.get(f"/v1/{notice}")).json()["progress"]["clocks"]}
        assert clocks["acknowledge"]["basis"] == "target"
        assert clocks["acknowledge"]["overdue_seconds"] == 3600
        assert (await step(officer, notice, "complete")).status_code == 422
        await prove_all(officer, notice)
        assert (await step(officer, notice, "complete")).json()["state"] == "measures_done"
        assert (await step(lead, warning, "complete")).status_code == 422, "the centre's own measures come first"
        await prove_all(lead, warning)
        waiting = await step(lead, warning, "complete")
        assert waiting.status_code == 422
        assert "parks" in waiting.json()["detail"]
        assert (await step(lead, warning, "complete", reason="parks reported by telephone")).json()["state"] == "measures_done"
        assert (await step(lead, warning, "lift")).status_code == 422, "the reason names the notice that lifted it"
        lifted = await step(lead, warning, "lift", reason="NCSC 2026-18")
        assert (lifted.json()["state"], lifted.json()["ended_at"]) == ("lifted", "2026-05-01T08:00:30Z")
        states = {one["agency"]: one["state"] for one in (await lead.get(f"/v1/{warning}")).json()["notices"]}
        assert states == {"seogu": "measures_done", "parks": "released"}
        with centre.centre.database.session(readonly=True) as session:
            assert list(session.scalars(sa.select(Outgoing.kind).order_by(Outgoing.id)))[:4] == [
                *("warning.record", "warning_notice.open", "warning_notice.open", "warning.propagate")
            ]


async def test_the_gravest_counts_and_history_tells_every_change(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("privacy") as reader:

        async def level() -> tuple[str, str, float]:
            found = (await reader.get("/v1/warnings/effect")).json()
            assert "no warning" in found["note_en"]
            return found["level"], found["level_ko"], found["effects"]["threshold_factor"]

        assert await level() == ("normal", "정상", 1.0)
        await lead.post("/v1/warnings", json=NATIONAL | {"level": "serious", "reference": "drill", "exercise": True})
        assert await level() == ("normal", "정상", 1.0)
        await lead.post("/v1/warnings", json=NATIONAL | {"level": "attention", "reference": "1"})
        await lead.post("/v1/warnings", json=NATIONAL | {"reference": "2", "ends_at": "2026-05-01T05:00:00Z"})
        assert await level() == ("caution", "주의", 0.75)
        centre.clock.advance(timedelta(hours=1))
        raised = await step(lead, "warnings/WRN-2026-000002", "change_level", **NATIONAL | {"level": "attention", "reference": "3"})
        assert raised.status_code == 422, "attention it is already"
        raised = await step(lead, "warnings/WRN-2026-000002", "change_level", **NATIONAL | {"level": "alert", "reference": "3"})
        assert raised.json()["state"] == "level_changed"
        follower = (await lead.get("/v1/warnings/WRN-2026-000004")).json()
        assert (follower["follows"], follower["level"], follower["state"]) == ("WRN-2026-000002", "alert", "recorded")
        assert (await level())[0] == "alert"
        assert (await step(lead, "warnings/WRN-2026-000004", "lift", reason="notice 4")).status_code == 200
        assert (await level())[0] == "caution"
        centre.clock.advance(timedelta(hours=1))
        assert (await level())[0] == "normal", "it runs out by its own end, before anything moves it to expired"
        told = (await lead.get("/v1/warnings/levels")).json()
    assert [(one["at"], one["level"]) for one in told["history"]] == [
        ("2026-05-01T05:00:00Z", ""),
        ("2026-05-01T04:00:30Z", "caution"),
        ("2026-05-01T03:00:00Z", "alert"),
    ]
    assert len(told["table"]["levels"]) == 5


async def test_a_warning_runs_out_by_itself_once(centre: TestCentre) -> None:
    turn = in_session(centre.centre.database, expire_due)
    async with centre.as_person("lead") as lead:
        await lead.post("/v1/warnings", json=NATIONAL | {"ends_at": "2026-05-01T04:00:00Z"})
        assert (await step(lead, "warnings/WRN-2026-000001", "expire")).status_code == 422
        turn()
        assert (await lead.get("/v1/warnings/WRN-2026-000001")).json()["state"] == "recorded"
        centre.clock.advance(timedelta(hours=2))
        for _ in range(2):
            turn()
        found = (await lead.get("/v1/warnings/WRN-2026-000001")).json()
    assert (found["state"], found["ended_at"], found["version"]) == ("expired", "2026-05-01T04:00:00Z", 2)
    assert found["progress"]["history"][-1]["actor"] == "system:warnings"


async def test_what_no_notice_could_say_is_refused(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        start = NATIONAL["starts_at"]
        for wrong in ({"level": "purple"}, {"agencies": ["nowhere"]}, {"ends_at": start}, {"starts_at": start.rstrip("Z")}):
            assert (await lead.post("/v1/warnings", json=NATIONAL | wrong)).status_code == 422, wrong


async def test_no_incident_makes_a_warning(centre: TestCentre) -> None:
    findings = [
        Finding(n, more=(("agency", "seogu"), ("rule_id", f"r{n}"), ("rule_level", "critical")), src=f"192.0.2.{n}") for n in range(1, 20)
    ]
    await centre.put_detections(findings)
    async with centre.as_person("lead") as lead:
        assert len((await lead.get("/v1/incidents")).json()["items"]) == 19
        assert (await lead.get("/v1/warnings")).json()["items"] == []
        assert (await lead.get("/v1/warnings/effect")).json()["warning"] is None


async def test_reporting_the_state_has_a_clock_and_the_watch_is_counted(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        await lead.post("/v1/warnings", json=NATIONAL)
        warning = "warnings/WRN-2026-000001"
        assert (await step(lead, warning, "report", reason="by telephone")).status_code == 409, "there is nothing to report yet"
        await step(lead, warning, "propagate")

        async def due() -> list[tuple[str, str, str | None]]:
            found = (await lead.get(f"/v1/{warning}")).json()["progress"]["clocks"]
            return [(one["name"], one["due_at"], one["stopped_at"]) for one in found]

        assert await due() == [("report", "2026-05-01T15:00:30Z", None)]
        centre.clock.advance(timedelta(hours=11))
        assert (await step(lead, warning, "report")).status_code == 422, "the reason says what was reported"
        assert (await step(lead, warning, "report", reason="Situation report 1 to the mayor")).json()["state"] == "propagated"
        assert await due() == [("report", "2026-05-02T02:00:30Z", None)]
        watch = (await lead.get("/v1/warnings/effect")).json()["watch"]
        assert watch == {"wanted": 3, "on_call": 0, "short": 3}
        shift = {"address": "kim@soc.example", "begins_at": "2026-05-01T00:00:00Z", "ends_at": "2026-05-02T00:00:00Z"}
        assert (await lead.post("/v1/oncall", json=shift | {"person": "kim", "level": "purple"})).status_code == 422
        for person, level in (("kim", ""), ("lee", "caution"), ("park", "alert")):
            assert (await lead.post("/v1/oncall", json=shift | {"person": person, "level": level})).json()["level"] == level
        assert (await lead.get("/v1/warnings/effect")).json()["watch"] == {"wanted": 3, "on_call": 2, "short": 1}
        await step(lead, warning, "lift", reason="over")
        assert (await due())[0][2] is not None
        assert (await lead.get("/v1/warnings/effect")).json()["watch"] == {"wanted": 1, "on_call": 1, "short": 0}
