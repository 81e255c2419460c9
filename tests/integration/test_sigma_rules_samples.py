"""Every rule of ours matches its matching raw lines and none of the others, through the real parsers and the real rule set.

Every correlation fires on the sequences that it should, for the groups that it should.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
import yaml

from core.config import IntakeSettings
from core.engine import Engine
from detect.correlation.definition import Correlation
from detect.correlation.resolve import resolve
from detect.rules import OWN_RULES, Rule, load
from detect.ruleset import SETTINGS, compile_rules
from ingest.compile import ParserSet
from runtime import rule_samples, rule_sequences
from runtime.rule_samples import Difference

BOOK = load([OWN_RULES])
_HANGUL: Final = re.compile("[가-힣]")
FILES = {rule_samples.file_of(Path(rule.file)): [rule] for rule in BOOK.rules}


@pytest.fixture(scope="module")
def judged() -> Iterator[tuple[list[Difference], list[str]]]:
    """What comes out otherwise than the samples say, and what the engine refuses."""
    engine = Engine()
    with closing(engine.session(SETTINGS)) as session, rule_samples.normaliser(engine, ParserSet.load(), IntakeSettings()) as reader:
        plan = compile_rules(BOOK.rules, session, BOOK.set_aside)
        wrong = list(rule_samples.differences(reader, session, plan, FILES))
        wrong += rule_sequences.differences(reader, engine, BOOK, BOOK.correlations)
        yield wrong, list(map(str, plan.set_aside))
    engine.close()


def test_every_rule_of_ours_loads_and_compiles(judged: tuple[list[Difference], list[str]]) -> None:
    assert judged[1] == []
    assert len(BOOK.rules) >= 120
    assert resolve(BOOK).set_aside == ()
    assert len(resolve(BOOK).correlations) >= 40


@pytest.mark.parametrize("rule", [*BOOK.rules, *BOOK.correlations], ids=lambda rule: Path(rule.file).stem)
def test_a_rule_tells_the_analyst_what_to_do(rule: Rule | Correlation) -> None:
    ours = rule.custom["custom"]
    assert all(_HANGUL.search(ours[name]) for name in ("title_ko", "description_ko", "response_ko"))
    assert ours["response_en"]
    document = yaml.safe_load(Path(rule.file).read_text(encoding="utf-8"))
    korean = ours.get("falsepositives_ko", "").splitlines()
    assert len(korean) == len(document.get("falsepositives") or ()), "a line for each false positive"
    assert all(_HANGUL.search(one) for one in korean)
    assert all(isinstance(one, str) for one in document.get("falsepositives") or ()), "a colon makes a mapping of it: quote it"
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


@pytest.mark.parametrize("correlation", BOOK.correlations, ids=lambda correlation: Path(correlation.file).stem)
def test_a_correlation_fires_on_its_sequences_alone(correlation: Correlation, judged: tuple[list[Difference], list[str]]) -> None:
    file = rule_samples.file_of(Path(correlation.file))
    assert {bool(one["fires"]) for one in rule_sequences.sequences_of(file)} == {True, False}, "it needs sequences it fires on, and others"
    assert [str(one) for one in judged[0] if one.file == file] == []
