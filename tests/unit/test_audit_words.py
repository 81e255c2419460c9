"""What the trail tells of has words: every action that is recorded, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.dashboard.audit.acts import act_name, detail_name, state_of
from api.dashboard.texts import Texts
from tests.case_tables import KINDS, TABLES

ROOT = Path(__file__).parents[2]
BESIDE = {
    *(f"account_change.{what}" for what in ("proposed", "approved", "rejected", "withdrawn")),
    *("second_factor.removed", "second_factor.reset", "login.failed", "login.code_failed", "incident.read", "personal_case.read"),
}
"""Actions that the sources put together."""


def recorded() -> Iterator[str]:
    for part in ("api", "respond", "detect", "runtime", "ingest"):
        for file in sorted((ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="audit"), attr="record"), args=[_, _, ast.Constant(value=str(said)), *_]
                    ):
                        yield said
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="audit"), attr="Change"), args=[_, ast.Constant(value=str(said)), *_]
                    ):
                        yield said


@pytest.mark.parametrize("action", sorted({*recorded(), *BESIDE}))
def test_what_is_recorded_has_words(action: str) -> None:
    assert "." not in act_name(Texts("en"), action).rstrip(".")
    assert act_name(Texts("ko"), action) != act_name(Texts("en"), action)


@pytest.mark.parametrize("path", TABLES)
def test_every_step_of_a_case_has_words_in_the_trail(path: str) -> None:
    kind = KINDS[path].machine.kind
    for action in TABLES[path]:
        korean, english = (act_name(Texts(language), f"{kind}.{action}") for language in ("ko", "en"))
        assert korean != english
        assert "_" not in english


def test_what_has_no_word_stays_as_it_is_written() -> None:
    assert act_name(Texts("ko"), "planet.explode") == "planet.explode"
    assert act_name(Texts("en"), "rule_draft.submit") == "Rule draft: Submitted"
    assert act_name(Texts("en"), "duty.read") == "Annual duty: Read"
    assert state_of(Texts("en"), "rule_draft.approve", "in_force") == "In force"
    assert state_of(Texts("en"), "key.created", "new") == "new"


def test_details_have_the_words_of_the_trail_else_of_the_case() -> None:
    assert detail_name(Texts("ko"), "login", "second_factor") == "2단계 인증"
    assert detail_name(Texts("en"), "request.issue", "items") == "What is asked for"
    assert detail_name(Texts("en"), "request.issue", "of_no_kind") == "of no kind"
