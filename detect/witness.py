"""Witnesses: literals at least one of which stands in every event a rule matches.

All witnesses of a column are searched in one scan, and only rows where one stands are checked with the rules they belong to. A witness
set may let too many rows through, never too few. Only ASCII and characters without case are used, in lower case, searched in the
lower-cased column.

A rule has several witness sets when all of its parts must hold. The best is the one that stands in the fewest rows: of a sample where
there is one (`Counts`), else the one whose shortest literal is longest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from detect import predicates
from detect.fields import Field, FieldKind, Fields
from detect.tree import AllOf, AnyOf, Item, Node, Number, Pattern, Test

_SHORTEST: Final = 4  # a shorter literal stands in too many rows to be worth a scan, unless a sample says otherwise
_SHORTEST_COUNTED: Final = 2
_MOST: Final = 16_384  # literals of one rule


@dataclass(frozen=True, slots=True)
class Witness:
    """`literal`, in lower case, stands in the lower-cased text column `column`."""

    column: str
    literal: str


Counts = Callable[[Witness], int]
"""In how many rows of a sample a witness stands, about."""


def witnesses(tree: Node, fields: Fields, counts: Counts | None = None) -> frozenset[Witness]:
    """The witness set of `tree`; empty when it has none, and its rule must be checked on every row."""
    found = _Chooser(fields, counts).of(tree)
    return found if found and len(found) <= _MOST else frozenset()


class _Chooser:
    def __init__(self, fields: Fields, counts: Counts | None) -> None:
        self._fields = fields
        self._counts = counts
        self._shortest = _SHORTEST_COUNTED if counts else _SHORTEST

    def of(self, node: Node) -> frozenset[Witness] | None:
        """None for what can hold in no event, whose witnesses nobody need look for."""
        match node:
            case Item(name, test):
                field = self._fields.line() if name is None else self._fields.field(name)
                if field is None:
                    return frozenset() if predicates.absent(test, blank=self._fields.absent_is_blank) else None
                return self._item(field, test)
            case AllOf(nodes):
                each = [self.of(child) for child in nodes]
                return None if None in each else max((one for one in each if one is not None), key=self._worth)
            case AnyOf(nodes):
                possible = [found for child in nodes if (found := self.of(child)) is not None]
                if not possible:
                    return None
                return frozenset().union(*possible) if all(possible) else frozenset()
            case _:
                return frozenset()

    def _item(self, field: Field, test: Test) -> frozenset[Witness]:
        literal = _literal(test.parts) if isinstance(test, Pattern) else str(test.value) if isinstance(test, Number) else ""
        if len(literal) < self._shortest:
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
    """What lower-casing leaves as it is, in the engine and here, or is a letter of ASCII."""
    if character.isascii():
        return character.isprintable()
    return character == character.lower() == character.upper() and not "\ud800" <= character <= "\udfff"
