"""Who may do what, as data: the rows of the domain's matrix that exist so far, and what a caller's identity comes to under them.

A grant says how far an action reaches: every agency, or only the holder's own. `Principal.scope` gives the agencies a query must be
limited to, so the limit is in the query itself and not on the screen. What is not granted here is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from core.errors import Forbidden, Invalid


class Role(StrEnum):
    """What a person is in the centre. The words are stored."""

    MAYORS_OFFICE = "mayors_office"
    ANALYST = "analyst"
    SOC_LEAD = "soc_lead"
    AGENCY_OFFICER = "agency_officer"
    AUDITOR = "auditor"
    PRIVACY_OFFICER = "privacy_officer"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be asked of the API. The words are stored in keys."""

    LOGS_READ = "logs:read"
    LOGS_WRITE = "logs:write"
    INCIDENTS_READ = "incidents:read"
    INCIDENTS_WRITE = "incidents:write"
    INCIDENTS_APPROVE = "incidents:approve"
    RULES_READ = "rules:read"
    RULES_WRITE = "rules:write"
    RULES_APPROVE = "rules:approve"
    HUNTS_RUN = "hunts:run"
    INDICATORS_READ = "indicators:read"
    INDICATORS_WRITE = "indicators:write"
    COUNTERS_READ = "counters:read"
    REPORTS_READ = "reports:read"
    REPORTS_WRITE = "reports:write"
    REPORTS_RECEIVE = "reports:receive"
    REPORTS_DRAFT = "reports:draft"
    PERSONAL_READ = "personal:read"
    PERSONAL_STATUS = "personal:status"
    PERSONAL_REDACTED = "personal:redacted"
    PERSONAL_TECHNICAL = "personal:technical"
    PERSONAL_FACTS = "personal:facts"
    PERSONAL_DECIDE = "personal:decide"
    WARNINGS_READ = "warnings:read"
    WARNINGS_WRITE = "warnings:write"
    WARNINGS_ACKNOWLEDGE = "warnings:acknowledge"
    READINESS_READ = "readiness:read"
    READINESS_DECIDE = "readiness:decide"
    TEAMS_READ = "teams:read"
    TEAMS_REQUEST = "teams:request"
    TEAMS_PROPOSE = "teams:propose"
    TEAMS_APPROVE = "teams:approve"
    REQUESTS_READ = "requests:read"
    REQUESTS_DRAFT = "requests:draft"
    REQUESTS_ISSUE = "requests:issue"
    REQUESTS_RESPOND = "requests:respond"
    DRILLS_READ = "drills:read"
    DRILLS_WRITE = "drills:write"
    DRILLS_APPROVE = "drills:approve"
    SHARING_READ = "sharing:read"
    SHARING_WRITE = "sharing:write"
    SHARING_RELEASE = "sharing:release"
    BLOCKS_READ = "blocks:read"
    BLOCKS_PROPOSE = "blocks:propose"
    BLOCKS_APPROVE = "blocks:approve"
    CENTRES_READ = "centres:read"
    CENTRES_WRITE = "centres:write"
    ALERTS_WRITE = "alerts:write"
    DUTIES_READ = "duties:read"
    DUTIES_WRITE = "duties:write"
    DUTIES_ANSWER = "duties:answer"
    ONCALL_READ = "oncall:read"
    ONCALL_WRITE = "oncall:write"
    AUDIT_READ = "audit:read"
    AUDIT_VERIFY = "audit:verify"
    EVIDENCE_EXPORT = "evidence:export"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    METRICS_READ = "metrics:read"
    USERS_READ = "users:read"
    USERS_PROPOSE = "users:propose"
    USERS_APPROVE = "users:approve"
    USERS_OPERATE = "users:operate"
    SYSTEM_READ = "system:read"


class Reach(StrEnum):
    """How far a grant reaches, the farthest first.

    `WATCHED`: the agencies a linked centre watches now; `OWN_PERSONAL`: of the own agency what is marked as concerning personal data.
    """

    ALL = "all"
    WATCHED = "watched"
    OWN = "own"
    OWN_PERSONAL = "own_personal"


_ALL, _OWN = Reach.ALL, Reach.OWN
_FARTHEST: Final = tuple(Reach)


def _granted(words: str, reach: Reach) -> dict[Action, Reach]:
    return dict.fromkeys((Action(word) for word in words.split()), reach)


_ANALYSIS: Final = _granted(
    "logs:read incidents:read incidents:write rules:read rules:write hunts:run indicators:read indicators:write counters:read "
    "reports:read personal:read personal:technical warnings:read readiness:read teams:read requests:read requests:draft "
    "drills:read drills:write sharing:read sharing:write blocks:read blocks:propose centres:read duties:read oncall:read evidence:export",
    _ALL,
)

GRANTS: Final[Mapping[Role, Mapping[Action, Reach]]] = {
    Role.MAYORS_OFFICE: _granted(
        "incidents:read indicators:read counters:read reports:read personal:status warnings:read readiness:read teams:read "
        "teams:approve requests:read requests:draft requests:issue drills:read drills:approve duties:read sharing:read "
        "users:read users:approve system:read",
        _ALL,
    ),
    Role.ANALYST: _ANALYSIS,
    # Issuing a request needs the mayor's delegation besides (`respond.requests`).
    Role.SOC_LEAD: _ANALYSIS
    | _granted(
        "incidents:approve rules:approve reports:receive warnings:write readiness:decide teams:propose requests:issue sharing:release "
        "blocks:approve centres:write duties:write oncall:write audit:read users:read users:propose system:read",
        _ALL,
    ),
    Role.AGENCY_OFFICER: _granted(
        "logs:read incidents:read incidents:write rules:read counters:read reports:read reports:write personal:read personal:facts "
        "warnings:read warnings:acknowledge teams:read teams:request requests:read requests:respond drills:read drills:write "
        "sharing:read sharing:write blocks:read duties:read duties:answer",
        _OWN,
    ),
    Role.AUDITOR: _granted(
        "incidents:read rules:read indicators:read counters:read keys:read reports:read personal:redacted warnings:read readiness:read "
        "teams:read requests:read drills:read sharing:read blocks:read centres:read duties:read audit:read audit:verify "
        "users:read system:read",
        _ALL,
    ),
    Role.PRIVACY_OFFICER: _granted("counters:read warnings:read", _ALL)
    | _granted("personal:read personal:decide requests:read audit:read", _OWN)
    | _granted("incidents:read reports:read", Reach.OWN_PERSONAL),
    # Runs the system and reads no personal information: neither raw logs nor incidents. So an administrator gives nobody rights alone:
    # accounts and roles are proposed, and approved by the mayor's office [ours].
    Role.ADMIN: _granted("counters:read keys:read keys:write metrics:read users:read users:propose users:operate system:read", _ALL),
}


class MachineRole(StrEnum):
    """What a machine is to the centre: a bundle of actions for its key or certificate."""

    LINKED_CENTRE = "linked_centre"
    LOG_SOURCE = "log_source"


MACHINE_ACTIONS: Final[Mapping[MachineRole, frozenset[Action]]] = {
    MachineRole.LINKED_CENTRE: frozenset(
        {
            Action.LOGS_WRITE,
            Action.RULES_READ,
            Action.ALERTS_WRITE,
            Action.REPORTS_DRAFT,
            Action.WARNINGS_READ,
            Action.WARNINGS_ACKNOWLEDGE,
            Action.SHARING_READ,
            Action.SHARING_WRITE,
        }
    ),
    MachineRole.LOG_SOURCE: frozenset({Action.LOGS_WRITE}),
}
OF_CENTRES: Final = frozenset({Action.ALERTS_WRITE, Action.REPORTS_DRAFT, Action.WARNINGS_ACKNOWLEDGE})
"""What only a linked centre may do, for the agencies it watches."""

KEY_ACTIONS: Final = MACHINE_ACTIONS[MachineRole.LINKED_CENTRE] | {
    Action.LOGS_READ,
    Action.INCIDENTS_READ,
    Action.HUNTS_RUN,
    Action.INDICATORS_READ,
    Action.INDICATORS_WRITE,
    Action.REPORTS_READ,
    Action.BLOCKS_READ,
    Action.COUNTERS_READ,
    Action.METRICS_READ,
}
"""What a machine's key may be given: a machine neither decides on incidents nor makes keys."""

Agencies = frozenset[str] | None
"""The agencies something is limited to; None: every agency."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: a person with a session, or a machine with a key.

    `id` is the user's or the key's; `session` is the id of the person's session ('' for a machine); `source` is the log source a key
    writes as. `centre` is the number of the linked centre a machine belongs to, or '', and `watched` the agencies that one watches now.
    `due` is what a person has to do before anything else: `password` or `second_factor`; until then nothing is granted.
    """

    kind: str
    id: str
    name: str
    agency: str
    grants: Mapping[Action, Reach]
    roles: tuple[Role, ...] = ()
    session: str = ""
    source: str = ""
    centre: str = ""
    watched: frozenset[str] = frozenset()
    due: str = ""

    @property
    def actor(self) -> str:
        """How the audit trail names this caller."""
        return f"{self.kind}:{self.name}"

    def may(self, action: Action) -> bool:
        """Whether `action` is granted, for whatever agencies."""
        return action in self.grants

    def scope(self, action: Action) -> Agencies:
        """The agencies `action` reaches; Forbidden when it is not granted."""
        reach = self.grants.get(action)
        if reach is None:
            raise Forbidden(f"this identity may not do {action}")
        if reach is Reach.WATCHED:
            return self.watched
        return None if reach is Reach.ALL else frozenset({self.agency})


def grants_of_roles(roles: Iterable[Role]) -> Mapping[Action, Reach]:
    """What several roles grant together: the farther reach counts."""
    merged: dict[Action, Reach] = {}
    for role in roles:
        for action, reach in GRANTS[role].items():
            merged[action] = min(merged.get(action, reach), reach, key=_FARTHEST.index)
    return MappingProxyType(merged)


def parse_roles(words: Iterable[str], agency: str) -> tuple[Role, ...]:
    """The roles called `words`; Invalid when one is unknown, or reaches only its own agency and there is none."""
    try:
        roles = tuple(sorted({Role(word) for word in words}))
    except ValueError as error:
        raise Invalid(f"{error}; there are {', '.join(Role)}") from error
    if not roles:
        raise Invalid("a user needs at least one role")
    if not agency and any(reach is not Reach.ALL for role in roles for reach in GRANTS[role].values()):
        raise Invalid("an agency officer or a privacy officer needs an agency")
    return roles


def parse_actions(words: Iterable[str], role: str = "") -> frozenset[Action]:
    """The actions called `words` or, without any, those of the machine's `role`; Invalid when one is unknown or not for machines."""
    words = tuple(words)
    if role:
        if words or role not in frozenset(MachineRole):
            raise Invalid(f"a machine has actions or one of the roles {', '.join(MachineRole)}")
        return MACHINE_ACTIONS[MachineRole(role)]
    try:
        actions = frozenset(Action(word) for word in words)
    except ValueError as error:
        raise Invalid(f"{error}; a key may have {', '.join(sorted(KEY_ACTIONS))}") from error
    if not actions:
        raise Invalid(f"a key needs at least one action, or one of the roles {', '.join(MachineRole)}")
    if wrong := actions - KEY_ACTIONS:
        raise Invalid(f"a key may not have {', '.join(sorted(wrong))}; it may have {', '.join(sorted(KEY_ACTIONS))}")
    return actions
