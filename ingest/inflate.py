"""Streaming decompression with bounded memory: gzip (RFC 1952, members may follow one another) and zstd (RFC 8878, frames likewise).

A small compressed input can hold a very large output, so input goes in by slices whose output is at most some 16 MiB; the caller counts
what comes out and stops where it wants.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Literal, Protocol

import zstandard

from core.errors import BongsuError

Encoding = Literal["gzip", "zstd"]
# Deflate expands at most 1,032 times, a zstd block of four bytes at most to 128 KiB.
_SLICE: Final = {"gzip": 16384, "zstd": 512}
_MAGIC: Final[dict[bytes, Encoding]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class BadCompression(BongsuError):
    """The input is not what its encoding says, or ends too early."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class Inflater:
    """Decompresses one stream. `max_window` bounds what zstd must remember, in bytes (over HTTP at most 8 MiB, RFC 9659)."""

    def __init__(self, encoding: Encoding, max_window: int = 128 << 20) -> None:
        self._encoding = encoding
        self._max_window = max_window
        self._current: _Decompressor | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The output of `data`, piece by piece; BadCompression when it cannot be read."""
        size = _SLICE[self._encoding]
        for at in range(0, len(data), size):
            rest = data[at : at + size]
            while rest:
                piece, rest = self._step(rest)
                if piece:
                    yield piece

    def finish(self) -> None:
        """The input is over: BadCompression when its end is missing."""
        if self._current is not None:
            raise BadCompression(f"the {self._encoding} data ends too early")

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        if self._current is None:
            self._current = self._new()
        try:
            piece = self._current.decompress(data)
        except (zlib.error, zstandard.ZstdError) as error:
            raise BadCompression(f"not {self._encoding} data: {error}") from error
        if not self._current.eof:
            return piece, b""
        rest = self._current.unused_data
        self._current = None
        return piece, rest

    def _new(self) -> _Decompressor:
        if self._encoding == "gzip":
            return zlib.decompressobj(wbits=31)
        return zstandard.ZstdDecompressor(max_window_size=self._max_window).decompressobj()


def recognise(head: bytes) -> Encoding | None:
    """The encoding of a stream that begins with `head`, by its magic number; None: it is plain."""
    for magic, encoding in _MAGIC.items():
        if head.startswith(magic):
            return encoding
    return None
