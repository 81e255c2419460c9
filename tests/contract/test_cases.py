"""What the mechanism of cases promises when several act at once, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from core.database import Database
from core.errors import Conflict
from respond import audit
from respond.cases import records
from respond.cases.models import CaseEvent, Outgoing
from respond.feed.models import FeedEntry
from respond.reports import service as reports
from respond.reports.models import Report, ReportVersion
from respond.requests import service as requests
from respond.requests.machine import MACHINE, Article
from respond.requests.models import Request

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, UTC)
DUE = NOW + timedelta(days=3)
FACTS = {"learned_at": NOW, "system": "Portal", "summary": "s"}
DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated, started database of each engine."""
    url = f"sqlite:///{tmp_path}/cases.db" if request.param == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    made = Database(url, FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


def at_once(acts: Sequence[Callable[[], str]]) -> list[str]:
    """What each of several gave when all began at the same moment; 'Conflict' for one that was refused so."""
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], str]) -> str:
        ready.wait()
        try:
            return act()
        except Conflict:
            return "Conflict"

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def a_request(database: Database) -> str:
    asked = requests.Draft(Article.DATA, "seogu", "", "", "t", "p", ("a",), DUE)
    with database.session() as session:
        return requests.draft(session, None, "user:kim", asked).number


def a_report(database: Database, *, submitted: bool) -> str:
    with database.session() as session:
        number = reports.draft(session, None, "user:lee", reports.Draft(agency="seogu", given=FACTS), DAY).number
        if submitted:
            reports.take(session, None, "user:lee", number, "submit", 1, target=DAY)
    return number


def steps(database: Database, number: str, action: str, version: int, people: int = 2) -> list[Callable[[], str]]:
    def act(who: int) -> str:
        with database.session() as session:
            requests.take(session, None, f"user:{who}", number, action, version)
        return f"user:{who}"

    return [lambda who=who: act(who) for who in range(people)]  # type: ignore[misc]


def test_of_two_who_take_the_same_step_one_wins(opened: Database) -> None:
    for _ in range(8):
        number = a_request(opened)
        outcome = at_once(steps(opened, number, "issue", 1))
        assert sorted(outcome)[0] == "Conflict"
        (winner,) = set(outcome) - {"Conflict"}
        with opened.session(readonly=True) as session:
            case = session.scalars(sa.select(Request).where(Request.number == number)).one()
            assert (case.state, case.version) == ("issued", 2)
            name = records.named(MACHINE, number)
            told = session.scalars(sa.select(CaseEvent).where(CaseEvent.object == name).order_by(CaseEvent.id)).all()
            assert [(one.action, one.actor) for one in told] == [("open", "user:kim"), ("issue", winner)]
            assert session.scalar(sa.select(sa.func.count()).select_from(Outgoing).where(Outgoing.object == name)) == 1


def test_of_two_who_take_different_steps_one_wins(opened: Database) -> None:
    for _ in range(4):
        number = a_request(opened)
        with opened.session() as session:
            requests.take(session, None, "user:kim", number, "issue", 1)
            requests.take(session, None, "user:kim", number, "receive", 2)
        comply, other = steps(opened, number, "comply", 3)[0], steps(opened, number, "receive", 3)[0]
        assert at_once([comply, comply, other, other]).count("Conflict") == 3
        with opened.session(readonly=True) as session:
            case = session.scalars(sa.select(Request).where(Request.number == number)).one()
            assert (case.state, case.version) == ("complied", 4)


def test_numbers_have_no_gap_and_none_is_given_twice(opened: Database) -> None:
    def open_some(kind: int) -> str:
        for n in range(6):
            if n == 3:
                with pytest.raises(ZeroDivisionError), opened.session() as session:  # noqa: PT012 - the session must be rolled back
                    reports.draft(session, None, "user:lee", reports.Draft(agency="seogu"), DAY)
                    raise ZeroDivisionError
            if kind % 2:
                a_request(opened)
            else:
                a_report(opened, submitted=False)
        return ""

    at_once([lambda kind=kind: open_some(kind) for kind in range(6)])  # type: ignore[misc]
    with opened.session(readonly=True) as session:
        for model, prefix in ((Request, "REQ"), (Report, "RPT")):
            numbers = session.scalars(sa.select(model.number)).all()
            assert sorted(numbers) == [f"{prefix}-2026-{n:06d}" for n in range(1, 19)]
        assert audit.verify(session).problem == ""


def test_of_two_who_submit_one_writes_the_version(opened: Database) -> None:
    number = a_report(opened, submitted=False)

    def submit(summary: str) -> str:
        with opened.session() as session:
            reports.take(session, None, "user:lee", number, "submit", 1, target=DAY, given=reports.Given(content={"summary": summary}))
        return summary

    outcome = at_once([lambda: submit("one"), lambda: submit("two")])
    (winner,) = set(outcome) - {"Conflict"}
    with opened.session(readonly=True) as session:
        (version,) = session.scalars(sa.select(ReportVersion)).all()
        assert (version.number, f'"summary":"{winner}"' in version.content) == (1, True)


def test_the_feed_has_an_order_whoever_receives_at_once(opened: Database) -> None:
    numbers = [a_report(opened, submitted=True) for _ in range(12)]

    def receive(number: str) -> str:
        with opened.session() as session:
            return reports.take(session, None, "user:lead", number, "receive", 2, target=DAY).receipt

    receipts = at_once([lambda number=number: receive(number) for number in numbers])  # type: ignore[misc]
    assert sorted(receipts) == [f"RCP-2026-{n:06d}" for n in range(1, 13)]
    with opened.session(readonly=True) as session:
        entries = session.scalars(sa.select(FeedEntry).order_by(FeedEntry.seq)).all()
        assert [one.seq for one in entries] == list(range(1, 13))
        assert {one.report for one in entries} == set(numbers)


def test_what_reports_say_of_personal_data_is_a_condition(opened: Database) -> None:
    with opened.session() as session:
        for word in ("yes", "no", "unknown"):
            reports.draft(session, None, "user:lee", reports.Draft(agency="seogu", given={**FACTS, "personal_data": word}), DAY)
        made = session.scalars(sa.select(Report.number).order_by(Report.id)).all()
        assert session.scalars(sa.select(Report.number).where(reports.personal())).all() == [made[-3]]
