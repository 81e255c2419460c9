"""Incidents: listing, reading with all they hold, and taking the steps of their machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import disclosure, paging
from api.auth.dependencies import Allowed, TheCentre
from api.auth.users import known_actor
from api.cases import Wish, add_steps, progress
from api.centre import Centre
from api.etags import set_etag
from api.incident_shapes import (
    AcknowledgeWish,
    AssessWish,
    AssignWish,
    Attachment,
    Comment,
    ConfirmWish,
    Entity,
    Evidence,
    Incident,
    IncidentDetail,
    IncidentPage,
    MarkWish,
    MergeWish,
    Moment,
    Number,
    RateWish,
    RelatedIncidents,
    RestrictWish,
    SplitWish,
    Task,
    Timeline,
)
from api.rule_titles import RuleTitles
from core.instants import Instant
from core.permissions import Action, Principal
from respond import reads
from respond.cases.machine import Step
from respond.incidents import closing, compartment, queries, service, severity, story, work
from respond.incidents.machine import MACHINE, State
from respond.incidents.models import Part
from respond.incidents.order import Order
from respond.incidents.queries import Filters, Summary
from respond.models import Incident as Row

router = APIRouter(prefix="/v1/incidents", tags=["incidents"])

Reader = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ))]


class Wanted(BaseModel):
    """What to list; several values of one filter mean any of them."""

    model_config = ConfigDict(extra="forbid")

    state: list[State] = Field(default=[], max_length=16)
    severity: list[str] = Field(default=[], max_length=8)
    agency: str = Field(default="", max_length=63)
    assignee: str = Field(default="", max_length=80, description="Such as user:lee; `me`, or `nobody`")
    reported: bool | None = Field(default=None, description="Only those with an accident report, or without")
    exercise: bool | None = Field(default=None, description="Only exercises, or none")
    since: Instant | None = Field(default=None, description="Opened at or after")
    until: Instant | None = Field(default=None, description="Opened before")
    within_hours: int | None = Field(
        default=None, ge=1, le=24 * 3660, description="Opened in the last hours; beside `since` the later holds"
    )
    q: str = Field(
        default="",
        max_length=200,
        description="A number, words of a title (also of a rule's Korean one), or an entity's exact value",
    )
    sort: Order = Field(default=Order.NEWEST, description="Gravest and last event first: of equals the newest")
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)

    def filters(self, caller: Principal, now: datetime, titles: RuleTitles) -> Filters:
        """As `queries` takes them; words are looked for in `titles` in Korean besides. May wait for the database."""
        since = [one for one in (self.since, now - timedelta(hours=self.within_hours) if self.within_hours else None) if one]
        assignee = {"": None, "me": caller.actor, "nobody": ""}.get(self.assignee, self.assignee)
        return Filters(
            states=frozenset(self.state),
            severities=frozenset(self.severity),
            assignee=assignee,
            since=max(since, default=None),
            titled=_titled(titles, self.q.strip()),
            **self.model_dump(include={"agency", "reported", "exercise", "until", "q"}),
        )


@router.get("", summary="List incidents")
def list_incidents(request: Request, wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> IncidentPage:
    """Incidents within the caller's sight. Searches that meet restricted incidents are audited."""
    filters = wanted.filters(caller, centre.clock.now(), request.state.rule_titles)
    sight = disclosure.sight(caller)
    with centre.database.session(readonly=True) as session:
        page = queries.list_incidents(session, sight, filters, wanted.sort, cursor=wanted.cursor, limit=wanted.limit)
        shown = [one.number for one in page.items if one.restricted]
        met = queries.restricted_met(session, sight, filters) if wanted.q or shown else []
    if met:
        reads.once(centre.database, [compartment.search(caller.actor, wanted.q, shown, len(set(met) - set(shown)))])
    return IncidentPage(items=[_incident(one) for one in page.items], next_cursor=page.next_cursor)


@router.get("/{number}", summary="Read an incident")
def get_incident(number: Number, response: Response, caller: Reader, centre: TheCentre) -> IncidentDetail:
    """An incident with all it holds. The ETag is its version, to be sent as If-Match with a step."""
    sight = disclosure.sight(caller)
    with centre.database.session(readonly=True) as session:
        detail = queries.get_incident(session, sight, number)
        row = queries.find(session, sight, number)
        more = _more(session, centre, caller, row)
    disclosure.note_read(centre.database, caller, row, "incident")
    set_etag(response, detail.incident.version)
    return IncidentDetail(
        **_incident(detail.incident).model_dump(),
        evidence=[Evidence.model_validate(one) for one in disclosure.evidence(caller, detail)],
        entities=[Entity.model_validate(one) for one in detail.entities],
        **more,
    )


@router.get("/{number}/timeline", summary="Read an incident's timeline")
def get_timeline(
    number: Number, caller: Reader, centre: TheCentre, cursor: paging.Cursor = "", limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> Timeline:
    """Kept detections by the devices' time, and what people and the machine did, oldest first."""
    with centre.database.session(readonly=True) as session:
        row = queries.find(session, disclosure.sight(caller), number)
        found = story.timeline(session, row, paging.decode_instant(cursor), limit + 1)
        told = compartment.veiled(session, caller.actor, [dict(one.data) for one in found])
    disclosure.note_read(centre.database, caller, row, "timeline")
    last = found[limit - 1] if len(found) > limit else None
    return Timeline(
        items=[Moment.model_validate(replace(one, data=data)) for one, data in zip(found, told, strict=True)][:limit],
        next_cursor=paging.encode_instant(last.at, story.place(last)) if last else "",
    )


@router.get("/{number}/related", summary="List incidents of the same attacker")
def get_related(number: Number, caller: Reader, centre: TheCentre) -> RelatedIncidents:
    """Incidents with the same source address or user. Of those the caller does not see only the count is told."""
    sight = disclosure.sight(caller)
    with centre.database.session(readonly=True) as session:
        row = queries.find(session, sight, number)
        found = story.related(session, sight, row)
    disclosure.note_read(centre.database, caller, row, "related")
    return RelatedIncidents(items=[_incident(one) for one in found.items], elsewhere=found.elsewhere)


def _more(session: Session, centre: Centre, caller: Principal, row: Row) -> dict[str, Any]:
    return {
        "seal_holds": closing.sealed(session, row.id)[0] == row.seal if row.seal else None,
        "members": work.people(session, row, Part.MEMBER),
        "watchers": work.people(session, row, Part.WATCHER),
        "comments": [Comment.model_validate(one) for one in work.comments(session, row)],
        "tasks": [Task.model_validate(one) for one in work.tasks(session, row)],
        "attachments": [Attachment.model_validate(one) for one in work.attachments(session, row)],
        "progress": progress(session, MACHINE, row, caller, centre.clock.now(), void=() if row.restricted else ("unrestrict",)),
    }


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    given = wish.model_dump(exclude={"reason"})
    if isinstance(wish, AssignWish) and wish.assignee:
        given["assignee"] = known_actor(session, wish.assignee)
    if isinstance(wish, RestrictWish):
        given["members"] = [known_actor(session, one) for one in wish.members]
    return service.take(
        session,
        disclosure.sight(caller, step.permission),
        caller.actor,
        number,
        step.action,
        version,
        reason=wish.reason,
        given=given,
        matrix=severity.load(centre.settings.respond.incidents.severity_matrix),
    )


def _shown(row: Row) -> Incident:
    return _incident(queries.shown(row))


def _titled(titles: RuleTitles, text: str) -> frozenset[str]:
    if not text or text.isascii():
        return frozenset()
    titles.look_now()
    return titles.with_words(text)


def _incident(summary: Summary) -> Incident:
    return Incident.model_validate(summary)


add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    Incident,
    wishes={
        "confirm": ConfirmWish,
        "acknowledge": AcknowledgeWish,
        "assign": AssignWish,
        "assess": AssessWish,
        "rate": RateWish,
        "mark": MarkWish,
        "restrict": RestrictWish,
        "merge": MergeWish,
        "split": SplitWish,
    },
    summaries={"mark": "Mark an incident as concerning personal data", "rate": "Set an incident's severity"},
)
