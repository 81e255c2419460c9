"""A second, slow reading of Sigma, straight from its specification (SigmaHQ, version 2.1), to hold the compiler against.

It takes the YAML of a rule as plain objects and an event as a JSON object, and shares no code with `detect` or pySigma.

Where the specification leaves a choice, this is what we read:
- A field's dotted name goes through nested objects and lists; a field has every value it leads to, and one that passes is enough.
- Values are texts, as the specification has it: 10, 10.0 and "10" are the same, `true` is "true". `null` is no value.
- `exists` asks for the field, not for a value: a field that is null or an empty list is there.
- A keyword stands anywhere in any value of the event.
- The comparison is of bytes (UTF-8); bytes that are no text, which the encodings give, have no case.
- Where `blank_is_absent`, as in a store whose texts cannot be null, the empty text is no value, and `''` means what `null` means.
- `$` is the end of the value, without PCRE's exception for a last line end.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import product
from typing import Any

Event = Mapping[str, Any]
Document = Mapping[str, Any]
Placeholders = Mapping[str, Sequence[str]]

ANY_CHARACTER = rb"(?:[\x00-\x7f]|[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3})"
DASHES = "-/\u2013\u2014\u2015"
NUMERIC = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
MAPPED = IPv6Network("::ffff:0:0/96")
TIME_PARTS: Mapping[str, Callable[[datetime], int]] = {
    "minute": lambda time: time.minute,
    "hour": lambda time: time.hour,
    "day": lambda time: time.day,
    "week": lambda time: time.isocalendar().week,
    "month": lambda time: time.month,
    "year": lambda time: time.year,
}
RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
}


class Refused(ValueError):
    """The specification gives the rule no meaning."""


def matches(
    rule: Document,
    event: Event,
    *,
    filters: Sequence[Document] = (),
    placeholders: Placeholders | None = None,
    line: str | None = None,
    blank_is_absent: bool = False,
) -> bool:
    """Whether `rule`, and the condition of every one of `filters`, holds for `event`; keywords are searched in `line` where it is given."""
    facts = _Facts(event, placeholders or {}, line, blank_is_absent)
    return all(_Section(section, facts).holds() for section in (rule["detection"], *(one["filter"] for one in filters)))


class _Facts:
    """What is known of one event: the values and the presence of every field by its dotted name."""

    def __init__(self, event: Event, placeholders: Placeholders, line: str | None, blank_is_absent: bool) -> None:
        self.placeholders = placeholders
        self.blank_is_absent = blank_is_absent
        self.present: set[str] = set()
        self._values: dict[str, list[str]] = {}
        for name, value in _paths(event, ""):
            if value is not None and not (blank_is_absent and value == ""):
                self.present.add(name)
                self._values.setdefault(name, []).extend(_texts(value))
            elif not blank_is_absent:
                self.present.add(name)
        self.message = [line] if line is not None else list(_leaves(event))

    def values(self, name: str) -> list[str]:
        return self._values.get(name, [])


def _paths(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every dotted name in `value` with what it leads to."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            path = f"{name}.{key}" if name else key
            yield path, child
            yield from _paths(child, path)
    elif isinstance(value, list):
        for child in value:
            yield from _paths(child, name)


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for child in value for text in _texts(child)]
    return [] if value is None else [_text(value)]


def _leaves(value: Any) -> list[str]:
    if isinstance(value, Mapping | list):
        return [text for child in (value.values() if isinstance(value, Mapping) else value) for text in _leaves(child)]
    return _texts(value)


def _text(value: Any) -> str:
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _Section:
    """A detection section: named searches and the conditions over them (or: not, and, or; then `1 of`; then brackets)."""

    def __init__(self, section: Document, facts: _Facts) -> None:
        self._facts = facts
        self._searches = {name: body for name, body in section.items() if name not in ("condition", "rules")}
        written = section["condition"]
        self._conditions = written if isinstance(written, list) else [written]
        self._words: list[str] = []

    def holds(self) -> bool:
        """Several conditions are linked by or."""
        return any(self._condition(condition) for condition in self._conditions)

    def _condition(self, text: str) -> bool:
        self._words = text.replace("(", " ( ").replace(")", " ) ").split()
        result = self._alternatives()
        if self._words:
            raise Refused(f"{self._words[0]!r} stands where the condition should end")
        return result

    def _next_is(self, word: str) -> bool:
        if self._words and self._words[0].lower() == word:
            self._words.pop(0)
            return True
        return False

    def _alternatives(self) -> bool:
        results = [self._conjunction()]
        while self._next_is("or"):
            results.append(self._conjunction())
        return any(results)

    def _conjunction(self) -> bool:
        results = [self._negated()]
        while self._next_is("and"):
            results.append(self._negated())
        return all(results)

    def _negated(self) -> bool:
        if self._next_is("not"):
            return not self._negated()
        if self._next_is("("):
            result = self._alternatives()
            if not self._next_is(")"):
                raise Refused("a bracket is not closed")
            return result
        if not self._words:
            raise Refused("the condition ends too early")
        word = self._words.pop(0)
        if word.lower() in ("1", "any", "all") and self._next_is("of"):
            return self._several(word.lower() == "all", self._words.pop(0))
        return self._search(word)

    def _several(self, every: bool, pattern: str) -> bool:
        """Names that begin with an underscore are left out by convention."""
        wanted = ".*" if pattern == "them" else ".*".join(re.escape(piece) for piece in pattern.split("*"))
        found = [self._search(name) for name in self._searches if re.fullmatch(wanted, name) and not name.startswith("_")]
        if not found:
            raise Refused(f"no search fits {pattern!r}")
        return all(found) if every else any(found)

    def _search(self, name: str) -> bool:
        if name not in self._searches:
            raise Refused(f"there is no search {name!r}")
        return self._body(self._searches[name])

    def _body(self, body: Any) -> bool:
        if isinstance(body, Mapping):
            return all(_Item(key, value, self._facts).holds() for key, value in body.items())
        if isinstance(body, list):
            return any(self._body(element) for element in body)
        return _Item("", body, self._facts).holds()


Sign = str
"""One character of a pattern, or one of the two below."""
MANY: Sign = "any characters"
ONE: Sign = "one character"


@dataclass
class _Wanted:
    """One value of a rule on its way through the modifiers: several alternatives of a text, or something that is no text."""

    written: Any
    alternatives: list[list[Sign]] = field(default_factory=list)
    kind: str = "text"
    flags: str = ""
    part: str = ""
    relation: str = ""
    cased: bool = False
    before: bool = False
    after: bool = False


class _Item:
    """`field|modifier|...: values`; a field without a name is a keyword."""

    def __init__(self, key: str, written: Any, facts: _Facts) -> None:
        self._field, *self._modifiers = key.split("|")
        self._facts = facts
        values = written if isinstance(written, list) else [written]
        # `all` links the values as they are written; the values of one placeholder stay alternatives.
        self._wanted = [[_modified(one, self._modifiers) for one in self._filled(value)] for value in values]

    def _filled(self, value: Any) -> list[Any]:
        if "expand" not in self._modifiers or not isinstance(value, str):
            return [value]
        pieces = re.split(r"(?<!\\)%([^%\\]+)%", value)
        if missing := [name for name in pieces[1::2] if not self._facts.placeholders.get(name)]:
            raise Refused(f"the placeholder {missing[0]!r} has no values")
        choices = [self._facts.placeholders[piece] if at % 2 else [piece.replace("\\%", "%")] for at, piece in enumerate(pieces)]
        return ["".join(chosen) for chosen in product(*choices)]

    def holds(self) -> bool:
        results = [any(self._one(wanted) for wanted in alternatives) for alternatives in self._wanted]
        result = all(results) if "all" in self._modifiers else any(results)
        return not result if "neq" in self._modifiers else result

    def _one(self, wanted: _Wanted) -> bool:
        if wanted.kind == "exists":
            return (self._field in self._facts.present) is wanted.written
        values = self._facts.values(self._field) if self._field else self._facts.message
        if wanted.written is None or (wanted.written == "" and wanted.kind == "text" and self._facts.blank_is_absent):
            return not values
        return any(self._fits(value, wanted) for value in values)

    def _fits(self, value: str, wanted: _Wanted) -> bool:
        match wanted.kind:
            case "text":
                return any(_like(value, signs, wanted.cased, anywhere=not self._field) for signs in wanted.alternatives)
            case "regex":
                return _regex(value, str(wanted.written), wanted.flags)
            case "network":
                return _within(value, str(wanted.written))
            case "number":
                return _compared(value, wanted.relation, wanted.written)
            case "time":
                return _timed(value, wanted)
        return any(_related(value, other, wanted) for other in self._facts.values(str(wanted.written)))


def _modified(value: Any, modifiers: Sequence[str]) -> _Wanted:
    """The value after every modifier in the order written."""
    wanted = _Wanted(value, [_signs(_text(value))] if value is not None else [])
    for name in modifiers:
        if name in ("all", "neq", "expand"):
            continue
        if name in ("re", "cidr", "fieldref", "exists"):
            wanted.kind = {"re": "regex", "cidr": "network", "fieldref": "reference", "exists": "exists"}[name]
        elif name in ("i", "m", "s"):
            wanted.flags += name
        elif name == "cased":
            wanted.cased = True
        elif name in RELATIONS:
            wanted.kind, wanted.relation = "time" if wanted.part else "number", name
        elif name in TIME_PARTS:
            wanted.kind, wanted.part = "time", name
        elif name in ("contains", "startswith", "endswith"):
            _open(wanted, name)
        else:
            wanted.alternatives = [after for before in wanted.alternatives for after in _encoded(before, name)]
    return wanted


def _open(wanted: _Wanted, name: str) -> None:
    wanted.before |= name in ("contains", "endswith")
    wanted.after |= name in ("contains", "startswith")
    wanted.alternatives = [[MANY] * (name != "startswith") + signs + [MANY] * (name != "endswith") for signs in wanted.alternatives]


def _signs(text: str) -> list[Sign]:
    """`*` and `?` unless a backslash stands before them; a backslash before `*`, `?` or a backslash is not itself meant."""
    signs: list[Sign] = []
    at = 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in ("*", "?", "\\"):
            at += 1
            signs.append(text[at])
        else:
            signs.append({"*": MANY, "?": ONE}.get(text[at], text[at]))
        at += 1
    return signs


def _encoded(signs: list[Sign], name: str) -> list[list[Sign]]:
    match name:
        case "wide" | "utf16le":
            return [[one for sign in signs for one in _recoded(sign, "utf-16-le")]]
        case "utf16be":
            return [[one for sign in signs for one in _recoded(sign, "utf-16-be")]]
        case "utf16":
            return [[*_characters(b"\xff\xfe"), *_encoded(signs, "wide")[0]]]
        case "windash":
            return [list(chosen) for chosen in product(*(DASHES if sign in tuple(DASHES) else [sign] for sign in signs))]
        case "base64":
            return [list(b64encode(_bytes(signs)).decode())]
        case "base64offset":
            return [list(_middle(_bytes(signs), offset)) for offset in range(3)]
    raise Refused(f"there is no modifier {name!r}")


def _recoded(sign: Sign, codec: str) -> list[Sign]:
    return [sign] if sign in (MANY, ONE) else _characters(sign.encode(codec))


def _characters(raw: bytes) -> list[Sign]:
    """Bytes one by one: those beyond ASCII as the code points Python keeps for bytes that are no text."""
    return [chr(byte) if byte < 0x80 else chr(0xDC00 + byte) for byte in raw]


def _bytes(signs: list[Sign]) -> bytes:
    if MANY in signs or ONE in signs:
        raise Refused("wildcards cannot be encoded")
    return "".join(signs).encode("utf-8", "surrogateescape")


def _middle(value: bytes, offset: int) -> str:
    """The characters of the Base64 form that are the same whatever stands before (`offset` bytes) and after the value."""
    after = 3 - (offset + len(value)) % 3
    low, high = (b64encode(edge * offset + value + edge * after).decode() for edge in (b"\x00", b"\xff"))
    return "".join(one for one, other in zip(low, high, strict=True) if one == other)


def _folded(text: str) -> str:
    return "".join(character.lower() for character in text)


def _like(value: str, signs: list[Sign], cased: bool, *, anywhere: bool) -> bool:
    raw = b""
    plain = "".join(sign for sign in signs if sign not in (MANY, ONE)).encode("utf-8", "surrogateescape")
    fold = not cased and _is_text(plain)
    for sign in signs:
        if sign in (MANY, ONE):
            raw += b".*" if sign is MANY else ANY_CHARACTER
        else:
            raw += re.escape((_folded(sign) if fold else sign).encode("utf-8", "surrogateescape"))
    text = (_folded(value) if fold else value).encode("utf-8", "replace")
    return (re.search if anywhere else re.fullmatch)(raw, text, re.DOTALL) is not None


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _regex(value: str, pattern: str, flags: str) -> bool:
    ends = pattern if "m" in flags else re.sub(r"(?<!\\)\$", r"\\Z", pattern)
    return re.search(ends, value, sum({"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}[flag] for flag in set(flags))) is not None


def _within(value: str, network: str) -> bool:
    """IPv4 addresses written as IPv6 (RFC 4291, section 2.5.5.2) are IPv4 addresses; a zone makes it no plain address."""
    try:
        address: IPv4Address | IPv6Address = ip_address(value)
    except ValueError:
        return False
    wanted: IPv4Network | IPv6Network = ip_network(network)
    if isinstance(wanted, IPv6Network) and wanted.subnet_of(MAPPED):
        wanted = IPv4Network((int(wanted.network_address) & 0xFFFFFFFF, wanted.prefixlen - 96))
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return "%" not in value and address.version == wanted.version and address in wanted


def _compared(value: str, relation: str, wanted: Any) -> bool:
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        raise Refused(f"{wanted!r} is no number")
    return NUMERIC.fullmatch(value) is not None and RELATIONS[relation](float(value), wanted)


def _timed(value: str, wanted: _Wanted) -> bool:
    """Dates as ISO 8601 or RFC 3339 write them; a number of seconds since 1970."""
    try:
        time = datetime.fromtimestamp(int(value), UTC) if re.fullmatch(r"[0-9]{9,10}", value) else datetime.fromisoformat(value)
    except ValueError:
        return False
    if len(value) < len("2024-01-01"):
        return False
    found = TIME_PARTS[wanted.part](time.astimezone(UTC) if time.tzinfo else time)
    return RELATIONS[wanted.relation](found, wanted.written) if wanted.relation else found == wanted.written


def _related(value: str, other: str, wanted: _Wanted) -> bool:
    left, right = (value, other) if wanted.cased else (_folded(value), _folded(other))
    if wanted.before and wanted.after:
        return right in left
    if wanted.before:
        return left.endswith(right)
    return left.startswith(right) if wanted.after else left == right
