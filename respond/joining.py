"""Which incident each cluster of findings joins, and which are opened.

A cluster joins the incidents it connects with (`respond.grouping`); when there is none, it opens one. When it connects several, they
turn out to be one: those nobody has worked on yet are absorbed by the one that stays, which is the oldest that somebody has worked on,
else the oldest. Two incidents that people work on are never merged by the machine.

Runs under the lock `incidents`, so that two workers never open the same incident twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.clock import from_millis, millis
from core.database import insert_into
from respond import grouping
from respond.audit import Change
from respond.cases.records import next_numbers
from respond.grouping import Cluster, Ints, Span
from respond.incidents.machine import ENDED, State
from respond.models import Incident, IncidentEntity, IncidentEvidence
from respond.suppression import SuppressedGroup

ACTOR: Final = "system:respond"
_KEYS_AT_A_TIME = 5000


@dataclass
class Joined:
    """The incidents that clusters joined, for each cluster the place of its incident, and what happened on the way."""

    incidents: list[Incident] = field(default_factory=list)
    of_cluster: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    opened: list[Incident] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


def join(session: Session, clusters: Sequence[Cluster], window_ms: int, at: datetime) -> Joined:
    """Open, extend and merge incidents for `clusters`; every incident given has its id."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, found in enumerate(clusters):
        groups[found.key.digest].append(place)
    near = _near(session, clusters, list(groups), window_ms)
    targets: dict[int, Incident] = {}
    fresh: list[int] = []
    result = Joined()
    for digest, places in groups.items():
        for connected, incidents in _connected([clusters[place].span for place in places], near.get(digest, []), window_ms):
            members = [places[member] for member in connected]
            if incidents:
                stays = _staying(session, incidents, at, result.changes)
                targets |= {place: _extend(stays, clusters[place], at) for place in members}
            else:
                fresh += members  # exactly one: clusters of a message are further apart than the window
    _open(session, clusters, fresh, at, targets, result)
    result.incidents = list({incident.id: incident for incident in targets.values()}.values())
    places_of = {incident.id: place for place, incident in enumerate(result.incidents)}
    result.of_cluster = np.array([places_of[targets[place].id] for place in range(len(clusters))], np.int64)
    return result


def _near(session: Session, clusters: Sequence[Cluster], digests: Sequence[str], window_ms: int) -> dict[str, list[Incident]]:
    """Incidents that findings may still join, of these groups and within reach of these clusters, oldest first; locked."""
    if not clusters:
        return {}
    window = timedelta(milliseconds=window_ms)
    earliest = from_millis(min(found.span.first for found in clusters)) - window
    latest = from_millis(max(found.span.last for found in clusters)) + window
    near: dict[str, list[Incident]] = defaultdict(list)
    for start in range(0, len(digests), _KEYS_AT_A_TIME):
        query = (
            sa.select(Incident)
            .where(
                Incident.group_key.in_(digests[start : start + _KEYS_AT_A_TIME]),
                Incident.last_event_at >= earliest,
                Incident.first_event_at <= latest,
            )
            .where(Incident.merged_into_id.is_(None), Incident.state.not_in(ENDED))
            .order_by(Incident.id)
            .with_for_update()
        )
        for incident in session.scalars(query):
            near[incident.group_key].append(incident)
    return near


def _connected(found: Sequence[Span], near: Sequence[Incident], window_ms: int) -> Iterator[tuple[list[int], list[Incident]]]:
    """Places of clusters that connect, with the incidents they connect with."""
    spans = [*found, *(Span(millis(incident.first_event_at), millis(incident.last_event_at)) for incident in near)]
    for members in grouping.components(spans, window_ms):
        clusters = [member for member in members if member < len(found)]
        if clusters:
            yield clusters, [near[member - len(found)] for member in members if member >= len(found)]


def _staying(session: Session, incidents: Sequence[Incident], at: datetime, changes: list[Change]) -> Incident:
    worked_on = [incident for incident in incidents if incident.state != State.NEW]
    stays = min(worked_on or incidents, key=lambda incident: incident.id)
    for other in incidents:
        if other is not stays and other.state == State.NEW:
            detail = {"into": stays.number, "detections": other.detections}
            changes.append(Change(ACTOR, "incident.merged", f"incident/{other.number}", detail))
            _absorb(session, stays, other, at)
    return stays


def _extend(incident: Incident, found: Cluster, at: datetime) -> Incident:
    first, last = from_millis(found.span.first), from_millis(found.span.last)
    incident.first_event_at = min(incident.first_event_at, first)
    incident.last_event_at = max(incident.last_event_at, last)
    incident.detections += found.detections
    incident.severity = grouping.worst(incident.severity, found.level)
    incident.rule_ids = sorted({*incident.rule_ids, found.key.rule_id})
    incident.tags = sorted({*incident.tags, *found.tags})
    incident.updated_at = at
    return incident


def _absorb(session: Session, stays: Incident, other: Incident, at: datetime) -> None:
    """Move all that `other` has to `stays`; `other` keeps its number and points there."""
    stays.first_event_at = min(stays.first_event_at, other.first_event_at)
    stays.last_event_at = max(stays.last_event_at, other.last_event_at)
    stays.severity = grouping.worst(stays.severity, other.severity)
    stays.rule_ids = sorted({*stays.rule_ids, *other.rule_ids})
    stays.tags = sorted({*stays.tags, *other.tags})
    stays.detections += other.detections
    stays.evidence_kept += other.evidence_kept
    other.detections = other.evidence_kept = 0
    other.merged_into_id = stays.id
    other.updated_at = stays.updated_at = at
    for table in (IncidentEvidence, SuppressedGroup):
        session.execute(sa.update(table).where(table.incident_id == other.id).values(incident_id=stays.id))
    moved = sa.select(
        sa.literal(stays.id),
        IncidentEntity.kind,
        IncidentEntity.role,
        IncidentEntity.value,
        IncidentEntity.value_hash,
        IncidentEntity.detections,
    ).where(IncidentEntity.incident_id == other.id)
    insert = insert_into(session, IncidentEntity).from_select(["incident_id", "kind", "role", "value", "value_hash", "detections"], moved)
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["incident_id", "kind", "role", "value_hash"],
            set_={"detections": IncidentEntity.detections + insert.excluded.detections},
        )
    )
    session.execute(sa.delete(IncidentEntity).where(IncidentEntity.incident_id == other.id))


def _open(
    session: Session, clusters: Sequence[Cluster], places: Sequence[int], at: datetime, targets: dict[int, Incident], result: Joined
) -> None:
    """Open an incident for each of these clusters, numbered in order of their first event."""
    ordered = sorted(places, key=lambda place: (clusters[place].span.first, clusters[place].key.digest))
    for place, number in zip(ordered, next_numbers(session, "INC", at, len(ordered)), strict=True):
        incident = targets[place] = _new(clusters[place], number, at)
        result.opened.append(incident)
        detail = {"agency": incident.agency, "rules": incident.rule_ids, "severity": incident.severity, "detections": incident.detections}
        result.changes.append(Change(ACTOR, "incident.opened", f"incident/{number}", detail))
    session.add_all(result.opened)
    session.flush()


def _new(found: Cluster, number: str, at: datetime) -> Incident:
    return Incident(
        number=number,
        agency=found.key.agency,
        title=found.title,
        severity=found.level,
        state=State.NEW,
        group_key=found.key.digest,
        entity_kind=found.key.kind,
        entity_value=found.key.value,
        first_event_at=from_millis(found.span.first),
        last_event_at=from_millis(found.span.last),
        opened_at=at,
        updated_at=at,
        detections=found.detections,
        evidence_kept=0,
        rule_ids=[found.key.rule_id],
        tags=list(found.tags),
        exercise=False,
        merged_into_id=None,
        version=1,
    )
