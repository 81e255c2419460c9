"""Gates let through every line their condition holds for, and are read from conditions as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from ingest import parser
from ingest.compile import ParserSet
from ingest.detection import Detection
from ingest.encoding import to_text
from ingest.gates import gate
from ingest.normalise import Normaliser
from tests.parsing import opened, table


@pytest.mark.parametrize(
    ("condition", "patterns"),
    [
        ("position(head, 'abc=') > 0", {"abc="}),
        ("position(head, 'abc=')", {"abc="}),
        ("(position(head, 'abc=') > 0 AND position(rest, 'longer=') > 0)", {"longer="}),
        ("position(head, 'abc=') > 0 OR startsWith(head, 'xyz')", {"abc=", "xyz"}),
        ("multiSearchAny(head, ['one', 'two\\t'])", {"one", "two\\\t"}),
        ("match(head, '^CEF: ?[0-9]')", {"CEF:(?:\\ ){0,1}[0-9]"}),
        ("match(head, 'a(?:bcd|efgh)+ij')", {"a(?:bcd|efgh)", "(?:bcd|efgh)ij"}),
        ("app IN ('su', 'sudo')", {"(?:^|[ :])(?:su|sudo)(?:[\\[: ]|$)"}),
        ("position(head, 'abc') > 0 AND NOT startsWith(head, 'CEF:')", {"abc"}),
        ("position(head, 'abc=') > 0 OR length(head) > 9", None),
        ("position(head, 'abc=') = 0", None),
        ("NOT match(head, 'abc')", None),
        ("position(head, 'ab') > 0", None),
        ("position(lower(head), 'abc') > 0", None),
        ("position(line, '<13>') > 0", None),
        ("match(head, '(?i)abc')", None),
        ("match(head, 'a?b?c?')", None),
        ("match(head, concat('abc', 'd'))", None),
    ],
)
def test_what_a_condition_needs_is_read_from_it(condition: str, patterns: set[str] | None) -> None:
    found = gate(condition)
    assert (found is None) == (patterns is None)
    if found and patterns:
        assert found.patterns <= patterns
        assert all(re.compile(pattern) for pattern in found.patterns)


@pytest.fixture(scope="module")
def normaliser() -> Iterator[Normaliser]:
    with opened() as normaliser:
        yield normaliser


def test_gates_change_no_lines_parser(normaliser: Normaliser) -> None:
    """Each parser's condition asked of every sample of every parser, against what the detection says."""
    files = sorted((parser.FOLDER / "samples").glob("*/*.log"))
    lines = table([text for file in files for text in to_text(file.read_bytes().splitlines()).text.to_pylist()])
    rows = np.arange(lines.num_rows)
    detection = Detection(ParserSet.load())
    wanted = np.zeros(len(rows), int)
    for place, one in enumerate(detection.order, 1):
        known = normaliser.session.arrow(one.question, lines, {"zone": "UTC"})["known"].to_numpy()
        wanted[(wanted == 0) & (known > 0)] = place

    def query(select: str, chosen: np.ndarray, take: object) -> np.ndarray:
        take(np.arange(len(chosen)), normaliser.session.arrow(select, lines.take(chosen), {"zone": "UTC"}))  # type: ignore[operator]
        return np.zeros(0, int)

    found = detection.claims(rows, query)
    names = ["", *(one.name for one in detection.order)]
    assert [(names[a], names[b]) for a, b in zip(found, wanted, strict=True) if a != b] == []
    assert len(set(found.tolist())) > len(detection.order) / 2


def test_most_parsers_have_a_gate() -> None:
    parsers = ParserSet.load().parsers
    assert sum(gate(one.definition.recognise) is not None for one in parsers) > 0.8 * len(parsers)
