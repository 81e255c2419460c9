"""Which incidents a caller sees, and what is shown of one: the same for the API and the dashboard.

Evidence holds raw logs, and some who read incidents do not read raw logs (the mayor's office, auditors): they get each line's SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from core.database import Database
from core.permissions import Action, Principal, Reach
from respond import reads
from respond.cases import records
from respond.cases.machine import Machine
from respond.cases.models import CaseColumns
from respond.incidents.queries import Detail, Summary
from respond.incidents.queries import Evidence as Kept
from respond.incidents.sight import Sight
from respond.models import Incident


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finding as it is shown. `raw` and `fields` are None when the caller does not read raw logs."""

    detection_id: str
    event_id: str
    event_time: datetime
    received_at: datetime
    detected_at: datetime
    rule_id: str
    rule_title: str
    rule_level: str
    rule_hash: str
    raw: str | None
    raw_sha256: str
    fields: Mapping[str, Any] | None


def sight(caller: Principal, action: Action = Action.INCIDENTS_READ) -> Sight:
    """The incidents `caller` may do `action` with; Forbidden when none."""
    return Sight(caller.scope(action), caller.actor, only_personal=caller.grants[action] is Reach.OWN_PERSONAL)


def common_sight(caller: Principal) -> Sight:
    """What everybody of the caller's reach sees alike: without the compartments the caller is a member of. For pages that refresh."""
    return replace(sight(caller), member="")


def note_read(database: Database, caller: Principal, incident: Incident | Summary, what: str) -> None:
    """Write down that `caller` reads an incident that is restricted or concerns personal data."""
    if incident.restricted or incident.personal_data:
        reads.once(database, [reads.of(caller.actor, f"incident/{incident.number}", incident.agency, what)])


def note_cases(
    database: Database,
    caller: Principal,
    machine: Machine,
    rows: Sequence[CaseColumns],
    what: str,
    *,
    personal: Callable[[Any], bool] = lambda _: False,
) -> None:
    """Write down that `caller` reads `what` of those cases that concern personal data (`personal`) or are about a restricted incident."""
    told = {row.number: row for row in rows if personal(row)}
    if rest := {row.number: row for row in rows if row.number not in told}:
        model = type(rows[0])
        with database.session(readonly=True) as session:
            closed = session.scalars(sa.select(model.number).where(model.number.in_(rest), ~records.known_to(model, "")))
            told |= {number: rest[number] for number in closed}
    reads.once(database, [reads.of(caller.actor, records.named(machine, number), row.agency, what) for number, row in told.items()])


def reads_raw_logs(caller: Principal, agency: str) -> bool:
    """Whether `caller` may see raw lines of `agency`."""
    if not caller.may(Action.LOGS_READ):
        return False
    agencies = caller.scope(Action.LOGS_READ)
    return agencies is None or agency in agencies


def evidence(caller: Principal, detail: Detail) -> Sequence[Evidence]:
    """The evidence of an incident as `caller` is shown it."""
    shown = reads_raw_logs(caller, detail.incident.agency)
    return [_shown(one, raw=shown) for one in detail.evidence]


def _shown(kept: Kept, *, raw: bool) -> Evidence:
    return Evidence(
        detection_id=kept.detection_id,
        event_id=kept.event_id,
        event_time=kept.event_time,
        received_at=kept.received_at,
        detected_at=kept.detected_at,
        rule_id=kept.rule_id,
        rule_title=kept.rule_title,
        rule_level=kept.rule_level,
        rule_hash=kept.rule_hash,
        raw=kept.raw if raw else None,
        raw_sha256=hashlib.sha256(kept.raw.encode("utf-8", "surrogatepass")).hexdigest(),
        fields=kept.fields if raw else None,
    )
