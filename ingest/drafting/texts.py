"""Cases for free text: one for each way the lines' words go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ingest.drafting import meaning

_TOKEN: Final = re.compile(r"\S+")
_EDGES: Final = "()[]<>,;'\""
_ADDRESS: Final = r"[0-9A-Fa-f.:]+"
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
    bare = word.strip(_EDGES)
    if _split_port(bare)[0]:
        return "address"
    return "value" if any(character.isdigit() for character in bare) else word


def _pattern(words: Sequence[str]) -> str:
    taken: set[str] = set()
    parts = []
    previous = ""
    for word in words:
        parts.append(_part(word, previous, taken))
        previous = word.strip(_EDGES).lower()
    return "^" + " +".join(parts)


def _part(word: str, previous: str, taken: set[str]) -> str:
    bare = word.strip(_EDGES)
    left, right = word[: word.find(bare)] if bare else word, word[word.find(bare) + len(bare) :] if bare else ""
    address, mark = _split_port(bare)
    if address:
        inner = _named(("src_ip", "dst_ip"), _ADDRESS if not mark else r"[0-9A-Fa-f.]+", taken)
        if mark:
            inner += re.escape(mark) + _named(("src_port", "dst_port"), r"\d+", taken)
    elif previous in _BEFORE_A_PORT and bare.isdecimal():
        inner = _named(("src_port", "dst_port"), r"\d+", taken)
    elif previous in _BEFORE_A_USER and bare.lower() not in _BEFORE_A_USER:
        inner = _named(("user",), r"\S+?", taken)
    else:
        inner = r"\S+?" if any(character.isdigit() for character in bare) else re.escape(bare)
    return re.escape(left) + inner + re.escape(right)


def _split_port(word: str) -> tuple[str, str]:
    """An address, and the character before the port that follows it ('' when none does); ('', '') when it is no address."""
    if meaning.is_address(word):
        return word, ""
    for mark in (":", "/"):
        address, _, port = word.rpartition(mark)
        if port.isdecimal() and "." in address and meaning.is_address(address):
            return address, mark
    return "", ""


def _named(names: Sequence[str], pattern: str, taken: set[str]) -> str:
    for name in names:
        if name not in taken:
            taken.add(name)
            return f"(?P<{name}>{pattern})"
    return pattern
