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
    HUNTS_RUN = "hunts:run"
    INDICATORS_READ = "indicators:read"
    INDICATORS_WRITE = "indicators:write"
    COUNTERS_READ = "counters:read"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    METRICS_READ = "metrics:read"


class Reach(StrEnum):
    """How far a grant reaches."""

    ALL = "all"
    OWN = "own"


_ALL, _OWN = Reach.ALL, Reach.OWN

_ANALYSIS: Final = dict.fromkeys(
    (
        Action.LOGS_READ,
        Action.INCIDENTS_READ,
        Action.INCIDENTS_WRITE,
        Action.RULES_READ,
        Action.RULES_WRITE,
        Action.HUNTS_RUN,
        Action.INDICATORS_READ,
        Action.INDICATORS_WRITE,
        Action.COUNTERS_READ,
    ),
    _ALL,
)

GRANTS: Final[Mapping[Role, Mapping[Action, Reach]]] = {
    Role.MAYORS_OFFICE: {Action.INCIDENTS_READ: _ALL, Action.INDICATORS_READ: _ALL, Action.COUNTERS_READ: _ALL},
    Role.ANALYST: _ANALYSIS,
    Role.SOC_LEAD: _ANALYSIS | {Action.INCIDENTS_APPROVE: _ALL},
    Role.AGENCY_OFFICER: {
        Action.LOGS_READ: _OWN,
        Action.INCIDENTS_READ: _OWN,
        Action.INCIDENTS_WRITE: _OWN,
        Action.RULES_READ: _OWN,
        Action.COUNTERS_READ: _OWN,
    },
    Role.AUDITOR: dict.fromkeys(
        (Action.INCIDENTS_READ, Action.RULES_READ, Action.INDICATORS_READ, Action.COUNTERS_READ, Action.KEYS_READ), _ALL
    ),
    # Reads incidents where personal data is concerned; incidents carry no such mark yet, so none.
    Role.PRIVACY_OFFICER: {Action.COUNTERS_READ: _ALL},
    # Runs the system and reads no personal information: neither raw logs nor incidents.
    Role.ADMIN: {Action.COUNTERS_READ: _ALL, Action.KEYS_READ: _ALL, Action.KEYS_WRITE: _ALL, Action.METRICS_READ: _ALL},
}

KEY_ACTIONS: Final = frozenset(
    {
        Action.LOGS_WRITE,
        Action.LOGS_READ,
        Action.INCIDENTS_READ,
        Action.RULES_READ,
        Action.HUNTS_RUN,
        Action.INDICATORS_READ,
        Action.INDICATORS_WRITE,
        Action.COUNTERS_READ,
        Action.METRICS_READ,
    },
)
"""What a machine's key may be given: a machine neither decides on incidents nor makes keys."""

Agencies = frozenset[str] | None
"""The agencies something is limited to; None: every agency."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: a person with a session, or a machine with a key.

    `id` is the user's or the key's; `session` is the id of the person's session ('' for a machine); `source` is the log source a key
    writes as.
    """

    kind: str
    id: str
    name: str
    agency: str
    grants: Mapping[Action, Reach]
    roles: tuple[Role, ...] = ()
    session: str = ""
    source: str = ""

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
        return None if reach is Reach.ALL else frozenset({self.agency})


def grants_of_roles(roles: Iterable[Role]) -> Mapping[Action, Reach]:
    """What several roles grant together: the farther reach counts."""
    merged: dict[Action, Reach] = {}
    for role in roles:
        for action, reach in GRANTS[role].items():
            if merged.get(action) is not Reach.ALL:
                merged[action] = reach
    return MappingProxyType(merged)


def parse_roles(words: Iterable[str], agency: str) -> tuple[Role, ...]:
    """The roles called `words`; Invalid when one is unknown, or reaches only its own agency and there is none."""
    try:
        roles = tuple(sorted({Role(word) for word in words}))
    except ValueError as error:
        raise Invalid(f"{error}; there are {', '.join(Role)}") from error
    if not roles:
        raise Invalid("a user needs at least one role")
    if not agency and any(reach is Reach.OWN for role in roles for reach in GRANTS[role].values()):
        raise Invalid("an agency officer needs an agency")
    return roles


def parse_actions(words: Iterable[str]) -> frozenset[Action]:
    """The actions called `words`, as a key may have them; Invalid when one is unknown or not for machines."""
    try:
        actions = frozenset(Action(word) for word in words)
    except ValueError as error:
        raise Invalid(f"{error}; a key may have {', '.join(sorted(KEY_ACTIONS))}") from error
    if not actions:
        raise Invalid("a key needs at least one action")
    if wrong := actions - KEY_ACTIONS:
        raise Invalid(f"a key may not have {', '.join(sorted(wrong))}; it may have {', '.join(sorted(KEY_ACTIONS))}")
    return actions
