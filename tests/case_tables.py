"""The state machines of the domain, written out again by hand: from which states an action leads where, and whose it is.

`TABLES[path]` has one row for each action of the cases under `/v1/<path>` (`<path>/<track>`: of their tracks): the states it is possible
in, the state it leads to ('' the same), and the people (of `tests.servers.api.PEOPLE`) who may take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from respond.blocks.machine import MACHINE as BLOCK
from respond.blocks.models import Block
from respond.cases.machine import Machine
from respond.cases.models import CaseColumns
from respond.centres.machine import MACHINE as CENTRE
from respond.centres.models import LinkedCentre
from respond.drills.machine import MACHINE as DRILL
from respond.drills.models import Drill
from respond.duties.machine import CAMPAIGN, DUTY
from respond.duties.models import Campaign, Duty
from respond.incidents.machine import MACHINE as INCIDENT
from respond.investigations.machine import MACHINE as INVESTIGATION
from respond.investigations.models import Investigation
from respond.models import Incident
from respond.personal.machine import CASE as PERSONAL
from respond.personal.machine import TRACKS
from respond.personal.models import PersonalCase, PersonalTrack
from respond.personal.packs import Track
from respond.readiness.machine import MACHINE as READINESS
from respond.readiness.models import Proposal
from respond.reports.content import BLANK
from respond.reports.machine import MACHINE as REPORT
from respond.reports.models import Report
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request
from respond.rule_drafts.machine import MACHINE as RULE_DRAFT
from respond.rule_drafts.models import RuleDraft
from respond.sharing.machine import RECEIPT, SHARE
from respond.sharing.models import Receipt, Share
from respond.teams.machine import MACHINE as TEAM
from respond.teams.machine import MEMBER
from respond.teams.models import Member, Team
from respond.warnings.machine import MACHINE as WARNING
from respond.warnings.machine import NOTICE
from respond.warnings.models import Notice
from respond.warnings.models import Warning as NationalWarning
from tests.drills import small_scenario

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
_SHARED: dict[str, object] = {"title": "t", "summary": "s"}
_INCIDENT: dict[str, object] = {"agency": "seogu", "severity": "high", "importance": "critical", "opened_at": "2026-05-01T02:50:00+00:00"}
_MET: dict[str, object] = {
    "needed": {"incidents": 3, "agencies": 2, "severity": "high", "importance": "critical", "within_minutes": 60},
    **{"total": 3, "agencies": 2, "incidents": [{"number": f"INC-2026-00000{one}"} | _INCIDENT for one in (1, 2, 3)]},
}
_CHECKLIST: dict[str, object] = {"table_version": "1", "measures": [_LISTED]}


@dataclass(frozen=True)
class Kind:
    """One kind of case: its machine, its table, an example of a row's own columns, and what actions need beside a reason.

    `beside` are routes that add something to a case without changing it, so that they are no steps.
    `distinct` is a column that no two rows have the same of.
    A case that is part of another is named after it (`part`), stands beside a row of `whole` and has its steps below its path.
    """

    machine: Machine
    model: type[CaseColumns]
    example: dict[str, object]
    bodies: dict[str, dict[str, object]]
    beside: frozenset[str] = frozenset()
    part: str = ""
    whole: tuple[type[CaseColumns], dict[str, object]] | None = None
    distinct: str = ""

    def path(self, path: str) -> str:
        """The path below which the steps are, with `{number}`."""
        return f"/v1/{path.split('/', maxsplit=1)[0]}/{{number}}" + (f"/tracks/{self.part}" if self.part else "")


_AWARE = datetime(2026, 4, 30, 3, tzinfo=UTC)
_PERSONAL: dict[str, object] = {
    **{"about": "", "title": "t", "possible_at": _AWARE, "aware_at": _AWARE, "pack": "2023-09-15"},
    **{"facts": {}, "findings": {}, "determination": {}},
}
_SENT: dict[str, object] = {"letter": 1, "recipients": 5}


def _track(track: Track, state: str, **bodies: dict[str, object]) -> Kind:
    example: dict[str, object] = {"track": track.value, "finding": "required", "rules": [], "why": {}}
    given: dict[str, object] = {"given": {"until": "2026-04-30T00:00:00+00:00"}}
    return Kind(TRACKS[track], PersonalTrack, example | given, bodies, part=track.value, whole=(PersonalCase, _PERSONAL | {"state": state}))


SOON = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)

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
    "centres": Kind(
        CENTRE,
        LinkedCentre,
        {"name_ko": "센터", "name_en": "", "contact": "", "link": ""},
        {"edit": {"name_ko": "센터"}},
        distinct="name",
    ),
    "incidents": Kind(
        INCIDENT,
        Incident,
        {
            **{
                "title": "t",
                "severity": "high",
                "severity_found": "high",
                "group_key": "k",
                "entity_kind": "ip",
                "entity_value": "192.0.2.7",
            },
            **{"first_event_at": SOON, "last_event_at": SOON, "detections": 1, "evidence_kept": 0, "rule_ids": [], "tags": []},
            **{"cause": "c", "impact": "i"},
        },
        {
            "assign": {"assignee": "analyst"},
            "assess": {"cause": "c", "impact": "i"},
            "rate": {"severity": "low"},
            "mark": {"personal_data": True},
            "restrict": {"members": ["analyst", "officer"]},
            "merge": {"into": "INC-2026-999999"},
            "split": {"detections": ["d"]},
        },
        frozenset({"comments", "tasks", "attachments", "evidence-bundle"}),
    ),
    "drills": Kind(
        DRILL,
        Drill,
        {
            **{"title": "t", "joint": False, "scenario_id": "small", "scenario": small_scenario().model_dump(mode="json"), "notice": ""},
            **{"sending": "done", "problem": "", "holder": "", "sent": 3, "score": {}, "findings": ""},
        },
        {
            "give_notice": {"text": "on Tuesday"},
            "acknowledge": {"agency": "seogu"},
            "ask_correction": {"requests": [{"agency": "seogu", "items": ["Mend it"]}]},
        },
    ),
    "personal-cases": Kind(
        PERSONAL,
        PersonalCase,
        _PERSONAL,
        {
            "describe": {"facts": {}},
            "correct": {"facts": {}},
            "add_findings": {"findings": {}},
            "log_support": {"kind": "advice", "summary": "s"},
            "give_evidence": {"since": "2026-04-30T00:00:00Z", "until": "2026-05-01T00:00:00Z", "purpose": "p"},
            "write_letter": {"letter": "first_notice"},
        },
    ),
    "personal-cases/containment": _track(Track.CONTAINMENT, "verified"),
    "personal-cases/notice": _track(
        Track.NOTICE, "verified", send_first=_SENT, supplement=_SENT, post_in_lieu={"letter": 1}, explain={"to": "pipc"}
    ),
    "personal-cases/posting": _track(Track.POSTING, "verified", post={"letter": 1}),
    "personal-cases/report": _track(Track.REPORT, "verified", file={"letter": 1}, supplement={"letter": 1}),
    "personal-cases/possible_notice": _track(Track.POSSIBLE_NOTICE, "possible", send=_SENT, retract=_SENT),
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
        | {"direction": "escalate", "level": "raised", "rule": "r", "about": "", "evidence": _MET}
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
    "shares": Kind(
        SHARE,
        Share,
        {
            **{"about": "", "victim": "", "kind": "means", "title": "t", "tlp": "green", "recipients": [], "content": _SHARED},
            **{"supersedes": "", "root": "SHR-2026-000001", "seed": "5a0c58a5-6d0f-5b6e-8a43-2f4ab1b8c0de", "policy_version": ""},
        },
        {"edit": {"kind": "means", "tlp": "green", "content": _SHARED}, "supersede": {"by": "SHR-2026-999999"}},
    ),
    "share-receipts": Kind(
        RECEIPT,
        Receipt,
        {"share": "SHR-2026-000001", "title": "t", "tlp": "green", "reply": {}},
        {"reply": {"done": "taken"}},
    ),
    "team-members": Kind(
        MEMBER,
        Member,
        {"team": "ECT-2026-000001", "role": "leader", "name": "n", "account": "officer", "organisation": ""},
        {},
    ),
}

_ROUND: dict[str, object] = {"kind": "inspection", "year": 2026, "title": "t", "standards": "", "due_at": datetime(2026, 12, 1, tzinfo=UTC)}
_FOUND: dict[str, object] = {"number": 1, "subject": "patch", "severity": "high", "finding": "f", "measure": "m", "request": ""}
KINDS |= {
    "campaigns": Kind(
        CAMPAIGN,
        Campaign,
        _ROUND | {"scope": "", "agencies": [], "policy_version": "1", "subjects": []},
        {"edit": {"kind": "inspection", "year": 2026, "title": "u"}, "include": {"agencies": ["parks"]}},
    ),
    "duties": Kind(
        DUTY,
        Duty,
        _ROUND
        | {"campaign": "CMP-2026-000001", "subjects": [_LISTED | {"law": ""}], "provenance": [], "findings": [_FOUND]}
        | {"result": "r", "internal_audit": "", "signed_off_by": ""},
        {
            "prove": _PROOF,
            "inspect": {"result": "r"},
            "cite": {"object": "drill/DRL-2026-000001"},
            "record_findings": {"result": "r", "findings": []},
            "request_correction": {"findings": [1]},
            "ask_internal_audit": {"body": "b"},
            "extend": {"due_at": "2026-12-02T00:00:00Z"},
        },
        frozenset({"files"}),
    ),
}

KINDS["rule-drafts"] = Kind(
    RULE_DRAFT,
    RuleDraft,
    {"title": "t", "text": "title: t", "origin": "", "rule_ids": [], "authors": ["user:somebody"], "approved_by": ""},
    {"edit": {"text": "title: u"}},
)

_WORKED = "new triaged confirmed contained eradicated recovering reopened"
_ANY = f"{_WORKED} false_positive closed"
_WORKERS = "analyst lead officer"

_OPEN = "suspected possible verified"
_GOES_ON = "suspected possible verified not_leaked"

TABLES: dict[str, dict[str, tuple[str, str, str]]] = {
    "blocks": {
        "approve": ("proposed", "approved", "lead"),
        "decline": ("proposed", "declined", "lead"),
        "withdraw": ("proposed approved", "withdrawn", "lead"),
        "extend": ("approved", "", "lead"),
    },
    "drills": {
        "give_notice": ("planned", "noticed", "mayor"),
        "waive_notice": ("planned", "notice_waived", "mayor"),
        "acknowledge": ("noticed running", "", _WORKERS),
        "start": ("planned noticed notice_waived", "running", _WORKERS),
        "stop": ("running", "", _WORKERS),
        "score": ("running", "scored", _WORKERS),
        "ask_correction": ("scored", "corrective_requested", _WORKERS),
        "close": ("scored corrective_requested", "closed", _WORKERS),
        "cancel": ("planned noticed notice_waived", "cancelled", _WORKERS),
    },
    "incidents": {
        "triage": ("new reopened", "triaged", _WORKERS),
        "dismiss": ("triaged", "false_positive", _WORKERS),
        "confirm": ("triaged", "confirmed", "lead"),
        "acknowledge": ("confirmed contained eradicated recovering", "", _WORKERS),
        "contain": ("confirmed", "contained", _WORKERS),
        "eradicate": ("contained", "eradicated", _WORKERS),
        "recover": ("eradicated", "recovering", _WORKERS),
        "close": ("recovering", "closed", "lead"),
        "reopen": ("closed false_positive", "reopened", "lead"),
        "assign": (_WORKED, "", _WORKERS),
        "assess": (_WORKED, "", _WORKERS),
        "rate": (_WORKED, "", _WORKERS),
        "mark": (_ANY, "", _WORKERS),
        "restrict": (_ANY, "", "lead"),
        "unrestrict": (_ANY, "", "lead"),
        "merge": (_WORKED, "", _WORKERS),
        "split": (_WORKED, "", _WORKERS),
    },
    "centres": {
        "edit": ("registered active suspended", "", "lead"),
        "activate": ("registered", "active", "lead"),
        "suspend": ("active", "suspended", "lead"),
        "resume": ("suspended", "active", "lead"),
        "end": ("registered active suspended", "ended", "lead"),
    },
    "personal-cases": {
        "describe": (_OPEN, "", "officer"),
        "correct": (_OPEN, "", "privacy"),
        "add_findings": (_OPEN, "", "analyst lead"),
        "log_support": (_GOES_ON, "", "analyst lead"),
        "give_evidence": (_GOES_ON, "", "analyst lead"),
        "find_possible": ("suspected", "possible", "privacy"),
        "dismiss": ("suspected possible", "not_leaked", "privacy"),
        "verify": ("suspected possible not_leaked", "verified", "privacy"),
        "determine": ("verified closed", "verified", "privacy"),
        "write_letter": ("possible verified not_leaked", "", "privacy"),
        "close": ("verified not_leaked", "closed", "privacy"),
    },
    "personal-cases/containment": {
        "measure": ("open", "", "officer"),
        "finish": ("open", "done", "officer"),
        "reopen": ("done", "open", "officer"),
    },
    "personal-cases/notice": {
        "send_first": ("due", "first_sent", "privacy"),
        "supplement": ("first_sent supplemented complete", "supplemented", "privacy"),
        "complete": ("first_sent supplemented", "complete", "privacy"),
        "post_in_lieu": ("due", "in_lieu_posted", "privacy"),
        "explain": ("in_lieu_posted", "", "privacy"),
        "take_down": ("in_lieu_posted", "due", "privacy"),
        "serve": ("in_lieu_posted", "served", "privacy"),
    },
    "personal-cases/posting": {
        "post": ("required", "posted", "privacy"),
        "take_down": ("posted", "required", "privacy"),
        "serve": ("posted", "served", "privacy"),
        "waive": ("required posted", "not_required", "privacy"),
        "require": ("not_required", "required", "privacy"),
    },
    "personal-cases/report": {
        "require": ("evaluate not_required", "due", "privacy"),
        "waive": ("evaluate due", "not_required", "privacy"),
        "reconsider": ("not_required", "evaluate", "privacy"),
        "file": ("due", "first", "privacy"),
        "supplement": ("first supplemented accepted", "supplemented", "privacy"),
        "accept": ("first supplemented", "accepted", "privacy"),
    },
    "personal-cases/possible_notice": {
        "send": ("due", "sent", "privacy"),
        "waive": ("due", "not_required", "privacy"),
        "retract": ("sent", "retracted", "privacy"),
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
    "warnings": {
        "edit": ("recorded", "", "lead"),
        "propagate": ("recorded", "propagated", "lead"),
        "prove": ("propagated", "", "lead"),
        "complete": ("propagated", "measures_done", "lead"),
        "report": ("propagated measures_done", "", "lead"),
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
    "rule-drafts": {
        "edit": ("draft declined", "draft", "analyst lead"),
        "submit": ("draft", "submitted", "analyst lead"),
        "take_back": ("submitted", "draft", "analyst lead"),
        "approve": ("submitted", "in_force", "lead"),
        "decline": ("submitted", "declined", "lead"),
        "discard": ("draft declined", "discarded", "analyst lead"),
        "retire": ("in_force", "retired", "lead"),
    },
    "shares": {
        "edit": ("drafted", "", _WORKERS),
        "propose": ("drafted", "proposed", _WORKERS),
        "send_back": ("proposed", "drafted", "lead"),
        "discard": ("drafted proposed", "discarded", _WORKERS),
        "release": ("drafted proposed", "released", "lead"),
        "supersede": ("released", "superseded", "lead"),
        "revoke": ("released", "revoked", "lead"),
    },
    "share-receipts": {
        "collect": ("sent", "collected", _WORKERS),
        "receive": ("sent collected", "received", _WORKERS),
        "reply": ("sent collected received replied", "replied", _WORKERS),
        "recall": ("sent collected received replied", "recalled", "lead"),
    },
    "team-members": {
        "call": ("nominated unavailable", "called", "lead"),
        "acknowledge": ("called", "acknowledged", "mayor analyst lead officer auditor"),
        "excuse": ("called acknowledged", "unavailable", "mayor analyst lead officer auditor"),
        "release": ("nominated called acknowledged unavailable", "released", "lead"),
    },
    "campaigns": {
        "edit": ("planned", "", "lead"),
        "start": ("planned", "running", "lead"),
        "include": ("running", "", "lead"),
        "close": ("running", "closed", "lead"),
        "cancel": ("planned running", "cancelled", "lead"),
    },
    "duties": {
        "prove": ("open", "", "officer"),
        "answer": ("open", "answered", "officer"),
        "send_back": ("answered", "open", "lead"),
        "inspect": ("open answered", "inspected", "lead"),
        "cite": ("open answered inspected findings", "", "lead"),
        "record_findings": ("answered inspected findings", "findings", "lead"),
        "request_correction": ("findings", "", "lead"),
        "ask_internal_audit": ("findings", "", "lead"),
        "sign_off": ("findings", "done", "lead"),
        "extend": ("open answered inspected findings", "", "lead"),
        "waive": ("open answered inspected", "waived", "lead"),
        "reopen": ("done waived", "open", "lead"),
    },
}
