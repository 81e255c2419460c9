"""Events: search, how many over time, the commonest values of a column, files of them, and reading one."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict

from api import exports, paging
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from api.time_range import TimeRange
from core.errors import Invalid
from core.events import EVENTS, POSITION, Column, Kind
from core.permissions import Action, Principal
from core.storage import event_queries, event_search
from core.storage.event_search import Wanted
from core.storage.search_conditions import column_named
from core.storage.search_language import LONGEST, NOWHERE, All, Term, Value, parse
from respond import audit

router = APIRouter(prefix="/v1/events", tags=["events"])

Reader = Annotated[Principal, Depends(Allowed(Action.LOGS_READ))]
MOST_FILTERS: Final = 32
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


class Bar(BaseModel):
    """Events of one step from `at`; `dispositions` counts them by what the device did (empty: it did not say)."""

    at: datetime
    events: int
    dispositions: dict[str, int]


class Histogram(BaseModel):
    """Events over time; steps without events are there too."""

    events: int
    step_seconds: int
    bars: list[Bar]


class Common(BaseModel):
    """A value and how many events have it."""

    value: Any
    events: int


class Values(BaseModel):
    """The commonest values of a column. `set` of the `events` have it; `distinct` estimates how many values there are."""

    column: str
    events: int
    set: int
    distinct: int
    commonest: list[Common]


class ColumnOut(BaseModel):
    """A column events have. `kind`: text, word, ip, number or time; `aliases` are names Sigma rules and searches may use for it."""

    name: str
    kind: str
    meaning: str
    ocsf: str
    aliases: list[str]


class Columns(BaseModel):
    """The columns of events."""

    items: list[ColumnOut]


def _wanted(
    request: Request,
    caller: Reader,
    happened: TimeRange,
    q: Annotated[
        str,
        Query(
            max_length=LONGEST,
            description="A search, see docs/searching",
            examples=['src_ip:10.0.0.0/8 AND dst_port:(22 OR 3389) AND "union select"'],
        ),
    ] = "",
) -> Wanted:
    """What all questions about events have in common; each column is a filter of its own besides: `src_ip=10.0.0.0/8`."""
    terms = _terms(request)
    searched = parse(q)
    parts = terms if searched is None else (searched, *terms)
    return Wanted(happened.since, happened.until, caller.scope(Action.LOGS_READ), All(parts) if parts else None)


Asked = Annotated[Wanted, Depends(_wanted)]


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


_FILTERED: Final[dict[str, Any]] = {"parameters": _column_parameters()}


@router.get("", summary="Search events", openapi_extra=_FILTERED, responses={200: {"model": EventPage}})
async def search(
    wanted: Asked,
    centre: TheCentre,
    cursor: paging.Cursor = "",
    limit: Annotated[int, Query(ge=1, le=event_search.MOST_PER_PAGE)] = 100,
) -> JSONResponse:
    """Events within the caller's scope, newest first."""
    page = await event_search.page(centre.store, wanted, limit, cursor)
    return JSONResponse({"items": page.rows, "next_cursor": page.cursor})


@router.get("/columns", summary="List the columns of events")
def columns(_: Reader) -> Columns:
    """What can be searched, shown and exported."""
    return Columns(items=[_shown(column) for column in EVENTS.columns])


@router.get("/histogram", summary="Count events over time", openapi_extra=_FILTERED)
async def histogram(wanted: Asked, centre: TheCentre) -> Histogram:
    """How many events there are in each step of the range, in at most 120 steps; steps of a day or more begin at midnight in Seoul."""
    found = await event_search.histogram(centre.store, wanted)
    bars = [Bar(at=bar.at, events=sum(bar.events.values()), dispositions=dict(bar.events)) for bar in found.bars]
    return Histogram(events=sum(bar.events for bar in bars), step_seconds=int(found.step.total_seconds()), bars=bars)


@router.get("/values", summary="List the commonest values of a column", openapi_extra=_FILTERED)
async def values(
    wanted: Asked,
    centre: TheCentre,
    column: Annotated[str, Query(alias="of", max_length=64, description="The column", examples=["src_ip"])],
    limit: Annotated[int, Query(ge=1, le=event_search.MOST_VALUES)] = 10,
) -> Values:
    """The values most events have, the commonest first."""
    of = column_named(column, NOWHERE)
    found = await event_search.values(centre.store, wanted, of, limit)
    commonest = [Common(value=one.value, events=one.events) for one in found.commonest]
    return Values(column=of.name, events=found.events, set=found.set, distinct=found.distinct, commonest=commonest)


@router.get(
    "/export",
    summary="Export events as a file",
    openapi_extra=_FILTERED,
    response_class=StreamingResponse,
    responses={200: {"content": {one.media_type: {} for one in exports.FORMATS.values()}, "description": "The file, as it is made"}},
)
async def export(
    wanted: Asked,
    request: Request,
    caller: Reader,
    centre: TheCentre,
    form: Annotated[Literal["ndjson", "csv", "parquet"], Query(alias="format")] = "ndjson",
    names: Annotated[str, Query(alias="columns", max_length=4000, description="Names joined by commas; empty: all")] = "",
) -> StreamingResponse:
    """All events wanted, by agency and time, up to 5,000,000; more are refused before any is sent. The audit trail tells who took what."""
    chosen = _chosen(names)
    batches = await event_search.everything(centre.store, wanted, [*POSITION, *chosen])
    await run_sync(_record, centre, caller, wanted, form, request.url.query)
    made = exports.FORMATS[form]
    name = f"events-{wanted.since:%Y%m%dT%H%M%SZ}-{wanted.until:%Y%m%dT%H%M%SZ}.{form}"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(exports.pieces(batches, made.writer(chosen)), media_type=made.media_type, headers=disposition)


@router.get("/{event_id}", summary="Read an event", responses={200: {"model": Event}})
async def get_event(event_id: Annotated[str, Path(max_length=128)], caller: Reader, centre: TheCentre) -> JSONResponse:
    """One event with its raw line."""
    return JSONResponse(await event_queries.get_event(centre.store, event_id, caller.scope(Action.LOGS_READ)))


def _terms(request: Request) -> tuple[Term, ...]:
    """The filters of the columns. What is no column is a parameter of the route, or a mistake that is told."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params} | {"q", "since", "until"}
    found = [_term(name, value) for name, value in request.query_params.multi_items() if name not in known]
    if len(found) > MOST_FILTERS:
        raise Invalid(f"a search has at most {MOST_FILTERS} filters")
    return tuple(found)


def _term(name: str, text: str) -> Term:
    column, _, how = name.partition(".")
    match how:
        case "":
            value = Value(NOWHERE, (text,))
        case "prefix":
            value = Value(NOWHERE, (text, ""), ("*",))
        case "contains":
            value = Value(NOWHERE, ("", text, ""), ("*", "*"))
        case _:
            raise Invalid(f"{name!r}: after the column comes nothing, .prefix or .contains")
    if how and not column_named(column, NOWHERE).kind.is_text:
        raise Invalid(f"{how!r} works on text; {column} is no text")
    return Term(column, NOWHERE, value)


def _chosen(names: str) -> list[Column]:
    columns = [column_named(name.strip(), NOWHERE) for name in names.split(",") if name.strip()] or EVENTS.columns
    return [column for column in dict.fromkeys(columns) if column not in POSITION]


def _record(centre: Centre, caller: Principal, wanted: Wanted, form: str, query: str) -> None:
    # Of what was searched for only the hash: the trail is kept for ever, and a search may name a person.
    detail = {
        "query_sha256": hashlib.sha256(query.encode()).hexdigest(),
        "format": form,
        "since": wanted.since.isoformat(),
        "until": wanted.until.isoformat(),
    }
    with centre.database.session() as session:
        audit.record(session, caller.actor, "events.export", "events", detail)


def _shown(column: Column) -> ColumnOut:
    kind = "number" if column.kind.is_number else column.kind.value
    return ColumnOut(name=column.name, kind=kind, meaning=column.meaning, ocsf=column.ocsf, aliases=list(column.sigma))
