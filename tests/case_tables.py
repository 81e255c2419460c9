"""The state machines of the domain, written out again by hand: from which states an action leads where, and whose it is.

`TABLES[path]` has one row for each action of the cases under `/v1/<path>`: the states it is possible in, the state it leads to ('' the
same), and the people (of `tests.servers.api.PEOPLE`) who may take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from respond.cases.machine import Machine
from respond.cases.models import CaseColumns
from respond.readiness.machine import MACHINE as READINESS
from respond.readiness.models import Proposal
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request
from respond.teams.machine import MACHINE as TEAM
from respond.teams.machine import MEMBER
from respond.teams.models import Member, Team
from respond.warnings.machine import MACHINE as WARNING
from respond.warnings.machine import NOTICE
from respond.warnings.models import Notice
from respond.warnings.models import Warning as NationalWarning

_START = datetime(2026, 5, 1, tzinfo=UTC)
_NATIONAL: dict[str, object] = {"issuer": "NCSC", "reference": "2026-17", "level": "caution", "title": "t", "reach": "all", "agencies": []}
_LISTED: dict[str, object] = {
    "id": "patch",
    "ko": "패치",
    "en": "Patch",
    "outcome": "",
    "proof": "",
    "sha256": "",
    "by": "",
    "at": "",
    "earlier": [],
}
_PROOF: dict[str, object] = {"measure": "patch", "proof": "ticket 7"}
_CHECKLIST: dict[str, object] = {"table_version": "1", "measures": [_LISTED]}


@dataclass(frozen=True)
class Kind:
    """One kind of case: its machine, its table, an example of a row's own columns, and what actions need beside a reason."""

    machine: Machine
    model: type[CaseColumns]
    example: dict[str, object]
    bodies: dict[str, dict[str, object]]


KINDS = {
    "requests": Kind(
        REQUEST,
        Request,
        {"article": "12", "provider": "", "about": "", "title": "t", "purpose": "p", "items": ["a"], "reply": {}},
        {"edit": {"article": "12", "agency": "seogu", "title": "t", "purpose": "p", "items": ["a"]}},
    ),
    "warnings": Kind(
        WARNING,
        NationalWarning,
        _NATIONAL | _CHECKLIST | {"starts_at": _START, "follows": ""},
        {
            "edit": _NATIONAL | {"starts_at": "2026-05-01T00:00:00Z"},
            "change_level": _NATIONAL | {"starts_at": "2026-05-01T00:00:00Z"},
            "prove": _PROOF,
        },
    ),
    "warning-notices": Kind(NOTICE, Notice, _CHECKLIST | {"warning": "WRN-2026-000001", "level": "caution"}, {"prove": _PROOF}),
    "readiness": Kind(
        READINESS,
        Proposal,
        _CHECKLIST
        | {"direction": "escalate", "level": "raised", "rule": "r", "about": "", "evidence": {}}
        | {"asked": "", "asked_at": _START, "passed_on": 0},
        {"prove": _PROOF},
    ),
    "teams": Kind(
        TEAM,
        Team,
        {"incident": "INC-2026-000001", "severity": "high", "basis": "b", "table_version": "1", "order": "", "findings": ""},
        {
            "nominate": {"people": [{"role": "leader", "name": "n", "agency": "seogu"}]},
            "form": {"order": "o"},
            "order": {"text": "o"},
            "review": {"findings": "f"},
        },
    ),
    "team-members": Kind(
        MEMBER,
        Member,
        {"team": "ECT-2026-000001", "role": "leader", "name": "n", "account": "officer", "organisation": ""},
        {},
    ),
}

TABLES: dict[str, dict[str, tuple[str, str, str]]] = {
    "requests": {
        "edit": ("draft", "", "mayor analyst lead"),
        "issue": ("draft", "issued", "mayor lead"),
        "receive": ("issued reissued", "received", "officer"),
        "comply": ("received", "complied", "officer"),
        "comply_partly": ("received", "partial", "officer"),
        "claim_cause": ("received", "cause_claimed", "officer"),
        "accept": ("complied partial cause_claimed", "accepted", "mayor lead"),
        "reject_cause": ("partial cause_claimed", "cause_rejected", "mayor lead"),
        "reissue": ("cause_rejected", "reissued", "mayor lead"),
        "verify": ("accepted", "verified", "mayor lead"),
        "close": ("verified", "closed", "mayor lead"),
    },
    "warnings": {
        "edit": ("recorded", "", "lead"),
        "propagate": ("recorded", "propagated", "lead"),
        "prove": ("propagated", "", "lead"),
        "complete": ("propagated", "measures_done", "lead"),
        "change_level": ("recorded propagated measures_done", "level_changed", "lead"),
        "lift": ("recorded propagated measures_done", "lifted", "lead"),
        "expire": ("recorded propagated measures_done", "expired", "lead"),
    },
    "warning-notices": {
        "acknowledge": ("propagated", "acknowledged", "officer"),
        "prove": ("acknowledged", "", "officer"),
        "complete": ("acknowledged", "measures_done", "officer"),
        "release": ("propagated acknowledged", "released", "lead"),
    },
    "readiness": {
        "confirm": ("proposed unanswered", "confirmed", "lead"),
        "decline": ("proposed unanswered", "declined", "lead"),
        "pass_on": ("proposed unanswered", "unanswered", "lead"),
        "prove": ("confirmed", "", "lead"),
        "stand_down": ("confirmed", "stood_down", "lead"),
    },
    "teams": {
        "nominate": ("requested proposed formed active", "", "lead"),
        "form": ("requested proposed", "formed", "mayor"),
        "decline": ("requested proposed", "declined", "mayor"),
        "call_out": ("formed active", "", "lead"),
        "activate": ("formed", "active", "lead"),
        "order": ("active", "", "lead"),
        "stand_down": ("active", "stood_down", "mayor"),
        "review": ("stood_down", "reviewed", "lead"),
    },
    "team-members": {
        "call": ("nominated unavailable", "called", "lead"),
        "acknowledge": ("called", "acknowledged", "mayor analyst lead officer auditor"),
        "excuse": ("called acknowledged", "unavailable", "mayor analyst lead officer auditor"),
        "release": ("nominated called acknowledged unavailable", "released", "lead"),
    },
}
