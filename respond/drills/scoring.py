"""The score of a drill: what each agency and the centre found, how soon they looked at it, and how soon it was reported [ours].

A pure function of what the database holds, so that the same drill has the same score whenever it is computed from the same facts. Times are
seconds from the first line sent for the agency to: the first incident opened (detect), the first one triaged (triage), the first report
of article 19(3) about one of them submitted (report). None: it did not happen. An incident found for the drill counts even if another
absorbed it later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.permissions import Agencies
from respond.cases import records
from respond.cases.models import CaseEvent
from respond.drills.models import Drill, Party
from respond.drills.scenario import Expectation, Scenario
from respond.incidents.machine import MACHINE as INCIDENT
from respond.models import Incident
from respond.reports.models import Report

_LOOKED_AT = ("triage", "dismiss", "confirm")


@dataclass(frozen=True, slots=True)
class Seen:
    """An incident of the drill."""

    number: str
    agency: str
    opened_at: datetime
    rules: frozenset[str]
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a score is made of: incidents in order of opening, when each was first looked at, when each was first reported."""

    incidents: Sequence[Seen]
    triaged_at: Mapping[str, datetime]
    reported_at: Mapping[str, datetime]


def facts(session: Session, drill: str) -> Facts:
    """The facts of a drill as they stand."""
    rows = session.scalars(sa.select(Incident).where(Incident.drill == drill, Incident.split_from == "").order_by(Incident.id)).all()
    seen = [Seen(row.number, row.agency, row.opened_at, frozenset(row.rule_ids), frozenset(row.tags)) for row in rows]
    names = {records.named(INCIDENT, one.number): one.number for one in seen}
    looked = sa.select(CaseEvent.object, sa.func.min(CaseEvent.at)).where(CaseEvent.object.in_(names), CaseEvent.action.in_(_LOOKED_AT))
    reported = sa.select(Report.about, sa.func.min(Report.submitted_at)).where(Report.about.in_(names), Report.submitted_at.is_not(None))
    submitted = session.execute(reported.group_by(Report.about)).all()
    return Facts(
        seen,
        {names[name]: at for name, at in session.execute(looked.group_by(CaseEvent.object))},
        {names[name]: at for name, at in submitted if at is not None},
    )


def score(drill: Drill, scenario: Scenario, parties: Sequence[Party], known: Facts, at: datetime) -> dict[str, Any]:
    """The score as JSON; `at` is when it was computed."""
    agencies = [_of_agency(party, scenario, known) for party in parties]
    return limited({"computed_at": _text(at), "sending": drill.sending, "agencies": agencies}, None)


def limited(told: Mapping[str, Any], scope: Agencies) -> dict[str, Any]:
    """A score with the agencies in scope alone, and the figures of these."""
    agencies = [one for one in told["agencies"] if scope is None or one["agency"] in scope]
    finds = [find for one in agencies for find in one["finds"]]
    return {
        **told,
        "lines": sum(one["lines"] for one in agencies),
        "sent": sum(one["sent"] for one in agencies),
        "expected": len(finds),
        "found": sum(find["found"] for find in finds),
        "in_time": sum(find["in_time"] for find in finds),
        "agencies": agencies,
    }


def last_deadline(scenario: Scenario, parties: Sequence[Party], known: Facts) -> datetime | None:
    """Until when something that was not found may still be found in time; None when nothing is waited for."""
    waited = (
        party.first_sent_at + timedelta(seconds=one.within)
        for party in parties
        if party.first_sent_at is not None
        for one in scenario.role_of(party.place).expect
        if _finding(party, one, known) is None
    )
    return max(waited, default=None)


def _of_agency(party: Party, scenario: Scenario, known: Facts) -> dict[str, Any]:
    mine = [one for one in known.incidents if one.agency == party.agency]
    triaged = [known.triaged_at[one.number] for one in mine if one.number in known.triaged_at]
    reported = [known.reported_at[one.number] for one in mine if one.number in known.reported_at]
    return {
        "agency": party.agency,
        "role": scenario.role_of(party.place).name,
        "lines": party.lines,
        "sent": party.sent,
        "first_sent_at": _text(party.first_sent_at),
        "notice_acknowledged_at": _text(party.acknowledged_at),
        "incidents": [one.number for one in mine],
        "detect_seconds": _after(party, min((one.opened_at for one in mine), default=None)),
        "triage_seconds": _after(party, min(triaged, default=None)),
        "report_seconds": _after(party, min(reported, default=None)),
        "finds": [_find(party, one, known) for one in scenario.role_of(party.place).expect],
    }


def _find(party: Party, wanted: Expectation, known: Facts) -> dict[str, Any]:
    found = _finding(party, wanted, known)
    seconds = _after(party, found.opened_at if found else None)
    return {
        "name": wanted.name,
        "ko": wanted.ko,
        "en": wanted.en,
        "within": wanted.within,
        "found": found is not None,
        "incident": found.number if found else "",
        "seconds": seconds,
        "in_time": seconds is not None and seconds <= wanted.within,
    }


def _finding(party: Party, wanted: Expectation, known: Facts) -> Seen | None:
    """The first incident of the agency that is what was wanted."""
    rules, tags = frozenset(wanted.rules), frozenset(wanted.tags)
    mine = (one for one in known.incidents if one.agency == party.agency and (one.rules & rules or one.tags & tags))
    return min(mine, key=lambda one: one.opened_at, default=None)


def _after(party: Party, at: datetime | None) -> float | None:
    if at is None or party.first_sent_at is None:
        return None
    return round(max((at - party.first_sent_at).total_seconds(), 0.0), 3)


def _text(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None
