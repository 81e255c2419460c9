"""News on screen, who is on call, calls to acknowledge, and what could not be delivered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth.dependencies import Allowed, Caller, TheCentre
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.database import insert_into
from core.errors import Forbidden, Invalid
from core.instants import Instant
from core.permissions import Action, Principal, Reach
from respond.cases.models import Outgoing
from respond.notify import dispatch, oncall
from respond.notify.closed import closed_news
from respond.notify.models import NewsRead, Page
from respond.notify.oncall import NewShift
from respond.warnings import levels

router = APIRouter(prefix="/v1", tags=["notifications"])

OnCallReader = Annotated[Principal, Depends(Allowed(Action.ONCALL_READ))]
OnCallWriter = Annotated[Principal, Depends(Allowed(Action.ONCALL_WRITE))]

READ_BY: Final = {
    "incident": Action.INCIDENTS_READ,
    "investigation": Action.INCIDENTS_READ,
    "request": Action.REQUESTS_READ,
    "report": Action.REPORTS_READ,
    "warning": Action.WARNINGS_READ,
    "readiness": Action.READINESS_READ,
    "warning_notice": Action.WARNINGS_READ,
    "team": Action.TEAMS_READ,
    "team_member": Action.TEAMS_READ,
    **dict.fromkeys(
        (f"personal_{part}" for part in ("case", "containment", "notice", "posting", "report", "possible_notice")), Action.PERSONAL_READ
    ),
    "block": Action.BLOCKS_READ,
    "share": Action.SHARING_READ,
    "share_receipt": Action.SHARING_READ,
    "drill": Action.DRILLS_READ,
    "centre": Action.CENTRES_READ,
    **dict.fromkeys(("campaign", "duty"), Action.DUTIES_READ),
    "rule_draft": Action.RULES_WRITE,
}
"""The permission that shows news of each kind of case."""


class News(BaseModel):
    """Something that happened. `kind` is `<case>.<action>`."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    kind: str
    object: str
    agency: str
    severity: str
    exercise: bool
    data: dict[str, Any]


class NewsPage(BaseModel):
    """News, newest first. `read_until` is the id up to which the caller has read; `next_cursor` is empty on the last page."""

    items: list[News]
    read_until: int
    next_cursor: str


class ReadUntil(BaseModel):
    """The id of the newest piece of news that was read."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"id": 41}]})

    id: int = Field(ge=0, lt=1 << 63)


class ShiftWish(BaseModel):
    """Somebody's time on call. Of those on call at once the lowest `tier` is called first."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "person": "kim",
                    "address": "kim@soc.example",
                    "tier": 0,
                    "begins_at": "2026-01-02T09:00:00Z",
                    "ends_at": "2026-01-03T00:00:00Z",
                }
            ]
        },
    )

    person: str = Field(min_length=1, max_length=64)
    address: str = Field(min_length=3, max_length=254, pattern=r"^[^@\s,]+@[^@\s,]+$", description="E-mail address that calls go to")
    tier: int = Field(default=0, ge=0, le=9)
    begins_at: Instant
    ends_at: Instant
    level: str = Field(default="", max_length=40, description="On call only while a national warning of this level or a graver is in force")


class Shift(ShiftWish):
    """A shift of the rota."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    made_by: str
    version: int = Field(description="The ETag")


class ShiftPage(BaseModel):
    """Shifts in their order. `next_cursor` is empty on the last page."""

    items: list[Shift]
    next_cursor: str


class Call(BaseModel):
    """A call to whoever is on call, and whom it reached so far."""

    id: int
    news: News
    tier: int
    called: list[dict[str, Any]]
    next_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str


class CallPage(BaseModel):
    """Calls, oldest first. `next_cursor` is empty on the last page."""

    items: list[Call]
    next_cursor: str


class Delivery(BaseModel):
    """News that could not be delivered."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    channel: str
    to: str
    state: str
    attempts: int
    next_at: datetime
    problem: str
    message: dict[str, Any]


class DeliveryPage(BaseModel):
    """Deliveries, newest first. `next_cursor` is empty on the last page."""

    items: list[Delivery]
    next_cursor: str


_Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/news", summary="Read the news")
def list_news(
    caller: Caller,
    centre: TheCentre,
    cursor: Annotated[str, Query(pattern=r"^[0-9]{0,18}$", description="`next_cursor` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> NewsPage:
    """What happened in what the caller may read, newest first."""
    query = sa.select(Outgoing).where(_readable(caller), ~closed_news(caller.actor))
    if cursor:
        query = query.where(Outgoing.id < int(cursor))
    with centre.database.session(readonly=True) as session:
        rows = session.scalars(query.order_by(Outgoing.id.desc()).limit(limit + 1)).all()
        read = session.get(NewsRead, caller.id)
    following = str(rows[limit - 1].id) if len(rows) > limit else ""
    return NewsPage(items=[News.model_validate(row) for row in rows[:limit]], read_until=read.last_id if read else 0, next_cursor=following)


@router.put("/news/read", status_code=204, summary="Say what was read")
def read_news(until: ReadUntil, caller: Caller, centre: TheCentre) -> None:
    """Everything up to this id is read by the caller. Going back is possible."""
    with centre.database.session() as session:
        insert = insert_into(session, NewsRead).values(user_id=caller.id, last_id=until.id)
        session.execute(insert.on_conflict_do_update(index_elements=["user_id"], set_={"last_id": until.id}))


@router.get("/oncall", summary="Read the rota")
def list_shifts(_caller: OnCallReader, centre: TheCentre, cursor: paging.RowCursor = "", limit: _Limit = 100) -> ShiftPage:
    """Shifts that have not ended, in order; who is on call now comes first, lowest tier first."""
    with centre.database.session(readonly=True) as session:
        rows = oncall.shifts(session, centre.clock.now(), int(cursor) if cursor else None, limit + 1)
        following = str(rows[limit - 1].id) if len(rows) > limit else ""
        return ShiftPage(items=[Shift.model_validate(one) for one in rows[:limit]], next_cursor=following)


@router.post("/oncall", status_code=201, summary="Put somebody on call")
def plan_shift(wish: ShiftWish, response: Response, caller: OnCallWriter, centre: TheCentre) -> Shift:
    """Add a shift to the rota."""
    if wish.level and not levels.load(centre.settings.respond.warnings).knows(wish.level):
        raise Invalid(f"there is no level {wish.level!r}; GET /v1/warnings/levels tells them")
    with centre.database.session() as session:
        made = Shift.model_validate(oncall.plan(session, caller.actor, NewShift(**wish.model_dump())))
    set_etag(response, made.version)
    return made


@router.get("/oncall/{shift_id}", summary="Read a shift of the rota")
def read_shift(shift_id: paging.RowNumber, response: Response, _caller: OnCallReader, centre: TheCentre) -> Shift:
    """One shift, over or not."""
    with centre.database.session(readonly=True) as session:
        found = Shift.model_validate(oncall.find(session, shift_id))
    set_etag(response, found.version)
    return found


@router.delete("/oncall/{shift_id}", status_code=204, summary="Take a shift off the rota", responses=CONDITIONAL)
def remove_shift(shift_id: paging.RowNumber, caller: OnCallWriter, centre: TheCentre, version: SeenVersion) -> None:
    """Calls made already stay as they are."""
    with centre.database.session() as session:
        oncall.remove(session, caller.actor, shift_id, seen=version)


@router.get("/calls", summary="List calls nobody has acknowledged")
def list_calls(caller: OnCallReader, centre: TheCentre, cursor: paging.RowCursor = "", limit: _Limit = 100) -> CallPage:
    """Oldest first."""
    with centre.database.session(readonly=True) as session:
        rows = oncall.open_pages(session, caller.actor, int(cursor or 0), limit + 1)
        following = str(rows[limit - 1][0].id) if len(rows) > limit else ""
        return CallPage(items=[_call(page, news) for page, news in rows[:limit]], next_cursor=following)


@router.post("/calls/{call_id}/acknowledge", summary="Acknowledge a call")
def acknowledge(call_id: paging.RowNumber, caller: OnCallReader, centre: TheCentre) -> Call:
    """Say that you take care of it: nobody else is called. A machine cannot."""
    if caller.kind != "user":
        raise Forbidden("a person acknowledges a call")
    with centre.database.session() as session:
        page = oncall.acknowledge(session, caller.actor, call_id)
        return _call(page, session.get_one(Outgoing, page.outbox_id))


@router.get("/deliveries/dead", summary="List what could not be delivered")
def list_dead(caller: OnCallReader, centre: TheCentre, cursor: paging.RowCursor = "", limit: _Limit = 100) -> DeliveryPage:
    """Deliveries given up after too many failures, newest first."""
    with centre.database.session(readonly=True) as session:
        rows = dispatch.dead(session, caller.actor, int(cursor) if cursor else None, limit + 1)
        following = str(rows[limit - 1].id) if len(rows) > limit else ""
        return DeliveryPage(items=[Delivery.model_validate(one) for one in rows[:limit]], next_cursor=following)


@router.post("/deliveries/{delivery_id}/again", summary="Deliver again")
def deliver_again(delivery_id: paging.RowNumber, caller: OnCallWriter, centre: TheCentre) -> Delivery:
    """Try a delivery that was given up once more."""
    with centre.database.session() as session:
        return Delivery.model_validate(dispatch.again(session, caller.actor, delivery_id))


def _readable(caller: Principal) -> sa.ColumnElement[bool]:
    """The condition that leaves the news of what the caller may read."""
    shown: list[sa.ColumnElement[bool]] = []
    for kind, action in READ_BY.items():
        if not caller.may(action) or caller.grants[action] is Reach.OWN_PERSONAL:  # news says nothing of personal data
            continue
        scope = caller.scope(action)
        within = sa.true() if scope is None else Outgoing.agency.in_(scope)
        shown.append(sa.and_(Outgoing.kind.startswith(f"{kind}.", autoescape=True), within))
    return sa.or_(sa.false(), *shown)


def _call(page: Page, news: Outgoing) -> Call:
    return Call(
        id=page.id,
        news=News.model_validate(news),
        tier=page.tier,
        called=page.called,
        next_at=page.next_at,
        acknowledged_at=page.acknowledged_at,
        acknowledged_by=page.acknowledged_by,
    )
