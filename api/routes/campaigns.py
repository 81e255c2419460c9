"""Campaigns of annual duties (articles 15, 21, 25): planning, starting, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseFilter, CaseOut, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from core.instants import Instant
from core.permissions import Action, Principal
from respond.cases.machine import Step
from respond.duties import campaigns, policy, standing
from respond.duties.campaigns import Planned
from respond.duties.machine import CAMPAIGN, LAW
from respond.duties.machine import Kind as DutyKind
from respond.duties.models import Campaign as Row

router = APIRouter(prefix="/v1/campaigns", tags=["duties"])

Reader = Annotated[Principal, Depends(Allowed(Action.DUTIES_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.DUTIES_WRITE))]
Agency = Annotated[str, Field(max_length=63)]
_EXAMPLE: Final[dict[str, Any]] = {"kind": "inspection", "year": 2026, "title": "Inspection of 2026", "due_at": "2026-11-30T09:00:00Z"}


class CampaignWish(BaseModel):
    """What a campaign is to be."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    kind: DutyKind
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

    kind: DutyKind
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


class Wanted(CaseFilter):
    """Which campaigns to list."""

    kind: list[DutyKind] = Field(default=[], max_length=8)
    year: int | None = Field(default=None, ge=2000, le=2199)


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
    return Campaign.model_validate({**fields, "law": LAW[DutyKind(row.kind)]})


def _told(session: Session, centre: Centre, caller: Principal, row: Row, went: Progress) -> CampaignDetail:
    scope = caller.scope(Action.DUTIES_READ)
    counted = standing.of_campaign(session, scope, row.number)
    late = standing.late(session, scope, row.number, centre.clock.now())
    return CampaignDetail(**_shown(row).model_dump(), duties=dict(counted), overdue=list(late), progress=went)


def _sees(caller: Principal) -> list[sa.ColumnElement[bool]]:
    return [campaigns.readable(caller.scope(Action.DUTIES_READ))]


def _all_shown(_session: Session, _centre: Centre, _caller: Principal, rows: Sequence[Row]) -> list[Campaign]:
    return [_shown(one) for one in rows]


_KIND: Final = Kind(CAMPAIGN, Row, [Action.DUTIES_READ], Campaign, _sees, _all_shown)
add_list(
    router,
    _KIND,
    Wanted,
    of="Campaigns",
    name="list_campaigns",
    summary="List campaigns of annual duties",
    description="Campaigns, newest first; an agency sees those it has a duty of.",
)
add_read(
    router,
    _KIND,
    CampaignDetail,
    _told,
    name="get_campaign",
    summary="Read a campaign of annual duties",
    description="A campaign with its history, how many duties are in which state, and who is overdue.",
)
add_steps(router, CAMPAIGN, _take, _shown, Campaign, wishes={"edit": EditWish, "include": IncludeWish})
