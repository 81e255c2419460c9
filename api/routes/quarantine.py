"""Quarantine: the lines no event came of, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.time_range import TimeRange
from core.permissions import Action, Principal
from core.storage import quarantine_queries
from core.storage.quarantine_queries import MOST_PER_PAGE, Wanted

router = APIRouter(prefix="/v1", tags=["events"])

_EXAMPLE: Final[dict[str, Any]] = {
    "event_id": "k3f9-0-1842-18",
    "received_at": "2026-01-02T03:04:06.000Z",
    "agency": "seogu",
    "source": "fw-1",
    "transport": "udp",
    "peer_ip": "192.0.2.1",
    "raw": "link up on port 7",
    "reason": "no_parser",
    "detail": "no parser knows this format",
}


class QuarantinedLine(BaseModel):
    """A line of which no event came: `reason` is a stable word, `detail` what exactly was wrong. Columns that are not set are left out.

    `reason`: no_parser (no parser knows the format), malformed (its parser found it broken), parser_failed (the engine failed on it),
    blank (`lines` empty lines), bad_message (the message on the bus was not what its headers say).
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE]})

    event_id: str
    received_at: datetime
    agency: str
    reason: str


class QuarantinePage(BaseModel):
    """Lines, the last received first. `next_cursor` is empty on the last page."""

    items: list[QuarantinedLine]
    next_cursor: str


@router.get("/quarantine", summary="List lines in quarantine", responses={200: {"model": QuarantinePage}})
async def quarantine(
    caller: Annotated[Principal, Depends(Allowed(Action.LOGS_READ))],
    centre: TheCentre,
    received: TimeRange,
    agency: Annotated[str, Query(max_length=63, description="Only of this agency")] = "",
    source: Annotated[str, Query(max_length=255, description="Only of this source")] = "",
    reason: Annotated[str, Query(max_length=63, description="Only for this reason", examples=["no_parser"])] = "",
    cursor: paging.Cursor = "",
    limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 100,
) -> JSONResponse:
    """The lines no event came of, within the caller's scope, by when they were received: the last first."""
    scope = caller.scope(Action.LOGS_READ)
    if agency:
        scope = frozenset({agency} if scope is None or agency in scope else ())
    items, after = await quarantine_queries.page(centre.store, Wanted(received.since, received.until, scope, source, reason), limit, cursor)
    return JSONResponse({"items": items, "next_cursor": after})
