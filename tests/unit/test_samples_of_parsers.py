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
from tests.public_samples import FAMILIES, scores

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
    claims: list[list[str]] = [[] for _ in lines]
    for one in normaliser.parsers.parsers:
        if one.tier is Tier.PRODUCT:
            answer = normaliser.session.arrow(one.question, table(lines), {"zone": "UTC"})
            for place in np.flatnonzero(answer["known"].to_numpy()):
                claims[place].append(one.name)
    assert {line[:200]: names for line, names in zip(lines, claims, strict=True) if len(names) > 1} == {}
    assert sum(map(bool, claims)) > len(lines) / 2


def test_public_samples_are_read_as_well_as_promised(samples: Path, normaliser: Normaliser) -> None:
    """Lines of other people's test data, scored by the script that comes with them."""
    found, total = scores(normaliser, samples)
    assert total.lines > 4700
    assert {score.vendor for score in found} == set(FAMILIES)
    assert (total.read_share >= 0.99, total.core_share >= 0.98, total.soft_share >= 0.95) == (True, True, True)
    assert [score.vendor for score in found if score.lines - score.read > max(2, 0.02 * score.lines)] == []
    assert [score.vendor for score in found if score.core_share < 0.95 and score.core[1] >= 20] == []
    assert [score.vendor for score in found if score.soft_share < 0.7] == []
