r"""The short words of a parser's expressions, each expanded to ClickHouse SQL over the parser's `text`.

    kv('k', ...)        value of the first of these keys that has one; quotes taken off
    word('k', ...)      the same for values that hold no space: faster
    quoted('k', ...)    the same for values that always stand in quotes: faster still
    spaced('k', ...)    the same where bare values may hold spaces: they run to the next ` key=`
    json('a.b.0')       value at a path; numbers name places of a list
    csv(n)              n-th field, from 1; quoted fields understood
    field('name')       value of the first key that the map `fields` calls so: for formats of many synonyms
    cef('k', ...)       first of these extension keys that has a value
    cef(n)              n-th header field: 1 vendor, 2 product, 3 version, 4 class id, 5 name, 6 severity
    group('name')       named group of the case that matched
    constant('name')    what the case that matched sets the column to
    ip(x) port(x) num(x)          NULL when it is none; ip takes brackets, a zone index and a port after it
    proto(x)            number or name to the IANA keyword in lower case
    known(x)            '' for the ways devices write "nothing"
    lookup('map', x[, otherwise]) a word by one of the parser's maps, without case
    graded(x[, scale])  severity_id of a severity's word; of its number where `scale` is 'syslog' (0-7), 'ten' (0-10) or 'priority' (1-4)
    epoch(x)            seconds, milli-, micro- or nanoseconds since 1970
    yearless(x[, zone]) a written time that begins with month and day and tells no year, such as `Mar  5 14:00:00`
    stamp(x[, zone])    a written time; its own zone, else `zone`, else the source's

Keys are found by the first `before key equals` in the text (`pairs` of the parser). How much of the text a value may take depends on
the column it is for: that keeps the copying small.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ingest.headers import of_the_year, year_of
from ingest.parser import Pairs
from ingest.sql import quote, unquote

if TYPE_CHECKING:
    from ingest.scope import Scope

_QUOTE: Final = '"'
_ESCAPED: Final = quote(r"\\([=|\\])")
_BACKSLASH: Final = quote("\\")
_ESCAPED_QUOTE: Final = quote(r"\"")
_TO_OPEN_QUOTE: Final = quote(r'^"((?:[^"\\]|\\.)*)')

_GRADES: Final = {
    **dict.fromkeys(("emergency", "emerg", "emer", "panic", "fatal"), 6),
    **dict.fromkeys(("critical", "crit", "alert", "very-high", "very high"), 5),
    **dict.fromkeys(("high", "error", "err", "severe"), 4),
    **dict.fromkeys(("medium", "moderate", "warning", "warn", "major"), 3),
    **dict.fromkeys(("low", "notice", "notification", "note", "minor"), 2),
    **dict.fromkeys(("informational", "information", "info", "debug", "debugging", "trace", "verbose"), 1),
}
_SCALES: Final[dict[str, dict[str, int]]] = {
    "words": {},
    "syslog": {"0": 6, "1": 5, "2": 5, "3": 4, "4": 3, "5": 2, "6": 1, "7": 1},
    "ten": {"0": 1, **dict.fromkeys("123", 2), **dict.fromkeys("456", 3), **dict.fromkeys("78", 4), **dict.fromkeys(("9", "10"), 5)},
    "priority": {"1": 4, "2": 3, "3": 2, "4": 1},
}
"""Words and numbers to OCSF's severity_id. CEF calls 0-3 low, 4-6 medium, 7-8 high, 9-10 very high; 0 is taken for informational."""

Macro = Callable[["Scope", list[str], int], str]

LONG: Final = 8192
MIDDLE: Final = 256
ADDRESS: Final = 64
NUMBER: Final = 32
"""The most bytes of a value, by what it is for; up to ADDRESS a value holds no space."""

PADDING: Final = 48
"""Quotes before the text: what stands after a key that is not there is then an empty value, without asking whether it is there."""

CEF_MARK: Final = "\x1e"
"""Before each key of a CEF extension, in place of the blanks there: what ends a value is then one character."""

NOTHING: Final = (
    *("-", "N/A", "n/a", "NA", "none", "None", "NONE", "(none)", "null", "(null)", "(empty)"),
    *("unknown", "Unknown", "undefined", "Undefined"),
)

# https://www.iana.org/assignments/protocol-numbers: those that firewalls write, by number; and other spellings of their keywords.
_PROTOCOLS: Final = {
    **{"0": "hopopt", "1": "icmp", "2": "igmp", "4": "ipv4", "6": "tcp", "8": "egp", "9": "igp", "17": "udp", "27": "rdp"},
    **{"41": "ipv6", "43": "ipv6-route", "44": "ipv6-frag", "46": "rsvp", "47": "gre", "50": "esp", "51": "ah"},
    **{"58": "ipv6-icmp", "59": "ipv6-nonxt", "60": "ipv6-opts", "88": "eigrp", "89": "ospfigp", "94": "ipip", "97": "etherip"},
    **{"103": "pim", "108": "ipcomp", "112": "vrrp", "115": "l2tp", "132": "sctp", "136": "udplite"},
    **{"icmp6": "ipv6-icmp", "icmpv6": "ipv6-icmp", "icmp-ipv6": "ipv6-icmp", "ospf": "ospfigp"},
}


def _kv(scope: Scope, args: list[str], window: int) -> str:
    if window <= ADDRESS:
        return _word(scope, args, window)
    return _first(scope, args, lambda key: _either(scope, key, window))


def _word(scope: Scope, args: list[str], window: int) -> str:
    after = quote(scope.pairs.after)
    return _first(scope, args, lambda key: f"trim(BOTH '\"' FROM substringIndex({_from(scope, key, '', window)}, {after}, 1))")


def _quoted(scope: Scope, args: list[str], window: int) -> str:
    return _first(scope, args, lambda key: f"substringIndex({_from(scope, key, _QUOTE, window)}, '\"', 1)")


def _spaced(scope: Scope, args: list[str], window: int) -> str:
    return _first(scope, args, lambda key: _to_next_key(scope, key, window))


def _to_next_key(scope: Scope, key: str, window: int) -> str:
    taken = scope.define(_from(scope, key, "", window))
    bare = f"extract({taken}, {quote(_until_next_key(scope.pairs))})"
    return scope.define(f"if(startsWith({taken}, '\"'), substringIndex(substring({taken}, 2), '\"', 1), {bare})")


def _until_next_key(pairs: Pairs) -> str:
    """Regular expression of a value that only the next key, or the end, ends."""
    if pairs.before == pairs.after:
        return f"^((?s:.*?)){re.escape(pairs.before)}*(?:{re.escape(pairs.before)}[A-Za-z0-9_.]+{re.escape(pairs.equals)}|$)"
    return f"^((?s:.*?))(?:{re.escape(pairs.after + pairs.before)}[A-Za-z0-9_. ]+{re.escape(pairs.equals)}|$)"


def _from(scope: Scope, key: str, opening: str, window: int) -> str:
    """What follows `key` in the text, at most `window` bytes."""
    return _after(scope.pairs_text(), f"{scope.pairs.before}{key}{scope.pairs.equals}{opening}", window)


def _after(text: str, needle: str, window: int) -> str:
    """What follows `needle` in `text`, at most `window` bytes. Of one that is not there: the quotes the text is padded with."""
    size = len(needle.encode())
    if size >= PADDING:
        raise ValueError("too long for a key")
    return f"substring({text}, position({text}, {quote(needle)}) + {size}, {window})"


def _either(scope: Scope, key: str, window: int) -> str:
    taken = scope.define(_from(scope, key, "", window))
    inside = f"substringIndex(substring({taken}, 2), '\"', 1)"
    if window >= LONG:
        escapes = scope.define(f"position({scope.pairs_text()}, {_ESCAPED_QUOTE}) > 0")
        whole = f"replaceAll(extract({taken}, {_TO_OPEN_QUOTE}), {_ESCAPED_QUOTE}, '\"')"
        inside = f"if({escapes}, {whole}, {inside})"
    return scope.define(f"if(startsWith({taken}, '\"'), {inside}, substringIndex({taken}, {quote(scope.pairs.after)}, 1))")


def _first(scope: Scope, args: list[str], one: Callable[[str], str]) -> str:
    """The first of several keys that has a value."""
    if not args:
        raise ValueError("needs the name of a key")
    found = [one(unquote(arg)) for arg in args]
    result = found.pop()
    while found:
        value = scope.define(found.pop())
        result = f"if({value} != '', {value}, {result})"
    return result


def _json(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001 - one shape for all macros
    (path,) = args
    return scope.json_value(unquote(path).split("."))


def _csv(scope: Scope, args: list[str], window: int) -> str:
    (place,) = args
    field = f"{scope.csv_fields()}[{int(place)}]"
    return field if window <= ADDRESS else f"replaceAll({field}, '\\x1f', {quote(scope.delimiter)})"


def _cef(scope: Scope, args: list[str], window: int) -> str:
    if len(args) == 1 and args[0].isdecimal():
        field = scope.define(f"{scope.cef_header()}[{int(args[0]) + 1}]")
        return f"if(position({field}, {_BACKSLASH}) > 0, replaceRegexpAll({field}, {_ESCAPED}, '\\\\1'), {field})"
    return _first(scope, args, lambda key: _cef_value(scope, key, window))


def _cef_value(scope: Scope, key: str, window: int) -> str:
    value = f"substringIndex({_after(scope.cef_extension(), CEF_MARK + key + '=', window)}, '\\x1e', 1)"
    if window <= ADDRESS:
        return f"trim(BOTH '\"' FROM substringIndex({value}, ' ', 1))"
    bare = scope.define(f"trim(LEADING '\"' FROM {value})")
    return f"if({scope.cef_escapes()}, replaceRegexpAll({bare}, {_ESCAPED}, '\\\\1'), {bare})" if window >= LONG else bare


def _field(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    (name,) = args
    names, values = scope.fields()
    return f"{values}[indexOf({names}, {quote(unquote(name))})]"


def _group(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    (name,) = args
    return scope.group(unquote(name))


def _constant(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    (name,) = args
    return scope.constant(unquote(name))


def _ip(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    (x,) = args
    text = scope.define(scope.expand(x, ADDRESS))
    plain = scope.define(f"toIPv6OrNull({text})")
    inside = f"extract({text}, '^\\\\[?([0-9A-Fa-f:.]*[0-9A-Fa-f:])(?:%[^\\\\]]*)?\\\\]?(?::[0-9]{{1,5}})?$')"
    unported = f"extract({text}, '^([0-9.]+)[:/][0-9]{{1,5}}$')"
    return f"if(isNotNull({plain}) OR {text} = '', {plain}, ifNull(toIPv6OrNull({unported}), toIPv6OrNull({inside})))"


def _port(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    (x,) = args
    return f"toUInt16OrNull({scope.expand(x, NUMBER)})"


def _num(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    (x,) = args
    return f"toUInt64OrNull({scope.expand(x, NUMBER)})"


def _proto(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    (x,) = args
    text = scope.define(f"lower({scope.expand(x, NUMBER)})")
    keys = ", ".join(quote(key) for key in _PROTOCOLS)
    values = ", ".join(quote(value) for value in _PROTOCOLS.values())
    return f"transform({text}, [{keys}], [{values}], {text})"


def _known(scope: Scope, args: list[str], window: int) -> str:
    (x,) = args
    value = scope.define(scope.expand(x, window))
    return f"if({value} IN ({', '.join(quote(word) for word in NOTHING)}), '', {value})"


def _lookup(scope: Scope, args: list[str], window: int) -> str:
    name, x, otherwise = args if len(args) == 3 else (*args, "''")
    table = scope.map(unquote(name))
    keys = ", ".join(quote(key.lower()) for key in table)
    values = ", ".join(quote(value) for value in table.values())
    return f"transform(lower({scope.expand(x, window)}), [{keys}], [{values}], {scope.expand(otherwise, window)})"


def _graded(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    x, scale = args if len(args) == 2 else (*args, "'words'")
    table = _GRADES | _SCALES[unquote(scale)]
    keys = ", ".join(quote(key) for key in table)
    text = scope.define(f"lower({scope.expand(x, NUMBER)})")
    return f"nullIf(transform({text}, [{keys}], [{', '.join(map(str, table.values()))}], 0), 0)"


def _epoch(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    (x,) = args
    number = scope.define(f"toInt64OrNull(substringIndex({scope.expand(x, NUMBER)}, '.', 1))")
    return (
        f"multiIf({number} <= 0, NULL, {number} < 100000000000, {number} * 1000, {number} < 100000000000000, {number}, "
        f"{number} < 100000000000000000, intDiv({number}, 1000), intDiv({number}, 1000000))"
    )


def _stamp(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    x, zone = args if len(args) == 2 else (*args, "{zone:String}")
    return f"toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({scope.expand(x, MIDDLE)}, 3, {zone}))"


def _yearless(scope: Scope, args: list[str], window: int) -> str:  # noqa: ARG001
    x, zone = args if len(args) == 2 else (*args, "{zone:String}")
    date = scope.define(scope.expand(x, MIDDLE))
    year = scope.define(year_of(date))

    def read(change: str) -> str:
        text = f"concat({date}, ' ', toString({year}{change}))"
        return f"toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({text}, 3, {zone}))"

    return of_the_year(date, scope.define(read("")), read(" - 1"), read(" + 1"))


MACROS: Final[dict[str, Macro]] = {
    "kv": _kv,
    "word": _word,
    "quoted": _quoted,
    "spaced": _spaced,
    "json": _json,
    "csv": _csv,
    "cef": _cef,
    "field": _field,
    "group": _group,
    "constant": _constant,
    "ip": _ip,
    "port": _port,
    "num": _num,
    "proto": _proto,
    "known": _known,
    "lookup": _lookup,
    "graded": _graded,
    "epoch": _epoch,
    "stamp": _stamp,
    "yearless": _yearless,
}
