"""Making one incident of two, and two of one.

Whoever merges says so for one incident, which is absorbed: all it holds goes to the other, it keeps its number and names the other, and
findings of its group go there from then on (`respond.joining`). Who splits chooses findings whose lines are kept: they become an incident
of their own that no finding joins; those to come join the one they were taken from, whose times stay, as if nothing had been split.
No finding is lost or counted twice by either [ours: the ordinance knows neither].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import insert_into
from core.errors import Conflict, Invalid
from respond import grouping
from respond.cases import records
from respond.cases.records import Taken
from respond.evidence import ENTITY_COLUMNS
from respond.grouping import hashed
from respond.incidents.machine import ENDED, MACHINE
from respond.incidents.models import IncidentAttachment, IncidentComment, IncidentPerson, IncidentTask, Part
from respond.incidents.severity import Matrix
from respond.incidents.sight import Sight, visible
from respond.models import Incident, IncidentEntity, IncidentEvidence
from respond.suppression import SuppressedGroup

MOST_SPLIT: Final = 1000
_MOVED: Final = (IncidentEvidence, SuppressedGroup, IncidentComment, IncidentTask, IncidentAttachment)
_MAIN: Final = (("src_ip", "ip"), ("user", "user"), ("dst_ip", "ip"), ("device", "device"))  # as in `respond.grouping`


def absorb(session: Session, stays: Incident, other: Incident, at: datetime) -> None:
    """Move all that `other` holds to `stays`; it points there, with what it had absorbed. Both are locked, under the lock `incidents`."""
    stays.first_event_at = min(stays.first_event_at, other.first_event_at)
    stays.last_event_at = max(stays.last_event_at, other.last_event_at)
    raise_severity(stays, other.severity_found)
    stays.rule_ids = sorted({*stays.rule_ids, *other.rule_ids})
    stays.tags = sorted({*stays.tags, *other.tags})
    stays.detections += other.detections
    stays.evidence_kept += other.evidence_kept
    stays.personal_data = stays.personal_data or other.personal_data
    for name in ("centre_aware_at", "agency_told_at", "agency_aware_at"):
        setattr(stays, name, min((time for time in (getattr(stays, name), getattr(other, name)) if time), default=None))
    stays.cause, stays.impact = stays.cause or other.cause, stays.impact or other.impact
    other.detections = other.evidence_kept = 0
    other.merged_into_id = stays.id
    other.updated_at = stays.updated_at = at
    session.execute(sa.update(Incident).where(Incident.merged_into_id == other.id).values(merged_into_id=stays.id))
    for table in _MOVED:
        session.execute(sa.update(table).where(table.incident_id == other.id).values(incident_id=stays.id))
    _move_watchers(session, stays, other)
    _move_entities(session, stays, other)


def raise_severity(incident: Incident, found: str) -> None:
    """Take a severity the machine found into account; what a person set stands."""
    incident.severity_found = grouping.worst(incident.severity_found or incident.severity, found)
    if not incident.severity_by:
        incident.severity = incident.severity_found


def merge(step: Taken[Incident], sight: Sight, into: str) -> dict[str, Any]:
    """Let the incident be absorbed by the one called `into`; gives what its history is told."""
    session, other = step.session, step.case
    query = sa.select(Incident).where(Incident.number == into, visible(sight)).with_for_update()
    stays = session.scalar(query.execution_options(populate_existing=True))
    if stays is None:
        raise Invalid(f"there is no incident {into}")
    if stays.id == other.id:
        raise Invalid("an incident is not merged into itself")
    if stays.merged_into_id is not None or stays.state in ENDED:
        raise Conflict(f"{into} has ended or was merged itself: nothing can be merged into it")
    for name, word in (
        ("agency", "agencies"),
        ("exercise", "kinds: one is an exercise"),
        ("drill", "drills"),
        ("restricted", "compartments"),
    ):
        if getattr(stays, name) != getattr(other, name):
            raise Invalid(f"{other.number} and {into} are of different {word}")
    moved = other.detections
    absorb(session, stays, other, step.at)
    stays.version += 1
    session.flush()
    told = {"absorbed": other.number, "detections": moved}
    records.note(session, MACHINE, stays, step.actor, "absorb", told, step.reason)
    return {"into": into, "detections": moved}


def split(step: Taken[Incident], matrix: Matrix, chosen: Sequence[str], title: str) -> dict[str, Any]:
    """Give the findings of these detection ids an incident of their own; gives what the history is told."""
    session, parent = step.session, step.case
    wanted = set(chosen)
    if not 1 <= len(wanted) <= MOST_SPLIT:
        raise Invalid(f"a split takes 1 to {MOST_SPLIT} detections")
    query = sa.select(IncidentEvidence).where(IncidentEvidence.incident_id == parent.id, IncidentEvidence.detection_id.in_(wanted))
    rows = session.scalars(query.order_by(IncidentEvidence.event_time, IncidentEvidence.id)).all()
    if missing := sorted(wanted - {row.detection_id for row in rows}):
        raise Invalid(f"{parent.number} keeps no line of the detection {missing[0]}: only findings whose lines are kept can be split off")
    if len(rows) == parent.detections:
        raise Invalid(f"a split leaves something in {parent.number}: these are all its detections")
    child = records.open_case(session, MACHINE, _child(parent, rows, matrix, title), step.actor, {"split_from": parent.number})
    _take_over_members(session, parent, child)
    ids = [row.id for row in rows]
    moved = sa.update(IncidentEvidence).where(IncidentEvidence.id.in_(ids)).values(incident_id=child.id)
    session.execute(moved)
    parent.detections -= len(rows)
    parent.evidence_kept -= len(rows)
    _part_entities(session, parent, child, rows)
    return {"into": child.number, "detections": len(rows)}


def _child(parent: Incident, rows: Sequence[IncidentEvidence], matrix: Matrix, title: str) -> Incident:
    importances = ("src_importance", "dst_importance")
    found = grouping.worst(*(matrix.of(row.rule_level, *(str(row.fields.get(name, "")) for name in importances)) for row in rows))
    kind, value = _main_entity(rows[0].fields)
    return Incident(
        agency=parent.agency,
        exercise=parent.exercise,
        drill=parent.drill,
        restricted=parent.restricted,
        personal_data=parent.personal_data,
        title=title.strip() or rows[0].rule_title,
        severity=found,
        severity_found=found,
        group_key=hashed("split", parent.number, str(parent.version)),
        entity_kind=kind,
        entity_value=value,
        first_event_at=rows[0].event_time,
        last_event_at=rows[-1].event_time,
        detections=len(rows),
        evidence_kept=len(rows),
        rule_ids=sorted({row.rule_id for row in rows}),
        tags=list(parent.tags),
        split_from=parent.number,
        merged_into_id=None,
    )


def _main_entity(fields: Mapping[str, Any]) -> tuple[str, str]:
    return next(((kind, str(fields[name])) for name, kind in _MAIN if fields.get(name)), ("device", ""))


def _take_over_members(session: Session, parent: Incident, child: Incident) -> None:
    for one in session.scalars(sa.select(IncidentPerson).where(IncidentPerson.incident_id == parent.id)).all():
        session.add(IncidentPerson(incident_id=child.id, part=one.part, person=one.person, at=one.at, added_by=one.added_by))
    session.flush()


def _part_entities(session: Session, parent: Incident, child: Incident, rows: Sequence[IncidentEvidence]) -> None:
    """Count what the rows name for `child`, and no more for `parent`."""
    named = Counter((kind, role, str(row.fields[name])) for row in rows for name, kind, role in ENTITY_COLUMNS if row.fields.get(name))
    own = IncidentEntity.incident_id == parent.id
    for (kind, role, value), count in named.items():
        same = sa.and_(own, IncidentEntity.kind == kind, IncidentEntity.role == role, IncidentEntity.value_hash == hashed(value))
        fewer = sa.update(IncidentEntity).where(same).values(detections=IncidentEntity.detections - count)
        session.execute(fewer)
    session.execute(sa.delete(IncidentEntity).where(own, IncidentEntity.detections <= 0))
    session.execute(
        sa.insert(IncidentEntity),
        [
            {"incident_id": child.id, "kind": kind, "role": role, "value": value, "value_hash": hashed(value), "detections": count}
            for (kind, role, value), count in named.items()
        ],
    )


def _move_watchers(session: Session, stays: Incident, other: Incident) -> None:
    """Members stay with their own incident: nobody sees more by a merge."""
    columns = ("part", "person", "at", "added_by")
    of_other = sa.and_(IncidentPerson.incident_id == other.id, IncidentPerson.part == Part.WATCHER.value)
    moved = sa.select(sa.literal(stays.id), *(getattr(IncidentPerson, name) for name in columns)).where(of_other)
    session.execute(insert_into(session, IncidentPerson).from_select(["incident_id", *columns], moved).on_conflict_do_nothing())
    session.execute(sa.delete(IncidentPerson).where(of_other))


def _move_entities(session: Session, stays: Incident, other: Incident) -> None:
    columns = ("kind", "role", "value", "value_hash", "detections")
    of_other = IncidentEntity.incident_id == other.id
    moved = sa.select(sa.literal(stays.id), *(getattr(IncidentEntity, name) for name in columns)).where(of_other)
    insert = insert_into(session, IncidentEntity).from_select(["incident_id", *columns], moved)
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["incident_id", "kind", "role", "value_hash"],
            set_={"detections": IncidentEntity.detections + insert.excluded.detections},
        )
    )
    session.execute(sa.delete(IncidentEntity).where(of_other))
