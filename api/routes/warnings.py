"""National warnings (article 18): recording one, which level is in force, and every step of the machine.

The city issues no warning and no incident makes one: what stands here was written down from the national notice by a person.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseFilter, CaseOut, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.checklists import Measure, ProofWish, proof
from api.etags import set_etag
from api.routes import warning_notices
from api.routes.warning_notices import WarningNotice
from core.instants import Instant
from core.permissions import Action, Principal
from respond.cases.machine import Step
from respond.notify import oncall
from respond.warnings import in_force, levels, notices, service
from respond.warnings.levels import Effects, Levels
from respond.warnings.machine import MACHINE
from respond.warnings.models import Warning as Row
from respond.warnings.service import National

router = APIRouter(prefix="/v1/warnings", tags=["warnings"])

Reader = Annotated[Principal, Depends(Allowed(Action.WARNINGS_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.WARNINGS_WRITE))]
NOT_OURS_KO: Final = "국가 사이버위기경보를 기록한 것이며, 시는 경보를 발령하지 않습니다."
NOT_OURS_EN: Final = "Recorded from the national notice; the city issues no warning."
_EXAMPLE: Final[dict[str, Any]] = {
    "issuer": "National Cyber Security Center",
    "reference": "2026-17",
    "level": "caution",
    "title": "Attacks on remote access products",
    "reach": "All public institutions",
    "starts_at": "2026-05-01T00:00:00Z",
}


class NationalNotice(BaseModel):
    """What the national notice says."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    issuer: str = Field(min_length=1, max_length=200, description="Who issued it; never the city")
    reference: str = Field(min_length=1, max_length=200, description="The notice's number")
    level: str = Field(min_length=1, max_length=40, description="One of GET /v1/warnings/levels")
    title: str = Field(min_length=1, max_length=300)
    reach: str = Field(default="", max_length=4000, description="Its scope in the notice's words")
    agencies: list[str] = Field(default=[], max_length=1000, description="The agencies concerned; none: all")
    starts_at: Instant
    ends_at: Instant | None = Field(default=None, description="Empty: until it is lifted")


class Recorded(NationalNotice):
    """A national notice to be written down."""

    exercise: bool = Field(default=False, description="An exercise changes neither the level in force nor its history")


class NoticeWish(NationalNotice, Wish):
    """The notice as it is to be, or the one that changes the level."""


class Warning(CaseOut):  # noqa: A001 - the ordinance's word
    """A national warning. `measures` is the centre's own list; `ended_at` when it was lifted, changed or ran out."""

    issuer: str
    reference: str
    level: str
    title: str
    reach: str
    agencies: list[str]
    starts_at: datetime
    ends_at: datetime | None
    ended_at: datetime | None
    follows: str
    table_version: str
    measures: list[Measure]


class WarningDetail(Warning):
    """A warning with its notices at the agencies within the caller's scope, and how it went."""

    notices: list[WarningNotice]
    progress: Progress


class Watch(BaseModel):
    """The watch rota at the level in force: how many people it wants, how many are on call now, and so how many are missing."""

    wanted: int
    on_call: int
    short: int


class Effect(BaseModel):
    """What is in force. `warning` is None when no warning is: `level` is then the calmest."""

    level: str
    level_ko: str
    level_en: str
    warning: Warning | None
    effects: Effects
    watch: Watch
    table_version: str
    note_ko: str = NOT_OURS_KO
    note_en: str = NOT_OURS_EN


class LevelChange(BaseModel):
    """From `at` on this level; `warning` and `level` are empty where none was in force."""

    at: datetime
    level: str
    warning: str


class LevelTable(BaseModel):
    """The levels in use, from the calmest, and how the level in force changed, newest first. Names are found, measures are ours."""

    table: Levels
    history: list[LevelChange]


class Wanted(CaseFilter):
    """Which warnings to list."""

    level: list[str] = Field(default=[], max_length=16)


@router.post("", status_code=201, summary="Record a national warning")
def record(asked: Recorded, response: Response, caller: Writer, centre: TheCentre) -> Warning:
    """Write a national notice down. Its level counts from its start; agencies are told when it is propagated."""
    with centre.database.session() as session:
        wanted, exercise = _national(asked), asked.exercise
        made = _shown(service.record(session, caller.actor, _levels(centre), _known(centre), wanted, exercise=exercise))
    set_etag(response, made.version)
    return made


@router.get("/effect", summary="Read what is in force")
def effect(caller: Reader, centre: TheCentre) -> Effect:
    """The level in force within the caller's scope, and what it means for the centre's work."""
    table = _levels(centre)
    with centre.database.session(readonly=True) as session:
        found = in_force.current(session, caller.scope(Action.WARNINGS_READ), table)
        people = len({shift.person for shift in oncall.on_call(session, centre.clock.now())})
    told = levels.effects(table, found.level if found else "")
    level = table.find(found.level) if found else table.levels[0]
    return Effect(
        level=found.level if found else level.id,
        level_ko=level.ko,
        level_en=level.en,
        warning=_shown(found) if found else None,
        effects=told,
        watch=Watch(wanted=told.watch_people, on_call=people, short=max(told.watch_people - people, 0)),
        table_version=table.version,
    )


@router.get("/levels", summary="Read the levels and their history")
def level_table(caller: Reader, centre: TheCentre) -> LevelTable:
    """Every level with its measures and effects, and when the level in force changed."""
    table = _levels(centre)
    with centre.database.session(readonly=True) as session:
        changes = in_force.history(session, caller.scope(Action.WARNINGS_READ), table)
    shown = [_change(one) for one in changes]
    return LevelTable(table=table, history=shown)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    actor, table, known = caller.actor, _levels(centre), _known(centre)
    if isinstance(wish, ProofWish):
        return service.prove(session, actor, number, version, proof(wish))
    if isinstance(wish, NoticeWish):
        wanted = _national(wish)
        if step.action == "edit":
            return service.edit(session, actor, number, version, table, known, wanted)
        return service.change_level(session, actor, number, version, wish.reason, table, known, wanted)[0]
    if step.action == "propagate":
        return service.propagate(session, actor, number, version, table, known)
    if step.action == "report":
        return service.report(session, actor, number, version, wish.reason, table)
    act = {"complete": service.complete, "lift": service.lift, "expire": service.expire}[step.action]
    return act(session, actor, number, version, wish.reason)


def _change(one: in_force.Change) -> LevelChange:
    found = one.warning
    return LevelChange(at=one.at, level=found.level if found else "", warning=found.number if found else "")


def _national(asked: NationalNotice) -> National:
    return National(**asked.model_dump(exclude={"reason", "exercise", "agencies"}), agencies=tuple(asked.agencies))


def _levels(centre: Centre) -> Levels:
    return levels.load(centre.settings.respond.warnings)


def _known(centre: Centre) -> set[str]:
    return {agency.id for agency in centre.settings.agencies}


def _shown(row: Row) -> Warning:
    return Warning.model_validate(row, from_attributes=True)


def _told(session: Session, _centre: Centre, caller: Principal, row: Row, went: Progress) -> WarningDetail:
    given = notices.of_warning(session, caller.scope(Action.WARNINGS_READ), row.number)
    return WarningDetail(**_shown(row).model_dump(), notices=[warning_notices.shown(one) for one in given], progress=went)


def _sees(caller: Principal) -> list[sa.ColumnElement[bool]]:
    return [service.readable(caller.scope(Action.WARNINGS_READ))]


_KIND: Final = Kind(MACHINE, Row, [Action.WARNINGS_READ], Warning, _sees)
add_list(
    router,
    _KIND,
    Wanted,
    of="Warnings",
    name="list_warnings",
    summary="List warnings",
    description="Warnings, newest first; an agency's officer sees those the agency was given notice of.",
)
add_read(
    router,
    _KIND,
    WarningDetail,
    _told,
    name="get_warning",
    summary="Read a warning",
    description="A warning with the notices of its agencies, its history and the steps the caller may take.",
)
add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    Warning,
    wishes={"edit": NoticeWish, "change_level": NoticeWish, "prove": ProofWish},
    summaries={
        "change_level": "Change a warning's level by a further national notice",
        "report": "Say that the state was reported; the reason says what",
    },
)
