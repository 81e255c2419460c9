"""What of an incident a caller is shown, and which permission a step needs: the same for the API and the dashboard.

Evidence holds raw logs, and some who read incidents do not read raw logs (the mayor's office, auditors): they get each line's SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from core.permissions import Action, Principal
from respond.incidents.machine import State
from respond.incidents.queries import Detail
from respond.incidents.queries import Evidence as Kept

_APPROVED: Final = frozenset({State.CONFIRMED, State.CLOSED, State.REOPENED})


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


def action_for(state: State) -> Action:
    """What moving an incident to `state` needs: an analyst triages, the lead of the centre confirms, closes and reopens."""
    return Action.INCIDENTS_APPROVE if state in _APPROVED else Action.INCIDENTS_WRITE


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
