"""Every state, action and role of every kind of case: allowed by the domain's table, or refused with the right error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.clock import FixedClock
from tests.case_tables import KINDS, TABLES, Kind
from tests.servers.api import PEOPLE, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
SEEN = {"If-Match": '"1"'}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path, respond={"lead_issues_requests": True}), FixedClock(NOW)) as made:
        yield made


def put(centre: TestCentre, kind: Kind, state: str, place: int, agency: str = "seogu", **columns: object) -> str:
    """A case of `agency` in `state`; `columns` in place of the example's."""
    number = f"{kind.machine.prefix}-2026-{place:06d}"
    common = {"number": number, "agency": agency, "state": state, "version": 1, "exercise": False}
    common |= {"created_at": NOW, "created_by": "system:test", "updated_at": NOW}
    with centre.centre.database.session() as session:
        if kind.whole is None:
            session.add(kind.model(**common, **kind.example | columns, **({kind.distinct: number} if kind.distinct else {})))
        else:
            whole, its_columns = kind.whole
            session.add(whole(**common | its_columns))
            session.add(kind.model(**common | {"number": f"{number}/{kind.part}"}, case_number=number, **kind.example | columns))
    return number


@pytest.mark.parametrize("path", TABLES)
def test_the_machine_is_the_table_of_the_domain(path: str) -> None:
    machine = KINDS[path].machine
    built = {one.action: (set(one.sources), one.to) for one in machine.steps}
    assert built == {action: (set(sources.split()), to) for action, (sources, to, _) in TABLES[path].items()}


@pytest.mark.parametrize("path", TABLES)
async def test_every_state_action_and_role(centre: TestCentre, path: str) -> None:
    kind, table = KINDS[path], TABLES[path]
    below = kind.path(path)
    states = {kind.machine.initial, *(word for sources, to, _ in table.values() for word in [*sources.split(), to] if word)}
    place = 0
    wrong = []
    async with AsyncExitStack() as open_clients:
        clients = {name: await open_clients.enter_async_context(centre.as_person(name)) for name in PEOPLE}
        for state in sorted(states):
            for action, (sources, _, people) in table.items():
                for name, client in clients.items():
                    place += 1
                    number = put(centre, kind, state, place)
                    body = {"reason": "because it is so", **kind.bodies.get(action, {})}
                    status = (await client.post(f"{below.format(number=number)}/{action}", json=body, headers=SEEN)).status_code
                    expected = {403} if name not in people.split() else {409} if state not in sources.split() else {200, 422}
                    if status not in expected:
                        wrong.append((state, action, name, status, expected))
    assert not wrong
    assert place == len(states) * len(table) * len(PEOPLE)


@pytest.mark.parametrize("path", TABLES)
async def test_no_route_changes_a_case_past_the_table(centre: TestCentre, path: str) -> None:
    paths = centre.app.openapi()["paths"]
    below = KINDS[path].path(path)
    posted = [name.removeprefix(f"{below}/") for name in paths if name.startswith(f"{below}/") and "post" in paths[name]]
    steps = {name for name in posted if not name.startswith("tracks/")}
    assert steps - KINDS[path].beside == TABLES[path].keys()
