"""One event seen in other ways: as OCSF, with what a search met in it, what it led to; and a search as a rule."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api import disclosure
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from core import ocsf
from core.clock import KST
from core.permissions import Action, Principal
from core.storage import detection_queries, event_marks, event_queries
from core.storage.search_language import LONGEST, parse
from detect import search_rule
from respond.incidents import queries

router = APIRouter(prefix="/v1/events", tags=["events"])

Reader = Annotated[Principal, Depends(Allowed(Action.LOGS_READ))]
EventId = Annotated[str, Path(max_length=128)]
_Q: Final = Query(max_length=LONGEST, description="A search, see docs/searching", examples=["dst_port:22 AND disposition:deny"])
_RULE: Final = """title: Refused SSH
id: 6f1c2f0e-3f0e-4a53-9a53-6a1f3d1c9e55
status: experimental
logsource:
  category: firewall
detection:
  selection:
    dst_port: 22
    disposition: deny
  condition: selection
level: medium
"""


class OcsfEvent(BaseModel):
    """An event of OCSF 1.x: what every class has. The other attributes are those of its class."""

    model_config = ConfigDict(extra="allow")

    class_uid: int
    class_name: str
    category_uid: int
    activity_id: int
    type_uid: int
    severity_id: int
    time: int
    metadata: dict[str, Any]


class Marks(BaseModel):
    """What of a search an event met: columns by name, and [start, end) of the parts of the line, in characters."""

    columns: list[str]
    spans: list[tuple[int, int]]


class EventDetection(BaseModel):
    """A detection an event led to. `incident` is the number of the incident it belongs to, '' when the caller sees none."""

    detection_id: str
    rule_id: str
    rule_title: str
    rule_level: str
    kind: str = ""
    origin: str = ""
    detected_at: datetime
    incident: str


class EventDetections(BaseModel):
    """What an event led to, the latest first; 100 at most."""

    items: list[EventDetection]


class RuleText(BaseModel):
    """A Sigma rule as YAML."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"yaml": _RULE}]})

    yaml: str = Field(description="One document; nothing was saved")


@router.get("/rule", summary="Make a rule of a search")
def rule(
    caller: Reader,
    centre: TheCentre,
    q: Annotated[str, _Q],
    title: Annotated[str, Query(min_length=1, max_length=256, description="The rule's title")] = "Made from a search",
    level: Annotated[str, Query(pattern="^(informational|low|medium|high|critical)$")] = "medium",
) -> RuleText:
    """A Sigma rule that finds what the search finds. What a rule cannot say is refused with its place in the search."""
    today = centre.clock.now().astimezone(KST).date()
    return RuleText(yaml=search_rule.rule_text(parse(q), title=title, level=level, author=caller.name, on=today, said=q))


@router.get("/{event_id}/ocsf", summary="Read an event as OCSF", responses={200: {"model": OcsfEvent}})
async def as_ocsf(event_id: EventId, caller: Reader, centre: TheCentre) -> JSONResponse:
    """One event in the terms of OCSF 1.x; columns that its class has no place for are in `unmapped`."""
    return JSONResponse(ocsf.document(await event_queries.get_event(centre.store, event_id, caller.scope(Action.LOGS_READ))))


@router.get("/{event_id}/marks", summary="Read what a search met in an event")
async def marks(event_id: EventId, caller: Reader, centre: TheCentre, q: Annotated[str, _Q] = "") -> Marks:
    """Which columns, and which parts of the line, met the search; what it excludes is not among them."""
    found = await event_marks.marks(centre.store, event_id, caller.scope(Action.LOGS_READ), parse(q))
    return Marks(columns=list(found.columns), spans=list(found.spans))


@router.get("/{event_id}/detections", summary="Read what an event led to")
async def detections(event_id: EventId, caller: Reader, centre: TheCentre) -> EventDetections:
    """The detections of an event, those of correlations it completed among them, and the incidents they belong to."""
    scope = caller.scope(Action.LOGS_READ)
    event = await event_queries.get_event(centre.store, event_id, scope)
    found = await detection_queries.of_event(centre.store, event, scope)
    incidents = await run_sync(_incidents, centre, caller, [one["detection_id"] for one in found])
    return EventDetections(items=[EventDetection(**one, incident=incidents.get(one["detection_id"], "")) for one in found])


def _incidents(centre: Centre, caller: Principal, detection_ids: list[str]) -> dict[str, str]:
    if not caller.may(Action.INCIDENTS_READ):
        return {}
    with centre.database.session(readonly=True) as session:
        return queries.of_detections(session, disclosure.sight(caller), detection_ids)
