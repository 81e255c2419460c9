"""The value of a `logs.raw` message: many lines of one source (headers: `core.topics`).

Lines are bytes without line end. They are joined by LF; when one of them holds an LF itself (a multi-line datagram or octet-counted
frame), each is preceded by its length instead, so that every byte is kept. A value of some size is compressed.
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from core import topics
from core.bus.contract import Message, Record
from core.clock import from_millis, millis
from core.errors import BadMessage
from core.events import UNKNOWN_AGENCY, IntakeFlag
from ingest.inflate import BadCompression, Inflater

_LENGTH = struct.Struct(">I")
_COMPRESS_FROM = 4096
_LARGEST = 256 << 20
_LONGEST_MILLIS = 14  # digits: to the year 5138
_LONGEST_FLAGS = 9
_LONGEST_COUNT = 9
_ALL_FLAGS = ~IntakeFlag.NONE


@dataclass(frozen=True, slots=True)
class Origin:
    """Where lines came from. `peer` is an address in text, '' when there is none; `timezone` is the source's configured zone or ''.

    `exercise` is the ticket of an exercise (`core.exercise`) as it was shown, '' for lines that are real.
    """

    agency: str
    source: str
    transport: str
    peer: str = ""
    flags: IntakeFlag = IntakeFlag.NONE
    timezone: str = ""
    exercise: str = ""

    @property
    def key(self) -> str:
        """Lines of one source stay in order: they share a partition."""
        return f"{self.agency}/{self.source}"


@dataclass(frozen=True, slots=True)
class Masking:
    """Which kinds were masked in a batch (`ingest.privacy`), and the bits of the lines that were changed, the lowest first."""

    kinds: frozenset[str] = frozenset()
    bits: bytes = b""

    @classmethod
    def of(cls, kinds: frozenset[str], changed: npt.NDArray[np.uint32]) -> Masking:
        """`changed` are the numbers of the lines that were changed."""
        lines = np.zeros(int(changed.max()) + 1 if len(changed) else 0, bool)
        lines[changed] = True
        return cls(kinds, np.packbits(lines, bitorder="little").tobytes())

    def changed(self, lines: int) -> npt.NDArray[np.bool_]:
        """Whether each of so many lines was changed."""
        told = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=lines, bitorder="little")
        return told.astype(bool)


@dataclass(frozen=True, slots=True)
class RawBatch:
    """A decoded message: its lines, none of them checked for encoding."""

    origin: Origin
    received_at: datetime
    binary: pa.BinaryArray
    masking: Masking = Masking()

    @property
    def lines(self) -> list[bytes]:
        """The lines as objects, which costs more than all else here; most readers have no need of it."""
        lines: list[bytes] = self.binary.to_pylist()
        return lines


def message(origin: Origin, received_at: datetime, lines: Sequence[bytes], masking: Masking | None = None) -> Message:
    """The message that carries `lines`; `masking` None: nobody has looked for what must be masked."""
    framed = b"\n".join(lines)
    framing = "lf"
    if framed.count(b"\n") != len(lines) - 1:
        framed = b"".join(part for line in lines for part in (_LENGTH.pack(len(line)), line))
        framing = "length"
    return _message(origin, received_at, framed, framing, len(lines), masking)


def message_of_blob(origin: Origin, received_at: datetime, blob: bytes, lines: int, masking: Masking | None = None) -> Message:
    """The message that carries `blob`, whole lines joined by LF without a last LF: the path without a Python object per line."""
    return _message(origin, received_at, blob, "lf", lines, masking)


def _message(origin: Origin, received_at: datetime, value: bytes, framing: str, lines: int, masking: Masking | None) -> Message:
    headers = {
        topics.H_AGENCY: origin.agency,
        topics.H_SOURCE: origin.source,
        topics.H_TRANSPORT: origin.transport,
        topics.H_PEER: origin.peer,
        topics.H_RECEIVED_AT: str(millis(received_at)),
        topics.H_FRAMING: framing,
        topics.H_FLAGS: str(int(origin.flags)),
        topics.H_LINES: str(lines),
        topics.H_TIMEZONE: origin.timezone,
    }
    if origin.exercise:
        headers[topics.H_EXERCISE] = origin.exercise
    if masking is not None:
        headers[topics.H_MASKED] = ",".join(sorted(masking.kinds))
        if masking.bits:
            headers[topics.H_MASKED_LINES] = b64encode(masking.bits).decode()
    if len(value) >= _COMPRESS_FROM:
        value = zstandard.ZstdCompressor(level=1).compress(value)
        headers[topics.H_COMPRESSION] = "zstd"
    return Message(value, headers, key=origin.key)


def decode(record: Record) -> RawBatch:
    """The lines of a message. A bare line of an agency's own producer is a batch of one from an unknown source.

    BadMessage when the value is not what its headers say.
    """
    headers = record.headers
    value = _decompress(record, headers.get(topics.H_COMPRESSION, ""))
    lines = _by_length(record, value) if headers.get(topics.H_FRAMING) == "length" else _by_line_end(value)
    return RawBatch(origin_of(headers), received_at(record), lines, _masking_of(headers))


def received_at(record: Record) -> datetime:
    """When the lines of a message were received: as it says, else when the bus took it."""
    told = record.headers.get(topics.H_RECEIVED_AT, "")
    return from_millis(int(told)) if told.isdecimal() and len(told) <= _LONGEST_MILLIS else record.timestamp


def lines_of(record: Record) -> int:
    """How many lines a message says it carries; of one that does not say, how many there are, and one when it cannot be read."""
    told = record.headers.get(topics.H_LINES, "")
    if told.isdecimal() and len(told) <= _LONGEST_COUNT:
        return int(told)
    try:
        return len(decode(record).binary)
    except BadMessage:
        return 1


def _masking_of(headers: Mapping[str, str]) -> Masking:
    try:
        bits = b64decode(headers.get(topics.H_MASKED_LINES, ""), validate=True)
    except (binascii.Error, ValueError):
        bits = b""
    return Masking(frozenset(headers.get(topics.H_MASKED, "").split(",")) - {""}, bits)


def origin_of(headers: Mapping[str, str]) -> Origin:
    """Where a message's headers say its lines came from. What they leave out, or write wrongly, is taken as not said."""
    agency = headers.get(topics.H_AGENCY, "")
    flags = headers.get(topics.H_FLAGS, "")
    flag = IntakeFlag(int(flags)) & _ALL_FLAGS if flags.isdecimal() and len(flags) <= _LONGEST_FLAGS else IntakeFlag.NONE
    return Origin(
        agency=agency or UNKNOWN_AGENCY,
        source=headers.get(topics.H_SOURCE, ""),
        transport=headers.get(topics.H_TRANSPORT, "") or "kafka",
        peer=headers.get(topics.H_PEER, ""),
        flags=flag if agency else flag | IntakeFlag.UNKNOWN_SOURCE,
        timezone=headers.get(topics.H_TIMEZONE, ""),
        exercise=headers.get(topics.H_EXERCISE, ""),
    )


def _decompress(record: Record, compression: str) -> bytes:
    """The plain value. What would be larger than any batch is refused before room is made for it."""
    if not compression:
        return record.value
    if compression != "zstd":
        raise BadMessage(f"{_where(record)}: unknown compression {compression!r}")
    try:
        size = zstandard.frame_content_size(record.value)
        if size < 0:  # the producer streamed and did not know it
            return _inflated(record)
        if size <= _LARGEST:
            return zstandard.ZstdDecompressor().decompress(record.value)
    except (zstandard.ZstdError, BadCompression) as error:
        raise BadMessage(f"{_where(record)}: {error}") from error
    raise _too_large(record)


def _inflated(record: Record) -> bytes:
    inflater, pieces, size = Inflater("zstd"), [], 0
    for piece in inflater.feed(record.value):
        size += len(piece)
        if size > _LARGEST:
            raise _too_large(record)
        pieces.append(piece)
    inflater.finish()
    return b"".join(pieces)


def _too_large(record: Record) -> BadMessage:
    return BadMessage(f"{_where(record)}: larger than {_LARGEST >> 20} MiB when decompressed")


def _by_line_end(value: bytes) -> pa.BinaryArray:
    """`value` cut at each LF. For a message of one line Arrow's own splitting takes three times as long."""
    ends = np.flatnonzero(np.frombuffer(value, np.uint8) == ord("\n"))
    offsets = np.zeros(len(ends) + 2, np.int32)
    offsets[1:-1] = ends - np.arange(len(ends))  # the LFs are taken out of the bytes
    offsets[-1] = len(value) - len(ends)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(value.replace(b"\n", b""))]
    return pa.Array.from_buffers(pa.binary(), len(ends) + 1, buffers)


def _by_length(record: Record, value: bytes) -> pa.BinaryArray:
    lines: list[bytes] = []
    at = 0
    while at < len(value):
        if at + _LENGTH.size > len(value):
            raise BadMessage(f"{_where(record)}: cut inside a length")
        (size,) = _LENGTH.unpack_from(value, at)
        at += _LENGTH.size
        if at + size > len(value):
            raise BadMessage(f"{_where(record)}: cut inside a line")
        lines.append(value[at : at + size])
        at += size
    return pa.array(lines, pa.binary())


def _where(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
