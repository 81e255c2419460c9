"""Incidents: listing, reading with evidence, moving on."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api import disclosure, paging
from api.auth.dependencies import Allowed, TheCentre
from core.errors import Invalid
from core.permissions import Action, Principal
from respond.incidents import queries as incidents
from respond.incidents.machine import State
from respond.incidents.queries import Filters, Summary

router = APIRouter(prefix="/v1/incidents", tags=["incidents"])

Reader = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_WRITE))]
Number = Annotated[str, Path(pattern=r"^INC-\d{4}-\d{6,12}$", examples=["INC-2026-000001"])]

_ETAG: Final = re.compile(r'"(\d{1,9})"')
_EXAMPLE: Final[dict[str, Any]] = {
    "number": "INC-2026-000001",
    "agency": "seogu",
    "title": "SSH brute force from one address",
    "severity": "high",
    "state": "new",
    "entity_kind": "ip",
    "entity_value": "192.0.2.7",
    "first_event_at": "2026-01-02T03:04:05Z",
    "last_event_at": "2026-01-02T03:09:41Z",
    "opened_at": "2026-01-02T03:04:06Z",
    "updated_at": "2026-01-02T03:09:42Z",
    "detections": 41,
    "evidence_kept": 41,
    "rule_ids": ["0d894093-71bc-43c3-8c4d-ecfc28dcf5d9"],
    "tags": ["attack.credential-access", "attack.t1110"],
    "exercise": False,
    "merged_into": "",
    "version": 1,
}


class Incident(BaseModel):
    """An incident. `version` counts what people decided and is the ETag; `merged_into` names the incident that absorbed this one."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

    number: str
    agency: str
    title: str
    severity: str
    state: State
    entity_kind: str
    entity_value: str
    first_event_at: datetime
    last_event_at: datetime
    opened_at: datetime
    updated_at: datetime
    detections: int
    evidence_kept: int
    rule_ids: list[str]
    tags: list[str]
    exercise: bool
    merged_into: str
    version: int


class Evidence(BaseModel):
    """One finding with its line. `raw` and `fields` are null for callers who do not read raw logs; the hash proves the line anyway."""

    model_config = ConfigDict(from_attributes=True)

    detection_id: str
    event_id: str
    event_time: datetime
    received_at: datetime
    detected_at: datetime
    rule_id: str
    rule_title: str
    rule_level: str
    rule_hash: str
    raw: str | None
    raw_sha256: str
    fields: dict[str, Any] | None


class Entity(BaseModel):
    """Something the findings name, and in how many of them."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    role: str
    value: str
    detections: int


class IncidentDetail(Incident):
    """An incident with its evidence in order of event time and its entities, most named first."""

    evidence: list[Evidence]
    entities: list[Entity]


class IncidentPage(BaseModel):
    """Incidents, newest first. `next_cursor` is empty on the last page."""

    items: list[Incident]
    next_cursor: str


class Step(BaseModel):
    """The state an incident is to have, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"to": "triaged", "reason": ""}]})

    to: State
    reason: str = Field(default="", max_length=incidents.LONGEST_REASON, description="Needed for false_positive, closed and reopened")


class Wanted(BaseModel):
    """What to list; several values of one filter mean any of them."""

    model_config = ConfigDict(extra="forbid")

    state: list[State] = Field(default=[], max_length=16)
    severity: list[str] = Field(default=[], max_length=8)
    agency: str = Field(default="", max_length=63)
    since: AwareDatetime | None = Field(default=None, description="Opened at or after")
    until: AwareDatetime | None = Field(default=None, description="Opened before")
    q: str = Field(default="", max_length=200, description="A number, words of a title, or the exact value of an entity")
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List incidents")
def list_incidents(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> IncidentPage:
    """Incidents within the caller's scope, newest first."""
    filters = Filters(
        states=frozenset(wanted.state),
        severities=frozenset(wanted.severity),
        agency=wanted.agency,
        since=wanted.since,
        until=wanted.until,
        q=wanted.q,
    )
    with centre.database.session(readonly=True) as session:
        page = incidents.list_incidents(session, caller.scope(Action.INCIDENTS_READ), filters, cursor=wanted.cursor, limit=wanted.limit)
    return IncidentPage(items=[_incident(one) for one in page.items], next_cursor=page.next_cursor)


@router.get("/{number}", summary="Read an incident")
def get_incident(number: Number, response: Response, caller: Reader, centre: TheCentre) -> IncidentDetail:
    """An incident with evidence and entities. The ETag is its version, to be sent as If-Match with a change."""
    with centre.database.session(readonly=True) as session:
        detail = incidents.get_incident(session, caller.scope(Action.INCIDENTS_READ), number)
    response.headers["ETag"] = f'"{detail.incident.version}"'
    return IncidentDetail(
        **_incident(detail.incident).model_dump(),
        evidence=[Evidence.model_validate(one) for one in disclosure.evidence(caller, detail)],
        entities=[Entity.model_validate(one) for one in detail.entities],
    )


@router.post(
    "/{number}/transition",
    summary="Move an incident on",
    responses={409: {"description": "Somebody else changed it, or there is no such step"}, 428: {"description": "If-Match is missing"}},
)
def move(
    number: Number,
    step: Step,
    response: Response,
    caller: Writer,
    centre: TheCentre,
    if_match: Annotated[str, Header(description="The ETag of the incident as you saw it")] = "",
) -> Incident:
    """Give an incident its next state. Confirming, closing and reopening need `incidents:approve`."""
    action = disclosure.action_for(step.to)
    scope = caller.scope(action)
    if not if_match:
        raise HTTPException(428, "send If-Match with the ETag of the incident as you saw it")
    version = _ETAG.fullmatch(if_match)
    if version is None:
        raise Invalid('If-Match must be the ETag of the incident, such as "3"')
    with centre.database.session() as session:
        moved = incidents.transition(session, scope, caller.actor, number, step.to, step.reason, int(version[1]))
    response.headers["ETag"] = f'"{moved.version}"'
    return _incident(moved)


def _incident(summary: Summary) -> Incident:
    return Incident.model_validate(summary)
