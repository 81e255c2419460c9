"""What a search (`core.storage.search_language`) means: its tree as one condition of SQL, values beside it.

| column | `name:value` |
|---|---|
| text | the whole text, letter case apart (ASCII); `*` and `?` as written. What intake says (agency, source, ...) is taken to the letter |
| `raw`, or no name | the line holds it, letter case apart |
| address | the address, the network (`10.0.0.0/8`), or octets (`10.1.*`) |
| number | the number |
| `intake_flags` | the flag of that word |
| time | only ranges: ISO 8601; without a zone it is Seoul's time |
| any | `*`: is set; `""`: is not set |

A condition is never NULL: what is not set does not match, and NOT turns that round. A name is a column of `core.events` or one of the
names public Sigma rules use for it, letter case apart. Invalid says at which character of the search something is wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any, Final

from core.clock import KST
from core.events import EVENTS, HIGHEST, Column, IntakeFlag, Kind
from core.storage.event_queries import Where
from core.storage.search_language import All, Either, Node, Not, Term, Value, Within, wrong

RAW: Final = EVENTS.column("raw")
_BY_NAME: Final = {name.lower(): column for column in EVENTS.columns for name in column.sigma} | {c.name: c for c in EVENTS.columns}
_FLAGS: Final = {str(flag.name).lower(): flag.value for flag in IntakeFlag if flag.value}
_LIKE: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})
_MARKS: Final = {"*": "%", "?": "_"}
_OCTETS: Final = 4
_DAY: Final = timedelta(days=1)


def add(where: Where, node: Node) -> None:
    """Add what `node` asks for to `where`. Invalid when a name or value cannot be."""
    where.conditions.append(expression(where, node))


def column_named(name: str, at: int = 0) -> Column:
    """The column a search means by `name`; Invalid, with what may have been meant, when there is none."""
    column = _BY_NAME.get(name.lower())
    if column is None:
        near = difflib.get_close_matches(name.lower(), _BY_NAME, 3)
        meant = f"; did you mean {', '.join(near)}?" if near else "; to look for it in the line put it in quotes"
        raise wrong(at, f"there is no column {name!r}{meant}")
    return column


def expression(where: Where, node: Node) -> str:
    """The condition of `node`, its values kept in `where`. Invalid when a name or value cannot be."""
    match node:
        case All(parts):
            return "(" + " AND ".join(expression(where, part) for part in parts) + ")"
        case Either(parts):
            return "(" + " OR ".join(expression(where, part) for part in parts) + ")"
        case Not(part):
            return f"NOT {expression(where, part)}"
        case Term():
            return _term(where, node)
        case Within():
            return _within(where, node)


def _term(where: Where, term: Term) -> str:
    column, value = column_named(term.name, term.at) if term.name else RAW, term.value
    if column is RAW:
        return _in_line(where, value)
    name = f"`{column.name}`"
    if set(value.wildcards) == {"*"} and not any(value.pieces):
        return is_set(column)
    if value.pieces == ("",):
        return f"NOT {is_set(column)}"
    if column.kind.is_text:
        return _text(where, column, value)
    if column.kind is Kind.IP:
        return _sure(column, _between_addresses(where, name, *network(column, value)))
    if column.kind is Kind.TIME:
        raise wrong(term.at, f"{column.name} is a time: write {column.name}:[2026-11-01 TO 2026-11-02]")
    if column.name == "intake_flags":
        return _flag(where, value)
    return _sure(column, f"{name} = {_bound(where, column, value)}")


def _within(where: Where, term: Within) -> str:
    column = column_named(term.name, term.at)
    if column.kind.is_text:
        raise wrong(term.at, f"{column.name} is text and has no ranges")
    name, sides = f"`{column.name}`", []
    if term.low is not None:
        sides.append(f"{name} {'>=' if term.with_low else '>'} {_bound(where, column, term.low)}")
    if term.high is not None and column.kind is Kind.TIME and term.with_high and (day := _day(term.high)):
        sides.append(f"{name} < {where.bind(column.parameter, day + _DAY)}")  # up to a day means to its end
    elif term.high is not None:
        sides.append(f"{name} {'<=' if term.with_high else '<'} {_bound(where, column, term.high)}")
    return _sure(column, " AND ".join(sides)) if sides else is_set(column)


def _sure(column: Column, condition: str) -> str:
    return f"ifNull({condition}, 0)" if column.nullable else f"({condition})"


def is_set(column: Column) -> str:
    """The condition that a column is set."""
    if column.nullable:
        return f"(`{column.name}` IS NOT NULL)"
    return f"(`{column.name}` != '')" if column.kind.is_text else f"(`{column.name}` != 0)" if column.kind.is_number else "1"


def _in_line(where: Where, value: Value) -> str:
    pieces = [piece for piece in value.pieces if piece]
    if not pieces:
        return "1"
    if len(pieces) == 1 and "?" not in value.wildcards:
        return f"(positionCaseInsensitive(`raw`, {where.bind('String', pieces[0])}) > 0)"
    return f"(`raw` ILIKE {where.bind('String', f'%{_pattern(value)}%')})"


def _text(where: Where, column: Column, value: Value) -> str:
    name = f"`{column.name}`"
    if not value.wildcards:
        bound = where.bind("String", value.pieces[0])
        return f"({name} = {bound})" if column.set_by == "intake" else f"(lower({name}) = lower({bound}))"
    if value.wildcards == ("*", "*") and not value.pieces[0] and not value.pieces[2]:
        return f"(positionCaseInsensitive({name}, {where.bind('String', value.pieces[1])}) > 0)"
    return f"({name} ILIKE {where.bind('String', _pattern(value))})"


def _pattern(value: Value) -> str:
    """The LIKE pattern of a value with wildcards."""
    rest = (_MARKS[mark] + piece.translate(_LIKE) for mark, piece in zip(value.wildcards, value.pieces[1:], strict=True))
    return value.pieces[0].translate(_LIKE) + "".join(rest)


def _flag(where: Where, value: Value) -> str:
    bit = _FLAGS.get(value.text.lower())
    if bit is None:
        raise wrong(value.at, f"{value.text!r} is no flag of intake; there are {', '.join(_FLAGS)}")
    return f"(bitAnd(`intake_flags`, {where.bind('UInt32', bit)}) != 0)"


def _bound(where: Where, column: Column, value: Value) -> str:
    """The placeholder of one value of a column that is no text."""
    makes: dict[Kind, Callable[[Column, Value], Any]] = {Kind.IP: address, Kind.TIME: _time}
    return where.bind(column.parameter, makes.get(column.kind, number)(column, value))


def number(column: Column, value: Value) -> int:
    """The number a value of `column` is; Invalid when it is none the column can hold."""
    text, highest = value.text, HIGHEST[column.kind]
    found = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(highest)) else -1
    if not 0 <= found <= highest:
        raise wrong(value.at, f"{column.name}: {text!r} is not a number from 0 to {highest}")
    return found


def address(column: Column, value: Value) -> IPv6Address:
    """The one address a value of `column` is, IPv4 mapped into IPv6; Invalid when it is none."""
    first, last = network(column, value)
    if first != last:
        raise wrong(value.at, f"{column.name}: a range goes from one address to another; {value.text!r} is a network")
    return first


def network(column: Column, value: Value) -> tuple[IPv6Address, IPv6Address]:
    """The first and the last address a value of `column` means, IPv4 mapped into IPv6; Invalid when it is no address or network."""
    try:
        found = ip_network(_octets(value) or value.text, strict=False)
    except ValueError:
        raise wrong(value.at, f"{column.name}: {value.text!r} is neither an address nor a network") from None
    return _mapped(found.network_address), _mapped(found.broadcast_address)


def _octets(value: Value) -> str:
    """The network that `10.1.*` stands for; '' when it is not written so."""
    octets = value.pieces[0].rstrip(".").split(".")
    if value.wildcards != ("*",) or value.pieces[1] or not value.pieces[0].endswith(".") or len(octets) >= _OCTETS:
        return ""
    return ".".join([*octets, *["0"] * (_OCTETS - len(octets))]) + f"/{8 * len(octets)}"


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")


def _between_addresses(where: Where, name: str, first: IPv6Address, last: IPv6Address) -> str:
    if first == last:
        return f"{name} = {where.bind('IPv6', first)}"
    return f"{name} BETWEEN {where.bind('IPv6', first)} AND {where.bind('IPv6', last)}"


def _time(column: Column, value: Value) -> datetime:
    try:
        at = datetime.fromisoformat(value.text)
    except ValueError:
        raise wrong(value.at, f"{column.name}: {value.text!r} is no time such as 2026-11-01 or 2026-11-01T09:00:00+09:00") from None
    at = at if at.tzinfo else at.replace(tzinfo=KST)
    if not 1970 < at.year < 2200:
        raise wrong(value.at, f"{column.name}: a time lies between 1971 and 2199")
    return at


def _day(value: Value) -> datetime | None:
    """The day `value` is, at its start in Seoul; None when it says a time of day."""
    try:
        return datetime.combine(date.fromisoformat(value.text), time(), KST)
    except ValueError:
        return None
