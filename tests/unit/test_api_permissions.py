"""The matrix as data: what roles and keys come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Forbidden, Invalid
from core.permissions import (
    GRANTS,
    KEY_ACTIONS,
    Action,
    Principal,
    Reach,
    Role,
    grants_of_roles,
    parse_actions,
    parse_roles,
)

ALL, OWN, NONE = Reach.ALL, Reach.OWN, None

# The rows of the domain's matrix that exist so far, written out again by hand.
MATRIX = {
    Action.LOGS_READ: (NONE, ALL, ALL, OWN, NONE, NONE, NONE),
    Action.LOGS_WRITE: (NONE, NONE, NONE, NONE, NONE, NONE, NONE),
    Action.INCIDENTS_READ: (ALL, ALL, ALL, OWN, ALL, Reach.OWN_PERSONAL, NONE),
    Action.INCIDENTS_WRITE: (NONE, ALL, ALL, OWN, NONE, NONE, NONE),
    Action.INCIDENTS_APPROVE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.RULES_READ: (NONE, ALL, ALL, OWN, ALL, NONE, NONE),
    Action.RULES_WRITE: (NONE, ALL, ALL, NONE, NONE, NONE, NONE),
    Action.HUNTS_RUN: (NONE, ALL, ALL, NONE, NONE, NONE, NONE),
    Action.INDICATORS_READ: (ALL, ALL, ALL, NONE, ALL, NONE, NONE),
    Action.INDICATORS_WRITE: (NONE, ALL, ALL, NONE, NONE, NONE, NONE),
    Action.COUNTERS_READ: (ALL, ALL, ALL, OWN, ALL, ALL, ALL),
    Action.REPORTS_READ: (ALL, ALL, ALL, OWN, ALL, NONE, NONE),
    Action.REPORTS_WRITE: (NONE, NONE, NONE, OWN, NONE, NONE, NONE),
    Action.REPORTS_RECEIVE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.PERSONAL_READ: (NONE, ALL, ALL, OWN, NONE, OWN, NONE),
    Action.PERSONAL_STATUS: (ALL, NONE, NONE, NONE, NONE, NONE, NONE),
    Action.PERSONAL_REDACTED: (NONE, NONE, NONE, NONE, ALL, NONE, NONE),
    Action.PERSONAL_TECHNICAL: (NONE, ALL, ALL, NONE, NONE, NONE, NONE),
    Action.PERSONAL_FACTS: (NONE, NONE, NONE, OWN, NONE, NONE, NONE),
    Action.PERSONAL_DECIDE: (NONE, NONE, NONE, NONE, NONE, OWN, NONE),
    Action.WARNINGS_READ: (ALL, ALL, ALL, OWN, ALL, ALL, NONE),
    Action.WARNINGS_WRITE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.WARNINGS_ACKNOWLEDGE: (NONE, NONE, NONE, OWN, NONE, NONE, NONE),
    Action.READINESS_READ: (ALL, ALL, ALL, NONE, ALL, NONE, NONE),
    Action.READINESS_DECIDE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.TEAMS_READ: (ALL, ALL, ALL, OWN, ALL, NONE, NONE),
    Action.TEAMS_REQUEST: (NONE, NONE, NONE, OWN, NONE, NONE, NONE),
    Action.TEAMS_PROPOSE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.TEAMS_APPROVE: (ALL, NONE, NONE, NONE, NONE, NONE, NONE),
    Action.REQUESTS_READ: (ALL, ALL, ALL, OWN, ALL, OWN, NONE),
    Action.REQUESTS_DRAFT: (ALL, ALL, ALL, NONE, NONE, NONE, NONE),
    Action.REQUESTS_ISSUE: (ALL, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.REQUESTS_RESPOND: (NONE, NONE, NONE, OWN, NONE, NONE, NONE),
    Action.DRILLS_READ: (ALL, ALL, ALL, OWN, ALL, NONE, NONE),
    Action.DRILLS_WRITE: (NONE, ALL, ALL, OWN, NONE, NONE, NONE),
    Action.DRILLS_APPROVE: (ALL, NONE, NONE, NONE, NONE, NONE, NONE),
    Action.SHARING_READ: (NONE, ALL, ALL, OWN, ALL, NONE, NONE),
    Action.SHARING_WRITE: (NONE, ALL, ALL, OWN, NONE, NONE, NONE),
    Action.SHARING_RELEASE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.BLOCKS_READ: (NONE, ALL, ALL, OWN, ALL, NONE, NONE),
    Action.BLOCKS_PROPOSE: (NONE, ALL, ALL, NONE, NONE, NONE, NONE),
    Action.BLOCKS_APPROVE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.CENTRES_READ: (NONE, ALL, ALL, NONE, ALL, NONE, NONE),
    Action.CENTRES_WRITE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.DUTIES_READ: (ALL, ALL, ALL, OWN, ALL, NONE, NONE),
    Action.DUTIES_WRITE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.DUTIES_ANSWER: (NONE, NONE, NONE, OWN, NONE, NONE, NONE),
    Action.ONCALL_READ: (NONE, ALL, ALL, NONE, NONE, NONE, NONE),
    Action.ONCALL_WRITE: (NONE, NONE, ALL, NONE, NONE, NONE, NONE),
    Action.AUDIT_READ: (NONE, NONE, ALL, NONE, ALL, OWN, NONE),
    Action.AUDIT_VERIFY: (NONE, NONE, NONE, NONE, ALL, NONE, NONE),
    Action.EVIDENCE_EXPORT: (NONE, ALL, ALL, NONE, NONE, NONE, NONE),
    Action.KEYS_READ: (NONE, NONE, NONE, NONE, ALL, NONE, ALL),
    Action.KEYS_WRITE: (NONE, NONE, NONE, NONE, NONE, NONE, ALL),
    Action.METRICS_READ: (NONE, NONE, NONE, NONE, NONE, NONE, ALL),
}
ROLES = (Role.MAYORS_OFFICE, Role.ANALYST, Role.SOC_LEAD, Role.AGENCY_OFFICER, Role.AUDITOR, Role.PRIVACY_OFFICER, Role.ADMIN)


def person(*roles: Role, agency: str = "seogu") -> Principal:
    return Principal("user", "1", "somebody", agency, grants_of_roles(roles), roles)


def test_every_role_and_action_is_in_the_matrix() -> None:
    assert set(MATRIX) == set(Action)
    assert set(ROLES) == set(Role) == set(GRANTS)


@pytest.mark.parametrize("action", MATRIX)
def test_grants_are_the_matrix(action: Action) -> None:
    assert tuple(GRANTS[role].get(action) for role in ROLES) == MATRIX[action]


def test_own_reaches_the_own_agency_only() -> None:
    officer = person(Role.AGENCY_OFFICER)
    assert officer.scope(Action.INCIDENTS_READ) == frozenset({"seogu"})
    assert person(Role.ANALYST).scope(Action.INCIDENTS_READ) is None


def test_what_is_not_granted_is_refused() -> None:
    with pytest.raises(Forbidden):
        person(Role.MAYORS_OFFICE).scope(Action.LOGS_READ)


@pytest.mark.parametrize("roles", [(Role.AGENCY_OFFICER, Role.ANALYST), (Role.ANALYST, Role.AGENCY_OFFICER)])
def test_of_two_roles_the_farther_reach_counts(roles: tuple[Role, ...]) -> None:
    assert person(*roles).scope(Action.LOGS_READ) is None


@pytest.mark.parametrize("roles", [(Role.AGENCY_OFFICER, Role.PRIVACY_OFFICER), (Role.PRIVACY_OFFICER, Role.AGENCY_OFFICER)])
def test_the_whole_own_agency_reaches_farther_than_what_is_marked(roles: tuple[Role, ...]) -> None:
    assert person(*roles).grants[Action.INCIDENTS_READ] is Reach.OWN


@pytest.mark.parametrize(
    ("words", "agency", "why"),
    [
        (["emperor"], "", "emperor"),
        ([], "", "at least one"),
        (["agency_officer"], "", "needs an agency"),
    ],
)
def test_impossible_roles(words: list[str], agency: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        parse_roles(words, agency)


def test_a_machine_neither_decides_nor_makes_keys() -> None:
    assert not KEY_ACTIONS & {Action.INCIDENTS_WRITE, Action.INCIDENTS_APPROVE, Action.KEYS_WRITE, Action.KEYS_READ}
    with pytest.raises(Invalid, match="may not have"):
        parse_actions(["logs:write", "keys:write"])
    with pytest.raises(Invalid, match="logs:eat"):
        parse_actions(["logs:eat"])
    with pytest.raises(Invalid, match="at least one"):
        parse_actions([])


def test_the_docs_name_every_role_and_every_action_of_keys() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    assert [word for word in (*Role, *KEY_ACTIONS) if f"`{word}`" not in text] == []
