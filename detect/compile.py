"""A rule's tree as one ClickHouse expression, the same for the stream, for history and for `rules match`.

The expression is 0 or 1 for every row. Its cheap parts come first, so that the engine need not compute the costly ones for most rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detect import literals, predicates
from detect.fields import Field, FieldKind, Fields
from detect.predicates import Predicate
from detect.tree import AllOf, AnyOf, Item, Negation, Network, Node, Number, Pattern, Reference, Regex, Test, Wild


@dataclass(frozen=True, slots=True)
class Expression:
    """`constant` is not None when no event can change the result. `columns` are read; `unknown` are fields no event has."""

    sql: str
    constant: bool | None
    columns: frozenset[str]
    unknown: frozenset[str]


def expression(tree: Node, fields: Fields) -> Expression:
    """The expression of `tree` over `fields`."""
    writer = _Writer(fields)
    predicate = writer.node(tree)
    constant = predicate if isinstance(predicate, bool) else None
    sql = predicate if isinstance(predicate, str) else str(int(predicate))
    return Expression(sql, constant, frozenset() if constant is not None else frozenset(writer.columns), frozenset(writer.unknown))


class _Writer:
    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.columns: set[str] = set()
        self.unknown: set[str] = set()

    def node(self, node: Node) -> Predicate:
        match node:
            case Item():
                return self._item(node)
            case Negation(inner):
                return predicates.negation(self.node(inner))
            case AllOf(nodes):
                return predicates.all_of([self.node(child) for child in sorted(nodes, key=self._cost)])
            case AnyOf(nodes):
                return self._any(nodes)

    def _any(self, nodes: tuple[Node, ...]) -> Predicate:
        """Patterns on one field are tested together, as one set and one search for many needles; so are networks."""
        together: dict[str | None, list[Pattern]] = {}
        networks: dict[str | None, list[Network]] = {}
        apart: list[Node] = []
        for child in nodes:
            if isinstance(child, Item) and (pattern := as_pattern(child.test)):
                together.setdefault(child.field, []).append(pattern)
            elif isinstance(child, Item) and isinstance(child.test, Network):
                networks.setdefault(child.field, []).append(child.test)
            else:
                apart.append(child)
        parts = [(self._cost(child), self.node(child)) for child in apart]
        for name, within in networks.items():
            field = self._field(name)
            parts.append((self._cost(Item(name, within[0])), predicates.networks(field, within) if field else False))
        for name, wanted in together.items():
            parts.append((max(self._cost(Item(name, pattern)) for pattern in wanted), self._patterns(name, wanted)))
        return predicates.any_of([predicate for _, predicate in sorted(parts, key=lambda part: part[0])])

    def _item(self, item: Item) -> Predicate:
        if pattern := as_pattern(item.test):
            return self._patterns(item.field, [pattern])
        field = self._field(item.field)
        if field is None:
            return predicates.absent(item.test, blank=self._fields.absent_is_blank)
        if isinstance(item.test, Reference):
            other = self._field(item.test.field)
            return predicates.reference(field, other, item.test) if other else False
        return predicates.test(field, item.test)

    def _patterns(self, name: str | None, wanted: Sequence[Pattern]) -> Predicate:
        field = self._field(name)
        if field is None:
            return predicates.any_of([predicates.absent(pattern, blank=self._fields.absent_is_blank) for pattern in wanted])
        return predicates.patterns(field, [anywhere(pattern) for pattern in wanted] if name is None else wanted)

    def _field(self, name: str | None) -> Field | None:
        field = self._fields.line() if name is None else self._fields.field(name)
        if field is None:
            self.unknown.add(str(name))
        else:
            self.columns.add(field.column)
        return field

    def _cost(self, node: Node) -> int:
        if isinstance(node, Negation):
            return self._cost(node.node)
        if not isinstance(node, Item):
            return max(self._cost(child) for child in node.nodes)
        field = self._fields.line() if node.field is None else self._fields.field(node.field)
        if field is None or field.kind not in (FieldKind.TEXT, FieldKind.VALUES):
            return 2 if isinstance(node.test, Network) else 0
        pattern = as_pattern(node.test)
        whole = pattern is not None and len(pattern.parts) <= 1
        return 1 + 4 * field.size + (3 if isinstance(node.test, Regex) else 0 if whole else 1)


def as_pattern(test: Test) -> Pattern | None:
    """A number is compared as its digits, so that it equals quoted digits, and many of them make one set."""
    if isinstance(test, Number):
        return Pattern((literals.number(test.value),), cased=True)
    return test if isinstance(test, Pattern) else None


def anywhere(pattern: Pattern) -> Pattern:
    """A keyword is found anywhere in the line."""
    parts = pattern.parts
    before = () if parts[:1] == (Wild.MANY,) else (Wild.MANY,)
    after = () if parts[-1:] == (Wild.MANY,) else (Wild.MANY,)
    return Pattern((*before, *parts, *after) if parts else (Wild.MANY,), pattern.cased)
