"""The language analysts search events in: text to a tree, with errors that say where.

    src_ip:10.0.0.0/8 AND dst_port:(22 OR 3389) AND "union select" NOT disposition:deny
    bytes:>1000000    event_time:[2026-11-01 TO 2026-11-02]    user:admin*    domain:*    raw:"a\\"b"

    search  := all (OR all)*             OR binds less than AND
    all     := part ([AND] part)*        parts beside each other are joined by AND
    part    := NOT part | -part | ( search ) | name:values | value
    values  := value | ( values of one column with AND, OR, NOT ) | [low TO high] | {low TO high} | >n | >=n | <n | <=n
    value   := word | "text"

In a word `*` stands for any text and `?` for one character; a backslash takes the meaning from what follows it. Inside quotes only a quote
and a backslash need one. A value without a name is looked for in the whole line. AND, OR, NOT and TO, in capitals or not, are words of
the language; in quotes they are text. What a name and a value mean is `core.storage.search_conditions`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

from core.errors import Invalid

LONGEST: Final = 4000  # characters
NOWHERE: Final = -1
_MOST_PARTS: Final = 200
_DEEPEST: Final = 30
_NAME: Final = re.compile(r"([A-Za-z_@][\w.@-]*(?:\([\w-]+\))?):")
_COMPARED: Final = re.compile(r">=|<=|>|<")
_BLANK: Final = frozenset(" \t\r\n\u3000")
_OPERATOR: Final = re.compile(r"(AND|OR|NOT|TO)(?=[\s()]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Value:
    """Text to be found; `pieces` are the texts between wildcards, `wildcards` (`*` or `?`) stand between them. `at` counts from 0."""

    at: int
    pieces: tuple[str, ...]
    wildcards: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As it was written, without escapes."""
        return self.pieces[0] + "".join(mark + piece for mark, piece in zip(self.wildcards, self.pieces[1:], strict=True))


@dataclass(frozen=True, slots=True)
class Term:
    """`value` in the column `name`, or in the whole line when that is ''."""

    name: str
    at: int
    value: Value


@dataclass(frozen=True, slots=True)
class Within:
    """Between two values, of which None leaves its side open."""

    name: str
    at: int
    low: Value | None
    high: Value | None
    with_low: bool = True
    with_high: bool = True


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple[Node, ...]


Node = Term | Within | Not | All | Either


def parse(text: str) -> Node | None:
    """The tree of a search; None when it is empty. Invalid says at which character it cannot be read."""
    if len(text) > LONGEST:
        raise Invalid(f"a search has at most {LONGEST} characters")
    reader = _Reader(text)
    reader.skip_blank()
    if reader.ended():
        return None
    node = reader.search()
    if not reader.ended():
        reader.refuse("this `)` closes nothing")
    return node


def wrong(at: int, reason: str) -> Invalid:
    """The error that something at place `at` (from 0) of a search is wrong; NOWHERE: of what was not written as one."""
    return Invalid(reason if at == NOWHERE else f"search, character {at + 1}: {reason}")


@dataclass
class _Reader:
    """A recursive descent over the text; `_name` is the column of the values in whose brackets it stands."""

    _text: str
    _at: int = 0
    _parts: int = 0
    _depth: int = 0
    _name: tuple[str, int] = field(default=("", 0))

    def ended(self) -> bool:
        return self._at >= len(self._text)

    def refuse(self, reason: str, at: int | None = None) -> NoReturn:
        raise wrong(self._at if at is None else at, reason)

    def skip_blank(self) -> None:
        while not self.ended() and self._text[self._at] in _BLANK:
            self._at += 1

    def search(self) -> Node:
        return self._joined(self._all, lambda: self._takes_word("OR"), Either)

    def _all(self) -> Node:
        return self._joined(self._part, self._goes_on, All)

    def _joined(self, part: Callable[[], Node], goes_on: Callable[[], bool], joined: type[All] | type[Either]) -> Node:
        parts = [part()]
        while goes_on():
            parts.append(part())
        return parts[0] if len(parts) == 1 else joined(tuple(parts))

    def _goes_on(self) -> bool:
        if self._takes_word("AND"):
            return True
        self.skip_blank()
        return not self.ended() and self._text[self._at] != ")" and self._word_here() != "OR"

    def _part(self) -> Node:
        self.skip_blank()
        if self.ended():
            self.refuse("the search ends where a value should stand")
        if self._takes_word("NOT"):
            return Not(self._deeper(self._part))
        if (word := self._word_here()) in ("AND", "OR"):
            self.refuse(f'a value should stand before {word}; to look for the word itself write "{word}"')
        here = self._text[self._at]
        if here == "-" and self._text[self._at + 1 : self._at + 2] not in ("", *_BLANK):
            self._at += 1
            return Not(self._deeper(self._part))
        if here == "(":
            return self._brackets()
        if here == ")":
            self.refuse("a value should stand before this `)`")
        return self._values()

    def _brackets(self) -> Node:
        opened = self._at
        self._at += 1
        node = self._deeper(self.search)
        self.skip_blank()
        if self.ended():
            self.refuse("this `(` is never closed", opened)
        self._at += 1
        return node

    def _values(self) -> Node:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            self.refuse(f"a search has at most {_MOST_PARTS} values")
        name, at = self._name
        named = _NAME.match(self._text, self._at)
        if named is None:
            return self._ranged(name, at) or Term(name, at if name else self._at, self._value())
        if name:
            self.refuse(f"inside the brackets of {name} only values can stand; put the colon in quotes if it belongs to the value")
        name, at = named[1], self._at
        self._at = named.end()
        if self.ended() or self._text[self._at] in _BLANK or self._text[self._at] == ")":
            self.refuse(f"a value should stand after {name}:")
        if self._text[self._at] == "(":
            self._name = (name, at)
            node = self._brackets()
            self._name = ("", 0)
            return node
        return self._ranged(name, at) or Term(name, at, self._value())

    def _ranged(self, name: str, at: int) -> Within | None:
        """The range that stands here, if one does."""
        if not name:
            return None
        if compared := _COMPARED.match(self._text, self._at):
            self._at = compared.end()
            value, equal = self._value(), len(compared[0]) == 2
            if compared[0][0] == ">":
                return Within(name, at, value, None, with_low=equal)
            return Within(name, at, None, value, with_high=equal)
        if self._text[self._at] not in "[{":
            return None
        opened, with_low = self._at, self._text[self._at] == "["
        self._at += 1
        low = self._bound(opened)
        if not self._takes_word("TO"):
            self.refuse("a range reads [low TO high]")
        high = self._bound(opened)
        self.skip_blank()
        if self.ended() or self._text[self._at] not in "]}":
            self.refuse("this range is never closed", opened)
        with_high = self._text[self._at] == "]"
        self._at += 1
        return Within(name, at, low, high, with_low, with_high)

    def _bound(self, opened: int) -> Value | None:
        self.skip_blank()
        if self.ended():
            self.refuse("this range is never closed", opened)
        value = self._value("]}")
        return None if value.wildcards == ("*",) and value.pieces == ("", "") else value

    def _value(self, ends: str = "") -> Value:
        return self._quoted() if not self.ended() and self._text[self._at] == '"' else self._word(ends)

    def _quoted(self) -> Value:
        opened = self._at
        self._at += 1
        found: list[str] = []
        for character, _ in self._characters('"', opened):
            found.append(character)
        self._at += 1
        return Value(opened, ("".join(found),))

    def _characters(self, end: str, opened: int) -> Iterator[tuple[str, bool]]:
        """Each character up to `end`, and whether a backslash stood before it."""
        while True:
            if self.ended():
                self.refuse("these quotes are never closed", opened)
            character = self._text[self._at]
            if character == end:
                return
            escaped = character == "\\" and self._text[self._at + 1 : self._at + 2] in ('"', "\\")
            self._at += 2 if escaped else 1
            yield (self._text[self._at - 1], escaped)

    def _word(self, ends: str) -> Value:
        at, pieces, wildcards = self._at, [""], []
        while not self.ended() and (character := self._text[self._at]) not in _BLANK and character not in f"(){ends}":
            self._at += 1
            if character in "*?":
                wildcards.append(character)
                pieces.append("")
            elif character == "\\" and not self.ended():
                pieces[-1] += self._text[self._at]
                self._at += 1
            elif character == '"':
                self.refuse("quotes stand around a whole value; before a quote inside one write a backslash", self._at - 1)
            else:
                pieces[-1] += character
        if at == self._at:
            self.refuse("a value should stand here")
        return Value(at, tuple(pieces), tuple(wildcards))

    def _deeper(self, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            self.refuse(f"brackets and NOT go at most {_DEEPEST} deep")
        node = read()
        self._depth -= 1
        return node

    def _word_here(self) -> str:
        """The word of the language that stands here, or ''."""
        found = _OPERATOR.match(self._text, self._at)
        return found[1].upper() if found else ""

    def _takes_word(self, word: str) -> bool:
        self.skip_blank()
        if self._word_here() != word:
            return False
        self._at += len(word)
        return True
