"""Campaigns: planning a year's round, opening the duty of each agency, and ending it when every duty is done or waived.

"On an annual basis at the very least" (15, 21, 25): a campaign is due no later than the end of its year in Seoul; an earlier time is the
centre's own. There may be several of one kind in a year, as for an inspection of the actual state of some agencies (15(2)).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from core.errors import Invalid
from core.permissions import Agencies
from respond import checklists, outbox
from respond.cases import clocks, records
from respond.cases.clocks import Basis
from respond.cases.records import Taken
from respond.duties import service
from respond.duties.machine import CAMPAIGN, DUTY, Kind
from respond.duties.models import Campaign, Duty
from respond.duties.policy import Subject, Subjects
from respond.duties.years import end_of
from respond.outbox import News

_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Planned:
    """What a campaign is to be; see `models.Campaign`. `due_at` None: the end of the year."""

    kind: Kind
    year: int
    title: str
    standards: str = ""
    scope: str = ""
    due_at: datetime | None = None
    agencies: tuple[str, ...] = ()


def plan(session: Session, actor: str, policy: Subjects, known: Collection[str], wanted: Planned) -> Campaign:
    """Write a campaign down; no agency has a duty before it starts. Invalid when its time is past or beyond its year."""
    row = Campaign(agency="", exercise=False, policy_version="", subjects=[], **_checked(session, policy, known, wanted))
    return records.open_case(session, CAMPAIGN, row, actor, {"kind": wanted.kind.value, "year": wanted.year})


def edit(session: Session, actor: str, number: str, if_version: int, policy: Subjects, known: Collection[str], wanted: Planned) -> Campaign:
    """Write a planned campaign anew."""
    step = _begin(session, actor, number, "edit", if_version)
    for name, value in _checked(session, policy, known, wanted).items():
        setattr(step.case, name, value)
    return step.done({"kind": wanted.kind.value, "year": wanted.year})


def start(session: Session, actor: str, number: str, if_version: int, policy: Subjects, known: Collection[str]) -> Campaign:
    """Give every agency concerned its duty, and the centre its own where the policy says so. Invalid when there is nobody."""
    step = _begin(session, actor, number, "start", if_version)
    case = step.case
    _check_time(step)
    of_kind = policy.kinds[Kind(case.kind)]
    case.policy_version, case.subjects = policy.version, [one.model_dump() for one in of_kind.subjects]
    whom = sorted(set(case.agencies) or {*known, *([""] if of_kind.centre else [])})
    if not whom:
        raise Invalid("there is no agency in the settings that could have a duty")
    case = step.done({"duties": len(whom)})
    _give(session, actor, case, whom)
    _tell(session, case, "start")
    return case


def include(
    session: Session, actor: str, number: str, if_version: int, policy: Subjects, known: Collection[str], agencies: Sequence[str]
) -> Campaign:
    """Give a duty to agencies that have none of this campaign yet, as to one that joined the city later."""
    step = _begin(session, actor, number, "include", if_version)
    _check_time(step)
    wanted = sorted(set(agencies))
    _check_known(policy, Kind(step.case.kind), known, wanted)
    have = set(session.scalars(sa.select(Duty.agency).where(Duty.campaign == number)))
    if twice := [agency for agency in wanted if agency in have]:
        raise Invalid(f"{', '.join(twice)}: has a duty of {number} already")
    case = step.done({"duties": len(wanted)})
    _give(session, actor, case, wanted)
    return case


def close(session: Session, actor: str, number: str, if_version: int) -> Campaign:
    """End a campaign. Invalid while a duty is neither done nor waived: what was not done stays in sight."""
    step = _begin(session, actor, number, "close", if_version)
    if waiting := [one.agency or "the centre" for one in session.scalars(_open_ones(number))]:
        told = ", ".join(waiting[:_NAMED]) + (" ..." if len(waiting) > _NAMED else "")
        raise Invalid(f"{len(waiting)} duties are neither done nor waived ({told}): end these first, a waiver has its reason")
    case = step.done({})
    _tell(session, case, "close")
    return case


def cancel(session: Session, actor: str, number: str, if_version: int, reason: str) -> Campaign:
    """Call a campaign off; its open duties are waived for that reason. Invalid when the work on one is past its findings."""
    step = _begin(session, actor, number, "cancel", if_version, reason)
    waiting = session.scalars(_open_ones(number).with_for_update()).all()  # rows before the trail, as everywhere
    if found := [one.number for one in waiting if one.state == "findings"]:
        raise Invalid(f"{', '.join(found[:_NAMED])}: something was found already, sign it off")
    case = step.done({"waived": len(waiting)})
    for one in waiting:
        service.waive(session, None, actor, one.number, one.version, f"{number} was called off: {step.reason}"[: records.LONGEST_REASON])
    _tell(session, case, "cancel")
    return case


def readable(scope: Agencies) -> sa.ColumnElement[bool]:
    """The condition that limits campaigns to a scope: an agency reads those it has a duty of."""
    if scope is None:
        return sa.true()
    return Campaign.number.in_(sa.select(Duty.campaign).where(Duty.agency.in_(scope)))


def _begin(session: Session, actor: str, number: str, action: str, if_version: int, reason: str = "") -> Taken[Campaign]:
    return records.begin(session, CAMPAIGN, Campaign, None, number, action, actor=actor, if_version=if_version, reason=reason)


def _checked(session: Session, policy: Subjects, known: Collection[str], wanted: Planned) -> dict[str, Any]:
    due_at = (wanted.due_at or end_of(wanted.year)).astimezone(UTC)
    if due_at <= now(session):
        raise Invalid(f"a campaign is due in the future: {due_at:%Y-%m-%d %H:%M} (UTC) has passed")
    if due_at > end_of(wanted.year):
        raise Invalid(f"it is done at least once a year: a campaign of {wanted.year} is due by the end of that year in Seoul")
    if wanted.kind is Kind.AUDIT and not wanted.standards.strip():
        raise Invalid("an audit goes by standards (article 25(1)): name them and their version")
    _check_known(policy, wanted.kind, known, wanted.agencies)
    return {
        "kind": wanted.kind.value,
        "year": wanted.year,
        "title": wanted.title,
        "standards": wanted.standards.strip(),
        "scope": wanted.scope,
        "due_at": due_at,
        "agencies": sorted(set(wanted.agencies)),
    }


def _check_known(policy: Subjects, kind: Kind, known: Collection[str], agencies: Sequence[str]) -> None:
    possible = {*known, *([""] if policy.kinds[kind].centre else [])}
    if unknown := sorted(set(agencies) - possible):
        raise Invalid(f"there is no agency {', '.join(repr(one) for one in unknown)} that could have a duty of {kind}")


def _check_time(step: Taken[Campaign]) -> None:
    """Invalid when the campaign's time has passed: nobody is given a duty that is overdue at once."""
    if step.case.due_at <= step.at:
        raise Invalid(f"{step.case.number} was due {step.case.due_at:%Y-%m-%d} (UTC): plan one of this year")


def _give(session: Session, actor: str, case: Campaign, agencies: Sequence[str]) -> None:
    subjects = checklists.copied(Subject.model_validate(one) for one in case.subjects)
    news = []
    for agency in agencies:
        row = Duty(
            agency=agency,
            exercise=False,
            campaign=case.number,
            **{name: getattr(case, name) for name in ("kind", "year", "title", "standards", "due_at")},
            subjects=subjects,
            **{"provenance": [], "findings": [], "result": "", "internal_audit": "", "signed_off_by": ""},
            **dict.fromkeys(("answered_at", "inspected_at", "done_at")),
        )
        duty = records.open_case(session, DUTY, row, actor, {"campaign": case.number, "kind": case.kind, "year": case.year})
        name = records.named(DUTY, duty.number)
        source = f"campaign {case.number}"
        clocks.start(session, name, agency, service.CLOCK, basis=Basis.SET, source=source, started_at=duty.created_at, due_at=duty.due_at)
        news.append(News("duty.open", name, agency=agency, data={"title": case.title}))
    outbox.tell_all(session, news)


def _open_ones(number: str) -> sa.Select[Duty]:
    return sa.select(Duty).where(Duty.campaign == number, Duty.state.not_in(DUTY.ended)).order_by(Duty.agency)


def _tell(session: Session, case: Campaign, action: str) -> None:
    outbox.tell(session, f"campaign.{action}", records.named(CAMPAIGN, case.number), data={"title": case.title})
