"""Writing searches: how a value is written, how one is added to a search, and what could be typed next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import Invalid
from core.events import EVENTS, Column
from core.storage.search_conditions import column_named
from core.storage.search_language import Either, parse

MOST_SHOWN: Final = 12
_BARE: Final = re.compile(r"[\w./@%+=][\w./@%+=-]*")
_WORDS: Final = ("AND", "OR", "NOT", "TO")
_NAME: Final = re.compile(r"[A-Za-z_@][\w.@-]*(?:\([\w-]+\))?")
_ENDS: Final = " \t\r\n\u3000("


@dataclass(frozen=True, slots=True)
class Place:
    """What stands before the caret: from `start` to `end` the text `typed`. In a value, `column` is whose; '' where a name may stand."""

    start: int
    end: int
    typed: str
    column: str = ""
    after_value: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that could stand there: `insert` takes the place of what was typed; `note` says what it is."""

    insert: str
    label: str
    note: str = ""


def written(value: Any) -> str:
    """A value as a search has it, in quotes where it would be read as something else."""
    text = str(value)
    plain = _BARE.fullmatch(text) and text.upper() not in _WORDS
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_value(q: str, column: str, value: Any, *, exclude: bool = False) -> str:
    """The search that asks for this value of `column` too, or excludes it. Values that are lists are asked for one by one."""
    values = value if isinstance(value, list) else [value]
    sign = "NOT " if exclude else ""
    terms = " ".join(f"{sign}{column}:{written(one)}" for one in values)
    before = q.strip()
    if not before:
        return terms
    try:
        alternatives = isinstance(parse(before), Either)
    except Invalid:
        alternatives = False
    return f"({before}) {terms}" if alternatives else f"{before} {terms}"


def place(text: str, caret: int) -> Place:
    """Where in a search the caret stands."""
    before = text[:caret]
    start, quoted, brackets = 0, False, [""]
    value_at, escaped = -1, False
    for at, letter in enumerate(before):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif letter == "(":
            brackets.append(_named(before[start:at]))
            start = at + 1
        elif letter == ")":
            brackets = brackets[:-1] or [""]
            start, value_at = at + 1, at
        elif letter in _ENDS:
            value_at = at if at > start else value_at
            start = at + 1
    word = before[start:]
    name = _named(word)
    if name:
        begin = start + word.index(":") + 1
        return Place(begin, _end(text, caret, quoted), before[begin:].lstrip('"'), name)
    begin = start + (word.startswith("-") and not brackets[-1])
    previous = before[:start].rstrip().upper()
    after_value = bool(previous) and not previous.endswith((" AND", " OR", " NOT", "(", " TO")) and previous not in _WORDS
    return Place(begin, _end(text, caret, quoted), before[begin:].lstrip('"'), brackets[-1], after_value)


def _named(word: str) -> str:
    """The column `word:` asks about; '' when it names none."""
    name, colon, _ = word.lstrip("-").partition(":")
    if not colon or not _NAME.fullmatch(name):
        return ""
    try:
        return column_named(name).name
    except Invalid:
        return ""


def _end(text: str, caret: int, quoted: bool) -> int:
    """The end of the word the caret stands in."""
    stops = '"' if quoted else f"{_ENDS})"
    end = next((at for at in range(caret, len(text)) if text[at] in stops), len(text))
    return end + (quoted and end < len(text))


def columns_like(typed: str) -> list[Column]:
    """The columns whose name, or name in Sigma rules, begins with or holds `typed`, the nearest first."""
    wanted = typed.lower()
    ranked: list[tuple[int, int, Column]] = []
    for order, column in enumerate(EVENTS.columns):
        names = [column.name, *(alias.lower() for alias in column.sigma)]
        rank = min(
            (0 if names[0].startswith(wanted) else 1 if name.startswith(wanted) else 2 for name in names if wanted in name), default=-1
        )
        if rank >= 0 and not column.name.startswith("raw_"):
            ranked.append((rank, order, column))
    return [column for _, _, column in sorted(ranked, key=lambda one: one[:2])]


def operators(at: Place) -> Sequence[str]:
    """The words of the language that may stand there."""
    offered = ("AND", "OR", "NOT") if at.after_value else ("NOT",)
    return [word for word in offered if word.startswith(at.typed.upper())]
