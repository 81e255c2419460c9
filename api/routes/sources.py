"""The sources of logs: those the settings name and those that were heard, how each does, and how one is set up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from core.permissions import Action, Agencies, Principal
from core.storage import source_queries
from core.storage.event_queries import Heard, last_seen
from core.storage.source_queries import Lately

router = APIRouter(prefix="/v1/sources", tags=["counters"])

_LOOKED_BACK: Final = timedelta(hours=1)


class Source(BaseModel):
    """A source. `declared`: the settings name it; `last_at` is when its newest kept line came (null: never).

    `lines`, `parsed` and `skewed` (its clock was off) are of the last hour, `per_second` of the last five minutes; `parser` reads most.
    """

    agency: str
    source: str
    declared: bool
    addresses: list[str]
    certificates: list[str]
    last_at: datetime | None
    lines: int
    parsed: int
    skewed: int
    per_second: float
    parser: str


class Door(BaseModel):
    """A syslog socket of the centre. `agency` and `source`, where set, are whose everything is that comes there."""

    name: str
    kind: str = Field(description="udp, tcp or tls")
    port: int
    agency: str
    source: str


class Sources(BaseModel):
    """Every source within the caller's scope, by agency and name, and where lines are taken."""

    at: datetime
    items: list[Source]
    listeners: list[Door]


@router.get("", summary="List the sources of logs and how each does")
async def list_sources(caller: Annotated[Principal, Depends(Allowed(Action.COUNTERS_READ))], centre: TheCentre) -> Sources:
    """What the settings name and what was heard, drills apart. Lines nobody claims are of the agency `_unknown`."""
    scope, until = caller.scope(Action.COUNTERS_READ), centre.clock.now()
    heard = {(one.agency, one.source): one for one in await last_seen(centre.store, scope)}
    lately = await source_queries.lately(centre.store, until - _LOOKED_BACK, until, scope)
    declared = _declared(centre, scope)
    names = sorted({*heard, *lately, *declared})
    doors = [Door(name=one.name, kind=one.kind, port=one.port, agency=one.agency, source=one.source) for one in _listeners(centre, scope)]
    return Sources(at=until, items=[_source(name, declared, heard, lately) for name in names], listeners=doors)


def _declared(centre: Centre, scope: Agencies) -> dict[tuple[str, str], Any]:
    return {
        (agency.id, source.name): source
        for agency in centre.settings.agencies
        if scope is None or agency.id in scope
        for source in agency.sources
    }


def _listeners(centre: Centre, scope: Agencies) -> list[Any]:
    """Those for everybody, and those of the caller's own agencies."""
    return [one for one in centre.settings.intake.listeners if not one.agency or scope is None or one.agency in scope]


def _source(
    name: tuple[str, str],
    declared: Mapping[tuple[str, str], Any],
    heard: Mapping[tuple[str, str], Heard],
    lately: Mapping[tuple[str, str], Lately],
) -> Source:
    known, last, late = declared.get(name), heard.get(name), lately.get(name)
    return Source(
        agency=name[0],
        source=name[1],
        declared=known is not None,
        addresses=[str(one) for one in known.addresses] if known else [],
        certificates=list(known.certificates) if known else [],
        last_at=last.at if last else None,
        lines=late.lines if late else 0,
        parsed=late.parsed if late else 0,
        skewed=late.skewed if late else 0,
        per_second=(late.recent if late else 0) / source_queries.RATE.total_seconds(),
        parser=late.parser if late else "",
    )
