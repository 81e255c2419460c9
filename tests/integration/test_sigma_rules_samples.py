"""Every rule of ours matches its matching raw lines and none of the others, through the real parsers and the real rule set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.config import IntakeSettings
from core.engine import Engine
from detect.rules import OWN_RULES, Rule, load
from detect.ruleset import SETTINGS, compile_rules
from ingest.compile import ParserSet
from runtime import rule_samples
from runtime.rule_samples import Difference

BOOK = load([OWN_RULES])
FILES = {rule_samples.file_of(Path(rule.file)): [rule] for rule in BOOK.rules}


@pytest.fixture(scope="module")
def judged() -> Iterator[tuple[list[Difference], list[str]]]:
    """What comes out otherwise than the samples say, and what the engine refuses."""
    engine = Engine()
    with closing(engine.session(SETTINGS)) as session, rule_samples.normaliser(engine, ParserSet.load(), IntakeSettings()) as reader:
        plan = compile_rules(BOOK.rules, session, BOOK.set_aside)
        yield list(rule_samples.differences(reader, session, plan, FILES)), list(map(str, plan.set_aside))
    engine.close()


def test_every_rule_of_ours_loads_and_compiles(judged: tuple[list[Difference], list[str]]) -> None:
    assert judged[1] == []
    assert len(BOOK.rules) >= 10


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: Path(rule.file).stem)
def test_a_rule_tells_the_analyst_what_to_do(rule: Rule) -> None:
    assert {"title_ko", "response_ko", "response_en"} <= set(rule.custom["custom"])
    assert any(tag.startswith("attack.t") for tag in rule.tags), rule.tags
    assert not BOOK.set_aside


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: Path(rule.file).stem)
def test_a_rule_matches_its_lines_alone(rule: Rule, judged: tuple[list[Difference], list[str]]) -> None:
    file = rule_samples.file_of(Path(rule.file))
    samples = rule_samples.samples_of(file)
    assert any(one.wanted for one in samples), "a rule needs lines it matches"
    assert not all(one.wanted for one in samples), "a rule needs lines it does not match"
    assert all(one.parser for one in samples), "each names the parser that must read it"
    assert [str(one) for one in judged[0] if one.file == file] == []
