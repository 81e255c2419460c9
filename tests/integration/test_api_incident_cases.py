"""The cases about an incident over the API: of every kind that may be about one, for each caller those it may read, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from core.clock import FixedClock
from core.permissions import Action, Role
from respond.cases.models import CaseColumns
from respond.incidents.models import IncidentPerson
from respond.models import Incident
from tests.case_tables import KINDS
from tests.detections import Finding
from tests.integration.test_api_incidents import trail
from tests.integration.test_case_machines import put
from tests.role_matrix import MATRIX, ROLES
from tests.servers.api import PEOPLE, TestCentre, running_centre, settings_for

NOW: Final = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
FIRST, SECOND = "INC-2026-000001", "INC-2026-000002"
READ_WITH: Final = {
    "blocks": (Action.BLOCKS_READ,),
    "investigations": (Action.INCIDENTS_READ,),
    "personal-cases": (Action.PERSONAL_READ, Action.PERSONAL_REDACTED, Action.PERSONAL_STATUS),
    "reports": (Action.REPORTS_READ,),
    "requests": (Action.REQUESTS_READ,),
    "shares": (Action.SHARING_READ,),
    "teams": (Action.TEAMS_READ,),
}
"""The kinds that name the incident they are about, and what lets one read them."""
STATES: Final = {"reports": "submitted", "requests": "issued", "shares": "released", "teams": "active"}
"""Not their writer's draft any more."""


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        await made.put_detections([Finding(place, more=(("agency", agency),)) for place, agency in ((1, "seogu"), (2, "parks"))])
        yield made


def about(centre: TestCentre, incident: str, place: int) -> dict[str, str]:
    """A case of each kind about `incident`, called with `incident/` before where that is its custom; their numbers by path."""
    made = {}
    for offset, path in enumerate(READ_WITH):
        kind = KINDS[path]
        named: dict[str, Any] = {"incident": incident} if path == "teams" else {"about": f"incident/{incident}"}
        if path == "personal-cases":
            named = {"about": incident}
        made[path] = put(centre, kind, STATES.get(path, kind.machine.initial), place + offset, **named)
    return made


async def listed(centre: TestCentre, person: str, incident: str, **query: Any) -> list[str]:
    """The numbers a person is shown, over all pages."""
    found: list[str] = []
    cursor = ""
    async with centre.as_person(person) as client:
        while True:
            answer = await client.get(f"/v1/incidents/{incident}/cases", params={**query, "cursor": cursor})
            assert answer.status_code == 200, answer.text
            found += [one["number"] for one in answer.json()["items"]]
            if not (cursor := answer.json()["next_cursor"]):
                return found


async def test_each_is_shown_the_kinds_the_role_reads(centre: TestCentre) -> None:
    made = about(centre, FIRST, 10)
    about(centre, SECOND, 30)
    with centre.centre.database.session() as session:
        session.get_one(Incident, 1).personal_data = True
        session.get_one(Incident, 2).personal_data = True
    for person, (role, _) in PEOPLE.items():
        column = ROLES.index(Role(role))
        if MATRIX[Action.INCIDENTS_READ][column] is None:
            continue
        readable = {made[path] for path, actions in READ_WITH.items() if any(MATRIX[one][column] for one in actions)}
        assert set(await listed(centre, person, FIRST)) == readable, person
    assert len(made) == 7
    assert set(await listed(centre, "lead", FIRST)) == set(made.values())


async def test_pages_go_from_the_newest_to_the_oldest(centre: TestCentre) -> None:
    made = about(centre, FIRST, 10)
    with centre.centre.database.session() as session:
        for minutes, (path, number) in enumerate(made.items()):
            row: type[CaseColumns] = KINDS[path].model
            case = session.query(row).filter(row.number == number).one()
            case.created_at = NOW.replace(minute=minutes // 2)  # two of each time
    every = await listed(centre, "lead", FIRST)
    assert sorted(every) == sorted(made.values())
    order = [list(made.values()).index(one) // 2 for one in every]
    assert order == sorted(order, reverse=True)
    for limit in (1, 2, 3, 7):
        assert await listed(centre, "lead", FIRST, limit=limit) == every
    async with centre.as_person("lead") as lead:
        refused = await lead.get(f"/v1/incidents/{FIRST}/cases", params={"cursor": "x"})
        (first, *_) = (await lead.get(f"/v1/incidents/{FIRST}/cases")).json()["items"]
    assert refused.status_code == 422
    assert first == {
        **{"kind": "team", "number": made["teams"], "agency": "seogu", "state": "active", "exercise": False},
        "created_at": "2026-05-01T03:03:30Z",
    }


async def test_those_about_a_restricted_incident_are_for_its_members(centre: TestCentre) -> None:
    made = about(centre, FIRST, 10)
    with centre.centre.database.session() as session:
        session.get_one(Incident, 1).restricted = True
        session.add(IncidentPerson(incident_id=1, person="user:lead", part="member", at=NOW, added_by="user:lead"))
    assert set(await listed(centre, "lead", FIRST)) == set(made.values())
    async with centre.as_person("analyst") as analyst:
        assert (await analyst.get(f"/v1/incidents/{FIRST}/cases")).status_code == 404
    assert [(actor, told["what"]) for actor, _, told in trail(centre, "incident.read")] == [("user:lead", "cases")]
