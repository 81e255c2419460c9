"""People called into an emergency team (article 20): each acknowledges the own call, or says why not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, Number, Progress, Wish, add_steps, progress, set_etag
from api.centre import Centre
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.teams import composition, roster
from respond.teams.machine import MEMBER
from respond.teams.models import Member as Row

router = APIRouter(prefix="/v1/team-members", tags=["teams"])

Reader = Annotated[Principal, Depends(Allowed(Action.TEAMS_READ))]


class TeamMember(CaseOut):
    """Somebody on a team's roster. `account` is the user who answers; `agency` where from, empty: centre or outside."""

    team: str
    role: str
    name: str
    account: str
    organisation: str
    called_at: datetime | None
    answered_at: datetime | None


class TeamMemberDetail(TeamMember):
    """A member with how the call went."""

    progress: Progress


class TeamMemberPage(BaseModel):
    """Members, newest first. `next_cursor` is empty on the last page."""

    items: list[TeamMember]
    next_cursor: str


class Wanted(BaseModel):
    """What to list. `mine`: only what the caller is called for."""

    model_config = ConfigDict(extra="forbid")

    team: str = Field(default="", max_length=40)
    state: list[str] = Field(default=[], max_length=16)
    mine: bool = False
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List members of emergency teams")
def list_members(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> TeamMemberPage:
    """People of all rosters within the caller's scope, newest first."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.team:
        conditions.append(Row.team == wanted.team)
    if wanted.state:
        conditions.append(Row.state.in_(wanted.state))
    if wanted.mine:
        conditions.append(Row.account == caller.name)
    scope = caller.scope(Action.TEAMS_READ)
    with centre.database.session(readonly=True) as session:
        found = records.page(session, Row, scope, *conditions, cursor=wanted.cursor, limit=wanted.limit, reader=caller.actor)
    return TeamMemberPage(items=[shown(one) for one in found.items], next_cursor=found.next_cursor)


@router.get("/{number}", summary="Read a member of an emergency team")
def get_member(number: Number, response: Response, caller: Reader, centre: TheCentre) -> TeamMemberDetail:
    """A member with the times of the call and the centre's target for it."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, MEMBER, Row, caller.scope(Action.TEAMS_READ), number, reader=caller.actor)
        told = progress(session, MEMBER, row, caller, centre.clock.now())
    set_etag(response, row.version)
    return TeamMemberDetail(**shown(row).model_dump(), progress=told)


def shown(row: Row) -> TeamMember:
    """A member as answered."""
    return TeamMember.model_validate(row, from_attributes=True)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    return roster.take(
        session,
        caller.scope(step.permission),
        caller.actor,
        number,
        step.action,
        version,
        reason=wish.reason,
        composition=composition.load(centre.settings.respond.teams),
        account=caller.name,
        for_others=caller.may(Action.TEAMS_PROPOSE),
    )


add_steps(router, MEMBER, _take, shown, TeamMember)
