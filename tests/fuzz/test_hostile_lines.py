"""Hostile lines end in exactly one row each, and leave the normaliser able to read good ones. `tests.fuzz.million` runs many more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.events import EVENTS
from ingest.encoding import to_text
from ingest.normalise import Normaliser
from ingest.parse import PARSER_FAILED
from tests.fuzz.hostile import lines
from tests.parsing import fortigate, opened, record


@pytest.fixture(scope="module")
def normaliser() -> Iterator[Normaliser]:
    with opened() as normaliser:
        yield normaliser


def assert_accounted_for(normaliser: Normaliser, batch: list[bytes]) -> None:
    done = normaliser.normalise([record(batch, offset=1), record([fortigate()], offset=2)], "fuzz")
    done.events.validate(full=True)
    done.quarantine.validate(full=True)
    assert done.events.schema.equals(EVENTS.schema)
    rows = [*done.events.select(["raw_offset", "raw_line"]).to_pylist(), *done.quarantine.select(["raw_offset", "raw_line"]).to_pylist()]
    assert sorted(row["raw_line"] for row in rows if row["raw_offset"] == 1) == to_text(batch).places.tolist()
    assert [row["parser"] for row in done.events.select(["raw_offset", "parser"]).to_pylist() if row["raw_offset"] == 2] == ["fortigate"]
    assert PARSER_FAILED not in done.quarantine["reason"].to_pylist()


def test_thousands_of_mutated_lines_of_every_parser(normaliser: Normaliser) -> None:
    assert_accounted_for(normaliser, list(lines(seed=7, count=3000)))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1 << 32), noise=st.lists(st.binary(max_size=2000), max_size=20))
def test_any_lines_among_mutated_ones(normaliser: Normaliser, seed: int, noise: list[bytes]) -> None:
    assert_accounted_for(normaliser, [*lines(seed, 20), *(piece.replace(b"\n", b"") for piece in noise)])


def test_the_same_seed_gives_the_same_lines() -> None:
    assert list(lines(3, 200)) == list(lines(3, 200))
    assert max(map(len, lines(3, 2000))) > 30_000
