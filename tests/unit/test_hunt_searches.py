"""Writing searches for people: values, completion, links, and the language's mistakes in both languages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.hunt import columns, mistakes, writing
from api.dashboard.hunt.asked import SHOWABLE, USUAL_COLUMNS, Asked
from api.dashboard.hunt.detail import marked
from api.dashboard.hunt.writing import Place, place, with_value, written
from api.dashboard.texts import Texts
from core.errors import Invalid
from core.storage.search_language import All, Either, Not, Term, parse
from detect.search_rule import rule_text

NOON = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_value_is_written_so_that_it_reads_as_itself(value: str) -> None:
    for q in (with_value("", "user", value), f"user:({written(value)})"):
        found = parse(q)
        assert isinstance(found, Term)
        assert (found.name, found.value.pieces, found.value.wildcards) == ("user", (value,), ())


def test_a_value_is_asked_for_beside_what_was() -> None:
    assert with_value("", "user", "kim") == "user:kim"
    assert with_value("a b", "dst_port", 22) == "a b dst_port:22"
    assert with_value("a OR b", "user", "lee park", exclude=True) == '(a OR b) NOT user:"lee park"'
    assert with_value("a", "user", "") == 'a user:""'
    assert with_value("", "intake_flags", ["masked", "cp949"]) == "intake_flags:masked intake_flags:cp949"
    narrowed = parse(with_value("a OR b", "user", "kim", exclude=True))
    assert isinstance(narrowed, All)
    assert [type(part) for part in narrowed.parts] == [Either, Not]
    assert with_value("broken (", "user", "kim") == "broken ( user:kim"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("|", Place(0, 0, "")),
        ("src|", Place(0, 3, "src")),
        ("a src|", Place(2, 5, "src", after_value=True)),
        ("a AND src|_i", Place(6, 11, "src")),
        ("NOT |", Place(4, 4, "")),
        ("-us|", Place(1, 3, "us")),
        ("user:ki|", Place(5, 7, "ki", "user")),
        ("c-ip:10|", Place(5, 7, "10", "src_ip")),
        ('user:"lee p|ark" x', Place(5, 15, "lee p", "user")),
        ("dst_port:(22 OR 3|3)", Place(16, 18, "3", "dst_port")),
        ("(user:k|", Place(6, 7, "k", "user")),
        ("dst_port:(22) us|", Place(14, 16, "us", after_value=True)),
        ("no_such:a|", Place(0, 9, "no_such:a")),
    ],
)
def test_where_the_caret_stands(text: str, found: Place) -> None:
    assert place(text.replace("|", ""), text.index("|")) == found


def test_columns_are_found_by_name_and_by_what_rules_call_them() -> None:
    assert [one.name for one in writing.columns_like("dst_p")] == ["dst_port"]
    assert "url" in [one.name for one in writing.columns_like("c-uri")]
    assert writing.columns_like("src_")[0].name == "src_ip"
    assert not any(one.name.startswith("raw_") for one in writing.columns_like(""))


def test_every_column_stands_in_one_group() -> None:
    grouped = [name for names in columns.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(SHOWABLE)


def test_a_link_is_the_search() -> None:
    asked = Asked("a b&c", "", NOON - timedelta(minutes=5), NOON, ("user", "raw"))
    query = dict(pair.split("=") for pair in asked.url.partition("?")[2].split("&"))
    assert query == {
        "q": "a+b%26c",
        "since": "2026-05-01T02%3A55%3A00.000Z",
        "until": "2026-05-01T03%3A00%3A00.000Z",
        "columns": "user%2Craw",
    }
    assert Asked.of({"q": "a b&c", "since": "2026-05-01T02:55:00Z", "until": "2026-05-01T12:00:00", "columns": "user,raw"}) == asked
    assert Asked().url == "/hunt"
    assert Asked.of({}).between(NOON) == (NOON - timedelta(hours=1), NOON)
    assert Asked.of({"range": "7d"}).between(NOON) == (NOON - timedelta(days=7), NOON)
    assert Asked.of({"range": "nonsense", "columns": "nonsense", "since": "x"}, "user,raw").columns == ("user", "raw")
    assert Asked.of({"since": "2026-05-02T00:00:00", "until": "2026-05-01T00:00:00"}) == Asked(columns=USUAL_COLUMNS)


WRONG = (
    *("(a", "a)", "()", "a OR", "OR a", '"a', 'a"b"', "user:", "user:(a b:c)", "user:(", "bytes:[1 2]", "bytes:[1 TO 2", "bytes:>"),
    *("scr_ip:1", "zzzzqq:1", "event_time:2026", "user:>1", "intake_flags:nonsense", "dst_port:99999", "src_ip:[10.0.0.0/8 TO *]"),
    *("src_ip:300.1.1.1", "event_time:>yesterday", "event_time:>1900-01-01", "NOT " * 31 + "a", " ".join(["a"] * 201), "a" * 4001),
    *("", "raw:*", "NOT raw:*", "a intake_flags:masked", "event_time:>2026-03-01", "bytes:>9007199254740993", "transport:tcp", "user:É"),
)


@pytest.mark.parametrize("search", WRONG)
def test_every_mistake_is_told_in_korean(search: str) -> None:
    with pytest.raises(Invalid) as caught:
        rule_text(parse(search), title="T", on=date(2026, 5, 1))
    reason = str(caught.value).partition("character ")[2].partition(": ")[2] or str(caught.value)
    korean, english = (mistakes.translated(Texts(language), reason) for language in ("ko", "en"))
    assert any("가" <= letter <= "힣" for letter in korean), (search, reason)
    assert english[-1] in ".]:" or english.endswith(("00", '"', "?")), english


def test_the_place_of_a_mistake_is_marked() -> None:
    assert mistakes.marked_html("a <b> c", 2) == "a <mark>&lt;b&gt;</mark> c"
    assert mistakes.marked_html("a OR", 4) == "a OR<mark>&nbsp;</mark>"


def test_parts_of_a_line_are_marked_and_escaped() -> None:
    assert marked("a<b>c", [[1, 4]]) == "a<mark>&lt;b&gt;</mark>c"
    assert marked("a<b", []) == "a&lt;b"
