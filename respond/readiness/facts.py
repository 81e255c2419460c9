"""The incidents the rules of readiness look at. Exercises, false alarms, restricted incidents and what was merged
into another do not count."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from respond.incidents.machine import State
from respond.incidents.sight import WHOLE_CITY, visible
from respond.models import Incident, IncidentEvidence
from respond.readiness.policy import IMPORTANCES
from respond.readiness.rules import Fact

MOST: Final = 500
"""Incidents looked at, the newest."""
_COLUMNS: Final = ("src_importance", "dst_importance")


def opened_since(session: Session, since: datetime, weighed: Collection[str]) -> Sequence[Fact]:
    """The incidents opened after `since`, the newest first, at most MOST; importance is looked up for the severities `weighed`."""
    counted = (visible(WHOLE_CITY), Incident.exercise.is_(False), Incident.merged_into_id.is_(None), Incident.state != State.FALSE_POSITIVE)
    query = sa.select(Incident.id, Incident.number, Incident.agency, Incident.severity, Incident.opened_at)
    rows = session.execute(query.where(Incident.opened_at > since, *counted).order_by(Incident.id.desc()).limit(MOST)).all()
    importance = _importance(session, [row.id for row in rows if row.severity in weighed])
    return [Fact(row.number, row.agency, row.severity, importance.get(row.id, ""), row.opened_at) for row in rows]


def _importance(session: Session, incidents: Collection[int]) -> dict[int, str]:
    """The highest importance the kept lines of each incident name; incidents without one are left out."""
    fields = sa.type_coerce(IncidentEvidence.fields, sa.JSON)
    words = [fields[column].as_string() for column in _COLUMNS]
    found: dict[int, str] = {}
    query = sa.select(IncidentEvidence.incident_id, *words).where(IncidentEvidence.incident_id.in_(incidents)).distinct()
    for incident, *named in session.execute(query):
        best = max((IMPORTANCES.index(word) for word in (*named, found.get(incident)) if word in IMPORTANCES), default=-1)
        if best >= 0:
            found[incident] = IMPORTANCES[best]
    return found
