"""Reading incidents: what the API and the dashboard show.

Every call takes the caller's sight and applies it in the query: what is outside does not exist for the caller (NotFound, not Forbidden).
An incident that was absorbed by another is not listed, but is found by its number and names the other. Results are plain frozen values
that outlive the session.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased, object_session

from core.errors import NotFound
from respond.grouping import hashed
from respond.incidents import order as ordering
from respond.incidents import titles
from respond.incidents.machine import ENDED, State
from respond.incidents.models import IncidentPerson, Part
from respond.incidents.order import Order
from respond.incidents.sight import Sight, closed, sees, visible, within
from respond.models import Incident, IncidentEntity, IncidentEvidence
from respond.reports.models import Report


@dataclass(frozen=True, slots=True)
class Filters:
    """What to list; empty means any. `since` <= opened < `until`.

    `q` finds an incident's number, words of its title, or the exact value of an entity (an address, a user, a domain). `assignee` None is
    anybody or nobody, '' nobody; `reported`: whether there is an accident report about it. `titled` are titles that `q` finds besides,
    as they are called in another language.
    """

    states: frozenset[State] = frozenset()
    severities: frozenset[str] = frozenset()
    agency: str = ""
    assignee: str | None = None
    reported: bool | None = None
    exercise: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    q: str = ""
    titled: frozenset[str] = frozenset()


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
    """Some incidents in the order asked for; `next_cursor` is '' on the last page."""

    items: tuple[Summary, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many incidents there are in each state, and of those not ended how many of each severity. Exercises do not count.

    `by_both` has them by state and severity.
    """

    by_state: Mapping[str, int]
    open_by_severity: Mapping[str, int]
    by_both: Mapping[tuple[str, str], int]


_FEW: Final = 500
_MOMENTS: Final = timedelta(hours=1)
_NUMBER: Final = re.compile(r"INC-\d{4}-\d{6,12}")
_Other = aliased(Incident)
_OWN: Final = tuple(field.name for field in fields(Summary) if field.name not in ("merged_into", "split_from"))


def list_incidents(
    session: Session, sight: Sight, filters: Filters, order: Order = Order.NEWEST, *, cursor: str = "", limit: int = 50
) -> Page:
    """A page of incidents; `cursor` is `next_cursor` of the page before. Invalid when it is not."""
    after = ordering.place(session, order, cursor)
    conditions = [visible(sight), *_conditions(session, filters), *_between(session, filters)]
    found = ordering.ids(session, order, filters.states, conditions, after, limit + 1)
    rows = session.execute(_summaries(sight).where(Incident.id.in_(found[:limit])))
    by_id = {row[0].id: _summary(*row) for row in rows}
    items = tuple(by_id[one] for one in found[:limit])
    last = items[-1] if len(found) > limit else None
    return Page(items, ordering.cursor_of(order, last.number, last.last_event_at, last.severity) if last else "")


def meeting(session: Session, sight: Sight, conditions: Sequence[sa.ColumnElement[bool]], limit: int) -> Sequence[Summary]:
    """At most `limit` incidents that meet few others' conditions, newest first: for what an index finds by itself."""
    query = _summaries(sight).where(Incident.merged_into_id.is_(None), *conditions).order_by(Incident.id.desc()).limit(limit)
    return [_summary(*row) for row in session.execute(query)]


def newest(session: Session, sight: Sight, n: int) -> Sequence[Summary]:
    """The `n` incidents opened last, newest first."""
    return list_incidents(session, sight, Filters(), limit=n).items


def changed(session: Session, sight: Sight, since: datetime, limit: int) -> Sequence[Summary]:
    """At most `limit` incidents in sight that changed at or after `since`, in the order of their last change; absorbed ones too."""
    query = _summaries(sight).where(Incident.updated_at >= since).order_by(Incident.updated_at, Incident.id).limit(limit)
    return [_summary(*row) for row in session.execute(query)]


@dataclass(frozen=True, slots=True)
class Change:
    """An incident that changed (without what it was merged into or split from), and who may see it while it is restricted.

    `absorbed`: it was merged into another and is not listed any more.
    """

    incident: Summary
    absorbed: bool
    members: frozenset[str]

    def seen_by(self, sight: Sight) -> bool:
        """Whether it exists for `sight`."""
        one = self.incident
        return sees(sight, one.agency, self.members, restricted=one.restricted, personal_data=one.personal_data)


def changes(session: Session, since: datetime, limit: int) -> Sequence[Change]:
    """As `changed`, of the whole city and restricted ones too: one reading for all who listen, each of whom sees only their own of it."""
    query = sa.select(Incident).where(Incident.updated_at >= since).order_by(Incident.updated_at, Incident.id).limit(limit)
    rows = session.scalars(query).all()
    members: dict[int, set[str]] = {}
    closed_ones = [row.id for row in rows if row.restricted]
    own = sa.select(IncidentPerson).where(IncidentPerson.incident_id.in_(closed_ones), IncidentPerson.part == Part.MEMBER.value)
    for one in session.scalars(own) if closed_ones else ():
        members.setdefault(one.incident_id, set()).add(one.person)
    return [Change(_summary(row, None, None), row.merged_into_id is not None, frozenset(members.get(row.id, ()))) for row in rows]


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


def counts(session: Session, sight: Sight, states: Collection[State] = tuple(State)) -> Counts:
    """Counts of the incidents in `states` for the dashboard; a state or severity without incidents is not named."""
    grouped = (
        sa.select(Incident.state, Incident.severity, sa.func.count())
        .where(visible(sight), Incident.merged_into_id.is_(None), Incident.exercise.is_(False), Incident.state.in_(states))
        .group_by(Incident.state, Incident.severity)
    )
    by_state: dict[str, int] = {}
    open_by_severity: dict[str, int] = {}
    by_both: dict[tuple[str, str], int] = {}
    for state, severity, count in session.execute(grouped):
        by_both[state.value, severity] = count
        by_state[state.value] = by_state.get(state.value, 0) + count
        if state not in ENDED:
            open_by_severity[severity] = open_by_severity.get(severity, 0) + count
    return Counts(by_state, open_by_severity, by_both)


def find(session: Session, sight: Sight, number: str) -> Incident:
    """The row of the incident called `number`; NotFound when there is none in sight."""
    incident = session.scalar(sa.select(Incident).where(Incident.number == number, visible(sight)))
    if incident is None:
        raise NotFound(f"there is no incident {number}")
    return incident


def of_detections(session: Session, sight: Sight, detection_ids: Sequence[str]) -> dict[str, str]:
    """The numbers of the incidents these detections are evidence of, by detection; those in sight alone."""
    of_evidence = sa.select(IncidentEvidence.detection_id, Incident.number).join(Incident, Incident.id == IncidentEvidence.incident_id)
    seen = of_evidence.where(IncidentEvidence.detection_id.in_(detection_ids), visible(sight))
    return {row.detection_id: row.number for row in session.execute(seen)}


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
    states = [Incident.state.in_(filters.states)] if filters.states else []
    return list(session.scalars(found.where(*states, *_conditions(session, filters)).order_by(Incident.id)))


def _summaries(sight: Sight) -> sa.Select[Incident, str | None, str | None]:
    """Incidents in sight, each with the numbers of the one it was merged into and split from, unless these are closed to the reader."""
    known = _Other.number.not_in(closed(sight.member))
    merged_into = sa.select(_Other.number).where(_Other.id == Incident.merged_into_id, known).scalar_subquery()
    split_from = sa.select(_Other.number).where(_Other.number == Incident.split_from, known).scalar_subquery()
    return sa.select(Incident, merged_into, split_from).where(visible(sight))


def _between(session: Session, filters: Filters) -> list[sa.ColumnElement[bool]]:
    """The time asked for once more, by ids, which the walks go by: incidents are numbered as they are opened, but for moments."""
    found: list[sa.ColumnElement[bool]] = []
    if filters.since:
        first = sa.select(Incident.id).where(Incident.opened_at >= filters.since - _MOMENTS).order_by(Incident.opened_at).limit(1)
        found.append(Incident.id >= (session.scalar(first) or 0))
    if filters.until:
        last = sa.select(Incident.id).where(Incident.opened_at < filters.until + _MOMENTS).order_by(Incident.opened_at.desc()).limit(1)
        found.append(Incident.id <= (session.scalar(last) or 0))
    return found


def _conditions(session: Session, filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.severities:
        found.append(Incident.severity.in_(filters.severities))
    if filters.agency:
        found.append(Incident.agency == filters.agency)
    if filters.assignee is not None:
        found.append(Incident.assignee == filters.assignee)
    if filters.assignee:
        found.append(Incident.assignee != "")  # as the index of people's own says it
    if filters.reported is not None:
        reported = sa.exists().where(Report.about == sa.literal("incident/", sa.Text) + Incident.number)
        found.append(reported if filters.reported else ~reported)
    if filters.exercise is not None:
        found.append(Incident.exercise.is_(filters.exercise))
    if filters.since:
        found.append(Incident.opened_at >= filters.since)
    if filters.until:
        found.append(Incident.opened_at < filters.until)
    if text := filters.q.strip():
        if _NUMBER.fullmatch(text.upper()):
            return [*found, Incident.number == text.upper()]
        named = _named(session, text)
        found.append(named if _is_address(text) else sa.or_(titles.with_words(session, text), Incident.title.in_(filters.titled), named))
    return found


def _named(session: Session, text: str) -> sa.ColumnElement[bool]:
    """That the exact value of one of its entities is `text`. Where few are, they are named, for which the engine has its indexes."""
    of_entity = sa.select(IncidentEntity.incident_id).where(IncidentEntity.value_hash == hashed(text))
    few = session.scalars(of_entity.limit(_FEW + 1)).all()
    return Incident.id.in_(set(few) if len(few) <= _FEW else of_entity)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


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
