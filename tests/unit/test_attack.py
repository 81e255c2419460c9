"""Where rules stand in the matrix of ATT&CK."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from api.dashboard.rules import attack
from detect.rules import OWN_RULES

RULES = [
    path for path in sorted(Path(OWN_RULES).rglob("*.yml")) if not path.name.endswith(".samples.yml") and "dictionaries" not in path.parts
]


@pytest.mark.parametrize(
    ("tags", "places"),
    [
        (["attack.reconnaissance", "attack.discovery", "attack.t1046"], [("discovery", "T1046"), ("reconnaissance", "")]),
        (
            ["attack.initial-access", "attack.persistence", "attack.t1078.001"],
            [("initial-access", "T1078.001"), ("persistence", "T1078.001")],
        ),
        (["attack.impact", "attack.t1110"], [("credential-access", "T1110"), ("impact", "")]),
        (["attack.t1190"], [("initial-access", "T1190")]),
        (["attack.impact", "attack.t9999"], [("impact", "T9999")]),
        (["attack.impact"], [("impact", "")]),
        ([], [("", "")]),
    ],
)
def test_a_technique_stands_under_its_own_tactics(tags: list[str], places: list[tuple[str, str]]) -> None:
    assert attack.places(tags) == places


def test_our_rules_name_the_tactics_of_their_techniques() -> None:
    assert len(RULES) > 200
    wrong = {}
    for path in RULES:
        tags = yaml.safe_load(path.read_text(encoding="utf-8"))["tags"]
        named = attack.tactics_of(tags)
        if strange := [place for place in attack.places(tags) if place[1] and place[0] not in named]:
            wrong[path.name] = strange
        assert all(attack.name_of(one) for one in attack.techniques_of(tags)), path.name
    assert wrong == {}
