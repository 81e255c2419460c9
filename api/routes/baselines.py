"""What the detectors beside the rules have learned."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.auth.dependencies import Allowed, TheCentre
from core.permissions import Action, Principal
from detect.baselines.learned import DetectorState, State, learned

router = APIRouter(prefix="/v1", tags=["rules"])


class DetectorFigures(BaseModel):
    """A detector and how far it is."""

    detector: str
    rule_id: str = Field(description="Under which its detections stand")
    title: str
    title_ko: str
    level: str
    every_minutes: int
    enabled: bool = Field(description="For agencies without settings of their own")
    until: datetime | None = Field(description="End of the last stretch of time it has looked at")


class SourceFigures(BaseModel):
    """A source, and what is usual for it in the hour under way."""

    model_config = ConfigDict(from_attributes=True)

    agency: str
    source: str
    state: State = Field(description="quiet: not heard lately, which is usual so far; silent: told of")
    first: datetime = Field(description="First five minutes it was heard in, of the last five weeks")
    last: datetime = Field(description="Last five minutes it was heard in")
    silence_told: datetime | None = Field(description="When a silence was last told of; it is over when `last` is later")
    missed_slots: float = Field(description="In how many five minutes it would have been heard since")
    usual_lines: float | None = Field(description="Lines it usually sends in such an hour; null while nothing is comparable")
    usual_slots: float | None = Field(description="In how many five minutes of such an hour it is usually heard")


class TermFigures(BaseModel):
    """Values of a term that are known at an agency."""

    model_config = ConfigDict(from_attributes=True)

    agency: str
    term: str
    values: int
    since: datetime
    told_from: datetime = Field(description="Before, new values are learned and not told")


class Baselines(BaseModel):
    """What has been learned, within the caller's scope."""

    at: datetime
    detectors: list[DetectorFigures]
    sources: list[SourceFigures]
    terms: list[TermFigures]


@router.get("/baselines", summary="Read what is usual of each source and which values are known")
async def baselines(caller: Annotated[Principal, Depends(Allowed(Action.RULES_READ))], centre: TheCentre) -> Baselines:
    """How far each detector is, how each source within the caller's scope stands, and how many values of each term are known."""
    found = await learned(centre.store, centre.settings.detect.baselines, centre.clock.now(), caller.scope(Action.RULES_READ))
    return Baselines(
        at=found.at,
        detectors=[_detector(one) for one in found.detectors],
        sources=[SourceFigures.model_validate(one) for one in found.sources],
        terms=[TermFigures.model_validate(one) for one in found.terms],
    )


def _detector(one: DetectorState) -> DetectorFigures:
    about = one.about
    return DetectorFigures(
        detector=about.word,
        rule_id=about.rule_id,
        title=about.title,
        title_ko=about.title_ko,
        level=about.level,
        every_minutes=int(about.every.total_seconds() // 60),
        enabled=one.enabled,
        until=one.until,
    )
