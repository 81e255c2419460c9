"""Random histories of reports and investigations: whatever is tried in whatever order, the table and the invariants hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core.clock import FixedClock
from core.database import Database
from core.errors import Conflict, Invalid
from respond.cases import clocks, records
from respond.cases.canonical import sha256
from respond.cases.models import CaseColumns
from respond.feed.models import FeedEntry
from respond.investigations import service as investigations
from respond.investigations.machine import MACHINE as INVESTIGATION
from respond.investigations.models import Investigation
from respond.investigations.service import Handling
from respond.reports import service as reports
from respond.reports.machine import MACHINE as REPORT
from respond.reports.models import Report
from tests.case_tables import TABLES

START = datetime(2026, 5, 1, tzinfo=UTC)
TARGET = timedelta(hours=24)
FULL = {"system": "s", "summary": "t", "cause": "c", "impact": "i", "actions": "a"}
CONTENTS: list[dict[str, Any]] = [{}, {"cause": "x"}, {"system": ""}, {"learned_at": None}, FULL]
DRAWN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, FixedClock]]:
    clock = FixedClock(START)
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('cases')}/cases.db", clock)
    made.migrate()
    made.start()
    yield made, clock
    made.close()


def moves(path: str) -> st.SearchStrategy[list[tuple[str, int, int, int]]]:
    """Steps that are tried: which, what comes with it, how many minutes pass before, and how wrong the version is."""
    action, what = st.sampled_from(sorted(TABLES[path])), st.integers(0, len(CONTENTS) - 1)
    return st.lists(st.tuples(action, what, st.sampled_from([0, 1, 90, 2000]), st.sampled_from([0, 0, 0, 1])), max_size=14)


def check_history(session: Session, path: str, case: CaseColumns, machine: Any) -> None:
    """No state skipped, no version lost, no clock negative, no statutory clock of an exercise."""
    sources = {action: set(words.split()) for action, (words, _, _) in TABLES[path].items()}
    targets = {action: to for action, (_, to, _) in TABLES[path].items()}
    events = records.history(session, machine, case.number)
    assert [one.version for one in events] == list(range(1, case.version + 1))
    assert (events[0].action, events[0].before, events[-1].after) == ("open", "", case.state)
    for before, event in pairwise(events):
        assert event.before == before.after
        assert event.before in sources[event.action]
        assert event.after == (targets[event.action] or event.before)
        assert event.at >= before.at
    for clock in clocks.of_case(session, records.named(machine, case.number)):
        assert clock.due_at is None or clock.due_at >= clock.started_at
        assert clock.stopped_at is None or clock.stopped_at >= clock.started_at
        assert clocks.overdue(clock, case.updated_at) >= timedelta(0)
        assert clock.basis in ("target", "set")
        assert not (case.state in machine.ended and clock.stopped_at is None)


@DRAWN
@given(tried=moves("reports"), exercise=st.booleans(), target=st.sampled_from([TARGET, None]))
def test_any_history_of_a_report(
    database: tuple[Database, FixedClock], tried: list[tuple[str, int, int, int]], exercise: bool, target: timedelta | None
) -> None:
    made, clock = database
    with made.session() as session:
        first = reports.Draft(agency="seogu", exercise=exercise, given={**FULL, "learned_at": clock.now()})
        number = reports.draft(session, None, "user:lee", first, target).number
    state, version, kept, late = "draft", 1, list[tuple[int, str]](), 0
    for action, what, minutes, wrong in tried:
        clock.advance(timedelta(minutes=minutes))
        wish = reports.Given(content=CONTENTS[what], questions=["q"] if what else [], due_at=clock.now() + TARGET)
        words, to, _ = TABLES["reports"][action]
        reason = "because" if what % 2 else ""
        try:
            with made.session() as session:
                reports.take(session, None, "user:kim", number, action, version + wrong, target=target, reason=reason, given=wish)
            assert not wrong
            assert state in words.split()
            state, version = to or state, version + 1
        except Conflict:
            assert wrong or state not in words.split()
        except Invalid:
            assert action in ("submit", "submit_followup", "submit_closing", "request_followup")
        with made.session(readonly=True) as session:
            case = records.find(session, REPORT, Report, None, number)
            now_kept = [(one.number, one.content) for one in reports.versions(session, case)]
            assert (case.state, case.version, case.versions) == (state, version, len(now_kept))
            assert now_kept[: len(kept)] == kept
            assert all(one.sha256 == sha256(one.content) for one in reports.versions(session, case))
            assert case.late_seconds >= late
            assert bool(case.late_reason) == bool(case.late_seconds)
            kept, late = now_kept, case.late_seconds
    with made.session(readonly=True) as session:
        case = records.find(session, REPORT, Report, None, number)
        check_history(session, "reports", case, REPORT)
        assert [one for one, _ in kept] == list(range(1, len(kept) + 1))
        published = session.scalars(sa.select(FeedEntry.version).where(FeedEntry.report == number).order_by(FeedEntry.seq)).all()
        assert list(published) == ([] if exercise or not case.receipt else [one for one, _ in kept])


@DRAWN
@given(tried=moves("investigations"), exercise=st.booleans())
def test_any_history_of_an_investigation(
    database: tuple[Database, FixedClock], tried: list[tuple[str, int, int, int]], exercise: bool
) -> None:
    made, clock = database
    findings: list[dict[str, Any]] = [{}, {"cause": "c"}, {"damage": "d"}, {"timeline": [{"at": "x", "what": "y"}]}]
    findings.append({"perpetrator": "p", "cause": "c", "damage": "d", "timeline": [{"at": "x", "what": "y"}]})
    row = Investigation(agency="seogu", exercise=exercise, about="incident/x", findings={}, versions=0, evidence=0)
    with made.session() as session:
        number = records.open_case(session, INVESTIGATION, row, "user:lee", {}).number
    state, version = "open", 1
    for action, what, minutes, wrong in tried:
        clock.advance(timedelta(minutes=minutes))
        handling = Handling("Kim", "room 1", str(what % 2) * 64, clock.now() - timedelta(minutes=what), item=what, description="disk")
        words, to, _ = TABLES["investigations"][action]
        try:
            with made.session() as session:
                investigations.take(
                    *(session, None, "user:kim", number, action, version + wrong),
                    reason="because",
                    findings=findings[what],
                    handling=handling,
                )
            assert not wrong
            assert state in words.split()
            state, version = to or state, version + 1
        except Conflict:
            assert wrong or state not in words.split()
        except Invalid:
            assert action in ("hand_over", "conclude")
    with made.session(readonly=True) as session:
        case = records.find(session, INVESTIGATION, Investigation, None, number)
        assert (case.state, case.version) == (state, version)
        check_history(session, "investigations", case, INVESTIGATION)
        chain = investigations.custody(session, case)
        assert investigations.broken_link(number, chain) == 0
        assert case.evidence == len({link.item for link in chain}) == sum(link.event == "taken" for link in chain)
        for item in range(1, case.evidence + 1):
            links = [link for link in chain if link.item == item]
            assert [link.at for link in links] == sorted(link.at for link in links)
            assert all(link.intact == (link.evidence_sha256 == links[0].evidence_sha256) for link in links)
        assert [one.number for one in investigations.versions(session, case)] == list(range(1, case.versions + 1))
        if case.state == "concluded":
            assert all(case.findings.values())
