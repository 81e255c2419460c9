"""Rules decided by their formulas match what their expressions match; witnesses in the text of objects hide nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pyarrow as pa
import pytest

from core.engine import Engine, Session
from detect import rules
from detect.compiled import compile_rule
from detect.fields import EventFields
from detect.formula import Formulas
from detect.hunt import statements
from detect.objects import ObjectRules
from detect.regex_literals import needed
from detect.ruleset import SETTINGS

RULE = "title: {0}\nid: 00000000-0000-4000-8000-{1:012}\nlogsource: {{category: any}}\ndetection: {2}\n"
TEXTS = (
    "a",
    "ab",
    "aB.exe",
    "\\b.exe",
    "b a",
    '"q"',
    "10",
    "1",
    "445",
    "k",
    "한글",
    "a\x01b",
    "\u212a",
    "",
    "*",
    "-1",
    "a.b",
    "true",
    "lse",
)
MODIFIERS = ("", "|contains", "|startswith", "|endswith", "|contains|all", "|cased", "|re")
VALUES = (*TEXTS, *range(-2, 4), 445, None, 10.0, 44.5, 1e21, -0.0, 1e-7, 10**25, True, False)
NAMES = ("f", "g", "user name")
CONDITIONS = ("s", "not s", "s and t", "s or t", "s and not t", "not (s and t)", "not s or t")


def detection(chance: random.Random) -> str:
    selections: dict[str, object] = {}
    for name in ("s", "t"):
        modifier = chance.choice(MODIFIERS)
        texts = ("a.*b", "^a", "b$", "(ab|10)", "x?4+5") if modifier == "|re" else (*TEXTS[:10], *TEXTS[-2:], "a*b", "a?", "*10")
        wanted = chance.sample(texts, chance.randint(1, 3))
        field = chance.choice(NAMES)
        if chance.random() < 0.1:
            selections[name] = {field: chance.choice((None, ""))}
        else:
            selections[name] = wanted if chance.random() < 0.1 else {f"{field}{modifier}": wanted}
    return json.dumps({**selections, "condition": chance.choice(CONDITIONS)}, ensure_ascii=False)


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


@pytest.mark.parametrize("seed", [11, 15, 17])
def test_formulas_and_witnesses_match_what_expressions_match_on_every_line(session: Session, seed: int) -> None:
    chance = random.Random(seed)
    text = "---\n".join(RULE.format(f"r{number}", number, detection(chance)) for number in range(60))
    loaded = list(rules.parse(text, "rules.yml", strict=False).rules)
    rows = [{name: chance.choice(VALUES) for name in chance.sample(NAMES, chance.randint(0, 3))} for _ in range(200)]
    lines = [json.dumps(row, ensure_ascii=number % 2 == 0) for number, row in enumerate(rows)]
    fast = found(ObjectRules(loaded, session), lines)
    nested = [json.dumps({"deep": [], **row}, ensure_ascii=False) for row in rows]  # judged by expressions alone, without witnesses
    assert len(loaded) > 50
    assert fast == found(ObjectRules(loaded, session), nested)
    assert len({title for title, _ in fast}) > 40


@pytest.mark.parametrize("count", [2, 100])
def test_a_hunt_passes_over_no_text_that_holds_a_literal(session: Session, count: int) -> None:
    words = ["kelvin", "개인정보", *(f"word{number}" for number in range(count))]
    text = "---\n".join(RULE.format(word, number, f"{{s: {{url|contains: {word}}}, condition: s}}") for number, word in enumerate(words))
    read = rules.parse(text.replace("category: any", "category: webserver"), "rules.yml")
    compiled = [compile_rule(rule, EventFields()) for rule in read.rules]
    texts = pa.table({"url": ["/x", "a KELVIN b", "a \u212aelvin b", "공문 개인정보", "WORD1", "개인정"]})
    found = session.arrow(f"SELECT {statements._witnessed(compiled)} AS stands FROM Python(rows)", texts)
    assert found["stands"].to_pylist() == [0, 1, 1, 1, 1, 0]


def test_what_has_no_formula_is_bounded_by_what_it_cannot_match_without() -> None:
    detection = "{s: {url|re: 'union.{1,9}select', dst_port|gte: 5}, t: {user_agent|contains: bot}, condition: s and not t}"
    formulas = Formulas(EventFields())
    rule = rules.parse(RULE.format("r", 1, detection), "r.yml").rules[0]
    assert formulas.of(rule.tree) is None
    bound = formulas.bound(rule.tree)
    assert not isinstance(bound, bool)
    assert formulas.columns(bound) == {"url", "user_agent"}
    assert {one.wanted for one in formulas.sought["url"]} == {"select", "\u017f"}


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
