"""The notice of a national warning at one agency: it acknowledges, ticks off the level's measures with proof, and is done."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, Number, Progress, Wish, add_steps, progress, set_etag
from api.centre import Centre
from api.checklists import Measure, ProofWish, proof
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.warnings import notices
from respond.warnings.machine import NOTICE
from respond.warnings.models import Notice as Row

router = APIRouter(prefix="/v1/warning-notices", tags=["warnings"])

Reader = Annotated[Principal, Depends(Allowed(Action.WARNINGS_READ))]


class WarningNotice(CaseOut):
    """A warning at one agency. `table_version` is that of the levels file its measures come from."""

    warning: str
    level: str
    table_version: str
    measures: list[Measure]
    acknowledged_at: datetime | None
    done_at: datetime | None


class WarningNoticeDetail(WarningNotice):
    """A notice with how it went."""

    progress: Progress


class WarningNoticePage(BaseModel):
    """Notices, newest first. `next_cursor` is empty on the last page."""

    items: list[WarningNotice]
    next_cursor: str


class Wanted(BaseModel):
    """What to list; several states mean any of them."""

    model_config = ConfigDict(extra="forbid")

    state: list[str] = Field(default=[], max_length=16)
    agency: str = Field(default="", max_length=63)
    warning: str = Field(default="", max_length=40)
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List notices of warnings")
def list_notices(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> WarningNoticePage:
    """Notices within the caller's scope, newest first."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.state:
        conditions.append(Row.state.in_(wanted.state))
    if wanted.agency:
        conditions.append(Row.agency == wanted.agency)
    if wanted.warning:
        conditions.append(Row.warning == wanted.warning)
    scope = caller.scope(Action.WARNINGS_READ)
    with centre.database.session(readonly=True) as session:
        found = records.page(session, Row, scope, *conditions, cursor=wanted.cursor, limit=wanted.limit)
    return WarningNoticePage(items=[shown(one) for one in found.items], next_cursor=found.next_cursor)


@router.get("/{number}", summary="Read a notice of a warning")
def get_notice(number: Number, response: Response, caller: Reader, centre: TheCentre) -> WarningNoticeDetail:
    """A notice with its list of measures, its history and the centre's targets, which are no deadlines of the law."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, NOTICE, Row, caller.scope(Action.WARNINGS_READ), number)
        told = progress(session, NOTICE, row, caller, centre.clock.now())
    set_etag(response, row.version)
    return WarningNoticeDetail(**shown(row).model_dump(), progress=told)


def shown(row: Row) -> WarningNotice:
    """A notice as it is answered."""
    return WarningNotice.model_validate(row, from_attributes=True)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:  # noqa: ARG001
    given = proof(wish) if isinstance(wish, ProofWish) else None
    scope = caller.scope(step.permission)
    return notices.take(session, scope, caller.actor, number, step.action, version, reason=wish.reason, proof=given)


add_steps(router, NOTICE, _take, shown, WarningNotice, wishes={"prove": ProofWish})
