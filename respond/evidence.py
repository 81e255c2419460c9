"""What of the findings is copied into their incidents: lines as evidence, up to a limit, and the entities they name, counted.

Of evidence the first lines to arrive are kept. Of entities, the first `ENTITIES` of an incident are kept and counted exactly; a scan of
a whole network must not become a row for each address. Everything else stays findable in the columnar store.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import insert_into
from core.events import DETECTIONS, POSITION, Kind, event_id
from respond.grouping import Ints, address_text, hashed
from respond.models import Incident, IncidentEntity, IncidentEvidence

ENTITIES: Final = 1000
ENTITY_COLUMNS: Final = (
    ("src_ip", "ip", "source"),
    ("dst_ip", "ip", "target"),
    ("user", "user", "named"),
    ("domain", "domain", "requested"),
    ("dns_query", "domain", "queried"),
    ("url", "url", "requested"),
    ("device", "device", "reporter"),
)
"""Column, kind and role of what counts as an entity."""

_OWN_COLUMNS: Final = (
    *("detection_id", "event_time", "received_at", "detected_at", "rule_id", "rule_title", "rule_level", "rule_hash", "raw"),
)
_NOT_FIELDS: Final = frozenset({*_OWN_COLUMNS, *(column.name for column in POSITION), "rule_tags"})
_ROWS_AT_A_TIME = 5000


def keep_evidence(session: Session, findings: pa.Table, incidents: Sequence[Incident], of_row: Ints, limit: int) -> None:
    """Copy findings into their incidents (`of_row`: place of the row's incident), in row order, until each has `limit`."""
    room = np.array([max(limit - incident.evidence_kept, 0) for incident in incidents], np.int64)
    order = np.argsort(of_row, kind="stable")
    sorted_incident = of_row[order]
    first = np.searchsorted(sorted_incident, sorted_incident, side="left")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - first
    kept = np.flatnonzero(rank < room[of_row])
    for incident, added in zip(incidents, np.bincount(of_row[kept], minlength=len(incidents)).tolist(), strict=True):
        if added:
            incident.evidence_kept += added
    ids = np.array([incident.id for incident in incidents], np.int64)
    insert = insert_into(session, IncidentEvidence).on_conflict_do_nothing(index_elements=["detection_id"])
    for start in range(0, len(kept), _ROWS_AT_A_TIME):
        some = kept[start : start + _ROWS_AT_A_TIME]
        session.execute(insert, _evidence(findings.take(pa.array(some)), ids[of_row[some]].tolist()))


def _evidence(findings: pa.Table, incident_ids: Sequence[int]) -> list[dict[str, Any]]:
    own = findings.select(list(_OWN_COLUMNS)).to_pylist()
    return [
        {**row, "incident_id": incident, "event_id": event, "fields": fields}
        for row, incident, event, fields in zip(own, incident_ids, _events(findings), _fields(findings), strict=True)
    ]


def _events(findings: pa.Table) -> Iterator[str]:
    """The id of the event each finding is about: of several the last, where its details name them; else the line it stands at."""
    positions = zip(*(findings[column.name].to_pylist() for column in POSITION), strict=True)
    for details, position in zip(findings["details"].to_pylist(), positions, strict=True):
        yield _named(details) or event_id(*position)


def _named(details: str) -> str:
    """The last event that details name; '' when they name none."""
    try:
        return str(json.loads(details)["events"][-1])
    except (ValueError, LookupError, TypeError):
        return ""


def _fields(findings: pa.Table) -> list[dict[str, Any]]:
    """The normalised columns that are set, for each row: addresses as text, numbers as numbers."""
    fields: list[dict[str, Any]] = [{} for _ in range(findings.num_rows)]
    for column in DETECTIONS.columns:
        if column.name in _NOT_FIELDS:
            continue
        values = findings[column.name]
        if column.kind is Kind.IP and not pa.types.is_string(values.type):
            values = address_text(values)
        for row, value in _set_values(values, text=column.kind.is_text):
            fields[row][column.name] = value
    return fields


def _set_values(values: pa.ChunkedArray, *, text: bool) -> Iterator[tuple[int, Any]]:
    """Row and value where there is one; '' means not set."""
    present = pc.and_kleene(pc.is_valid(values), pc.not_equal(values, "")) if text else pc.is_valid(values)
    mask = pc.fill_null(present, False)
    return zip(np.flatnonzero(mask.to_numpy()).tolist(), values.filter(mask).to_pylist(), strict=True)


def count_entities(session: Session, findings: pa.Table, incidents: Sequence[Incident], of_row: Ints) -> None:
    """Add what the findings name to their incidents' entities."""
    counted = _counted(findings, of_row)
    ids = [incident.id for incident in incidents]
    rows = [
        {
            "incident_id": ids[row["incident"]],
            "kind": ENTITY_COLUMNS[row["column"]][1],
            "role": ENTITY_COLUMNS[row["column"]][2],
            "value": row["value"],
            "value_hash": hashed(row["value"]),
            "detections": row["value_count"],
        }
        for row in counted.to_pylist()
    ]
    insert = insert_into(session, IncidentEntity)
    upsert = insert.on_conflict_do_update(
        index_elements=["incident_id", "kind", "role", "value_hash"],
        set_={"detections": IncidentEntity.detections + insert.excluded.detections},
    )
    admitted = _admitted(session, rows)
    for start in range(0, len(admitted), _ROWS_AT_A_TIME):
        session.execute(upsert, admitted[start : start + _ROWS_AT_A_TIME])


def _counted(findings: pa.Table, of_row: Ints) -> pa.Table:
    """Incident, column and value with the number of findings, in order of first appearance."""
    parts = []
    for place, (name, _, _) in enumerate(ENTITY_COLUMNS):
        values = findings[name]
        part = pa.table({"incident": of_row, "column": np.full(len(of_row), place, np.int8), "value": values})
        parts.append(part.filter(pc.fill_null(pc.not_equal(values, ""), False)))
    rows = pa.concat_tables(parts)
    return rows.group_by(["incident", "column", "value"], use_threads=False).aggregate([("value", "count")])


def _admitted(session: Session, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of entities that are kept already, or for which there is room."""
    by_incident: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_incident[row["incident_id"]].append(row)
    kept = _kept_counts(session, list(by_incident))
    admitted = []
    for incident, named in by_incident.items():
        room = ENTITIES - kept.get(incident, 0)
        if len(named) <= room:
            admitted += named
            continue
        known = _kept(session, incident) if room < ENTITIES else set()
        old = [row for row in named if (row["kind"], row["role"], row["value_hash"]) in known]
        new = [row for row in named if (row["kind"], row["role"], row["value_hash"]) not in known]
        admitted += [*old, *new[: max(room, 0)]]
    return admitted


def _kept_counts(session: Session, incidents: Sequence[int]) -> Mapping[int, int]:
    counts: dict[int, int] = {}
    for start in range(0, len(incidents), _ROWS_AT_A_TIME):
        some = incidents[start : start + _ROWS_AT_A_TIME]
        query = sa.select(IncidentEntity.incident_id, sa.func.count()).where(IncidentEntity.incident_id.in_(some))
        counts.update((incident, count) for incident, count in session.execute(query.group_by(IncidentEntity.incident_id)))
    return counts


def _kept(session: Session, incident: int) -> set[tuple[str, str, str]]:
    columns = (IncidentEntity.kind, IncidentEntity.role, IncidentEntity.value_hash)
    found = session.execute(sa.select(*columns).where(IncidentEntity.incident_id == incident))
    return {(kind, role, value_hash) for kind, role, value_hash in found}
