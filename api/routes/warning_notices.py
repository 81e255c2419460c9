"""The notice of a national warning at one agency: it acknowledges, ticks off the level's measures with proof, and is done."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed
from api.cases import CaseFilter, CaseOut, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.checklists import Measure, ProofWish, proof
from core.permissions import Action, Principal
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


class Wanted(CaseFilter):
    """Which notices to list."""

    agency: str = Field(default="", max_length=63)
    warning: str = Field(default="", max_length=40)


def shown(row: Row) -> WarningNotice:
    """A notice as it is answered."""
    return WarningNotice.model_validate(row, from_attributes=True)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:  # noqa: ARG001
    given = proof(wish) if isinstance(wish, ProofWish) else None
    scope = caller.scope(step.permission)
    return notices.take(session, scope, caller.actor, number, step.action, version, reason=wish.reason, proof=given)


_KIND: Final = Kind(NOTICE, Row, [Action.WARNINGS_READ], WarningNotice)
add_list(
    router,
    _KIND,
    Wanted,
    of="Notices",
    name="list_notices",
    summary="List notices of warnings",
    description="Notices within the caller's scope, newest first.",
)
add_read(
    router,
    _KIND,
    WarningNoticeDetail,
    name="get_notice",
    summary="Read a notice of a warning",
    description="A notice with its list of measures, its history and the centre's targets, which are no deadlines of the law.",
)
add_steps(router, NOTICE, _take, shown, WarningNotice, wishes={"prove": ProofWish})
