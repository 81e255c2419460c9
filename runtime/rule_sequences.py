"""Samples of correlations: timed sequences of raw lines, and the groups that the correlation must fire for.

`<rule file>.samples.yml` holds `sequences`, a list of {because, begins, lines, fires}. A sequence begins on 4 May 2026 at `begins` (10:00,
Korean time). Each step has a `line`, which comes `after` the one before (0s), and may be repeated `repeat` times; `agency` is whose it is
(gu). What stands in braces in a line is filled in (`core.line_templates`). `docs/adding-a-rule.md` explains it to people who write rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import yaml

from core.bus.contract import Record
from core.clock import KST
from core.engine import Engine
from core.errors import FileError
from core.line_templates import filled
from core.topics import LOGS_RAW
from detect.correlation.definition import Correlation
from detect.correlation.history import fires
from detect.correlation.resolve import AGENCY
from detect.rules import Rule, RuleBook
from ingest import rawbatch
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from runtime.rule_samples import Difference, file_of

_DAY: Final = datetime(2026, 5, 4, tzinfo=KST)
_BEGINS: Final = "10:00"
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}

Told = Mapping[str, Any]
"""A sequence as it is written."""


def sequences_of(file: Path) -> list[Told]:
    """The sequences of a file; FileError when it is not one."""
    try:
        told = (yaml.safe_load(file.read_text("utf-8")) or {}).get("sequences") or []
        for sequence in told:
            if not list(lines(sequence)):
                raise ValueError("a sequence has lines")
            if not isinstance(sequence["fires"], list):
                raise TypeError("fires must be a list of groups")
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise FileError(file, f"must hold sequences, a list of maps with lines and fires: {error}") from error
    return list(told)


def lines(sequence: Mapping[str, Any]) -> Iterator[tuple[datetime, str, str]]:
    """Time (UTC), agency and text of each line."""
    hour, minute = str(sequence.get("begins", _BEGINS)).split(":")
    at = _DAY.replace(hour=int(hour), minute=int(minute))
    for step in sequence["lines"]:
        for number in range(1, step.get("repeat", 1) + 1):
            at += _span(step.get("after", "0s"))
            yield at.astimezone(UTC), step.get("agency", "gu"), filled(step["line"], at, number)


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)(ms|[smhd])", text)
    if not found:
        raise ValueError(f"{text!r} is no span such as 5m")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def differences(reader: Normaliser, engine: Engine, book: RuleBook, correlations: Sequence[Correlation]) -> Iterator[Difference]:
    """What comes out otherwise than the samples of `correlations`, which have some, say."""
    for correlation in correlations:
        file = file_of(Path(correlation.file))
        for number, sequence in enumerate(sequences_of(file), 1):
            if problem := _problem(reader, engine, book, correlation, sequence):
                yield Difference(file, f"sequence {number}", str(sequence.get("because", "")), problem)


def _problem(reader: Normaliser, engine: Engine, book: RuleBook, correlation: Correlation, sequence: Told) -> str:
    events, refused = events_of(reader, sequence)
    if refused:
        return f"a line goes to quarantine: {refused}"
    found = groups(engine, book, correlation, events)
    return "" if found == sequence["fires"] else f"it fires for {found or 'nobody'}, not for {sequence['fires'] or 'nobody'}"


def events_of(reader: Normaliser, sequence: Told) -> tuple[pa.Table, str]:
    """The events of a sequence, by the real parsers, and why its first line that is none is none."""
    records = []
    for offset, (at, agency, text) in enumerate(lines(sequence)):
        message = rawbatch.message(Origin(agency, "samples", "file"), at, [text.encode()])
        records.append(Record(LOGS_RAW, 0, offset, message.value, message.headers, at))
    done = reader.normalise(records, "samples")
    first = done.quarantine.select(["reason", "detail", "raw"]).slice(0, 1).to_pylist()
    return done.events, f"{first[0]['reason']} {first[0]['detail']}: {first[0]['raw']}" if first else ""


def part_of(book: RuleBook, correlation: Correlation) -> RuleBook:
    """The correlation and what it is made of."""
    everything: list[Rule | Correlation] = [*book.rules, *book.correlations]
    known = {name: one for one in everything for name in (one.id, one.name) if name}
    found: list[Rule | Correlation] = []
    waiting: list[Rule | Correlation] = [correlation]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.append(one)
            waiting += [known[name] for name in one.members] if isinstance(one, Correlation) else []
    rules = tuple(one for one in found if isinstance(one, Rule))
    return RuleBook(rules, (), tuple(one for one in found if isinstance(one, Correlation)))


def groups(engine: Engine, book: RuleBook, correlation: Correlation, rows: pa.Table) -> list[dict[str, str]]:
    """What the firings of `correlation` are grouped by, each once; the agency only where nothing else is."""
    fired = fires(part_of(book, correlation), rows, engine).to_pylist()
    said: Sequence[dict[str, str]] = [json.loads(row["details"])["group"] for row in fired if row["rule_id"] == correlation.id]
    named = [{name: value for name, value in one.items() if name != AGENCY} or one for one in said]
    return [dict(pairs) for pairs in dict.fromkeys(tuple(one.items()) for one in named)]
