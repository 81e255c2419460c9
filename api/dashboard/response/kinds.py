"""The kinds of cases, as data: where they are read and written, what lists show of them, and which facts come first.

Their words (`kind`, `kind_about`, states, steps, fields) are in `api.dashboard.words`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.dashboard.steps.bar import next_step
from core.permissions import Action, Principal
from respond.blocks.machine import MACHINE as BLOCK
from respond.cases.machine import Machine
from respond.centres.machine import MACHINE as CENTRE
from respond.drills.machine import MACHINE as DRILL
from respond.duties.machine import CAMPAIGN, DUTY
from respond.investigations.machine import MACHINE as INVESTIGATION
from respond.personal.machine import CASE as PERSONAL
from respond.readiness.machine import MACHINE as READINESS
from respond.reports.machine import MACHINE as REPORT
from respond.requests.machine import MACHINE as REQUEST
from respond.sharing.machine import RECEIPT, SHARE
from respond.teams.machine import MACHINE as TEAM
from respond.teams.machine import MEMBER
from respond.warnings.machine import MACHINE as WARNING
from respond.warnings.machine import NOTICE


@dataclass(frozen=True, slots=True)
class Creation:
    """A way to make a case: POST to `path` with the permission any of `may` gives. `about` is the field that names an incident."""

    path: str
    may: Sequence[Action]
    about: str = ""


@dataclass(frozen=True, slots=True)
class CaseKind:
    """A kind of case. `name` is its word and its place below `/response`, `path` its place in the API.

    `may` are the permissions any of which lets one read it. `title` is the field (with dots) a case is called by; `columns` are what lists
    show besides; `first` are the facts that come first on its page; `hidden` are shown nowhere.
    """

    name: str
    path: str
    machine: Machine
    may: Sequence[Action]
    icon: str
    title: str = "title"
    columns: Sequence[str] = ()
    first: Sequence[str] = ()
    hidden: Sequence[str] = ()
    creations: Sequence[Creation] = ()

    def is_for(self, caller: Principal) -> bool:
        """Whether the caller may read any of it."""
        return any(caller.may(action) for action in self.may)

    def creation(self, caller: Principal) -> Creation | None:
        """How the caller may make one; None: not at all."""
        return next((one for one in self.creations if any(caller.may(action) for action in one.may)), None)

    def waits_in(self, caller: Principal) -> list[str]:
        """The states in which the next step is the caller's."""
        found = []
        for state in sorted(self.machine.states - self.machine.ended):
            following = next_step(self.machine, state, [one.action for one in self.machine.steps_from(state)])
            if following and caller.may(self.machine.action(following).permission):
                found.append(state)
        return found

    def titled(self, record: Mapping[str, Any]) -> str:
        """What a case is called, or ''; one that is about an incident alone is called by its number."""
        found: Any = record
        for part in self.title.split("."):
            found = found.get(part, "") if isinstance(found, Mapping) else ""
        return str(found or "").removeprefix("incident/")


_PERSONAL_READ: Final = (Action.PERSONAL_READ, Action.PERSONAL_REDACTED, Action.PERSONAL_STATUS)
_PERSONAL_WRITE: Final = (Action.PERSONAL_FACTS, Action.PERSONAL_TECHNICAL, Action.PERSONAL_DECIDE)

KINDS: Final = (
    CaseKind(
        *("reports", "/v1/reports", REPORT, (Action.REPORTS_READ,), "campaign"),
        title="content.system",
        columns=("receipt", "submitted_at", "late_seconds"),
        first=("receipt", "submitted_at", "received_at", "late_seconds", "late_reason", "versions", "about"),
        creations=(Creation("/v1/reports", (Action.REPORTS_WRITE,), "incident"),),
    ),
    CaseKind(
        *("warnings", "/v1/warnings", WARNING, (Action.WARNINGS_READ,), "notification_important"),
        columns=("level", "issuer", "starts_at"),
        first=("level", "issuer", "reference", "starts_at", "ends_at", "ended_at", "reach", "agencies", "follows"),
        creations=(Creation("/v1/warnings", (Action.WARNINGS_WRITE,)),),
    ),
    CaseKind(
        *("notices", "/v1/warning-notices", NOTICE, (Action.WARNINGS_READ,), "fact_check"),
        title="warning",
        columns=("level", "acknowledged_at", "done_at"),
        first=("level", "warning", "acknowledged_at", "done_at"),
    ),
    CaseKind(
        *("requests", "/v1/requests", REQUEST, (Action.REQUESTS_READ,), "outgoing_mail"),
        columns=("article", "due_at", "overdue"),
        first=("article", "due_at", "overdue", "provider", "about", "purpose", "items"),
        creations=(Creation("/v1/requests", (Action.REQUESTS_DRAFT,), "about"),),
    ),
    CaseKind(
        *("teams", "/v1/teams", TEAM, (Action.TEAMS_READ,), "groups"),
        title="basis",
        columns=("incident", "severity", "formed_at"),
        first=("incident", "severity", "formed_at", "active_at", "stood_down_at", "basis", "order", "findings"),
        creations=(
            Creation("/v1/teams/proposals", (Action.TEAMS_PROPOSE,), "incident"),
            Creation("/v1/teams/requests", (Action.TEAMS_REQUEST,), "incident"),
        ),
    ),
    CaseKind(
        *("members", "/v1/team-members", MEMBER, (Action.TEAMS_READ,), "person_pin"),
        title="name",
        columns=("role", "team", "called_at", "answered_at"),
        first=("role", "team", "called_at", "answered_at"),
    ),
    CaseKind(
        *("personal", "/v1/personal-cases", PERSONAL, _PERSONAL_READ, "privacy_tip"),
        columns=("tracks",),
        first=("about", "possible_at", "aware_at", "pack", "missing"),
        creations=(Creation("/v1/personal-cases", _PERSONAL_WRITE, "about"),),
    ),
    CaseKind(
        *("readiness", "/v1/readiness", READINESS, (Action.READINESS_READ,), "speed"),
        title="rule",
        columns=("level", "direction", "asked_at"),
        first=("level", "direction", "rule", "asked", "asked_at", "confirmed_at", "ended_at"),
    ),
    CaseKind(
        *("blocks", "/v1/blocks", BLOCK, (Action.BLOCKS_READ,), "block"),
        title="value",
        columns=("kind", "expires_at", "approved_by"),
        first=("kind", "value", "why", "expires_at", "approved_by", "about"),
        creations=(Creation("/v1/blocks", (Action.BLOCKS_PROPOSE,), "about"),),
    ),
    CaseKind(
        *("investigations", "/v1/investigations", INVESTIGATION, (Action.INCIDENTS_READ,), "manage_search"),
        title="about",
        columns=("versions", "evidence"),
        first=("about", "versions", "evidence"),
        hidden=("broken_link",),
        creations=(Creation("/v1/investigations", (Action.INCIDENTS_WRITE,), "incident"),),
    ),
    CaseKind(
        *("drills", "/v1/drills", DRILL, (Action.DRILLS_READ,), "sports_score"),
        columns=("scenario_id", "planned_for", "started_at"),
        first=("scenario_id", "joint", "planned_for", "notice", "started_at", "sending", "sent"),
        creations=(Creation("/v1/drills", (Action.DRILLS_WRITE,)),),
    ),
    CaseKind(
        *("shares", "/v1/shares", SHARE, (Action.SHARING_READ,), "share"),
        columns=("kind", "tlp", "released_at"),
        first=("kind", "tlp", "recipients", "about", "victim", "first_released_at", "released_at", "supersedes"),
        hidden=("root",),
        creations=(Creation("/v1/shares", (Action.SHARING_WRITE,), "about"),),
    ),
    CaseKind(
        *("receipts", "/v1/share-receipts", RECEIPT, (Action.SHARING_READ,), "mark_email_read"),
        columns=("tlp", "share", "received_at", "replied_at"),
        first=("tlp", "share", "collected_at", "received_at", "replied_at", "reply"),
    ),
    CaseKind(
        *("campaigns", "/v1/campaigns", CAMPAIGN, (Action.DUTIES_READ,), "event_repeat"),
        columns=("kind", "year", "due_at"),
        first=("kind", "year", "due_at", "law", "standards", "scope", "agencies"),
        creations=(Creation("/v1/campaigns", (Action.DUTIES_WRITE,)),),
    ),
    CaseKind(
        *("duties", "/v1/duties", DUTY, (Action.DUTIES_READ,), "task_alt"),
        columns=("kind", "due_at", "overdue"),
        first=("kind", "year", "due_at", "overdue", "law", "campaign", "answered_at", "inspected_at", "done_at", "signed_off_by"),
    ),
    CaseKind(
        *("centres", "/v1/centres", CENTRE, (Action.CENTRES_READ,), "hub"),
        title="name",
        columns=("link", "last_seen_at"),
        first=("name_ko", "name_en", "link", "linked_since", "last_seen_at", "contact", "watches"),
        creations=(Creation("/v1/centres", (Action.CENTRES_WRITE,)),),
    ),
)
"""In the order of the hub."""

READY_SECONDS: Final = 30.0
"""Pages that ask the API many things are given more time than the three seconds NiceGUI gives others."""
BY_NAME: Final = {one.name: one for one in KINDS}
BY_PREFIX: Final = {one.machine.prefix: one for one in KINDS}


def link_of(number: str) -> str:
    """Where a case is shown, by its number; '' when it is no number of ours."""
    prefix = number.partition("-")[0]
    if prefix == "INC":
        return f"/incidents/{number}"
    return f"/response/{BY_PREFIX[prefix].name}/{number}" if prefix in BY_PREFIX else ""
