"""`docs/sigma-support.md` is true and up to date, and the second reading of Sigma holds of its cases too."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.engine import Engine
from tests import sigma_oracle, sigma_support
from tests.sigma_cases import RuleCases

PAGE = Path(__file__).parents[2] / "docs" / "sigma-support.md"


def test_every_case_holds_and_the_page_says_so() -> None:
    engine = Engine()
    try:
        judged = list(sigma_support.sections(engine))
    finally:
        engine.close()
    assert [wrong for _, rows in judged for row in rows for wrong in row.wrong] == []
    assert sigma_support.page(judged) == PAGE.read_text("utf-8"), "python -m tests.sigma_support > docs/sigma-support.md"


def test_a_case_that_does_not_hold_is_shown() -> None:
    engine = Engine()
    try:
        rows = list(sigma_support.judge_rules(engine, [RuleCases("f", "a: x", ({"a": "y"},), ({"a": "z"},))]))
    finally:
        engine.close()
    assert rows[0].wrong == ("a: x on {'a': 'y'}: False",)
    assert "| f | 2 | no |" in sigma_support.page([("Modifiers", rows)])


@pytest.mark.parametrize(("heading", "cases"), sigma_support.SECTIONS)
def test_the_second_reading_agrees(heading: str, cases: tuple[RuleCases, ...]) -> None:
    for case in cases:
        rule, *filters = yaml.safe_load_all(sigma_support.rule_text(case.rule))
        for wanted, events in ((True, case.match), (False, case.differ)):
            for event in events:
                if case.letter:
                    found = sigma_oracle.matches(rule, event, filters=filters, placeholders=sigma_support.PLACEHOLDERS)
                    assert found is wanted, (heading, case.rule, event)
