"""Accident reports: drafting from an incident, submitting, receiving, follow-ups and the closing report.

- Every submission writes a version that nothing changes any more. Versions of a received report go into the mayor's office feed.
- The clock `report` (basis `target`, never the law's: article 19(3) says "without delay") runs from `learned_at` to the first submission.
  A late report needs a reason and is never refused.
- A draft is its agency's own: `readable` keeps it from everybody else.
- An exercise gets receipts of a sequence of its own and never enters the feed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from core.errors import Conflict, Forbidden, Invalid
from core.permissions import Agencies
from respond import outbox
from respond.cases import clocks, records
from respond.cases.canonical import canonical, instant_text, sha256
from respond.cases.clocks import Basis
from respond.cases.records import Taken
from respond.feed import entries
from respond.incidents.queries import get_incident
from respond.incidents.sight import Sight
from respond.models import Incident
from respond.reports import content as contents
from respond.reports.machine import MACHINE
from respond.reports.models import Report, ReportVersion
from respond.reports.prefill import from_incident

REPORT: Final = "report"
FOLLOWUP: Final = "followup"
RECEIPT: Final = "RCP"
EXERCISE_RECEIPT: Final = "RCX"
TARGET_SOURCE: Final = "respond.reports.target_hours (internal target of the centre, not a time limit of the law)"
_KINDS: Final = {"submit": "first", "submit_followup": "followup", "submit_closing": "closing"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A report to be drafted: about an incident (its number), or '' with the agency named; `given` are fields of the content."""

    incident: str = ""
    agency: str = ""
    exercise: bool = False
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Given:
    """What comes with a step: fields of the content, the lead's questions, and until when they are to be answered."""

    content: Mapping[str, Any] = field(default_factory=dict)
    questions: Sequence[str] = ()
    due_at: datetime | None = None


def readable(own: Agencies) -> sa.ColumnElement[bool]:
    """That a report is no draft, or one of the agencies the reader may write for."""
    return sa.or_(Report.state != MACHINE.initial, records.within(Report, own))


def personal() -> sa.ColumnElement[bool]:
    """That a report is about personal data: it says so, or its incident is marked so. For readers who see nothing else."""
    said = sa.type_coerce(Report.content, sa.JSON)["personal_data"].as_string() == contents.PersonalData.YES.value
    marked = sa.select(sa.literal("incident/", sa.Text) + Incident.number).where(Incident.personal_data.is_(True))
    return sa.or_(said, Report.about.in_(marked))


def draft(session: Session, scope: Agencies, actor: str, wanted: Draft, target: timedelta | None) -> Report:
    """Write a report down for its agency alone, filled from its incident. NotFound and Forbidden outside the scope.

    `target` is how long after learning of it an accident should be reported; None when the centre set no target.
    """
    agency, exercise, filled, about = wanted.agency, wanted.exercise, dict[str, Any](), ""
    if wanted.incident:
        detail = get_incident(session, Sight(scope, actor), wanted.incident)
        if detail.incident.merged_into:
            raise Conflict(f"{wanted.incident} was merged into {detail.incident.merged_into}: report that")
        if wanted.exercise and not detail.incident.exercise:
            raise Invalid(f"{wanted.incident} is no exercise, so its report is none")
        agency, exercise = detail.incident.agency, detail.incident.exercise
        filled, about = from_incident(detail), f"incident/{wanted.incident}"
    if not agency and scope is not None and len(scope) == 1:
        (agency,) = scope
    if not agency:
        raise Invalid("a report is of one agency")
    if scope is not None and agency not in scope:
        raise Forbidden("this identity may not report for this agency")
    content = contents.changed({}, {**filled, **wanted.given}, now(session))
    row = Report(
        agency=agency,
        exercise=exercise,
        about=about,
        content=content,
        versions=0,
        receipt="",
        submitted_at=None,
        received_at=None,
        late_seconds=0,
        late_reason="",
    )
    made = records.open_case(session, MACHINE, row, actor, {"about": about})
    _run_clock(session, made, target)
    return made


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    *,
    target: timedelta | None,
    reason: str = "",
    given: Given | None = None,
) -> Report:
    """Take a step of the machine; see `records.begin` for what it refuses."""
    step = records.begin(session, MACHINE, Report, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    told = _act(step, given or Given(), target)
    case = step.done(told)
    if action != "edit":
        news = {"about": case.about, "personal_data": case.content["personal_data"]}
        outbox.tell(session, f"report.{action}", records.named(MACHINE, number), agency=case.agency, exercise=case.exercise, data=news)
    return case


def versions(session: Session, report: Report) -> Sequence[ReportVersion]:
    """Every version of a report, oldest first. The caller has found the report within its scope."""
    return session.scalars(sa.select(ReportVersion).where(ReportVersion.report_id == report.id).order_by(ReportVersion.number)).all()


def _act(step: Taken[Report], given: Given, target: timedelta | None) -> dict[str, Any]:
    """What a step does beyond the state; gives what the history keeps of it."""
    case, name = step.case, records.named(MACHINE, step.case.number)
    match step.step.action:
        case "edit":
            case.content = contents.changed(case.content, given.content, step.at)
            _run_clock(step.session, case, target)
            return {}
        case "submit":
            return _submitted_first(step, given, target)
        case "receive":
            return _received(step)
        case "request_followup":
            return _asked(step, given)
        case "submit_followup":
            clocks.stop(step.session, name, FOLLOWUP, step.at)
            return _submitted_later(step, given, contents.FIRST)
        case "submit_closing":
            return _submitted_later(step, given, contents.CLOSING)
        case "close":
            clocks.stop_all(step.session, name, step.at)
    return {}


def _submitted_first(step: Taken[Report], given: Given, target: timedelta | None) -> dict[str, Any]:
    case = step.case
    case.content = contents.changed(case.content, given.content, step.at)
    contents.require(case.content, contents.FIRST, "a report")
    late = _lateness(case, target, step.at)
    if late and not step.reason:
        raise Invalid(
            "this report is past the internal target of the centre (not a time limit of the law): give the reason, and it is taken"
        )
    _run_clock(step.session, case, target)
    clocks.stop(step.session, records.named(MACHINE, case.number), REPORT, step.at)
    case.submitted_at = step.at
    case.late_seconds = math.ceil(late.total_seconds())
    case.late_reason = step.reason if late else ""
    written = _write(step)
    return {"content_version": written.number, "sha256": written.sha256, "late_seconds": case.late_seconds}


def _submitted_later(step: Taken[Report], given: Given, needed: Sequence[str]) -> dict[str, Any]:
    case = step.case
    case.content = contents.changed(case.content, given.content, step.at)
    contents.require(case.content, needed, f"a {_KINDS[step.step.action]} report")
    written = _write(step)
    _publish(step, written)
    return {"content_version": written.number, "sha256": written.sha256}


def _received(step: Taken[Report]) -> dict[str, Any]:
    case = step.case
    (case.receipt,) = records.next_numbers(step.session, EXERCISE_RECEIPT if case.exercise else RECEIPT, step.at)
    case.received_at = step.at
    for written in versions(step.session, case):
        _publish(step, written)
    return {"receipt": case.receipt}


def _asked(step: Taken[Report], given: Given) -> dict[str, Any]:
    questions = [text.strip() for text in given.questions if text.strip()]
    if not questions:
        raise Invalid("a follow-up is requested with at least one question")
    if given.due_at is not None:
        if given.due_at <= step.at:
            raise Invalid("the due time has passed already")
        clocks.start(
            step.session,
            records.named(MACHINE, step.case.number),
            step.case.agency,
            FOLLOWUP,
            basis=Basis.SET,
            source="set with the question",
            started_at=step.at,
            due_at=given.due_at,
        )
    return {"questions": questions, "due_at": given.due_at and instant_text(given.due_at)}


def _write(step: Taken[Report]) -> ReportVersion:
    case = step.case
    case.versions += 1
    text = canonical(case.content)
    written = ReportVersion(
        report_id=case.id,
        number=case.versions,
        kind=_KINDS[step.step.action],
        content=text,
        sha256=sha256(text),
        submitted_at=step.at,
        submitted_by=step.actor,
    )
    step.session.add(written)
    step.session.flush()
    return written


def _publish(step: Taken[Report], written: ReportVersion) -> None:
    """Put a version into the feed; the contact stays here: the mayor's office asks the centre, and the feed leaves the building.

    What is about a restricted incident stays here too: the feed has no compartments.
    """
    case = step.case
    if case.exercise or step.session.scalar(sa.select(~records.known_to(Report, "")).where(Report.id == case.id)):
        return
    said = {name: value for name, value in json.loads(written.content).items() if name != "contact"}
    published = {
        "report": case.number,
        "receipt": case.receipt,
        "agency": case.agency,
        "incident": case.about.removeprefix("incident/"),
        "version": written.number,
        "kind": written.kind,
        "submitted_at": instant_text(written.submitted_at),
        "received_at": instant_text(case.received_at) if case.received_at else None,
        "late_seconds": case.late_seconds,
        "late_reason": case.late_reason,
        **said,
        "version_sha256": written.sha256,
    }
    entries.publish(step.session, published)


def _run_clock(session: Session, case: Report, target: timedelta | None) -> None:
    """Let the clock run from `learned_at` as it is stated now; without it nothing is waited for."""
    learned, name = contents.instant(case.content, "learned_at"), records.named(MACHINE, case.number)
    if learned is None:
        clocks.stop(session, name, REPORT, now(session))
        return
    due_at = None if target is None else learned + target
    clocks.start(
        session,
        name,
        case.agency,
        REPORT,
        basis=Basis.TARGET,
        source=TARGET_SOURCE,
        started_at=learned,
        due_at=due_at,
        exercise=case.exercise,
    )


def _lateness(case: Report, target: timedelta | None, at: datetime) -> timedelta:
    learned = contents.instant(case.content, "learned_at")
    if target is None or learned is None:
        return timedelta(0)
    return max(at - learned - target, timedelta(0))
