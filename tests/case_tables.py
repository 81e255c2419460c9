"""The state machines of the domain, written out again by hand: from which states an action leads where, and whose it is.

`TABLES[path]` has one row for each action of the cases under `/v1/<path>` (`<path>/<track>`: of their tracks): the states it is possible
in, the state it leads to ('' the same), and the people (of `tests.servers.api.PEOPLE`) who may take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from respond.cases.machine import Machine
from respond.cases.models import CaseColumns
from respond.personal.machine import CASE as PERSONAL
from respond.personal.machine import TRACKS
from respond.personal.models import PersonalCase, PersonalTrack
from respond.personal.packs import Track
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request


@dataclass(frozen=True)
class Kind:
    """One kind of case: its machine, its table, an example of a row's own columns, and what actions need beside a reason.

    A case that is part of another is named after it (`part`), stands beside a row of `whole` and has its steps below its path.
    """

    machine: Machine
    model: type[CaseColumns]
    example: dict[str, object]
    bodies: dict[str, dict[str, object]]
    part: str = ""
    whole: tuple[type[CaseColumns], dict[str, object]] | None = None

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
    return Kind(TRACKS[track], PersonalTrack, example | given, bodies, track.value, (PersonalCase, _PERSONAL | {"state": state}))


KINDS = {
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
}

_OPEN = "suspected possible verified"
_GOES_ON = "suspected possible verified not_leaked"

TABLES: dict[str, dict[str, tuple[str, str, str]]] = {
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
        "accept": ("complied partial cause_claimed", "accepted", "mayor lead"),
        "reject_cause": ("partial cause_claimed", "cause_rejected", "mayor lead"),
        "reissue": ("cause_rejected", "reissued", "mayor lead"),
        "verify": ("accepted", "verified", "mayor lead"),
        "close": ("verified", "closed", "mayor lead"),
    },
}
