"""Every parser has samples, every sample gives what stands beside it, and the words in it are those the product knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.events import DISPOSITIONS, LogClass
from ingest import parser
from ingest.encoding import to_text
from ingest.normalise import Normaliser
from ingest.parse_lines import parse_lines
from ingest.parser import Tier
from tests.parsing import opened, table

SAMPLES = sorted((parser.FOLDER / "samples").glob("*/*.log"))
NAMES = [file.stem for file in parser.files()]


@pytest.fixture(scope="module")
def normaliser() -> Iterator[Normaliser]:
    with opened() as normaliser:
        yield normaliser


def expected_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.with_suffix(".expected.jsonl").read_text("utf-8").splitlines()]


def name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_has_samples_of_its_own(name: str) -> None:
    rows = [row for file in SAMPLES if file.parent.name == name for row in expected_of(file)]
    assert sum(row.get("parser") == name for row in rows) >= 2


def test_no_samples_are_left_of_a_parser_that_is_gone() -> None:
    assert {file.parent.name for file in SAMPLES} == set(NAMES)


@pytest.mark.parametrize("file", SAMPLES, ids=name_of)
def test_samples_give_what_is_expected(file: Path, normaliser: Normaliser) -> None:
    assert list(parse_lines(normaliser, file.read_bytes().splitlines())) == expected_of(file)


@pytest.mark.parametrize("file", SAMPLES, ids=name_of)
def test_words_of_samples_are_known(file: Path) -> None:
    for row in expected_of(file):
        if "parser" in row:
            assert row["log_class"] in {*LogClass}
            assert row.get("disposition", "alert") in DISPOSITIONS
            assert row.get("proto", "").lower() == row.get("proto", "")


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_dispositions_hold_only_dispositions(name: str) -> None:
    definition = parser.load(parser.FOLDER / f"{name}.yaml")
    for table_name in ("disposition", "outcome"):
        assert set(definition.maps.get(table_name, {}).values()) <= set(DISPOSITIONS)


def test_no_two_products_claim_a_line(normaliser: Normaliser) -> None:
    """What lets a source's parser be remembered without the outcome depending on the order of lines."""
    lines = [text for file in SAMPLES for text in to_text(file.read_bytes().splitlines()).text.to_pylist()]
    products = [one for one in normaliser.parsers.parsers if one.tier is Tier.PRODUCT]
    claims = np.zeros(len(lines), int)
    for one in products:
        answer = normaliser.session.arrow(one.question, table(lines), {"zone": "UTC"})
        claims += answer["known"].to_numpy() > 0
    assert [line for line, count in zip(lines, claims, strict=True) if count > 1] == []
    assert claims.sum() > len(lines) / 2


def test_public_samples_are_read_as_well_as_promised(samples: Path, normaliser: Normaliser) -> None:
    """Lines of other people's test data, scored by the script that comes with them."""
    namespace: dict[str, object] = {"__name__": "score"}
    exec((samples / "score.py").read_text("utf-8"), namespace)  # noqa: S102 - the samples' own script
    judge, core, soft = namespace["judge"], namespace["CORE"], namespace["SOFT"]
    families = {"panw_panos", "cisco_asa", "cisco_ftd", "fortinet_fortigate", "suricata", "cef"}
    everything = [json.loads(line) for line in (samples / "parsers" / "eval.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in everything if row["vendor"] in families and len(row["raw"].splitlines()) <= 1]
    outs = list(parse_lines(normaliser, [row["raw"].rstrip("\r\n").encode() for row in rows]))
    tally = {"core": [0, 0], "soft": [0, 0]}
    parsed = 0
    for row, out in zip(rows, outs, strict=True):
        parsed += "parser" in out and not out["parser"].startswith("generic")
        for key, right in judge(row, out):  # type: ignore[operator]
            kind = "core" if key in core else "soft" if key in soft else ""  # type: ignore[operator]
            if kind:
                tally[kind][0] += right
                tally[kind][1] += 1
    assert len(rows) > 900
    assert parsed / len(rows) >= 0.99
    assert tally["core"][0] / tally["core"][1] >= 0.98
    assert tally["soft"][0] / tally["soft"][1] >= 0.95
