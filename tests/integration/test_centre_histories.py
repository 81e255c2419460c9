"""Random histories of linked centres: who watches whom never overlaps, no history is lost, and links follow calls and silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core.centre_settings import CentreSettings
from core.clock import FixedClock
from core.database import Database
from core.errors import Conflict, Invalid, NotFound
from respond.cases import clocks, records
from respond.centres import delegations, links, service
from respond.centres.delegations import Wish
from respond.centres.machine import MACHINE
from respond.centres.models import CentreLink, Delegation, LinkedCentre
from respond.centres.service import About
from tests.case_tables import TABLES

START = datetime(2026, 5, 1, tzinfo=UTC)
AGENCIES = ("seogu", "parks", "water")
ABOUT = About("센터", "", "")
DRAWN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Made = tuple[Database, FixedClock]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    clock = FixedClock(START)
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('centres')}/centres.db", clock)
    made.migrate()
    made.start()
    yield made, clock
    made.close()


def fresh(made: Database) -> list[tuple[str, str]]:
    """Three new centres, one of each agency: agency and number. What was there before is forgotten."""
    with made.session() as session:
        for table in (Delegation, CentreLink):
            session.execute(sa.delete(table))
        return [(one, service.register(session, "user:lee", AGENCIES, one, f"{one}-{_next(session)}", ABOUT).number) for one in AGENCIES]


def _next(session: Session) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(LinkedCentre)) or 0


_minutes = st.sampled_from([-90, -30, 0, 30, 90, 600])
_delegate = st.tuples(st.just("delegate"), st.sampled_from(AGENCIES), st.integers(0, 2), st.none() | _minutes)
_end = st.tuples(st.just("end"), st.just(""), st.integers(0, 8), st.none() | _minutes)
_stop = st.tuples(st.just("stop"), st.just(""), st.integers(0, 2), st.none())


@DRAWN
@given(tried=st.lists(st.tuples(_delegate | _end | _stop, st.sampled_from([0, 1, 45, 700])), max_size=16))
def test_an_agency_is_never_watched_by_two_and_nothing_is_forgotten(
    database: Made, tried: list[tuple[tuple[str, str, int, int | None], int]]
) -> None:
    made, clock = database
    centres = fresh(made)
    before: dict[int, tuple[object, ...]] = {}
    for (what, agency, which, minutes), passed in tried:
        clock.advance(timedelta(minutes=passed))
        at = clock.now()
        moment = None if minutes is None else at + timedelta(minutes=minutes)
        try:
            with made.session() as session:
                if what == "delegate":
                    delegations.delegate(session, "user:kim", AGENCIES, Wish(agency, centres[which][1], moment, "its size"))
                elif what == "end":
                    first = min(before, default=1)
                    delegations.end(session, "user:kim", first + which, moment, "because")
                else:
                    number = centres[which][1]
                    version = records.find(session, MACHINE, LinkedCentre, None, number).version
                    service.take(session, "user:kim", number, "end", version, "because")
        except (Conflict, Invalid, NotFound):
            pass
        with made.session(readonly=True) as session:
            rows = session.scalars(sa.select(Delegation).order_by(Delegation.agency, Delegation.since, Delegation.id)).all()
            _check_rows(rows)
            _check_readers(session, rows, at, [number for _, number in centres])
            now_kept = {one.id: (one.agency, one.centre, one.since, one.reason, one.made_by) for one in rows}
            assert before.items() <= now_kept.items()
            before = now_kept
            ended = session.scalars(sa.select(LinkedCentre.number).where(LinkedCentre.state == "ended")).all()
            assert not [one for one in rows if one.centre in ended and (one.until is None or one.until > max(at, one.since))]


def _check_rows(rows: list[Delegation] | object) -> None:
    held = [one for one in rows if one.until is None or one.until > one.since]  # type: ignore[attr-defined]
    for one, following in pairwise(held):
        if one.agency == following.agency:
            assert one.until is not None
            assert one.until <= following.since
    for one in rows:  # type: ignore[attr-defined]
        assert one.until is None or one.until >= one.since
        assert (one.until is None) == (one.ended_by == "")


def _check_readers(session: Session, rows: object, at: datetime, numbers: list[str]) -> None:
    """The map and what each machine reaches say what the rows say."""
    for moment in (at, at - timedelta(minutes=40), at + timedelta(minutes=40)):
        truth = {
            one.agency: one.centre
            for one in rows  # type: ignore[attr-defined]
            if one.since <= moment and (one.until is None or moment < one.until)
        }
        shown = delegations.map_at(session, AGENCIES, moment)
        assert {one.agency: one.centre.number for one in shown if one.centre} == truth
        for number in numbers:
            assert delegations.watched_by(session, number, moment) == {agency for agency, centre in truth.items() if centre == number}


_actions = st.sampled_from([*sorted(TABLES["centres"]), "call", "judge"])


@DRAWN
@given(tried=st.lists(st.tuples(_actions, st.sampled_from([0, 5, 60, 200, 700]), st.sampled_from([0, 0, 0, 1])), max_size=20))
def test_any_history_of_a_centre_and_its_link(database: Made, tried: list[tuple[str, int, int]]) -> None:
    made, clock = database
    number = fresh(made)[0][1]
    turn = links.judge(CentreSettings())
    state, version = "registered", 1
    last = linked = clock.now()
    for action, seconds, wrong in tried:
        clock.advance(timedelta(seconds=seconds))
        if action in ("call", "judge"):
            with made.session() as session:
                if action == "call":
                    links.seen(session, number)
                    last = clock.now() if state == "active" else last
                else:
                    turn(session)
                _check_link(session, number, state, action, clock.now() - max(last, linked))
            continue
        sources, to, _ = TABLES["centres"][action]
        try:
            with made.session() as session:
                if action == "edit":
                    service.edit(session, "user:kim", number, version + wrong, ABOUT)
                else:
                    service.take(session, "user:kim", number, action, version + wrong, "because")
            assert not wrong
            assert state in sources.split()
            state, version = to or state, version + 1
            linked = clock.now() if action in ("activate", "resume") else linked
        except Conflict:
            assert wrong or state not in sources.split()
    with made.session(readonly=True) as session:
        case = records.find(session, MACHINE, LinkedCentre, None, number)
        assert (case.state, case.version, case.exercise) == (state, version, False)
        events = records.history(session, MACHINE, number)
        assert [one.version for one in events] == list(range(1, version + 1))
        assert all(event.before == before.after for before, event in pairwise(events))
        assert not clocks.of_case(session, records.named(MACHINE, number))
        kept = links.history(session, number, before=None, limit=100)[::-1]
        assert all(one.since <= other.since for one, other in pairwise(kept))
        assert all(one.status != other.status or other.status in ("up", "off") for one, other in pairwise(kept))
        if state in ("suspended", "ended") and kept:
            assert kept[-1].status == "off"


def _check_link(session: Session, number: str, state: str, action: str, silent: timedelta) -> None:
    link = records.find(session, MACHINE, LinkedCentre, None, number).link
    if state != "active":
        assert link in ("", "off")
    elif action == "call":
        assert link == "up"
    elif silent >= timedelta(minutes=10):
        assert link == "down"
    elif silent >= timedelta(minutes=3):
        assert link == "late"
    else:
        assert link in ("", "up")
