"""Scenarios of drills: what is refused and where, the order of their lines, and the times that are written into them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from core.errors import FileError, Invalid
from respond.drills.scenario import OWN, Scenario, library, load
from respond.drills.timeline import Timeline
from runtime.commands.drills import app
from tests.drills import small_scenario

GOOD = small_scenario(2).model_dump(mode="json")
AT = datetime(2026, 5, 3, 23, 59, 59, tzinfo=UTC)


def written(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    told = copy.deepcopy(GOOD)
    change(told)
    file = folder / "one.yaml"
    file.write_text(yaml.safe_dump(told, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("change", "at", "reason"),
    [
        (lambda t: t.pop("title_ko"), "id: small", "title_ko"),
        (lambda t: t["roles"][1]["lines"][0].update(repeat=0), "repeat: 0", "greater than or equal to 1"),
        (lambda t: t["roles"][1]["lines"][0].update(line="{dat} x"), "source: fw", "{dat} is none of the blanks"),
        (lambda t: t["roles"][0]["lines"][0].update(source="fw9"), "name: role0", "there is no source 'fw9'"),
        (lambda t: t["roles"][1]["expect"][0].update(rules=[]), "name: scan", "say which rules or tags"),
        (lambda t: t["roles"][0]["sources"][0].update(timezone="Mars"), "timezone: Mars", "not a time zone"),
        (lambda t: t.update(colour="red"), "colour: red", "Extra inputs"),
        (lambda t: t["roles"][0]["lines"][0].update(at=43_000, every=600), "id: small", "at most 12 hours"),
        (lambda t: t["roles"][1].update(name="role0"), "id: small", "two roles have the same name"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, change: Callable[[dict[str, Any]], object], at: str, reason: str) -> None:
    file = written(tmp_path, change)
    with pytest.raises(FileError) as error:
        load(file)
    place, _, told = str(error.value).removeprefix(f"{file}:").partition(": ")
    assert reason in told
    assert at in file.read_text("utf-8").splitlines()[int(place) - 1]


def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("id: x\nroles: [\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"broken\.yaml:3: is not YAML"):
        load(file)


def test_the_citys_own_scenario_takes_the_place_of_ours(tmp_path: Path) -> None:
    written(tmp_path, lambda told: told.update(id="malware-beacon", version="own"))
    found = library(tmp_path)
    assert found["malware-beacon"].version == "own"
    assert found.keys() == library().keys()
    assert len(found) == len(list(OWN.glob("*.yaml"))) >= 4


def test_parts_are_for_as_many_agencies() -> None:
    with pytest.raises(Invalid, match="name 2 agencies"):
        small_scenario(2).check_agencies(3)
    small_scenario(1).check_agencies(3)
    assert len(Timeline(small_scenario(1), 3).shots) == 9


STEPS = st.lists(st.tuples(st.floats(0, 600), st.integers(1, 20), st.floats(0, 30)), min_size=1, max_size=8)


@settings(deadline=None)
@given(steps=STEPS, agencies=st.integers(1, 4))
def test_every_line_goes_out_once_in_order_of_time(steps: list[tuple[float, int, float]], agencies: int) -> None:
    told = small_scenario(1).model_dump(mode="json")
    told["roles"][0]["lines"] = [
        {"source": "fw", "at": at, "repeat": n, "every": every, "line": f"{i}-{{n}}"} for i, (at, n, every) in enumerate(steps)
    ]
    scenario = Scenario.model_validate(told)
    shots = Timeline(scenario, agencies).shots
    assert [shot.at for shot in shots] == sorted(shot.at for shot in shots)
    expected = {
        (place, f"{i}-{n + 1}", at + n * every) for place in range(agencies) for i, (at, r, every) in enumerate(steps) for n in range(r)
    }
    assert {(shot.place, shot.text(AT), shot.at) for shot in shots} == expected
    assert len(shots) == len(expected)


def test_a_line_tells_the_time_of_its_sources_zone() -> None:
    told = small_scenario(1).model_dump(mode="json")
    told["roles"][0]["lines"][0]["line"] = '{date} {time} | {bsd} | {clf} | {utc} | {epoch} | {n} {hex} | {"a": 1}'
    (shot, *_) = Timeline(Scenario.model_validate(told), 1).shots
    assert shot.text(AT) == (
        '2026-05-04 08:59:59 | May  4 08:59:59 | 04/May/2026:08:59:59 +0900 | 2026-05-03T23:59:59 | 1777852799 | 1 01 | {"a": 1}'
    )


def test_the_documented_scenario_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "drills.md").read_text("utf-8")
    file = tmp_path / "office-scan.yaml"
    file.write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    checked = CliRunner().invoke(app, ["check", str(file)])
    assert checked.exit_code == 0, checked.output
    assert checked.output == "office-scan 1: 25 lines in 12 s for any number of agencies, 1 expected finds\n"


def test_the_command_checks_files_and_the_rules_they_expect(tmp_path: Path) -> None:
    ours = sorted(map(str, OWN.glob("*.yaml")))
    good = CliRunner().invoke(app, ["check", *ours])
    assert good.exit_code == 0, good.output
    assert "joint-supply-chain 1: 35 lines in 88 s for 2 agencies, 4 expected finds" in good.output
    bad = CliRunner().invoke(app, ["check", str(written(tmp_path, lambda told: None))])
    assert bad.exit_code == 1
    assert "no such rule is loaded: rule-scan" in bad.output


def test_a_scenario_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    file = written(tmp_path, lambda told: told.update(title_en="Before"))
    name = GOOD["id"]
    assert library(tmp_path)[name].title_en == "Before"
    written(tmp_path, lambda told: told.update(title_en="Afterwards"))
    assert library(tmp_path)[name].title_en == "Afterwards"
    file.unlink()
    assert name not in library(tmp_path)
