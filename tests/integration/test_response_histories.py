"""Random histories of warnings, readiness and teams: whatever people try in whatever order, the machines hold.

No state is skipped, no version lost, no clock goes backwards, a refused act changes nothing, and an exercise starts no statutory clock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core.clock import FixedClock
from core.config import ReadinessSettings, TeamSettings, WarningSettings
from core.database import Database
from core.errors import DomainError
from core.level_effects import CALM, LevelEffect
from respond.cases import clocks, records
from respond.cases.models import CaseColumns, Outgoing
from respond.checklists import Proof
from respond.models import Incident
from respond.readiness import policy
from respond.readiness import service as readiness
from respond.readiness.judge import judge
from respond.readiness.machine import MACHINE as READINESS
from respond.readiness.models import Proposal
from respond.teams import composition, roster
from respond.teams import service as teams
from respond.teams.machine import MACHINE as TEAM
from respond.teams.machine import MEMBER
from respond.teams.models import Member, Team
from respond.warnings import effects, levels, notices
from respond.warnings import service as warnings
from respond.warnings.machine import MACHINE as WARNING
from respond.warnings.machine import NOTICE
from respond.warnings.models import Notice
from respond.warnings.models import Warning as NationalWarning
from tests.case_tables import TABLES

START = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)
TABLE = levels.load(WarningSettings())
RULES = policy.load(ReadinessSettings())
ROLES = composition.load(TeamSettings())
KNOWN = {"seogu", "parks"}
PATHS = {"warnings": WARNING, "warning-notices": NOTICE, "readiness": READINESS, "teams": TEAM, "team-members": MEMBER}
MODELS: dict[str, type[CaseColumns]] = {
    "warnings": NationalWarning,
    "warning-notices": Notice,
    "readiness": Proposal,
    "teams": Team,
    "team-members": Member,
}
LEADER = roster.Person("leader", "n", "parks")

Act = Callable[[Session, CaseColumns, str], object]
"""Does something to a case; the text is a reason, or ''."""


def national(reason: str, level: str) -> warnings.National:
    ends = START + timedelta(hours=5) if reason else None
    return warnings.National("NCSC", f"{level}{reason}", level, "t", "", (), START, ends)


WARNING_ACTS: dict[str, Act] = {
    "edit": lambda s, c, r: warnings.edit(s, "a", c.number, c.version, TABLE, KNOWN, national(r, "alert")),
    "propagate": lambda s, c, r: warnings.propagate(s, "a", c.number, c.version, TABLE, KNOWN),
    "prove": lambda s, c, r: warnings.prove(s, "a", c.number, c.version, Proof("read_notice", r)),
    "complete": lambda s, c, r: warnings.complete(s, "a", c.number, c.version, r),
    "report": lambda s, c, r: warnings.report(s, "a", c.number, c.version, r, TABLE),
    "change_level": lambda s, c, r: warnings.change_level(s, "a", c.number, c.version, r, TABLE, KNOWN, national(r, "serious")),
    "lift": lambda s, c, r: warnings.lift(s, "a", c.number, c.version, r),
    "expire": lambda s, c, r: warnings.expire_due(s),
}
NOTICE_ACTS: dict[str, Act] = {
    action: lambda s, c, r, action=action: notices.take(  # type: ignore[misc]
        s, None, "a", c.number, action, c.version, reason=r, proof=Proof("tell_staff", r) if action == "prove" else None
    )
    for action in TABLES["warning-notices"]
}
READINESS_ACTS: dict[str, Act] = {
    "judge": lambda s, c, r: judge(RULES, ("kim",))(s),
    "confirm": lambda s, c, r: readiness.confirm(s, "a", RULES, c.number, c.version, r),
    "decline": lambda s, c, r: readiness.decline(s, "a", c.number, c.version, r),
    "pass_on": lambda s, c, r: readiness.pass_on(s, "a", RULES, (), c.number, c.version, r),
    "prove": lambda s, c, r: readiness.prove(s, "a", c.number, c.version, Proof("related", r)),
    "stand_down": lambda s, c, r: readiness.stand_down(s, "a", c.number, c.version, r),
}
TEAM_ACTS: dict[str, Act] = {
    "nominate": lambda s, c, r: teams.nominate(s, "a", ROLES, c.number, c.version, [LEADER], KNOWN),
    "form": lambda s, c, r: teams.form(s, "a", c.number, c.version, r, ""),
    "decline": lambda s, c, r: teams.end(s, "a", c.number, "decline", c.version, r),
    "call_out": lambda s, c, r: teams.call_out(s, "a", ROLES, c.number, c.version),
    "activate": lambda s, c, r: teams.activate(s, "a", ROLES, c.number, c.version, r),
    "order": lambda s, c, r: teams.order(s, "a", c.number, c.version, r),
    "stand_down": lambda s, c, r: teams.end(s, "a", c.number, "stand_down", c.version, r),
    "review": lambda s, c, r: teams.review(s, "a", c.number, c.version, r),
}
MEMBER_ACTS: dict[str, Act] = {
    action: lambda s, c, r, action=action: roster.take(  # type: ignore[misc]
        s, None, "a", c.number, action, c.version, reason=r, composition=ROLES
    )
    for action in TABLES["team-members"]
}
ACTS: dict[str, dict[str, Act]] = {
    "warnings": WARNING_ACTS,
    "warning-notices": NOTICE_ACTS,
    "readiness": READINESS_ACTS,
    "teams": TEAM_ACTS,
    "team-members": MEMBER_ACTS,
}
# Of which kind, which of its newest cases, which act (`likely`: one the machine has a step for), with which reason, how many minutes later.
HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(sorted(ACTS)),
        st.sampled_from([0, 0, 0, 1, 2]),
        st.integers(0, 99),
        st.sampled_from([True, True, True, False]),
        st.sampled_from(["because", "because", ""]),
        st.integers(0, 60),
    ),
    min_size=10,
    max_size=60,
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a confirmed incident and one of an exercise."""
    file = tmp_path_factory.mktemp("histories") / "bongsu.db"
    database = Database(f"sqlite:///{file}", FixedClock(START))
    database.migrate()
    database.start()
    with database.session() as session:
        for n, exercise in ((1, False), (2, True)):
            times = dict.fromkeys(("first_event_at", "last_event_at", "opened_at", "updated_at"), START)
            words = {"agency": "seogu", "title": "t", "severity": "high", "state": "confirmed", "group_key": "k"}
            counts = {"detections": 1, "evidence_kept": 0, "rule_ids": [], "tags": [], "version": 1}
            named = {"number": f"INC-2026-{n:06d}", "entity_kind": "", "entity_value": "", "exercise": exercise}
            session.add(Incident(**named, **words, **times, **counts))
    database.close()
    return file


@contextmanager
def a_copy(file: Path, clock: FixedClock) -> Iterator[Database]:
    with TemporaryDirectory() as folder:
        shutil.copy(file, folder)
        database = Database(f"sqlite:///{folder}/{file.name}", clock)
        database.start()
        yield database
        database.close()


def begin(session: Session, clock: FixedClock, *, exercise: bool) -> None:
    """A case of each kind to begin with."""
    wanted = warnings.National("NCSC", f"{clock.now()} {exercise}", "attention", "t", "", (), START, clock.now() + timedelta(hours=4))
    warnings.record(session, "a", TABLE, KNOWN, wanted, exercise=exercise)
    number = "INC-2026-000002" if exercise else "INC-2026-000001"
    teams.ask(session, None, "a", ROLES, number, "grave", propose=exercise)
    readiness.propose(session, "a", RULES, (), readiness.Direction.ESCALATE, "raised", {}, at=clock.now())


def check(session: Session, path: str, case: CaseColumns, at: datetime) -> None:
    """The invariants of one case."""
    machine, table = PATHS[path], TABLES[path]
    told = records.history(session, machine, case.number)
    assert [one.version for one in told] == list(range(1, case.version + 1))
    assert told[0].action == "open"
    state, when = told[0].after, told[0].at
    assert state in {machine.initial, *machine.also_initial}
    for one in told[1:]:
        sources, to, _ = table[one.action]
        assert one.before == state
        assert state in sources.split()
        assert one.after == (to or state)
        assert when <= one.at <= at
        state, when = one.after, one.at
    assert case.state == state
    for clock in clocks.of_case(session, records.named(machine, case.number)):
        assert clock.basis == "target", "only the personal information law has times, and none of these is its"
        assert clock.stopped_at is None or clock.stopped_at >= clock.started_at
        assert clocks.overdue(clock, at) >= timedelta(0)
        assert state not in machine.ended or clock.stopped_at is not None


def newest(session: Session, path: str) -> list[CaseColumns]:
    model = MODELS[path]
    return list(session.scalars(sa.select(model).order_by(model.id.desc()).limit(4)).all())


def chosen(path: str, state: str, place: int, likely: bool) -> str:
    """Which act to try on a case in `state`."""
    possible = sorted({step.action for step in PATHS[path].steps_from(state)} & ACTS[path].keys()) if likely else []
    every = possible or sorted(ACTS[path])
    return every[place % len(every)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(HISTORIES, st.booleans())
def test_any_history(prepared: Path, history: list[tuple[str, int, int, bool, str, int]], exercise: bool) -> None:
    clock = FixedClock(START)
    with a_copy(prepared, clock) as database:
        with database.session() as session:
            begin(session, clock, exercise=exercise)
            effects.renew(session, TABLE)
        for path, which, place, likely, reason, minutes in history:
            clock.advance(timedelta(minutes=minutes))
            with database.session(readonly=True) as session:
                found = newest(session, path)
                news = session.scalar(sa.select(sa.func.max(Outgoing.id)))
            if len(found) <= which:
                continue
            case = found[which]
            try:
                with database.session() as session:
                    ACTS[path][chosen(path, case.state, place, likely)](session, case, reason)
            except DomainError:
                with database.session(readonly=True) as session:
                    assert [(one.number, one.version) for one in newest(session, path)] == [(one.number, one.version) for one in found]
                    assert session.scalar(sa.select(sa.func.max(Outgoing.id))) == news
        with database.session(readonly=True) as session:
            for path, model in MODELS.items():
                for one in session.scalars(sa.select(model)).all():
                    check(session, path, one, clock.now())
            in_force = sa.select(sa.func.count()).where(Proposal.state == "confirmed", Proposal.direction == "escalate")
            assert (session.scalar(in_force) or 0) <= 1
            assert session.scalar(sa.select(sa.func.count()).where(Proposal.exercise)) == 0
            alive = sa.select(NationalWarning.number).where(
                NationalWarning.exercise.is_(False), NationalWarning.state.not_in(WARNING.ended)
            )
            written = set(session.scalars(sa.select(LevelEffect.source)))
            assert written == {CALM} | {f"warning/{number}" for number in session.scalars(alive)}
        with database.session() as session:
            lapsed = session.scalars(sa.select(LevelEffect.source).where(LevelEffect.ends_at <= clock.now())).all()
            assert effects.renew(session, TABLE) is bool(lapsed), "the steps left what the clock would make"
            assert not effects.renew(session, TABLE)
