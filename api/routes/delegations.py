"""Who watches whom (article 17(3)): the map of delegations, their history, and changing them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.instants import Instant
from core.permissions import Action, Principal
from respond.cases.records import LONGEST_REASON
from respond.centres import delegations
from respond.centres.delegations import Watched, Wish
from respond.centres.models import Delegation as Row

router = APIRouter(prefix="/v1/delegations", tags=["linked centres"])

Reader = Annotated[Principal, Depends(Allowed(Action.CENTRES_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.CENTRES_WRITE))]
_EXAMPLE: Final[dict[str, Any]] = {
    "agency": "parks",
    "centre": "LNC-2026-000001",
    "reason": "Twelve employees and no servers of its own: the district's centre is more efficient",
}
_OVERLAPS: Final[dict[int | str, dict[str, Any]]] = {409: {"description": "It would overlap another, or is over"}}


class NewDelegation(BaseModel):
    """Who is to watch an agency. What is in force ends when this begins."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    agency: str = Field(max_length=63)
    centre: str = Field(max_length=24, description="Number of the linked centre")
    since: Instant | None = Field(default=None, description="null: from now on")
    reason: str = Field(default="", max_length=LONGEST_REASON, description="Needed to use another agency's centre")


class EndWish(BaseModel):
    """When a delegation ends, and why."""

    model_config = ConfigDict(extra="forbid")

    until: Instant | None = Field(default=None, description="null: now, or when it begins if that is later")
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)


class Delegation(BaseModel):
    """`agency` is watched by `centre` in [since, until); `until` null: without end."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    agency: str
    centre: str
    since: datetime
    until: datetime | None
    reason: str
    made_by: str
    made_at: datetime
    ended_by: str
    ended_reason: str
    version: int = Field(description="The ETag")


class DelegationPage(BaseModel):
    """Delegations, newest first, those over included. `next_cursor` is empty on the last page."""

    items: list[Delegation]
    next_cursor: str


class WatchedAgency(BaseModel):
    """Who watches an agency; `centre` is empty where nobody does. `watched` says whether that centre is let in now, too."""

    agency: str
    watched: bool
    centre: str
    centre_name: str
    own: bool = Field(description="The agency's own centre")
    link: str
    since: datetime | None
    reason: str


class Map(BaseModel):
    """Every agency of the settings with who watches it at `at`, and those that no active linked centre watches."""

    at: datetime
    agencies: list[WatchedAgency]
    unwatched: list[str]


class Wanted(BaseModel):
    """What to list."""

    model_config = ConfigDict(extra="forbid")

    agency: str = Field(default="", max_length=63)
    centre: str = Field(default="", max_length=24)
    cursor: str = Field(default="", pattern=r"^\d{0,18}$", description="`next_cursor` of the page before; empty: from the start")
    limit: int = Field(default=100, ge=1, le=500)


@router.get("", summary="List delegations")
def list_delegations(wanted: Annotated[Wanted, Query()], _caller: Reader, centre: TheCentre) -> DelegationPage:
    """The history of who watched whom."""
    before = int(wanted.cursor) if wanted.cursor else None
    with centre.database.session(readonly=True) as session:
        found = delegations.history(session, agency=wanted.agency, centre=wanted.centre, before=before, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    following = str(shown[-1].id) if len(found) > wanted.limit else ""
    return DelegationPage(items=[_shown(one) for one in shown], next_cursor=following)


@router.get("/map", summary="Read who watches whom")
def get_map(
    _caller: Reader,
    centre: TheCentre,
    at: Annotated[Instant | None, Query(description="At this moment instead of now; whether a centre is let in is always of now")] = None,
) -> Map:
    """Every agency with the linked centre that watches it, and the agencies nobody watches."""
    moment = at or centre.clock.now()
    with centre.database.session(readonly=True) as session:
        found = delegations.map_at(session, [one.id for one in centre.settings.agencies], moment)
        agencies = [_watched(one) for one in found]
    return Map(at=moment, agencies=agencies, unwatched=[one.agency for one in agencies if not one.watched])


@router.get("/{delegation_id}", summary="Read a delegation")
def get_delegation(delegation_id: paging.RowNumber, response: Response, _caller: Reader, centre: TheCentre) -> Delegation:
    """One delegation, over or not."""
    with centre.database.session(readonly=True) as session:
        found = _shown(delegations.find(session, delegation_id))
    set_etag(response, found.version)
    return found


@router.post("", status_code=201, summary="Let a centre watch an agency", responses=_OVERLAPS)
def delegate(wish: NewDelegation, response: Response, caller: Writer, centre: TheCentre) -> Delegation:
    """Record that an agency is watched by its own centre, or uses that of another."""
    known = {one.id for one in centre.settings.agencies}
    with centre.database.session() as session:
        made = _shown(delegations.delegate(session, caller.actor, known, Wish(**wish.model_dump())))
    set_etag(response, made.version)
    return made


@router.post("/{delegation_id}/end", summary="End a delegation", responses={**CONDITIONAL, **_OVERLAPS})
def end(
    delegation_id: paging.RowNumber, wish: EndWish, caller: Writer, centre: TheCentre, version: SeenVersion, response: Response
) -> Delegation:
    """End it now or at a time; one that has not begun never does."""
    with centre.database.session() as session:
        ended = _shown(delegations.end(session, caller.actor, delegation_id, wish.until, wish.reason, seen=version))
    set_etag(response, ended.version)
    return ended


def _watched(one: Watched) -> WatchedAgency:
    row, centre = one.delegation, one.centre
    return WatchedAgency(
        agency=one.agency,
        watched=one.active,
        centre=row.centre if row else "",
        centre_name=centre.name if centre else "",
        own=one.own,
        link=centre.link if centre else "",
        since=row.since if row else None,
        reason=row.reason if row else "",
    )


def _shown(row: Row) -> Delegation:
    return Delegation.model_validate(row)
