"""The live figures."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from api.auth.dependencies import Allowed
from api.overview import Overview, Overviews
from core.permissions import Action, Principal

router = APIRouter(prefix="/v1", tags=["counters"])


class StageFigures(BaseModel):
    """A stage, whether it works, and how many messages wait for it."""

    name: str
    working: bool
    lag: int | None


class MinuteFigures(BaseModel):
    """What one minute brought; `at` is its start."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    events: int
    quarantined: int
    detections: int


class Counters(BaseModel):
    """How things stand, within the caller's scope; lag and stages are the centre's."""

    at: datetime
    events_per_second: float = Field(description="Mean of the last minute")
    received_today: int = Field(description="Lines since midnight in Seoul, quarantined ones included")
    quarantined_today: int
    detections_today: int
    lag: int = Field(description="Messages waiting for any stage")
    stages: list[StageFigures]
    open_incidents: int | None = Field(description="null for callers who do not read incidents")
    open_by_severity: dict[str, int] | None
    centres: dict[str, int] | None = Field(description="Active linked centres by their link; null for callers who do not read centres")
    minutes: list[MinuteFigures] = Field(description="The last sixty, the present one last")


@router.get("/counters", summary="Read the live figures")
async def counters(request: Request, caller: Annotated[Principal, Depends(Allowed(Action.COUNTERS_READ))]) -> Counters:
    """The figures of the dashboard's first page."""
    overviews: Overviews = request.state.overviews
    return figures(await overviews.get(caller), caller)


def figures(found: Overview, caller: Principal) -> Counters:
    """An overview as `caller` is shown it."""
    counted = caller.may(Action.INCIDENTS_READ)
    return Counters(
        at=found.at,
        events_per_second=round(found.events_per_second, 2),
        received_today=found.received_today,
        quarantined_today=found.quarantined_today,
        detections_today=found.detections_today,
        lag=found.lag,
        stages=[StageFigures(name=stage.name, working=not stage.problem, lag=stage.lag) for stage in found.stages],
        open_incidents=found.open_incidents if counted else None,
        open_by_severity=dict(found.open_by_severity) if counted else None,
        centres=dict(found.centres) if caller.may(Action.CENTRES_READ) else None,
        minutes=[MinuteFigures.model_validate(one) for one in found.minutes],
    )
