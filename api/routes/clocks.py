"""What is due next: the running clocks of all cases."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from api import clocks, paging
from api.auth.dependencies import Caller, TheCentre
from core.errors import Invalid

router = APIRouter(prefix="/v1/clocks", tags=["clocks"])
_EXAMPLE: Final[dict[str, Any]] = {
    "kind": "report",
    "number": "RPT-2026-000001",
    "agency": "seogu",
    "exercise": False,
    "name": "followup",
    "basis": "set",
    "source": "set with the question",
    "started_at": "2026-01-02T03:04:05Z",
    "due_at": "2026-01-03T03:04:05Z",
    "overdue_seconds": 0,
}


class RunningClock(BaseModel):
    """A time that is waited for, of one case.

    `basis`: target (the centre's own wish, not the law's), pack (a rule pack of the law) or set (by hand). `due_at` is null where the law
    says "without delay" and nobody set a target.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    kind: str
    number: str
    agency: str
    exercise: bool
    name: str
    basis: str
    source: str
    started_at: datetime
    due_at: datetime | None
    overdue_seconds: float


class ClockPage(BaseModel):
    """Clocks, those due first at the front. `total` and `overdue` count all that run. `next_cursor` is empty on the last page."""

    items: list[RunningClock]
    next_cursor: str
    total: int
    overdue: int


@router.get("", summary="See what is due next")
def list_clocks(
    caller: Caller, centre: TheCentre, cursor: paging.Cursor = "", limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> ClockPage:
    """The running clocks of the cases the caller may read, overdue ones first, those without a time last."""
    at = centre.clock.now()
    with centre.database.session(readonly=True) as session:
        found = clocks.running(session, caller, caller.actor, at, limit, _after(cursor))
    following = paging.encode_instant(found.after[0], str(found.after[1])) if found.after else ""
    return ClockPage(items=[shown(one, at) for one in found.items], next_cursor=following, total=found.total, overdue=found.overdue)


def shown(clock: clocks.Running, at: datetime) -> RunningClock:
    """A clock as it stands at `at`."""
    late = max((at - clock.due_at).total_seconds(), 0.0) if clock.due_at else 0.0
    fields = {name: getattr(clock, name) for name in RunningClock.model_fields if name != "overdue_seconds"}
    return RunningClock(**fields, overdue_seconds=late)


def _after(cursor: str) -> tuple[datetime, int] | None:
    last = paging.decode_instant(cursor)
    if last is None:
        return None
    if not last[1].isascii() or not last[1].isdecimal() or len(last[1]) > 18:
        raise Invalid("this cursor was not given by us")
    return last[0], int(last[1])
