"""Random histories of campaigns and duties: whatever people try in whatever order, the machines hold.

No state is skipped, no version lost, no clock goes backwards or runs after the end, a refused act changes nothing, what was found and
cited only grows, and no campaign closes over a duty that is open.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core.clock import FixedClock
from core.database import Database
from core.duty_settings import DutySettings
from core.errors import DomainError
from respond.cases import clocks, records
from respond.cases.models import CaseColumns, Outgoing
from respond.checklists import Proof
from respond.duties import campaigns, policy, service
from respond.duties.campaigns import Planned
from respond.duties.machine import CAMPAIGN, DUTY, Kind
from respond.duties.models import Campaign, Duty
from respond.duties.service import Found
from respond.requests.models import Request
from tests.case_tables import TABLES

START = datetime(2026, 10, 1, 3, 0, tzinfo=UTC)
POLICY = policy.load(DutySettings())
KNOWN = {"seogu", "parks"}
FOUND = [Found("", "high", "f", "m")]
MACHINES = {"campaigns": CAMPAIGN, "duties": DUTY}

Act = Callable[[Session, CaseColumns, str, int], object]
"""Does something to a case; a reason or '', and a number to vary it."""


def planned(kind: Kind, place: int) -> Planned:
    agencies = (("seogu",), ("parks", "seogu"), ())[place % 3]
    return Planned(kind, 2026, f"t{place}", standards="s", agencies=agencies)


def proved(session: Session, case: CaseColumns, reason: str, place: int) -> object:
    assert isinstance(case, Duty)
    subject = case.subjects[place % len(case.subjects)]["id"]
    return service.prove(session, None, "a", case.number, case.version, Proof(subject, reason))


def answered(session: Session, case: CaseColumns, reason: str, place: int) -> object:
    """Answer, on most tries after ticking off what is left."""
    assert isinstance(case, Duty)
    version = case.version
    for one in case.subjects if place % 4 else ():
        version = service.prove(session, None, "a", case.number, version, Proof(one["id"], "p")).version
    return service.answer(session, None, "a", case.number, version)


def inspected(session: Session, case: CaseColumns, reason: str, place: int) -> object:
    assert isinstance(case, Duty)
    rights = b"{}" if case.kind == Kind.ACCESS_REVIEW else None
    return service.inspect(session, None, "a", case.number, case.version, reason, rights)


ACTS: dict[str, dict[str, Act]] = {
    "campaigns": {
        "edit": lambda s, c, r, n: campaigns.edit(s, "a", c.number, c.version, POLICY, KNOWN, planned(Kind.INSPECTION, n)),
        "start": lambda s, c, r, n: campaigns.start(s, "a", c.number, c.version, POLICY, KNOWN),
        "include": lambda s, c, r, n: campaigns.include(s, "a", c.number, c.version, POLICY, KNOWN, ["parks"]),
        "close": lambda s, c, r, n: campaigns.close(s, "a", c.number, c.version),
        "cancel": lambda s, c, r, n: campaigns.cancel(s, "a", c.number, c.version, r),
    },
    "duties": {
        "prove": proved,
        "answer": answered,
        "send_back": lambda s, c, r, n: service.send_back(s, None, "a", c.number, c.version, r),
        "inspect": inspected,
        "cite": lambda s, c, r, n: service.cite(s, None, "a", c.number, c.version, f"drill/DRL-2026-{n:06d}", r),
        "record_findings": lambda s, c, r, n: service.record_findings(s, None, "a", c.number, c.version, r, FOUND * (n % 3)),
        "request_correction": lambda s, c, r, n: service.request_correction(s, None, "a", c.number, c.version, [n % 3 + 1], None),
        "ask_internal_audit": lambda s, c, r, n: service.ask_internal_audit(s, None, "a", c.number, c.version, r),
        "sign_off": lambda s, c, r, n: service.sign_off(s, None, "a", c.number, c.version, r),
        "extend": lambda s, c, r, n: service.extend(s, None, "a", c.number, c.version, r, START + timedelta(days=n)),
        "waive": lambda s, c, r, n: service.waive(s, None, "a", c.number, c.version, r),
        "reopen": lambda s, c, r, n: service.reopen(s, None, "a", c.number, c.version, r),
    },
}
MODELS: dict[str, type[Campaign] | type[Duty]] = {"campaigns": Campaign, "duties": Duty}
# Of which kind, which of its newest cases, which act (`likely`: one the machine has a step for), with which reason, how many days later.
HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(["campaigns", "duties", "duties", "duties"]),
        st.sampled_from([0, 0, 0, 1, 2]),
        st.integers(0, 99),
        st.sampled_from([True, True, True, False]),
        st.sampled_from(["because", "because", ""]),
        st.integers(0, 4),
    ),
    min_size=10,
    max_size=40,
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database."""
    file = tmp_path_factory.mktemp("duties") / "bongsu.db"
    database = Database(f"sqlite:///{file}", FixedClock(START))
    database.migrate()
    return file


def newest(session: Session, path: str) -> list[Campaign | Duty]:
    model = MODELS[path]
    return list(session.scalars(sa.select(model).order_by(model.id.desc()).limit(4)).all())


def check(session: Session, path: str, case: Campaign | Duty, at: datetime) -> None:
    """The invariants of one case."""
    machine, table = MACHINES[path], TABLES[path]
    told = [one for one in records.history(session, machine, case.number) if one.action != "attach"]
    assert [one.version for one in told] == list(range(1, case.version + 1))
    assert (told[0].action, told[0].after) == ("open", machine.initial)
    state, when = told[0].after, told[0].at
    for one in told[1:]:
        sources, to, _ = table[one.action]
        assert one.before == state
        assert state in sources.split()
        assert one.after == (to or state)
        assert when <= one.at <= at
        state, when = one.after, one.at
    assert case.state == state
    for clock in clocks.of_case(session, records.named(machine, case.number)):
        assert clock.basis == "set", "no duty has a time by the personal information law"
        assert clocks.overdue(clock, at) >= timedelta(0)
        assert (clock.stopped_at is None) == (state not in machine.ended)


def check_duty(session: Session, case: Duty, at: datetime) -> None:
    assert (case.state == "done") == (case.done_at is not None) == bool(case.signed_off_by)
    assert case.state not in ("answered",) or all(one["outcome"] for one in case.subjects)
    assert [one["number"] for one in case.findings] == list(range(1, len(case.findings) + 1))
    asked = session.scalars(sa.select(Request.number).where(Request.about == f"duty/{case.number}").order_by(Request.id)).all()
    assert sorted({one["request"] for one in case.findings if one["request"]}) == sorted(asked)
    late = case.due_at <= at and case.state not in ("done", "waived")
    assert service.is_overdue(case, at) == late
    found = session.scalars(sa.select(Duty.number).where(Duty.number == case.number, service.overdue(at))).all()
    assert bool(found) == late


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(HISTORIES, st.sampled_from(list(Kind)))
def test_any_history(prepared: Path, history: list[tuple[str, int, int, bool, str, int]], kind: Kind) -> None:
    clock = FixedClock(START)
    with TemporaryDirectory() as folder:
        shutil.copy(prepared, folder)
        database = Database(f"sqlite:///{folder}/{prepared.name}", clock)
        database.start()
        with database.session() as session:
            campaigns.plan(session, "a", POLICY, KNOWN, planned(kind, 2))
            campaigns.start(session, "a", "CMP-2026-000001", 1, POLICY, KNOWN)
            campaigns.plan(session, "a", POLICY, KNOWN, planned(kind, 0))
        for path, which, place, likely, reason, days in history:
            clock.advance(timedelta(days=days))
            with database.session(readonly=True) as session:
                found = newest(session, path)
                news = session.scalar(sa.select(sa.func.max(Outgoing.id)))
            if len(found) <= which:
                continue
            case = found[which]
            possible = sorted({one.action for one in MACHINES[path].steps_from(case.state)}) if likely else []
            every = possible or sorted(ACTS[path])
            try:
                with database.session() as session:
                    ACTS[path][every[place % len(every)]](session, case, reason, place)
            except DomainError:
                with database.session(readonly=True) as session:
                    assert [(one.number, one.version) for one in newest(session, path)] == [(one.number, one.version) for one in found]
                    assert session.scalar(sa.select(sa.func.max(Outgoing.id))) == news
                    continue
            with database.session(readonly=True) as session:
                after = session.get_one(MODELS[path], case.id)
                if isinstance(after, Duty) and isinstance(case, Duty):
                    assert after.provenance[: len(case.provenance)] == case.provenance
                    assert [one["finding"] for one in after.findings][: len(case.findings)] == [one["finding"] for one in case.findings]
        with database.session(readonly=True) as session:
            for path, model in MODELS.items():
                for one in session.scalars(sa.select(model)).all():
                    check(session, path, one, clock.now())
            for duty in session.scalars(sa.select(Duty)).all():
                check_duty(session, duty, clock.now())
            ended = sa.select(Campaign.number).where(Campaign.state.in_(CAMPAIGN.ended))
            assert session.scalars(sa.select(Duty.number).where(Duty.campaign.in_(ended), Duty.state.not_in(DUTY.ended))).all() == []
        database.close()
