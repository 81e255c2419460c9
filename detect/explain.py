"""One event and one rule: which part of the condition held, and which did not. Every part is judged by the engine, as production does.

The parts of a rule are named as in its `detection`; a part that stands in the condition without being one of these has no name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from ipaddress import IPv6Address
from typing import Any, Final

import pyarrow as pa
from sigma.rule import SigmaRule

from core.engine import Session
from core.events import EVENTS, Kind
from detect import logsources, match, meaning
from detect.compile import anywhere, expression
from detect.event_columns import as_stored
from detect.fields import EventFields, Fields, ObjectFields
from detect.rules import Rule
from detect.tree import (
    AllOf,
    AnyOf,
    Boolean,
    Compare,
    Exists,
    Item,
    Negation,
    Network,
    Node,
    Null,
    Number,
    Pattern,
    Reference,
    Regex,
    Test,
    TimePart,
    Wild,
    fields_of,
)

_LONGEST: Final = 200  # characters of a value that are shown


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the condition. `what` is `all of`, `any of`, `not` or the test; `value` is what the tested field holds, None when absent.

    `remark` says more, such as that no event of ours has the field.
    """

    what: str
    holds: bool
    name: str = ""
    value: str | None = None
    remark: str = ""
    parts: tuple[Part, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def of_event(session: Session, rule: Rule, events: pa.Table) -> Part:
    """The rule on the one row of `events` (columns of EVENTS): its log source, then its condition."""
    return of_events(session, rule, events)[0]


def of_events(session: Session, rule: Rule, events: pa.Table) -> list[Part]:
    """The same for each row of `events`, in their order and in one statement."""
    fields, rows = EventFields(), events.to_pylist()
    columns = ", ".join(as_stored(EVENTS.column(name)) for name in events.column_names)
    values = [lambda name, row=row: _of_column(fields, row, name) for row in rows]
    judge = _Judge(session, f"(SELECT {columns} FROM Python(rows))", events, fields, values)
    conditions = judge.parts(rule.tree, _names(rule))
    sources = [_log_source(rule, row) for row in rows]
    return [
        Part("all of", source.holds and condition.holds, rule.title, parts=(source, condition))
        for source, condition in zip(sources, conditions, strict=True)
    ]


def of_object(session: Session, rule: Rule, event: Mapping[str, Any]) -> Part:
    """The condition on an object whose fields are used as they are named (`detect.match`); the log source is not looked at."""
    names = sorted(fields_of(rule.tree))
    judge = _Judge(session, "Python(rows)", match.columns_of([event], names), ObjectFields(names), [lambda name: _of_object(event, name)])
    return judge.parts(rule.tree, _names(rule))[0]


_Value = Callable[[str | None], tuple[str | None, str]]
"""What a field of a row holds, and a remark about it."""


class _Judge:
    """Judges all parts of a tree in one statement over rows; `values` tells of the fields of each."""

    def __init__(self, session: Session, source: str, rows: pa.Table, fields: Fields, values: Sequence[_Value]) -> None:
        self._session = session
        self._source = source
        self._rows = rows
        self._fields = fields
        self._values = values

    def parts(self, tree: Node, names: Mapping[Hashable, str]) -> list[Part]:
        nodes = list(_every(tree))
        tests = ", ".join(f"toUInt8({expression(node, self._fields).sql}) AS t{place}" for place, node in enumerate(nodes))
        found = self._session.arrow(f"SELECT {tests} FROM {self._source} SETTINGS max_threads = 1", self._rows).to_pylist()
        return [
            _told(tree, names, {id(node): bool(row[f"t{place}"]) for place, node in enumerate(nodes)}, value)
            for row, value in zip(found, self._values, strict=True)
        ]


def _told(node: Node, names: Mapping[Hashable, str], held: Mapping[int, bool], value: _Value) -> Part:
    name, holds = names.get(_alike(node), ""), held[id(node)]
    match node:
        case Item():
            shown, remark = value(node.field)
            return Part(said(node), holds, name, shown, remark)
        case Negation(inner):
            return Part("not", holds, name, parts=(_told(inner, names, held, value),))
        case AllOf(nodes) | AnyOf(nodes):
            what = "all of" if isinstance(node, AllOf) else "any of"
            return Part(what, holds, name, parts=tuple(_told(child, names, held, value) for child in nodes))


def _every(node: Node) -> Sequence[Node]:
    children = () if isinstance(node, Item) else (node.node,) if isinstance(node, Negation) else node.nodes
    return [node, *(inner for child in children for inner in _every(child))]


def _names(rule: Rule) -> dict[Hashable, str]:
    """The filters laid over a rule, and the detections of its document, by what they mean."""
    return _detections(rule) | {_alike(one.tree): f"filter: {one.title}" for one in rule.filters}


def _detections(rule: Rule) -> dict[Hashable, str]:
    parsed = SigmaRule.from_dict(json.loads(rule.sources[0]), collect_errors=True)
    return {_alike(tree): name for name, tree in meaning.parts_of(parsed.detection, {}).items()}


def _alike(node: Node) -> Hashable:
    """The same for nodes that mean the same: a rule's kept source does not say in which order its parts stood."""
    match node:
        case AllOf(nodes) | AnyOf(nodes):
            return type(node), frozenset(_alike(child) for child in nodes)
        case Negation(inner):
            return Negation, _alike(inner)
        case _:
            return node


def _log_source(rule: Rule, row: Mapping[str, Any]) -> Part:
    route = logsources.route(rule.logsource)
    parts = [Part(f"log_class {_one_of(sorted(route.classes))}", row["log_class"] in route.classes, value=row["log_class"])]
    for name, words in (("vendor", route.vendors), ("product", route.products)):
        if words:
            parts.append(Part(f"{name} {_one_of(words)}", row[name].lower() in words, value=row[name]))
    return Part("all of", all(part.holds for part in parts), f"log source: {rule.logsource}", parts=tuple(parts))


def _one_of(words: Sequence[str]) -> str:
    return f"is {words[0]}" if len(words) == 1 else f"is one of {', '.join(words)}"


def _of_column(fields: EventFields, row: Mapping[str, Any], name: str | None) -> tuple[str | None, str]:
    field = fields.line() if name is None else fields.field(name)
    if field is None:
        return None, "no event of ours has this field"
    value = row[field.column]
    if isinstance(value, datetime):
        value = value.isoformat()
    if value is not None and EVENTS.column(field.column).kind is Kind.IP:
        address = IPv6Address(value)
        value = str(address.ipv4_mapped or address)
    shown = None if value in (None, "") else _short(str(value))
    if name is None or field.column == name:
        return shown, ""
    return shown, f"our column {field.column}"


def _of_object(event: Mapping[str, Any], name: str | None) -> tuple[str | None, str]:
    if name is None:
        return None, ""
    values = match.values_of(event, name)
    return (_short(", ".join(values)) if values else None), ""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def said(item: Item) -> str:
    """The test in words, near to how Sigma writes it."""
    if item.field is None:
        return f"the line {_test(anywhere(item.test) if isinstance(item.test, Pattern) else item.test)}"
    return f"{item.field} {_test(item.test)}"


def _test(test: Test) -> str:
    match test:
        case Pattern(parts, cased):
            return _pattern(parts) + (" (letter case counts)" if cased else "")
        case Number(value) | Boolean(value):
            return f"is {str(value).lower()}"
        case Null():
            return "is absent"
        case Exists(wanted):
            return "is there" if wanted else "is not there"
        case Regex(pattern, flags):
            return f"fits the regular expression {pattern!r}" + (f" with {flags}" if flags else "")
        case Network(network):
            return f"is within {network}"
        case Compare(relation, value):
            return f"{relation} {value}"
        case Reference():
            return f"{_related(test)} the field {test.field}"
        case TimePart(part, value, relation):
            return f"{part} {relation} {value}"


def _pattern(parts: Sequence[str | Wild]) -> str:
    text = "".join(part.value if isinstance(part, Wild) else part for part in parts)
    plain = [part for part in parts if isinstance(part, str)]
    if not parts or (len(parts) == 1 and plain):
        return f"is {text!r}"
    many = Wild.MANY
    if len(plain) == 1 and Wild.ONE not in parts:
        if parts[0] is many and parts[-1] is many:
            return f"contains {plain[0]!r}"
        return f"ends with {plain[0]!r}" if parts[0] is many else f"begins with {plain[0]!r}"
    return f"is like {text!r}"


def _related(test: Reference) -> str:
    if test.begins and test.ends:
        return "contains"
    return "begins with" if test.begins else "ends with" if test.ends else "is"
