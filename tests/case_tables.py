"""The state machines of the domain, written out again by hand: from which states an action leads where, and whose it is.

`TABLES[path]` has one row for each action of the cases under `/v1/<path>`: the states it is possible in, the state it leads to ('' the
same), and the people (of `tests.servers.api.PEOPLE`) who may take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from respond.blocks.machine import MACHINE as BLOCK
from respond.blocks.models import Block
from respond.cases.machine import Machine
from respond.cases.models import CaseColumns
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
    "blocks": Kind(
        BLOCK,
        Block,
        {
            **{"kind": "ip", "value": "192.0.2.7", "about": "", "why": "w", "approved_by": ""},
            "expires_at": datetime(2026, 6, 1, tzinfo=UTC),
        },
        {"extend": {"expires_at": "2026-07-01T00:00:00Z"}},
    ),
    "requests": Kind(
        REQUEST,
        Request,
        {"article": "12", "provider": "", "about": "", "title": "t", "purpose": "p", "items": ["a"], "reply": {}},
        {"edit": {"article": "12", "agency": "seogu", "title": "t", "purpose": "p", "items": ["a"]}},
    ),
}

TABLES: dict[str, dict[str, tuple[str, str, str]]] = {
    "blocks": {
        "approve": ("proposed", "approved", "lead"),
        "decline": ("proposed", "declined", "lead"),
        "withdraw": ("proposed approved", "withdrawn", "lead"),
        "extend": ("approved", "", "lead"),
    },
    "requests": {
        "edit": ("draft", "", "mayor analyst lead"),
        "issue": ("draft", "issued", "mayor lead"),
        "receive": ("issued reissued", "received", "officer"),
        "comply": ("received", "complied", "officer"),
        "comply_partly": ("received", "partial", "officer"),
        "claim_cause": ("received", "cause_claimed", "officer"),
        "note_receipt": ("issued reissued", "received", "mayor analyst lead"),
        "note_complied": ("received", "complied", "mayor analyst lead"),
        "note_partial": ("received", "partial", "mayor analyst lead"),
        "note_declined": ("received", "cause_claimed", "mayor analyst lead"),
        "accept": ("complied partial cause_claimed", "accepted", "mayor lead"),
        "reject_cause": ("partial cause_claimed", "cause_rejected", "mayor lead"),
        "reissue": ("cause_rejected", "reissued", "mayor lead"),
        "verify": ("accepted", "verified", "mayor lead"),
        "close": ("verified", "closed", "mayor lead"),
    },
}
