"""Rules decided by their formulas match what their expressions match; witnesses in the text of objects hide nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.engine import Engine, Session
from detect import rules
from detect.fields import EventFields
from detect.formula import Formulas
from detect.objects import ObjectRules
from detect.regex_literals import needed
from detect.ruleset import SETTINGS

RULE = "title: {0}\nid: 00000000-0000-4000-8000-{1:012}\nlogsource: {{category: any}}\ndetection: {2}\n"
TEXTS = ("a", "ab", "aB.exe", "\\b.exe", "b a", '"q"', "10", "1", "445", "k", "한글", "a\x01b", "\u212a", "", "*", "-1", "a.b")
MODIFIERS = ("", "|contains", "|startswith", "|endswith", "|contains|all", "|cased", "|re")
values = st.one_of(st.sampled_from(TEXTS), st.integers(-2, 446), st.none(), st.sampled_from((10.0, 1e1, 44.5, 1e21, -0.0, True)))
events = st.dictionaries(st.sampled_from(("f", "g", "user name")), values, max_size=3)


@st.composite
def detections(draw: st.DrawFn) -> str:
    selections: dict[str, object] = {}
    for name in ("s", "t"):
        modifier = draw(st.sampled_from(MODIFIERS))
        texts = ("a.*b", "^a", "b$", "(ab|10)", "x?4+5") if modifier == "|re" else (*TEXTS[:10], "a*b", "a?", "*10")
        wanted = draw(st.lists(st.sampled_from(texts), min_size=1, max_size=3, unique=True))
        keyword = draw(st.integers(0, 7)) == 0
        field = draw(st.sampled_from(("f", "g", "user name")))
        empty = draw(st.integers(0, 7)) == 0
        if empty:
            selections[name] = {field: draw(st.sampled_from((None, "")))}
        else:
            selections[name] = wanted if keyword else {f"{field}{modifier}": wanted}
    condition = draw(st.sampled_from(("s", "not s", "s and t", "s or t", "s and not t", "not (s and t)", "not s or t")))
    return json.dumps({**selections, "condition": condition}, ensure_ascii=False)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    engine = Engine()
    session = engine.session({**SETTINGS, "max_threads": 1})
    yield session
    session.close()
    engine.close()


def found(judge: ObjectRules, lines: list[str]) -> set[tuple[str, int]]:
    matches = judge.run(pa.array(lines, pa.string()))
    return {(judge.rules[rule].title, row) for rule, row in zip(matches.rules.tolist(), matches.rows.tolist(), strict=True)}


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(detections(), min_size=4, max_size=12), st.lists(events, min_size=1, max_size=30))
def test_formulas_and_witnesses_match_what_expressions_match_on_every_line(
    session: Session, wanted: list[str], rows: list[dict[str, object]]
) -> None:
    text = "---\n".join(RULE.format(f"r{number}", number, detection) for number, detection in enumerate(wanted))
    loaded = list(rules.parse(text, "rules.yml", strict=False).rules)
    lines = [json.dumps(row, ensure_ascii=number % 2 == 0) for number, row in enumerate(rows)]
    fast = found(ObjectRules(loaded, session), lines)
    nested = [json.dumps({"deep": [1], **row}, ensure_ascii=False) for row in rows]  # judged by expressions alone, without witnesses
    assert fast == found(ObjectRules(loaded, session), nested)


def test_a_rule_of_literals_has_a_formula_and_one_of_numbers_to_compare_has_none() -> None:
    from_text = "{s: {url|contains: ab, user_agent: '*'}, t: {url|endswith: '.exe'}, condition: s and not t}"
    book = rules.parse(RULE.format("r", 1, from_text) + "---\n" + RULE.format("q", 2, "{s: {dst_port|gte: 5}, condition: s}"), "r.yml")
    formulas = Formulas(EventFields())
    assert [formulas.of(rule.tree) is None for rule in book.rules] == [False, True]


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("abc", {"abc"}),
        ("ab?c", {"a"}),
        ("ABc+d", {"abc"}),
        ("(foo|barbar)x", {"foo", "barbar"}),
        ("(foo|)x", {"x"}),
        ("(foo)?x{2,}yz", {"yz"}),
        (r"a\.b\dcd", {"a.b"}),
        ("a|b*", set()),
        ("(?i)ipfs\\.io/", {"ipfs.io/"}),
        ("[abc]def]", {"def]"}),
        ("(?P<x>no)t{0}", {"no"}),
        ("\\Qa.b\\E", set()),
    ],
)
def test_the_literals_a_regular_expression_cannot_do_without(pattern: str, literals: set[str]) -> None:
    assert needed(pattern, str.isascii) == literals
