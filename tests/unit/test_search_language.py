"""The language of searches: what text comes to, and where it cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from core.storage.search_language import All, Either, Node, Not, Term, Value, Within, parse


def word(text: str, at: int, name: str = "", name_at: int | None = None) -> Term:
    return Term(name, at if name_at is None else name_at, Value(at, (text,)))


def test_nothing_is_no_search() -> None:
    assert parse("") is parse(" \t\u3000\n") is None


def test_and_binds_more_than_or_and_need_not_be_written() -> None:
    assert parse("a b OR c AND d") == Either((All((word("a", 0), word("b", 2))), All((word("c", 7), word("d", 13)))))
    assert parse("a and (b or c)") == All((word("a", 0), Either((word("b", 7), word("c", 12)))))


def test_not_is_for_what_follows_it() -> None:
    assert parse("NOT a b") == All((Not(word("a", 4)), word("b", 6)))
    assert parse("-a") == Not(word("a", 1))
    assert parse("not -a") == Not(Not(word("a", 5)))
    assert parse("a-b - c") == All((word("a-b", 0), word("-", 4), word("c", 6)))


def test_names_and_values() -> None:
    assert parse("user:kim") == word("kim", 5, "user", 0)
    assert parse("cs(User-Agent):curl") == word("curl", 15, "cs(User-Agent)", 0)
    assert parse("src_ip:2001:db8::1") == word("2001:db8::1", 7, "src_ip", 0)
    assert parse('user:"a \\"b\\" \\\\ \\n"') == word('a "b" \\ \\n', 5, "user", 0)
    assert parse("user:(a OR NOT b)") == Either((word("a", 6, "user", 0), Not(word("b", 15, "user", 0))))
    assert parse("user:(a) b") == All((word("a", 6, "user", 0), word("b", 9)))


def test_wildcards_and_what_takes_their_meaning() -> None:
    assert parse("user:a*b?") == Term("user", 0, Value(5, ("a", "b", ""), ("*", "?")))
    assert parse("a\\*b\\ c\\(") == word("a*b c(", 0)
    assert parse('"a*"') == word("a*", 0)


def test_ranges() -> None:
    low, high = Value(7, ("1",)), Value(12, ("2",))
    assert parse("bytes:[1 TO 2]") == Within("bytes", 0, low, high)
    assert parse("bytes:{1 to 2}") == Within("bytes", 0, low, high, False, False)
    assert parse("bytes:[1 TO *}") == Within("bytes", 0, low, None, True, False)
    assert parse("bytes:>=1") == Within("bytes", 0, Value(8, ("1",)), None)
    assert parse("bytes:<1") == Within("bytes", 0, None, Value(7, ("1",)), True, False)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("(a", 1),
        ("a)", 2),
        ("()", 2),
        ("a OR", 5),
        ("OR a", 1),
        ("a AND OR b", 7),
        ("NOT", 4),
        ('"a', 1),
        ('a"b"', 2),
        ("user:", 6),
        ("user: a", 6),
        ("user:(a b:c)", 9),
        ("user:(a", 6),
        ("bytes:[1 2]", 10),
        ("bytes:[1 TO 2", 7),
        ("bytes:[1", 9),
        ("bytes:>", 8),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, at: int) -> None:
    with pytest.raises(Invalid, match=f"^search, character {at}: "):
        parse(text)


@pytest.mark.parametrize("text", ["a" * 4001, "(" * 40 + "a" + ")" * 40, "NOT " * 40 + "a", "a " * 300])
def test_a_search_has_limits(text: str) -> None:
    with pytest.raises(Invalid, match="at most"):
        parse(text)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
_NAMES = st.sampled_from(["user", "src_ip", "c-uri", "cs(User-Agent)"])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_TREES: st.SearchStrategy[tuple[str, object]] = st.recursive(
    st.one_of(
        _TEXT.map(lambda text: (_quoted(text), ("", text))),
        st.tuples(_NAMES, _TEXT).map(lambda pair: (f"{pair[0]}:{_quoted(pair[1])}", pair)),
    ),
    lambda inner: st.one_of(
        inner.map(lambda one: (f"NOT ({one[0]})", ("not", one[1]))),
        st.lists(inner, min_size=2, max_size=3).map(lambda many: (" ".join(f"({t})" for t, _ in many), ("all", [n for _, n in many]))),
        st.lists(inner, min_size=2, max_size=3).map(lambda many: (" OR ".join(f"({t})" for t, _ in many), ("or", [n for _, n in many]))),
    ),
    max_leaves=8,
)


def _told(node: Node | None) -> object:
    match node:
        case Term(name, _, value):
            return (name, value.text)
        case Not(part):
            return ("not", _told(part))
        case All(parts):
            return ("all", [_told(part) for part in parts])
        case Either(parts):
            return ("or", [_told(part) for part in parts])
    raise AssertionError(node)


@given(_TREES)
def test_any_tree_written_with_brackets_and_quotes_comes_back(tree: tuple[str, object]) -> None:
    text, meant = tree
    assert _told(parse(text)) == meant


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    try:
        parse(text)
    except Invalid as error:
        place = int(str(error).removeprefix("search, character ").partition(":")[0])
        assert 1 <= place <= len(text) + 1
