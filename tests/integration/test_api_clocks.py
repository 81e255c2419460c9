"""What is due next, how agencies do, and the ledger over the API: for each caller what is theirs, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.ledger import MEANS
from core.clock import FixedClock
from ingest.ledger.checking import Checking
from ingest.ledger.closing import Closing
from respond.cases import clocks
from respond.cases.clocks import Basis
from respond.cases.records import open_case
from respond.incidents.models import IncidentPerson
from respond.models import Incident
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request
from tests.detections import Finding
from tests.flow import BAD, GOOD, flowing
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


def ask(centre: TestCentre, agency: str, hours: float | None, about: str = "") -> str:
    """An issued request due in so many hours; its number."""
    with centre.centre.database.session() as session:
        asked = {"article": "12", "provider": "", "title": "t", "purpose": "", "items": [], "due_at": None, "reply": {}}
        case = open_case(session, REQUEST, Request(agency=agency, exercise=False, about=about, **asked), "user:lead", {})
        case.state = "issued"
        due = None if hours is None else NOW + timedelta(hours=hours)
        clocks.start(
            session, f"request/{case.number}", agency, "answer", basis=Basis.SET, source="test", started_at=NOW - 99 * HOUR, due_at=due
        )
        return case.number


async def numbers(centre: TestCentre, person: str, **query: int) -> tuple[list[str], int, int]:
    """The clocks a person is shown, over all pages, and how many are said to run and be overdue."""
    found: list[str] = []
    cursor = ""
    async with centre.as_person(person) as client:
        while True:
            answer = await client.get("/v1/clocks", params={**query, "cursor": cursor})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += [one["number"] for one in page["items"]]
            if not (cursor := page["next_cursor"]):
                return found, page["total"], page["overdue"]


async def test_clocks_are_those_of_the_cases_one_may_read_due_first(centre: TestCentre) -> None:
    late, soon, never, other = (ask(centre, *one) for one in (("seogu", -3), ("seogu", 2), ("seogu", None), ("parks", 1)))
    assert await numbers(centre, "analyst") == ([late, other, soon, never], 4, 1)
    assert await numbers(centre, "analyst", limit=1) == ([late, other, soon, never], 4, 1)
    assert await numbers(centre, "officer", limit=2) == ([late, soon, never], 3, 1)
    assert await numbers(centre, "admin") == ([], 0, 0)
    async with centre.as_person("analyst") as analyst:
        (first, *_) = (await analyst.get("/v1/clocks")).json()["items"]
        refused = [
            (await analyst.get("/v1/clocks", params={"cursor": one})).status_code for one in ("x", "MjAyNi0wNS0wMVQwMzowMDowMCswMDowMCBh")
        ]
    told = {name: first[name] for name in ("kind", "name", "basis", "agency", "overdue_seconds", "exercise")}
    assert told == {"kind": "request", "name": "answer", "basis": "set", "agency": "seogu", "overdue_seconds": 10800, "exercise": False}
    assert refused == [422, 422]


async def test_clocks_about_a_restricted_incident_are_for_its_members(centre: TestCentre) -> None:
    await centre.put_detections([Finding(1, more=(("agency", "seogu"),))])
    number = ask(centre, "seogu", 1, "incident/INC-2026-000001")
    with centre.centre.database.session() as session:
        incident = session.get_one(Incident, 1)
        incident.restricted = True
        session.add(IncidentPerson(incident_id=1, person="user:lead", part="member", at=NOW, added_by="user:lead"))
    assert await numbers(centre, "lead") == ([number], 1, 0)
    assert await numbers(centre, "analyst") == ([], 0, 0)


async def test_agencies_are_live_late_silent_or_never_heard(centre: TestCentre) -> None:
    await centre.put_events("seogu", NOW - timedelta(minutes=30))
    await centre.put_quarantined("stray", NOW - 3 * HOUR)
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        whole = (await analyst.get("/v1/agencies/health")).json()["items"]
        own = (await officer.get("/v1/agencies/health")).json()["items"]
    assert [(one["agency"], one["health"], one["sources"], one["live"]) for one in whole] == [
        ("seogu", "late", 1, 0),
        ("parks", "never", 0, 0),
        ("stray", "silent", 1, 0),
    ]
    assert own == whole[:1]


async def test_the_ledger_is_read_by_scope_and_verified_by_those_who_may(centre: TestCentre) -> None:
    made = centre.centre
    of = (made.store, made.bus, made.database, made.clock, MEANS)
    async with flowing(made.bus, made.store, made.database, centre.engine, centre.clock) as flow:
        for hours in (2, 1):
            await flow.put([GOOD, BAD], NOW - hours * HOUR)
            await flow.put([GOOD], NOW - hours * HOUR, agency="parks")
        await flow.run()
        centre.clock.advance(timedelta(minutes=3))
        await Closing(*of).step()
        session = centre.engine.session()
        session.run("ALTER TABLE events DELETE WHERE agency = 'parks' SETTINGS mutations_sync = 2")
        session.close()
        await Checking(*of).check("recent")
        async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer, centre.as_person("auditor") as auditor:
            first = (await analyst.get("/v1/ledger", params={"limit": 3})).json()
            rest = (await analyst.get("/v1/ledger", params={"limit": 3, "cursor": first["next_cursor"]})).json()
            own = (await officer.get("/v1/ledger")).json()["items"]
            hour = (await analyst.get("/v1/ledger", params={"agency": "parks", "since": "2026-05-01T02:00:00Z", "holds": True})).json()[
                "items"
            ]
            seen = [(await one.get("/v1/ledger/status")).json() for one in (analyst, officer)]
            refused = (await analyst.get("/v1/ledger/verify")).status_code
            report = (await auditor.get("/v1/ledger/verify")).json()
            trail = (await auditor.get("/v1/audit", params={"action": "ledger.verified"})).json()["items"]
        async with centre.as_machine("metrics:read") as monitor:
            assert (await monitor.get("/v1/ledger/verify")).json()["holds"] is False
    assert ([one["seq"] for one in first["items"]], [one["seq"] for one in rest["items"]]) == ([4, 3, 2], [1])
    assert {one["agency"] for one in own} == {"seogu"}
    assert [(one["hour"], one["received"]) for one in hour] == [("2026-05-01T02:00:00Z", 1)]
    assert [(one["holds"], one["problems"], one["closed_until"]) for one in seen] == [
        (False, 2, "2026-05-01T03:00:00Z"),
        (True, 0, "2026-05-01T03:00:00Z"),
    ]
    assert "parks" not in str(seen[1])
    assert refused == 403
    assert [(one["what"], one["agency"], one["said"]["stored"], one["found"]["stored"]) for one in report["problems"]] == [
        ("changed", "parks", 1, 0)
    ] * 2
    assert len(trail) == 1
