"""Events: search and reading one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from core.errors import Invalid
from core.events import EVENTS, Kind
from core.permissions import Action, Principal
from core.storage import event_queries
from core.storage.event_queries import EventQuery, Filter, Operator

router = APIRouter(prefix="/v1/events", tags=["events"])

Reader = Annotated[Principal, Depends(Allowed(Action.LOGS_READ))]
MOST_FILTERS: Final = 32
_OWN_PARAMETERS: Final = frozenset({"since", "until", "cursor", "limit"})
_DEFAULT_RANGE: Final = timedelta(hours=1)
_OPERATORS: Final[dict[str, Operator]] = {"": "eq", "prefix": "prefix", "contains": "contains"}
_EXAMPLE: Final[dict[str, Any]] = {
    "event_id": "k3f9-0-1842-17",
    "received_at": "2026-01-02T03:04:06Z",
    "agency": "seogu",
    "source": "fw-1",
    "transport": "tls",
    "raw": '<189>date=2026-01-02 time=12:04:05 devname="fw-1" srcip=192.0.2.7 dstip=198.51.100.9 dstport=22 action="deny"',
    "parser": "fortigate",
    "event_time": "2026-01-02T03:04:05Z",
    "src_ip": "192.0.2.7",
    "dst_ip": "198.51.100.9",
    "dst_port": 22,
    "action": "deny",
    "disposition": "deny",
}


class Event(BaseModel):
    """One event: the columns that are set, by their names in docs/events; addresses as text, times in UTC."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE]})

    event_id: str
    received_at: datetime
    agency: str
    raw: str


class EventPage(BaseModel):
    """Events, newest first. `next_cursor` is empty on the last page."""

    items: list[Event]
    next_cursor: str


def _column_parameters() -> list[dict[str, Any]]:
    """One query parameter per column that can be filtered, for the OpenAPI document."""
    parameters = []
    for column in EVENTS.columns:
        if column.kind is Kind.TIME:
            continue
        how = "an address or a network" if column.kind is Kind.IP else "equals"
        if column.kind.is_text:
            how = f"equals; also `{column.name}.prefix` and `{column.name}.contains`"
        schema = {"type": "integer", "minimum": 0} if column.kind.is_number else {"type": "string"}
        parameters.append(
            {"name": column.name, "in": "query", "required": False, "description": f"{column.meaning} ({how})", "schema": schema}
        )
    return parameters


@router.get("", summary="Search events", openapi_extra={"parameters": _column_parameters()}, responses={200: {"model": EventPage}})
async def search(
    request: Request,
    caller: Reader,
    centre: TheCentre,
    since: Annotated[AwareDatetime | None, Query(description="Happened at or after; default: an hour before `until`")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Happened before; default: now")] = None,
    cursor: paging.Cursor = "",
    limit: Annotated[int, Query(ge=1, le=event_queries.MOST_PER_PAGE)] = 100,
) -> JSONResponse:
    """Events within the caller's scope, newest first. Each column is a filter of its own: `src_ip=10.0.0.0/8`, `url.contains=select`."""
    end = until or centre.clock.now()
    start = since or end - _DEFAULT_RANGE
    if start >= end:
        raise Invalid("since must be before until")
    filters = _filters(request)
    query = EventQuery(start, end, caller.scope(Action.LOGS_READ), filters, limit, cursor)
    page = await event_queries.search(centre.store, query)
    return JSONResponse({"items": page.rows, "next_cursor": page.cursor})


@router.get("/{event_id}", summary="Read an event", responses={200: {"model": Event}})
async def get_event(event_id: Annotated[str, Path(max_length=128)], caller: Reader, centre: TheCentre) -> JSONResponse:
    """One event with its raw line."""
    return JSONResponse(await event_queries.get_event(centre.store, event_id, caller.scope(Action.LOGS_READ)))


def _filters(request: Request) -> tuple[Filter, ...]:
    found = []
    for name, value in request.query_params.multi_items():
        if name in _OWN_PARAMETERS:
            continue
        column, _, operator = name.partition(".")
        if operator not in _OPERATORS:
            raise Invalid(f"{name!r}: after the column comes nothing, .prefix or .contains")
        found.append(Filter(column, _OPERATORS[operator], value))
    if len(found) > MOST_FILTERS:
        raise Invalid(f"a search has at most {MOST_FILTERS} filters")
    return tuple(found)
