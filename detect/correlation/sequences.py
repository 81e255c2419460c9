"""Timed events judged by whole rule texts: what `bongsu rules match --sequences` prints, through the statements production uses.

An event is an object as in `detect.match`. Steps are events in the order they arrive, each at `t` seconds. A correlation fires at a step
when the step's event is a match that completes it (`detect.correlation.windows`); a correlation of correlations takes these as matches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan
from typing import Any

import pyarrow as pa

from core.engine import Engine, Session
from core.errors import StoreError
from detect import match, rules
from detect.correlation.definition import Correlation, Kind
from detect.correlation.windows import MATCHES, completions

_Key = Mapping[str, str]


class _SequenceError(ValueError):
    """What is wrong with a sequence."""


def match_sequences(engine: Engine, sequences: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """For each `{"id", "rules_yaml", "steps": [{"t", "event"}]}` in order `{"id", "fires": [{"step", "correlation"}]}`, or its `error`.

    Steps count from 0; `correlation` is the title. A sequence is never stopped by another one.
    """
    session = engine.session({"max_threads": 1})
    try:
        for sequence in sequences:
            try:
                yield {"id": sequence.get("id"), "fires": _fires(session, sequence)}
            except (_SequenceError, StoreError) as error:
                yield {"id": sequence.get("id"), "error": str(error)}
    finally:
        session.close()


def _fires(session: Session, sequence: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps = _steps(sequence)
    book = rules.parse(str(sequence.get("rules_yaml", "")), "rules_yaml", sequence.get("placeholders") or {}, strict=False)
    if book.set_aside:
        raise _SequenceError("; ".join(str(error) for error in book.set_aside))
    judge = _Judge(session, book, steps)
    found = [
        {"step": step, "correlation": correlation.title, **_told(value, key)}
        for correlation in book.correlations
        for step, key, value in judge.fired(correlation)
    ]
    return sorted(found, key=lambda one: one["step"])


def _told(value: float | None, key: _Key) -> dict[str, Any]:
    return {"value": value, "group": dict(key)} if value is not None else {"group": dict(key)}


def _steps(sequence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    steps = sequence.get("steps")
    if not isinstance(steps, list) or not all(
        isinstance(step, Mapping) and isinstance(step.get("event"), Mapping) and isinstance(step.get("t"), int | float) for step in steps
    ):
        raise _SequenceError("steps must be a list of objects with a number t and an object event")
    return steps


class _Judge:
    """The matches of one sequence, each rule and correlation judged once."""

    def __init__(self, session: Session, book: rules.RuleBook, steps: Sequence[Mapping[str, Any]]) -> None:
        self._session = session
        self._events = [step["event"] for step in steps]
        self._times = [int(step["t"] * 1000) for step in steps]
        self._rules = {name: rule for rule in book.rules for name in (rule.id, rule.name) if name}
        self._correlations = {name: one for one in book.correlations for name in (one.id, one.name) if name}
        self._hits: dict[int, list[int]] = {}
        self._done: dict[int, list[tuple[int, _Key, float | None]]] = {}
        self._open: set[int] = set()

    def fired(self, correlation: Correlation) -> list[tuple[int, _Key, float | None]]:
        """Step, values of group-by and the number of each completing match."""
        known = id(correlation)
        if known in self._done:
            return self._done[known]
        if known in self._open:
            raise _SequenceError(f"the correlation {correlation.title!r} refers to itself")
        self._open.add(known)
        keys: dict[str, _Key] = {}
        rows = [row for place, member in enumerate(correlation.members) for row in self._rows(correlation, place, member, keys)]
        found = completions(correlation, pa.Table.from_pylist(rows, schema=MATCHES))
        fired = {
            (rows[row]["seq"], rows[row]["key"]): None if isnan(value) else value
            for row, value in zip(found.rows.tolist(), found.values.tolist(), strict=True)
        }
        self._done[known] = [(seq, keys[key], value) for (seq, key), value in fired.items()]
        return self._done[known]

    def _rows(self, correlation: Correlation, place: int, member: str, keys: dict[str, _Key]) -> Iterator[dict[str, Any]]:
        """The matches of one member as rows of the statement."""
        for step, event, names, number in self._matches(member):
            key = {name: _first(event, correlation.field_of(name, *names)) for name in correlation.group_by}
            if None in key.values():
                continue
            text = json.dumps(list(key.values()), ensure_ascii=False)
            keys[text] = {name: str(value) for name, value in key.items()}
            values = [_first(event, correlation.field_of(name, *names)) for name in correlation.fields]
            yield {
                "member": place,
                "key": text,
                "at": self._times[step],
                "seq": step,
                "text": None if None in values or not values else json.dumps(values),
                "number": _number(values[0], number) if values and correlation.kind is not Kind.VALUE_COUNT else None,
            }

    def _matches(self, member: str) -> Iterator[tuple[int, Mapping[str, Any], tuple[str, ...], float | None]]:
        """Step, event (of a correlation: its group), what the member is called, and a correlation's number."""
        if rule := self._rules.get(member):
            for step in self._steps_of(rule):
                yield step, self._events[step], (rule.id, rule.name), None
        elif inner := self._correlations.get(member):
            for step, key, value in self.fired(inner):
                yield step, key, (inner.id, inner.name), value
        else:
            raise _SequenceError(f"there is no rule {member!r}")

    def _steps_of(self, rule: rules.Rule) -> list[int]:
        if id(rule) not in self._hits:
            hits = match.hits(self._session, rule.tree, self._events)
            self._hits[id(rule)] = [step for step, hit in enumerate(hits) if hit]
        return self._hits[id(rule)]


def _first(event: Mapping[str, Any], name: str) -> str | None:
    return next(iter(match.values_of(event, name)), None)


def _number(text: str | None, of_correlation: float | None) -> float | None:
    if text is None:
        return of_correlation
    try:
        return float(text)
    except ValueError:
        return None
