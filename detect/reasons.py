"""Why a rule fired on a line somebody looks at: which of its detections held, and which words of the line did it.

For the few lines of a page, judged in Python by the rule's own tree; what decides whether a rule fires is the compiled rule alone
(`detect.compile`). A test that cannot be judged here (a part of a time) counts as held, because the rule did fire. Regular expressions run
on RE2, as they do in production: time is linear in the line, whatever the rule or the line says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from detect import meaning
from detect.correlation.definition import Correlation
from detect.explain import said
from detect.fields import EventFields
from detect.rules import Rule, read_text
from detect.tree import (
    AllOf,
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
    TimePart,
    Wild,
)

Span = tuple[int, int]
MOST_SPANS: Final = 8
"""Places of one value that are marked; a line may repeat it without end."""
_LEAST_LITERAL: Final = 3
_FIELDS: Final = EventFields()
_RELATIONS: Final = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
_NAMING: Final = re.compile(r"[A-Za-z_\"'\]]\s?[=:]\s?[\"']?$")


@dataclass(frozen=True, slots=True)
class Told:
    """A version of a rule, read again: its document as written, and its detections by name (none of a correlation)."""

    rule: Rule | Correlation
    document: Mapping[str, Any]
    detections: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Hit:
    """A test that held: of which detection, on which field (its column; `raw` for keywords), in words, on which value, where in the line.

    `spans` are begin and end in characters, in order; empty when the line has the value in other words.
    """

    detection: str
    field: str
    test: str
    value: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """What held of a rule on one line: detections by name, and the tests that made them hold."""

    held: Mapping[str, bool]
    hits: tuple[Hit, ...]


def tell(sources: Sequence[str]) -> Told | None:
    """The rule of `sources` (its document and its filters' as JSON); None when it cannot be read any more."""
    found, _ = read_text(sources[0], "kept", {}, strict=False) if sources else ([], [])
    if not found or not isinstance(found[0], Rule | Correlation):
        return None
    document = json.loads(sources[0])
    if isinstance(found[0], Correlation):
        return Told(found[0], document, {})
    try:
        parsed = SigmaRule.from_dict(document, collect_errors=True)
        return Told(found[0], document, meaning.parts_of(parsed.detection, {}))
    except (SigmaError, ValueError):
        return Told(found[0], document, {})


def reason(told: Told, fields: Mapping[str, Any], raw: str) -> Reason:
    """Which detections held on the event of `fields` (columns that are set; addresses as text) and line `raw`, and what made them."""
    line = _Line(fields, raw)
    held = {name: line.holds(node) is not False for name, node in told.detections.items()}
    hits = [hit for name, node in told.detections.items() if held[name] for hit in line.hits(name, node)]
    return Reason(held, tuple(hits))


class _Line:
    def __init__(self, fields: Mapping[str, Any], raw: str) -> None:
        self._fields, self._raw = fields, raw

    def holds(self, node: Node) -> bool | None:
        """Whether it does; None when that cannot be told here."""
        match node:
            case Item():
                return self._passes(node)
            case Negation(inner):
                found = self.holds(inner)
                return None if found is None else not found
            case AllOf(nodes):
                results = [self.holds(one) for one in nodes]
                return False if False in results else None if None in results else True
            case _:
                results = [self.holds(one) for one in node.nodes]
                return True if True in results else None if None in results else False

    def hits(self, name: str, node: Node) -> Iterator[Hit]:
        """The tests within `node` that held and say what is there, not what is not."""
        if isinstance(node, Item):
            if self._passes(node):
                column, value = self._value(node.field)
                yield Hit(name, column, said(node), value, tuple(self._spans(node, value)))
        elif not isinstance(node, Negation):
            for one in node.nodes:
                yield from self.hits(name, one)

    def _value(self, name: str | None) -> tuple[str, str]:
        """Column and value of a field; both '' when no event has it."""
        if name is None:
            return "raw", self._raw
        field = _FIELDS.field(name)
        if field is None:
            return "", ""
        return field.column, self._raw if field.column == "raw" else str(self._fields.get(field.column, ""))

    def _passes(self, item: Item) -> bool | None:
        _, value = self._value(item.field)
        match item.test:
            case Pattern():
                return _found(value, _expression(item)) is not None
            case Regex():
                return _found(value, _expression(item)) is not None if value else False
            case Number(wanted):
                return _number(value) == wanted
            case Boolean(wanted):
                return value.lower() == str(wanted).lower()
            case Null():
                return not value
            case Exists(wanted):
                return bool(value) is wanted
            case Network(network):
                return _within(value, network)
            case Compare(relation, bound):
                number = _number(value)
                return number is not None and bool(_RELATIONS[relation](number, float(bound)))
            case Reference():
                return _refers(value, self._value(item.test.field)[1], item.test)
            case TimePart():
                return None

    def _spans(self, item: Item, value: str) -> list[Span]:
        """Where the line has what the test found: within the value where that stands in the line, else its words by themselves."""
        if not value or isinstance(item.test, Null | Exists):
            return []
        inner = [(0, len(value))]
        if isinstance(item.test, Pattern | Regex):
            inner = _found(value, _expression(item)) or []
        if value is self._raw:
            return inner[:MOST_SPANS]
        places = _places(self._raw, value)
        if places:
            return sorted((at + start, at + end) for at in places for start, end in inner)[:MOST_SPANS]
        words = {value[start:end] for start, end in inner if end - start >= _LEAST_LITERAL}
        return sorted((at, at + len(word)) for word in words for at in _places(self._raw, word))[:MOST_SPANS]


def _places(raw: str, value: str) -> list[int]:
    """Where `value` stands in `raw` as a word of its own, without regard to case; where some places name it (`port=22`), only those."""
    first, last = (r"(?<![\w.])" if value[0].isalnum() else ""), (r"(?![\w])" if value[-1].isalnum() else "")
    found = [one.start() for one in re.finditer(first + re.escape(value) + last, raw, re.IGNORECASE)]
    named = [at for at in found if _NAMING.search(raw[max(at - 5, 0) : at])]
    if not named and len(value) < _LEAST_LITERAL and len(found) > 1:
        return []  # a short number may stand anywhere
    return (named or found)[:MOST_SPANS]


def _expression(item: Item) -> str:
    """A test of text for RE2, with a named group around each part that says something."""
    test = item.test
    if isinstance(test, Regex):
        flags = f"(?{test.flags})" if test.flags else ""
        return f"{flags}(?P<m0>{test.pattern})"
    if not isinstance(test, Pattern):
        raise TypeError(f"no text is looked for by {type(test).__name__}")
    parts = [_part(part, place) for place, part in enumerate(test.parts)]
    whole = "".join(parts) if item.field is None else f"^{''.join(parts)}$"
    return ("(?s)" if test.cased else "(?is)") + whole


def _part(part: str | Wild, place: int) -> str:
    if isinstance(part, Wild):
        return ".*?" if part is Wild.MANY else "."
    return f"(?P<m{place}>{re.escape(part)})"


def _found(text: str, expression: str) -> list[Span] | None:
    """What the groups of `expression` found in `text`, in characters; None when it does not fit or cannot be run."""
    try:
        encoded = text.encode("utf-8")
        if "(?P<" not in expression:  # nothing but wildcards
            return [] if pc.match_substring_regex(pa.array([text]), expression)[0].as_py() else None
        groups = pc.extract_regex_span(pa.array([text]), pattern=expression)[0].as_py()
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    if groups is None:
        return None
    spans = [(start, start + size) for start, size in groups.values() if size]
    return [(len(encoded[:start].decode(errors="ignore")), len(encoded[:end].decode(errors="ignore"))) for start, end in spans]


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _within(value: str, network: Any) -> bool:
    try:
        address = ip_address(value)
    except ValueError:
        return False
    return address.version == network.version and address in network


def _refers(value: str, other: str, test: Reference) -> bool:
    if not value or not other:
        return False
    mine, its = (value, other) if test.cased else (value.lower(), other.lower())
    if test.begins and test.ends:
        return its in mine
    return mine.startswith(its) if test.begins else mine.endswith(its) if test.ends else mine == its
