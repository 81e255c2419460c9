"""The audit trail, for those who answer for it and those who audit them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from core.instants import Instant
from core.permissions import Action, Principal
from core.signing import key_id, load_signer
from respond import trail
from respond.audit import record
from respond.incidents.linked import closed_names
from respond.incidents.sight import closed
from respond.models import Audit, AuditCheckpoint

router = APIRouter(prefix="/v1/audit", tags=["audit"])

Reader = Annotated[Principal, Depends(Allowed(Action.AUDIT_READ))]
Verifying = Annotated[Principal, Depends(Allowed(Action.AUDIT_VERIFY))]
_EXAMPLE: Final[dict[str, Any]] = {
    "seq": 41,
    "at": "2026-01-02T03:04:05Z",
    "actor": "user:kim",
    "action": "request.issue",
    "object": "request/REQ-2026-000001",
    "agency": "seogu",
    "detail": '{"agency":"seogu","from":"draft","to":"issued"}',
    "prev_hash": "0f" * 32,
    "hash": "1e" * 32,
}


class Entry(BaseModel):
    """One row: who did what to what. `detail` is JSON text exactly as it was hashed."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    agency: str
    detail: str
    prev_hash: str
    hash: str


class EntryPage(BaseModel):
    """Rows, newest first. `next_cursor` is empty on the last page."""

    items: list[Entry]
    next_cursor: str


class Verified(BaseModel):
    """Whether the chain and its signatures are whole; `problem` is empty when they are."""

    entries: int
    head: str
    checkpoints: int
    signed_until: int
    keys: list[str]
    problem: str


class Checkpoint(BaseModel):
    """A signature over the chain up to row `seq`. `key` is the id of the key that signed."""

    seq: int
    at: datetime
    key: str


class Checkpoints(BaseModel):
    """How many signatures there are, and some of them, newest first. `next_cursor` is empty on the last page."""

    total: int
    items: list[Checkpoint]
    next_cursor: str


class Wanted(BaseModel):
    """What to list; empty means any."""

    model_config = ConfigDict(extra="forbid")

    object: str = Field(default="", max_length=200, description="Such as incident/INC-2026-000001")
    actor: str = Field(default="", max_length=200)
    action: str = Field(default="", max_length=100)
    since: Instant | None = None
    until: Instant | None = None
    cursor: str = Field(default="", pattern=r"^[0-9]{0,18}$", description="`next_cursor` of the page before; empty: from the newest")
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="Read the audit trail")
def list_audit(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> EntryPage:
    """Who did what to what, within the caller's scope, newest first; of restricted incidents for their members alone."""
    query = sa.select(Audit).where(*_conditions(wanted), _open_to(caller.actor))
    scope = caller.scope(Action.AUDIT_READ)
    if scope is not None:
        query = query.where(Audit.agency.in_(scope))
    if wanted.cursor:
        query = query.where(Audit.seq < int(wanted.cursor))
    with centre.database.session(readonly=True) as session:
        rows = session.scalars(query.order_by(Audit.seq.desc()).limit(wanted.limit + 1)).all()
    following = str(rows[wanted.limit - 1].seq) if len(rows) > wanted.limit else ""
    return EntryPage(items=[Entry.model_validate(row) for row in rows[: wanted.limit]], next_cursor=following)


@router.get("/checkpoints", summary="See up to where the audit trail is signed")
def list_checkpoints(
    caller: Reader,  # noqa: ARG001 - whoever reads the trail reads all of it
    centre: TheCentre,
    cursor: paging.RowCursor = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Checkpoints:
    """The signatures, as they are kept; whether they are good is what verifying says."""
    query = sa.select(AuditCheckpoint).order_by(AuditCheckpoint.seq.desc()).limit(limit + 1)
    if cursor:
        query = query.where(AuditCheckpoint.seq < int(cursor))
    with centre.database.session(readonly=True) as session:
        total = session.scalar(sa.select(sa.func.count()).select_from(AuditCheckpoint)) or 0
        rows = session.scalars(query).all()
    following = str(rows[limit - 1].seq) if len(rows) > limit else ""
    shown = [Checkpoint(seq=row.seq, at=row.at, key=key_id(row.key)) for row in rows[:limit]]
    return Checkpoints(total=total, items=shown, next_cursor=following)


@router.get("/verify", summary="Verify the audit trail")
def verify(caller: Verifying, centre: TheCentre) -> Verified:
    """Walk the whole chain: any row changed, removed or moved is named. That it was done, and what came of it, becomes a row.

    `bongsu audit verify` does the same, and looks at the copy too.
    """
    signer = load_signer(centre.settings.signing_key)
    with centre.database.session(readonly=True) as session:
        found = trail.verify_database(session, signer)
    with centre.database.session() as session:
        record(session, caller.actor, "audit.verified", "audit", {"entries": found.entries, "head": found.head, "problem": found.problem})
    return Verified(
        entries=found.entries,
        head=found.head,
        checkpoints=found.checkpoints,
        signed_until=found.signed_until,
        keys=sorted(found.keys),
        problem=found.problem,
    )


@router.get("/export", summary="Take the audit trail away", response_class=StreamingResponse)
def export(caller: Verifying, centre: TheCentre) -> StreamingResponse:
    """Every row and signature as JSON lines, to be verified elsewhere with `bongsu audit verify FILE --key KEY`.

    A chain verifies whole or not at all, so this names restricted incidents by their numbers too; who takes it away is recorded.
    """
    signer = load_signer(centre.settings.signing_key)
    with centre.database.session() as session:
        record(session, caller.actor, "audit.exported", "audit", {})
        session.flush()
        trail.make_checkpoint(session, signer)

    def written() -> Any:
        with centre.database.session(readonly=True) as session:
            for text in trail.lines(session):
                yield f"{text}\n"

    headers = {"Content-Disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(written(), media_type="application/x-ndjson", headers=headers)


def _open_to(reader: str) -> sa.ColumnElement[bool]:
    """That a row tells of no restricted incident the reader is no member of, neither as what it is about nor in passing."""
    numbers = closed(reader).subquery()
    told = sa.exists().where(Audit.detail.contains(numbers.c.number))
    return sa.and_(Audit.object.not_in(closed_names(reader)), ~told)


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    named = {Audit.object: wanted.object, Audit.actor: wanted.actor, Audit.action: wanted.action}
    conditions = [column == value for column, value in named.items() if value]
    if wanted.since:
        conditions.append(Audit.at >= wanted.since)
    if wanted.until:
        conditions.append(Audit.at < wanted.until)
    return conditions
