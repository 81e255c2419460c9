"""The half of `POST /v1/logs` that knows no web framework: a body in, lines durable on the bus, a receipt out.

A body is taken whole or not at all: nothing is submitted before it was read to its end and found sound. Its size after decompression
is bounded by `intake.max_body_mb`, and so is the memory of all bodies being read at once.

Plain text gives its lines. Of JSON lines (NDJSON) each line is one value: a JSON string stands for the line it holds, any other value is
kept as the bytes it was written in.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from core import metrics
from core.config import IntakeSettings
from core.errors import BusFull, Invalid, TooLarge, Unsupported
from core.events import IntakeFlag
from ingest.framing import Framed, Framer, Framing
from ingest.inflate import BadCompression, Encoding, Inflater
from ingest.rawbatch import Origin
from ingest.sources.intake import Intake

_PLAIN: Final = ("text/plain",)
_JSON_LINES: Final = (
    "application/x-ndjson",
    "application/ndjson",
    "application/json-lines",
    "application/jsonl",
    "application/x-jsonlines",
)
_ENCODINGS: Final[dict[str, Encoding | None]] = {"": None, "identity": None, "gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_BODIES_AT_ONCE: Final = 8  # bodies of the largest size that may be in memory together
_ZSTD_WINDOW: Final = 8 << 20  # RFC 9659


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a body. `lines` are durable on the bus; `truncated` of them were cut; `empty` ones were passed over."""

    lines: int
    truncated: int
    empty: int


class HttpIntake:
    """Takes bodies of log lines."""

    def __init__(self, intake: Intake, settings: IntakeSettings) -> None:
        self._intake = intake
        self._max_line_bytes = settings.max_line_bytes
        self._max_body = settings.max_body_mb << 20
        self._reading = 0

    async def accept(self, body: AsyncIterator[bytes], content_type: str, content_encoding: str, origin: Origin) -> Receipt:
        """Take a body; every line is durable on return.

        `content_type` and `content_encoding` are the headers' values, '' where there was none (taken as plain text, identity).
        Unsupported 415 for others than listed, TooLarge 413 beyond the limit, Invalid 422 for damaged compression; BusFull or
        BusUnavailable when the bus does not take the lines (part of a large body may be durable then, and comes twice if sent again).
        """
        unquote = _json_lines(content_type)
        encoding = _encoding(content_encoding)
        framed, held = [], 0
        framer = Framer(self._max_line_bytes, Framing.LF)
        try:
            async for data in self._plain(body, encoding):
                held += len(data)
                self._hold(len(data), held)
                framed.append(framer.feed(data))
            framed.append(framer.end())
            if unquote:
                framed = [_unquoted(part) for part in framed]
            await self._submit(framed, origin)
        finally:
            self._reading -= held
        empty = sum(part.empty for part in framed)
        metrics.LINES_EMPTY.labels(origin.transport).inc(empty)
        return Receipt(sum(part.taken for part in framed), sum(len(part.cut) for part in framed), empty)

    async def _plain(self, body: AsyncIterator[bytes], encoding: Encoding | None) -> AsyncIterator[bytes]:
        """The body's bytes, decompressed."""
        inflater = Inflater(encoding, _ZSTD_WINDOW) if encoding else None
        try:
            async for chunk in body:
                for data in inflater.feed(chunk) if inflater else (chunk,):
                    yield data
            if inflater:
                inflater.finish()
        except BadCompression as error:
            raise Invalid(f"the body cannot be read: {error}") from error

    def _hold(self, size: int, held: int) -> None:
        self._reading += size
        if held > self._max_body:
            raise TooLarge(f"the body is larger than {self._max_body >> 20} MiB after decompression: send smaller ones")
        if self._reading > self._max_body * _BODIES_AT_ONCE:
            raise BusFull("too many large bodies are being received at once")

    async def _submit(self, framed: Iterable[Framed], origin: Origin) -> None:
        cut = replace(origin, flags=origin.flags | IntakeFlag.TRUNCATED)
        durable = []
        for part in framed:
            if part.lines:
                durable.append(self._intake.submit(origin, part.blob, part.lines))
            if part.apart:
                durable.append(self._intake.submit_lines(origin, part.apart))
            if part.cut:
                durable.append(self._intake.submit_lines(cut, part.cut))
        await asyncio.gather(*durable)


def _json_lines(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    if media in _JSON_LINES:
        return True
    if media and media not in _PLAIN:
        raise Unsupported(f"content type {media!r} is not read here: send {_PLAIN[0]} or {_JSON_LINES[0]}")
    return False


def _encoding(content_encoding: str) -> Encoding | None:
    try:
        return _ENCODINGS[content_encoding.strip().lower()]
    except KeyError:
        raise Unsupported(f"content encoding {content_encoding!r} is not read here: send gzip, zstd or none") from None


def _unquoted(framed: Framed) -> Framed:
    """The same lines with JSON strings replaced by the text they hold."""
    if not framed.blob.startswith(b'"') and b'\n"' not in framed.blob:
        return framed
    lines = [_text(line) if line.startswith(b'"') else line for line in framed.blob.split(b"\n")]
    kept = [line for line in lines if line]
    unquoted = Framed(cut=framed.cut, empty=framed.empty + len(lines) - len(kept))
    if kept:
        unquoted.put(kept)
    return unquoted


def _text(line: bytes) -> bytes:
    """The text of a JSON string; the bytes as they came when it is not one."""
    decode: Callable[[bytes], object] = json.loads
    try:
        text = decode(line)
    except ValueError:
        return line
    return text.encode("utf-8", "surrogatepass").rstrip(b"\r\n\0") if isinstance(text, str) else line
