"""The value of a `logs.raw` message: many lines of one source (headers: `core.topics`).

Lines are bytes without line end. They are joined by LF; when one of them holds an LF itself (a multi-line datagram or octet-counted
frame), each is preceded by its length instead, so that every byte is kept. A value of some size is compressed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import zstandard

from core import topics
from core.bus.contract import Message, Record
from core.clock import from_millis, millis
from core.errors import BadMessage
from core.events import UNKNOWN_AGENCY, IntakeFlag

_LENGTH = struct.Struct(">I")
_COMPRESS_FROM = 4096
_LARGEST = 256 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """Where lines came from. `peer` is an address in text, '' when there is none; `timezone` is the source's configured zone or ''."""

    agency: str
    source: str
    transport: str
    peer: str = ""
    flags: IntakeFlag = IntakeFlag.NONE
    timezone: str = ""

    @property
    def key(self) -> str:
        """Lines of one source stay in order: they share a partition."""
        return f"{self.agency}/{self.source}"


@dataclass(frozen=True, slots=True)
class RawBatch:
    """A decoded message: its lines, none of them checked for encoding."""

    origin: Origin
    received_at: datetime
    lines: Sequence[bytes]


def message(origin: Origin, received_at: datetime, lines: Sequence[bytes]) -> Message:
    """The message that carries `lines`."""
    framed = b"\n".join(lines)
    framing = "lf"
    if framed.count(b"\n") != len(lines) - 1:
        framed = b"".join(part for line in lines for part in (_LENGTH.pack(len(line)), line))
        framing = "length"
    return _message(origin, received_at, framed, framing, len(lines))


def message_of_blob(origin: Origin, received_at: datetime, blob: bytes, lines: int) -> Message:
    """The message that carries `blob`, whole lines joined by LF without a last LF: the path without a Python object per line."""
    return _message(origin, received_at, blob, "lf", lines)


def _message(origin: Origin, received_at: datetime, value: bytes, framing: str, lines: int) -> Message:
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
    lines = _by_length(record, value) if headers.get(topics.H_FRAMING) == "length" else value.split(b"\n")
    received = headers.get(topics.H_RECEIVED_AT, "")
    return RawBatch(_origin(headers), from_millis(int(received)) if received.isdecimal() else record.timestamp, lines)


def _origin(headers: Mapping[str, str]) -> Origin:
    agency = headers.get(topics.H_AGENCY, "")
    flags = headers.get(topics.H_FLAGS, "")
    flag = IntakeFlag(int(flags)) if flags.isdecimal() else IntakeFlag.NONE
    return Origin(
        agency=agency or UNKNOWN_AGENCY,
        source=headers.get(topics.H_SOURCE, ""),
        transport=headers.get(topics.H_TRANSPORT, "") or "kafka",
        peer=headers.get(topics.H_PEER, ""),
        flags=flag if agency else flag | IntakeFlag.UNKNOWN_SOURCE,
        timezone=headers.get(topics.H_TIMEZONE, ""),
    )


def _decompress(record: Record, compression: str) -> bytes:
    if not compression:
        return record.value
    if compression != "zstd":
        raise BadMessage(f"{_where(record)}: unknown compression {compression!r}")
    try:
        return zstandard.ZstdDecompressor().decompress(record.value, max_output_size=_LARGEST)
    except zstandard.ZstdError as error:
        raise BadMessage(f"{_where(record)}: {error}") from error


def _by_length(record: Record, value: bytes) -> list[bytes]:
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
    return lines


def _where(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
