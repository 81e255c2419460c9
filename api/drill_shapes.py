"""What the routes of drills take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from api.cases import CaseFilter, CaseOut, Progress, Wish
from core.instants import Instant
from core.permissions import Principal
from respond.drills.models import Party
from respond.drills.service import LONGEST

Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]
_EXAMPLE: Final[dict[str, Any]] = {
    "scenario": "joint-supply-chain",
    "agencies": ["seogu", "parks"],
    "title": "Joint training of the second half-year",
    "planned_for": "2026-12-01T05:00:00Z",
}


class Planned(BaseModel):
    """A drill to be planned. `agencies` play the parts of the scenario in their order; with one part each plays it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    scenario: str = Field(min_length=1, max_length=63)
    agencies: list[str] = Field(min_length=1, max_length=200)
    title: str = Field(default="", max_length=300, description="Empty: that of the scenario")
    joint: bool = Field(default=False, description="Joint training of the Mayor [CO 21(2)]; with several agencies it always is")
    planned_for: Instant | None = None


class NoticeWish(Wish):
    """What the agencies are told beforehand."""

    text: Text = Field(description="When, what, and what is asked of them")


class AcknowledgeWish(Wish):
    """Whose receipt it is."""

    agency: str = Field(default="", max_length=63, description="Empty: the caller's own")


class Corrections(BaseModel):
    """What one agency is asked to mend."""

    model_config = ConfigDict(extra="forbid")

    agency: str = Field(min_length=1, max_length=63)
    items: list[Text] = Field(min_length=1, max_length=100)


class CorrectionWish(Wish):
    """The corrective requests to be drafted."""

    requests: list[Corrections] = Field(min_length=1, max_length=200)


class CloseWish(Wish):
    """What the drill showed."""

    findings: str = Field(default="", max_length=LONGEST)


class Find(BaseModel):
    """Something that had to be found. `seconds` from the agency's first line to the incident; `within` is the target [ours]."""

    name: str
    ko: str
    en: str
    within: float
    found: bool
    incident: str
    seconds: float | None
    in_time: bool


class AgencyScore(BaseModel):
    """One agency's score; times are seconds from its first line, null: it did not happen."""

    agency: str
    role: str
    lines: int
    sent: int
    first_sent_at: datetime | None
    notice_acknowledged_at: datetime | None
    incidents: list[str]
    detect_seconds: float | None
    triage_seconds: float | None
    report_seconds: float | None
    finds: list[Find]


class Score(BaseModel):
    """The score of a drill [ours]."""

    computed_at: datetime
    lines: int
    sent: int
    sending: str
    expected: int
    found: int
    in_time: int
    agencies: list[AgencyScore]


class DrillParty(BaseModel):
    """An agency in a drill, its notice with the receipt, and how many of its lines were sent."""

    model_config = ConfigDict(from_attributes=True)

    agency: str
    place: int
    lines: int
    sent: int
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    noticed_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str


class Drill(CaseOut):
    """A drill. `sending` is how far its lines are sent: empty, waiting, sending, done, stopped, broken (`problem` says why)."""

    title: str
    joint: bool
    scenario_id: str
    planned_for: datetime | None
    notice: str
    started_at: datetime | None
    sending: str
    problem: str
    sent: int
    findings: str


class DrillDetail(Drill):
    """A drill with its agencies within the caller's scope, its score (as it stands while it runs), and how it went."""

    parties: list[DrillParty]
    score: Score | None
    progress: Progress


class ScenarioOut(BaseModel):
    """A scenario that can be planned: how long it lasts, its parts, and the lines of each."""

    id: str
    version: str
    title_ko: str
    title_en: str
    about_ko: str
    about_en: str
    seconds: float
    roles: list[str]
    lines: list[int]


class ScenarioList(BaseModel):
    """What can be trained: ours and the city's own scenarios."""

    items: list[ScenarioOut]


class Wanted(CaseFilter):
    """Which drills to list; `agency` is one that takes part."""

    agency: str = Field(default="", max_length=63, exclude=True)

    def conditions(self, row: type[Any], caller: Principal) -> list[sa.ColumnElement[bool]]:
        """What the cases meet that were asked for."""
        part = [row.number.in_(sa.select(Party.drill).where(Party.agency == self.agency))] if self.agency else []
        return [*super().conditions(row, caller), *part]
