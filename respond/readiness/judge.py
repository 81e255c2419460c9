"""The judge: looks at incidents now and then, proposes what the rules say, and passes on what nobody answered.

Running it again, or twice at once, proposes nothing twice: no level is proposed that is in force or waits for an answer already, and once a
proposal was answered or a readiness stood down, only incidents opened after that count. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from respond.readiness import facts, service
from respond.readiness.machine import Direction
from respond.readiness.models import Proposal
from respond.readiness.policy import Readiness
from respond.readiness.rules import Fact, Held, highest, is_quiet

SYSTEM: Final = "system:readiness"
EVERY_SECONDS: Final = 10.0
SHOWN: Final = 100


def judge(policy: Readiness, people: tuple[str, ...]) -> Callable[[Session], list[Proposal]]:
    """The judge of a policy, that asks `people` in turn; it gives what it proposed or passed on."""

    def turn(session: Session) -> list[Proposal]:
        service.hold(session)
        at = now(session)
        acted = _pass_on(session, policy, people, at)
        present = service.in_force(session)
        seen = facts.opened_since(session, at - policy.reach, policy.weighed)
        escalation = _escalate(session, policy, people, present, seen, at)
        if escalation is None and present is not None:
            escalation = _stand_down(session, policy, people, present, seen, at)
        return [*acted, escalation] if escalation is not None else acted

    return turn


def _pass_on(session: Session, policy: Readiness, people: tuple[str, ...], at: datetime) -> list[Proposal]:
    late = at - timedelta(minutes=policy.answer_minutes)
    reason = f"nobody answered within {policy.answer_minutes} minutes"
    return [
        service.pass_on(session, SYSTEM, policy, people, one.number, one.version, reason)
        for one in service.waiting(session)
        if one.asked_at <= late
    ]


def _escalate(
    session: Session, policy: Readiness, people: tuple[str, ...], present: Proposal | None, seen: Sequence[Fact], at: datetime
) -> Proposal | None:
    answered = _answered_at(session, Direction.ESCALATE)
    held = highest(policy, [fact for fact in seen if answered is None or fact.opened_at > answered], at)
    if held is None:
        return None
    others = [one for one in service.waiting(session) if one.direction == Direction.ESCALATE]
    reached = max((policy.rank(one.level) for one in (*others, *([present] if present else []))), default=-1)
    if policy.rank(held.rule.level) <= reached:
        return None
    level, rule = held.rule.level, held.rule.id
    return service.propose(session, SYSTEM, policy, people, Direction.ESCALATE, level, _evidence(held), at=at, rule=rule)


def _stand_down(
    session: Session, policy: Readiness, people: tuple[str, ...], present: Proposal, seen: Sequence[Fact], at: datetime
) -> Proposal | None:
    if service.waiting(session):
        return None
    declined = _answered_at(session, Direction.STAND_DOWN)
    since = max(time for time in (present.confirmed_at, declined) if time is not None)
    if not is_quiet(policy.stand_down, seen, since, at):
        return None
    evidence: dict[str, object] = {
        "quiet_minutes": policy.stand_down.quiet_minutes,
        "severity": policy.stand_down.severity,
        "total": 0,
        "incidents": [],
    }
    direction, level, about = Direction.STAND_DOWN, present.level, present.number
    return service.propose(session, SYSTEM, policy, people, direction, level, evidence, at=at, about=about)


def _answered_at(session: Session, direction: Direction) -> datetime | None:
    """When a proposal of this direction was last declined or its readiness ended."""
    query = sa.select(Proposal.ended_at).where(Proposal.direction == direction.value, Proposal.ended_at.is_not(None))
    return session.scalar(query.order_by(Proposal.ended_at.desc()).limit(1))


def _evidence(held: Held) -> dict[str, object]:
    rule = held.rule
    asked = {"incidents": rule.incidents, "agencies": rule.agencies, "severity": rule.severity, "importance": rule.importance}
    return {
        "needed": asked | {"within_minutes": rule.within_minutes},
        "total": len(held.facts),
        "agencies": len({fact.agency for fact in held.facts}),
        "incidents": [fact.shown() for fact in held.facts[-SHOWN:]],
    }
