"""Reading a JSON file of any size in bounded memory: elements at chosen places come one by one, everything else is passed over.

A place is a tuple of keys from the top; elements of an array have the key `*`. No single value may be longer than LONGEST_VALUE.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Final, NoReturn

from core.errors import Invalid

LONGEST_VALUE: Final = 16 << 20
_CHUNK: Final = 1 << 20
_SPACE: Final = " \t\r\n"
Place = tuple[str, ...]
_ENTERED: Final = object()


def entered(value: object) -> bool:
    """Whether what `elements` gave is not a value but the beginning of an object that is gone into."""
    return value is _ENTERED


def elements(file: BinaryIO, wanted: Collection[Place]) -> Iterator[tuple[Place, Any]]:
    """Place and value of each value at one of `wanted`, in the order of the file; for each object gone into, its place and `entered`.

    `file` is read from its beginning. Invalid (422) when it is not UTF-8 or not JSON, or a value is too long or too deep.
    """
    file.seek(0)
    into = {place[:length] for place in wanted for length in range(len(place))}
    reader = _Reader(file)
    try:
        yield from _walk(reader, (), frozenset(wanted), into)
        if reader.peek():
            reader.fail("something follows the end of the document")
    except UnicodeDecodeError as error:
        raise Invalid(f"the file is not UTF-8: {error.reason} at byte {error.start} of a part") from error
    except RecursionError as error:
        raise Invalid("the file holds a value that is nested too deep") from error


class _Reader:
    """Text with a place in it, read on as it is needed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._text = codecs.getincrementaldecoder("utf-8-sig")()
        self._held = ""
        self._at = 0
        self._before = 0
        self._ended = False
        self._decode = json.JSONDecoder(parse_constant=self._constant).raw_decode

    def _constant(self, name: str) -> NoReturn:
        self.fail(f"{name} is not JSON")

    def fail(self, what: str) -> NoReturn:
        raise Invalid(f"the file cannot be read: {what}, at character {self._before + self._at:,}")

    def _more(self, size: int) -> bool:
        read = self._file.read(size)
        self._ended = not read
        new = self._text.decode(read, final=self._ended)
        self._before += self._at
        self._held = self._held[self._at :] + new
        self._at = 0
        return not self._ended

    def peek(self) -> str:
        """The next sign that is not space; '' at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in _SPACE:
                    return self._held[self._at]
                self._at += 1
            if self._ended or not self._more(_CHUNK):
                return ""

    def take(self, sign: str) -> bool:
        if self.peek() != sign:
            return False
        self._at += 1
        return True

    def need(self, sign: str) -> None:
        if not self.take(sign):
            self.fail(f"{sign!r} is missing")

    def value(self) -> Any:
        """The next value, whole."""
        if not self.peek():
            self.fail("a value is missing")
        while True:
            try:
                found, end = self._decode(self._held, self._at)
                if self._ended or not self._may_go_on(end):
                    self._check_length(end - self._at, "")
                    self._at = end
                    return found
                problem = ""
            except json.JSONDecodeError as error:
                problem = error.msg
            held = len(self._held) - self._at
            self._check_length(held, problem)
            if not self._ended:
                self._more(max(_CHUNK, held))
            elif problem:
                self.fail(problem)

    def _may_go_on(self, end: int) -> bool:
        """Whether what was read up to there may be the beginning of a longer number that the text held ends in."""
        rest = self._held[end : end + 3]
        return not rest or (len(rest) < 3 and rest[0] in ".eE")

    def _check_length(self, length: int, problem: str) -> None:
        if length > LONGEST_VALUE:
            self.fail(f"a value is longer than {LONGEST_VALUE >> 20} MiB{problem and f' or not JSON ({problem})'}")


def _walk(reader: _Reader, place: Place, wanted: frozenset[Place], into: set[Place]) -> Iterator[tuple[Place, Any]]:
    sign = reader.peek()
    if place in wanted:
        yield place, reader.value()
    elif place in into and sign == "{":
        yield place, _ENTERED
        reader.take("{")
        if not reader.take("}"):
            yield from _members(reader, place, wanted, into)
    elif place in into and sign == "[":
        reader.take("[")
        if not reader.take("]"):
            yield from _walk(reader, (*place, "*"), wanted, into)
            while reader.take(","):
                yield from _walk(reader, (*place, "*"), wanted, into)
            reader.need("]")
    else:
        reader.value()


def _members(reader: _Reader, place: Place, wanted: frozenset[Place], into: set[Place]) -> Iterator[tuple[Place, Any]]:
    while True:
        key = reader.value()
        if not isinstance(key, str):
            reader.fail("a key is not a string")
        reader.need(":")
        yield from _walk(reader, (*place, key), wanted, into)
        if not reader.take(","):
            reader.need("}")
            return
