"""Witnesses: literals at least one of which stands in every event a rule matches.

All witnesses of a column are searched in one scan, and only rows where one stands are checked with the rules they belong to. A witness
set may let too many rows through, never too few. Only ASCII runs are used, in lower case, searched in the lower-cased column.

A rule has several witness sets when all of its parts must hold. The best is the one that stands in the fewest rows: of a sample where
there is one (`Counts`), else the one whose shortest literal is longest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from detect.fields import Field, FieldKind, Fields
from detect.tree import AllOf, AnyOf, Item, Negation, Node, Number, Pattern

_SHORTEST: Final = 4  # a shorter literal stands in too many rows to be worth a scan, unless a sample says otherwise
_SHORTEST_COUNTED: Final = 2
_MOST: Final = 4096  # literals of one rule


@dataclass(frozen=True, slots=True)
class Witness:
    """`literal`, ASCII in lower case, stands in the lower-cased text column `column`."""

    column: str
    literal: str


Counts = Callable[[Witness], int]
"""In how many rows of a sample a witness stands, about."""


def witnesses(tree: Node, fields: Fields, counts: Counts | None = None) -> frozenset[Witness]:
    """The witness set of `tree`; empty when it has none, and its rule must be checked on every row."""
    found = _Chooser(fields, counts).of(tree)
    return found if len(found) <= _MOST else frozenset()


class _Chooser:
    def __init__(self, fields: Fields, counts: Counts | None) -> None:
        self._fields = fields
        self._counts = counts
        self._shortest = _SHORTEST_COUNTED if counts else _SHORTEST

    def of(self, node: Node) -> frozenset[Witness]:
        match node:
            case Item(name, Pattern(parts)):
                return self._one(name, _literal(parts))
            case Item(name, Number(value)) if name is not None:
                return self._one(name, str(value))
            case AllOf(nodes):
                return max((self.of(child) for child in nodes), key=self._worth)
            case AnyOf(nodes):
                each = [self.of(child) for child in nodes]
                return frozenset().union(*each) if all(each) else frozenset()
            case _:
                return frozenset()

    def _one(self, name: str | None, literal: str) -> frozenset[Witness]:
        field = self._fields.line() if name is None else self._fields.field(name)
        if field is None or len(literal) < self._shortest:
            return frozenset()
        if field.encoded:
            return frozenset({Witness(field.column, field.encoded(literal))})
        return frozenset({Witness(field.column, literal)}) if _searched(field) else frozenset()

    def _worth(self, found: frozenset[Witness]) -> tuple[float, ...]:
        """More is better; no witness is the worst."""
        if not found:
            return (-float("inf"),)
        shortest = min(len(witness.literal) for witness in found)
        rows = sum(map(self._counts, found)) if self._counts else 0
        return (-rows, shortest, -len(found))


def _searched(field: Field) -> bool:
    """Words of few distinct values are no witnesses: one of them may stand in every row."""
    return field.kind is FieldKind.TEXT and field.size > 0


def _literal(parts: Iterable[object]) -> str:
    runs = ("".join(run) for part in parts if isinstance(part, str) for plain, run in groupby(part, _is_plain) if plain)
    return max(runs, key=len, default="").lower()


def _is_plain(character: str) -> bool:
    return " " <= character <= "~"
