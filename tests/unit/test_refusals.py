"""What the API refuses, in Korean: every template translated, none left over, and messages told with what was put into them."""

from __future__ import annotations

import io
import re
import string

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from api.dashboard import catalogue, refusal_sources
from api.dashboard.refusals import refusal
from api.dashboard.texts import LOCALE, Texts

FILE = LOCALE / "ko" / "LC_MESSAGES" / "refusals.po"
HANGUL = re.compile(r"[가-힣]")


def korean() -> Catalog:
    with FILE.open("rb") as file:
        return read_po(file, locale="ko")


def test_the_catalogue_has_the_templates_of_the_sources_and_no_other() -> None:
    """`python -m api.dashboard.catalogue` brings it there."""
    written = io.BytesIO()
    write_po(written, catalogue.brought_up_to_date(korean(), catalogue.refusals()), width=0, no_location=True)
    assert FILE.read_bytes() == written.getvalue()


def test_every_template_is_translated_with_the_same_placeholders() -> None:
    found = [one for one in korean() if one.id]
    assert len(found) > 100
    for one in found:
        english, told = str(one.id), str(one.string)
        assert HANGUL.search(told), english
        assert sorted(_placeholders(told)) == sorted(_placeholders(english)), english


def _placeholders(text: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]


def test_every_module_whose_messages_are_not_shown_exists() -> None:
    for place in refusal_sources.NOT_SHOWN:
        assert (LOCALE.parents[2] / place.partition(":")[0]).is_file(), place


@pytest.mark.parametrize(
    ("source", "template"),
    [
        ('raise Invalid("a plain message")', "a plain message"),
        ('raise NotFound(f"there is no {kind} {number!r} here")', "there is no {0} {1} here"),
        ('raise Invalid("such as {a: 1}")', "such as {{a: 1}}"),
        ('raise RuleError(file, "it is wrong", 3)', "it is wrong"),
    ],
)
def test_a_template_is_read_from_the_source(source: str, template: str) -> None:
    assert list(refusal_sources.of_source("respond/any.py", source)) == [template]


@pytest.mark.parametrize("source", ['raise Invalid(f"{where}: {why}")', "raise Invalid(str(error))", 'raise KeyError("a plain message")'])
def test_what_says_nothing_itself_is_no_template(source: str) -> None:
    assert list(refusal_sources.of_source("respond/any.py", source)) == []


@pytest.mark.parametrize(
    ("english", "told"),
    [
        ("no source of the class web", "다음 부류의 로그 출처가 없습니다: web"),
        ("its rule 'A: b': no source of the class web", "구성 규칙 'A: b': 다음 부류의 로그 출처가 없습니다: web"),
        ("body.title: Field required", "body.title: 필수 항목입니다."),
        ("body.a: Field required; body.b: of no known kind", "body.a: 필수 항목입니다.; body.b: of no known kind"),
        ("nobody ever wrote {this}", "nobody ever wrote {this}"),
        ("", ""),
    ],
)
def test_a_message_is_told_in_korean(english: str, told: str) -> None:
    assert refusal(Texts("ko"), english) == told
    assert refusal(Texts("en"), english) == english
