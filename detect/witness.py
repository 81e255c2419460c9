"""Witnesses: literals at least one of which stands in every event a rule matches.

All witnesses of a column are searched in one scan, and only rows where one stands are checked with the rules they belong to. A witness
set may let too many rows through, never too few. Only ASCII runs are used, in lower case, searched in the lower-cased column.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from detect.fields import Field, FieldKind, Fields
from detect.tree import AllOf, AnyOf, Item, Negation, Node, Pattern

_SHORTEST = 4  # a shorter literal stands in too many rows to be worth a scan
_MOST = 4096  # literals of one rule


@dataclass(frozen=True, slots=True)
class Witness:
    """`literal`, ASCII in lower case, stands in the lower-cased text column `column`."""

    column: str
    literal: str


def witnesses(tree: Node, fields: Fields) -> frozenset[Witness]:
    """The witness set of `tree`; empty when it has none, and its rule must be checked on every row."""
    found = _any_of(tree, fields)
    return found if len(found) <= _MOST else frozenset()


def _any_of(node: Node, fields: Fields) -> frozenset[Witness]:
    match node:
        case Item(name, Pattern() as pattern):
            field = fields.line() if name is None else fields.field(name)
            literal = _literal(pattern)
            return frozenset({Witness(field.column, literal)}) if literal and field and _searched(field) else frozenset()
        case AllOf(nodes):
            return max((_any_of(child, fields) for child in nodes), key=_worth)
        case AnyOf(nodes):
            each = [_any_of(child, fields) for child in nodes]
            return frozenset().union(*each) if all(each) else frozenset()
        case Item() | Negation():
            return frozenset()


def _searched(field: Field) -> bool:
    """Words of few distinct values are no witnesses: one of them may stand in every row."""
    return field.kind is FieldKind.TEXT and field.size > 0


def _literal(pattern: Pattern) -> str:
    runs = ("".join(run) for part in pattern.parts if isinstance(part, str) for plain, run in groupby(part, _is_plain) if plain)
    longest = max(runs, key=len, default="")
    return longest.lower() if len(longest) >= _SHORTEST else ""


def _is_plain(character: str) -> bool:
    return " " <= character <= "~"


def _worth(found: Iterable[Witness]) -> tuple[int, int]:
    """A longer shortest literal lets fewer rows through; then the fewer the better."""
    lengths = [len(witness.literal) for witness in found]
    return (min(lengths), -len(lengths)) if lengths else (0, 0)
