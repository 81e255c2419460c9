"""The people of a team: nominated by the SOC lead by the rules of composition, called, and each with the time of the answer.

Names stand in the roster alone, never in the trail, the history or the news.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid
from core.permissions import Agencies
from respond import outbox
from respond.cases import clocks, records
from respond.cases.clocks import Basis
from respond.teams.composition import Composition, TeamRole
from respond.teams.machine import MEMBER
from respond.teams.models import Member, Team

ANSWER: Final = "acknowledge"
MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to be on the roster; see `models.Member`."""

    role: str
    name: str
    agency: str = ""
    account: str = ""
    organisation: str = ""


def nominate(session: Session, actor: str, composition: Composition, team: Team, people: Sequence[Person], known: Collection[str]) -> None:
    """Put `people` on the roster of `team`. Invalid when a role, an agency or a number does not fit the composition."""
    for person in people:
        _check(composition.role(person.role), person, team, known)
    there = [one for one in of_team(session, None, team.number) if one.state != "released"]
    if len(there) + len(people) > MOST:
        raise Invalid(f"a team has at most {MOST} people")
    if wrong := composition.too_many([*(one.role for one in there), *(one.role for one in people)]):
        raise Invalid(f"too many people for {', '.join(wrong)}")
    accounts = [account for account in (*(one.account for one in there), *(one.account for one in people)) if account]
    if len(set(accounts)) != len(accounts):
        raise Invalid("somebody would be on the roster twice")
    for person in people:
        row = Member(
            team=team.number,
            agency=person.agency,
            exercise=team.exercise,
            role=person.role,
            name=person.name,
            account=person.account,
            organisation=person.organisation,
            called_at=None,
            answered_at=None,
        )
        records.open_case(session, MEMBER, row, actor, {"team": team.number, "role": person.role})


def call_all(session: Session, actor: str, composition: Composition, team: str) -> int:
    """Call everybody nominated; gives how many."""
    found = [one for one in of_team(session, None, team) if one.state == "nominated"]
    for one in found:
        take(session, None, actor, one.number, "call", one.version, composition=composition)
    return len(found)


def hold(session: Session, team: str) -> None:
    """Lock the roster: rows before the trail, as everywhere, so that nobody waits for one another for ever."""
    session.scalars(sa.select(Member).where(Member.team == team).order_by(Member.id).with_for_update()).all()


def release_all(session: Session, actor: str, team: Team) -> None:
    """Release everybody who still is on the roster; the caller holds it."""
    for one in of_team(session, None, team.number):
        if one.state != "released":
            take(session, None, actor, one.number, "release", one.version)


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    composition: Composition | None = None,
    account: str = "",
    for_others: bool = True,
) -> Member:
    """Take a step of a member. `call` needs the composition, for its target.

    `account` is the user who answers and `for_others` whether that user may answer for others, as the SOC lead who telephoned.
    """
    step = records.begin(session, MEMBER, Member, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    case, name = step.case, records.named(MEMBER, number)
    if action in ("acknowledge", "excuse"):
        if not for_others and case.account != account:
            raise Invalid("only who is called answers, or whoever may propose teams and spoke to them")
        case.answered_at = step.at
        clocks.stop(session, name, ANSWER, step.at)
    elif action == "call":
        case.called_at, case.answered_at = step.at, None
        due = step.at + timedelta(minutes=composition.acknowledge_minutes) if composition is not None else None
        source = f"composition {composition.version}" if composition is not None else ""
        clocks.start(
            session, name, case.agency, ANSWER, basis=Basis.TARGET, source=source, started_at=step.at, due_at=due, exercise=case.exercise
        )
    elif action == "release":
        clocks.stop_all(session, name, step.at)
    case = step.done({"team": case.team, "role": case.role})
    data = {"team": case.team, "role": case.role}
    outbox.tell(session, f"team_member.{action}", name, agency=case.agency, exercise=case.exercise, data=data)
    return case


def of_team(session: Session, scope: Agencies, team: str) -> Sequence[Member]:
    """The roster of a team within a scope, in the order people were put on it."""
    query = sa.select(Member).where(Member.team == team, records.within(Member, scope))
    return session.scalars(query.order_by(Member.id)).all()


def acknowledged(session: Session, team: str) -> Sequence[str]:
    """The roles of those who have acknowledged, one word for each."""
    return session.scalars(sa.select(Member.role).where(Member.team == team, Member.state == "acknowledged")).all()


def is_on(session: Session, team: str, account: str) -> bool:
    """Whether `account` is on the roster of a team and not released."""
    query = sa.select(Member.id).where(Member.team == team, Member.account == account, Member.state != "released")
    return bool(account) and session.scalar(query.limit(1)) is not None


def _check(role: TeamRole, person: Person, team: Team, known: Collection[str]) -> None:
    if person.agency and person.agency not in known:
        raise Invalid(f"there is no agency {person.agency!r}")
    fits = {
        "centre": not person.agency and not person.organisation,
        "agency": person.agency == team.agency,
        "city": not person.organisation,
        "outside": not person.agency and bool(person.organisation.strip()),
    }
    if not fits[role.origin]:
        raise Invalid(f"people for {role.id} come from: {role.origin}; {person.agency or person.organisation or 'the centre'} does not fit")
