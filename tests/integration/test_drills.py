"""Drills on the service level: histories nobody planned, the score by hand, and how lines are sent, broken off and taken up again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core.clock import FixedClock, SystemClock
from core.database import Database
from core.errors import Conflict, DomainError, Forbidden, Invalid
from core.exercise import MARK, read
from respond.cases import records
from respond.cases.models import CaseClock, CaseEvent, Outgoing
from respond.drills import scoring, sending, service
from respond.drills.links import Access
from respond.drills.machine import MACHINE, Sending
from respond.drills.models import Drill
from respond.drills.runner import DrillRunner
from respond.drills.scenario import Scenario
from respond.drills.service import Plan
from respond.models import Incident
from respond.reports.content import BLANK
from respond.reports.models import Report
from respond.requests.models import Request
from tests.case_tables import TABLES
from tests.drills import SIGNER, small_scenario

START = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)
KNOWN = {"seogu", "parks"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("drills") / "bongsu.db"
    database = Database(f"sqlite:///{file}", FixedClock(START))
    database.migrate()
    return file


@contextmanager
def a_copy(file: Path, clock: FixedClock | SystemClock) -> Iterator[Database]:
    with TemporaryDirectory() as folder:
        shutil.copy(file, folder)
        database = Database(f"sqlite:///{folder}/{file.name}", clock)
        database.start()
        yield database
        database.close()


def plan(session: Session, *agencies: str, joint: bool = False) -> Drill:
    scenario = small_scenario(max(1, len(agencies)))
    return service.plan(session, None, "a", KNOWN, Plan(scenario, agencies or ("seogu",), "", joint))


# ---- histories ----

Act = Callable[[Session, Drill, str], object]
ACTS: dict[str, Act] = {
    "give_notice": lambda s, c, r: service.give_notice(s, "a", c.number, c.version, r),
    "waive_notice": lambda s, c, r: service.waive_notice(s, "a", c.number, c.version, r),
    "acknowledge": lambda s, c, r: service.acknowledge(s, frozenset({"seogu"} if r else {"parks"}), "a", c.number, c.version, ""),
    "start": lambda s, c, r: service.start(s, None, "a", c.number, c.version),
    "stop": lambda s, c, r: service.stop(s, None, "a", c.number, c.version, r),
    "score": lambda s, c, r: service.score(s, None, "a", c.number, c.version),
    "ask_correction": lambda s, c, r: service.ask_correction(s, None, "a", c.number, c.version, {"seogu": [r]} if r else {}),
    "close": lambda s, c, r: service.close(s, None, "a", c.number, c.version, r),
    "cancel": lambda s, c, r: service.cancel(s, None, "a", c.number, c.version, r),
    "send": lambda s, c, r: send_all(s),
}
HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from([*ACTS, "start", "send", "score"]),
        st.sampled_from(["because", "because", ""]),
        st.integers(0, 3),
    ),
    min_size=5,
    max_size=30,
)


def send_all(session: Session) -> None:
    """What a runner does with a drill that waits, at once."""
    if job := sending.claim(session, "h", timedelta(minutes=10)):
        done = sending.Progress()
        done.add_all([shot.place for shot in job.timeline.shots], session.scalar(sa.select(sa.func.max(CaseEvent.at))) or START)
        sending.write_down(session, job, done)
        sending.end(session, job, Sending.DONE)


def check(session: Session, drill: Drill, at: datetime) -> None:
    """The invariants of a drill."""
    steps = [one for one in records.history(session, MACHINE, drill.number) if one.action != "sent"]
    assert [one.version for one in steps] == list(range(1, drill.version + 1))
    state, noticed, when = "planned", False, steps[0].at
    for one in steps[1:]:
        sources, to, _ = TABLES["drills"][one.action]
        assert one.before == state
        assert state in sources.split()
        assert one.after == (to or state)
        assert when <= one.at <= at
        noticed = noticed or one.action in ("give_notice", "waive_notice")
        assert one.action != "start" or noticed or not drill.joint, "joint training never begins before its notice"
        state, when = one.after, one.at
    assert drill.state == state
    assert drill.exercise
    assert bool(drill.score) == (state in ("scored", "corrective_requested", "closed"))
    assert (drill.started_at is not None) == (state in ("running", "scored", "corrective_requested", "closed"))
    assert sum(one.sent for one in service.parties_of(session, drill.number)) == drill.sent


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(HISTORIES)
def test_any_history(empty: Path, history: list[tuple[int, str, str, int]]) -> None:
    clock = FixedClock(START)
    with a_copy(empty, clock) as database:
        with database.session() as session:
            numbers = [plan(session, "seogu").number, plan(session, "seogu", "parks").number]
        for which, action, reason, minutes in history:
            clock.advance(timedelta(minutes=minutes))
            with database.session(readonly=True) as session:
                case = records.find(session, MACHINE, Drill, None, numbers[which])
                news = session.scalar(sa.select(sa.func.max(Outgoing.id)))
            try:
                with database.session() as session:
                    ACTS[action](session, case, reason)
            except DomainError:
                with database.session(readonly=True) as session:
                    assert records.find(session, MACHINE, Drill, None, numbers[which]).version == case.version
                    assert session.scalar(sa.select(sa.func.max(Outgoing.id))) == news
        with database.session(readonly=True) as session:
            for drill in session.scalars(sa.select(Drill)).all():
                check(session, drill, clock.now())
            assert session.scalars(sa.select(CaseClock)).all() == []
            assert all(one.exercise for one in session.scalars(sa.select(Outgoing).where(Outgoing.kind.startswith("drill."))))
            assert {one.about for one in session.scalars(sa.select(Request))} <= {f"drill/{numbers[1]}"}


# ---- what may be planned, and by whom ----


def test_an_agency_plans_its_own_and_reads_what_it_takes_part_in(empty: Path) -> None:
    own = frozenset({"seogu"})
    with a_copy(empty, FixedClock(START)) as database, database.session() as session:
        mine = service.plan(session, own, "user:o", KNOWN, Plan(small_scenario(), ("seogu",), ""))
        for wanted in (Plan(small_scenario(), ("parks",), ""), Plan(small_scenario(), ("seogu",), "", joint=True)):
            with pytest.raises(Forbidden):
                service.plan(session, own, "user:o", KNOWN, wanted)
        for agencies in ((), ("seogu", "seogu"), ("nowhere",)):
            with pytest.raises(Invalid):
                service.plan(session, None, "a", KNOWN, Plan(small_scenario(), agencies, ""))
        theirs, joint = plan(session, "parks"), plan(session, "parks", "seogu")
        seen = session.scalars(sa.select(Drill.number).where(service.readable(own))).all()
        assert set(seen) == {mine.number, joint.number}
        assert theirs.number not in seen
        with pytest.raises(DomainError):
            service.start(session, own, "user:o", joint.number, 1)


# ---- the score ----


def incident(session: Session, n: int, agency: str, after: float, drill: str, rule: str = "rule-scan", **more: Any) -> str:
    at = START + timedelta(seconds=after)
    times = dict.fromkeys(("first_event_at", "last_event_at", "opened_at", "updated_at"), at)
    words = {
        "agency": agency,
        "title": "t",
        "severity": "high",
        "state": "new",
        "group_key": f"k{n}",
        "drill": drill,
        "exercise": bool(drill),
    }
    counts = {"detections": 1, "evidence_kept": 0, "rule_ids": [rule], "tags": [], "version": 1}
    number = f"INC-2026-{n:06d}"
    session.add(Incident(**words, **times, **counts, number=number, entity_kind="", entity_value="", **more))
    session.flush()
    return number


def happened(session: Session, number: str, action: str, after: float) -> None:
    at = START + timedelta(seconds=after)
    told = {"before": "new", "after": "triaged", "version": 2, "reason": "", "data": {}}
    session.add(CaseEvent(object=f"incident/{number}", at=at, actor="user:kim", action=action, **told))


def reported(session: Session, n: int, number: str, agency: str, after: float | None) -> None:
    at = None if after is None else START + timedelta(seconds=after)
    common = {
        "number": f"RPT-2026-{n:06d}",
        "agency": agency,
        "state": "draft" if at is None else "submitted",
        "version": 1,
        "exercise": True,
    }
    times = {"created_at": START, "updated_at": START, "submitted_at": at, "received_at": None}
    rest = {"created_by": "a", "versions": 1, "receipt": "", "late_seconds": 0, "late_reason": "", "content": BLANK}
    session.add(Report(**common, **times, **rest, about=f"incident/{number}"))


def test_the_score_by_hand(empty: Path) -> None:
    clock = FixedClock(START)
    with a_copy(empty, clock) as database:
        with database.session() as session:
            drill = plan(session, "seogu", "parks")
            service.waive_notice(session, "a", drill.number, 1, "a surprise")
            service.start(session, None, "a", drill.number, 2)
            send_all(session)
            first = incident(session, 1, "seogu", 20, drill.number)
            second = incident(session, 2, "seogu", 10, drill.number, rule="another")
            incident(session, 3, "parks", 90, drill.number)
            real = incident(session, 4, "parks", 5, "")
            happened(session, second, "triage", 40)
            happened(session, first, "dismiss", 30)
            happened(session, real, "triage", 6)
            reported(session, 1, first, "seogu", 100.5)
            reported(session, 2, second, "seogu", None)
            reported(session, 3, real, "parks", 7)
        with database.session() as session, pytest.raises(Invalid):
            service.stop(session, None, "a", drill.number, 3, "why not")
        clock.advance(timedelta(seconds=200))
        with database.session() as session:
            scored = service.score(session, None, "a", drill.number, 3).score
            known = scoring.facts(session, drill.number)
            again = scoring.score(drill, small_scenario(2), service.parties_of(session, drill.number), known, clock.now())
    assert (scored["lines"], scored["sent"], scored["expected"], scored["found"], scored["in_time"]) == (6, 6, 2, 2, 1)
    seogu, parks = scored["agencies"]
    assert (seogu["detect_seconds"], seogu["triage_seconds"], seogu["report_seconds"]) == (10, 30, 100.5)
    assert (parks["detect_seconds"], parks["triage_seconds"], parks["report_seconds"]) == (90, None, None)
    assert [(one["incident"], one["seconds"], one["in_time"]) for one in seogu["finds"]] == [(first, 20, True)]
    assert [(one["seconds"], one["in_time"]) for one in parks["finds"]] == [(90, False)]
    assert {**again, "sending": "done"} == scored
    assert [one["agency"] for one in scoring.limited(scored, frozenset({"parks"}))["agencies"]] == ["parks"]


def test_nobody_is_scored_before_the_time_is_up(empty: Path) -> None:
    clock = FixedClock(START)
    with a_copy(empty, clock) as database:
        with database.session() as session:
            drill = plan(session)
            service.start(session, None, "a", drill.number, 1)
        with database.session() as session, pytest.raises(Conflict, match="being sent"):
            service.score(session, None, "a", drill.number, 2)
        with database.session() as session:
            send_all(session)
        with database.session() as session, pytest.raises(Conflict, match="there is time until 2026-05-01T03:01:00"):
            service.score(session, None, "a", drill.number, 2)
        with database.session() as session:
            incident(session, 1, "seogu", 3, drill.number)
            assert service.score(session, None, "a", drill.number, 2).score["found"] == 1


# ---- sending ----


class Listener:
    """A TCP listener that keeps what each connection said."""

    def __init__(self) -> None:
        self.said: list[bytearray] = []
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = bytearray()
        self.said.append(mine)
        while data := await reader.read(65536):
            mine += data
        writer.close()

    @property
    def lines(self) -> list[str]:
        return sorted(line for one in self.said for line in one.decode().splitlines() if not line.startswith(MARK))


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.take, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


@asynccontextmanager
async def running(database: Database, port: int, resume: timedelta = timedelta(minutes=10)) -> AsyncIterator[None]:
    access = Access(lambda: ("127.0.0.1", port), SIGNER, None, SystemClock())
    task = asyncio.create_task(DrillRunner(database, access, resume).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(database: Database, number: str, *wanted: str) -> Drill:
    async with asyncio.timeout(60):
        while True:
            with database.session(readonly=True) as session:
                drill = records.find(session, MACHINE, Drill, None, number)
            if drill.sending in wanted:
                return drill
            await asyncio.sleep(0.05)


def started(database: Database, *agencies: str) -> str:
    with database.session() as session:
        drill = plan(session, *agencies)
        if drill.joint:
            service.waive_notice(session, "a", drill.number, 1, "a surprise")
        service.start(session, None, "a", drill.number, drill.version)
    return drill.number


async def test_each_source_has_a_connection_that_begins_with_a_ticket(empty: Path) -> None:
    with a_copy(empty, SystemClock()) as database:
        number = started(database, "seogu", "parks")
        async with listening() as listener, running(database, listener.port), running(database, listener.port):
            drill = await until(database, number, "done")
            async with asyncio.timeout(10):
                while len(listener.lines) < 6:  # noqa: ASYNC110 - a socket's other end
                    await asyncio.sleep(0.02)
        with database.session(readonly=True) as session:
            parties = service.parties_of(session, number)
    assert (drill.sent, [one.sent for one in parties], drill.problem) == (6, [3, 3], "")
    assert all(one.first_sent_at and one.last_sent_at and one.first_sent_at <= one.last_sent_at for one in parties)
    tickets = [read(SIGNER, one.decode().splitlines()[0]) for one in listener.said]
    assert sorted((one.drill, one.agency, one.source) for one in tickets) == [(number, "parks", "fw"), (number, "seogu", "fw")]
    assert sorted(line.rsplit(" ", 1)[1] for line in listener.lines) == sorted(["1", "2", "3"] * 2)


async def test_a_drill_whose_listener_is_away_is_broken_off(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("respond.drills.runner._PAUSE", 0.01)
    with a_copy(empty, SystemClock()) as database:
        number = started(database)
        async with listening() as gone:
            port = gone.port
        async with running(database, port):
            drill = await until(database, number, "broken")
        assert "the listener cannot be reached" in drill.problem
        with database.session() as session:
            assert service.score(session, None, "a", number, drill.version).score["sent"] == 0


def test_who_is_gone_is_followed_and_who_is_gone_too_long_is_not(empty: Path) -> None:
    clock, ten = FixedClock(START), timedelta(minutes=10)
    with a_copy(empty, clock) as database:
        number = started(database)
        with database.session() as session:
            first = sending.claim(session, "first", ten)
            assert first is not None
            done = sending.Progress()
            done.add_all([0, 0], START)
            assert sending.write_down(session, first, done)
            assert sending.claim(session, "second", ten) is None
        clock.advance(sending.LEASE + timedelta(seconds=1))
        with database.session() as session:
            second = sending.claim(session, "second", ten)
            assert second is not None
            assert second.sent == 2
            assert not sending.write_down(session, first, done), "it is no longer the first one's"
        clock.advance(sending.LEASE + ten + timedelta(seconds=1))
        with database.session() as session:
            assert sending.claim(session, "third", ten) is None
        with database.session(readonly=True) as session:
            drill = records.find(session, MACHINE, Drill, None, number)
            assert (drill.sending, drill.sent) == ("broken", 2)
            assert "interrupted" in drill.problem


async def test_a_runner_that_ends_is_followed_and_no_line_is_left_out(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("respond.drills.sending.LEASE", timedelta(seconds=3))
    monkeypatch.setattr("respond.drills.runner._RECORDS_EVERY", 0.1)
    told = small_scenario().model_dump(mode="json")
    told["roles"][0]["lines"][0] |= {"repeat": 60, "every": 0.05}
    with a_copy(empty, SystemClock()) as database:
        with database.session() as session:
            drill = service.plan(session, None, "a", KNOWN, Plan(Scenario.model_validate(told), ("seogu",), ""))
            service.start(session, None, "a", drill.number, 1)
        async with listening() as listener:
            async with running(database, listener.port), asyncio.timeout(60):
                while len(listener.lines) < 10:  # noqa: ASYNC110 - a socket's other end
                    await asyncio.sleep(0.02)
            with database.session(readonly=True) as session:
                cut = records.find(session, MACHINE, Drill, None, drill.number)
                assert (cut.sending, cut.sent < 60) == ("sending", True)
            async with running(database, listener.port):
                done = await until(database, drill.number, "done")
            async with asyncio.timeout(10):
                while len(listener.lines) < 60:  # noqa: ASYNC110 - a socket's other end
                    await asyncio.sleep(0.02)
    assert done.sent == 60
    assert {int(line.rsplit(" ", 1)[1]) for line in listener.lines} == set(range(1, 61))
    assert len(listener.said) == 2, "each runner has a connection with a ticket of its own"


async def test_what_is_stopped_is_sent_no_further(empty: Path) -> None:
    with a_copy(empty, SystemClock()) as database:
        told = small_scenario().model_dump(mode="json")
        told["roles"][0]["lines"][0] |= {"repeat": 100, "every": 5}
        long = Scenario.model_validate(told)
        with database.session() as session:
            drill = service.plan(session, None, "a", KNOWN, Plan(long, ("seogu",), ""))
            service.start(session, None, "a", drill.number, 1)
        async with listening() as listener, running(database, listener.port):
            async with asyncio.timeout(30):
                while not listener.lines:  # noqa: ASYNC110 - a socket's other end
                    await asyncio.sleep(0.02)
            with database.session() as session:
                service.stop(session, None, "a", drill.number, 2, "enough")
        stopped = await until(database, drill.number, "stopped")
        assert stopped.sent < 100
        assert stopped.state == "running"
