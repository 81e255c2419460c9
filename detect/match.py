"""Cases for `bongsu rules match`: does this rule match this event? Judged by the compiler and the engine that production uses.

An event is any JSON object, its fields used as they are named: a field's dotted name is followed into nested objects by every way of
cutting it at dots, and into each element of a list. A field has as many values as it leads to; a test holds when one of them passes.
Values are compared as text: numbers as JSON writes them (10.0 is 10), truth values as true and false; null is no value, but `exists` holds.
A keyword is searched in every value of the event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from core.engine import Engine, Session
from core.errors import StoreError
from detect import rules
from detect.compile import expression
from detect.fields import LINE, ObjectFields
from detect.tree import AnyOf, Node, fields_of

Case = Mapping[str, Any]
_CHUNK: Final = 512
_VALUES: Final = pa.list_(pa.string())


class _CaseError(ValueError):
    """What is wrong with a case."""


def match_cases(engine: Engine, cases: Iterable[Case]) -> Iterator[dict[str, Any]]:
    """For each case `{"id", "rule_yaml", "event"}`, in order, `{"id", "match": bool}`, or `{"id", "error": reason}`.

    `rule_yaml` may hold several documents: rules, any of which may match, and filters. `placeholders`, a map of lists, may give the
    values of `expand`. A case is never stopped by another one.
    """
    session = engine.session({"max_threads": 1})
    waiting = iter(cases)
    try:
        while chunk := list(islice(waiting, _CHUNK)):
            yield from _judged(session, chunk)
    finally:
        session.close()


def _judged(session: Session, chunk: Sequence[Case]) -> list[dict[str, Any]]:
    """Cases of one rule text go through the engine together."""
    groups: dict[str, list[int]] = {}
    for position, case in enumerate(chunk):
        key = json.dumps([case.get("rule_yaml"), case.get("placeholders")], sort_keys=True, default=str)
        groups.setdefault(key, []).append(position)
    results: list[dict[str, Any]] = [{"id": case.get("id")} for case in chunk]
    for positions in groups.values():
        for position, result in zip(positions, _group(session, [chunk[p] for p in positions]), strict=True):
            results[position].update(result)
    return results


def _group(session: Session, cases: Sequence[Case]) -> list[dict[str, Any]]:
    try:
        tree = _tree(cases[0])
    except _CaseError as error:
        return [{"error": str(error)} for _ in cases]
    if not all(isinstance(case.get("event"), Mapping) for case in cases):
        return _apart(session, cases, "the case's 'event' is not an object")
    try:
        return [{"match": hit} for hit in hits(session, tree, [case["event"] for case in cases])]
    except StoreError as error:
        return _apart(session, cases, f"the engine refuses the rule: {error}")


def _apart(session: Session, cases: Sequence[Case], reason: str) -> list[dict[str, Any]]:
    """Each case on its own, so that the reason stays with the case it is true of."""
    return [{"error": reason}] if len(cases) == 1 else [result for case in cases for result in _group(session, [case])]


def _tree(case: Case) -> Node:
    text, placeholders = case.get("rule_yaml"), case.get("placeholders") or {}
    if not isinstance(text, str) or not isinstance(placeholders, Mapping):
        raise _CaseError("the case's 'rule_yaml' is not text, or its 'placeholders' not an object")
    book = rules.parse(text, "rule_yaml", placeholders, strict=False)
    if book.set_aside:
        raise _CaseError("; ".join(str(error) for error in book.set_aside))
    if not book.rules:
        raise _CaseError("there is no rule in 'rule_yaml'")
    return AnyOf(tuple(rule.tree for rule in book.rules))


def hits(session: Session, tree: Node, events: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Whether `tree` holds for each of `events`."""
    names = sorted(fields_of(tree))
    compiled = expression(tree, ObjectFields(names))
    columns = columns_of(events, names).append_column("position", pa.array(range(len(events)), pa.uint32()))
    found = session.arrow(f"SELECT position FROM Python(rows) WHERE {compiled.sql}", columns)
    positions = set(found.column("position").to_pylist())
    return [position in positions for position in range(len(events))]


def columns_of(events: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pa.Table:
    """The columns that `ObjectFields(names)` tells of."""
    columns = {}
    for position, name in enumerate(names):
        columns[f"f{position}"] = pa.array([values_of(event, name) for event in events], _VALUES)
        columns[f"there_f{position}"] = pa.array([reaches(event, name) for event in events], pa.bool_())
    columns[LINE] = pa.array([list(_leaves(event)) for event in events], _VALUES)
    return pa.table(columns)


def reaches(event: Mapping[str, Any], name: str) -> bool:
    """Whether the dotted `name` leads anywhere, be it to null."""
    return any(True for _ in _reached(event, name))


def values_of(event: Any, name: str) -> list[str]:
    """Every value the dotted `name` leads to, as text."""
    return [text for value in _reached(event, name) for text in _texts(value)]


def _reached(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, list):
        for element in value:
            yield from _reached(element, name)
    elif isinstance(value, Mapping):
        if name in value:
            yield value[name]
        for at, character in enumerate(name):
            if character == "." and name[:at] in value:
                yield from _reached(value[name[:at]], name[at + 1 :])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for element in value:
            yield from _texts(element)
    elif value is not None:
        yield text_of(value)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping | list):
        for child in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(child)
    elif value is not None:
        yield text_of(value)


def text_of(value: Any) -> str:
    """A single value that is not null as the text it is compared as."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
