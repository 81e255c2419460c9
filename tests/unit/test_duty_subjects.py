"""What each kind of duty looks at: the ordinance's own subjects always, the city's besides."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.duty_settings import DutySettings
from core.errors import FileError
from respond.duties import policy
from respond.duties.machine import Kind


def written(folder: Path, content: object) -> DutySettings:
    file = folder / "subjects.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return DutySettings(subjects_file=file)


def ours() -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load(policy.OURS.read_text(encoding="utf-8"))
    return content


def test_what_the_ordinance_names_is_in_every_file(tmp_path: Path) -> None:
    laws = [one.law for one in policy.load(DutySettings()).kinds[Kind.INSPECTION].subjects]
    assert {"CO 15(1)1", "CO 15(1)2", "CO 15(1)3"} <= set(laws)
    content = ours()
    subjects = content["kinds"]["inspection"]["subjects"]  # type: ignore[index]
    content["kinds"]["inspection"]["subjects"] = [one for one in subjects if one.get("law") != "CO 15(1)2"]  # type: ignore[index]
    with pytest.raises(FileError, match=r"subjects\.yaml.*CO 15\(1\)2$"):
        policy.load(written(tmp_path, content))


def test_the_city_may_look_at_more(tmp_path: Path) -> None:
    content = ours()
    content["version"] = "city-3"
    drones = {"id": "drones", "law": "CO 15(1)4", "ko": "무인기", "en": "Drones"}
    content["kinds"]["inspection"]["subjects"].append(drones)  # type: ignore[index]
    content["kinds"]["training"]["subjects"] = [{"id": "phishing", "ko": "피싱", "en": "Phishing"}]  # type: ignore[index]
    made = policy.load(written(tmp_path, content))
    assert made.version == "city-3"
    assert made.kinds[Kind.INSPECTION].subjects[-1].id == "drones"
    assert [one.id for one in made.kinds[Kind.TRAINING].subjects] == ["phishing"]


@pytest.mark.parametrize("lacking", [str(kind) for kind in Kind])
def test_no_kind_is_left_out(tmp_path: Path, lacking: str) -> None:
    content = ours()
    del content["kinds"][lacking]  # type: ignore[attr-defined]
    with pytest.raises(FileError, match=lacking):
        policy.load(written(tmp_path, content))


def test_a_subject_stands_once(tmp_path: Path) -> None:
    content = ours()
    twice = {"id": "result", "ko": "결과", "en": "Result"}
    content["kinds"]["training"]["subjects"].append(twice)  # type: ignore[index]
    with pytest.raises(FileError, match="same id"):
        policy.load(written(tmp_path, content))
