"""Sending a file of lines to a running centre over `POST /v1/logs`, one body after another, each acknowledged before the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import BufferedReader

import httpx
import zstandard

from core.errors import BongsuError
from ingest.inflate import Inflater, recognise
from ingest.sources.file import Progress

_BODY = 4 << 20
_CHUNK = 1 << 20
_PAUSE_SECONDS = 1.0


class PushFailed(BongsuError):
    """The centre did not take a body. The message says how many lines it had acknowledged before."""


async def push(file: BufferedReader, size: int, url: str, key: str, on_progress: Progress) -> int:
    """Send every line of `file` (plain, gzip or zstd); the number of lines acknowledged.

    429 and 503 only make it wait as long as the answer says. PushFailed for everything else; `tail -n +N` skips what was acknowledged.
    """
    acknowledged = 0
    compress = zstandard.ZstdCompressor(level=1).compress
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/plain", "Content-Encoding": "zstd"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        async for body in _bodies(file):
            acknowledged += await _post(client, compress(body), acknowledged)
            on_progress(file.tell() if size else 0, size, acknowledged)
    return acknowledged


async def _post(client: httpx.AsyncClient, body: bytes, acknowledged: int) -> int:
    while True:
        try:
            answer = await client.post("/v1/logs", content=body)
        except httpx.TransportError as error:
            raise PushFailed(
                f"{client.base_url} does not answer ({error or type(error).__name__}); it had taken {acknowledged:,} lines"
            ) from error
        if answer.is_success:
            return int(answer.json()["lines"])
        if answer.status_code not in (429, 503):
            raise PushFailed(f"{client.base_url} refused with {answer.status_code}: {_detail(answer)}; it had taken {acknowledged:,} lines")
        await asyncio.sleep(float(answer.headers.get("Retry-After", _PAUSE_SECONDS)))


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError):
        return answer.text[:200]


async def _bodies(file: BufferedReader) -> AsyncIterator[bytes]:
    """Whole lines, some MiB at a time."""
    held = bytearray()
    async for data in _plain(file):
        held += data
        if len(held) >= _BODY and (end := held.rfind(b"\n") + 1):
            yield bytes(held[:end])
            del held[:end]
    if held:
        yield bytes(held)


async def _plain(file: BufferedReader) -> AsyncIterator[bytes]:
    chunk = await asyncio.to_thread(file.read1, _CHUNK)
    encoding = recognise(chunk)
    inflater = Inflater(encoding) if encoding else None
    while chunk:
        for data in inflater.feed(chunk) if inflater else (chunk,):
            yield data
        chunk = await asyncio.to_thread(file.read1, _CHUNK)
    if inflater:
        inflater.finish()
