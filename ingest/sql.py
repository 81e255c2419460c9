"""Text inside SQL: literals, and the tokens an author's expression is read by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

TOKEN: Final = re.compile(
    r"(?P<string>'(?:[^'\\]|\\.|'')*')|(?P<quoted>`[^`]*`)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>\d[\w.]*)|(?P<space>\s+)|(?P<sign>.)",
    re.DOTALL,
)
WORD: Final = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|\d[\w.]*|([A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)
"""Finds words as TOKEN does, several times as fast; what is no word but might hold one is matched without the group."""

_ESCAPE: Final = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)|''", re.DOTALL)
_ESCAPES: Final = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0", "a": "\a", "v": "\v", "e": "\x1b"}


def quote(text: str) -> str:
    """`text` as a ClickHouse string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def unquote(literal: str) -> str:
    """The text of a simple string literal; ValueError when it is something else."""
    literal = literal.strip()
    if len(literal) < 2 or TOKEN.fullmatch(literal) is None or literal[0] != "'":
        raise ValueError(f"{literal or 'nothing'} stands where a word in single quotes must")
    return _ESCAPE.sub(_unescaped, literal[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    after = found[1]
    if after is None:
        return "'"
    if len(after) == 3:
        return chr(int(after[1:], 16))
    return _ESCAPES.get(after, after if after in "\\'\"`/=" else f"\\{after}")


def tokens(sql: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and place of each token."""
    for found in TOKEN.finditer(sql):
        yield str(found.lastgroup), found.group(), found.start()


def arguments(sql: str, opening: int) -> tuple[list[str], int]:
    """The arguments of the call whose '(' is at `opening`, and where it ends; ValueError when it never does."""
    depth = 0
    start = opening + 1
    found: list[str] = []
    for kind, text, at in tokens(sql[opening:]):
        if kind != "sign":
            continue
        place = opening + at
        if text in "([{":
            depth += 1
        elif text in ")]}":
            depth -= 1
            if depth == 0:
                last = sql[start:place].strip()
                return ([*found, last] if last or found else found), place + 1
        elif text == "," and depth == 1:
            found.append(sql[start:place].strip())
            start = place + 1
    raise ValueError("a bracket is not closed")
