"""How the agencies' intake is doing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from api.agency_health import Health
from api.auth.dependencies import Allowed
from api.overview import Overviews
from core.permissions import Action, Principal

router = APIRouter(prefix="/v1/agencies", tags=["counters"])


class HealthOfAgency(BaseModel):
    """An agency, and when it was last heard."""

    model_config = ConfigDict(from_attributes=True)

    agency: str
    health: Health = Field(description="live: heard within ten minutes; late: within an hour; silent: before that; never")
    heard_at: datetime | None
    sources: int = Field(description="Sources that are configured, or were heard of")
    live: int = Field(description="How many of them are live")


class AgencyHealths(BaseModel):
    """Every agency within the caller's scope: those of the settings in their order, then others that were heard."""

    items: list[HealthOfAgency]


@router.get("/health", summary="See which agencies are live")
async def list_health(request: Request, caller: Annotated[Principal, Depends(Allowed(Action.COUNTERS_READ))]) -> AgencyHealths:
    """Live, late, silent or never heard, by the newest line of each agency; as of some seconds ago."""
    overviews: Overviews = request.state.overviews
    return AgencyHealths(items=[HealthOfAgency.model_validate(one) for one in await overviews.health(caller)])
