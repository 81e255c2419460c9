"""The cases about an incident."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from api import disclosure, incident_cases, paging
from api.auth.dependencies import Allowed, TheCentre
from api.incident_shapes import Number
from core.permissions import Action, Principal
from respond.incidents import queries

router = APIRouter(prefix="/v1/incidents", tags=["incidents"])

Reader = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ))]
_EXAMPLE: Final[dict[str, Any]] = {
    "kind": "report",
    "number": "RPT-2026-000001",
    "agency": "seogu",
    "state": "submitted",
    "exercise": False,
    "created_at": "2026-01-02T03:04:05Z",
}


class CaseAbout(BaseModel):
    """A case about an incident, as far as every kind has it. `kind` is as in `/v1/clocks`; the rest is read by its `number`."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

    kind: str
    number: str
    agency: str
    state: str
    exercise: bool
    created_at: datetime


class CaseAboutPage(BaseModel):
    """Cases, newest first. `next_cursor` is empty on the last page."""

    items: list[CaseAbout]
    next_cursor: str


@router.get("/{number}/cases", summary="List the cases about an incident")
def list_about(
    number: Number, caller: Reader, centre: TheCentre, cursor: paging.Cursor = "", limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> CaseAboutPage:
    """Reports, requests, teams, personal-information cases, blocks, investigations and shares about it, as far as the caller reads them."""
    with centre.database.session(readonly=True) as session:
        row = queries.find(session, disclosure.sight(caller), number)
        found = incident_cases.about(session, caller, number, limit + 1, paging.decode_instant(cursor))
    disclosure.note_read(centre.database, caller, row, "cases")
    last = found[limit - 1] if len(found) > limit else None
    return CaseAboutPage(
        items=[CaseAbout.model_validate(one) for one in found[:limit]],
        next_cursor=paging.encode_instant(last.created_at, last.number) if last else "",
    )
