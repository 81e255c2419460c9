"""People called into an emergency team (article 20): each acknowledges the own call, or says why not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed
from api.cases import CaseFilter, CaseOut, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from core.permissions import Action, Principal
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


class Wanted(CaseFilter):
    """Which members to list. `mine`: only what the caller is called for."""

    team: str = Field(default="", max_length=40)
    mine: bool = Field(default=False, exclude=True)

    def conditions(self, row: type[Any], caller: Principal) -> list[sa.ColumnElement[bool]]:
        """What the members meet that were asked for."""
        own = [row.account == caller.name] if self.mine else []
        return [*super().conditions(row, caller), *own]


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


_KIND: Final = Kind(MEMBER, Row, [Action.TEAMS_READ], TeamMember)
add_list(
    router,
    _KIND,
    Wanted,
    of="Members",
    name="list_members",
    summary="List members of emergency teams",
    description="People of all rosters within the caller's scope, newest first.",
)
add_read(
    router,
    _KIND,
    TeamMemberDetail,
    name="get_member",
    summary="Read a member of an emergency team",
    description="A member with the times of the call and the centre's target for it.",
)
add_steps(router, MEMBER, _take, shown, TeamMember)
