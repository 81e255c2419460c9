"""Where one line ends and the next begins on a byte stream (RFC 6587): octet counting, or a trailer of LF or NUL.

The framing is found from a connection's first bytes and kept for its life:

- digits, a space and `<` begin a counted frame; digits and a space before anything else do so only when the count fits what follows
  (no line ends inside it, and another count comes after it), because some devices begin a plain line with a number;
- a NUL that comes before any LF and is followed by `<` ends a message of a sender that uses NUL as its trailer (RFC 6587, 3.4.2);
- everything else is lines ended by LF, with or without CR.

Invariants:
- How the stream is cut into chunks never changes the lines.
- Memory is bounded by the longest kept line and the chunk at hand. What is longer is cut, and its rest is dropped.
- Bytes of a line are never changed; CR, LF and NUL at its end belong to the framing.
- On the LF path no Python object is made per line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

_LF = b"\n"
_NUL = b"\0"
_CR = b"\r"
_ENDS = b"\r\n\0"
_COUNT_DIGITS = 8
_COUNT = re.compile(rb"[1-9][0-9]{0,%d} " % (_COUNT_DIGITS - 1))
_HALF_COUNT = re.compile(rb"[1-9][0-9]{0,%d}" % (_COUNT_DIGITS - 1))
_LARGEST_FRAME = 16 << 20


class Framing(Enum):
    """How a sender marks the end of a message."""

    LF = "lf"
    NUL = "nul"
    COUNTED = "counted"


@dataclass(slots=True)
class Framed:
    """What a chunk completed.

    `blob` holds `lines` whole lines joined by LF. Where a line holds an LF itself, the lines are in `apart` instead. `cut` holds the
    beginnings of lines that were too long or broke off; `empty` counts lines without a byte.
    """

    blob: bytes = b""
    lines: int = 0
    apart: list[bytes] = field(default_factory=list)
    cut: list[bytes] = field(default_factory=list)
    empty: int = 0

    @property
    def taken(self) -> int:
        """How many lines there are in all, empty ones not counted."""
        return self.lines + len(self.apart) + len(self.cut)

    def put(self, lines: list[bytes]) -> None:
        """Take separate lines, none of them empty."""
        blob = _LF.join(lines)
        if blob.count(_LF) == len(lines) - 1:
            self.blob, self.lines = blob, len(lines)
        else:
            self.apart = lines


class _Splitter(Protocol):
    broken: str

    def feed(self, data: bytes) -> Framed: ...

    def end(self) -> Framed: ...


class Framer:
    """The framing of one stream. With `framing` given nothing is detected (a file or a body is always LF)."""

    def __init__(self, max_line_bytes: int, framing: Framing | None = None) -> None:
        self._limit = max_line_bytes
        self._head = bytearray()
        self._splitter = self._make(framing) if framing else None

    @property
    def broken(self) -> str:
        """Why the stream cannot be read on; '' while it can. What `feed` gives from then on is empty."""
        return self._splitter.broken if self._splitter else ""

    def feed(self, data: bytes) -> Framed:
        """The lines that `data` completes."""
        if self._splitter is None:
            self._head += data
            data = bytes(self._head)
            framing = detect(data, self._limit)
            if framing is None:
                return Framed()
            self._splitter = self._make(framing)
            self._head.clear()
        return self._splitter.feed(data)

    def end(self) -> Framed:
        """The stream is over: the last line without an end is taken as it is."""
        if self._splitter is not None:
            return self._splitter.end()
        head = bytes(self._head)
        self._head.clear()
        framing = _of_whole(head)
        self._splitter = self._make(framing)
        if framing is Framing.COUNTED or not head:
            return self._splitter.feed(head)
        end = _LF if framing is Framing.LF else _NUL
        return self._splitter.feed(head.removesuffix(end) + end)

    def _make(self, framing: Framing) -> _Splitter:
        if framing is Framing.COUNTED:
            return _Counted(self._limit)
        return _Delimited(_LF if framing is Framing.LF else _NUL, self._limit)


def detect(head: bytes, max_line_bytes: int) -> Framing | None:
    """The framing of a stream that begins with `head`; None while more of it is needed."""
    enough = 2 * max_line_bytes + 64
    if len(head) >= enough:
        return _detect(head[:enough], max_line_bytes) or Framing.LF
    return _detect(head, max_line_bytes)


def _detect(head: bytes, limit: int) -> Framing | None:
    counted = _COUNT.match(head)
    if counted:
        return _fits(head, counted.end(), int(counted[0]), limit)
    if _HALF_COUNT.fullmatch(head):
        return None
    lf, nul = head.find(_LF), head.find(_NUL)
    if nul >= 0 and (lf < 0 or nul < lf):
        follows = head[nul + 1 : nul + 2]
        return (Framing.NUL if follows == b"<" else Framing.LF) if follows else None
    return Framing.LF if lf >= 0 else None


def _fits(head: bytes, start: int, size: int, limit: int) -> Framing | None:
    """Whether what looks like a count is one."""
    first = head[start : start + 1]
    if first == b"<" or not first:
        return Framing.COUNTED if first else None
    if size > limit or _LF in head[start : start + size - 1]:
        return Framing.LF
    rest = head[start + size :].lstrip(_ENDS)
    if _COUNT.match(rest):
        return Framing.COUNTED
    return Framing.LF if rest and not _HALF_COUNT.fullmatch(rest) else None


def _of_whole(head: bytes) -> Framing:
    """The framing of a stream that ended before it was clear."""
    counted = _COUNT.match(head)
    if counted and len(head.rstrip(_ENDS)) <= counted.end() + int(counted[0]) <= len(head):
        return Framing.COUNTED
    return Framing.NUL if head.endswith(_NUL) and _LF not in head else Framing.LF


class _Delimited:
    """Lines that end with one byte."""

    def __init__(self, delimiter: bytes, limit: int) -> None:
        self.broken = ""
        self._delimiter = delimiter
        self._limit = limit
        self._tail = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Framed:
        framed = Framed()
        if self._skipping:
            end = data.find(self._delimiter)
            if end < 0:
                return framed
            data = data[end + 1 :]
            self._skipping = False
        last = data.rfind(self._delimiter)
        if last < 0:
            self._tail += data
        else:
            self._take(bytes(self._tail) + data[:last] if self._tail else data[:last], framed)
            self._tail = bytearray(data[last + 1 :])
        self._bound_tail(framed)
        return framed

    def end(self) -> Framed:
        framed = Framed()
        if self._tail:
            self._take(bytes(self._tail), framed)
            self._tail.clear()
        return framed

    def _bound_tail(self, framed: Framed) -> None:
        over = len(self._tail) - self._limit
        if over > 1 or (over == 1 and not self._tail.endswith(_CR)):
            framed.cut.append(bytes(self._tail[: self._limit]))
            self._tail.clear()
            self._skipping = True

    def _take(self, whole: bytes, framed: Framed) -> None:
        """Whole lines joined by the delimiter."""
        end = self._delimiter
        if _CR in whole:
            whole = whole.replace(_CR + end, end).removesuffix(_CR)
        if not whole or whole.startswith(end) or whole.endswith(end) or end + end in whole or self._some_too_long(whole):
            lines = self._sifted(whole, framed)
            if not lines:
                return
            whole = end.join(lines)
        if end == _LF:
            framed.blob, framed.lines = whole, whole.count(_LF) + 1
        else:
            framed.put(whole.split(end))

    def _some_too_long(self, whole: bytes) -> bool:
        """Whether a line is longer than the limit, in steps of the limit."""
        at = 0
        while len(whole) - at > self._limit:
            end = whole.rfind(self._delimiter, at, at + self._limit + 1)
            if end < 0:
                return True
            at = end + 1
        return False

    def _sifted(self, whole: bytes, framed: Framed) -> list[bytes]:
        lines = []
        for line in whole.split(self._delimiter):
            if len(line) > self._limit:
                framed.cut.append(line[: self._limit])
            elif line:
                lines.append(line)
            else:
                framed.empty += 1
        return lines


class _Counted:
    """Frames of `MSG-LEN SP MSG` (RFC 6587, 3.4.1). Line ends between frames, which some senders add, are passed over."""

    def __init__(self, limit: int) -> None:
        self.broken = ""
        self._limit = limit
        self._tail = b""
        self._skip = 0  # bytes of a cut frame still to be dropped

    def feed(self, data: bytes) -> Framed:
        framed = Framed()
        if self.broken:
            return framed
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
        lines: list[bytes] = []
        data = self._tail + data
        at = self._frames(data, lines, framed)
        self._tail = b"" if self.broken else data[at:]
        if lines:
            framed.put(lines)
        return framed

    def end(self) -> Framed:
        framed = Framed()
        rest = self._tail.lstrip(_ENDS)
        if (rest or self._skip) and not self.broken:
            self.broken = "the stream ended inside a frame"
        count = _COUNT.match(rest)
        if count and len(rest) > count.end():
            framed.cut.append(rest[count.end() : count.end() + self._limit])
        self._tail = b""
        return framed

    def _frames(self, data: bytes, lines: list[bytes], framed: Framed) -> int:
        """Take the whole frames of `data`; where the first begins that is not whole, or is broken."""
        most = self._limit + 2  # room for a line end inside the frame
        at, size = 0, len(data)
        while at < size:
            count = _COUNT.match(data, at)
            if count is None:
                begin = self._between(data, at)
                if begin == at:
                    break
                at = begin
                continue
            start = count.end()
            end = start + int(count[0])
            if end - start > most:
                cut = self._cut(data, start, end, framed)
                if not cut:
                    break
                at = min(end, size)
            elif end > size:
                break
            else:
                self._line(data[start:end].rstrip(_ENDS), lines, framed)
                at = end
        return at

    def _between(self, data: bytes, at: int) -> int:
        """Where the next frame begins, when line ends stand before it; `at` when its count is not whole yet, or it is broken."""
        while data[at : at + 1] in (b"\n", b"\r", b"\0"):
            at += 1
        ahead = data[at : at + _COUNT_DIGITS + 1]
        if ahead and not _COUNT.match(ahead) and not _HALF_COUNT.fullmatch(ahead):
            self.broken = "a frame does not begin with its length"
        return at

    def _line(self, line: bytes, lines: list[bytes], framed: Framed) -> None:
        if len(line) > self._limit:
            framed.cut.append(line[: self._limit])
        elif line:
            lines.append(line)
        else:
            framed.empty += 1

    def _cut(self, data: bytes, start: int, end: int, framed: Framed) -> bool:
        """Take the beginning of a frame that is too long; False when it is not there yet."""
        if end - start > _LARGEST_FRAME:
            self.broken = f"a frame says it is {end - start} bytes long"
            return False
        if len(data) < start + self._limit:
            return False
        framed.cut.append(data[start : start + self._limit])
        self._skip = max(0, end - len(data))
        return True
