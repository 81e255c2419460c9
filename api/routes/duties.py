"""The annual duties of agencies (articles 15, 21, 25): the list of what is overdue, every step, and files kept as evidence."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import files, paging
from api.access_rights import access_rights
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, Number, Progress, Wish, add_steps, progress
from api.centre import Centre
from api.checklists import Measure, ProofWish, proof
from api.etags import set_etag
from api.incident_shapes import FileName
from core.config import Level
from core.instants import Instant
from core.permissions import Action, Principal
from respond.cases import files as kept
from respond.cases import records
from respond.cases.machine import Step
from respond.duties import service
from respond.duties.machine import DUTY, LAW, Kind
from respond.duties.models import Duty as Row
from respond.duties.provenance import LONGEST_NOTE
from respond.duties.service import Found

router = APIRouter(prefix="/v1/duties", tags=["duties"])

Reader = Annotated[Principal, Depends(Allowed(Action.DUTIES_READ))]
Contributor = Annotated[Principal, Depends(Allowed(Action.DUTIES_ANSWER, Action.DUTIES_WRITE))]
Text = Annotated[str, Field(min_length=1, max_length=records.LONGEST_REASON)]
_LIMIT: Final = "respond.duties.file_mb"
_FOUND: Final[dict[str, Any]] = {"subject": "websites", "severity": "high", "finding": "The CMS is out of support", "measure": "Update it"}


class Finding(BaseModel):
    """Something that was found."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_FOUND]})

    subject: str = Field(default="", max_length=60, description="A subject of the duty; empty: none of them")
    severity: Level
    finding: Text
    measure: Text = Field(description="What is to be done about it")


class InspectWish(Wish):
    """What the centre looked at itself."""

    result: Text


class CiteWish(Wish):
    """Data already submitted."""

    object: str = Field(max_length=60, examples=["report/RPT-2026-000001"], description="A report, request, duty or drill of the agency")
    note: str = Field(default="", max_length=LONGEST_NOTE, description="What of it was used")


class FindingsWish(Wish):
    """What came of it."""

    result: Text
    findings: list[Finding] = Field(default=[], max_length=service.MOST_FINDINGS, description="They are added; empty: nothing was found")


class CorrectionWish(Wish):
    """Findings that are to be put right."""

    findings: list[int] = Field(min_length=1, max_length=service.MOST_ITEMS, description="Their numbers")
    due_at: Instant | None = Field(default=None, description="Needed at the latest when the request is issued")


class InternalAuditWish(Wish):
    """Who is asked."""

    body: Text = Field(description="The internal audit body")


class ExtendWish(Wish):
    """Another time."""

    due_at: Instant


class Subject(Measure):
    """A subject; `law` is the item that names it, empty when it is the centre's own."""

    law: str


class FoundOut(Finding):
    """A finding; `request` is the corrective request drafted of it, or empty."""

    number: int
    request: str


class Cited(BaseModel):
    """Data that was used. `version` and `sha256` are those it had; a case without a text of its own has no `sha256`."""

    object: str
    version: int
    sha256: str
    note: str
    by: str
    at: str


class DutyFile(BaseModel):
    """A file kept as evidence; its bytes are at `/v1/duties/{number}/files/{id}`."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    author: str
    name: str
    size: int
    sha256: str


class Duty(CaseOut):
    """The duty of an agency (empty: the centre's own). `overdue` forbids nothing; `law` is the paragraph it carries out."""

    campaign: str
    kind: Kind
    law: str
    year: int
    title: str
    standards: str
    due_at: datetime
    overdue: bool
    answered_at: datetime | None
    inspected_at: datetime | None
    done_at: datetime | None
    signed_off_by: str


class DutyDetail(Duty):
    """A duty with what was looked at, used and found, its files and how it went."""

    subjects: list[Subject]
    provenance: list[Cited]
    result: str
    findings: list[FoundOut]
    internal_audit: str
    files: list[DutyFile]
    progress: Progress


class DutyPage(BaseModel):
    """Duties, newest first. `next_cursor` is empty on the last page."""

    items: list[Duty]
    next_cursor: str


class Wanted(BaseModel):
    """What to list; several values of one filter mean any of them."""

    model_config = ConfigDict(extra="forbid")

    campaign: str = Field(default="", max_length=40)
    kind: list[Kind] = Field(default=[], max_length=8)
    state: list[str] = Field(default=[], max_length=16)
    agency: str = Field(default="", max_length=63)
    year: int | None = Field(default=None, ge=2000, le=2199)
    overdue: bool | None = None
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List annual duties")
def list_duties(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> DutyPage:
    """Duties within the caller's scope, newest first; `overdue=true` is the list of who is behind."""
    at, scope = centre.clock.now(), caller.scope(Action.DUTIES_READ)
    with centre.database.session(readonly=True) as session:
        found = records.page(session, Row, scope, *_conditions(wanted, at), cursor=wanted.cursor, limit=wanted.limit)
    return DutyPage(items=[_shown(one, at) for one in found.items], next_cursor=found.next_cursor)


@router.get("/{number}", summary="Read an annual duty")
def get_duty(number: Number, response: Response, caller: Reader, centre: TheCentre) -> DutyDetail:
    """A duty with its history, its clock and the steps the caller may take."""
    at = centre.clock.now()
    with centre.database.session(readonly=True) as session:
        row = records.find(session, DUTY, Row, caller.scope(Action.DUTIES_READ), number)
        listed = kept.of_case(session, records.named(DUTY, number))
        told = progress(session, DUTY, row, caller, at)
    set_etag(response, row.version)
    more = {name: getattr(row, name) for name in ("subjects", "provenance", "result", "findings", "internal_audit")}
    shown = [DutyFile.model_validate(one) for one in listed]
    return DutyDetail.model_validate({**_shown(row, at).model_dump(), **more, "files": shown, "progress": told})


@router.post("/{number}/files", status_code=201, summary="Keep a file with an annual duty", openapi_extra=files.upload(_LIMIT))
async def attach(request: Request, number: Number, name: Annotated[FileName, Query()], caller: Contributor, centre: TheCentre) -> DutyFile:
    """Keep a file as evidence under its SHA-256, until the duty is done or waived. The same bytes under the same name are kept once."""
    content = await files.received(request, centre.settings.respond.duties.file_mb, _LIMIT)
    return await asyncio.to_thread(_attach, centre, caller, number, name, content)


@router.get(
    "/{number}/files/{file_id}",
    summary="Download a file of an annual duty",
    response_class=Response,
    responses=files.DOWNLOAD,
)
def download(number: Number, file_id: paging.RowNumber, caller: Reader, centre: TheCentre) -> Response:
    """The file's bytes, always as a download."""
    with centre.database.session(readonly=True) as session:
        records.find(session, DUTY, Row, caller.scope(Action.DUTIES_READ), number)
        row = kept.find(session, records.named(DUTY, number), file_id)
    return files.download(row.name, row.sha256, row.content)


def _attach(centre: Centre, caller: Principal, number: str, name: str, content: bytes) -> DutyFile:
    action = Action.DUTIES_WRITE if caller.may(Action.DUTIES_WRITE) else Action.DUTIES_ANSWER
    with centre.database.session() as session:
        return DutyFile.model_validate(service.attach(session, caller.scope(action), caller.actor, number, name, content))


def _conditions(wanted: Wanted, at: datetime) -> list[sa.ColumnElement[bool]]:
    named = {Row.campaign: wanted.campaign, Row.agency: wanted.agency, Row.year: wanted.year}
    conditions: list[sa.ColumnElement[bool]] = [column == value for column, value in named.items() if value]
    if wanted.kind:
        conditions.append(Row.kind.in_([one.value for one in wanted.kind]))
    if wanted.state:
        conditions.append(Row.state.in_(wanted.state))
    if wanted.overdue is not None:
        conditions.append(service.overdue(at) if wanted.overdue else sa.not_(service.overdue(at)))
    return conditions


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    asked = (session, caller.scope(step.permission), caller.actor, number, version)
    match wish:
        case ProofWish():
            return service.prove(*asked, proof(wish))
        case InspectWish():
            duty = records.find(session, DUTY, Row, asked[1], number)
            rights = access_rights(session, duty.agency, centre.clock.now()) if duty.kind == Kind.ACCESS_REVIEW else None
            return service.inspect(*asked, wish.result, rights)
        case CiteWish():
            return service.cite(*asked, wish.object, wish.note)
        case FindingsWish():
            return service.record_findings(*asked, wish.result, [Found(**one.model_dump()) for one in wish.findings])
        case CorrectionWish():
            return service.request_correction(*asked, wish.findings, wish.due_at, caller.scope(Action.REQUESTS_DRAFT))
        case InternalAuditWish():
            return service.ask_internal_audit(*asked, wish.body)
        case ExtendWish():
            return service.extend(*asked, wish.reason, wish.due_at)
    if step.action == "answer":
        return service.answer(*asked)
    plain = {"send_back": service.send_back, "sign_off": service.sign_off, "waive": service.waive, "reopen": service.reopen}
    return plain[step.action](*asked, wish.reason)


def _shown(row: Row, at: datetime | None = None) -> Duty:
    """The duty as it is at `at`; by default when it was changed."""
    made = {"law": LAW[Kind(row.kind)], "overdue": service.is_overdue(row, at or row.updated_at)}
    return Duty.model_validate({name: getattr(row, name) for name in Duty.model_fields if name not in made} | made)


add_steps(
    router,
    DUTY,
    _take,
    _shown,
    Duty,
    wishes={
        "prove": ProofWish,
        "inspect": InspectWish,
        "cite": CiteWish,
        "record_findings": FindingsWish,
        "request_correction": CorrectionWish,
        "ask_internal_audit": InternalAuditWish,
        "extend": ExtendWish,
    },
)
