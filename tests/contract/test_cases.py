"""What the mechanism of cases promises when several act at once, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.clock import FixedClock
from core.config import WarningSettings
from core.database import Database
from core.duty_settings import DutySettings
from core.errors import Conflict, NotFound
from core.sharing_settings import SharingSettings
from core.signing import Signer
from respond import audit
from respond.cases import records
from respond.cases.models import CaseEvent, Outgoing
from respond.drills import sending
from respond.drills import service as drills
from respond.duties import campaigns, service
from respond.duties import policy as subjects
from respond.duties.machine import Kind
from respond.duties.models import Duty
from respond.feed import entries
from respond.feed.models import FeedEntry
from respond.incidents.compartment import veiled
from respond.incidents.linked import closed_names
from respond.incidents.models import IncidentPerson
from respond.models import Incident
from respond.notify.closed import closed_news
from respond.reports import service as reports
from respond.reports.models import Report, ReportVersion
from respond.requests import service as requests
from respond.requests.machine import MACHINE, Article
from respond.requests.models import Request
from respond.sharing import receipts as receipts_of_shares
from respond.sharing import service as sharing
from respond.sharing.content import Content, Indicator
from respond.sharing.models import Published, Receipt
from respond.sharing.policy import load as load_policy
from respond.warnings import levels, notices
from respond.warnings import service as warnings
from respond.warnings.models import Notice
from respond.warnings.service import National
from tests.drills import small_scenario

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


def test_what_is_about_a_restricted_incident_is_closed_on_both_engines(opened: Database) -> None:
    times = dict.fromkeys(("first_event_at", "last_event_at", "opened_at", "updated_at"), NOW)
    words = {"agency": "seogu", "title": "t", "severity": "high", "state": "new", "group_key": "k", "entity_kind": "", "entity_value": ""}
    counts: dict[str, Any] = {"detections": 1, "evidence_kept": 0, "rule_ids": [], "tags": [], "version": 1, "exercise": False}
    asked = requests.Draft(Article.DATA, "seogu", "", "incident/INC-2026-000001", "t", "p", ("a",), DUE)
    with opened.session() as session:
        session.add(Incident(number="INC-2026-000001", restricted=True, **words, **times, **counts))
        session.flush()
        session.add(IncidentPerson(incident_id=1, part="member", person="user:kim", at=NOW, added_by="user:kim"))
    with pytest.raises(NotFound), opened.session() as session:
        requests.draft(session, None, "user:lee", asked)
    with opened.session() as session:
        number = requests.draft(session, None, "user:kim", asked).number
        assert audit.verify(session).problem == ""
    closed = {"incident/INC-2026-000001", f"request/{number}"}
    with opened.session(readonly=True) as session:
        for reader, hidden in (("user:kim", set()), ("user:lee", closed), ("", closed)):
            assert set(session.scalars(closed_names(reader))) == hidden
            seen = [one.number for one in records.page(session, Request, None, reader=reader).items]
            assert seen == ([] if hidden else [number])
            assert not entries.read(session, None, reader, since=None, cursor="", limit=5).items
            told = session.scalars(sa.select(Outgoing.object).where(closed_news(reader))).all()
            assert told == [], "a draft is no news"
        shown = veiled(session, "user:lee", {"why": ["see INC-2026-000001 and INC-2026-000002", 1], "at": None})
        assert shown == {"why": ["see  and INC-2026-000002", 1], "at": None}
    with pytest.raises(NotFound), opened.session() as session:
        requests.take(session, None, "user:lee", number, "issue", 1, given={"due_at": DUE})


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


def test_a_drill_is_sent_by_one_and_its_notice_acknowledged_once(opened: Database) -> None:
    for _ in range(4):
        with opened.session() as session:
            wanted = drills.Plan(small_scenario(2), ("seogu", "parks"), "")
            number = drills.plan(session, None, "user:kim", ("seogu", "parks"), wanted).number
            drills.give_notice(session, "user:mayor", number, 1, "on Tuesday")

        def acknowledge(agency: str, number: str = number) -> str:
            with opened.session() as session:
                drills.acknowledge(session, frozenset({agency}), f"user:{agency}", number, 2, "")
            return agency

        def claim(holder: str) -> str:
            with opened.session() as session:
                job = sending.claim(session, holder, DAY)
            return job.number if job else ""

        outcome = at_once([lambda: acknowledge("seogu"), lambda: acknowledge("parks")])
        assert sorted(outcome)[0] == "Conflict"
        with opened.session() as session:
            told = {one.agency: one.acknowledged_by for one in drills.parties_of(session, number)}
            drills.start(session, None, "user:kim", number, 3)
        assert {agency for agency, by in told.items() if by} == set(outcome) - {"Conflict"}
        assert sorted(at_once([lambda holder=holder: claim(holder) for holder in "abc"])) == ["", "", number]  # type: ignore[misc]


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


def test_what_is_released_at_once_is_published_once_and_in_order(opened: Database) -> None:
    agencies = {"seogu": ("서구청", ""), "parks": ("공원", "")}
    terms = sharing.Terms(load_policy(SharingSettings()), Signer(Ed25519PrivateKey.generate()), "Centre", agencies, [], lambda _: [])
    content = Content(title="t", summary="s", indicators=(Indicator(type="domain", value="a.example"),))
    with opened.session() as session:
        wanted = sharing.Draft("indicator", "green", content)
        numbers = [sharing.draft(session, None, "user:lee", wanted, terms).number for _ in range(4)]

    def act(number: str, action: str, version: int) -> str:
        with opened.session() as session:
            sharing.take(session, None, "user:lead", number, action, version, terms, reason="r")
        return number

    outcome = at_once([lambda number=number: act(number, "release", 1) for number in numbers * 2])  # type: ignore[misc]
    assert sorted(outcome) == ["Conflict"] * 4 + sorted(numbers)
    with opened.session(readonly=True) as session:
        rows = session.scalars(sa.select(Published).order_by(Published.id)).all()
        assert [one.added_at for one in rows] == sorted({one.added_at for one in rows})
        given = [(one.recipient, one.share) for one in rows if one.object_type == "report"]
        assert sorted(given) == sorted((agency, number) for agency in ("", *agencies) for number in numbers)
        receipts = [(one.number, one.share) for one in session.scalars(sa.select(Receipt))]

    def reply(number: str) -> str:
        with opened.session() as session:
            receipts_of_shares.take(session, None, "user:kim", number, "reply", 1, done=receipts_of_shares.Done.TAKEN)
        return number

    replies = [lambda number=number: reply(number) for number, share in receipts if share == numbers[0]]  # type: ignore[misc]
    told = at_once([lambda: act(numbers[0], "revoke", 2), lambda: act(numbers[1], "revoke", 2), *replies])
    assert told[:2] == numbers[:2]
    with opened.session(readonly=True) as session:
        states = session.scalars(sa.select(Receipt.state).where(Receipt.share.in_(numbers[:2]))).all()
        assert set(states) == {"recalled"}
        assert audit.verify(session).problem == ""


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


def test_of_two_who_start_a_campaign_each_agency_has_one_duty(opened: Database) -> None:
    rules, known = subjects.load(DutySettings()), [f"agency-{n}" for n in range(8)]
    with opened.session() as session:
        number = campaigns.plan(session, "user:lead", rules, known, campaigns.Planned(Kind.INSPECTION, 2026, "t")).number

    def start() -> str:
        with opened.session() as session:
            return campaigns.start(session, "user:lead", number, 1, rules, known).state

    assert sorted(at_once([start, start])) == ["Conflict", "running"]
    with opened.session(readonly=True) as session:
        assert sorted(session.scalars(sa.select(Duty.agency))) == known


def test_calling_a_campaign_off_while_its_duties_are_worked_on_waits_for_nobody_for_ever(opened: Database) -> None:
    rules, known = subjects.load(DutySettings()), [f"agency-{n}" for n in range(8)]
    with opened.session() as session:
        number = campaigns.plan(session, "user:lead", rules, known, campaigns.Planned(Kind.INSPECTION, 2026, "t")).number
        campaigns.start(session, "user:lead", number, 1, rules, known)

    def cancel() -> str:
        with opened.session() as session:
            return campaigns.cancel(session, "user:lead", number, 2, "reorganised").state

    def inspect(duty: int) -> str:
        with opened.session() as session:
            return service.inspect(session, None, "user:lee", f"DTY-2026-{duty:06d}", 1, "r").state

    outcome = at_once([*(lambda duty=duty: inspect(duty) for duty in range(8, 0, -1)), cancel])  # type: ignore[misc]
    with opened.session(readonly=True) as session:
        states = set(session.scalars(sa.select(Duty.state)))
        assert audit.verify(session).problem == ""
    assert outcome[-1] == "cancelled"
    assert states == {"waived"}


def test_what_reports_say_of_personal_data_is_a_condition(opened: Database) -> None:
    with opened.session() as session:
        for word in ("yes", "no", "unknown"):
            reports.draft(session, None, "user:lee", reports.Draft(agency="seogu", given={**FACTS, "personal_data": word}), DAY)
        made = session.scalars(sa.select(Report.number).order_by(Report.id)).all()
        assert session.scalars(sa.select(Report.number).where(reports.personal())).all() == [made[-3]]


def test_a_warning_ends_while_agencies_acknowledge_and_nobody_waits_for_ever(opened: Database) -> None:
    table, known = levels.load(WarningSettings()), [f"agency-{n}" for n in range(8)]
    notice = National("NCSC", "2026-1", "caution", "t", "", (), NOW, None)
    with opened.session() as session:
        number = warnings.record(session, "user:lead", table, known, notice).number
        warnings.propagate(session, "user:lead", number, 1, table, known)

    def lift() -> str:
        with opened.session() as session:
            return warnings.lift(session, "user:lead", number, 2, "lifted").state

    def acknowledge(place: int) -> str:
        with opened.session() as session:
            return notices.take(session, None, "user:lee", f"WNT-2026-{place:06d}", "acknowledge", 1).state

    outcome = at_once([*(lambda place=place: acknowledge(place) for place in range(8, 0, -1)), lift])  # type: ignore[misc]
    with opened.session(readonly=True) as session:
        states = set(session.scalars(sa.select(Notice.state)))
        assert audit.verify(session).problem == ""
    assert outcome[-1] == "lifted"
    assert states == {"released"}
    assert set(outcome[:-1]) <= {"acknowledged", "Conflict"}
