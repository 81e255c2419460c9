"""The words of the dashboard: both languages everywhere, every use known, and how figures and times are written."""

from __future__ import annotations

import ast
import io
import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

import api.dashboard
from api.compliance.facts import State as Standing
from api.dashboard import beacons, catalogue, texts
from api.dashboard.catalogue import brought_up_to_date
from api.dashboard.texts import LANGUAGES, LOCALE, Texts
from api.dashboard.words import WORDS
from core.permissions import Role
from respond.evidence import ENTITY_COLUMNS
from respond.incidents.machine import State

FOLDER = Path(api.dashboard.__file__).parent
LETTER = re.compile(r"[A-Za-z]{2}")
HANGUL = re.compile(r"[가-힣]")
SAME_IN_BOTH = {"URL"}


def korean() -> Catalog:
    with (LOCALE / "ko" / "LC_MESSAGES" / "bongsu.po").open("rb") as file:
        return read_po(file, locale="ko")


def test_the_catalogue_is_up_to_date_with_the_sources() -> None:
    """`python -m api.dashboard.catalogue` brings it there."""
    written = io.BytesIO()
    write_po(written, brought_up_to_date(korean(), catalogue.messages()), width=0, no_location=True)
    assert (LOCALE / "ko" / "LC_MESSAGES" / "bongsu.po").read_bytes() == written.getvalue()


def test_every_message_is_translated_with_the_same_placeholders() -> None:
    found = [one for one in korean() if one.id]
    assert len(found) > 100
    for one in found:
        forms = [one.string] if isinstance(one.string, str) else one.string
        for form in forms:
            assert HANGUL.search(form) or one.id in SAME_IN_BOTH, one.id
            english = one.id if isinstance(one.id, str) else one.id[1]
            assert _placeholders(form) == _placeholders(english), one.id
        assert not one.fuzzy, one.id


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_that_is_offered_has_a_catalogue_or_is_that_of_the_sources() -> None:
    assert {folder.name for folder in LOCALE.iterdir()} == set(LANGUAGES) - {"en"}


def test_a_message_that_is_no_literal_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.py").write_text('def f(t, x):\n    return t("One") if x else t(f"Two {x}")\n', encoding="utf-8")
    monkeypatch.setattr(catalogue, "SOURCES", tmp_path)
    with pytest.raises(ValueError, match=r"page\.py:2: the message"):
        catalogue.messages()


SHOWING = {"text": (1,), "empty": (0, 1), "panel": (0, 1), "label": (0,), "button": (0,), "notify": (0,), "done": (0,), "tag_html": (0,)}
"""Functions whose arguments at these places are read by people."""


def test_nothing_is_shown_that_was_not_translated() -> None:
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                shown = SHOWING.get(ast.unparse(node.func).split(".")[-1], ())
                for place in shown:
                    given = node.args[place] if place < len(node.args) else None
                    literal = isinstance(given, ast.Constant) and isinstance(given.value, str) and LETTER.search(given.value)
                    assert not literal, f"{file.name}:{node.lineno} shows a text that no catalogue has"


def test_counts_have_their_placeholders() -> None:
    assert Texts("en")("and {count} more", count=3) == "and 3 more"
    assert Texts("ko")("and {count} more", count=3) == "외 3곳"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("state", list(State)),
        ("severity", list(beacons.FIRES)),
        ("user", list(Role)),
        ("entity", [kind for _, kind, _ in ENTITY_COLUMNS]),
        ("role", [role for _, _, role in ENTITY_COLUMNS]),
        ("standing", list(Standing)),
    ],
)
def test_every_stored_word_has_a_text(kind: str, words: list[str]) -> None:
    assert {str(word) for word in words} - WORDS[kind].keys() == set()


def test_an_unknown_word_is_shown_as_it_is() -> None:
    assert Texts("ko").word("severity", "apocalyptic") == "apocalyptic"


def test_no_hangul_stands_outside_the_catalogue() -> None:
    for file in FOLDER.rglob("*.py"):
        if file.name != "texts.py":  # where each language is named in itself
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
    named = re.search('href="#(.*?)"', beacons.fires(severity))
    assert named
    drawn = re.search(f'<symbol id="{named[1]}".*?</symbol>', beacons.SPRITE)
    assert drawn
    assert drawn[0].count('href="#flame"') == 5
    assert drawn[0].count("opacity") == 5 - lit


def test_every_kind_of_word_that_is_asked_for_exists() -> None:
    asked = {}
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".word") and isinstance(node.args[0], ast.Constant):
                asked[node.args[0].value] = f"{file.name}:{node.lineno}"
    assert len(asked) > 10
    assert {kind: where for kind, where in asked.items() if kind not in WORDS} == {}
