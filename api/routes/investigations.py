"""Investigations of accidents, article 19(1): findings in versions and the chain of custody."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import disclosure, paging
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, Instant, Number, Progress, Wish, add_steps, progress, set_etag
from api.centre import Centre
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.investigations import service
from respond.investigations.machine import MACHINE
from respond.investigations.models import Investigation as Row
from respond.investigations.service import Handling

router = APIRouter(prefix="/v1/investigations", tags=["investigations"])

Reader = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_WRITE))]
Text = Annotated[str, Field(max_length=8000)]
Short = Annotated[str, Field(min_length=1, max_length=300)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the thing, or of its image")]
_EXAMPLE: Final[dict[str, Any]] = {"incident": "INC-2026-000001"}


class Started(BaseModel):
    """The incident to be investigated."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    incident: str = Field(pattern=r"^INC-\d{4}-\d{6,12}$")


class Moment(BaseModel):
    """Something that happened."""

    model_config = ConfigDict(extra="forbid")

    at: Instant
    what: Annotated[str, Field(min_length=1, max_length=2000)]


class FindingsWish(Wish):
    """What was found out; what is not given stays as it was."""

    perpetrator: Text = ""
    cause: Text = ""
    damage: Text = ""
    timeline: list[Moment] = Field(default=[], max_length=1000)


class TakeWish(Wish):
    """A thing that is taken as evidence."""

    description: Short
    holder: Short = Field(description="Who has it now")
    place: str = Field(default="", max_length=300)
    sha256: Hash
    at: Instant


class HandOverWish(Wish):
    """A thing that changes hands. `sha256` as it is now: a difference is recorded, not refused."""

    item: int = Field(ge=1)
    holder: Short = Field(description="Who has it from now on")
    place: str = Field(default="", max_length=300)
    sha256: Hash
    at: Instant


class FindingsOut(BaseModel):
    """What was found out."""

    perpetrator: str = ""
    cause: str = ""
    damage: str = ""
    timeline: list[Moment] = []


class Investigation(CaseOut):
    """An investigation. `findings` are the newest; `evidence` counts the things taken."""

    about: str
    findings: FindingsOut
    versions: int
    evidence: int


class FindingsVersion(BaseModel):
    """Findings as they were written once. `sha256` is that of `content` as canonical JSON."""

    number: int
    content: FindingsOut
    sha256: str
    written_at: datetime
    written_by: str


class Link(BaseModel):
    """One link of the chain of custody: `holder` has `item` from `at` on."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    item: int
    event: str
    description: str
    holder: str
    place: str
    evidence_sha256: str
    intact: bool
    at: datetime
    recorded_at: datetime
    recorded_by: str
    prev_hash: str
    hash: str


class InvestigationDetail(Investigation):
    """An investigation with every version, the chain of custody and how it went. `broken_link` is 0 when the chain is whole."""

    written: list[FindingsVersion]
    custody: list[Link]
    broken_link: int
    progress: Progress


class InvestigationPage(BaseModel):
    """Investigations, newest first. `next_cursor` is empty on the last page."""

    items: list[Investigation]
    next_cursor: str


class Wanted(BaseModel):
    """What to list; several values of one filter mean any of them."""

    model_config = ConfigDict(extra="forbid")

    state: list[str] = Field(default=[], max_length=16)
    incident: str = Field(default="", max_length=63)
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List investigations")
def list_investigations(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> InvestigationPage:
    """Investigations within the caller's scope, newest first."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.state:
        conditions.append(Row.state.in_(wanted.state))
    if wanted.incident:
        conditions.append(Row.about == f"incident/{wanted.incident}")
    with centre.database.session(readonly=True) as session:
        scope = caller.scope(Action.INCIDENTS_READ)
        found = records.page(session, Row, scope, *conditions, cursor=wanted.cursor, limit=wanted.limit, reader=caller.actor)
    disclosure.note_cases(centre.database, caller, MACHINE, found.items, "list")
    return InvestigationPage(items=[_shown(one) for one in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, summary="Begin an investigation")
def start(started: Started, response: Response, caller: Writer, centre: TheCentre) -> Investigation:
    """Begin to investigate an incident [19(1)]."""
    with centre.database.session() as session:
        made = _shown(service.start(session, caller.scope(Action.INCIDENTS_WRITE), caller.actor, started.incident))
    set_etag(response, made.version)
    return made


@router.get("/{number}", summary="Read an investigation")
def get_investigation(number: Number, response: Response, caller: Reader, centre: TheCentre) -> InvestigationDetail:
    """An investigation with its findings, custody, history and the steps the caller may take. The ETag is to be sent as If-Match."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, MACHINE, Row, caller.scope(Action.INCIDENTS_READ), number, reader=caller.actor)
        written = [
            FindingsVersion(
                number=one.number,
                content=FindingsOut.model_validate(json.loads(one.content)),
                sha256=one.sha256,
                written_at=one.written_at,
                written_by=one.written_by,
            )
            for one in service.versions(session, row)
        ]
        chain = service.custody(session, row)
        told = progress(session, MACHINE, row, caller, centre.clock.now())
    disclosure.note_cases(centre.database, caller, MACHINE, [row], "case")
    set_etag(response, row.version)
    return InvestigationDetail(
        **_shown(row).model_dump(),
        written=written,
        custody=[Link.model_validate(one) for one in chain],
        broken_link=service.broken_link(number, chain),
        progress=told,
    )


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:  # noqa: ARG001
    findings, handling = None, None
    if isinstance(wish, FindingsWish):
        findings = wish.model_dump(mode="json", exclude={"reason"}, exclude_unset=True)
    elif isinstance(wish, TakeWish | HandOverWish):
        handling = Handling(**wish.model_dump(exclude={"reason"}))
    return service.take(
        session,
        caller.scope(step.permission),
        caller.actor,
        number,
        step.action,
        version,
        reason=wish.reason,
        findings=findings,
        handling=handling,
    )


def _shown(row: Row) -> Investigation:
    return Investigation.model_validate(row, from_attributes=True)


add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    Investigation,
    wishes={"record_findings": FindingsWish, "take_evidence": TakeWish, "hand_over": HandOverWish},
    summaries={"record_findings": "Write down findings", "take_evidence": "Take evidence", "hand_over": "Hand evidence over"},
)
