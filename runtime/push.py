"""Sending a file of lines to a running centre over `POST /v1/logs`, one body after another, each acknowledged before the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import BufferedReader

import zstandard

from core.errors import BongsuError
from ingest.inflate import Inflater, recognise
from ingest.sources.file import Progress
from runtime.asking import Centre, CentreRefused

_BODY = 4 << 20
_CHUNK = 1 << 20


class PushFailed(BongsuError):
    """The centre did not take a body. The message says how many lines it had acknowledged before."""


def push(file: BufferedReader, size: int, centre: Centre, on_progress: Progress) -> int:
    """Send every line of `file` (plain, gzip or zstd); the number of lines acknowledged. Blocks.

    429 and 503 only make it wait as long as the answer says. PushFailed for everything else; `tail -n +N` skips what was acknowledged.
    """
    acknowledged = 0
    compress = zstandard.ZstdCompressor(level=1).compress
    for body in _bodies(file):
        acknowledged += _post(centre, compress(body), acknowledged)
        on_progress(file.tell() if size else 0, size, acknowledged)
    return acknowledged


def _post(centre: Centre, body: bytes, acknowledged: int) -> int:
    headers = {"Content-Type": "text/plain", "Content-Encoding": "zstd"}
    while True:
        try:
            return int(centre.ask("POST", "/v1/logs", content=body, headers=headers, seconds=60)["lines"])
        except CentreRefused as error:
            if error.retry_after is None:
                raise PushFailed(f"{error}; it had taken {acknowledged:,} lines") from error
            time.sleep(error.retry_after)


def _bodies(file: BufferedReader) -> Iterator[bytes]:
    """Whole lines, some MiB at a time."""
    held = bytearray()
    for data in _plain(file):
        held += data
        if len(held) >= _BODY and (end := held.rfind(b"\n") + 1):
            yield bytes(held[:end])
            del held[:end]
    if held:
        yield bytes(held)


def _plain(file: BufferedReader) -> Iterator[bytes]:
    chunk = file.read1(_CHUNK)
    encoding = recognise(chunk)
    inflater = Inflater(encoding) if encoding else None
    while chunk:
        yield from inflater.feed(chunk) if inflater else (chunk,)
        chunk = file.read1(_CHUNK)
    if inflater:
        inflater.finish()
