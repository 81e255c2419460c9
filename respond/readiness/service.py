"""The centre's readiness: what the rules proposed, the lead's decision, the measures, standing down.

At most one readiness is in force. Confirming one that is no lower stands the one before down; a proposal that this answers is declined
with it. All
that decides holds the lock `readiness`, so that two deciders, or a decider and the judge, never act on different pictures.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive
from core.errors import Conflict
from respond import checklists, outbox
from respond.cases import clocks, records
from respond.cases.clocks import Basis
from respond.cases.records import Taken
from respond.checklists import Proof
from respond.readiness import on_call
from respond.readiness.machine import MACHINE, Direction
from respond.readiness.models import Proposal
from respond.readiness.policy import Readiness

ANSWER = "answer"
REVIEW = "review"


def hold(session: Session) -> None:
    """Wait for whoever else decides or judges, until this transaction ends."""
    exclusive(session, "readiness")


def in_force(session: Session) -> Proposal | None:
    """The confirmed readiness; None when the centre works as usual."""
    confirmed = (Proposal.state == "confirmed", Proposal.direction == Direction.ESCALATE.value)
    return session.scalar(sa.select(Proposal).where(*confirmed).order_by(Proposal.id.desc()).limit(1))


def waiting(session: Session) -> list[Proposal]:
    """The proposals that wait for an answer, oldest first."""
    return list(session.scalars(sa.select(Proposal).where(Proposal.state.in_(("proposed", "unanswered"))).order_by(Proposal.id)).all())


def propose(
    session: Session,
    actor: str,
    policy: Readiness,
    people: tuple[str, ...],
    direction: Direction,
    level: str,
    evidence: dict[str, Any],
    *,
    at: datetime,
    rule: str = "",
    about: str = "",
) -> Proposal:
    """Write a proposal down and ask the first on call."""
    row = Proposal(
        agency="",
        exercise=False,
        direction=direction.value,
        level=level,
        rule=rule,
        about=about,
        evidence=evidence,
        table_version=policy.version,
        measures=[],
        asked=on_call.ask(on_call.people(session, people, at), 0),
        asked_at=at,
        passed_on=0,
        confirmed_at=None,
        ended_at=None,
    )
    case = records.open_case(session, MACHINE, row, actor, {"direction": direction.value, "level": level, "rule": rule, "about": about})
    _ask(session, case, policy, at)
    _tell(session, case, "propose")
    return case


def pass_on(
    session: Session, actor: str, policy: Readiness, people: tuple[str, ...], number: str, if_version: int, reason: str
) -> Proposal:
    """Nobody answered, or whoever is asked hands it on: ask the next."""
    step = _begin(session, actor, number, "pass_on", if_version, reason)
    case = step.case
    case.passed_on += 1
    case.asked = on_call.ask(on_call.people(session, people, step.at), case.passed_on)
    case.asked_at = step.at
    _ask(session, case, policy, step.at)
    case = step.done({"passed_on": case.passed_on})
    _tell(session, case, "pass_on")
    return case


def confirm(session: Session, actor: str, policy: Readiness, number: str, if_version: int, reason: str) -> Proposal:
    """Put the proposed readiness in force, or stand down the one a proposal to stand down is about."""
    hold(session)
    step = _begin(session, actor, number, "confirm", if_version, reason)
    clocks.stop(session, records.named(MACHINE, number), ANSWER, step.at)
    if step.case.direction == Direction.STAND_DOWN:
        return _confirm_standing_down(step)
    present = in_force(session)
    if present is not None and policy.rank(present.level) > policy.rank(step.case.level):
        raise Conflict(f"{present.number} is in force already with {present.level}: decline this proposal")
    case = _put_in_force(step, policy)
    if present is not None:
        _stand_down(session, actor, present, f"{number} has taken its place")
    _decline_answered(session, actor, policy, case)
    return case


def decline(session: Session, actor: str, number: str, if_version: int, reason: str) -> Proposal:
    """Leave things as they are; the same incidents are not proposed again."""
    hold(session)
    step = _begin(session, actor, number, "decline", if_version, reason)
    step.case.ended_at = step.at
    clocks.stop_all(session, records.named(MACHINE, number), step.at)
    case = step.done({"level": step.case.level})
    _tell(session, case, "decline")
    return case


def prove(session: Session, actor: str, number: str, if_version: int, proof: Proof) -> Proposal:
    """Tick off a measure of the readiness in force."""
    step = _begin(session, actor, number, "prove", if_version, "")
    step.case.measures = checklists.ticked(step.case.measures, proof, actor, step.at)
    return step.done({"measure": proof.measure, "applies": proof.applies, "sha256": proof.sha256})


def stand_down(session: Session, actor: str, number: str, if_version: int, reason: str) -> Proposal:
    """End the readiness in force. A proposal to do so that still waits is declined with it."""
    hold(session)
    case = _end(_begin(session, actor, number, "stand_down", if_version, reason))
    for one in waiting(session):
        if one.about == number:
            decline(session, actor, one.number, one.version, f"{number} was stood down already")
    return case


def _confirm_standing_down(step: Taken[Proposal]) -> Proposal:
    session, actor, about = step.session, step.actor, step.case.about
    target = session.scalar(sa.select(Proposal).where(Proposal.number == about))
    if target is None or target.state != "confirmed":
        raise Conflict(f"{about} is not in force any more: decline this proposal")
    step.case.confirmed_at = step.at
    case = step.done({"about": about})
    _stand_down(session, actor, target, step.reason or f"confirmed {case.number}")
    return _stand_down(session, actor, case, f"{about} is stood down")


def _put_in_force(step: Taken[Proposal], policy: Readiness) -> Proposal:
    case, level = step.case, policy.find(step.case.level)
    case.confirmed_at = step.at
    case.measures = checklists.copied(level.measures)
    due = step.at + timedelta(minutes=level.review_minutes)
    _start(step.session, case, REVIEW, policy, step.at, due)
    case = step.done({"level": case.level})
    _tell(step.session, case, "confirm")
    return case


def _decline_answered(session: Session, actor: str, policy: Readiness, case: Proposal) -> None:
    """Decline what else waits and asks for no more than `case` gives."""
    for one in waiting(session):
        if one.direction == Direction.STAND_DOWN or policy.rank(one.level) <= policy.rank(case.level):
            decline(session, actor, one.number, one.version, f"{case.number} is in force")


def _stand_down(session: Session, actor: str, case: Proposal, reason: str) -> Proposal:
    return _end(_begin(session, actor, case.number, "stand_down", case.version, reason))


def _end(step: Taken[Proposal]) -> Proposal:
    left = checklists.left(step.case.measures)
    step.case.ended_at = step.at
    clocks.stop_all(step.session, records.named(MACHINE, step.case.number), step.at)
    case = step.done({"level": step.case.level, "measures_left": left})
    if case.direction == Direction.ESCALATE:
        _tell(step.session, case, "stand_down")
    return case


def _begin(session: Session, actor: str, number: str, action: str, if_version: int, reason: str) -> Taken[Proposal]:
    return records.begin(session, MACHINE, Proposal, None, number, action, actor=actor, if_version=if_version, reason=reason)


def _ask(session: Session, case: Proposal, policy: Readiness, at: datetime) -> None:
    _start(session, case, ANSWER, policy, at, at + timedelta(minutes=policy.answer_minutes))


def _start(session: Session, case: Proposal, name: str, policy: Readiness, at: datetime, due: datetime) -> None:
    object_, source = records.named(MACHINE, case.number), f"readiness {policy.version}"
    clocks.start(session, object_, "", name, basis=Basis.TARGET, source=source, started_at=at, due_at=due)


def _tell(session: Session, case: Proposal, action: str) -> None:
    data = {"direction": case.direction, "level": case.level, "asked": case.asked}
    outbox.tell(session, f"readiness.{action}", records.named(MACHINE, case.number), data=data)
