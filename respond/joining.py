"""Which incident each cluster of findings joins, and which are opened.

A cluster joins the incidents it connects with (`respond.grouping`); when there is none, it opens one. When it connects several, they
turn out to be one: those nobody has worked on yet are absorbed by the one that stays, which is the oldest that somebody has worked on,
else the oldest. Two incidents that people work on are never merged by the machine. An incident that was absorbed still stands for its
group: what would join it joins the one that absorbed it.

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
from respond import grouping
from respond.audit import Change
from respond.cases import records
from respond.grouping import Cluster, Ints, Span
from respond.incidents import merging, news
from respond.incidents.machine import ENDED, MACHINE, State
from respond.models import Incident

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
        for connected, joinable in _connected([clusters[place].span for place in places], near.get(digest, []), window_ms):
            members = [places[member] for member in connected]
            if joinable:
                stays = _staying(session, list({one.owner.id: one.owner for one in joinable}.values()), at, result.changes)
                targets |= {place: _extend(stays, clusters[place], at) for place in members}
                if all(one.row is not stays for one in joinable):
                    _reach(joinable[0].row, [clusters[place].span for place in members])
            else:
                fresh += members  # exactly one: clusters of a message are further apart than the window
    _open(session, clusters, fresh, at, targets, result)
    result.incidents = list({incident.id: incident for incident in targets.values()}.values())
    places_of = {incident.id: place for place, incident in enumerate(result.incidents)}
    result.of_cluster = np.array([places_of[targets[place].id] for place in range(len(clusters))], np.int64)
    return result


@dataclass(frozen=True, slots=True)
class _Near:
    """An incident of the group, and the one findings near it join: itself, or what absorbed it."""

    row: Incident
    owner: Incident


def _near(session: Session, clusters: Sequence[Cluster], digests: Sequence[str], window_ms: int) -> dict[str, list[_Near]]:
    """Incidents that findings may still join, of these groups and within reach of these clusters, oldest first; locked."""
    if not clusters:
        return {}
    window = timedelta(milliseconds=window_ms)
    earliest = from_millis(min(found.span.first for found in clusters)) - window
    latest = from_millis(max(found.span.last for found in clusters)) + window
    open_or_absorbed = sa.or_(Incident.merged_into_id.is_not(None), Incident.state.not_in(ENDED))
    near: dict[str, list[_Near]] = defaultdict(list)
    for start in range(0, len(digests), _KEYS_AT_A_TIME):
        of_groups = Incident.group_key.in_(digests[start : start + _KEYS_AT_A_TIME])
        rows = _locked(session, of_groups, Incident.last_event_at >= earliest, Incident.first_event_at <= latest, open_or_absorbed)
        owners = {row.id: row for row in rows if row.merged_into_id is None}
        elsewhere = sorted({row.merged_into_id for row in rows if row.merged_into_id is not None} - owners.keys())
        for first in range(0, len(elsewhere), _KEYS_AT_A_TIME):
            found = _locked(session, Incident.id.in_(elsewhere[first : first + _KEYS_AT_A_TIME]), Incident.state.not_in(ENDED))
            owners |= {row.id: row for row in found}
        for row in rows:
            if owner := owners.get(row.merged_into_id or row.id):
                near[row.group_key].append(_Near(row, owner))
    return near


def _locked(session: Session, *conditions: sa.ColumnElement[bool]) -> Sequence[Incident]:
    return session.scalars(sa.select(Incident).where(*conditions).order_by(Incident.id).with_for_update()).all()


def _connected(found: Sequence[Span], near: Sequence[_Near], window_ms: int) -> Iterator[tuple[list[int], list[_Near]]]:
    """Places of clusters that connect, with the incidents they connect with."""
    spans = [*found, *(Span(millis(one.row.first_event_at), millis(one.row.last_event_at)) for one in near)]
    for members in grouping.components(spans, window_ms):
        clusters = [member for member in members if member < len(found)]
        if clusters:
            yield clusters, [near[member - len(found)] for member in members if member >= len(found)]


def _staying(session: Session, incidents: Sequence[Incident], at: datetime, changes: list[Change]) -> Incident:
    worked_on = [incident for incident in incidents if _worked_on(incident)]
    stays = min(worked_on or incidents, key=lambda incident: incident.id)
    for other in incidents:
        if other is not stays and not _worked_on(other):
            moved = other.detections
            merging.absorb(session, stays, other, at)
            changes += records.noted(session, MACHINE, [(other, {"into": stays.number, "detections": moved})], ACTOR, "merge", at)
            changes += records.noted(session, MACHINE, [(stays, {"absorbed": other.number, "detections": moved})], ACTOR, "absorb", at)
    return stays


def _worked_on(incident: Incident) -> bool:
    return incident.state != State.NEW or incident.version > 1


def _extend(incident: Incident, found: Cluster, at: datetime) -> Incident:
    _reach(incident, [found.span])
    incident.detections += found.detections
    merging.raise_severity(incident, found.severity)
    incident.rule_ids = sorted({*incident.rule_ids, found.key.rule_id})
    incident.tags = sorted({*incident.tags, *found.tags})
    incident.updated_at = at
    return incident


def _reach(incident: Incident, spans: Sequence[Span]) -> None:
    incident.first_event_at = min(incident.first_event_at, *(from_millis(span.first) for span in spans))
    incident.last_event_at = max(incident.last_event_at, *(from_millis(span.last) for span in spans))


def _open(
    session: Session, clusters: Sequence[Cluster], places: Sequence[int], at: datetime, targets: dict[int, Incident], result: Joined
) -> None:
    """Open an incident for each of these clusters, numbered in order of their first event."""
    ordered = sorted(places, key=lambda place: (clusters[place].span.first, clusters[place].key.digest))
    for place, number in zip(ordered, records.next_numbers(session, MACHINE.prefix, at, len(ordered)), strict=True):
        incident = targets[place] = _new(clusters[place], number, at)
        result.opened.append(incident)
    session.add_all(result.opened)
    session.flush()
    told = [(one, {"agency": one.agency, "rules": one.rule_ids, "severity": one.severity}) for one in result.opened]
    result.changes += records.noted(session, MACHINE, told, ACTOR, "open", at, before="")
    news.tell(session, result.opened, "open")


def _new(found: Cluster, number: str, at: datetime) -> Incident:
    return Incident(
        number=number,
        agency=found.key.agency,
        title=found.title,
        severity=found.severity,
        severity_found=found.severity,
        state=State.NEW,
        group_key=found.key.digest,
        entity_kind=found.key.kind,
        entity_value=found.key.value,
        first_event_at=from_millis(found.span.first),
        last_event_at=from_millis(found.span.last),
        created_at=at,
        created_by=ACTOR,
        updated_at=at,
        detections=found.detections,
        evidence_kept=0,
        rule_ids=[found.key.rule_id],
        tags=list(found.tags),
        exercise=found.key.exercise != "",
        drill=found.key.exercise,
        merged_into_id=None,
        version=1,
    )
