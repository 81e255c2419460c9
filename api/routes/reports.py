"""Accident reports of agencies, article 19(3): drafting, reading, and every step of their machine."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, IncidentFilter, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from core.errors import Forbidden
from core.instants import Instant
from core.permissions import Action, Agencies, Principal, Reach
from respond import outbox
from respond.cases import records
from respond.cases.machine import Step
from respond.reports import service
from respond.reports.content import FIELDS, Accident, PersonalData
from respond.reports.machine import MACHINE
from respond.reports.models import Report as Row
from respond.reports.models import ReportVersion
from respond.reports.service import Draft, Given
from respond.warnings import in_force, levels

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


class Wanted(IncidentFilter):
    """Which reports to list."""

    agency: str = Field(default="", max_length=63)


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
        made = _shown(service.draft(session, scope, caller.actor, wanted, _target(session, centre, scope)))
        if not writes:
            outbox.tell(session, "report.draft", records.named(MACHINE, made.number), agency=made.agency, exercise=made.exercise)
    set_etag(response, made.version)
    return made


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
        target=_target(session, centre, caller.scope(step.permission)),
        reason=wish.reason,
        given=given,
    )


def _target(session: Session, centre: Centre, scope: Agencies) -> timedelta | None:
    """The centre's target for reports, or that of the warning's level in force for the agencies, where it is shorter."""
    table = levels.load(centre.settings.respond.warnings)
    warning = in_force.current(session, scope, table)
    told = levels.effects(table, warning.level if warning else "").accident_report_hours
    hours = [one for one in (centre.settings.respond.reports.target_hours, told) if one is not None]
    return timedelta(hours=min(hours)) if hours else None


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


def _sees(caller: Principal) -> list[sa.ColumnElement[bool]]:
    """Drafts only of the agencies the caller may report for; for a privacy officer what is about personal data alone."""
    own = caller.scope(Action.REPORTS_WRITE) if caller.may(Action.REPORTS_WRITE) else frozenset[str]()
    personal = [service.personal()] if _only_personal(caller) else []
    return [records.within(Row, caller.scope(Action.REPORTS_READ)), service.readable(own), *personal]


def _told(session: Session, _centre: Centre, _caller: Principal, row: Row, went: Progress) -> ReportDetail:
    submitted = [_version(one) for one in service.versions(session, row)]
    return ReportDetail(**_shown(row).model_dump(), submitted=submitted, progress=went)


def _only_personal(caller: Principal) -> bool:
    return caller.grants[Action.REPORTS_READ] is Reach.OWN_PERSONAL


def _personal(caller: Principal, row: Row, listed: bool) -> str:
    concerned = row.content["personal_data"] == PersonalData.YES or _only_personal(caller)
    return ("list" if listed else "report") if concerned else ""


_KIND: Final = Kind(MACHINE, Row, [Action.REPORTS_READ], Report, _sees, personal=_personal)
add_list(
    router,
    _KIND,
    Wanted,
    of="Reports",
    name="list_reports",
    summary="List accident reports",
    description="Reports within the caller's scope, newest first; drafts only of the caller's own agency.",
)
add_read(
    router,
    _KIND,
    ReportDetail,
    _told,
    name="get_report",
    summary="Read an accident report",
    description="A report with its versions, history, clocks and the steps the caller may take. The ETag is to be sent as If-Match with a "
    "step.",
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
