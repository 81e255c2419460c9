"""What an agency's logs must hold for a rule to be able to fire there at all: log classes, makers, and sets of columns.

A rule needs one of several sets of columns: every column of the set must be filled sometimes. `not` and tests for absence need nothing,
so a rule that could fire is never said not to; that it does fire depends on the values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from detect import logsources, predicates
from detect.fields import Fields
from detect.rules import Rule
from detect.tree import AllOf, AnyOf, Item, Negation, Node, Reference

Sets = frozenset[frozenset[str]]
_MOST: Final = 64  # sets kept of one rule; beyond, the smallest ones answer for all
_NOTHING: Final[Sets] = frozenset({frozenset()})


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one maker's product delivers to an agency in one log class: the columns that were filled at least once."""

    log_class: str
    vendor: str
    product: str
    filled: frozenset[str]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a rule needs. Words of makers and products are in lower case; none means any."""

    classes: frozenset[str]
    vendors: tuple[str, ...]
    products: tuple[str, ...]
    columns: Sets

    def plain(self) -> dict[str, Any]:
        """As JSON; `of_plain` is the inverse."""
        columns = sorted(sorted(one) for one in self.columns)
        return {"classes": sorted(self.classes), "vendors": list(self.vendors), "products": list(self.products), "columns": columns}

    def missing(self, delivered: Iterable[Delivered], also: frozenset[str] = frozenset()) -> str:
        """'' when the rule can fire on one of `delivered` where the columns `also` are filled; else the reason, the nearest miss."""
        of_class = [one for one in delivered if one.log_class in self.classes]
        if not of_class:
            return f"no source of the class {' / '.join(sorted(self.classes))}"
        of_maker = [one for one in of_class if _is_one(one.vendor, self.vendors) and _is_one(one.product, self.products)]
        if not of_maker:
            return f"no source that is {' / '.join((*self.vendors, *self.products))}"
        lacking = [(wanted | also) - one.filled for one in of_maker for wanted in self.columns]
        if not all(lacking):
            return ""
        nearest = min(lacking, key=lambda columns: (len(columns), sorted(columns)))
        return f"never filled: {', '.join(sorted(nearest))}"


def of_plain(value: Mapping[str, Any]) -> Needs:
    """What `Needs.plain` gave."""
    columns = frozenset(frozenset(one) for one in value["columns"])
    return Needs(frozenset(value["classes"]), tuple(value["vendors"]), tuple(value["products"]), columns)


def of_rule(rule: Rule, fields: Fields) -> Needs:
    """What `rule` needs; UnknownLogSource as `logsources.route`."""
    route = logsources.route(rule.logsource)
    return Needs(frozenset(route.classes), route.vendors, route.products, columns(rule.tree, fields))


def columns(tree: Node, fields: Fields) -> Sets:
    """The smallest sets of columns with which `tree` could hold; none when it never can."""
    match tree:
        case Item():
            return _item(tree, fields)
        case Negation(inner):
            return _present(inner.field, fields) if isinstance(inner, Item) and predicates.absent(inner.test, blank=True) else _NOTHING
        case AllOf(nodes):
            found = _NOTHING
            for node in nodes:
                found = _smallest({left | right for left, right in product(found, columns(node, fields))})
            return found
        case AnyOf(nodes):
            return _smallest({one for node in nodes for one in columns(node, fields)})


def _item(item: Item, fields: Fields) -> Sets:
    if predicates.absent(item.test, blank=True):
        return _NOTHING
    own = _present(item.field, fields)
    if not isinstance(item.test, Reference):
        return own
    return frozenset(left | right for left, right in product(own, _present(item.test.field, fields)))


def _present(name: str | None, fields: Fields) -> Sets:
    field = fields.line() if name is None else fields.field(name)
    return frozenset({frozenset({field.column})}) if field else frozenset()


def _smallest(sets: Collection[frozenset[str]]) -> Sets:
    """Those of which no other is a part."""
    kept: list[frozenset[str]] = []
    for one in sorted(sets, key=lambda columns: (len(columns), sorted(columns))):
        if not any(known <= one for known in kept):
            kept.append(one)
    return frozenset(kept[:_MOST])


def _is_one(word: str, wanted: Collection[str]) -> bool:
    return not wanted or word.lower() in wanted
