"""Campaigns of annual duties (articles 15, 21, 25): planning, starting, and how far they are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, Instant, Number, Progress, Wish, add_steps, progress, set_etag
from api.centre import Centre
from core.errors import NotFound
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.duties import campaigns, policy, standing
from respond.duties.campaigns import Planned
from respond.duties.machine import CAMPAIGN, LAW, Kind
from respond.duties.models import Campaign as Row

router = APIRouter(prefix="/v1/campaigns", tags=["duties"])

Reader = Annotated[Principal, Depends(Allowed(Action.DUTIES_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.DUTIES_WRITE))]
Agency = Annotated[str, Field(max_length=63)]
_EXAMPLE: Final[dict[str, Any]] = {"kind": "inspection", "year": 2026, "title": "Inspection of 2026", "due_at": "2026-11-30T09:00:00Z"}


class CampaignWish(BaseModel):
    """What a campaign is to be."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    kind: Kind
    year: int = Field(ge=2000, le=2199, description="A calendar year in Seoul")
    title: str = Field(min_length=1, max_length=200)
    standards: str = Field(default="", max_length=300, description="Of an audit: the standards and their version (article 25(1))")
    scope: str = Field(default="", max_length=4000, description="What is looked at, in words")
    due_at: Instant | None = Field(default=None, description="Empty: the end of the year in Seoul, beyond which it cannot be")
    agencies: list[Agency] = Field(default=[], max_length=10_000, description="Those concerned; empty: all")


class EditWish(CampaignWish, Wish):
    """A planned campaign as it is to be."""


class IncludeWish(Wish):
    """Agencies that are to have a duty, too."""

    agencies: list[Agency] = Field(min_length=1, max_length=10_000)


class Campaign(CaseOut):
    """A campaign. `law` is the paragraph it carries out; `agencies` empty: all; `subjects` is empty before the start."""

    kind: Kind
    law: str
    year: int
    title: str
    standards: str
    scope: str
    due_at: datetime
    agencies: list[str]
    policy_version: str
    subjects: list[dict[str, Any]]


class CampaignDetail(Campaign):
    """A campaign with its duties counted by state within the caller's scope, and the agencies that are overdue ('' the centre itself)."""

    duties: dict[str, int]
    overdue: list[str]
    progress: Progress


class CampaignPage(BaseModel):
    """Campaigns, newest first. `next_cursor` is empty on the last page."""

    items: list[Campaign]
    next_cursor: str


class Wanted(BaseModel):
    """What to list; several values of one filter mean any of them."""

    model_config = ConfigDict(extra="forbid")

    kind: list[Kind] = Field(default=[], max_length=8)
    state: list[str] = Field(default=[], max_length=16)
    year: int | None = Field(default=None, ge=2000, le=2199)
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List campaigns of annual duties")
def list_campaigns(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> CampaignPage:
    """Campaigns, newest first; an agency sees those it has a duty of."""
    conditions = [campaigns.readable(caller.scope(Action.DUTIES_READ))]
    if wanted.kind:
        conditions.append(Row.kind.in_([one.value for one in wanted.kind]))
    if wanted.state:
        conditions.append(Row.state.in_(wanted.state))
    if wanted.year is not None:
        conditions.append(Row.year == wanted.year)
    with centre.database.session(readonly=True) as session:
        found = records.page(session, Row, None, *conditions, cursor=wanted.cursor, limit=wanted.limit)
    return CampaignPage(items=[_shown(one) for one in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, summary="Plan a campaign of annual duties")
def plan(wish: CampaignWish, response: Response, caller: Writer, centre: TheCentre) -> Campaign:
    """Write a campaign down. Agencies have their duties when it starts."""
    with centre.database.session() as session:
        made = _shown(campaigns.plan(session, caller.actor, _policy(centre), _known(centre), _planned(wish)))
    set_etag(response, made.version)
    return made


@router.get("/subjects", summary="Read what each kind of duty looks at")
def get_subjects(_caller: Reader, centre: TheCentre) -> policy.Subjects:
    """The subjects of every kind of duty: those the ordinance names, and the centre's own."""
    return _policy(centre)


@router.get("/{number}", summary="Read a campaign of annual duties")
def get_campaign(number: Number, response: Response, caller: Reader, centre: TheCentre) -> CampaignDetail:
    """A campaign with its history, how many duties are in which state, and who is overdue."""
    scope, at = caller.scope(Action.DUTIES_READ), centre.clock.now()
    with centre.database.session(readonly=True) as session:
        row = session.scalar(sa.select(Row).where(Row.number == number, campaigns.readable(scope)))
        if row is None:
            raise NotFound(f"there is no campaign {number}")
        counted, late = standing.of_campaign(session, scope, number), standing.late(session, scope, number, at)
        told = progress(session, CAMPAIGN, row, caller, at)
    set_etag(response, row.version)
    return CampaignDetail(**_shown(row).model_dump(), duties=dict(counted), overdue=list(late), progress=told)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    actor, rules, known = caller.actor, _policy(centre), _known(centre)
    if isinstance(wish, EditWish):
        return campaigns.edit(session, actor, number, version, rules, known, _planned(wish))
    if isinstance(wish, IncludeWish):
        return campaigns.include(session, actor, number, version, rules, known, wish.agencies)
    if step.action == "start":
        return campaigns.start(session, actor, number, version, rules, known)
    if step.action == "close":
        return campaigns.close(session, actor, number, version)
    return campaigns.cancel(session, actor, number, version, wish.reason)


def _planned(wish: CampaignWish) -> Planned:
    fields = wish.model_dump(exclude={"reason"})
    return Planned(**fields | {"agencies": tuple(wish.agencies)})


def _policy(centre: Centre) -> policy.Subjects:
    return policy.load(centre.settings.respond.duties)


def _known(centre: Centre) -> set[str]:
    return {agency.id for agency in centre.settings.agencies}


def _shown(row: Row) -> Campaign:
    fields = {name: getattr(row, name) for name in Campaign.model_fields if name != "law"}
    return Campaign.model_validate({**fields, "law": LAW[Kind(row.kind)]})


add_steps(router, CAMPAIGN, _take, _shown, Campaign, wishes={"edit": EditWish, "include": IncludeWish})
