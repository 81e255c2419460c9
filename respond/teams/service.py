"""Emergency teams of article 20: asking for one, the Mayor's decision, orders, standing down, the review.

A team is about an accident: an incident within the asker's scope that is no false alarm, and confirmed by the time the Mayor forms the
team. An exercise's team is one too.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound
from core.permissions import Agencies
from respond import outbox
from respond.cases import records
from respond.cases.records import Taken
from respond.incidents.machine import State
from respond.incidents.sight import Sight, visible
from respond.models import Incident
from respond.teams import log, roster
from respond.teams.composition import Composition
from respond.teams.machine import MACHINE, PROPOSED, REQUESTED
from respond.teams.models import Member, Team

ACCIDENTS: Final = frozenset({State.CONFIRMED, State.CONTAINED, State.ERADICATED, State.RECOVERING})
LONGEST: Final = 4000


def ask(session: Session, scope: Agencies, actor: str, composition: Composition, incident: str, basis: str, *, propose: bool) -> Team:
    """Ask for a team: an agency requests one for its own accident, the SOC lead proposes one for any. Invalid for a false alarm."""
    about = _incident(session, Sight(scope, actor), incident)
    if about.state is State.FALSE_POSITIVE:
        raise Invalid(f"{incident} is a false alarm: a team is formed for an accident")
    row = Team(
        agency=about.agency,
        exercise=about.exercise,
        incident=incident,
        severity=about.severity,
        basis=_said(basis, "why the accident is grave enough"),
        table_version=composition.version,
        order="",
        findings="",
        formed_at=None,
        active_at=None,
        stood_down_at=None,
    )
    state = PROPOSED if propose else REQUESTED
    case = records.open_case(session, MACHINE, row, actor, {"incident": incident, "severity": about.severity}, state=state)
    _tell(session, case, "propose" if propose else "request")
    return case


def form(session: Session, actor: str, number: str, if_version: int, order: str, reason: str) -> Team:
    """The Mayor forms the team by an order; the accident must be confirmed."""
    step = _begin(session, None, actor, number, "form", if_version, reason)
    about = session.scalar(sa.select(Incident).where(Incident.number == step.case.incident))
    if about is None or about.state not in ACCIDENTS:
        state = about.state if about is not None else "unknown"
        raise Invalid(f"{step.case.incident} is {state}: a team is formed for a confirmed accident that is not over")
    step.case.order = _said(order, "what the team is to do")
    step.case.formed_at = step.at
    log.write(session, actor, step.case, log.ORDER, step.case.order, at=step.at)
    return _done(step)


def activate(session: Session, actor: str, composition: Composition, number: str, if_version: int, reason: str) -> Team:
    """The team takes up its work. A roster that lacks somebody of the composition needs a reason."""
    step = _begin(session, None, actor, number, "activate", if_version, reason)
    missing = composition.missing(roster.acknowledged(session, number))
    if missing and not step.reason:
        raise Invalid(f"not everybody has acknowledged ({', '.join(missing)}): activate it with a reason, or call others")
    step.case.active_at = step.at
    return _done(step, missing=missing)


def order(session: Session, actor: str, number: str, if_version: int, text: str) -> Team:
    """Give the team an order; its text stands in the duty log."""
    step = _begin(session, None, actor, number, "order", if_version, "")
    entry = log.write(session, actor, step.case, log.ORDER, _said(text, "what is to be done"), at=step.at)
    return _done(step, entry=entry.id)


def end(session: Session, actor: str, number: str, action: str, if_version: int, reason: str) -> Team:
    """Decline the team, or stand it down; its people are released."""
    step = _begin(session, None, actor, number, action, if_version, reason)
    if action == "stand_down":
        step.case.stood_down_at = step.at
    roster.hold(session, number)
    case = _done(step)
    roster.release_all(session, actor, case)
    return case


def review(session: Session, actor: str, number: str, if_version: int, findings: str) -> Team:
    """Write down what the team's work showed."""
    step = _begin(session, None, actor, number, "review", if_version, "")
    step.case.findings = _said(findings, "what the review found")
    return _done(step)


def nominate(
    session: Session, actor: str, composition: Composition, number: str, if_version: int, people: list[roster.Person], known: set[str]
) -> Team:
    """Put people on the roster; they are called later. `known` are the city's agencies."""
    step = _begin(session, None, actor, number, "nominate", if_version, "")
    roster.nominate(session, actor, composition, step.case, people, known)
    return _done(step, people=len(people))


def call_out(session: Session, actor: str, composition: Composition, number: str, if_version: int) -> Team:
    """Call everybody who is nominated. Invalid when nobody is left to be called."""
    step = _begin(session, None, actor, number, "call_out", if_version, "")
    called = roster.call_all(session, actor, composition, number)
    if not called:
        raise Invalid("nobody is left to be called: nominate somebody first")
    return _done(step, called=called)


def readable(scope: Agencies) -> sa.ColumnElement[bool]:
    """The condition that limits teams to a scope: an agency reads those of its accidents, and those its people were put on."""
    if scope is None:
        return sa.true()
    return Team.agency.in_(scope) | Team.number.in_(sa.select(Member.team).where(Member.agency.in_(scope)))


def find(session: Session, scope: Agencies, number: str, reader: str) -> Team:
    """The team called `number`; NotFound when there is none in scope and known to the actor `reader`."""
    found = session.scalar(sa.select(Team).where(Team.number == number, readable(scope), records.known_to(Team, reader)))
    if found is None:
        raise NotFound(f"there is no team {number}")
    return found


def _begin(session: Session, scope: Agencies, actor: str, number: str, action: str, if_version: int, reason: str) -> Taken[Team]:
    return records.begin(session, MACHINE, Team, scope, number, action, actor=actor, if_version=if_version, reason=reason)


def _done(step: Taken[Team], **data: object) -> Team:
    case = step.done(data)
    _tell(step.session, case, step.step.action)
    return case


def _incident(session: Session, sight: Sight, number: str) -> Incident:
    found = session.scalar(sa.select(Incident).where(Incident.number == number, visible(sight), Incident.merged_into_id.is_(None)))
    if found is None:
        raise Invalid(f"there is no incident {number} a team could be for")
    return found


def _said(text: str, what: str) -> str:
    text = text.strip()
    if not text:
        raise Invalid(f"say {what}")
    if len(text) > LONGEST:
        raise Invalid(f"a text has at most {LONGEST} characters")
    return text


def _tell(session: Session, case: Team, action: str) -> None:
    name = records.named(MACHINE, case.number)
    data = {"incident": case.incident}
    outbox.tell(session, f"team.{action}", name, agency=case.agency, severity=case.severity, exercise=case.exercise, data=data)
