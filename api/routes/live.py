"""The stream of what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from api import disclosure, live
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from api.incident_shapes import Incident
from api.live import Feed, Figures, New
from api.overview import Overviews
from api.routes.counters import figures
from core.errors import DomainError
from core.permissions import Action, Principal
from respond.incidents import queries

router = APIRouter(prefix="/v1", tags=["live"])

Listener = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ, Action.LOGS_READ, Action.COUNTERS_READ))]
Topic = Literal["incidents", "detections", "counters"]
_EXAMPLE: Final = 'id: 1767323046000.1767323045120\nevent: detection\ndata: {"detection_id":"...","rule_title":"SSH brute force"}\n\n'


@router.get(
    "/stream",
    summary="Hear what is new",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `incident` (as it is now), `detection`, `counters`, and `reset` (read the list anew)",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
)
async def stream(
    request: Request,
    caller: Listener,
    centre: TheCentre,
    topics: Annotated[list[Topic], Query(min_length=1, max_length=3, description="What to hear of")] = ["incidents"],  # noqa: B006 - FastAPI copies it
    last: Annotated[str, Header(alias="Last-Event-ID", max_length=64, description="The id of the last event heard")] = "",
) -> StreamingResponse:
    """Events until the caller goes. After a break send the last id heard: what happened since is told first."""
    streams: live.Streams = request.state.streams
    streams.check(caller.actor)
    readers: list[tuple[str, Callable[[datetime], Awaitable[Sequence[New]]]]] = []
    if "incidents" in topics:
        caller.scope(Action.INCIDENTS_READ)
        readers.append(("incident", lambda since: asyncio.to_thread(_incidents, centre, caller, since)))
    if "detections" in topics:
        caller.scope(Action.LOGS_READ)
        readers.append(("detection", lambda since: _detections(request.state.recent, caller, since)))
    if "counters" in topics:
        caller.scope(Action.COUNTERS_READ)
    now = centre.clock.now()
    heard = live.heard(last, len(set(topics)), now)
    feeds = [Feed(kind, read, heard[n] if heard else now, bool(heard)) for n, (kind, read) in enumerate(readers)]
    told = [Figures(_figures(request.state.overviews, caller), now)] if "counters" in topics else []
    events = live.events(feeds, told, lambda: _holds(request), centre.clock)
    return StreamingResponse(streams.counted(caller.actor, events), media_type="text/event-stream")


async def _holds(request: Request) -> bool:
    try:
        return await request.state.identify() is not None
    except DomainError:
        return False


def _incidents(centre: Centre, caller: Principal, since: datetime) -> list[New]:
    with centre.database.session(readonly=True) as session:
        found = queries.changed(session, disclosure.sight(caller), since, live.MOST_TOLD_AGAIN + 1)
    return [New(one.number, one.updated_at, Incident.model_validate(one).model_dump(mode="json")) for one in found]


async def _detections(recent: live.Recent, caller: Principal, since: datetime) -> list[New]:
    scope = caller.scope(Action.LOGS_READ)
    found = [row for row in await recent.since(since) if scope is None or row["agency"] in scope]
    return [New(row["detection_id"], datetime.fromisoformat(row["detected_at"]), row) for row in found]


def _figures(overviews: Overviews, caller: Principal) -> Callable[[], Awaitable[Mapping[str, Any]]]:
    async def told() -> Mapping[str, Any]:
        return figures(await overviews.get(caller), caller).model_dump(mode="json", exclude={"at"})

    return told
