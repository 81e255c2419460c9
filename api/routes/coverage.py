"""How well the lines of each source are read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from api.auth.dependencies import Allowed, TheCentre
from core.permissions import Action, Principal
from core.storage.coverage import SourceCoverage
from core.storage.coverage import coverage as ask

router = APIRouter(prefix="/v1", tags=["counters"])


class ParserFigures(BaseModel):
    """Lines of a source that one parser read."""

    parser: str
    lines: int
    filled: dict[str, int] = Field(description="How many of the lines had each column; columns that none had are left out")


class SourceFigures(BaseModel):
    """What became of the lines of a source."""

    agency: str
    source: str
    lines: int
    parsers: list[ParserFigures] = Field(description="Most lines first")
    refused: dict[str, int] = Field(description="Lines in quarantine, by reason")
    masked: int = Field(description="Lines in which a personal number or a secret was masked")


class Coverage(BaseModel):
    """Every source that sent lines in the time, by agency and name."""

    since: datetime
    until: datetime
    sources: list[SourceFigures]


@router.get("/coverage", summary="Read how well each source's lines are parsed")
async def coverage(
    caller: Annotated[Principal, Depends(Allowed(Action.COUNTERS_READ))],
    centre: TheCentre,
    hours: Annotated[float, Query(gt=0, le=168, description="How far back, by the time of receipt")] = 1,
) -> Coverage:
    """Lines by parser, the columns they filled, and what is in quarantine, of the sources within the caller's scope."""
    until = centre.clock.now()
    since = until - timedelta(hours=hours)
    found = await ask(centre.store, since, until, caller.scope(Action.COUNTERS_READ))
    return Coverage(since=since, until=until, sources=[_figures(one) for one in found])


def _figures(one: SourceCoverage) -> SourceFigures:
    parsers = [ParserFigures(parser=each.parser, lines=each.lines, filled=dict(each.filled)) for each in one.parsers]
    return SourceFigures(
        agency=one.agency, source=one.source, lines=one.lines, parsers=parsers, refused=dict(one.refused), masked=one.masked
    )
