"""The words of the dashboard: both languages everywhere, every use known, and how figures and times are written."""

from __future__ import annotations

import ast
import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest

import api.dashboard
from api.compliance.facts import State as Standing
from api.dashboard import beacons, texts
from api.dashboard.texts import TEXTS, Texts
from core.permissions import Role
from respond.evidence import ENTITY_COLUMNS
from respond.incidents.machine import State

FOLDER = Path(api.dashboard.__file__).parent
HANGUL = re.compile(r"[가-힣]")
SAME_IN_BOTH = {"entity.url"}


def uses() -> set[str]:
    """Every literal key given to `t(...)` or built into one in the dashboard's modules."""
    found = set()
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "t" and node.args:
                found |= {part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)}
    return {key for key in found if not key.endswith(".")}


def test_every_text_is_in_both_languages_with_the_same_placeholders() -> None:
    for key, (korean, english) in TEXTS.items():
        assert korean, key
        assert english, key
        if key == "language.other":
            continue
        assert HANGUL.search(korean) or key in SAME_IN_BOTH, key
        assert not HANGUL.search(english), key
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (korean, english)]
        assert fields[0] == fields[1], key


def test_every_text_that_is_used_exists() -> None:
    assert len(uses()) > 40
    assert uses() - TEXTS.keys() == set()


def test_no_text_is_left_over() -> None:
    by_word = ("severity.", "state.", "agency.", "entity.", "role.", "user.", "standing.")
    built = {"column."}  # the table's head builds these
    left = {key for key in TEXTS if key not in uses() and not key.startswith((*by_word, *built))}
    assert left == set()


@pytest.mark.parametrize(
    "key",
    [
        *(f"state.{state}" for state in State),
        *(f"severity.{severity}" for severity in beacons.FIRES),
        *(f"user.{role}" for role in Role),
        *(f"entity.{kind}" for _, kind, _ in ENTITY_COLUMNS),
        *(f"role.{role}" for _, _, role in ENTITY_COLUMNS),
        *(f"standing.{state}" for state in Standing),
    ],
)
def test_every_stored_word_has_a_text(key: str) -> None:
    assert key in TEXTS


def test_an_unknown_word_is_shown_as_it_is() -> None:
    assert Texts("ko").word("severity", "apocalyptic") == "apocalyptic"


def test_no_hangul_stands_outside_the_texts() -> None:
    for file in FOLDER.glob("*.py"):
        if file.name != "texts.py":
            assert not HANGUL.search(file.read_text(encoding="utf-8")), file


@pytest.mark.parametrize(
    ("value", "written"), [(0, "0"), (0.04, "0.0"), (1.25, "1.2"), (3.0, "3"), (12.6, "13"), (1234567, "1,234,567"), (9, "9")]
)
def test_numbers(value: float, written: str) -> None:
    assert texts.number(value) == written


@pytest.mark.parametrize(
    ("part", "whole", "written"), [(0, 0, "0%"), (0, 9, "0%"), (1, 100_000, "<0.1%"), (1, 8, "12.5%"), (8, 8, "100.0%")]
)
def test_shares(part: int, whole: int, written: str) -> None:
    assert texts.share(part, whole) == written


def test_times_are_kst_and_utc_on_hover() -> None:
    at = datetime(2026, 1, 1, 15, 30, 5, tzinfo=UTC)
    assert texts.kst(at) == "2026-01-02 00:30:05"
    assert texts.utc(at) == "2026-01-01T15:30:05Z"
    assert texts.kst_short(at, datetime(2026, 1, 2, 14, 59, tzinfo=UTC)) == "00:30:05"
    assert texts.kst_short(at, datetime(2026, 1, 2, 15, 0, tzinfo=UTC)) == "01-02 00:30"


@pytest.mark.parametrize(("severity", "lit"), [("informational", 1), ("low", 2), ("medium", 3), ("high", 4), ("critical", 5)])
def test_severity_is_told_in_one_to_five_fires(severity: str, lit: int) -> None:
    drawn = beacons.fires(severity)
    assert drawn.count("<path") == 5
    assert drawn.count("opacity") == 5 - lit
