"""Witnesses: literals at least one of which stands in every event a rule matches.

All witnesses of a column are searched in one scan, and only rows where one stands are checked with the rules they belong to. A witness
set may let too many rows through, never too few. Only ASCII and characters without case are used, in lower case, searched in the
lower-cased column.

A rule has several witness sets when all of its parts must hold. The best is the one that stands in the fewest rows: of a sample where
there is one (`Counts`), else the one whose shortest literal is longest.

Where events are objects given as text (`Field.member`), the witnesses are searched in that text, before it is read. There every test has
one, the member's name at the least, and so has every rule: what holds where no witness stands, a negation alone, has witnesses of the
contrary (`signs`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Final

from detect import predicates
from detect.fields import Field, FieldKind, Fields
from detect.regex_literals import needed
from detect.tree import AllOf, AnyOf, Boolean, Item, Negation, Node, Number, Pattern, Regex, Test

_SHORTEST: Final = 4  # a shorter literal stands in too many rows to be worth a scan, unless a sample says otherwise
_SHORTEST_COUNTED: Final = 2
_SHORTEST_NUMBER: Final = 7  # a shorter one stands in many a time or count
_MOST: Final = 16_384  # literals of one rule
# In the text of an object, which is written as `detect.objects` sees to: what stands between a member's name and its value, where a value
# without quotation marks ends, the rest of a text that is a value and no name, and numbers that may be read otherwise than they are
# written: with an exponent, below zero by nothing, very long.
_OPENINGS: Final = (":", ": ")
_ENDS: Final = (",", "}", ".", " ", "\t", "\r", "\n")
_DOUBTFUL: Final = ": ?(?:-0|-?[0-9.]+e|-?[0-9.]{16})"
_ANY: Final = "{"
_OF_NUMBERS: Final = frozenset("0123456789.+-e")
_WITHIN_TEXT: Final = r'(?:[^"\\]|\\.)*"[ \t\r\n]*[,}]'


@dataclass(frozen=True, slots=True)
class Witness:
    """`literal`, in lower case, stands in the lower-cased text column `column`.

    In the text of an object perhaps only with `rest`, a regular expression, behind it.
    """

    column: str
    literal: str
    rest: str = ""

    @property
    def pattern(self) -> str:
        """The regular expression to search for in the lower-cased column."""
        return re.escape(self.literal) + self.rest

    @property
    def is_literal(self) -> bool:
        """Whether nothing but the literal is searched for."""
        return not self.rest


@dataclass(frozen=True, slots=True)
class Signs:
    """Where none of `witnesses` stands, the rule is `otherwise`."""

    witnesses: frozenset[Witness]
    otherwise: bool


Counts = Callable[[Witness], int]
"""In how many rows of a sample a witness stands, about."""


def witnesses(tree: Node, fields: Fields) -> frozenset[Witness]:
    """The witness set of `tree`; empty when it has none, and its rule must be checked on every row."""
    found = _Chooser(fields, None).of(tree)
    return found if found and len(found) <= _MOST else frozenset()


def signs(tree: Node, fields: Fields, counts: Counts) -> Signs:
    """The witnesses of `tree` in objects, whose `fields` are members."""
    chooser = _Chooser(fields, counts)
    for holds in (True, False):
        found = chooser.of(tree, holds=holds)
        if found is None or found:
            return Signs(found or frozenset(), not holds)
    raise AssertionError("a test on a member of an object came without a witness")


class _Chooser:
    def __init__(self, fields: Fields, counts: Counts | None) -> None:
        self._fields = fields
        self._counts = counts
        self._shortest = _SHORTEST_COUNTED if counts else _SHORTEST

    def of(self, node: Node, *, holds: bool = True) -> frozenset[Witness] | None:
        """One of these stands where `node` holds (or, not `holds`, where it fails); empty when there are none.

        None for what can happen in no event, whose witnesses nobody need look for.
        """
        match node:
            case Item(name, test):
                field = self._fields.line() if name is None else self._fields.field(name)
                if field is None:
                    return frozenset() if predicates.absent(test, blank=self._fields.absent_is_blank) is holds else None
                return self._item(field, test, holds)
            case Negation(inner):
                return self.of(inner, holds=not holds)
            case AllOf(nodes) | AnyOf(nodes):
                each = [self.of(child, holds=holds) for child in nodes]
                possible = [found for found in each if found is not None]
                if isinstance(node, AllOf) is holds:
                    return None if None in each else max(possible, key=self._worth)
                if not possible:
                    return None
                return frozenset().union(*possible) if all(possible) else frozenset()

    def _item(self, field: Field, test: Test, holds: bool) -> frozenset[Witness]:
        if field.member is not None:
            without = predicates.absent(test, blank=False)
            return self._in_object(field, test) if without is not holds else frozenset()
        literal = _literal(test.parts) if isinstance(test, Pattern) else str(test.value) if isinstance(test, Number) else ""
        if not holds or len(literal) < self._shortest:
            return frozenset()
        return frozenset({Witness(field.column, literal)}) if _searched(field) else frozenset()

    def _in_object(self, field: Field, test: Test) -> frozenset[Witness]:
        """What stands in the text of an object where `test` holds (where it fails, if it holds without the field).

        The name of the member is looked at only where a literal stands in lines of the sample by itself.
        """
        best, fewest = frozenset({Witness(field.column, _ANY)}), math.inf
        for found in _in_text(field, test):
            if found and all(self._long_enough(one) for one in found):
                rows = sum(map(self._counts, found)) if self._counts else 0
                if rows < fewest:
                    best, fewest = found, rows
                if not fewest:
                    break
        return best

    def _long_enough(self, witness: Witness) -> bool:
        return not witness.is_literal or len(witness.literal) >= self._shortest

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


def _in_text(field: Field, test: Test) -> Iterator[frozenset[Witness]]:
    """Sets of which one stands in the text of an object where `test` holds, the simplest first."""
    member = f'"{_written(field.member.lower())}"' if field.member and _is_written(field.member) else ""
    doubtful = Witness(field.column, member or '"', _DOUBTFUL)
    for literals, rest, numeric in _places(test, _parts(test), member):
        yield frozenset((*(Witness(field.column, literal, rest) for literal in literals), *([doubtful] if numeric else ())))
    if isinstance(test, Regex) and (found := needed(test.pattern, _is_written)):
        numeric = any(set(literal) <= _OF_NUMBERS for literal in found)
        yield frozenset((*(Witness(field.column, _written(literal)) for literal in found), *([doubtful] if numeric else ())))
    yield frozenset({Witness(field.column, member)})


def _places(test: Test, parts: Sequence[object], member: str) -> Iterator[tuple[Iterable[str], str, bool]]:
    """Literals of which one stands in the text, what stands behind it, and whether it may be of a number."""
    literal = _literal(parts, _is_written)
    numeric = set(literal) <= _OF_NUMBERS
    if not (member and numeric and len(literal) < _SHORTEST_NUMBER):
        yield (_written(literal),), "", numeric
    if not member and not numeric:
        yield (_written(literal),), _WITHIN_TEXT, False
    first, last = (parts[0], parts[-1]) if parts else ("", "")
    if member and isinstance(last, str) and set(end := _run(last[::-1])[::-1]) - _OF_NUMBERS and not _ends_bare(end):
        yield (f'{_written(end)}"',), "", False
    if member and isinstance(first, str) and (begin := _run(first)):
        whole = len(parts) == 1 and len(begin) == len(first)
        yield _opened(member, begin, whole), "", set(begin) <= _OF_NUMBERS
    if member and isinstance(test, Pattern) and not parts:
        yield [f'{member}{opening}""' for opening in _OPENINGS], "", False


def _opened(member: str, begin: str, whole: bool) -> Iterator[str]:
    """Literals of which one stands where the value of `member` begins with `begin`, or is it as a `whole`."""
    bare = set(begin) <= _OF_NUMBERS or any(word.startswith(begin) for word in ("true", "false"))
    for opening in _OPENINGS:
        yield f'{member}{opening}"{_written(begin)}' + '"' * whole
        if bare:
            yield from (f"{member}{opening}{begin}{end}" for end in (_ENDS if whole else ("",)))


def _ends_bare(end: str) -> bool:
    """Whether it may stand without a quotation mark behind it: a truth value is written so."""
    return "true".endswith(end) or "false".endswith(end)


def _run(text: str) -> str:
    """What `text` begins with, as far as it is written in one way, in lower case."""
    return (text if _is_written(text) else "".join(takewhile(_is_written, text))).lower()


def _parts(test: Test) -> tuple[object, ...]:
    match test:
        case Pattern(parts):
            return parts
        case Number(value):
            return (str(value),)
        case Boolean(truth):
            return (str(truth).lower(),)
    return ()


def _literal(parts: Iterable[object], usable: Callable[[str], bool] | None = None) -> str:
    runs = (run for part in parts if isinstance(part, str) for run in _runs(part, usable or is_plain))
    return max(runs, key=len, default="").lower()


def _runs(text: str, usable: Callable[[str], bool]) -> Iterator[str]:
    if _is_written(text):
        yield text
    else:
        yield from ("".join(run) for fit, run in groupby(text, usable) if fit)


def are_plain(text: str) -> bool:
    """Whether all of its characters are."""
    return (text.isascii() and text.isprintable()) or all(map(is_plain, text))


def is_plain(character: str) -> bool:
    """What lower-casing leaves as it is, in the engine and here, or is a letter of ASCII."""
    if character.isascii():
        return character.isprintable()
    return character == character.lower() == character.upper() and not "\ud800" <= character <= "\udfff"


def _is_written(text: str) -> bool:
    """What stands in the text of an object in one way only, where needless escapes are seen to."""
    return text.isascii() and text.isprintable()


def _written(text: str) -> str:
    return json.dumps(text)[1:-1]
