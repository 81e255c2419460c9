"""The state machines of the domain, written out again by hand: from which states an action leads where, and whose it is.

`TABLES[path]` has one row for each action of the cases under `/v1/<path>`: the states it is possible in, the state it leads to ('' the
same), and the people (of `tests.servers.api.PEOPLE`) who may take it.
"""

from __future__ import annotations

from dataclasses import dataclass

from respond.cases.machine import Machine
from respond.cases.models import CaseColumns
from respond.investigations.machine import MACHINE as INVESTIGATION
from respond.investigations.models import Investigation
from respond.reports.content import BLANK
from respond.reports.machine import MACHINE as REPORT
from respond.reports.models import Report
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request


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
    "reports": Kind(
        REPORT,
        Report,
        {
            "about": "",
            "content": {**BLANK, "learned_at": "2026-05-01T02:00:00+00:00", "system": "s", "summary": "t"},
            **{"versions": 0, "receipt": "", "submitted_at": None, "received_at": None, "late_seconds": 0, "late_reason": ""},
        },
        {
            "edit": {"system": "another"},
            "request_followup": {"questions": ["Which accounts?"]},
            "submit_closing": {"cause": "c", "impact": "i", "actions": "a"},
        },
    ),
    "investigations": Kind(
        INVESTIGATION,
        Investigation,
        {
            "about": "incident/INC-2026-000001",
            "findings": {"perpetrator": "p", "cause": "c", "damage": "d", "timeline": [{"at": "2026-05-01T02:00:00+00:00", "what": "w"}]},
            **{"versions": 1, "evidence": 0},
        },
        {
            "record_findings": {"cause": "c"},
            "take_evidence": {"description": "disk", "holder": "Kim", "sha256": "0" * 64, "at": "2026-05-01T02:00:00Z"},
            "hand_over": {"item": 1, "holder": "Lee", "sha256": "0" * 64, "at": "2026-05-01T02:30:00Z"},
        },
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
    "reports": {
        "edit": ("draft", "", "officer"),
        "submit": ("draft", "submitted", "officer"),
        "receive": ("submitted", "received", "lead"),
        "request_followup": ("received followup_submitted", "followup_requested", "lead"),
        "submit_followup": ("received followup_requested followup_submitted", "followup_submitted", "officer"),
        "submit_closing": ("received followup_submitted", "closing_submitted", "officer"),
        "accept": ("closing_submitted", "accepted", "lead"),
        "close": ("accepted", "closed", "lead"),
    },
    "investigations": {
        "record_findings": ("open findings reopened", "findings", "analyst lead officer"),
        "take_evidence": ("open findings reopened", "", "analyst lead officer"),
        "hand_over": ("open findings concluded reopened", "", "analyst lead officer"),
        "conclude": ("findings", "concluded", "lead"),
        "reopen": ("concluded", "reopened", "lead"),
    },
}
