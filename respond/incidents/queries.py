"""Reading incidents: what the API and the dashboard show.

Every call takes the caller's sight and applies it in the query: what is outside does not exist for the caller (NotFound, not Forbidden).
An incident that was absorbed by another is not listed, but is found by its number and names the other. Results are plain frozen values
that outlive the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased, object_session

from core.errors import Invalid, NotFound
from respond.grouping import hashed
from respond.incidents.machine import ENDED, State
from respond.incidents.models import IncidentPerson, Part
from respond.incidents.sight import Sight, closed, visible, within
from respond.models import Incident, IncidentEntity, IncidentEvidence


@dataclass(frozen=True, slots=True)
class Filters:
    """What to list; empty means any. `since` <= opened < `until`.

    `q` finds an incident's number, words of its title, or the exact value of an entity (an address, a user, a domain).
    """

    states: frozenset[State] = frozenset()
    severities: frozenset[str] = frozenset()
    agency: str = ""
    assignee: str = ""
    exercise: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    q: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """An incident without its evidence. Times are UTC; `merged_into` and `split_from` are numbers or ''.

    `severity_by` is who set the severity ('': the matrix); `centre_aware_at` and `agency_aware_at` are when each party learned of it.
    """

    number: str
    agency: str
    title: str
    severity: str
    severity_found: str
    severity_by: str
    state: State
    entity_kind: str
    entity_value: str
    first_event_at: datetime
    last_event_at: datetime
    opened_at: datetime
    created_by: str
    updated_at: datetime
    detections: int
    evidence_kept: int
    rule_ids: tuple[str, ...]
    tags: tuple[str, ...]
    exercise: bool
    drill: str
    restricted: bool
    personal_data: bool
    assignee: str
    centre_aware_at: datetime | None
    agency_told_at: datetime | None
    agency_aware_at: datetime | None
    cause: str
    impact: str
    seal: str
    merged_into: str
    split_from: str
    version: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finding with its line. `fields` are the normalised columns that were set, by their names in `core.events`."""

    detection_id: str
    event_id: str
    event_time: datetime
    received_at: datetime
    detected_at: datetime
    rule_id: str
    rule_title: str
    rule_level: str
    rule_hash: str
    raw: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entity:
    """Something findings name, and in how many of them."""

    kind: str
    role: str
    value: str
    detections: int


@dataclass(frozen=True, slots=True)
class Detail:
    """An incident with its evidence in order of event time and its entities, most named first."""

    incident: Summary
    evidence: tuple[Evidence, ...]
    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Some incidents, newest first; `next_cursor` is '' on the last page."""

    items: tuple[Summary, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many incidents there are in each state, and of those not ended how many of each severity. Exercises do not count."""

    by_state: Mapping[str, int]
    open_by_severity: Mapping[str, int]


_Other = aliased(Incident)
_OWN: Final = tuple(field.name for field in fields(Summary) if field.name not in ("merged_into", "split_from"))


def list_incidents(
    session: Session,
    sight: Sight,
    filters: Filters,
    *,
    also: Sequence[sa.ColumnElement[bool]] = (),
    cursor: str = "",
    limit: int = 50,
) -> Page:
    """A page of incidents, newest opened first; `cursor` is `next_cursor` of the page before. Invalid when it is not.

    `also` are conditions they meet besides.
    """
    query = _summaries(sight).where(Incident.merged_into_id.is_(None), *_conditions(filters), *also)
    if cursor:
        last = session.scalar(sa.select(Incident.id).where(Incident.number == cursor))
        if last is None:
            raise Invalid("this cursor was not given by us")
        query = query.where(Incident.id < last)
    rows = session.execute(query.order_by(Incident.id.desc()).limit(limit + 1)).all()
    items = tuple(_summary(*row) for row in rows[:limit])
    return Page(items, items[-1].number if len(rows) > limit else "")


def newest(session: Session, sight: Sight, n: int) -> Sequence[Summary]:
    """The `n` incidents opened last, newest first."""
    return list_incidents(session, sight, Filters(), limit=n).items


def changed(session: Session, sight: Sight, since: datetime, limit: int) -> Sequence[Summary]:
    """At most `limit` incidents in sight that changed at or after `since`, in the order of their last change; absorbed ones too."""
    query = _summaries(sight).where(Incident.updated_at >= since).order_by(Incident.updated_at, Incident.id).limit(limit)
    return [_summary(*row) for row in session.execute(query)]


def get_incident(session: Session, sight: Sight, number: str) -> Detail:
    """The incident called `number` with all it holds; NotFound when there is none in sight."""
    row = session.execute(_summaries(sight).where(Incident.number == number)).one_or_none()
    if row is None:
        raise NotFound(f"there is no incident {number}")
    evidence = session.scalars(
        sa.select(IncidentEvidence)
        .where(IncidentEvidence.incident_id == row[0].id)
        .order_by(IncidentEvidence.event_time, IncidentEvidence.id)
    )
    entities = session.scalars(
        sa.select(IncidentEntity)
        .where(IncidentEntity.incident_id == row[0].id)
        .order_by(IncidentEntity.detections.desc(), IncidentEntity.id)
    )
    return Detail(
        _summary(*row),
        tuple(_evidence(one) for one in evidence),
        tuple(Entity(one.kind, one.role, one.value, one.detections) for one in entities),
    )


def counts(session: Session, sight: Sight) -> Counts:
    """Counts for the dashboard; a state or severity without incidents is not named."""
    grouped = (
        sa.select(Incident.state, Incident.severity, sa.func.count())
        .where(visible(sight), Incident.merged_into_id.is_(None), Incident.exercise.is_(False))
        .group_by(Incident.state, Incident.severity)
    )
    by_state: dict[str, int] = {}
    open_by_severity: dict[str, int] = {}
    for state, severity, count in session.execute(grouped):
        by_state[state.value] = by_state.get(state.value, 0) + count
        if state not in ENDED:
            open_by_severity[severity] = open_by_severity.get(severity, 0) + count
    return Counts(by_state, open_by_severity)


def find(session: Session, sight: Sight, number: str) -> Incident:
    """The row of the incident called `number`; NotFound when there is none in sight."""
    incident = session.scalar(sa.select(Incident).where(Incident.number == number, visible(sight)))
    if incident is None:
        raise NotFound(f"there is no incident {number}")
    return incident


def shown(incident: Incident) -> Summary:
    """An incident that was just worked on, as who did so is shown it: with the number of the one it was merged into, if it was."""
    session = object_session(incident)
    if incident.merged_into_id is None or session is None:
        return _summary(incident, None, incident.split_from)
    return _summary(incident, session.get_one(Incident, incident.merged_into_id).number, incident.split_from)


def restricted_met(session: Session, sight: Sight, filters: Filters) -> list[str]:
    """The restricted incidents that `filters` find among those of the caller's agencies, whether the caller sees them or not."""
    restricted = sa.select(IncidentPerson.incident_id).where(IncidentPerson.part == Part.MEMBER.value)
    found = sa.select(Incident.number).where(Incident.id.in_(restricted), within(sight), Incident.restricted.is_(True))
    return list(session.scalars(found.where(*_conditions(filters)).order_by(Incident.id)))


def _summaries(sight: Sight) -> sa.Select[Incident, str | None, str | None]:
    """Incidents in sight, each with the numbers of the one it was merged into and split from, unless these are closed to the reader."""
    known = _Other.number.not_in(closed(sight.member))
    merged_into = sa.select(_Other.number).where(_Other.id == Incident.merged_into_id, known).scalar_subquery()
    split_from = sa.select(_Other.number).where(_Other.number == Incident.split_from, known).scalar_subquery()
    return sa.select(Incident, merged_into, split_from).where(visible(sight))


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.states:
        found.append(Incident.state.in_(filters.states))
    if filters.severities:
        found.append(Incident.severity.in_(filters.severities))
    if filters.agency:
        found.append(Incident.agency == filters.agency)
    if filters.assignee:
        found.append(Incident.assignee == filters.assignee)
    if filters.exercise is not None:
        found.append(Incident.exercise.is_(filters.exercise))
    if filters.since:
        found.append(Incident.opened_at >= filters.since)
    if filters.until:
        found.append(Incident.opened_at < filters.until)
    if text := filters.q.strip():
        named = sa.select(IncidentEntity.incident_id).where(IncidentEntity.value_hash == hashed(text))
        found.append(sa.or_(Incident.number == text.upper(), Incident.title.icontains(text, autoescape=True), Incident.id.in_(named)))
    return found


def _summary(incident: Incident, merged_into: str | None, split_from: str | None) -> Summary:
    made = {"state": State(incident.state), "rule_ids": tuple(incident.rule_ids), "tags": tuple(incident.tags)}
    return Summary(**{name: getattr(incident, name) for name in _OWN} | made, merged_into=merged_into or "", split_from=split_from or "")


def _evidence(row: IncidentEvidence) -> Evidence:
    return Evidence(
        detection_id=row.detection_id,
        event_id=row.event_id,
        event_time=row.event_time,
        received_at=row.received_at,
        detected_at=row.detected_at,
        rule_id=row.rule_id,
        rule_title=row.rule_title,
        rule_level=row.rule_level,
        rule_hash=row.rule_hash,
        raw=row.raw,
        fields=row.fields,
    )
