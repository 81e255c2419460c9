"""The meaning of a rule: a tree of tests, without anything of YAML, of a database or of pySigma's own classes.

Every engine of ours (compiler, witnesses, and the evaluator in the tests) reads this tree, so what a value means is decided once.
Text in patterns may hold lone surrogates: they stand for bytes (`detect.modifiers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network


class Wild(Enum):
    """A wildcard in a pattern."""

    MANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text the whole value must be; neighbouring strings are joined and no string is empty. Without case unless `cased`."""

    parts: tuple[str | Wild, ...]
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A number the value must equal."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Boolean:
    """The value must be this truth value."""

    value: bool


@dataclass(frozen=True, slots=True)
class Null:
    """The field must be absent or empty."""


@dataclass(frozen=True, slots=True)
class Exists:
    """The field must be there, or must not."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Regex:
    """A pattern found somewhere in the value; `flags` are some of the letters i, m, s."""

    pattern: str
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """The value must be an address of this network."""

    network: IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Compare:
    """The value must be a number in this relation (<, <=, >, >=) to `value`."""

    relation: str
    value: int | float


@dataclass(frozen=True, slots=True)
class Reference:
    """The value must equal, begin with, end with or contain (both flags) the value of another field."""

    field: str
    begins: bool = False
    ends: bool = False
    cased: bool = False


@dataclass(frozen=True, slots=True)
class TimePart:
    """The value must be a time whose minute, hour, day, week (ISO 8601), month or year in UTC is in `relation` (=, <, ...) to `value`."""

    part: str
    value: int | float
    relation: str = "="


Test = Pattern | Number | Boolean | Null | Exists | Regex | Network | Compare | Reference | TimePart


@dataclass(frozen=True, slots=True)
class Item:
    """One test on one field; `field` None is a keyword: the test is on the whole line."""

    field: str | None
    test: Test


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of the nodes; never empty."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the nodes; never empty."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """Not the node."""

    node: Node


Node = Item | AllOf | AnyOf | Negation


def fields_of(node: Node) -> frozenset[str]:
    """The names of all fields the tree looks at."""
    if isinstance(node, Item):
        own = set() if node.field is None else {node.field}
        if isinstance(node.test, Reference):
            own.add(node.test.field)
        return frozenset(own)
    if isinstance(node, Negation):
        return fields_of(node.node)
    return frozenset().union(*(fields_of(child) for child in node.nodes))


def has_keywords(node: Node) -> bool:
    """Whether any test is on the whole line."""
    if isinstance(node, Item):
        return node.field is None
    return has_keywords(node.node) if isinstance(node, Negation) else any(map(has_keywords, node.nodes))
