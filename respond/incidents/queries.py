"""Reading incidents and moving them on: what the API and the dashboard call.

Every call takes the caller's scope and applies it in the query: what is outside does not exist for the caller (NotFound, not Forbidden).
Incidents of `_unknown`, the agency of sources nobody has claimed, are seen only by who sees the whole city. An incident that was
absorbed by another is not listed, but is found by its number and names the other.
Results are plain frozen values that outlive the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from core.database import now
from core.errors import Conflict, Invalid, NotFound
from core.events import UNKNOWN_AGENCY
from respond import audit
from respond.grouping import hashed
from respond.incidents.machine import ENDED, NEEDS_REASON, STEPS, State
from respond.models import Incident, IncidentEntity, IncidentEvidence

Scope = frozenset[str] | None
"""The agencies whose incidents the caller may see; None: the whole city."""

LONGEST_REASON: Final = 4000


@dataclass(frozen=True, slots=True)
class Filters:
    """What to list; empty means any. `since` <= opened < `until`.

    `q` finds an incident's number, words of its title, or the exact value of an entity (an address, a user, a domain).
    """

    states: frozenset[State] = frozenset()
    severities: frozenset[str] = frozenset()
    agency: str = ""
    since: datetime | None = None
    until: datetime | None = None
    q: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """An incident without its evidence. Times are UTC; `merged_into` is a number or ''."""

    number: str
    agency: str
    title: str
    severity: str
    state: State
    entity_kind: str
    entity_value: str
    first_event_at: datetime
    last_event_at: datetime
    opened_at: datetime
    updated_at: datetime
    detections: int
    evidence_kept: int
    rule_ids: tuple[str, ...]
    tags: tuple[str, ...]
    exercise: bool
    merged_into: str
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


def list_incidents(session: Session, scope: Scope, filters: Filters, *, cursor: str = "", limit: int = 50) -> Page:
    """A page of incidents, newest opened first; `cursor` is `next_cursor` of the page before. Invalid when it is not."""
    query = _summaries(scope).where(Incident.merged_into_id.is_(None), *_conditions(filters))
    if cursor:
        last = session.scalar(sa.select(Incident.id).where(Incident.number == cursor))
        if last is None:
            raise Invalid("this cursor was not given by us")
        query = query.where(Incident.id < last)
    rows = session.execute(query.order_by(Incident.id.desc()).limit(limit + 1)).all()
    items = tuple(_summary(*row) for row in rows[:limit])
    return Page(items, items[-1].number if len(rows) > limit else "")


def newest(session: Session, scope: Scope, n: int) -> Sequence[Summary]:
    """The `n` incidents opened last, newest first."""
    return list_incidents(session, scope, Filters(), limit=n).items


def get_incident(session: Session, scope: Scope, number: str) -> Detail:
    """The incident called `number` with all it holds; NotFound when there is none in scope."""
    row = session.execute(_summaries(scope).where(Incident.number == number)).one_or_none()
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


def counts(session: Session, scope: Scope) -> Counts:
    """Counts for the dashboard; a state or severity without incidents is not named."""
    grouped = (
        sa.select(Incident.state, Incident.severity, sa.func.count())
        .where(visible(scope), Incident.merged_into_id.is_(None), Incident.exercise.is_(False))
        .group_by(Incident.state, Incident.severity)
    )
    by_state: dict[str, int] = {}
    open_by_severity: dict[str, int] = {}
    for state, severity, count in session.execute(grouped):
        by_state[state.value] = by_state.get(state.value, 0) + count
        if state not in ENDED:
            open_by_severity[severity] = open_by_severity.get(severity, 0) + count
    return Counts(by_state, open_by_severity)


def transition(session: Session, scope: Scope, actor: str, number: str, to: State, reason: str, if_version: int) -> Summary:
    """Move an incident to state `to` and record it; gives the incident as it is then.

    `if_version` is the version the actor has seen. Conflict when it is not the present one, when the machine has no such step, or when
    the incident was absorbed by another; Invalid when the step needs a reason and has none; NotFound as in `get_incident`.
    """
    query = _summaries(scope).where(Incident.number == number).with_for_update(of=Incident)
    row = session.execute(query.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        raise NotFound(f"there is no incident {number}")
    incident, merged_into = row
    if merged_into:
        raise Conflict(f"{number} was merged into {merged_into}: act on that")
    if incident.version != if_version:
        raise Conflict(f"{number} was changed meanwhile: you saw version {if_version}, it is version {incident.version}")
    if to not in STEPS[incident.state]:
        steps = ", ".join(sorted(STEPS[incident.state]))
        raise Conflict(f"{number} is {incident.state} and cannot become {to}; from there it can become {steps}")
    reason = reason.strip()
    if to in NEEDS_REASON and not reason:
        raise Invalid(f"to become {to} an incident needs a reason")
    if len(reason) > LONGEST_REASON:
        raise Invalid(f"a reason has at most {LONGEST_REASON} characters")
    before, incident.state = incident.state, to
    incident.version += 1
    incident.updated_at = now(session)
    session.flush()
    detail = {"from": before, "to": to, "reason": reason, "version": incident.version}
    audit.record(session, actor, "incident.moved", f"incident/{number}", detail)
    return _summary(incident, None)


def visible(scope: Scope) -> sa.ColumnElement[bool]:
    """That an incident is within `scope`, for a query."""
    if scope is None:
        return sa.true()
    return Incident.agency.in_(scope - {UNKNOWN_AGENCY})


def _summaries(scope: Scope) -> sa.Select[Incident, str | None]:
    """Incidents in scope, each with the number of the one it was merged into."""
    merged_into = sa.select(_Other.number).where(_Other.id == Incident.merged_into_id).scalar_subquery()
    return sa.select(Incident, merged_into).where(visible(scope))


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.states:
        found.append(Incident.state.in_(filters.states))
    if filters.severities:
        found.append(Incident.severity.in_(filters.severities))
    if filters.agency:
        found.append(Incident.agency == filters.agency)
    if filters.since:
        found.append(Incident.opened_at >= filters.since)
    if filters.until:
        found.append(Incident.opened_at < filters.until)
    if text := filters.q.strip():
        named = sa.select(IncidentEntity.incident_id).where(IncidentEntity.value_hash == hashed(text))
        found.append(sa.or_(Incident.number == text.upper(), Incident.title.icontains(text, autoescape=True), Incident.id.in_(named)))
    return found


def _summary(incident: Incident, merged_into: str | None) -> Summary:
    return Summary(
        number=incident.number,
        agency=incident.agency,
        title=incident.title,
        severity=incident.severity,
        state=incident.state,
        entity_kind=incident.entity_kind,
        entity_value=incident.entity_value,
        first_event_at=incident.first_event_at,
        last_event_at=incident.last_event_at,
        opened_at=incident.opened_at,
        updated_at=incident.updated_at,
        detections=incident.detections,
        evidence_kept=incident.evidence_kept,
        rule_ids=tuple(incident.rule_ids),
        tags=tuple(incident.tags),
        exercise=incident.exercise,
        merged_into=merged_into or "",
        version=incident.version,
    )


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
