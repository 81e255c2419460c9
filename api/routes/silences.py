"""Silences: for a while, what they hold opens no incident."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.errors import Invalid
from core.instants import Instant
from core.permissions import Action, Principal
from respond import silences

router = APIRouter(prefix="/v1/silences", tags=["rules"])

Reader = Annotated[Principal, Depends(Allowed(Action.RULES_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.RULES_WRITE))]


class NewSilence(BaseModel):
    """What to silence: a rule, an agency and values, all of which must hold; what is left out is any."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "rule_id": "0d894093-71bc-43c3-8c4d-ecfc28dcf5d9",
                    "agency": "seogu",
                    "match": {"src_ip": "10.1.2.0/24"},
                    "reason": "Yearly vulnerability scan",
                    "owner": "Kim, security team",
                    "expires_at": "2026-01-09T09:00:00Z",
                }
            ]
        },
    )

    rule_id: str = Field(default="", max_length=128)
    agency: str = Field(default="", max_length=63)
    match: dict[str, str] = Field(
        default={},
        max_length=silences.MOST_VALUES,
        description="Column to value: an address or network, a number, or text without regard to case",
    )
    reason: str = Field(min_length=1, max_length=silences.LONGEST_REASON)
    owner: str = Field(default="", max_length=128, description="Who answers for it; empty: the caller")
    expires_at: Instant


class SilencePage(BaseModel):
    """Silences, newest first. `next_cursor` is empty on the last page."""

    items: list[silences.Silence]
    next_cursor: str


@router.get("", summary="List silences")
def list_silences(
    caller: Reader,
    centre: TheCentre,
    state: Annotated[Literal["active", "ended", "all"], Query()] = "active",
    rule_id: Annotated[str, Query(max_length=128)] = "",
    cursor: Annotated[str, Query(pattern=r"^\d{0,18}$")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> SilencePage:
    """Silences within the caller's scope; those that expired or were ended stay as history."""
    active = None if state == "all" else state == "active"
    before = int(cursor or 0)
    with centre.database.session(readonly=True) as session:
        rows = silences.listed(session, caller.scope(Action.RULES_READ), active=active, rule_id=rule_id, before=before, limit=limit + 1)
    following = str(rows[limit - 1].id) if len(rows) > limit else ""
    return SilencePage(items=rows[:limit], next_cursor=following)


@router.get("/{silence_id}", summary="Read a silence")
def get_silence(silence_id: paging.RowNumber, response: Response, caller: Reader, centre: TheCentre) -> silences.Silence:
    """One silence, ended or not."""
    with centre.database.session(readonly=True) as session:
        found = silences.find(session, caller.scope(Action.RULES_READ), silence_id)
    set_etag(response, found.version)
    return found


@router.post("", status_code=201, summary="Make a silence")
def make_silence(wish: NewSilence, response: Response, caller: Writer, centre: TheCentre) -> silences.Silence:
    """From now until it expires, what it holds is stored and counted and opens no incident. At most `respond.longest_silence_days`."""
    if wish.agency and wish.agency not in {one.id for one in centre.settings.agencies} | {"_unknown"}:
        raise Invalid(f"there is no agency {wish.agency!r}")
    wanted = silences.Wish(wish.reason, wish.owner or caller.name, wish.expires_at, wish.rule_id, wish.agency, wish.match)
    longest = timedelta(days=centre.settings.respond.longest_silence_days)
    with centre.database.session() as session:
        made = silences.make(session, caller.scope(Action.RULES_WRITE), caller.actor, wanted, longest)
    set_etag(response, made.version)
    return made


@router.delete("/{silence_id}", status_code=204, summary="End a silence", responses=CONDITIONAL)
def end_silence(silence_id: paging.RowNumber, caller: Writer, centre: TheCentre, version: SeenVersion) -> None:
    """End it now; it stays as history. Ending one that is over changes nothing."""
    with centre.database.session() as session:
        silences.end(session, caller.scope(Action.RULES_WRITE), caller.actor, silence_id, seen=version)
