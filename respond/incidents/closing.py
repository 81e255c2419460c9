"""Ending an incident: cause and impact are known, every case about it has ended, and the evidence is sealed.

The seal is the SHA-256 of the evidence as it stands (`sealed`), kept with the incident and in its history. Nothing joins a closed
incident, so it holds until somebody reopens it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid
from respond.cases import records
from respond.cases.records import Taken
from respond.incidents.linked import open_cases
from respond.incidents.machine import MACHINE
from respond.models import Incident, IncidentEvidence

_NAMED: Final = 5
_TEXTS: Final = ("detection_id", "event_id", "rule_id", "rule_title", "rule_level", "rule_hash", "raw")
_TIMES: Final = ("event_time", "received_at", "detected_at")


def close(step: Taken[Incident]) -> dict[str, Any]:
    """See that the incident may end, and seal it. Invalid without cause and impact; Conflict while cases about it are open."""
    case, session = step.case, step.session
    if missing := [name for name in ("cause", "impact") if not getattr(case, name)]:
        raise Invalid(f"{case.number} is closed when its {' and '.join(missing)} are known: assess it first")
    if waiting := open_cases(session, names(session, case)):
        more = f" and {len(waiting) - _NAMED} more" if len(waiting) > _NAMED else ""
        raise Conflict(f"{case.number} is closed when every case about it has ended: {', '.join(waiting[:_NAMED])}{more}")
    case.seal, lines = sealed(session, case.id)
    return {"seal": case.seal, "lines": lines}


def reopen(step: Taken[Incident]) -> dict[str, Any]:
    """Break the seal; the history keeps it."""
    broken, step.case.seal = step.case.seal, ""
    return {"broken_seal": broken} if broken else {}


def sealed(session: Session, incident_id: int) -> tuple[str, int]:
    """SHA-256 (hex) of an incident's evidence, and how many lines it has.

    Hashed are the lines' JSON objects, keys sorted, all but ASCII escaped, without spaces, each ended by LF, in order of detection id;
    instants in UTC with six decimals and `Z`.
    """
    query = sa.select(IncidentEvidence).where(IncidentEvidence.incident_id == incident_id).execution_options(yield_per=500)
    digest, lines = hashlib.sha256(), 0
    for line in _lines(session.scalars(query.order_by(IncidentEvidence.detection_id.collate(_bytewise(session))))):
        digest.update(line)
        lines += 1
    return digest.hexdigest(), lines


def names(session: Session, case: Incident) -> list[str]:
    """How other cases name this incident and what it absorbed."""
    absorbed = session.scalars(sa.select(Incident.number).where(Incident.merged_into_id == case.id)).all()
    return [records.named(MACHINE, number) for number in (case.number, *absorbed)]


def _bytewise(session: Session) -> str:
    return "C" if session.get_bind().dialect.name == "postgresql" else "BINARY"


def _lines(rows: Iterable[IncidentEvidence]) -> Iterable[bytes]:
    for row in rows:
        texts = {name: getattr(row, name) for name in _TEXTS}
        times = {name: getattr(row, name).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for name in _TIMES}
        content = {**texts, **times, "fields": row.fields}
        yield json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"
