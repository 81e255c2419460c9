r"""Bytes of lines to text, a batch at a time.

A batch that is UTF-8 throughout costs one check of its buffer. Only in one that is not are single lines looked at: CP949 (what older
Korean devices write) is tried, else every byte that is not text is written `\xNN`. NUL bytes and the line's end are taken off, and lines
of nothing but white space are passed over. What was done to a line is in its flags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.events import IntakeFlag

Array = npt.NDArray[Any]
_SPACE: Final = 0x20
_TOGETHER: Final = 64  # lines
_ASCII: Final = 0x7F


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a batch that hold something: their text, their places in the message, their flags.

    `wide` says that some byte is not ASCII; `empty` how many lines were passed over.
    """

    text: pa.StringArray
    places: Array
    flags: Array
    wide: bool
    empty: int


def to_text(lines: Sequence[bytes] | pa.BinaryArray) -> Lines:
    """The text of `lines`, which may hold any bytes."""
    flags = np.zeros(len(lines), np.uint32)
    raw = lines if isinstance(lines, pa.BinaryArray) else pa.array(lines, pa.binary())
    try:
        text = raw.cast(pa.string())
    except pa.ArrowInvalid:
        text = pa.concat_arrays([_decoded(raw, flags, start) for start in range(0, len(lines), _TOGETHER)])
    data = _data(text)
    if data.size and data.min() < _SPACE:
        text = _without_controls(text, flags)
    kept = ~_blank(text)
    places = np.flatnonzero(kept).astype(np.uint32)
    if len(places) < len(lines):
        text = text.filter(pa.array(kept))
        flags = flags[kept]
    return Lines(text, places, flags, bool(data.size and data.max() > _ASCII), len(lines) - len(places))


def escaped(value: bytes) -> str:
    r"""Bytes that are no line at all, as text: what is not UTF-8 or is NUL is written `\xNN`."""
    return value.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _decoded(raw: pa.BinaryArray, flags: Array, start: int) -> pa.StringArray:
    """The text of some lines from `start` on: those of one source in another encoding must not slow down all others."""
    try:
        return raw.slice(start, _TOGETHER).cast(pa.string())
    except pa.ArrowInvalid:
        some = raw.slice(start, _TOGETHER).to_pylist()
        return pa.array([_decode(line, flags, number) for number, line in enumerate(some, start)], pa.string())


def _decode(line: bytes, flags: Array, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = line.decode("cp949")
    except UnicodeDecodeError:
        flags[number] |= np.uint32(IntakeFlag.UNDECODABLE)
        return line.decode("utf-8", "backslashreplace")
    flags[number] |= np.uint32(IntakeFlag.CP949)
    return text


def _without_controls(text: pa.StringArray, flags: Array) -> pa.StringArray:
    """Takes off NUL bytes and line ends. Called only for a batch with some control character."""
    holding = pc.match_substring(text, "\0").to_numpy(zero_copy_only=False)
    if holding.any():
        flags[holding] |= np.uint32(IntakeFlag.NUL_REMOVED)
        text = pc.replace_substring(text, "\0", "")
    return pc.ascii_rtrim(text, characters="\r\n")


def _blank(text: pa.StringArray) -> Array:
    blank: Array = np.diff(_offsets(text)) == 0
    starts = _offsets(text)[:-1][~blank]
    suspects = np.flatnonzero(~blank)[_data(text)[starts - _offsets(text)[0]] <= _SPACE]
    if suspects.size:
        trimmed = pc.ascii_trim_whitespace(text.take(pa.array(suspects)))
        blank[suspects] = pc.binary_length(trimmed).to_numpy(zero_copy_only=False) == 0
    return blank


def _offsets(text: pa.StringArray) -> Array:
    offsets: Array = np.frombuffer(text.buffers()[1], np.int32)
    return offsets[text.offset : text.offset + len(text) + 1]


def _data(text: pa.StringArray) -> Array:
    """The bytes of all values, one after the other."""
    buffer = text.buffers()[2]
    if buffer is None or not len(text):
        return np.zeros(0, np.uint8)
    offsets = _offsets(text)
    return np.frombuffer(buffer, np.uint8)[offsets[0] : offsets[-1]]
