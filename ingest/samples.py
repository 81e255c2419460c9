"""A parser's samples: `samples/<name>/*.log` beside the parsers, and what must come of each line in `.expected.jsonl` beside it.

A sample is read as an unknown source's line would be: recognised among all parsers, then parsed; and always as if received at `RECEIVED`,
for a line without a year or a time takes what it lacks from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from core.errors import FileError
from ingest.normalise import Normaliser
from ingest.parse_lines import parse_lines
from ingest.parser import WORDS, Definition

RECEIVED: Final = datetime(2026, 3, 5, 6, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Difference:
    """Line `line` (from 1) of a sample gave something else in `column`; None where there is nothing."""

    file: Path
    line: int
    column: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.column}: expected {_shown(self.expected)}, found {_shown(self.found)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def files_of(definition: Definition) -> list[Path]:
    """The sample files of a parser, by name."""
    return sorted((definition.file.parent / "samples" / definition.name).glob("*.log"))


def expected_file(file: Path) -> Path:
    """Where the objects stand that the lines of `file` must give."""
    return file.with_suffix(".expected.jsonl")


def parsed(normaliser: Normaliser, file: Path) -> list[dict[str, Any]]:
    """What the lines of a sample give now."""
    return list(parse_lines(normaliser, file.read_bytes().splitlines()))


def expected(file: Path) -> list[dict[str, Any]]:
    """What the lines of a sample must give; FileError when that is not written, or is not JSON."""
    beside = expected_file(file)
    try:
        return [json.loads(line) for line in beside.read_text("utf-8").splitlines()]
    except OSError as error:
        raise FileError(beside, "is not there: look at what comes out, then `bongsu parsers test --accept`") from error
    except ValueError as error:
        raise FileError(beside, f"is not JSON lines: {error}") from error


def differences(normaliser: Normaliser, file: Path) -> Iterator[Difference]:
    """Everything in which a sample gives something else than expected."""
    nothing: dict[str, Any] = {}
    for number, (want, got) in enumerate(zip_longest(expected(file), parsed(normaliser, file), fillvalue=nothing), 1):
        for column in sorted({*want, *got}):
            if want.get(column) != got.get(column):
                yield Difference(file, number, column, want.get(column), got.get(column))


def accept(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write what the lines of a sample gave as what they must give."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    expected_file(file).write_text("\n".join(lines) + "\n", "utf-8")


def unknown_words(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Line (from 1) and complaint for each value that is not one of the words its column may hold."""
    for number, row in enumerate(rows, 1):
        for column, words in WORDS.items():
            if column in row and row[column] not in words:
                yield number, f"{column} is {row[column]!r}, which is none of {', '.join(map(str, words))}"
        if row.get("proto", "") != row.get("proto", "").lower():
            yield number, f"proto is {row['proto']!r}; use proto(...), which gives the keyword in lower case"
