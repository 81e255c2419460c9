"""The intake ledger: what it says, how it stands, and checking it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from api.ledger import MEANS, Discrepancy, LedgerStanding, Numbers, standing
from core.instants import Instant
from core.permissions import Action, Principal
from ingest.ledger.checking import Checking
from ingest.ledger.models import LedgerEntry
from respond.audit import record

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

Reader = Annotated[Principal, Depends(Allowed(Action.COUNTERS_READ))]
# Auditors, and who watches the system: there is nothing in it but counts, and a machine may ask it now and then.
Verifying = Annotated[Principal, Depends(Allowed(Action.AUDIT_VERIFY, Action.METRICS_READ))]
_NUMBERS: Final = {"received": 36000, "stored": 35990, "quarantined": 10, "evaluated": 35990}
_EXAMPLE: Final[dict[str, Any]] = {
    "seq": 41,
    "at": "2026-01-02T04:02:05Z",
    "hour": "2026-01-02T03:00:00Z",
    "agency": "seogu",
    "source": "fw-1",
    "exercise": False,
    "revision": 1,
    **_NUMBERS,
    "holds": True,
    "prev_hash": "0f" * 32,
    "hash": "1e" * 32,
}


class Entry(BaseModel):
    """The lines of a source in an hour. It holds when `received = stored + quarantined` and `stored = evaluated`.

    The entry with the greatest `revision` of an hour, agency, source and exercise is the one that counts.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

    seq: int
    at: datetime = Field(description="When it was entered")
    hour: datetime = Field(description="The start of the hour in which the lines were received")
    agency: str
    source: str
    exercise: bool = Field(description="Lines of drills are counted apart")
    revision: int
    received: int
    stored: int
    quarantined: int
    evaluated: int
    holds: bool
    prev_hash: str
    hash: str


class EntryPage(BaseModel):
    """Entries, newest first. `next_cursor` is empty on the last page."""

    items: list[Entry]
    next_cursor: str


class Report(BaseModel):
    """What a check found. Of the problems 200 are told, `left_out` is the number of the others."""

    at: datetime
    kind: str = Field(description="whole, or recent: what belongs to the last day")
    holds: bool
    entries: int = Field(description="The last entry of the chain up to which all is well")
    head: str
    hours: int = Field(description="Hours of which all was counted again")
    open_hours: int = Field(description="Of these, hours no entry tells of yet")
    counted: Numbers
    before: int = Field(description="Lines in the store from before the ledger began")
    waiting: dict[str, int] = Field(description="Messages before each stage; while there are any, open hours are not judged")
    problems: list[Discrepancy]
    left_out: int


class Wanted(BaseModel):
    """What to list; empty means any."""

    model_config = ConfigDict(extra="forbid")

    agency: str = Field(default="", max_length=200)
    source: str = Field(default="", max_length=200)
    since: Instant | None = Field(default=None, description="Hours that begin at or after it")
    until: Instant | None = Field(default=None, description="Hours that begin before it")
    holds: bool | None = None
    cursor: str = Field(default="", pattern=r"^[0-9]{0,18}$", description="`next_cursor` of the page before; empty: from the newest")
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="Read the intake ledger")
def list_entries(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> EntryPage:
    """What was received, stored, quarantined and evaluated by hour and source, within the caller's scope, newest entry first."""
    query = sa.select(LedgerEntry).where(*_conditions(wanted))
    scope = caller.scope(Action.COUNTERS_READ)
    if scope is not None:
        query = query.where(LedgerEntry.agency.in_(scope))
    if wanted.cursor:
        query = query.where(LedgerEntry.seq < int(wanted.cursor))
    with centre.database.session(readonly=True) as session:
        rows = session.scalars(query.order_by(LedgerEntry.seq.desc()).limit(wanted.limit + 1)).all()
    following = str(rows[wanted.limit - 1].seq) if len(rows) > wanted.limit else ""
    return EntryPage(items=[Entry.model_validate(row) for row in rows[: wanted.limit]], next_cursor=following)


@router.get("/status", summary="See how the intake ledger stands")
def status(caller: Reader, centre: TheCentre) -> LedgerStanding:
    """Up to when hours are closed, whether they hold, and what the last checks said, of the agencies within the caller's scope."""
    with centre.database.session(readonly=True) as session:
        return standing(session, caller.scope(Action.COUNTERS_READ), centre.clock.now())


@router.get("/verify", summary="Verify the intake ledger")
async def verify(caller: Verifying, centre: TheCentre) -> Report:
    """Walk the chain, count everything again from the store and the bus' offsets, and say what is wrong and where.

    That it was done, and what came of it, becomes a row of the audit trail. It takes time: all that is stored is counted.
    `bongsu ledger verify` does the same.
    """
    checking = Checking(centre.store, centre.bus, centre.database, centre.clock, MEANS)
    found = await checking.check("whole")
    said = {"entries": found.entries, "head": found.head, "problems": len(found.problems) + found.left_out}
    await asyncio.to_thread(_note, centre, caller, said)
    return Report.model_validate(found.plain())


def _note(centre: Centre, caller: Principal, said: dict[str, Any]) -> None:
    with centre.database.session() as session:
        record(session, caller.actor, "ledger.verified", "ledger", said)


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    named = {LedgerEntry.agency: wanted.agency, LedgerEntry.source: wanted.source}
    conditions = [column == value for column, value in named.items() if value]
    if wanted.since:
        conditions.append(LedgerEntry.hour >= wanted.since)
    if wanted.until:
        conditions.append(LedgerEntry.hour < wanted.until)
    if wanted.holds is not None:
        conditions.append(LedgerEntry.holds.is_(wanted.holds))
    return conditions
