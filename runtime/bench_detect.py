"""How many events a second a rule set judges on one core: `bongsu bench detect`.

JSON events are judged by every rule, whatever its log source, by the names their fields have (`detect.objects`); reading the file and the
JSON count. Raw lines go through the parsers first, which does not count, and then through the plan that production runs, routed by
log class. What is prepared once, the reading of the rules and the plans the events need, is told apart: the events are judged twice, and
the second time is the figure.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.clock import SystemClock
from core.config import Settings
from core.engine import Engine, Session
from core.errors import FileError, RuleError
from detect.objects import ObjectRules
from detect.rules import Rule, RuleBook, load, parse
from detect.ruleset import SETTINGS, compile_rules
from ingest.compile import ParserSet
from ingest.normalise import Normaliser
from runtime.bench import normalised

_BATCH_BYTES: Final = 64 << 20
_LINES_A_MESSAGE: Final = 16_384
_MESSAGES_A_BATCH: Final = 4
_NEWLINE: Final = 10
_RETURN: Final = 13
_PIECE: Final = 1 << 19


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcome; seconds of load and compile are CPU seconds. `by_rule` has the rules that matched, the most first."""

    rules: int
    set_aside: Sequence[str]
    load: float
    compile: float
    events: int
    unreadable: int
    wall: float
    cpu: float
    matches: int
    by_rule: Sequence[tuple[Rule, int]]


def run(rules: Path, events: Path, *, raw: bool) -> Judged:
    """Judge every event of `events`. FileError when a file cannot be read."""
    began = time.process_time()
    book = _book(rules)
    loaded = time.process_time() - began
    engine = Engine()
    try:
        session = engine.session({**SETTINGS, "max_threads": 1})
        try:
            return _of_lines(engine, session, book, events, loaded) if raw else _of_objects(session, book, events, loaded)
        finally:
            session.close()
    finally:
        engine.close()


def _book(rules: Path) -> RuleBook:
    if rules.is_dir():
        return load([rules])
    try:
        return parse(rules.read_text("utf-8"), str(rules))
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(rules, f"cannot be read: {error}") from error


def _of_objects(session: Session, book: RuleBook, events: Path, loaded: float) -> Judged:
    judge = ObjectRules(book.rules, session)
    first = _timed(judge.run(lines).rules for lines in batches(events))
    unreadable = judge.unreadable
    second = _timed(judge.run(lines).rules for lines in batches(events))
    count = sum(len(lines) for lines in batches(events))
    return _judged(judge.rules, (*book.set_aside, *judge.set_aside.values()), loaded, first, second, count, unreadable)


def _of_lines(engine: Engine, session: Session, book: RuleBook, events: Path, loaded: float) -> Judged:
    tables = list(_normalised(engine, events))
    began = time.process_time()
    plan = compile_rules(book.rules, session, book.set_aside)
    loaded += time.process_time() - began
    first = _timed(plan.run(session, table).rules for table in tables)
    second = _timed(plan.run(session, table).rules for table in tables)
    count = sum(table.num_rows for table in tables)
    unread = sum(len(lines) for lines in batches(events)) - count
    return _judged([one.rule for one in plan.rules], plan.set_aside, loaded, first, second, count, unread)


@dataclass(frozen=True, slots=True)
class _Pass:
    wall: float
    cpu: float
    counts: Counter[int]


def _timed(found: Iterator[Any]) -> _Pass:
    wall, cpu = time.perf_counter(), time.process_time()
    counts: Counter[int] = Counter()
    for rules in found:
        numbers, times = np.unique(rules, return_counts=True)
        counts.update(dict(zip(numbers.tolist(), times.tolist(), strict=True)))
    return _Pass(time.perf_counter() - wall, time.process_time() - cpu, counts)


def _judged(
    rules: Sequence[Rule], set_aside: Sequence[RuleError], loaded: float, first: _Pass, second: _Pass, events: int, unreadable: int
) -> Judged:
    return Judged(
        rules=len(rules),
        set_aside=[str(error) for error in set_aside],
        load=loaded,
        compile=max(0.0, first.cpu - second.cpu),
        events=events,
        unreadable=unreadable,
        wall=second.wall,
        cpu=second.cpu,
        matches=second.counts.total(),
        by_rule=[(rules[number], count) for number, count in second.counts.most_common()],
    )


def batches(file: Path) -> Iterator[pa.Array]:
    """The lines of `file`, some megabytes at once, each with its line end; blank ones are left out."""
    try:
        with file.open("rb") as opened:
            rest = b""
            while block := opened.read(_BATCH_BYTES):
                text = rest + block
                whole = text.rfind(b"\n") + 1
                if whole:
                    yield _lines(text, whole)
                rest = text[whole:]
            if rest:
                yield _lines(rest, len(rest))
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error


def _lines(text: bytes, size: int) -> pa.Array:
    """The lines of the first `size` bytes of `text`; what is no UTF-8 is replaced."""
    ends = _line_ends(np.frombuffer(text, np.uint8, size))
    starts = np.concatenate(([0], ends[:-1]))
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(text))
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        replaced = text[:size].decode("utf-8", "replace").encode()
        return _lines(replaced, len(replaced))
    first = np.frombuffer(text, np.uint8, size)[starts]
    blank = (first == _NEWLINE) | ((first == _RETURN) & (ends - starts <= len("\r\n")))
    return lines.filter(pa.array(~blank)) if blank.any() else lines


def _line_ends(text: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Where lines end, looked for in pieces that fit the processor's cache."""
    found = [np.flatnonzero(text[at : at + _PIECE] == _NEWLINE) + at + 1 for at in range(0, len(text), _PIECE)]
    ends = np.concatenate(found)
    return ends if len(ends) and ends[-1] == len(text) else np.append(ends, len(text))


def _normalised(engine: Engine, file: Path) -> Iterator[pa.Table]:
    settings = Settings().intake
    normaliser = Normaliser(engine, ParserSet.open(engine, settings), settings, SystemClock())
    try:
        for lines in batches(file):
            raw = [line.encode().rstrip(b"\r\n") for line in lines.to_pylist()]
            blobs = [b"\n".join(raw[at : at + _LINES_A_MESSAGE]) for at in range(0, len(raw), _LINES_A_MESSAGE)]
            yield from normalised(normaliser, blobs, _MESSAGES_A_BATCH)
    finally:
        normaliser.close()
