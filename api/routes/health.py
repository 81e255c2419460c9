"""Whether the process lives, whether the centre works, and its metrics."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any, Final, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from api.auth.dependencies import TheCentre
from api.centre import Centre, StageState
from core.errors import Unauthenticated
from core.permissions import Action, Principal

_EXAMPLE: Final[dict[str, Any]] = {
    "ready": False,
    "parts": [{"name": "bus", "ready": True}, {"name": "store", "ready": False}, {"name": "database", "ready": True}],
    "stages": [{"name": "normalise", "ready": True}],
}

router = APIRouter(tags=["operation"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Part(BaseModel):
    """One part of the centre or one of its stages. `lag` is in messages not yet handled, of stages only."""

    name: str
    ready: bool
    problem: str | None = Field(default=None, description="What is wrong; told to requests from this machine only, as is `lag`")
    lag: int | None = None


class Readiness(BaseModel):
    """Whether every part answers. This page is open to everybody, so strangers learn no addresses and no load from it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    ready: bool
    parts: list[Part]
    stages: list[Part]


@router.get("/healthz", summary="Does the process live")
def alive() -> Alive:
    """Answers as long as the process does; for restarting it."""
    return Alive()


@router.get(
    "/readyz",
    summary="Does the centre work",
    response_model_exclude_none=True,
    responses={503: {"model": Readiness, "description": "A part does not answer"}},
)
async def ready(request: Request, response: Response, centre: TheCentre) -> Readiness:
    """Asks the bus, the store, the database and every stage; 503 names the parts that do not answer."""
    told = _from_this_machine(request)
    parts = [_part(state, told=told) for state in await part_states(centre)]
    stages = [_part(state, told=told) for state in centre.stages()]
    answer = Readiness(ready=all(one.ready for one in (*parts, *stages)), parts=parts, stages=stages)
    response.status_code = 200 if answer.ready else 503
    return answer


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """For a key with `metrics:read`, or without identity from this machine itself (not through a proxy)."""
    caller: Principal | None = request.state.principal
    if caller is not None:
        caller.scope(Action.METRICS_READ)
    elif not _from_this_machine(request):
        raise Unauthenticated("metrics need a key with metrics:read, or a request from this machine")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def part_states(centre: Centre) -> list[StageState]:
    """How the bus, the store and the database are doing."""
    bus, store, database = await asyncio.gather(centre.bus.healthy(), centre.store.health(), asyncio.to_thread(centre.database.health))
    return [StageState("bus", bus), StageState("store", store.problem), StageState("database", database.problem)]


def _part(state: StageState, *, told: bool) -> Part:
    problem = state.problem if told and state.problem else None
    return Part(name=state.name, ready=not state.problem, problem=problem, lag=state.lag if told else None)


def _from_this_machine(request: Request) -> bool:
    proxied = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP"))
    if proxied or request.client is None:
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
