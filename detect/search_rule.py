"""A search (`core.storage.search_language`) as a Sigma rule that finds the same events.

The rule is written from the tree, so what the search means and what the rule means are held together by a property test on the engine.
What a rule cannot say raises Invalid with the place in the search: a time of the calendar, a flag of intake, how a line came to us, a
range with numbers beyond 2^53, and text whose letters beyond ASCII have case (a search looks for those to the letter, a rule does not).
Of the letters in events only the Kelvin sign (U+212A) is another one to a rule: `k`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv6Address, IPv6Network, ip_address, summarize_address_range
from typing import Any, Final

import yaml

from core.errors import Invalid
from core.events import Column, Kind, LogClass
from core.storage import search_conditions
from core.storage.event_queries import Where
from core.storage.search_conditions import RAW, column_named
from core.storage.search_language import All, Either, Node, Not, Term, Value, Within, wrong
from detect.fields import EventFields

ANY_CLASS: Final = "any"
"""The log source category of a rule for every class of logs (`detect.logsources`)."""
_FIELDS: Final = EventFields()
_LINE: Final = "keywords"
_EXACT: Final = 2**53
"""Rules compare in floating point, which has every whole number up to here."""
_LAST: Final = IPv6Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class _Item:
    """`name` (a field with modifiers, or keywords) has one of `values`."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Join:
    """All of the parts, or any of them."""

    parts: tuple[_Part, ...]
    every: bool


@dataclass(frozen=True, slots=True)
class _Negation:
    part: _Part


_Part = _Item | _Join | _Negation


def rule_text(search: Node | None, *, title: str, level: str = "medium", author: str = "", on: date, said: str = "") -> str:
    """The YAML of a new experimental rule that finds what `search` finds. `said` is the search as it was written, for the description.

    Where the search says of which log class the events are, the rule's log source says it; else it is for every class.
    """
    if search is None:
        raise Invalid("a search that finds every event makes no rule; look for something first")
    search_conditions.expression(Where(), search)  # tells what is wrong with the search itself
    category, rest = _category(search)
    part = _part(rest)
    if isinstance(part, bool):
        raise Invalid(f"this search finds {'every event' if part else 'no event at all'}, and makes no rule")
    rule: dict[str, Any] = {
        "title": title,
        "id": str(uuid.uuid4()),
        "status": "experimental",
        "description": f"Made from the search: {said}" if said else "Made from a search.",
        "author": author,
        "date": on.isoformat(),
        "logsource": {"category": category},
        "detection": _Detection().of(part),
        "level": level,
    }
    return yaml.safe_dump({name: value for name, value in rule.items() if value != ""}, sort_keys=False, allow_unicode=True, width=120)


def _category(search: Node) -> tuple[str, Node]:
    """The log class all events wanted are of, and what else is wanted; ANY_CLASS where the search does not say one."""
    parts = search.parts if isinstance(search, All) else (search,)
    for place, part in enumerate(parts):
        match part:
            case Term(name, at, Value(_, (text,), ())) if (
                name and column_named(name, at).name == "log_class" and text.lower() in list(LogClass)
            ):
                rest = (*parts[:place], *parts[place + 1 :])
                return text.lower(), All(rest) if rest else part
    return ANY_CLASS, search


def _part(node: Node) -> _Part | bool:
    """The part of a rule; a truth value where no event can change it."""
    match node:
        case All(parts) | Either(parts):
            return _joined([_part(part) for part in parts], isinstance(node, All))
        case Not(part):
            made = _part(part)
            return not made if isinstance(made, bool) else made.part if isinstance(made, _Negation) else _Negation(made)
        case Term():
            return _term(node)
        case Within():
            return _within(node)


def _joined(parts: Sequence[_Part | bool], every: bool) -> _Part | bool:
    if any(part is (not every) for part in parts):
        return not every
    found: list[_Part] = []
    for part in parts:
        if isinstance(part, bool):
            continue
        found += part.parts if isinstance(part, _Join) and part.every is every else (part,)
    if not every:
        found = _together(found)
    return found[0] if len(found) == 1 else _Join(tuple(found), every) if found else every


def _together(parts: Sequence[_Part]) -> list[_Part]:
    """Values of the same field in one list, where any of them is enough."""
    by_name: dict[str, _Item] = {}
    found: list[_Part] = []
    for part in parts:
        if isinstance(part, _Item):
            before = by_name.get(part.name)
            by_name[part.name] = part if before is None else _Item(part.name, tuple(dict.fromkeys((*before.values, *part.values))))
        else:
            found.append(part)
    for name in [name for name in by_name if f"{name}|cidr" in by_name]:
        single = tuple(f"{address}/{ip_address(address).max_prefixlen}" for address in by_name.pop(name).values)
        by_name[f"{name}|cidr"] = _Item(f"{name}|cidr", (*by_name[f"{name}|cidr"].values, *single))
    return [*by_name.values(), *found]


def _term(term: Term) -> _Part | bool:
    column, value = column_named(term.name, term.at) if term.name else RAW, term.value
    if column is RAW:
        return _Item(_LINE, (_written(value),)) if any(value.pieces) else True
    name = _field(column, term.at)
    if set(value.wildcards) == {"*"} and not any(value.pieces):
        return _is_set(column, name)
    if value.pieces == ("",):
        there = _is_set(column, name)
        return not there if isinstance(there, bool) else _Negation(there)
    if column.kind.is_text:
        return _text(column, name, value)
    if column.kind is Kind.IP:
        return _addresses(name, *search_conditions.network(column, value))
    if column.kind is Kind.TIME or column.name == "intake_flags":
        raise wrong(term.at, f"a rule cannot say {term.name}:{value.text}; take it out of the search")
    return _Item(name, (search_conditions.number(column, value),))


def _within(term: Within) -> _Part | bool:
    column = column_named(term.name, term.at)
    name = _field(column, term.at)
    if column.kind is Kind.TIME:
        raise wrong(term.at, f"a rule runs on what comes, and cannot be about a time; take {term.name} out of the search")
    if term.low is None and term.high is None:
        return _is_set(column, name)
    if column.kind is Kind.IP:
        return _address_range(column, name, term)
    sides: list[_Part | bool] = []
    if term.low is not None:
        sides.append(_Item(f"{name}|{'gte' if term.with_low else 'gt'}", (_compared(column, term.low),)))
    if term.high is not None:
        sides.append(_Item(f"{name}|{'lte' if term.with_high else 'lt'}", (_compared(column, term.high),)))
    return _joined(sides, every=True)


def _compared(column: Column, value: Value) -> int:
    found = search_conditions.number(column, value)
    if found > _EXACT:
        raise wrong(value.at, f"a rule compares numbers up to {_EXACT}, and {found} is greater")
    return found


def _field(column: Column, at: int) -> str:
    """The column's name in rules; Invalid when that is another's."""
    known = _FIELDS.field(column.name)
    if known is None or known.column != column.name:
        raise wrong(at, f"rules cannot name the column {column.name}; take it out of the search")
    return column.name


def _is_set(column: Column, name: str) -> _Part | bool:
    if column.nullable or column.kind.is_text:
        return _Item(f"{name}|exists", (True,))
    return _Item(f"{name}|gt", (0,)) if column.kind.is_number else True


def _text(column: Column, name: str, value: Value) -> _Item:
    inner = value.pieces[1:-1]
    match value.wildcards:
        case ():
            cased = "|cased" if column.set_by == "intake" else ""
            return _Item(name + cased, (_written(value, cased=bool(cased)),))
        case ("*", "*") if not value.pieces[0] and not value.pieces[-1] and inner[0]:
            return _Item(f"{name}|contains", (_written(Value(value.at, inner)),))
        case ("*",) if not value.pieces[1]:
            return _Item(f"{name}|startswith", (_written(Value(value.at, value.pieces[:1])),))
        case ("*",) if not value.pieces[0]:
            return _Item(f"{name}|endswith", (_written(Value(value.at, value.pieces[1:])),))
    return _Item(name, (_written(value),))


def _written(value: Value, *, cased: bool = False) -> str:
    """The value as Sigma writes it: wildcards as they are, what is no wildcard escaped."""
    foreign = next((letter for piece in value.pieces for letter in piece if not letter.isascii() and letter.lower() != letter.upper()), "")
    if foreign and not cased:
        raise wrong(value.at, f"a rule takes {foreign!r} for its small and its capital letter alike, and a search does not; write ? for it")
    pieces = [piece.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?") for piece in value.pieces]
    return pieces[0] + "".join(mark + piece for mark, piece in zip(value.wildcards, pieces[1:], strict=True))


def _address_range(column: Column, name: str, term: Within) -> _Part | bool:
    first = IPv6Address(0) if term.low is None else search_conditions.address(column, term.low)
    last = _LAST if term.high is None else search_conditions.address(column, term.high)
    low = int(first) + (term.low is not None and not term.with_low)
    high = int(last) - (term.high is not None and not term.with_high)
    return _addresses(name, IPv6Address(low), IPv6Address(high)) if low <= high else False


def _addresses(name: str, first: IPv6Address, last: IPv6Address) -> _Part:
    """Addresses from `first` to `last`: Sigma's networks are IPv4 or IPv6, and ours are all IPv6."""
    found: list[str] = []
    for network in summarize_address_range(first, last):
        found.append(_network(network))
        if network.prefixlen < _MAPPED.prefixlen and network.supernet_of(_MAPPED):
            found.append("0.0.0.0/0")
    single = [text for text in found if "/" not in text]
    networks = [text for text in found if "/" in text]
    items = [_Item(name, tuple(single))] * bool(single) + [_Item(f"{name}|cidr", tuple(networks))] * bool(networks)
    return _together(items)[0]


def _network(network: IPv6Network) -> str:
    inner = network.network_address.ipv4_mapped if network.prefixlen >= _MAPPED.prefixlen else None
    address, length = (network.network_address, network.prefixlen) if inner is None else (inner, network.prefixlen - _MAPPED.prefixlen)
    return str(address) if length == address.max_prefixlen else f"{address}/{length}"


@dataclass
class _Detection:
    """The selections of a rule under way."""

    _selections: dict[str, Any] = field(default_factory=dict)

    def of(self, part: _Part) -> dict[str, Any]:
        """The detection of a whole rule."""
        condition = self._condition(part, "selection", outermost=True)
        return {**self._selections, "condition": condition}

    def _condition(self, part: _Part, called: str, *, outermost: bool = False) -> str:
        match part:
            case _Item():
                return self._selection([part], called)
            case _Negation(inner):
                return f"not {self._condition(inner, 'filter')}"
            case _Join(parts, True):
                words = self._every(parts, called)
            case _Join(parts):
                words = [self._condition(one, called) for one in parts]
        joined = (" and " if part.every else " or ").join(words)
        return joined if outermost or len(words) == 1 else f"({joined})"

    def _every(self, parts: Sequence[_Part], called: str) -> list[str]:
        """Fields that differ stand in one selection; the others in selections of their own."""
        maps: list[list[_Item]] = []
        items = [part for part in parts if isinstance(part, _Item)]
        for item in items:
            free = next((one for one in maps if not {item.name, _LINE} & {other.name for other in one}), None)
            if free is None or item.name == _LINE:
                maps.append([item])
            else:
                free.append(item)
        words = [self._selection(one, called) for one in maps]
        return words + [self._condition(part, called) for part in parts if not isinstance(part, _Item)]

    def _selection(self, items: Sequence[_Item], called: str) -> str:
        """The name of the selection of these items."""
        if items[0].name == _LINE:
            return self._named(_LINE, list(items[0].values))
        return self._named(called, {item.name: item.values[0] if len(item.values) == 1 else list(item.values) for item in items})

    def _named(self, called: str, content: Any) -> str:
        known = next((name for name, other in self._selections.items() if other == content), "")
        if known:
            return known
        name = called if called not in self._selections else f"{called}_{sum(one.startswith(called) for one in self._selections) + 1}"
        self._selections[name] = content
        return name
