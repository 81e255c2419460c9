"""Letters of personal-information cases: what is known is told as it is, what is not is named, in both languages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respond.personal.facts import ITEM_TITLES, Facts, Words
from respond.personal.letters import LetterKind, Material, write
from respond.personal.packs import ITEMS
from tests.personal_cases import FACTS

AWARE = datetime(2026, 12, 31, 15, 30, tzinfo=UTC)
FIVE = ["items", "circumstances", "subject_measures", "countermeasures", "contact"]
REPORT = ["subjects", "notice_result", "measures_taken"]


def material(facts: Facts = FACTS, *, subjects: int | None = 1200, notified: int | None = 1200, exercise: bool = False) -> Material:
    controller = Words(ko="서구청", en="Seogu District")
    return Material("PIC-2027-000001", controller, facts, AWARE, subjects, True, notified, exercise)


@pytest.mark.parametrize("kind", LetterKind)
def test_what_is_not_known_is_named_and_said(kind: LetterKind) -> None:
    known, nothing = write(kind, material()), write(kind, material(Facts(), subjects=None, notified=None))
    expected = [] if kind is LetterKind.RETRACTION else FIVE + (REPORT if kind is LetterKind.REPORT else [])
    assert list(known.missing) == []
    assert list(nothing.missing) == expected
    assert nothing.ko.count("아직 확인되지 않았습니다") == nothing.en.count("Not known yet") == len(expected)
    assert "Not known yet" not in known.en
    for text in (known.ko, known.en, nothing.ko, nothing.en):
        assert "PIC-2027-000001" in text
        assert "$" not in text


def test_the_five_items_stand_in_the_order_of_the_ordinance() -> None:
    assert list(ITEMS) == FIVE
    for language, text in enumerate((write(LetterKind.POSTING, material()).ko, write(LetterKind.POSTING, material()).en)):
        places = [text.index(f"{place}. {ITEM_TITLES[item][language]}") for place, item in enumerate(ITEMS, 1)]
        assert places == sorted(places)


def test_a_report_tells_count_result_and_measures() -> None:
    report = write(LetterKind.REPORT, material())
    assert "Became aware: 2027-01-01 00:30 KST" in report.en
    assert "Data subjects concerned: 1,200\n" in report.en
    assert "1,200 notices sent" in report.en
    assert "Access was shut" in report.en
    assert "1,200명에게 통지" in report.ko


@pytest.mark.parametrize("name", FIVE)
def test_half_an_item_is_missing_and_what_is_known_of_it_is_told(name: str) -> None:
    blanks = {"items": {"items": []}, "circumstances": {"circumstances": None}, "contact": {"contact": " "}}
    facts = Facts.model_validate({**FACTS.model_dump(), **blanks.get(name, {name: None})})
    written = write(LetterKind.FIRST_NOTICE, material(facts))
    assert list(written.missing) == [name]
    if name == "circumstances":
        assert "2026-05-01 00:00 KST" in written.ko
    if name == "contact":
        assert "정보통신과" in written.ko


def test_an_exercise_says_so_first() -> None:
    written = write(LetterKind.REPORT, material(exercise=True))
    assert written.ko.startswith("[훈련]")
    assert written.en.startswith("[EXERCISE]")


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("${}%\\"), min_size=1, max_size=60))
def test_texts_stand_in_letters_as_they_were_written(text: str) -> None:
    facts = Facts.model_validate({**FACTS.model_dump(), "subject_measures": {"ko": text}, "items": [text]})
    written = write(LetterKind.FIRST_NOTICE, material(facts))
    assert written.ko.count(text) >= 2
    assert written.sha256 == write(LetterKind.FIRST_NOTICE, material(facts)).sha256
    assert written.sha256 != write(LetterKind.FIRST_NOTICE, material()).sha256 or text == "name, phone number"
