"""Figures of a period: incidents by severity, and how soon accidents were reported."""

from __future__ import annotations

import statistics
from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import disclosure
from api.auth.dependencies import Allowed, TheCentre
from core.permissions import Action, Principal
from respond.cases import records
from respond.feed import periods
from respond.feed.periods import Period
from respond.incidents.machine import State
from respond.incidents.sight import visible
from respond.models import Incident
from respond.reports.models import Report

router = APIRouter(prefix="/v1/figures", tags=["counters"])

Reader = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ))]
_EXAMPLE: Final[dict[str, Any]] = {
    "period": "2026-05",
    "since": "2026-04-30T15:00:00Z",
    "until": "2026-05-31T15:00:00Z",
    "incidents": 12,
    "by_severity": {"critical": 1, "high": 4, "medium": 7},
    "false_positives": 3,
    "reports": {"submitted": 2, "late": 0, "median_seconds": 5400},
}


class ReportFigures(BaseModel):
    """Accident reports of a period. `late` are those past the centre's own target, which is no time limit of the law."""

    submitted: int
    late: int
    median_seconds: int | None = Field(description="From learning of the accident to the report; null without reports")


class Figures(BaseModel):
    """What happened in a period of Seoul's calendar, without exercises. `incidents` are those opened in it that are no false positives."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    period: str
    since: datetime
    until: datetime
    incidents: int
    by_severity: dict[str, int]
    false_positives: int
    reports: ReportFigures | None = Field(description="null for callers who do not read reports, or only some of an agency's")


@router.get("/{period}", summary="Read the figures of a period")
def get_figures(
    period: Annotated[str, Path(pattern=r"^\d{4}(-\d{2}){0,2}$", examples=["2026-05"])], caller: Reader, centre: TheCentre
) -> Figures:
    """A day, a month or a year of Seoul within the caller's scope; the present one so far."""
    asked = periods.parse(period)
    with centre.database.session(readonly=True) as session:
        counted = _incidents(session, caller, asked)
        reports = _reports(session, caller, asked)
    by_severity = {severity: count for (severity, wrong), count in counted.items() if not wrong}
    return Figures(
        period=asked.name,
        since=asked.since,
        until=asked.until,
        incidents=sum(by_severity.values()),
        by_severity=by_severity,
        false_positives=sum(count for (_, wrong), count in counted.items() if wrong),
        reports=reports,
    )


def _incidents(session: Session, caller: Principal, period: Period) -> dict[tuple[str, bool], int]:
    """How many incidents by severity and whether they are false positives; those merged into others count there."""
    wrong = Incident.state == State.FALSE_POSITIVE
    query = (
        sa.select(Incident.severity, wrong, sa.func.count())
        .where(
            visible(disclosure.sight(caller)),
            Incident.exercise.is_(False),
            Incident.merged_into_id.is_(None),
            Incident.opened_at >= period.since,
            Incident.opened_at < period.until,
        )
        .group_by(Incident.severity, wrong)
    )
    return {(severity, bool(is_wrong)): count for severity, is_wrong, count in session.execute(query)}


def _reports(session: Session, caller: Principal, period: Period) -> ReportFigures | None:
    if not caller.may(Action.REPORTS_READ) or disclosure.sight(caller, Action.REPORTS_READ).only_personal:
        return None
    query = sa.select(Report.content, Report.submitted_at, Report.late_seconds).where(
        records.within(Report, caller.scope(Action.REPORTS_READ)),
        records.known_to(Report, caller.actor),
        Report.exercise.is_(False),
        Report.submitted_at >= period.since,
        Report.submitted_at < period.until,
    )
    found = session.execute(query).all()
    took = [(submitted - datetime.fromisoformat(content["learned_at"])).total_seconds() for content, submitted, _ in found]
    return ReportFigures(
        submitted=len(found),
        late=sum(late > 0 for _, _, late in found),
        median_seconds=round(statistics.median(took)) if took else None,
    )
