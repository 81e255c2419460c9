"""A rule as a formula over literals: which of them stand in an event decides it exactly, without a statement of its own.

All literals of a column are searched in one scan, with their anchors, and the scan's result is all a formula needs. What a test means is
the same as in `detect.predicates`; a test that is no search for literals (an address, a comparison, a reference) has no formula, and a
rule that has such a test is decided by its expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from detect.compile import anywhere, as_pattern
from detect.fields import Field, FieldKind, Fields
from detect.predicates import absent
from detect.regex_literals import needed
from detect.tree import AllOf, AnyOf, Boolean, Exists, Item, Negation, Node, Null, Pattern, Regex, Wild
from detect.witness import are_plain, is_plain

_LONG_S: Final = "\u017f"  # "s" matches it without case, though it is nobody's lower case
PRESENT: Final = "present"
BLANK: Final = "blank"
EDGE: Final = "\x01"  # not printable, so no pattern has it
_WRITTEN: Final = {Wild.MANY: ".*", Wild.ONE: "."}
_WITHIN: Final = {Wild.MANY: rf"[^{EDGE}]*", Wild.ONE: rf"[^{EDGE}]"}  # one of several values in the text


@dataclass(frozen=True, slots=True)
class Literal:
    """One of `patterns`, numbers of those of the column `column`, stands in its text; or the text is `PRESENT`, or `BLANK`."""

    column: str
    patterns: tuple[int, ...] | str


@dataclass(frozen=True, slots=True)
class Not:
    """Not the formula."""

    formula: Formula


@dataclass(frozen=True, slots=True)
class Every:
    """Every one of the formulas."""

    formulas: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of the formulas."""

    formulas: tuple[Formula, ...]


Formula = int | Not | Every | Some
"""An integer is the number of a `Literal`."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A pattern to find in the text as it is when `cased`, else in lower case.

    One literal is sought as it is, with `EDGE` for where the text begins and ends: the text is then `bounded` by it. All else is a regular
    expression. Thousands of anchors would take seconds to prepare, and thousands of literals together with expressions would be slow.
    """

    wanted: str
    cased: bool
    bounded: bool


class Formulas:
    """The formulas of a rule set, and the literals they share.

    `sought` has the patterns of each column with their numbers, `fields` what the columns are, `literals` what the integers in formulas
    stand for.
    """

    def __init__(self, fields: Fields) -> None:
        self._known = fields
        self.sought: dict[str, dict[Sought, int]] = {}
        self.fields: dict[str, Field] = {}
        self.literals: list[Literal] = []
        self._numbers: dict[Literal, int] = {}

    def of(self, tree: Node) -> Formula | None:
        """The formula of `tree`; None when it has none."""
        found = self._node(tree, None)
        return None if isinstance(found, bool) else found

    def bound(self, tree: Node) -> Formula | bool:
        """What holds wherever `tree` does, and perhaps elsewhere: the formula of what of it has one."""
        found = self._node(tree, True)
        return True if found is None else found

    def columns(self, formula: Formula) -> frozenset[str]:
        """The columns whose literals `formula` asks for."""
        match formula:
            case Not(inner):
                return self.columns(inner)
            case Every(formulas) | Some(formulas):
                return frozenset().union(*map(self.columns, formulas))
        return frozenset({self.literals[formula].column})

    def _node(self, node: Node, otherwise: bool | None) -> Formula | bool | None:
        """The formula of `node`; `otherwise` stands in it for what has none."""
        match node:
            case Item():
                return self._item(node, otherwise)
            case Negation(inner):
                made = self._node(inner, None if otherwise is None else not otherwise)
                return not made if isinstance(made, bool) else Not(made) if made is not None else None
            case AllOf(nodes):
                return _joined([self._node(child, otherwise) for child in nodes], deciding=False)
            case AnyOf(nodes):
                return self._any(nodes, otherwise)

    def _any(self, nodes: Iterable[Node], otherwise: bool | None) -> Formula | bool | None:
        """Patterns on one field are one literal."""
        together: dict[str | None, list[Pattern]] = {}
        found = []
        for child in nodes:
            if isinstance(child, Item) and (pattern := as_pattern(child.test)):
                together.setdefault(child.field, []).append(pattern)
            else:
                found.append(self._node(child, otherwise))
        searched = [self._patterns(name, wanted) for name, wanted in together.items()]
        return _joined([*found, *(otherwise if one is None else one for one in searched)], deciding=True)

    def _item(self, item: Item, otherwise: bool | None) -> Formula | bool | None:
        if pattern := as_pattern(item.test):
            made = self._patterns(item.field, [pattern])
            return otherwise if made is None else made
        field = self._known.field(item.field) if item.field is not None else self._known.line()
        if field is None:
            return absent(item.test, blank=self._known.absent_is_blank)
        if field.kind is not FieldKind.TEXT:
            return otherwise
        match item.test:
            case Null():
                return Not(self._literal(field, PRESENT))
            case Exists(wanted) if not field.there:
                there = self._literal(field, PRESENT)
                return there if wanted else Not(there)
            case Boolean(truth):
                return self._search(field, [Sought(f"{EDGE}{str(truth).lower()}{EDGE}", False, bounded=True)])
            case Regex(text) if otherwise and item.field is not None:
                return self._needed(field, text)
        return otherwise

    def _needed(self, field: Field, regex: str) -> Formula:
        """What the regular expression cannot match without."""
        found = needed(regex, is_plain)
        if not found:
            return self._literal(field, PRESENT)
        return self._search(field, [Sought(literal, False, bounded=True) for literal in (*found, _LONG_S)])

    def _patterns(self, name: str | None, wanted: list[Pattern]) -> Formula | bool | None:
        field = self._known.line() if name is None else self._known.field(name)
        if field is None:
            return any(absent(pattern, blank=self._known.absent_is_blank) for pattern in wanted)
        if field.joined and name is None:
            return self._keywords(Field(field.joined, FieldKind.TEXT, field.column), wanted)
        if field.kind is not FieldKind.TEXT:
            return None
        patterns = dict.fromkeys(anywhere(pattern) for pattern in wanted) if name is None else dict.fromkeys(wanted)
        found: list[Formula | bool | None] = []
        sought = []
        for pattern in patterns:
            if not pattern.parts:
                found.append(self._literal(field, BLANK))
            elif pattern.parts == (Wild.MANY,):
                found.append(self._literal(field, PRESENT))
            elif (one := _sought(pattern)) is not None:
                sought.append(one)
            else:
                return None
        if sought:
            found.append(self._search(field, sought))
        return _joined(found, deciding=True)

    def _keywords(self, joined: Field, wanted: list[Pattern]) -> Formula | None:
        """What is found within one of the values that `joined` has in one text."""
        sought = [_sought(anywhere(pattern), _WITHIN) if pattern.parts else None for pattern in wanted]
        fit = [one for one in sought if one is not None]
        return self._search(joined, fit) if len(fit) == len(wanted) else None

    def _search(self, field: Field, sought: list[Sought]) -> int:
        numbers = self.sought.setdefault(field.column, {})
        return self._literal(field, tuple(sorted({numbers.setdefault(one, len(numbers)) for one in sought})))

    def _literal(self, field: Field, patterns: tuple[int, ...] | str) -> int:
        literal = Literal(field.column, patterns)
        if literal not in self._numbers:
            self.fields[field.column] = field
            self._numbers[literal] = len(self.literals)
            self.literals.append(literal)
        return self._numbers[literal]


def _joined(parts: list[Formula | bool | None], *, deciding: bool) -> Formula | bool | None:
    """Their disjunction if True is `deciding`, their conjunction if False is. None, what has no formula, is in neither."""
    if any(part is deciding for part in parts):
        return deciding
    kept = tuple(dict.fromkeys(part for part in parts if not isinstance(part, bool)))
    formulas = tuple(part for part in kept if part is not None)
    if len(formulas) < len(kept):
        return None
    if len(formulas) <= 1:
        return formulas[0] if formulas else not deciding
    return Some(formulas) if deciding else Every(formulas)


def _sought(pattern: Pattern, wild: Mapping[Wild, str] = _WRITTEN) -> Sought | None:
    """None when the engine's folding of case might differ from that of the search."""
    texts = [part for part in pattern.parts if isinstance(part, str)]
    begins, ends = pattern.parts[0] is not Wild.MANY, pattern.parts[-1] is not Wild.MANY
    inner = pattern.parts[0 if begins else 1 : len(pattern.parts) if ends else -1]
    bounded = len(inner) == 1 and isinstance(inner[0], str)
    usable = str.isprintable if pattern.cased or bounded else are_plain
    if not all(map(usable, texts)):
        return None
    if bounded:
        return Sought(EDGE * begins + _folded(texts[0], pattern.cased) + EDGE * ends, pattern.cased, bounded=True)
    written = [part if pattern.cased or isinstance(part, Wild) else part.lower() for part in inner]
    regex = "".join(wild[part] if isinstance(part, Wild) else re.escape(part) for part in written)
    return Sought(r"\A" * begins + regex + r"\z" * ends, pattern.cased, bounded=False)


def _folded(text: str, cased: bool) -> str:
    """What the engine's folding might fold otherwise is left to it."""
    return text if cased or not are_plain(text) else text.lower()
