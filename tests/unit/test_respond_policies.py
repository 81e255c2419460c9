"""The city's own files: levels, rules of readiness and composition, and what is said when one is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.config import ReadinessSettings, TeamSettings, WarningSettings
from core.errors import FileError, Invalid
from detect import rules
from respond.checklists import Proof, copied, left, ticked
from respond.readiness import policy
from respond.teams import composition
from respond.warnings import levels
from respond.warnings.levels import effects

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
READERS: dict[str, Callable[[Path], object]] = {
    "levels": lambda file: levels.load(WarningSettings(levels_file=file)),
    "readiness": lambda file: policy.load(ReadinessSettings(rules_file=file)),
    "composition": lambda file: composition.load(TeamSettings(composition_file=file)),
}
OURS = {"levels": levels.OURS, "readiness": policy.OURS, "composition": composition.OURS}


def test_the_five_names_stand_in_their_order() -> None:
    table = levels.load(WarningSettings())
    assert [(one.id, one.ko) for one in table.levels] == [
        ("normal", "정상"),
        ("attention", "관심"),
        ("caution", "주의"),
        ("alert", "경계"),
        ("serious", "심각"),
    ]


def test_effects_never_weaken_with_the_level() -> None:
    table = levels.load(WarningSettings())
    told = [effects(table, one.id) for one in table.levels]
    assert effects(table, "") == told[0]
    for calmer, graver in pairwise(told):
        assert graver.threshold_factor <= calmer.threshold_factor
        assert set(graver.rule_sets) >= set(calmer.rule_sets)
        assert graver.watch_people >= calmer.watch_people


def test_our_rule_sets_are_of_rules_there_are() -> None:
    book = rules.load([rules.OWN_RULES])
    known = {one.id for one in (*book.rules, *book.correlations)}
    for one in levels.load(WarningSettings()).rule_sets:
        assert one.rules
        assert set(one.rules) <= known, one.id


def test_a_level_the_file_no_longer_has_counts_as_the_gravest() -> None:
    table = levels.load(WarningSettings())
    assert effects(table, "purple") == effects(table, "serious")
    assert not table.knows("purple")


@pytest.mark.parametrize("kind", READERS)
def test_the_citys_own_file_takes_the_place_of_ours(kind: str, tmp_path: Path) -> None:
    tree = yaml.safe_load(OURS[kind].read_text(encoding="utf-8")) | {"version": "of the city"}
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    assert READERS[kind](file).version == "of the city"  # type: ignore[attr-defined]


def twice(listed: list[Any]) -> None:
    listed.append(listed[0])


def changed(kind: str, change: Callable[[dict[str, Any]], object]) -> str:
    tree = yaml.safe_load(OURS[kind].read_text(encoding="utf-8"))
    change(tree)
    return yaml.safe_dump(tree, allow_unicode=True)


WRONG = {
    "not YAML": ("levels", "a: [", "is not YAML"),
    "nothing": ("levels", "", "valid dictionary"),
    "unknown key": ("levels", changed("levels", lambda tree: tree.update(colour="red")), "colour"),
    "a level twice": ("levels", changed("levels", lambda tree: twice(tree["levels"])), "same id"),
    "a measure twice": (
        "levels",
        changed("levels", lambda tree: twice(tree["levels"][1]["centre"])),
        "same id",
    ),
    "factor": ("levels", changed("levels", lambda tree: tree["levels"][0]["effects"].update(threshold_factor=2)), "threshold_factor"),
    "a set nobody described": (
        "levels",
        changed("levels", lambda tree: tree["levels"][0]["effects"].update(rule_sets=["ghost"])),
        "no rule set ghost",
    ),
    "a set of nothing": ("levels", changed("levels", lambda tree: tree["rule_sets"][0].update(rules=[])), "name rules, tags"),
    "a threshold twice": (
        "levels",
        changed(
            "levels",
            lambda tree: tree["levels"][0]["effects"].update(thresholds=[{"tags": ["a.b"], "factor": 0.5, "condition": {"gte": 1}}]),
        ),
        "a factor or a condition",
    ),
    "a level of rules that is none": (
        "levels",
        changed("levels", lambda tree: tree["levels"][0]["effects"].update(raised=[{"tags": ["a.b"], "level": "grave"}])),
        "a level of rules is one of",
    ),
    "unknown level": ("readiness", changed("readiness", lambda tree: tree["escalate"][0].update(level="purple")), "unknown level 'purple'"),
    "a rule twice": ("readiness", changed("readiness", lambda tree: twice(tree["escalate"])), "same id"),
    "more than it may": (
        "composition",
        changed("composition", lambda tree: tree["roles"][0].update(at_least=2)),
        "more people than",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_by_name(case: str, tmp_path: Path) -> None:
    kind, content, said = WRONG[case]
    file = tmp_path / "own.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(FileError) as refused:
        READERS[kind](file)
    assert str(file) in str(refused.value)
    assert said in str(refused.value)


def test_a_measure_is_ticked_off_with_proof_alone() -> None:
    listed = copied(levels.load(WarningSettings()).find("attention").agencies)
    assert left(listed) == ["tell_staff", "patch_state"]
    done = ticked(listed, Proof("patch_state", " all patched "), "user:kim", NOW)
    assert (left(done), left(listed)) == (["tell_staff"], ["tell_staff", "patch_state"])
    assert {name: done[1][name] for name in ("outcome", "proof", "by")} == {"outcome": "done", "proof": "all patched", "by": "user:kim"}
    assert ticked(listed, Proof("tell_staff", "nobody there", applies=False), "a", NOW)[0]["outcome"] == "not_applicable"
    again = ticked(ticked(done, Proof("patch_state", "two are left"), "b", NOW), Proof("patch_state", "none is"), "a", NOW)
    assert [one["proof"] for one in again[1]["earlier"]] == ["all patched", "two are left"]
    for wrong in (Proof("patch_state", "  "), Proof("coffee", "made"), Proof("patch_state", "x" * 4001)):
        with pytest.raises(Invalid):
            ticked(listed, wrong, "a", NOW)
