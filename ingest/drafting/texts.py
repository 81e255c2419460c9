"""Cases for free text: one for each way the lines' words go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_TOKEN: Final = re.compile(r"\S+")
_EDGES: Final = "()[]<>,;'\""
_ADDRESS: Final = r"[0-9A-Fa-f.:]+"
_DOTTED: Final = r"[0-9.]+"
_ENDPOINT: Final = re.compile(
    r"(?<![\w.:])(?:(?P<four>\d{1,3}(?:\.\d{1,3}){3})(?:(?P<mark>[:/])(?P<port>\d{1,5}))?|(?:[0-9A-Fa-f]{1,4}:){2,7}:?[0-9A-Fa-f:.]*)(?![\w.])"
)
_PROTOCOL: Final = re.compile(r"\b(?:tcp|udp|icmp|gre|esp|igmp|sctp)\b", re.IGNORECASE)
_BEFORE_A_USER: Final = ("user", "account", "for", "by", "username")
_BEFORE_A_PORT: Final = ("port", "dport", "sport")
_MOST_WORDS: Final = 24
_ADVICE: Final = "# Give a case `when` with a cheap test, and `set` what its words mean, such as {disposition: deny}."


def cases_of(bodies: Sequence[str]) -> str:
    """The section `cases`, its groups named like the columns they are likely to be."""
    shapes: dict[tuple[str, ...], str] = {}
    for body in bodies:
        words = _TOKEN.findall(body)[:_MOST_WORDS]
        shapes.setdefault(tuple(_kind(word) for word in words), _pattern(words))
    items = "\n".join("    - match: '" + pattern.replace("'", "''") + "'" for pattern in dict.fromkeys(shapes.values()))
    return f"{_ADVICE}\ncases:\n  of: body\n  items:\n{items}"


def _kind(word: str) -> str:
    """The word where it is the same in all such lines, else what it is."""
    if _ENDPOINT.search(word):
        return "endpoints"
    return "value" if any(character.isdigit() for character in word) else word


def _pattern(words: Sequence[str]) -> str:
    taken: set[str] = set()
    parts = []
    previous = ""
    for word in words:
        parts.append(_part(word, previous, taken))
        previous = word.strip(_EDGES).lower()
    return "^" + " +".join(parts)


def _part(word: str, previous: str, taken: set[str]) -> str:
    if _ENDPOINT.search(word):
        return _endpoints(word, taken)
    bare = word.strip(_EDGES)
    at = word.find(bare) if bare else len(word)
    if previous in _BEFORE_A_PORT and bare.isdecimal():
        inner = _named(("src_port", "dst_port"), r"\d+", taken)
    elif previous in _BEFORE_A_USER and bare.lower() not in _BEFORE_A_USER:
        inner = _named(("user",), r"\S+?", taken)
    else:
        inner = r"\S+?" if any(character.isdigit() for character in bare) else re.escape(bare)
    return re.escape(word[:at]) + inner + re.escape(word[at + len(bare) :])


def _endpoints(word: str, taken: set[str]) -> str:
    """A word that holds addresses, with the ports and the protocol that stand with them."""
    parts, done = [], 0
    for found in _ENDPOINT.finditer(word):
        parts.append(_between(word[done : found.start()], taken))
        parts.append(_named(("src_ip", "dst_ip"), _DOTTED if found["four"] else _ADDRESS, taken))
        if found["port"]:
            parts.append(re.escape(found["mark"]) + _named(("src_port", "dst_port"), r"\d+", taken))
        done = found.end()
    return "".join((*parts, _between(word[done:], taken)))


def _between(text: str, taken: set[str]) -> str:
    """What stands around addresses: a protocol, numbers that change, and signs."""
    protocol = _PROTOCOL.search(text)
    if protocol and "protocol" not in taken:
        named = _named(("protocol",), r"\w+", taken)
        return _between(text[: protocol.start()], taken) + named + _between(text[protocol.end() :], taken)
    return "".join(r"\d+" if piece.isdecimal() else re.escape(piece) for piece in re.split(r"(\d+)", text))


def _named(names: Sequence[str], pattern: str, taken: set[str]) -> str:
    for name in names:
        if name not in taken:
            taken.add(name)
            return f"(?P<{name}>{pattern})"
    return pattern
