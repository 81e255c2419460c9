"""Linked security control centres of agencies (article 17(3)): the register, how their links stand, and their heartbeat."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseFilter, CaseOut, Kind, Number, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from core.errors import Forbidden
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.centres import delegations, links, service
from respond.centres.links import Link
from respond.centres.machine import MACHINE
from respond.centres.models import LinkedCentre as Row
from respond.centres.service import About

router = APIRouter(prefix="/v1/centres", tags=["linked centres"])

Reader = Annotated[Principal, Depends(Allowed(Action.CENTRES_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.CENTRES_WRITE))]
Machine = Annotated[Principal, Depends(Allowed(Action.ALERTS_WRITE))]
_EXAMPLE: Final[dict[str, Any]] = {
    "agency": "seogu",
    "name": "seogu-soc",
    "name_ko": "서구 보안관제센터",
    "name_en": "Seogu security control centre",
    "contact": "Duty desk, 02-000-0000",
}


class AboutIn(BaseModel):
    """What people call a centre."""

    model_config = ConfigDict(extra="forbid")

    name_ko: str = Field(min_length=1, max_length=200)
    name_en: str = Field(default="", max_length=200)
    contact: str = Field(default="", max_length=300, description="Who answers there")

    def about(self) -> About:
        """As the service takes it."""
        return About(self.name_ko, self.name_en, self.contact)


class NewCentre(AboutIn):
    """A centre that the head of `agency` operates. `name` is its short name for machines: it stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    agency: str = Field(max_length=63)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="Its alerts are shown as found by centre/<name>")


class EditWish(AboutIn, Wish):
    """A centre as it is to be called."""


class LinkedCentre(CaseOut):
    """A linked centre. `link`: up, late, down, off (not let in), or empty before its first call."""

    name: str
    name_ko: str
    name_en: str
    contact: str
    link: str
    linked_since: datetime | None
    last_seen_at: datetime | None = Field(description="To ten seconds")


class LinkedCentreDetail(LinkedCentre):
    """A centre with the agencies it watches now, and how it went."""

    watches: list[str]
    progress: Progress


class LinkStatus(BaseModel):
    """From `since` on, until the next one, the link stood at `status`."""

    model_config = ConfigDict(from_attributes=True)

    status: Link
    since: datetime
    last_seen_at: datetime | None


class LinkPage(BaseModel):
    """How a link stood, newest first. `next_cursor` is empty on the last page."""

    items: list[LinkStatus]
    next_cursor: str


class Heartbeat(BaseModel):
    """What a linked centre is told with its heartbeat: itself, the agencies it watches now, and when to call again."""

    at: datetime
    centre: str
    watches: list[str]
    heartbeat_seconds: int


class Wanted(CaseFilter):
    """Which centres to list."""

    link: list[Link] = Field(default=[], max_length=4)
    agency: str = Field(default="", max_length=63)


@router.post("", status_code=201, summary="Register a linked centre", responses={409: {"description": "The name is taken"}})
def register(wish: NewCentre, response: Response, caller: Writer, centre: TheCentre) -> LinkedCentre:
    """Write a centre down. Its machines are let in once it is activated and they have keys or certificates (`POST /v1/keys`)."""
    known = {one.id for one in centre.settings.agencies}
    with centre.database.session() as session:
        made = _shown(service.register(session, caller.actor, known, wish.agency, wish.name, wish.about()))
    set_etag(response, made.version)
    return made


@router.post("/heartbeat", summary="Say that a linked centre is there")
def heartbeat(caller: Machine, centre: TheCentre) -> Heartbeat:
    """Any call of a machine of a linked centre counts; this one does nothing else."""
    if not caller.centre:
        raise Forbidden("this identity is of no linked centre")
    return Heartbeat(
        at=centre.clock.now(),
        centre=caller.centre,
        watches=sorted(caller.watched),
        heartbeat_seconds=centre.settings.respond.centres.heartbeat_seconds,
    )


@router.get("/{number}/links", summary="Read how a link stood")
def get_links(
    number: Annotated[Number, Path()],
    caller: Reader,
    centre: TheCentre,
    cursor: Annotated[str, Query(pattern=r"^\d{0,18}$")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> LinkPage:
    """Every change of the link to a centre."""
    with centre.database.session(readonly=True) as session:
        records.find(session, MACHINE, Row, caller.scope(Action.CENTRES_READ), number)
        found = links.history(session, number, before=int(cursor) if cursor else None, limit=limit + 1)
    shown = found[:limit]
    following = str(shown[-1].id) if len(found) > limit else ""
    return LinkPage(items=[LinkStatus.model_validate(one) for one in shown], next_cursor=following)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:  # noqa: ARG001
    if isinstance(wish, EditWish):
        return service.edit(session, caller.actor, number, version, wish.about())
    return service.take(session, caller.actor, number, step.action, version, wish.reason)


def _shown(row: Row) -> LinkedCentre:
    return LinkedCentre.model_validate(row, from_attributes=True)


def _told(session: Session, centre: Centre, _caller: Principal, row: Row, went: Progress) -> LinkedCentreDetail:
    watches = sorted(delegations.watched_by(session, row.number, centre.clock.now()))
    return LinkedCentreDetail(**_shown(row).model_dump(), watches=watches, progress=went)


_KIND: Final = Kind(MACHINE, Row, [Action.CENTRES_READ], LinkedCentre)
add_list(
    router,
    _KIND,
    Wanted,
    of="Centres",
    name="list_centres",
    summary="List linked centres",
    description="The register, newest first, centres that ended included.",
)
add_read(
    router,
    _KIND,
    LinkedCentreDetail,
    _told,
    name="get_centre",
    summary="Read a linked centre",
    description="A centre with the agencies it watches, its history and the steps the caller may take. Send the ETag as If-Match with "
    "a step.",
)
add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    LinkedCentre,
    wishes={"edit": EditWish},
    summaries={
        "edit": "Correct a linked centre",
        "activate": "Let a linked centre in",
        "suspend": "Shut a linked centre out for a while",
        "resume": "Let a linked centre in again",
        "end": "End the link to a centre",
    },
)
