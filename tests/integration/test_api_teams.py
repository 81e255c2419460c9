"""Emergency teams over the API: asked for, formed by the Mayor alone, called out, on duty, stood down, reviewed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from respond.cases.models import CaseEvent, Outgoing
from respond.incidents.machine import State
from respond.models import Audit, Incident
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
ASKED = {"incident": "INC-2026-000001", "basis": "The service is down for the whole city"}
PEOPLE = [
    {"role": "leader", "name": "Hong Gildong", "agency": "parks"},
    {"role": "analyst", "name": "Kim", "account": "analyst"},
    {"role": "analyst", "name": "Lee"},
    {"role": "system_officer", "name": "Park", "agency": "seogu", "account": "officer"},
    {"role": "communication", "name": "Choi"},
]


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        await made.put_detections([Finding(n, more=(("agency", agency),)) for n, agency in enumerate(("seogu", "parks"), 1)])
        yield made


def put_incident(centre: TestCentre, number: str, **changes: object) -> None:
    with centre.centre.database.session() as session:
        session.execute(sa.update(Incident).where(Incident.number == number).values(**changes))


async def step(client: httpx.AsyncClient, path: str, action: str, **wish: object) -> httpx.Response:
    """Take a step on the case as it is now."""
    seen = (await client.get(f"/v1/{path}")).headers.get("etag", '"1"')
    return await client.post(f"/v1/{path}/{action}", json=wish, headers={"If-Match": seen})


async def test_a_team_from_the_request_to_the_review(centre: TestCentre) -> None:
    async with (
        centre.as_person("officer") as officer,
        centre.as_person("lead") as lead,
        centre.as_person("mayor") as mayor,
        centre.as_person("analyst") as analyst,
    ):
        made = await officer.post("/v1/teams/requests", json=ASKED)
        assert made.status_code == 201
        assert [made.json()[name] for name in ("state", "agency", "severity")] == ["requested", "seogu", "medium"]
        team = f"teams/{made.json()['number']}"
        assert team == "teams/ECT-2026-000001"
        unconfirmed = await step(mayor, team, "form", order="Restore the service")
        assert (unconfirmed.status_code, "is new" in unconfirmed.json()["detail"]) == (422, True)
        put_incident(centre, "INC-2026-000001", state=State.CONFIRMED)
        assert (await step(mayor, team, "form", order="Restore the service")).json()["state"] == "formed"
        assert (await step(lead, team, "call_out")).status_code == 422
        assert (await step(lead, team, "nominate", people=PEOPLE)).status_code == 200
        assert (await step(lead, team, "nominate", people=[PEOPLE[0]])).status_code == 422, "one leader at most"
        assert (await step(lead, team, "nominate", people=[PEOPLE[1]])).status_code == 422, "nobody twice"
        wrong = {"role": "system_officer", "name": "n", "agency": "parks"}
        assert (await step(lead, team, "nominate", people=[wrong])).status_code == 422, "from the accident's agency"
        assert (await step(lead, team, "call_out")).status_code == 200
        centre.clock.advance(timedelta(minutes=45))
        (mine,) = (await officer.get("/v1/team-members", params={"mine": True})).json()["items"]
        member = f"team-members/{mine['number']}"
        assert (await step(analyst, member, "acknowledge")).status_code == 422, "somebody else's call"
        assert (await step(officer, member, "acknowledge")).json()["answered_at"] == "2026-05-01T03:45:30Z"
        (clock,) = (await officer.get(f"/v1/{member}")).json()["progress"]["clocks"]
        assert (clock["basis"], clock["overdue_seconds"]) == ("target", 900)
        short = await step(lead, team, "activate")
        assert (short.status_code, "1 more leader" in short.json()["detail"]) == (422, True)
        for one in (await lead.get(f"/v1/{team}")).json()["members"]:
            if one["state"] == "called":
                assert (await step(lead, f"team-members/{one['number']}", "acknowledge")).status_code == 200
        assert (await lead.get(f"/v1/{team}")).json()["missing"] == []
        assert (await step(lead, team, "activate")).json()["state"] == "active"
        assert (await step(lead, team, "order", text="Move to the standby servers")).status_code == 200
        assert (await step(lead, team, "stand_down", reason="over")).status_code == 403
        assert (await step(mayor, team, "stand_down", reason="The service is back")).json()["state"] == "stood_down"
        assert (await step(lead, team, "review", findings="The standby servers were too small")).json()["state"] == "reviewed"
        told = (await lead.get(f"/v1/{team}")).json()
    assert {one["state"] for one in told["members"]} == {"released"}
    assert [one["action"] for one in told["progress"]["history"]] == [
        *("open", "form", "nominate", "call_out", "activate", "order", "stand_down", "review")
    ]
    assert told["progress"]["steps"] == []


async def test_names_stand_in_the_roster_alone(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        team = f"teams/{(await lead.post('/v1/teams/proposals', json=ASKED)).json()['number']}"
        assert (await step(lead, team, "nominate", people=PEOPLE)).status_code == 200
    with centre.centre.database.session(readonly=True) as session:
        told = [*session.scalars(sa.select(Audit.detail)), *map(str, session.scalars(sa.select(CaseEvent.data)))]
        told += map(str, session.scalars(sa.select(Outgoing.data)))
    assert len(told) > 12
    assert not [one for one in told if "Gildong" in one]


async def test_the_duty_log_only_grows(centre: TestCentre) -> None:
    put_incident(centre, "INC-2026-000001", state=State.CONFIRMED)
    async with (
        centre.as_person("officer") as officer,
        centre.as_person("lead") as lead,
        centre.as_person("mayor") as mayor,
        centre.as_person("analyst") as analyst,
    ):
        team = f"teams/{(await lead.post('/v1/teams/proposals', json=ASKED)).json()['number']}"
        line = f"/v1/{team}/log/entry-0001"
        assert (await lead.put(line, json={"text": "too early"})).status_code == 409
        await step(mayor, team, "form", order="Restore the service")
        await step(lead, team, "nominate", people=PEOPLE[3:4])
        written = await officer.put(line, json={"text": "Server room is open"})
        assert (written.status_code, written.json()["kind"]) == (200, "note")
        assert (await officer.put(line, json={"text": "Server room is open"})).json() == written.json()
        assert (await officer.put(line, json={"text": "It is closed"})).status_code == 409
        assert (await lead.put(line, json={"text": "Server room is open"})).status_code == 409
        assert (await analyst.put(f"/v1/{team}/log/entry-0002", json={"text": "x"})).status_code == 403, "not on the roster"
        found = (await officer.get(f"/v1/{team}/log")).json()["items"]
        assert [(one["kind"], one["text"]) for one in found] == [("order", "Restore the service"), ("note", "Server room is open")]
        assert (await lead.get(f"/v1/{team}/log", params={"after": found[0]["id"]})).json()["items"] == found[1:]


async def test_a_team_is_about_an_accident_of_the_askers(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead:
        assert (await officer.post("/v1/teams/requests", json=ASKED | {"incident": "INC-2026-000002"})).status_code == 422
        assert (await lead.post("/v1/teams/requests", json=ASKED)).status_code == 403
        assert (await officer.post("/v1/teams/proposals", json=ASKED)).status_code == 403
        proposed = await lead.post("/v1/teams/proposals", json=ASKED | {"incident": "INC-2026-000002"})
        assert (proposed.json()["state"], proposed.json()["agency"]) == ("proposed", "parks")
        assert (await officer.get("/v1/teams")).json()["items"] == []
        team = f"teams/{proposed.json()['number']}"
        await step(lead, team, "nominate", people=[{"role": "leader", "name": "n", "agency": "seogu", "account": "officer"}])
        assert [one["number"] for one in (await officer.get("/v1/teams")).json()["items"]] == [proposed.json()["number"]]
        put_incident(centre, "INC-2026-000001", state=State.FALSE_POSITIVE)
        assert (await lead.post("/v1/teams/proposals", json=ASKED)).status_code == 422


async def test_an_exercise_makes_an_exercise(centre: TestCentre) -> None:
    put_incident(centre, "INC-2026-000001", state=State.CONFIRMED, exercise=True)
    async with centre.as_person("lead") as lead, centre.as_person("mayor") as mayor:
        team = f"teams/{(await lead.post('/v1/teams/proposals', json=ASKED)).json()['number']}"
        await step(lead, team, "nominate", people=PEOPLE)
        await step(mayor, team, "form", order="Exercise: restore the service")
        await step(lead, team, "call_out")
        told = (await lead.get(f"/v1/{team}")).json()
    assert {told["exercise"], *(one["exercise"] for one in told["members"])} == {True}
    with centre.centre.database.session(readonly=True) as session:
        assert set(session.scalars(sa.select(Outgoing.exercise).where(Outgoing.kind.like("team%")))) == {True}
