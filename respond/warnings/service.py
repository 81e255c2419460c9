"""National warnings of article 18: recording one, propagating it to agencies, the centre's measures, and its end.

The city issues no warning. A person records the national notice; incidents neither make nor raise one. An exercise runs through the same
steps and changes neither the level in force nor the history of levels. What a level does to rules is `respond.warnings.effects`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from core.errors import Conflict, Invalid, NotFound
from core.permissions import Agencies
from respond import checklists, outbox
from respond.cases import clocks, records
from respond.cases.clocks import Basis
from respond.cases.records import Taken
from respond.checklists import Proof
from respond.warnings import effects, notices
from respond.warnings.levels import Levels
from respond.warnings.machine import MACHINE
from respond.warnings.models import Notice, Warning  # noqa: A004 - the ordinance's word

SYSTEM: Final = "system:warnings"
REPORT: Final = "report"
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class National:
    """What the national notice says; see `models.Warning`. `reach` is its scope in words."""

    issuer: str
    reference: str
    level: str
    title: str
    reach: str
    agencies: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime | None


def record(session: Session, actor: str, levels: Levels, known: Collection[str], wanted: National, *, exercise: bool = False) -> Warning:
    """Write a national notice down; `known` are the city's agencies. Conflict when the same notice is written down already."""
    return _open(session, actor, levels, known, wanted, exercise=exercise, follows="")


def edit(session: Session, actor: str, number: str, if_version: int, levels: Levels, known: Collection[str], wanted: National) -> Warning:
    """Correct what was written down, before agencies were told."""
    step = _begin(session, actor, number, "edit", if_version)
    _check(levels, known, wanted)
    if (wanted.issuer, wanted.reference) != (step.case.issuer, step.case.reference):
        _check_new(session, wanted, exercise=step.case.exercise)
    _fill(step.case, levels, wanted)
    case = step.done(_told(wanted))
    effects.put(session, case, levels)
    return case


def propagate(session: Session, actor: str, number: str, if_version: int, levels: Levels, known: Collection[str]) -> Warning:
    """Give every agency concerned its notice with its list of measures, and start the centre's targets."""
    step = _begin(session, actor, number, "propagate", if_version)
    case = step.case
    agencies = sorted(set(case.agencies or known))
    case = step.done({"agencies": len(agencies)})
    for agency in agencies:
        notices.give(session, actor, case, agency, levels)
    _await_report(session, case, levels, step.at)
    _tell(session, case, "propagate")
    return case


def prove(session: Session, actor: str, number: str, if_version: int, proof: Proof) -> Warning:
    """Tick off one of the centre's own measures."""
    step = _begin(session, actor, number, "prove", if_version)
    step.case.measures = checklists.ticked(step.case.measures, proof, actor, step.at)
    return step.done({"measure": proof.measure, "applies": proof.applies, "sha256": proof.sha256})


def complete(session: Session, actor: str, number: str, if_version: int, reason: str) -> Warning:
    """The measures are done, the centre's and the agencies'. Open lists of agencies need a reason; the centre's own must be done."""
    step = _begin(session, actor, number, "complete", if_version, reason)
    if left := checklists.left(step.case.measures):
        raise Invalid(f"the centre's own measures are not done: {', '.join(left)}")
    waiting = notices.waiting_for(session, number)
    if waiting and not step.reason:
        raise Invalid(f"{len(waiting)} agencies have not done theirs ({', '.join(waiting[:5])}): complete it with a reason, or wait")
    case = step.done({"waiting_for": len(waiting)})
    _tell(session, case, "complete")
    return case


def report(session: Session, actor: str, number: str, if_version: int, reason: str, levels: Levels) -> Warning:
    """The state was reported, as `reason` says; the time to the next report begins."""
    step = _begin(session, actor, number, "report", if_version, reason)
    case = step.done({})
    _await_report(session, case, levels, step.at)
    _tell(session, case, "report")
    return case


def change_level(
    session: Session, actor: str, number: str, if_version: int, reason: str, levels: Levels, known: Collection[str], wanted: National
) -> tuple[Warning, Warning]:
    """A further national notice changes the level: this warning ends, and one that follows it is written down. Gives both."""
    step = _begin(session, actor, number, "change_level", if_version, reason)
    if wanted.level == step.case.level:
        raise Invalid(f"the level is {wanted.level} already: a notice that changes something else is recorded by itself")
    ended = _end(step, "change_level", {"to": wanted.level, "reference": wanted.reference})
    return ended, _open(session, actor, levels, known, wanted, exercise=ended.exercise, follows=number)


def lift(session: Session, actor: str, number: str, if_version: int, reason: str) -> Warning:
    """The warning was lifted; the reason names the notice that did."""
    return _end(_begin(session, actor, number, "lift", if_version, reason), "lift", {})


def expire(session: Session, actor: str, number: str, if_version: int, reason: str = "") -> Warning:
    """The end the notice gave has passed. Invalid before."""
    step = _begin(session, actor, number, "expire", if_version, reason)
    if step.case.ends_at is None or step.case.ends_at > step.at:
        raise Invalid(f"{number} has not run out: it ends {step.case.ends_at or 'when it is lifted'}")
    return _end(step, "expire", {})


def look(levels: Levels) -> Callable[[Session], object]:
    """What the centre does by the clock: let warnings expire, and see that effects are those of what is in force."""

    def turn(session: Session) -> None:
        expire_due(session)
        effects.renew(session, levels)

    return turn


def expire_due(session: Session) -> Sequence[str]:
    """Let warnings whose end has passed expire, as the centre does by itself; gives their numbers."""
    passed = (Warning.state.not_in(MACHINE.ended), Warning.ends_at <= now(session))
    query = sa.select(Warning.number, Warning.version).where(*passed).order_by(Warning.id).limit(_AT_ONCE)
    due = session.execute(query.with_for_update(skip_locked=True)).all()
    notices.hold(session, [number for number, _ in due])
    for number, version in due:
        expire(session, SYSTEM, number, version)
    return [number for number, _ in due]


def readable(scope: Agencies) -> sa.ColumnElement[bool]:
    """The condition that limits warnings to a scope: an agency reads those it was given notice of."""
    if scope is None:
        return sa.true()
    return Warning.number.in_(sa.select(Notice.warning).where(Notice.agency.in_(scope)))


def find(session: Session, scope: Agencies, number: str) -> Warning:
    """The warning called `number`; NotFound when there is none in scope."""
    found = session.scalar(sa.select(Warning).where(Warning.number == number, readable(scope)))
    if found is None:
        raise NotFound(f"there is no warning {number}")
    return found


def _await_report(session: Session, case: Warning, levels: Levels, at: datetime) -> None:
    """Let the clock to the next report of the state run, where the level has a cadence."""
    minutes = levels.find(case.level).effects.report_minutes
    if minutes is None:
        return
    clocks.start(
        session,
        records.named(MACHINE, case.number),
        case.agency,
        REPORT,
        basis=Basis.TARGET,
        source=f"levels {levels.version}, {case.level}",
        started_at=at,
        due_at=at + timedelta(minutes=minutes),
        exercise=case.exercise,
    )


def _begin(session: Session, actor: str, number: str, action: str, if_version: int, reason: str = "") -> Taken[Warning]:
    return records.begin(session, MACHINE, Warning, None, number, action, actor=actor, if_version=if_version, reason=reason)


def _end(step: Taken[Warning], action: str, data: dict[str, Any]) -> Warning:
    """Take the step that ends a warning; its end is no later than the one its notice gave. Open notices end with it."""
    step.case.ended_at = min(step.case.ends_at or step.at, step.at)
    notices.hold(step.session, [step.case.number])
    case = step.done(data)
    effects.end(step.session, case)
    clocks.stop_all(step.session, records.named(MACHINE, case.number), step.at)
    notices.end_all(step.session, step.actor, case)
    _tell(step.session, case, action)
    return case


def _open(
    session: Session, actor: str, levels: Levels, known: Collection[str], wanted: National, *, exercise: bool, follows: str
) -> Warning:
    _check(levels, known, wanted)
    _check_new(session, wanted, exercise=exercise)
    row = Warning(agency="", exercise=exercise, follows=follows, ended_at=None)
    _fill(row, levels, wanted)
    case = records.open_case(session, MACHINE, row, actor, _told(wanted) | {"follows": follows})
    effects.put(session, case, levels)
    _tell(session, case, "record")
    return case


def _fill(row: Warning, levels: Levels, wanted: National) -> None:
    for name, value in asdict(wanted).items():
        setattr(row, name, list(value) if name == "agencies" else value)
    row.table_version = levels.version
    row.measures = checklists.copied(levels.find(wanted.level).centre)


def _check(levels: Levels, known: Collection[str], wanted: National) -> None:
    if not levels.knows(wanted.level):
        raise Invalid(f"there is no level {wanted.level!r}: there are {', '.join(one.id for one in levels.levels)}")
    if unknown := sorted(set(wanted.agencies) - set(known)):
        raise Invalid(f"there is no agency {', '.join(unknown)}")
    if wanted.ends_at is not None and wanted.ends_at <= wanted.starts_at:
        raise Invalid("a warning ends after it starts")


def _check_new(session: Session, wanted: National, *, exercise: bool) -> None:
    same = (Warning.issuer == wanted.issuer, Warning.reference == wanted.reference, Warning.exercise.is_(exercise))
    if number := session.scalar(sa.select(Warning.number).where(*same, Warning.state.not_in(MACHINE.ended)).limit(1)):
        raise Conflict(f"{wanted.reference} of {wanted.issuer} is written down already, as {number}")


def _told(wanted: National) -> dict[str, Any]:
    return {"issuer": wanted.issuer, "reference": wanted.reference, "level": wanted.level}


def _tell(session: Session, case: Warning, action: str) -> None:
    outbox.tell(session, f"warning.{action}", records.named(MACHINE, case.number), exercise=case.exercise, data={"level": case.level})
