"""Reading incidents, moving them on, and the trail of it; on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import FixedClock
from core.config import validate
from core.database import Database
from core.errors import Conflict, Invalid, NotFound
from respond import audit
from respond.incidents import queries as incidents
from respond.incidents import titles
from respond.incidents.machine import State
from respond.incidents.queries import Filters
from respond.incidents.sight import WHOLE_CITY, Sight
from respond.models import Audit, Incident
from respond.stage import RespondStage
from tests.detections import START, Finding, record
from tests.incident_steps import ACTIONS, step_to

# The domain's machine, written out here once more on purpose: new -> triaged -> {false_positive | confirmed} -> contained -> eradicated
# -> recovering -> closed -> reopened; ours: a reopened incident is triaged anew, and a false alarm can be reopened.
MACHINE: Mapping[str, set[str]] = {
    "new": {"triaged"},
    "triaged": {"false_positive", "confirmed"},
    "false_positive": {"reopened"},
    "confirmed": {"contained"},
    "contained": {"eradicated"},
    "eradicated": {"recovering"},
    "recovering": {"closed"},
    "closed": {"reopened"},
    "reopened": {"triaged"},
}
FIRST = "INC-2026-000001"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of each engine, with six incidents of three agencies opened a minute apart."""
    on_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/incidents.db" if on_file else request.getfixturevalue("postgres_server").new_database()
    clock = FixedClock(START)
    made = Database(url, clock)
    made.migrate()
    made.start()
    stage = RespondStage(made, validate({}), clock)
    for number, (agency, level, title) in enumerate(
        [
            ("parks", "low", "Port scan"),
            ("parks", "high", "SQL injection 100%"),
            ("water", "critical", "악성코드 통신"),
            ("water", "low", "Port scan"),
            ("parks", "medium", "Login failures"),
            ("_unknown", "high", "Port scan"),
        ]
    ):
        more = (
            ("agency", agency),
            ("rule_level", level),
            ("rule_title", title),
            ("rule_id", f"rule-{number}"),
            ("domain", f"{number}.example"),
        )
        asyncio.run(stage.handle([record([Finding(number, src=f"192.0.2.{number}", more=more)])], 1))
        clock.advance(timedelta(minutes=1))
    yield made
    made.close()


def numbers(database: Database, agencies: frozenset[str] | None = None, **filters: object) -> list[int]:
    """The numbers' last digits of what a list shows."""
    with database.session(readonly=True) as session:
        found = incidents.list_incidents(session, Sight(agencies), Filters(**filters))  # type: ignore[arg-type]
        return [int(one.number[-6:]) for one in found.items]


FILTERED: Sequence[tuple[dict[str, object], list[int]]] = [
    ({}, [6, 5, 4, 3, 2, 1]),
    ({"agency": "water"}, [4, 3]),
    ({"agency": "\0", "severities": frozenset({"\0"})}, []),
    ({"severities": frozenset({"high", "critical"})}, [6, 3, 2]),
    ({"states": frozenset({State.NEW})}, [6, 5, 4, 3, 2, 1]),
    ({"states": frozenset({State.TRIAGED})}, []),
    ({"since": START + timedelta(minutes=2)}, [6, 5, 4, 3]),
    ({"until": START + timedelta(minutes=2)}, [2, 1]),
    ({"since": START + timedelta(minutes=1), "until": START + timedelta(minutes=3), "agency": "parks"}, [2]),
    ({"q": "inc-2026-000004"}, [4]),
    ({"q": "port SCAN"}, [6, 4, 1]),
    ({"q": "악성코드"}, [3]),
    ({"q": "100%"}, [2]),
    ({"q": "%"}, [2]),
    ({"q": "_"}, []),
    ({"q": " 192.0.2.4 "}, [5]),
    ({"q": "2.example"}, [3]),
    ({"q": "192.0.2"}, []),
    ({"q": "'; DROP TABLE incidents; --\0"}, []),
]


@pytest.mark.parametrize("few", [True, False], ids=["few", "many"])
def test_filters(database: Database, monkeypatch: pytest.MonkeyPatch, *, few: bool) -> None:
    if not few:  # more titles than are read off their index, and more incidents of an entity than are named
        monkeypatch.setattr(titles, "MOST", 2)
        monkeypatch.setattr(incidents, "_FEW", 0)
    for filters, expected in FILTERED:
        assert numbers(database, **filters) == expected, filters


def test_pages_hold_everything_once(database: Database) -> None:
    with database.session(readonly=True) as session:
        seen, cursor = [], ""
        for _ in range(4):
            page = incidents.list_incidents(session, WHOLE_CITY, Filters(), cursor=cursor, limit=2)
            seen += [one.number for one in page.items]
            cursor = page.next_cursor
            if not cursor:
                break
        assert seen == [f"INC-2026-{number:06d}" for number in (6, 5, 4, 3, 2, 1)]
        assert incidents.list_incidents(session, WHOLE_CITY, Filters(), limit=6).next_cursor == ""
        with pytest.raises(Invalid, match="cursor"):
            incidents.list_incidents(session, WHOLE_CITY, Filters(), cursor="INC-1999-000001")


def test_scope_is_in_the_query(database: Database) -> None:
    parks = frozenset({"parks"})
    assert numbers(database, parks) == [5, 2, 1]
    assert numbers(database, parks, agency="water") == []
    assert numbers(database, parks, q="악성코드") == []
    assert numbers(database, frozenset()) == []
    assert numbers(database, frozenset({"_unknown"})) == []
    seen = Sight(parks)
    with database.session() as session:
        assert [one.number[-1] for one in incidents.newest(session, seen, 2)] == ["5", "2"]
        assert incidents.counts(session, seen).open_by_severity == {"low": 1, "high": 1, "medium": 1}
        assert incidents.get_incident(session, seen, FIRST).incident.agency == "parks"
        for unseen in ("INC-2026-000003", "INC-2026-000099", "", "\0"):
            with pytest.raises(NotFound):
                incidents.get_incident(session, seen, unseen)
        with pytest.raises(NotFound):
            step_to(session, seen, "user:lee", "INC-2026-000003", State.TRIAGED, "", 1)
    with database.session(readonly=True) as session:
        assert incidents.get_incident(session, WHOLE_CITY, "INC-2026-000003").incident.state is State.NEW


def test_counts(database: Database) -> None:
    with database.session() as session:
        step_to(session, WHOLE_CITY, "user:lee", FIRST, State.TRIAGED, "", 1)
        step_to(session, WHOLE_CITY, "user:lee", FIRST, State.FALSE_POSITIVE, "own scanner", 2)
        session.execute(sa.update(Incident).where(Incident.number == "INC-2026-000004").values(exercise=True))
    with database.session(readonly=True) as session:
        found = incidents.counts(session, WHOLE_CITY)
        assert found.by_state == {"new": 4, "false_positive": 1}
        assert found.open_by_severity == {"high": 2, "critical": 1, "medium": 1}


def test_a_step_is_recorded(database: Database) -> None:
    with database.session() as session:
        moved = step_to(session, WHOLE_CITY, "user:lee", FIRST, State.TRIAGED, "  looked at it \0", 1)
        assert (moved.state, moved.version, moved.updated_at) == (State.TRIAGED, 2, START + timedelta(minutes=6))
    with database.session(readonly=True) as session:
        assert incidents.get_incident(session, WHOLE_CITY, FIRST).incident == moved
        row = session.scalars(sa.select(Audit).order_by(Audit.seq.desc())).first()
        assert row is not None
        assert (row.actor, row.action, row.object, row.at) == ("user:lee", "incident.triage", f"incident/{FIRST}", moved.updated_at)
        told = {"from": "new", "to": "triaged", "reason": "looked at it \0", "version": 2, "agency": "parks"}
        assert json.loads(row.detail) == told
        assert audit.verify(session).problem == ""


def test_ending_needs_a_reason(database: Database) -> None:
    with database.session() as session:
        step_to(session, WHOLE_CITY, "user:lee", FIRST, State.TRIAGED, "", 1)
        for reason in ("", " \n "):
            with pytest.raises(Invalid, match="reason"):
                step_to(session, WHOLE_CITY, "user:lee", FIRST, State.FALSE_POSITIVE, reason, 2)
        with pytest.raises(Invalid, match="at most"):
            step_to(session, WHOLE_CITY, "user:lee", FIRST, State.CONFIRMED, "x" * 4001, 2)


def test_a_merged_incident_is_not_moved(database: Database) -> None:
    with database.session() as session:
        other = session.scalar(sa.select(Incident.id).where(Incident.number == "INC-2026-000002"))
        session.execute(sa.update(Incident).where(Incident.number == FIRST).values(merged_into_id=other))
        with pytest.raises(Conflict, match="merged into INC-2026-000002"):
            step_to(session, WHOLE_CITY, "user:lee", FIRST, State.TRIAGED, "", 1)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(list(ACTIONS)), st.sampled_from([0, 0, 0, 0, -1, 1])), max_size=30))
def test_random_histories_take_only_steps_of_the_machine(database: Database, wishes: list[tuple[State, int]]) -> None:
    with database.session() as session:
        session.execute(sa.update(Incident).values(state=State.NEW, version=1, cause="c", impact="i"))
        before = audit.verify(session).entries
    state, version = "new", 1
    for to, off in wishes:
        allowed = off == 0 and to.value in MACHINE[state]
        with database.session() as session:
            if allowed:
                step_to(session, WHOLE_CITY, "user:lee", FIRST, to, "because", version)
                state, version = to.value, version + 1
            else:
                with pytest.raises(Conflict):
                    step_to(session, WHOLE_CITY, "user:lee", FIRST, to, "because", version + off)
    with database.session(readonly=True) as session:
        found = incidents.get_incident(session, WHOLE_CITY, FIRST).incident
        assert (found.state.value, found.version) == (state, version)
        checked = audit.verify(session)
        assert (checked.entries - before, checked.problem) == (version - 1, "")


def test_the_whole_way_round(database: Database) -> None:
    way = ["triaged", "confirmed", "contained", "eradicated", "recovering", "closed", "reopened", "triaged", "false_positive", "reopened"]
    with database.session() as session:
        session.execute(sa.update(Incident).values(cause="a weak password", impact="none"))
        for version, to in enumerate(way, 1):
            step_to(session, WHOLE_CITY, "user:lee", FIRST, State(to), "because", version)
        assert incidents.get_incident(session, WHOLE_CITY, FIRST).incident.version == len(way) + 1


def test_of_two_at_once_one_wins(database: Database) -> None:
    ready = Barrier(2)

    def act(actor: str) -> str:
        with database.session() as session:
            # SQLite lets only one writer in; on PostgreSQL both have seen the incident, and hold what they saw.
            held = None if database.where.startswith("sqlite") else session.scalars(sa.select(Incident).order_by(Incident.id)).all()
            ready.wait()
            try:
                step_to(session, WHOLE_CITY, actor, FIRST, State.TRIAGED, "", held[0].version if held else 1)
            except Conflict as error:
                return str(error)
            return "won"

    with ThreadPoolExecutor(2) as officers:
        outcomes = sorted(officers.map(act, ["user:lee", "user:kim"]))
    assert outcomes == [f"{FIRST} was changed meanwhile: you saw version 1, it is version 2", "won"]


def test_writers_of_the_trail_wait_for_one_another(database: Database) -> None:
    def write(actor: str) -> None:
        for number in range(20):
            with database.session() as session:
                audit.record(session, actor, "test", f"thing/{number}", {"n": number, "text": "가\0"})

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, [f"user:{name}" for name in "abcd"]))
    with database.session(readonly=True) as session:
        found = audit.verify(session)
        assert (found.entries, found.problem) == (6 + 80, "")


CHANGED_BEHIND_OUR_BACK = [
    ("UPDATE audit SET detail = '{}' WHERE seq = 6", "row 6 was changed"),
    ("UPDATE audit SET actor = 'user:other' WHERE seq = 3", "row 3 was changed"),
    ("DELETE FROM audit WHERE seq = 2", "row 2 is missing"),
    ("DELETE FROM audit WHERE seq = 1", "row 1 is missing"),
]


def test_a_change_behind_our_back_is_found(database: Database) -> None:
    for change, named in CHANGED_BEHIND_OUR_BACK:
        with database.session() as session:
            session.execute(sa.text(change))
        with database.session(readonly=True) as session:
            assert named in audit.verify(session).problem


def test_a_change_that_fails_leaves_no_trace_of_having_been(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.session() as session:  # noqa: PT012 - the error must leave the session
        step_to(session, WHOLE_CITY, "user:lee", FIRST, State.TRIAGED, "", 1)
        raise ZeroDivisionError
    with database.session(readonly=True) as session:
        assert audit.verify(session).entries == 6
        assert incidents.get_incident(session, WHOLE_CITY, FIRST).incident.state is State.NEW


def test_an_objects_name_has_an_end(database: Database) -> None:
    with database.session() as session, pytest.raises(ValueError, match="at most 200"):
        audit.record(session, "user:lee", "test", "x" * 201, {})
