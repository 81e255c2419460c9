"""Emergency teams (article 20): asked for by an agency or proposed by the SOC lead, formed by the Mayor alone, and every step after."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import disclosure
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, IncidentFilter, Kind, Number, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from api.routes import team_members
from api.routes.team_members import TeamMember
from core.permissions import Action, Principal
from respond.cases.machine import Step
from respond.teams import composition, log, roster, service
from respond.teams.composition import Composition
from respond.teams.machine import MACHINE
from respond.teams.models import Team as Row

router = APIRouter(prefix="/v1/teams", tags=["teams"])

Reader = Annotated[Principal, Depends(Allowed(Action.TEAMS_READ))]
Requester = Annotated[Principal, Depends(Allowed(Action.TEAMS_REQUEST))]
Proposer = Annotated[Principal, Depends(Allowed(Action.TEAMS_PROPOSE))]
Text = Annotated[str, Field(min_length=1, max_length=service.LONGEST)]
_EXAMPLE: Final[dict[str, Any]] = {"incident": "INC-2026-000001", "basis": "The civil affairs service is down for the whole city"}


class TeamAsked(BaseModel):
    """For which accident a team is wanted, and why it is grave enough."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    incident: str = Field(min_length=1, max_length=40)
    basis: Text


class FormWish(Wish):
    """The Mayor's order."""

    order: Text = Field(description="What the team is to do")


class OrderWish(Wish):
    """An order to the team."""

    text: Text


class ReviewWish(Wish):
    """What the review found."""

    findings: Text


class Nominated(BaseModel):
    """Somebody to be on the roster."""

    model_config = ConfigDict(extra="forbid")

    role: str = Field(max_length=40, description="A role of the composition")
    name: str = Field(min_length=1, max_length=200)
    agency: str = Field(default="", max_length=63, description="Where from; empty: the centre, or outside")
    account: str = Field(default="", max_length=200, description="The user who acknowledges; empty: somebody without one")
    organisation: str = Field(default="", max_length=200, description="Of somebody from outside")


class NominateWish(Wish):
    """People to be put on the roster."""

    people: list[Nominated] = Field(min_length=1, max_length=roster.MOST)


class Team(CaseOut):
    """An emergency team. `severity` is that of the accident when it was asked for, `agency` the accident's."""

    incident: str
    severity: str
    basis: str
    table_version: str
    order: str
    findings: str
    formed_at: datetime | None
    active_at: datetime | None
    stood_down_at: datetime | None


class TeamDetail(Team):
    """A team with its roster within the caller's scope, what its composition lacks, and how it went."""

    members: list[TeamMember]
    missing: list[str]
    progress: Progress


class DutyEntry(BaseModel):
    """One line of the duty log: an order, or a note of what was done."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    entry: str
    at: datetime
    actor: str
    kind: str
    text: str


class DutyLog(BaseModel):
    """The duty log in order. Ask again with `after` the last id."""

    items: list[DutyEntry]


class Note(BaseModel):
    """What was done."""

    model_config = ConfigDict(extra="forbid")

    text: Text


class Wanted(IncidentFilter):
    """Which teams to list."""

    agency: str = Field(default="", max_length=63)


class LogWanted(BaseModel):
    """Which part of the duty log."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(default=0, ge=0, lt=1 << 62)
    limit: int = Field(default=200, ge=1, le=1000)


@router.post("/requests", status_code=201, summary="Request an emergency team")
def request(asked: TeamAsked, response: Response, caller: Requester, centre: TheCentre) -> Team:
    """The head of an agency asks the Mayor, through an officer, for a team for an accident of the agency [CO 20(2)]."""
    return _ask(asked, response, caller, centre, Action.TEAMS_REQUEST)


@router.post("/proposals", status_code=201, summary="Propose an emergency team")
def propose(asked: TeamAsked, response: Response, caller: Proposer, centre: TheCentre) -> Team:
    """The SOC lead proposes a team to the Mayor for an accident [CO 20(1)]."""
    return _ask(asked, response, caller, centre, Action.TEAMS_PROPOSE)


@router.get("/composition", summary="Read the composition of a team")
def get_composition(_caller: Reader, centre: TheCentre) -> Composition:
    """The roles of a team, how many people each has and where they come from: the centre's own rules."""
    return _composition(centre)


@router.get("/{number}/log", summary="Read a team's duty log")
def read_log(number: Number, wanted: Annotated[LogWanted, Query()], caller: Reader, centre: TheCentre) -> DutyLog:
    """Orders and notes, oldest first."""
    with centre.database.session(readonly=True) as session:
        row = service.find(session, caller.scope(Action.TEAMS_READ), number, caller.actor)
        found = log.read(session, number, after=wanted.after, limit=wanted.limit)
    disclosure.note_cases(centre.database, caller, MACHINE, [row], "log")
    return DutyLog(items=[DutyEntry.model_validate(one) for one in found])


@router.put("/{number}/log/{entry}", summary="Write a line into a team's duty log")
def write_log(
    number: Number,
    entry: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{8,64}$", description="An id of the writer's making, new for each line")],
    note: Note,
    caller: Reader,
    centre: TheCentre,
) -> DutyEntry:
    """Append a note; people on the roster write, and whoever may propose teams. The same line sent again is not written twice."""
    leads = caller.may(Action.TEAMS_PROPOSE)
    with centre.database.session() as session:
        team = service.find(session, caller.scope(Action.TEAMS_READ), number, caller.actor)
        written = log.note(session, caller.actor, caller.name, team, entry, note.text, leads=leads)
    return DutyEntry.model_validate(written)


def _ask(asked: TeamAsked, response: Response, caller: Principal, centre: Centre, right: Action) -> Team:
    propose_it = right is Action.TEAMS_PROPOSE
    rules, scope = _composition(centre), caller.scope(right)
    with centre.database.session() as session:
        made = _shown(service.ask(session, scope, caller.actor, rules, asked.incident, asked.basis, propose=propose_it))
    set_etag(response, made.version)
    return made


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    actor, rules = caller.actor, _composition(centre)
    if isinstance(wish, NominateWish):
        people = [roster.Person(**one.model_dump()) for one in wish.people]
        known = {agency.id for agency in centre.settings.agencies}
        return service.nominate(session, actor, rules, number, version, people, known)
    if isinstance(wish, FormWish):
        return service.form(session, actor, number, version, wish.order, wish.reason)
    if isinstance(wish, OrderWish):
        return service.order(session, actor, number, version, wish.text)
    if isinstance(wish, ReviewWish):
        return service.review(session, actor, number, version, wish.findings)
    if step.action == "call_out":
        return service.call_out(session, actor, rules, number, version)
    if step.action == "activate":
        return service.activate(session, actor, rules, number, version, wish.reason)
    return service.end(session, actor, number, step.action, version, wish.reason)


def _composition(centre: Centre) -> Composition:
    return composition.load(centre.settings.respond.teams)


def _shown(row: Row) -> Team:
    return Team.model_validate(row, from_attributes=True)


def _told(session: Session, centre: Centre, caller: Principal, row: Row, went: Progress) -> TeamDetail:
    people = roster.of_team(session, caller.scope(Action.TEAMS_READ), row.number)
    missing = _composition(centre).missing(roster.acknowledged(session, row.number))
    return TeamDetail(**_shown(row).model_dump(), members=[team_members.shown(one) for one in people], missing=missing, progress=went)


def _sees(caller: Principal) -> list[sa.ColumnElement[bool]]:
    return [service.readable(caller.scope(Action.TEAMS_READ))]


_KIND: Final = Kind(MACHINE, Row, [Action.TEAMS_READ], Team, _sees)
add_list(
    router,
    _KIND,
    Wanted,
    of="Teams",
    name="list_teams",
    summary="List emergency teams",
    description="Teams within the caller's scope, newest first; an agency sees those of its accidents and those its people are on.",
)
add_read(
    router,
    _KIND,
    TeamDetail,
    _told,
    name="get_team",
    summary="Read an emergency team",
    description="A team with its roster, its history and the steps the caller may take.",
)
add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    Team,
    wishes={"nominate": NominateWish, "form": FormWish, "order": OrderWish, "review": ReviewWish},
)
