"""Taking the steps of an incident: what each means beside the state it leads to.

Confirming says when the centre learned of it and tells the agency; it does not replace the agency's report under article 19(3), and says
so in the news. No step starts a clock. A restricted incident makes no news.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from core.database import exclusive
from core.errors import Conflict, Invalid
from respond.cases import records
from respond.cases.records import Taken
from respond.grouping import LEVELS
from respond.incidents import closing, compartment, merging, news, severity
from respond.incidents.machine import MACHINE
from respond.incidents.severity import Matrix
from respond.incidents.sight import Sight, visible
from respond.models import Incident

_REPORT_STAYS_DUE: Final = "CO 19(3)"
_REGROUPS: Final = frozenset({"merge", "split"})
"""Steps that move findings between incidents: they wait for findings under way, and these for them."""


def take(
    session: Session,
    sight: Sight,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    given: Mapping[str, Any] | None = None,
    matrix: Matrix | None = None,
) -> Incident:
    """Take a step. NotFound, Conflict, Invalid as in `records.begin`, and as the step has it. `given` by action:

    `confirm`, `acknowledge`: `aware_at` (UTC; now unless given). `assign`: `assignee` ('' nobody). `assess`: `cause`, `impact`. `rate`:
    `severity` ('' as found by the matrix). `mark`: `personal_data`. `restrict`: `members`. `merge`: `into`. `split`: `detections`, `title`.
    """
    if action in _REGROUPS:
        exclusive(session, "incidents")
    step = records.begin(
        session, MACHINE, Incident, sight.agencies, number, action, visible(sight), actor=actor, if_version=if_version, reason=reason
    )
    if step.case.merged_into_id is not None:
        other = session.get_one(Incident, step.case.merged_into_id)
        raise Conflict(f"{number} was merged into {other.number}: act on that")
    told = _done(step, action, given or {}, sight, matrix or severity.load())
    case = step.done(told)
    news.tell(session, [case], action, {"report_due_under": _REPORT_STAYS_DUE} if action == "confirm" else None)
    return case


def _done(step: Taken[Incident], action: str, given: Mapping[str, Any], sight: Sight, matrix: Matrix) -> dict[str, Any]:  # noqa: C901 - the table
    match action:
        case "confirm":
            return _confirm(step, given.get("aware_at"))
        case "acknowledge":
            return _acknowledge(step, given.get("aware_at"))
        case "close":
            return closing.close(step)
        case "reopen":
            return closing.reopen(step)
        case "assign":
            step.case.assignee = given["assignee"]
            return {"assignee": given["assignee"]}
        case "assess":
            step.case.cause, step.case.impact = given["cause"].strip(), given["impact"].strip()
            return {}
        case "rate":
            return _rate(step, given["severity"])
        case "mark":
            step.case.personal_data = given["personal_data"]
            return {"personal_data": given["personal_data"]}
        case "restrict":
            return compartment.restrict(step, given["members"])
        case "unrestrict":
            return compartment.unrestrict(step)
        case "merge":
            return merging.merge(step, sight, given["into"])
        case "split":
            return merging.split(step, matrix, given["detections"], given.get("title", ""))
    return {}


def _confirm(step: Taken[Incident], aware_at: datetime | None) -> dict[str, Any]:
    """When an incident is confirmed anew, what each party learned first stands."""
    case = step.case
    case.centre_aware_at = case.centre_aware_at or _learned(step, aware_at)
    if not case.restricted:
        case.agency_told_at = case.agency_told_at or step.at
    told = {name: getattr(case, name) for name in ("centre_aware_at", "agency_told_at")}
    return {name: time.isoformat() for name, time in told.items() if time}


def _acknowledge(step: Taken[Incident], aware_at: datetime | None) -> dict[str, Any]:
    case = step.case
    if case.agency_aware_at is not None:
        raise Conflict(f"{case.number}: the agency has known since {case.agency_aware_at.isoformat()}")
    case.agency_aware_at = _learned(step, aware_at)
    return {"agency_aware_at": case.agency_aware_at.isoformat()}


def _learned(step: Taken[Incident], aware_at: datetime | None) -> datetime:
    if aware_at is not None and aware_at > step.at:
        raise Invalid("nobody learned of it in the future")
    return aware_at.astimezone(UTC) if aware_at else step.at


def _rate(step: Taken[Incident], wanted: str) -> dict[str, Any]:
    case, before = step.case, step.case.severity
    if wanted and wanted not in LEVELS:
        raise Invalid(f"a severity is one of {', '.join(LEVELS)}, or empty: as found")
    case.severity = wanted or case.severity_found or case.severity
    case.severity_by = step.actor if wanted else ""
    return {"severity": case.severity, "before": before}
