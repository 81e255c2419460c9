"""What happened around an incident: its timeline, and other incidents of the same attacker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid
from respond.cases import records
from respond.cases.models import CaseEvent
from respond.incidents.machine import MACHINE
from respond.incidents.queries import Summary, meeting
from respond.incidents.sight import WHOLE_CITY, Sight, visible
from respond.models import Incident, IncidentEntity, IncidentEvidence

MOST_RELATED: Final = 100
_ATTACKERS: Final = (("ip", "source"), ("user", "named"))
_KINDS: Final = ("detection", "history")


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened. `kind`: `detection` (at the device's time; `what` is the rule's title) or `history` (`what` is the action).

    `data` names the detection, its line's id and its rule's level; or has the history's states, reason and what was given with it.
    """

    at: datetime
    kind: str
    id: int
    what: str
    actor: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Related:
    """Incidents of the same attacker that the caller sees, newest first, and how many there are beside them."""

    items: Sequence[Summary]
    elsewhere: int


def timeline(session: Session, incident: Incident, after: tuple[datetime, str] | None = None, limit: int = 200) -> Sequence[Moment]:
    """Kept detections and history in order of time, from behind the moment `after` (its time, and `place` of it)."""
    found = [*_detections(session, incident, after, limit), *_history(session, incident, after, limit)]
    return sorted(found, key=lambda one: (one.at, one.kind, one.id))[:limit]


def place(moment: Moment) -> str:
    """What tells apart moments of the same instant, for a cursor."""
    return f"{moment.kind}:{moment.id}"


def related(session: Session, sight: Sight, incident: Incident) -> Related:
    """Incidents that name the main entity of this one or one of its attackers (a source address, a user) in the same role.

    Of those outside the caller's sight only the number is told; restricted ones, those absorbed by others and those of another drill, or
    of a drill at all where this one is real, do not count.
    """
    roles = sa.or_(*(sa.and_(IncidentEntity.kind == kind, IncidentEntity.role == role) for kind, role in _ATTACKERS))
    attackers = session.scalars(sa.select(IncidentEntity.value_hash).where(IncidentEntity.incident_id == incident.id, roles)).all()
    # Named by value, as the engine knows how often each is met; a target every incident has would hide how rare the attackers are.
    same = sa.select(IncidentEntity.incident_id).where(roles, IncidentEntity.value_hash.in_(attackers))
    others = (Incident.id.in_(same), Incident.id != incident.id, Incident.merged_into_id.is_(None), Incident.drill == incident.drill)
    seen = visible(Sight(sight.agencies, only_personal=sight.only_personal))
    counts = sa.select(sa.func.count().filter(visible(WHOLE_CITY)), sa.func.count().filter(seen)).select_from(Incident).where(*others)
    every, shown = session.execute(counts).one()
    items = meeting(session, sight, others, MOST_RELATED)
    return Related(tuple(items), every - shown)


def _detections(session: Session, incident: Incident, after: tuple[datetime, str] | None, limit: int) -> list[Moment]:
    query = sa.select(IncidentEvidence).where(IncidentEvidence.incident_id == incident.id)
    query = query.where(*_behind(IncidentEvidence.event_time, IncidentEvidence.id, "detection", after))
    rows = session.scalars(query.order_by(IncidentEvidence.event_time, IncidentEvidence.id).limit(limit))
    return [
        Moment(
            row.event_time,
            "detection",
            row.id,
            row.rule_title,
            "",
            {"detection_id": row.detection_id, "event_id": row.event_id, "rule_id": row.rule_id, "level": row.rule_level},
        )
        for row in rows
    ]


def _history(session: Session, incident: Incident, after: tuple[datetime, str] | None, limit: int) -> list[Moment]:
    query = sa.select(CaseEvent).where(CaseEvent.object == records.named(MACHINE, incident.number))
    query = query.where(*_behind(CaseEvent.at, CaseEvent.id, "history", after))
    rows = session.scalars(query.order_by(CaseEvent.at, CaseEvent.id).limit(limit))
    return [
        Moment(
            row.at,
            "history",
            row.id,
            row.action,
            row.actor,
            {"before": row.before, "after": row.after, "version": row.version, "reason": row.reason, **row.data},
        )
        for row in rows
    ]


def _behind(
    at: sa.ColumnElement[datetime] | Any, row: sa.ColumnElement[int] | Any, kind: str, after: tuple[datetime, str] | None
) -> list[sa.ColumnElement[bool]]:
    """Rows of `kind` that come later than the moment `after`: by time, then kind, then row."""
    if after is None:
        return []
    instant, (last_kind, _, last) = after[0], after[1].partition(":")
    if last_kind not in _KINDS or not last.isascii() or not last.isdecimal() or len(last) > 18:
        raise Invalid("this cursor was not given by us")
    if kind == last_kind:
        return [sa.or_(at > instant, sa.and_(at == instant, row > int(last)))]
    return [at >= instant if kind > last_kind else at > instant]
