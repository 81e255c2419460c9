"""Compliance: each paragraph of the law this system answers to, how it stands, and the evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.auth.dependencies import Allowed, TheCentre
from api.compliance import judge, law
from api.compliance.facts import State
from api.compliance.judge import Judged
from core.permissions import Action, Principal

router = APIRouter(prefix="/v1/compliance", tags=["duties"])


class Evidence(BaseModel):
    """A fact as it is now, within the caller's scope. `agencies` are those that lack something; `link` is where the records are."""

    model_config = ConfigDict(from_attributes=True)

    state: State
    ko: str
    en: str
    count: int
    last_at: datetime | None
    agencies: list[str]
    link: str


class Paragraph(BaseModel):
    """One paragraph. `hidden` counts facts the caller does not read; `outside_...` says why nothing is done here where nothing is."""

    id: str
    act: str
    ko: str
    en: str
    state: State
    evidence: list[Evidence]
    hidden: int
    routes: list[str]
    outside_ko: str
    outside_en: str


class Compliance(BaseModel):
    """Every paragraph. The states are the centre's own reading of its records, no judgement of a court or an auditor."""

    at: datetime
    version: str = Field(description="Of the list of paragraphs")
    states: dict[State, int] = Field(description="How many paragraphs are in which state")
    paragraphs: list[Paragraph]


@router.get("", summary="Read how each paragraph of the law stands")
async def compliance(caller: Annotated[Principal, Depends(Allowed(Action.DUTIES_READ))], centre: TheCentre) -> Compliance:
    """What each paragraph asks, whether it is met, and the evidence behind that from the records as they are."""
    found = [_shown(one) for one in await judge.judge(centre, caller)]
    counted = {state: sum(one.state is state for one in found) for state in State}
    return Compliance(at=centre.clock.now(), version=law.load().version, states=counted, paragraphs=found)


def _shown(one: Judged) -> Paragraph:
    outside = one.row.outside
    return Paragraph(
        id=one.row.id,
        act=one.act.id,
        ko=one.row.ko,
        en=one.row.en,
        state=one.state,
        evidence=[Evidence.model_validate(fact) for fact in one.facts],
        hidden=one.hidden,
        routes=list(one.row.routes),
        outside_ko=outside.ko if outside else "",
        outside_en=outside.en if outside else "",
    )
