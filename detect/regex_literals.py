"""Literals without which a regular expression cannot match.

The syntax is RE2's. What is not understood is taken for something that needs no literal, so that a literal given is always needed; case
does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_ESCAPED: Final = frozenset("\\.+*?()|[]{}^$/-_ ,:;=&%#@!'\"<>~`")
_NAMELESS: Final = frozenset("imsU-")
_UNKNOWN: Final = ("\\Q", "\\C", "\\E", "[:", "[[")


def needed(pattern: str, usable: Callable[[str], bool]) -> frozenset[str]:
    """Literals in lower case of which every match has one, of `usable` characters only; empty when there are none."""
    if any(sign in pattern for sign in _UNKNOWN):
        return frozenset()
    reader = _Reader(pattern, usable)
    found = reader.alternatives()
    return found if reader.at == len(pattern) else frozenset()


class _Reader:
    def __init__(self, pattern: str, usable: Callable[[str], bool]) -> None:
        self._pattern = pattern
        self._usable = usable
        self.at = 0

    def alternatives(self) -> frozenset[str]:
        """Up to the end of the group: one of what each alternative needs."""
        each = [self._sequence()]
        while self._next() == "|":
            self.at += 1
            each.append(self._sequence())
        return frozenset().union(*each) if all(each) else frozenset()

    def _sequence(self) -> frozenset[str]:
        """The best of what its parts need: the one whose shortest literal is longest."""
        best: frozenset[str] = frozenset()
        run = ""
        while (character := self._next()) not in ("", "|", ")"):
            if character == "(":
                part, letter = self._group(), ""
            else:
                part, letter = frozenset(), self._letter()
            least, once = self._repeated()
            if letter and least:
                run += letter
            if not (letter and least and once):
                best = max(best, frozenset({run} if run else ()), part if least else frozenset(), key=_worth)
                run = ""
        return max(best, frozenset({run} if run else ()), key=_worth)

    def _group(self) -> frozenset[str]:
        self.at += 1
        if self._next() == "?":
            start = self.at + 1
            while self._next() not in (":", ")", ">", ""):
                self.at += 1
            flags = self._pattern[start : self.at]
            if self._next() == ")" and set(flags) <= _NAMELESS:
                self.at += 1
                return frozenset()
            if not (set(flags) <= _NAMELESS or flags.startswith(("P<", "<"))) or flags.startswith(("<=", "<!")):
                self.at = len(self._pattern) + 1
                return frozenset()
            self.at += 1
        found = self.alternatives()
        self.at += 1
        return found

    def _letter(self) -> str:
        """The character that stands for itself here; '' when several may, or none."""
        character = self._next()
        self.at += 1
        if character == "[":
            self._skip_class()
            return ""
        if character == "\\":
            character = self._next()
            self.at += 1
            if character in ("x", "p", "P") and self._next() == "{":
                self.at = self._pattern.find("}", self.at) + 1 or len(self._pattern) + 1
            return character if character in _ESCAPED and self._usable(character) else ""
        return character.lower() if character not in ".^$" and self._usable(character) else ""

    def _skip_class(self) -> None:
        if self._next() == "^":
            self.at += 1
        first = True
        while first or self._next() not in ("]", ""):
            self.at += 2 if self._next() == "\\" else 1
            first = False
        self.at += 1

    def _repeated(self) -> tuple[bool, bool]:
        """Whether what stands before is there at least once, and whether it is there just once."""
        least, once = True, True
        while (sign := self._next()) in ("*", "?", "+", "{"):
            if sign == "{":
                end = self._pattern.find("}", self.at)
                counts = self._pattern[self.at + 1 : end]
                if end < 0 or not counts.replace(",", "", 1).isdecimal():
                    break
                least, once = least and int(counts.split(",")[0] or 0) > 0, False
                self.at = end + 1
            else:
                least, once = least and sign == "+", False
                self.at += 1
        return least, once

    def _next(self) -> str:
        return self._pattern[self.at : self.at + 1]


def _worth(found: frozenset[str]) -> int:
    return min(map(len, found), default=0)
