"""Every operation of the API as every role and machine, on what is of the own agency and of another, compared with the matrix.

The matrix, the steps of cases and what each operation asks for are written out by hand (`tests.role_matrix`, `tests.case_tables`,
`tests.routes`); nothing here asks the code under test what it should do.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from core.clock import FixedClock
from core.permissions import MachineRole, Reach, Role
from tests.case_tables import KINDS, TABLES
from tests.detections import Finding
from tests.integration.test_case_machines import SEEN, put
from tests.linked_centres import linked, machine
from tests.role_matrix import MACHINES, MATRIX, ROLES
from tests.routes import ACTS, EXAMPLES
from tests.servers.api import PEOPLE, TestCentre, running_centre, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW: Final = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
OWN, OTHER = "seogu", "parks"
PLACES: Final = {OWN: 100, OTHER: 200}
INCIDENTS: Final = {agency: f"INC-2026-{place + list(KINDS).index('incidents'):06d}" for agency, place in PLACES.items()}
BOUND: Final = [name for name, (_, agency) in PEOPLE.items() if agency]
"""Who belongs to an agency, which is `OWN`."""
LINKED: Final = {
    "warning-notices": "acknowledge prove complete",
    "shares": "edit propose discard",
    "share-receipts": "collect receive reply",
}
"""The steps a linked centre's machine takes: it acknowledges warnings and shares threat information."""
BELOW: Final = {
    "GET /v1/duties/{number}/files/{file_id}",
    "GET /v1/incidents/{number}/attachments/{attachment_id}",
    "GET /v1/incidents/{number}/tasks/{task_id}",
    "PATCH /v1/incidents/{number}/tasks/{task_id}",
    "GET /v1/personal-cases/{number}/letters/{kind}/{version}",
    "GET /v1/personal-cases/{number}/support/{entry}/package",
    "GET /v1/share-receipts/{number}/bundle",
}
"""What a case made for this has none of: nobody finds it."""
UNSEEN: Final = {
    ("GET /v1/warnings/{number}", "officer"): "whose agency has no notice of it",
    ("GET /v1/warnings/{number}", "linked_centre"): "as above",
    ("GET /v1/campaigns/{number}", "officer"): "whose agency has no duty in it",
}
"""Cases of the whole city, which an agency sees by its own part in them; this one has no parts."""
SHOWN: Final = {"reports": "submitted", "requests": "issued", "warnings": "propagated", "campaigns": "running"}
"""States in which a case is not its writer's draft any more, which others do not see."""
BODIES: Final[dict[str, dict[str, Any]]] = {
    "POST /v1/incidents/{number}/comments": {"json": {"text": "t"}},
    "POST /v1/incidents/{number}/tasks": {"json": {"title": "t"}},
    "PATCH /v1/incidents/{number}/tasks/{task_id}": {"json": {"done": True}},
    "POST /v1/incidents/{number}/attachments": {"params": {"name": "f"}, "content": b"x"},
    "POST /v1/duties/{number}/files": {"params": {"name": "f"}, "content": b"x"},
    "PUT /v1/teams/{number}/log/{entry}": {"json": {"text": "t"}},
}
HEARS_NOTHING: Final = {"linked_centre"}
"""Whose lists hold nothing here: warnings and shares reach it once they are sent."""
ROSTER: Final = "PUT /v1/teams/{number}/log/{entry}"
"""Written by those on the roster, which is empty here, and by who may propose teams: the SOC lead."""
_NAMED: Final = re.compile(r"\{(\w+)\}")


@dataclass
class Walked:
    """A centre with the same things of two agencies. `numbers[path][agency]` is a case."""

    centre: TestCentre
    numbers: dict[str, dict[str, str]] = field(default_factory=dict)
    events: dict[str, str] = field(default_factory=dict)
    callers: dict[str, httpx.AsyncClient] = field(default_factory=dict)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Walked]:
    settings = settings_for(
        tmp_path_factory.mktemp("centre"), respond={"lead_issues_requests": True}, api={"requests_per_minute": 1_000_000}
    )
    async with running_centre(settings, FixedClock(NOW)) as centre, AsyncExitStack() as clients:
        made = Walked(centre)
        await _fill(made)
        callers = {name: centre.as_person(name) for name in PEOPLE}
        callers |= {
            MachineRole.LOG_SOURCE.value: centre.as_machine("logs:write", agency=OWN, source="fw-1"),
            MachineRole.LINKED_CENTRE.value: machine(centre, linked(centre, OWN)),
        }
        made.callers = {name: await clients.enter_async_context(one) for name, one in callers.items()}
        yield made


async def _fill(made: Walked) -> None:
    centre, at = made.centre, NOW - timedelta(minutes=10)
    for agency, place in PLACES.items():
        await centre.put_events(agency, at, 3, src_ip="192.0.2.7", user=f"only-{agency}")
        await centre.put_quarantined(agency, at, 2)
        said = {"agency": agency, "detected_at": at, "rule_title": f"only-{agency}"}
        await centre.put_detections([Finding(place, more=(*said.items(),))])
        for offset, (path, kind) in enumerate(KINDS.items()):
            state = SHOWN.get(path, kind.machine.initial)
            more = {"incidents": {"personal_data": True}, "reports": {"about": f"incident/{INCIDENTS[agency]}"}}.get(path, {})
            made.numbers.setdefault(path, {})[agency] = put(centre, kind, state, place + offset, agency, **more)
    async with centre.as_person("analyst") as analyst:
        for agency in PLACES:
            page = (await analyst.get("/v1/events", params={"agency": agency})).json()
            made.events[agency] = page["items"][0]["event_id"]


def granted(name: str) -> dict[str, Reach | None]:
    """How far each action reaches for a caller."""
    if name in PEOPLE:
        column = ROLES.index(Role(PEOPLE[name][0]))
        return {str(action): reaches[column] for action, reaches in MATRIX.items()}
    return {str(action): MACHINES[MachineRole(name)].get(action) for action in MATRIX}


def refusals(needed: str) -> set[int]:
    """How a caller without the grant is refused: where two are needed together, the one may hide that there is anything."""
    return {403, 404} if "+" in needed else {403}


def reach(needed: str, grants: dict[str, Reach | None]) -> Reach | None:
    """How far an operation reaches: as the widest of the actions that let in, each as the narrowest of those needed together."""
    ways = [[grants[action] for action in way.split("+")] for way in needed.split()]
    open_ways = [[found for found in way if found] for way in ways if all(way)]
    if not open_ways:
        return None
    return Reach.ALL if any(set(way) == {Reach.ALL} for way in open_ways) else open_ways[0][0]


CALLERS: Final = [*PEOPLE, *(role.value for role in MachineRole)]


async def test_the_matrix_leaves_no_route_out(walked: Walked) -> None:
    about_oneself = {"POST /v1/login", "POST /v1/login/code", "POST /v1/logout", "GET /v1/me", "GET /v1/news", "PUT /v1/news/read"}
    about_oneself |= {"GET /v1/clocks"}
    paths = walked.centre.app.openapi()["paths"]
    about_oneself |= {
        f"{method.upper()} {path}" for path, known in paths.items() for method in known if f"{path}/".startswith("/v1/account/")
    }
    shapes = {f"{method.upper()} {path}" for path, known in paths.items() for method in known if path.startswith("/v1/")}
    steps = {f"POST {KINDS[path].path(path)}/{action}" for path, table in TABLES.items() for action in table}
    endless = {"GET /v1/stream"}  # test_api_live asks it
    assert shapes == ACTS.keys() | about_oneself | steps | endless


@pytest.mark.parametrize("name", CALLERS)
async def test_each_caller_may_do_what_the_matrix_says(walked: Walked, name: str) -> None:
    """Whatever is named in the path, nothing but the grant decides between 403 and the rest."""
    client, grants = walked.callers[name], granted(name)
    wrong = []
    for act, needed in ACTS.items():
        method, path = act.format(**EXAMPLES).split()
        status = (await client.request(method, path)).status_code
        is_let_in = status not in refusals(needed)
        if is_let_in != (reach(needed, grants) is not None) and not (status == 404 and reach(needed, grants)):
            wrong.append((act, status))
    assert not wrong


@pytest.mark.parametrize("name", CALLERS)
async def test_lists_and_figures_hold_nothing_of_another_agency(walked: Walked, name: str) -> None:
    client, grants = walked.callers[name], granted(name)
    document = walked.centre.app.openapi()["paths"]
    told, leaked, own = 0, [], 0
    for act, needed in ACTS.items():
        method, path = act.split()
        how_far = reach(needed, grants)
        if method != "GET" or _NAMED.search(path) or how_far is None:
            continue
        takes = {one["name"] for one in document[path]["get"].get("parameters", [])}
        for query in ({}, {"agency": OTHER}) if "agency" in takes else ({},):
            answer = await client.get(path, params={**query, **({"of": "user"} if "of" in takes else {})})
            told += 1
            if answer.status_code >= 500:
                leaked.append((act, query, answer.status_code))
            if how_far is not Reach.ALL and OTHER in answer.text:
                leaked.append((act, query, answer.text[max(answer.text.index(OTHER) - 60, 0) :][:120]))
            own += OWN in answer.text
    assert not leaked, "\n".join(map(str, leaked))
    assert not told or own or name in HEARS_NOTHING


@pytest.mark.parametrize("path", KINDS)
async def test_a_case_of_another_agency_is_not_there(walked: Walked, path: str) -> None:
    """Reading and stepping a case: by whom it may be at all, and of the own agency alone by those who belong to one."""
    document, kind = walked.centre.app.openapi()["paths"], KINDS[path]
    below = kind.path(path)
    wrong, asked = [], 0
    for operation, method, place in _operations(document, below):
        action = place.removeprefix(f"{below}/")
        is_step = method == "post" and action in TABLES[path]
        sent = {"json": {"reason": "because it is so", **kind.bodies.get(action, {})}} if is_step else BODIES.get(operation, {})
        for name, client in walked.callers.items():
            how_far = _of_step(name, path, action) if is_step else _how_far(name, operation)
            for agency, number in walked.numbers[path].items():
                named = EXAMPLES | {"number": number}
                status = (await client.request(method, place.format(**named), headers=SEEN, **sent)).status_code
                is_not_there = operation in BELOW or (operation, name) in UNSEEN
                refused = {403} if is_step else {403, 404} if operation == ROSTER else refusals(ACTS[operation])
                expected = _expected(how_far, refused, agency, is_not_there=is_not_there)
                asked += 1
                if (status in {403, 404} or expected != {0}) and status not in expected:
                    wrong.append((operation, name, agency, status, expected))
    assert not wrong, "\n".join(map(str, wrong))
    assert asked


async def test_an_event_of_another_agency_is_not_there(walked: Walked) -> None:
    wrong = []
    for operation, needed in ACTS.items():
        method, path = operation.split()
        if "{event_id}" not in path:
            continue
        for name, client in walked.callers.items():
            how_far = reach(needed, granted(name))
            for agency, event in walked.events.items():
                status = (await client.request(method, path.format(event_id=event))).status_code
                expected = {403} if how_far is None else {404} if how_far is not Reach.ALL and agency == OTHER else {200}
                if status not in expected:
                    wrong.append((operation, name, agency, status, expected))
    assert not wrong, "\n".join(map(str, wrong))


def _operations(document: dict[str, Any], below: str) -> Iterator[tuple[str, str, str]]:
    for place, methods in document.items():
        if place == below or (place.startswith(f"{below}/") and "/tracks/" not in place.removeprefix(below)):
            yield from ((f"{method.upper()} {place}", method, place) for method in methods)


def _how_far(name: str, operation: str) -> Reach | None:
    return None if operation == ROSTER and name != "lead" else reach(ACTS[operation], granted(name))


def _of_step(name: str, path: str, action: str) -> Reach | None:
    if name not in PEOPLE:
        return Reach.WATCHED if action in LINKED.get(path, "").split() and name == MachineRole.LINKED_CENTRE.value else None
    return None if name not in TABLES[path][action][2].split() else Reach.OWN if name in BOUND else Reach.ALL


def _expected(how_far: Reach | None, refused: set[int], agency: str, *, is_not_there: bool) -> set[int]:
    """The statuses; {0}: whatever comes after the caller was let in."""
    if how_far is None:
        return refused
    return {404} if is_not_there or (how_far is not Reach.ALL and agency == OTHER) else {0}
