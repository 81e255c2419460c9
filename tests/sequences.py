"""Timed sequences of raw lines, as samples of correlations write them (docs/adding-a-rule.md), and what fires on them.

A sequence begins on 4 May 2026 at `begins` (10:00, Korean time). Each step has a `line`, which comes `after` the one before (0s) and may
come `repeat` times; `agency` is whose it is (gu). In a line stand for its time `{date}` `{time}` `{bsd}` `{clf}` (Korean time), `{epoch}`
(seconds) and `{utc}`, and `{n}` and `{hex}` for the number of the repetition, from 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pyarrow as pa

from core.engine import Engine
from detect.correlation.definition import Correlation
from detect.correlation.history import fires
from detect.correlation.resolve import AGENCY
from detect.rules import Rule, RuleBook
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from tests.parsing import record

KST: Final = timezone(timedelta(hours=9))
_DAY: Final = datetime(2026, 5, 4, tzinfo=KST)
_BEGINS: Final = "10:00"
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def lines(sequence: Mapping[str, Any]) -> Iterator[tuple[datetime, str, str]]:
    """Time (UTC), agency and text of each line."""
    hour, minute = str(sequence.get("begins", _BEGINS)).split(":")
    at = _DAY.replace(hour=int(hour), minute=int(minute))
    for step in sequence["lines"]:
        for number in range(1, step.get("repeat", 1) + 1):
            at += _span(step.get("after", "0s"))
            yield at.astimezone(UTC), step.get("agency", "gu"), _filled(step["line"], at, number)


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)(ms|[smhd])", text)
    assert found, f"{text!r} is no span such as 5m"
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _filled(line: str, at: datetime, number: int) -> str:
    month = _MONTHS[at.month - 1]
    values = {
        "date": f"{at:%Y-%m-%d}",
        "time": f"{at:%H:%M:%S}",
        "bsd": f"{month} {at.day:2} {at:%H:%M:%S}",
        "clf": f"{at.day:02}/{month}/{at:%Y:%H:%M:%S %z}",
        "epoch": str(int(at.timestamp())),
        "utc": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}",
        "n": str(number),
        "hex": f"{number:02X}",
    }
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), line)


def events(normaliser: Normaliser, sequence: Mapping[str, Any]) -> pa.Table:
    """The events of a sequence, by the real parsers; every line must be one."""
    records = [
        record([text.encode()], offset, origin=Origin(agency, "samples", "file"), at=at)
        for offset, (at, agency, text) in enumerate(lines(sequence))
    ]
    done = normaliser.normalise(records, "e1")
    assert done.quarantine.num_rows == 0, done.quarantine.select(["raw", "reason", "detail"]).slice(0, 3).to_pylist()
    return done.events


def part_of(book: RuleBook, correlation: Correlation) -> RuleBook:
    """The correlation and what it is made of."""
    known: dict[str, Rule | Correlation] = {name: one for one in (*book.rules, *book.correlations) for name in (one.id, one.name) if name}
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
