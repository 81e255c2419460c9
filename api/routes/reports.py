"""Accident reports of agencies, article 19(3): drafting, reading, and every step of their machine."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, Instant, Number, Progress, Wish, add_steps, progress, set_etag
from api.centre import Centre
from core.errors import Forbidden
from core.permissions import Action, Agencies, Principal
from respond import outbox
from respond.cases import records
from respond.cases.machine import Step
from respond.reports import service
from respond.reports.content import FIELDS, Accident, PersonalData
from respond.reports.machine import MACHINE
from respond.reports.models import Report as Row
from respond.reports.models import ReportVersion
from respond.reports.service import Draft, Given

router = APIRouter(prefix="/v1/reports", tags=["reports"])

Reader = Annotated[Principal, Depends(Allowed(Action.REPORTS_READ))]
Drafter = Annotated[Principal, Depends(Allowed(Action.REPORTS_WRITE, Action.REPORTS_DRAFT))]
Short = Annotated[str, Field(max_length=300)]
Text = Annotated[str, Field(max_length=8000)]
_EXAMPLE: Final[dict[str, Any]] = {
    "incident": "INC-2026-000001",
    "learned_at": "2026-05-01T03:10:00Z",
    "system": "Civil affairs portal",
    "summary": "Malware was run on the portal's web server",
    "personal_data": "unknown",
}


class ContentIn(BaseModel):
    """Fields of the content; what is not given stays as it was."""

    occurred_at: Instant | None = None
    learned_at: Instant | None = Field(default=None, description="When the agency learned of it; needed to submit")
    system: Short = Field(default="", description="What was attacked; needed to submit")
    type: Accident = Accident.UNKNOWN
    summary: Text = Field(default="", description="What happened; needed to submit")
    impact: Text = ""
    cause: Text = ""
    actions: Text = ""
    contact: Short = Field(default="", description="Who can be asked; never leaves the centre with the feed")
    personal_data: PersonalData = PersonalData.UNKNOWN

    def given(self) -> dict[str, Any]:
        """The fields that were sent, as the service takes them."""
        return {name: value for name, value in self.model_dump(exclude_unset=True).items() if name in FIELDS}


class Drafted(ContentIn):
    """A report to be drafted, about an incident or without one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    incident: str = Field(default="", pattern=r"^(INC-\d{4}-\d{6,12})?$", description="The incident that fills what it can")
    agency: str = Field(default="", max_length=63, description="Empty: the incident's, or the caller's own")
    exercise: bool = Field(default=False, description="Without an incident; about one, the report is an exercise when the incident is")


class ContentWish(ContentIn, Wish):
    """What changes in the report."""


class AskWish(Wish):
    """What the agency is asked, and until when."""

    questions: list[Annotated[str, Field(min_length=1, max_length=2000)]] = Field(min_length=1, max_length=50)
    due_at: Instant | None = None


class Content(BaseModel):
    """What a report says."""

    occurred_at: datetime | None
    learned_at: datetime | None
    system: str
    type: Accident
    summary: str
    impact: str
    cause: str
    actions: str
    contact: str
    personal_data: PersonalData


class Report(CaseOut):
    """A report. `content` is the newest; `late_seconds` counts from the centre's internal target, which is no time limit of the law."""

    about: str
    content: Content
    versions: int
    receipt: str
    submitted_at: datetime | None
    received_at: datetime | None
    late_seconds: int
    late_reason: str


class Version(BaseModel):
    """What was submitted once. `sha256` is that of `content` as canonical JSON (sorted keys, no blanks, UTF-8)."""

    number: int
    kind: str
    content: Content
    sha256: str
    submitted_at: datetime
    submitted_by: str


class ReportDetail(Report):
    """A report with every version and how it went. The clock `report` has the basis `target`: the centre's own wish."""

    submitted: list[Version]
    progress: Progress


class ReportPage(BaseModel):
    """Reports, newest first. `next_cursor` is empty on the last page."""

    items: list[Report]
    next_cursor: str


class Wanted(BaseModel):
    """What to list; several values of one filter mean any of them."""

    model_config = ConfigDict(extra="forbid")

    state: list[str] = Field(default=[], max_length=16)
    agency: str = Field(default="", max_length=63)
    incident: str = Field(default="", max_length=63)
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List accident reports")
def list_reports(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> ReportPage:
    """Reports within the caller's scope, newest first; drafts only of the caller's own agency."""
    conditions = [service.readable(_own(caller))]
    if wanted.state:
        conditions.append(Row.state.in_(wanted.state))
    if wanted.agency:
        conditions.append(Row.agency == wanted.agency)
    if wanted.incident:
        conditions.append(Row.about == f"incident/{wanted.incident}")
    scope = caller.scope(Action.REPORTS_READ)
    with centre.database.session(readonly=True) as session:
        found = records.page(session, Row, scope, *conditions, cursor=wanted.cursor, limit=wanted.limit)
    return ReportPage(items=[_shown(one) for one in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, summary="Draft an accident report")
def draft(drafted: Drafted, response: Response, caller: Drafter, centre: TheCentre) -> Report:
    """Write a report down, filled from its incident; nobody else sees it before it is submitted.

    A linked centre writes drafts for agencies it watches, which an officer of the agency submits; it reads no incidents, so it names none.
    """
    writes = caller.may(Action.REPORTS_WRITE)
    if drafted.incident and not writes:
        raise Forbidden("a linked centre reads no incidents: draft without one")
    wanted = Draft(drafted.incident, drafted.agency, drafted.exercise, drafted.given())
    scope = caller.scope(Action.REPORTS_WRITE if writes else Action.REPORTS_DRAFT)
    with centre.database.session() as session:
        made = _shown(service.draft(session, scope, caller.actor, wanted, _target(centre)))
        if not writes:
            outbox.tell(session, "report.draft", records.named(MACHINE, made.number), agency=made.agency, exercise=made.exercise)
    set_etag(response, made.version)
    return made


@router.get("/{number}", summary="Read an accident report")
def get_report(number: Number, response: Response, caller: Reader, centre: TheCentre) -> ReportDetail:
    """A report with its versions, history, clocks and the steps the caller may take. The ETag is to be sent as If-Match with a step."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, MACHINE, Row, caller.scope(Action.REPORTS_READ), number, service.readable(_own(caller)))
        submitted = [_version(one) for one in service.versions(session, row)]
        told = progress(session, MACHINE, row, caller, centre.clock.now())
    set_etag(response, row.version)
    return ReportDetail(**_shown(row).model_dump(), submitted=submitted, progress=told)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    given = Given()
    if isinstance(wish, ContentWish):
        given = Given(content=wish.given())
    elif isinstance(wish, AskWish):
        given = Given(questions=wish.questions, due_at=wish.due_at)
    return service.take(
        session,
        caller.scope(step.permission),
        caller.actor,
        number,
        step.action,
        version,
        target=_target(centre),
        reason=wish.reason,
        given=given,
    )


def _own(caller: Principal) -> Agencies:
    """The agencies whose drafts the caller may see: those it may report for."""
    return caller.scope(Action.REPORTS_WRITE) if caller.may(Action.REPORTS_WRITE) else frozenset()


def _target(centre: Centre) -> timedelta | None:
    hours = centre.settings.respond.reports.target_hours
    return None if hours is None else timedelta(hours=hours)


def _shown(row: Row) -> Report:
    return Report.model_validate(row, from_attributes=True)


def _version(row: ReportVersion) -> Version:
    return Version(
        number=row.number,
        kind=row.kind,
        content=Content.model_validate(json.loads(row.content)),
        sha256=row.sha256,
        submitted_at=row.submitted_at,
        submitted_by=row.submitted_by,
    )


add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    Report,
    wishes={
        "edit": ContentWish,
        "submit": ContentWish,
        "request_followup": AskWish,
        "submit_followup": ContentWish,
        "submit_closing": ContentWish,
    },
    summaries={
        "request_followup": "Ask for a follow-up",
        "submit_followup": "Submit a follow-up",
        "submit_closing": "Submit the closing report",
    },
)
