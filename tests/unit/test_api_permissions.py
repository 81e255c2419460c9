"""The matrix as data: what roles and keys come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Forbidden, Invalid
from core.permissions import (
    GRANTS,
    KEY_ACTIONS,
    MACHINE_ACTIONS,
    Action,
    MachineRole,
    Principal,
    Reach,
    Role,
    grants_of_roles,
    parse_actions,
    parse_roles,
)
from tests.role_matrix import MACHINES, MATRIX, ROLES


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


def test_roles_of_machines_are_their_columns_of_the_matrix() -> None:
    assert {role: set(actions) for role, actions in MACHINE_ACTIONS.items()} == {role: set(reaches) for role, reaches in MACHINES.items()}
    assert all(parse_actions([], role) == MACHINE_ACTIONS[role] for role in MachineRole)
    for words, role in ((["logs:read"], "log_source"), ([], "emperor")):
        with pytest.raises(Invalid, match="linked_centre, log_source"):
            parse_actions(words, role)


def test_a_linked_centre_reaches_what_it_watches() -> None:
    reaches = {Action.ALERTS_WRITE: Reach.WATCHED, Action.LOGS_WRITE: Reach.OWN}
    machine = Principal("key", "1", "m", "seogu", reaches, centre="LNC-2026-000001", watched=frozenset({"parks"}))
    assert (machine.scope(Action.ALERTS_WRITE), machine.scope(Action.LOGS_WRITE)) == ({"parks"}, {"seogu"})
    assert Principal("key", "1", "m", "seogu", reaches).scope(Action.ALERTS_WRITE) == frozenset()


def test_the_docs_name_every_role_and_every_action_of_keys() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    assert [word for word in (*Role, *MachineRole, *KEY_ACTIONS) if f"`{word}`" not in text] == []
