"""Investigations of accidents, article 19(1): findings in versions and the chain of custody."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, IncidentFilter, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from core.instants import Instant
from core.permissions import Action, Principal
from respond.cases.machine import Step
from respond.investigations import service
from respond.investigations.machine import MACHINE
from respond.investigations.models import Findings as FindingsRow
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


@router.post("", status_code=201, summary="Begin an investigation")
def start(started: Started, response: Response, caller: Writer, centre: TheCentre) -> Investigation:
    """Begin to investigate an incident [19(1)]."""
    with centre.database.session() as session:
        made = _shown(service.start(session, caller.scope(Action.INCIDENTS_WRITE), caller.actor, started.incident))
    set_etag(response, made.version)
    return made


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


def _version(row: FindingsRow) -> FindingsVersion:
    return FindingsVersion(
        number=row.number,
        content=FindingsOut.model_validate(json.loads(row.content)),
        sha256=row.sha256,
        written_at=row.written_at,
        written_by=row.written_by,
    )


def _told(session: Session, _centre: Centre, _caller: Principal, row: Row, went: Progress) -> InvestigationDetail:
    chain = service.custody(session, row)
    return InvestigationDetail(
        **_shown(row).model_dump(),
        written=[_version(one) for one in service.versions(session, row)],
        custody=[Link.model_validate(one) for one in chain],
        broken_link=service.broken_link(row.number, chain),
        progress=went,
    )


_KIND: Final = Kind(MACHINE, Row, [Action.INCIDENTS_READ], Investigation)
add_list(
    router,
    _KIND,
    IncidentFilter,
    of="Investigations",
    name="list_investigations",
    summary="List investigations",
    description="Investigations within the caller's scope, newest first.",
)
add_read(
    router,
    _KIND,
    InvestigationDetail,
    _told,
    name="get_investigation",
    summary="Read an investigation",
    description="An investigation with its findings, custody, history and the steps the caller may take. The ETag is to be sent as "
    "If-Match.",
)
add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    Investigation,
    wishes={"record_findings": FindingsWish, "take_evidence": TakeWish, "hand_over": HandOverWish},
    summaries={"record_findings": "Write down findings", "take_evidence": "Take evidence", "hand_over": "Hand evidence over"},
)
