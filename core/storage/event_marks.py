"""What of a search one event met: which columns, and which parts of its line.

The engine that searched decides which values of the search the event has, each asked by itself; only where they stand in the line is found
here. What a NOT excludes is never marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import NotFound
from core.events import POSITION, parse_event_id
from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where, get_event
from core.storage.search_conditions import RAW, column_named, expression
from core.storage.search_language import All, Either, Node, Not, Term, Value, Within

_LIMITS: Final = Limits(seconds=10.0)


@dataclass(frozen=True, slots=True)
class Marks:
    """The columns whose values met the search, and [start, end) of each part of the line that did, in order, in characters."""

    columns: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


async def marks(store: Store, event_id: str, scope: Scope, search: Node | None) -> Marks:
    """What of `search` the event meets; NotFound when there is none within `scope`."""
    row = await get_event(store, event_id, scope)
    asked = list(_wanted(search))
    if not asked:
        return Marks((), ())
    met = await _met(store, event_id, asked)
    columns = dict.fromkeys(column_named(one.name).name for one in met if one.name)
    spans = [span for one in met for span in _spans(row, one)]
    return Marks(tuple(name for name in columns if name != RAW.name), _joined(spans))


def _wanted(node: Node | None, excluded: bool = False) -> Iterator[Term | Within]:
    """The tests that stand under no NOT, or under an even number of them."""
    match node:
        case All(parts) | Either(parts):
            for part in parts:
                yield from _wanted(part, excluded)
        case Not(part):
            yield from _wanted(part, not excluded)
        case Term() | Within() if not excluded:
            yield node


async def _met(store: Store, event_id: str, asked: Sequence[Term | Within]) -> list[Term | Within]:
    where = Where()
    tests = ", ".join(f"{expression(where, leaf)} AS m{place}" for place, leaf in enumerate(asked))
    for column, value in zip(POSITION, parse_event_id(event_id), strict=True):
        where.add(lambda p, name=column.name: f"{name} = {p}", (column.parameter, value))
    found = await store.query(f"SELECT {tests} FROM events WHERE {where.sql} LIMIT 1", where.params, _LIMITS)
    if not found.num_rows:
        raise NotFound(f"there is no event {event_id!r}")
    row = found.to_pylist()[0]
    return [leaf for place, leaf in enumerate(asked) if row[f"m{place}"]]


def _spans(row: Mapping[str, Any], leaf: Term | Within) -> Iterator[tuple[int, int]]:
    """Where in the line the test holds, or the value stands that met it."""
    line = row.get(RAW.name, "")
    column = column_named(leaf.name) if leaf.name else RAW
    if column is RAW:
        if isinstance(leaf, Term):
            yield from _pieces(line, leaf.value)
        return
    value = row.get(column.name)
    if value is None or isinstance(value, list):
        return
    joint = ":" if ":" in str(value) else "."  # what would make it part of a longer address or name
    pattern = rf"(?<![\w{joint}]){re.escape(str(value))}(?!\w|[{joint}]\w)"
    yield from (found.span() for found in re.finditer(pattern, line, re.IGNORECASE))


def _pieces(line: str, value: Value) -> Iterator[tuple[int, int]]:
    """Where the pieces of `value` stand: each time, or where `*` is between them once, one after the other."""
    segments = _segments(value)
    if len(segments) == 1:
        yield from (found.span(place) for found in segments[0].finditer(line) for place in range(1, segments[0].groups + 1))
        return
    at = 0
    for segment in segments:
        found = segment.search(line, at)
        if found is None:
            return
        yield from (found.span(place) for place in range(1, segment.groups + 1))
        at = found.end()


def _segments(value: Value) -> list[re.Pattern[str]]:
    """The parts between `*`, each of one length, so that no line makes looking for them slow."""
    texts = [_group(value.pieces[0])]
    for mark, piece in zip(value.wildcards, value.pieces[1:], strict=True):
        if mark == "*":
            texts.append(_group(piece))
        else:
            texts[-1] += "." + _group(piece)
    return [re.compile(text, re.IGNORECASE | re.ASCII | re.DOTALL) for text in texts if text]


def _group(piece: str) -> str:
    return f"({re.escape(piece)})" if piece else ""


def _joined(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The spans in order, those that touch made one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)
