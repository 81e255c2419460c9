"""Planning drills, giving notice of joint ones, starting, stopping, scoring and closing them.

- A drill is an exercise, and so is everything that comes of it; only the corrective requests after joint training are real (article 21(4)).
- Joint training starts after notice, or after a reason why there is none was written down (21(3)).
- An agency plans and runs drills of its own; a joint one belongs to the whole city (`agency` ''), and its agencies read it and acknowledge.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Conflict, Forbidden, Invalid
from core.permissions import Agencies
from respond import outbox
from respond.cases import records
from respond.cases.records import Taken
from respond.drills import scoring
from respond.drills.machine import MACHINE, UNDER_WAY, Sending
from respond.drills.models import Drill, Party
from respond.drills.scenario import Scenario
from respond.outbox import News
from respond.requests import service as requests
from respond.requests.machine import Article

LONGEST: Final = 4000


@dataclass(frozen=True, slots=True)
class Plan:
    """A drill to be planned: at these agencies, in the order of the scenario's parts. `joint` is forced by more than one agency."""

    scenario: Scenario
    agencies: tuple[str, ...]
    title: str
    joint: bool = False
    planned_for: datetime | None = None


def plan(session: Session, scope: Agencies, actor: str, known: Collection[str], wanted: Plan) -> Drill:
    """Plan a drill. Invalid when the scenario does not fit the agencies; Forbidden outside the scope, or joint by an agency."""
    joint = wanted.joint or len(wanted.agencies) > 1
    _check(scope, known, wanted, joint=joint)
    row = Drill(
        agency="" if joint else wanted.agencies[0],
        exercise=True,
        title=wanted.title.strip() or f"{wanted.scenario.title_ko} · {wanted.scenario.title_en}",
        joint=joint,
        scenario_id=wanted.scenario.id,
        scenario=wanted.scenario.model_dump(mode="json"),
        planned_for=wanted.planned_for,
        **{"notice": "", "started_at": None, "sending": Sending.NOT_BEGUN.value, "problem": "", "sent": 0},
        **{"holder": "", "held_until": None, "score": {}, "findings": ""},
    )
    told = {"scenario": wanted.scenario.id, "scenario_version": wanted.scenario.version, "agencies": list(wanted.agencies), "joint": joint}
    case = records.open_case(session, MACHINE, row, actor, told)
    for place, agency in enumerate(wanted.agencies):
        lines = wanted.scenario.role_of(place).count
        times = dict.fromkeys(("first_sent_at", "last_sent_at", "noticed_at", "acknowledged_at"))
        session.add(Party(drill=case.number, agency=agency, place=place, lines=lines, sent=0, acknowledged_by="", **times))
    session.flush()
    _tell(session, case, "plan")
    return case


def give_notice(session: Session, actor: str, number: str, if_version: int, text: str) -> Drill:
    """The Mayor tells the agencies of joint training beforehand: when, what, and what is asked of them (article 21(3))."""
    step = _begin(session, None, actor, number, "give_notice", if_version)
    _joint(step.case)
    step.case.notice = _said(text, "what the agencies are told: when, what, and what is asked of them")
    for party in parties_of(session, number):
        party.noticed_at = step.at
    return _done(step, {"notice": step.case.notice})


def waive_notice(session: Session, actor: str, number: str, if_version: int, reason: str) -> Drill:
    """Write down the compelling reason why there is no notice of joint training."""
    step = _begin(session, None, actor, number, "waive_notice", if_version, reason)
    _joint(step.case)
    return _done(step, {})


def acknowledge(session: Session, scope: Agencies, actor: str, number: str, if_version: int, agency: str) -> Drill:
    """The receipt of the notice by one agency; '' is the only one in scope."""
    step = records.begin(session, MACHINE, Drill, None, number, "acknowledge", readable(scope), actor=actor, if_version=if_version)
    agency = agency or (next(iter(scope)) if scope is not None and len(scope) == 1 else "")
    if scope is not None and agency not in scope:
        raise Forbidden("this identity may not acknowledge for this agency")
    party = next((one for one in parties_of(session, number) if one.agency == agency), None)
    if party is None:
        raise Invalid(f"{agency or 'this identity'} is no agency of {number}: name one that is")
    if party.noticed_at is None:
        raise Invalid(f"{number} was started without notice: there is none to acknowledge")
    if party.acknowledged_at is not None:
        raise Invalid(f"{agency} has acknowledged already")
    party.acknowledged_at, party.acknowledged_by = step.at, actor
    return _done(step, {"agency": agency})


def start(session: Session, scope: Agencies, actor: str, number: str, if_version: int) -> Drill:
    """Let the lines go out. Invalid for joint training without notice and without a reason for that."""
    step = _begin(session, scope, actor, number, "start", if_version)
    if step.case.joint and step.case.state == MACHINE.initial:
        raise Invalid(f"{number} is joint training: give its agencies notice first, or write down why not (article 21(3))")
    step.case.started_at = step.at
    step.case.sending = Sending.WAITING.value
    return _done(step, {})


def stop(session: Session, scope: Agencies, actor: str, number: str, if_version: int, reason: str) -> Drill:
    """Send no more lines. What was sent goes its way."""
    step = _begin(session, scope, actor, number, "stop", if_version, reason)
    if step.case.sending not in UNDER_WAY:
        raise Invalid(f"nothing of {number} is being sent any more: score it")
    step.case.sending = Sending.STOPPED.value
    return _done(step, {"sent": step.case.sent})


def score(session: Session, scope: Agencies, actor: str, number: str, if_version: int) -> Drill:
    """Freeze the score. Conflict while lines go out, and while what was not found may still be found in time."""
    step = _begin(session, scope, actor, number, "score", if_version)
    case, parties, known = step.case, parties_of(session, number), scoring.facts(session, number)
    if case.sending in UNDER_WAY:
        raise Conflict(f"the lines of {number} are still being sent: wait, or stop it")
    until = scoring.last_deadline(scenario_of(case), parties, known)
    if case.sending == Sending.DONE and until is not None and until > step.at:
        raise Conflict(f"not everything was found, and there is time until {until.isoformat(timespec='seconds')}: score it then")
    case.score = scoring.score(case, scenario_of(case), parties, known, step.at)
    return _done(step, {name: case.score[name] for name in ("expected", "found", "in_time")})


def ask_correction(
    session: Session, scope: Agencies, actor: str, number: str, if_version: int, asked: Mapping[str, Sequence[str]]
) -> Drill:
    """Draft a request of article 21(4) for each agency of `asked` with what it is asked to mend; the Mayor's office issues them."""
    step = _begin(session, scope, actor, number, "ask_correction", if_version)
    if not step.case.joint:
        raise Invalid(f"{number} is no joint training: article 21(4) knows corrective requests after that alone")
    if not asked or not all(asked.values()):
        raise Invalid("say which agencies are asked, and each what it is to mend")
    if unknown := sorted(set(asked) - {one.agency for one in parties_of(session, number)}):
        raise Invalid(f"{', '.join(unknown)}: not in this drill")
    purpose = f"합동훈련 {number} 결과에 따른 시정 조치 / Corrective measures after the joint training {number}"
    drafted = []
    for agency, items in sorted(asked.items()):
        wanted = requests.Draft(
            article=Article.AFTER_TRAINING,
            agency=agency,
            provider="",
            about=records.named(MACHINE, number),
            title=step.case.title,
            purpose=purpose,
            items=tuple(items),
            due_at=None,
        )
        drafted.append(requests.draft(session, None, actor, wanted).number)
    return _done(step, {"requests": drafted})


def close(session: Session, scope: Agencies, actor: str, number: str, if_version: int, findings: str) -> Drill:
    """End the drill with what it showed."""
    step = _begin(session, scope, actor, number, "close", if_version)
    step.case.findings = findings.strip()[:LONGEST]
    return _done(step, {})


def cancel(session: Session, scope: Agencies, actor: str, number: str, if_version: int, reason: str) -> Drill:
    """The drill does not take place."""
    return _done(_begin(session, scope, actor, number, "cancel", if_version, reason), {})


def readable(scope: Agencies) -> sa.ColumnElement[bool]:
    """The condition that limits drills to a scope: an agency reads its own and those it is a party of."""
    if scope is None:
        return sa.true()
    return Drill.agency.in_(scope) | Drill.number.in_(sa.select(Party.drill).where(Party.agency.in_(scope)))


def parties_of(session: Session, number: str, scope: Agencies = None) -> Sequence[Party]:
    """The parties of a drill within a scope, in the order of their parts."""
    query = sa.select(Party).where(Party.drill == number)
    if scope is not None:
        query = query.where(Party.agency.in_(scope))
    return session.scalars(query.order_by(Party.place)).all()


def why_without_notice(session: Session, number: str) -> str:
    """The reason written down when the notice was waived; '' when it was not."""
    events = records.history(session, MACHINE, number)
    return next((one.reason for one in events if one.action == "waive_notice"), "")


def scenario_of(drill: Drill) -> Scenario:
    """The scenario as it was when the drill was planned."""
    return Scenario.model_validate(drill.scenario)


def _begin(session: Session, scope: Agencies, actor: str, number: str, action: str, if_version: int, reason: str = "") -> Taken[Drill]:
    return records.begin(session, MACHINE, Drill, scope, number, action, actor=actor, if_version=if_version, reason=reason)


def _done(step: Taken[Drill], data: Mapping[str, Any]) -> Drill:
    case = step.done(data)
    _tell(step.session, case, step.step.action)
    return case


def _tell(session: Session, case: Drill, action: str) -> None:
    """News for each agency, so that each reads it."""
    name, data = records.named(MACHINE, case.number), {"title": case.title}
    agencies = [one.agency for one in parties_of(session, case.number)]
    outbox.tell_all(session, [News(f"drill.{action}", name, agency, "", exercise=True, data=data) for agency in agencies])


def _check(scope: Agencies, known: Collection[str], wanted: Plan, *, joint: bool) -> None:
    if not wanted.agencies or len(set(wanted.agencies)) != len(wanted.agencies):
        raise Invalid("name the agencies of the drill, each once")
    if scope is not None and (joint or not set(wanted.agencies) <= scope):
        raise Forbidden("an agency plans drills of its own; joint training is the Mayor's (article 21(2))")
    if unknown := sorted(set(wanted.agencies) - set(known)):
        raise Invalid(f"there is no agency {', '.join(unknown)}")
    wanted.scenario.check_agencies(len(wanted.agencies))


def _joint(case: Drill) -> None:
    if not case.joint:
        raise Invalid(f"{case.number} is no joint training: it needs no notice")


def _said(text: str, what: str) -> str:
    text = text.strip()
    if not text or len(text) > LONGEST:
        raise Invalid(f"say {what}, in at most {LONGEST} characters")
    return text
