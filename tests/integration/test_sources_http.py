"""Bodies of `POST /v1/logs` onto the real embedded bus."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zstandard

from core import metrics
from core.errors import BusFull, DomainError, Invalid, TooLarge, Unsupported
from core.events import IntakeFlag
from ingest.rawbatch import Origin
from ingest.sources.http import HttpIntake, Receipt
from tests.servers.receiving import Receiving, count, receiving

ORIGIN = Origin("jongno-gu", "script", "http", "192.0.2.1")
NDJSON = "application/x-ndjson; charset=utf-8"


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Receiving]:
    async with receiving(tmp_path, {"intake": {"max_body_mb": 1, "linger_ms": 5}}) as made:
        yield made


async def body(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def post(centre: Receiving, data: bytes, content_type: str = "text/plain", encoding: str = "", size: int = 1000) -> Receipt:
    return await HttpIntake(centre.intake, centre.settings.intake).accept(body(data, size), content_type, encoding, ORIGIN)


LINES = [b"<13>line %d \xb0\xa1" % number for number in range(3000)]
TEXT = b"\n".join(LINES) + b"\n"


@pytest.mark.parametrize("size", [7, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:]), "GZIP"),
        (zstandard.compress(TEXT), "zstd"),
        (zstandard.compress(TEXT[:999]) + zstandard.compress(TEXT[999:]), "zstd"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(TEXT), "zstd"),
    ],
    ids=["plain", "identity", "gzip", "gzip-members", "zstd", "zstd-frames", "zstd-streamed"],
)
async def test_every_encoding_gives_the_lines(centre: Receiving, data: bytes, encoding: str, size: int) -> None:
    assert await post(centre, data, encoding=encoding, size=size) == Receipt(len(LINES), 0, 0)
    await centre.all()
    assert centre.lines(ORIGIN) == LINES


async def test_lines_are_durable_when_the_receipt_is_given(centre: Receiving) -> None:
    await post(centre, b"one")
    assert await centre.bus.end_offsets("logs.raw") == {0: 1}


async def test_the_receipt_counts_what_was_cut_and_passed_over(centre: Receiving) -> None:
    before = count(metrics.LINES_EMPTY, "http")
    assert await post(centre, b"\n\r\none\n\n" + b"x" * 70_000 + b"\ntwo") == Receipt(lines=3, truncated=1, empty=3)
    await centre.all()
    assert centre.lines(ORIGIN) == [b"one", b"two"]
    assert {(batch.origin.flags, *batch.lines) for batch in centre.batches} >= {(IntakeFlag.TRUNCATED, b"x" * 65536)}
    assert count(metrics.LINES_EMPTY, "http") - before == 3


@pytest.mark.parametrize("data", [b"", b"\n\n"])
async def test_a_body_without_a_line_is_no_error(centre: Receiving, data: bytes) -> None:
    assert await post(centre, data) == Receipt(0, 0, len(data))
    assert await centre.bus.end_offsets("logs.raw") == {0: 0}


async def test_json_lines_keep_objects_as_written_and_open_strings(centre: Receiving) -> None:
    values = ['<13>안녕 "quoted" \\ back', "two\nlines\n", '{"not": "an object"}']
    data = b"\n".join(
        [
            b'{"a": 1,  "b":"\xea\xb0\x80"}',
            *(json.dumps(value).encode() for value in values),
            b'"not closed',
            b'"\\ud800 alone"',
            b'""',
            b"[1, 2]",
        ]
    )
    assert await post(centre, data, NDJSON) == Receipt(lines=7, truncated=0, empty=1)
    await centre.all()
    assert centre.lines(ORIGIN) == [
        b'{"a": 1,  "b":"\xea\xb0\x80"}',
        '<13>안녕 "quoted" \\ back'.encode(),
        b"two\nlines",
        b'{"not": "an object"}',
        b'"not closed',
        b"\xed\xa0\x80 alone",
        b"[1, 2]",
    ]


async def test_plain_text_keeps_quotes(centre: Receiving) -> None:
    await post(centre, b'"as it is"\n')
    await centre.all()
    assert centre.lines() == [b'"as it is"']


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "application/octet-stream"])
async def test_another_type_is_refused(centre: Receiving, content_type: str) -> None:
    with pytest.raises(Unsupported, match=r"send text/plain or application/x-ndjson") as raised:
        await post(centre, b"x", content_type)
    assert raised.value.status == 415


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "deflate"])
async def test_another_encoding_is_refused(centre: Receiving, encoding: str) -> None:
    with pytest.raises(Unsupported, match="send gzip, zstd or none") as raised:
        await post(centre, b"x", encoding=encoding)
    assert raised.value.status == 415


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (gzip.compress(TEXT)[:-9], "gzip"),
        (gzip.compress(TEXT) + b"junk", "gzip"),
        (TEXT, "gzip"),
        (zstandard.compress(TEXT)[:-5], "zstd"),
        (zstandard.compress(TEXT) + b"junk", "zstd"),
        (gzip.compress(TEXT), "zstd"),
    ],
)
async def test_a_damaged_body_is_refused_whole(centre: Receiving, data: bytes, encoding: str) -> None:
    with pytest.raises(Invalid, match="the body cannot be read"):
        await post(centre, data, encoding=encoding)
    await centre.intake.close()
    assert await centre.bus.end_offsets("logs.raw") == {0: 0}


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"x\n" * (600 << 10), ""),
        (gzip.compress(bytes(64 << 20)), "gzip"),
        (zstandard.compress(bytes(512 << 20)), "zstd"),
        (gzip.compress(b"\n" * (64 << 20)), "gzip"),
    ],
    ids=["plain", "gzip-bomb", "zstd-bomb", "newlines"],
)
async def test_a_body_beyond_the_limit_is_refused_before_it_takes_memory(centre: Receiving, data: bytes, encoding: str) -> None:
    tracemalloc.start()
    with pytest.raises(TooLarge, match="larger than 1 MiB") as raised:
        await post(centre, data, encoding=encoding, size=1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert raised.value.status == 413
    assert peak < 64 << 20
    await centre.intake.close()
    assert await centre.bus.end_offsets("logs.raw") == {0: 0}


async def test_bodies_refused_leave_room_for_the_next(centre: Receiving) -> None:
    intake = HttpIntake(centre.intake, centre.settings.intake)
    for _ in range(20):
        with pytest.raises(DomainError):
            await intake.accept(body(b"x" * (2 << 20)), "text/plain", "", ORIGIN)
    assert (await intake.accept(body(b"one"), "text/plain", "", ORIGIN)).lines == 1


async def test_too_many_large_bodies_at_once_are_sent_away(centre: Receiving) -> None:
    intake = HttpIntake(centre.intake, centre.settings.intake)
    outer = []

    async def nested(depth: int) -> AsyncIterator[bytes]:
        """While one body is being read, another begins."""
        yield b"y" * ((1 << 20) - 1)
        if depth:
            try:
                await intake.accept(nested(depth - 1), "text/plain", "", ORIGIN)
            except BusFull as error:
                outer.append(error)

    await intake.accept(nested(9), "text/plain", "", ORIGIN)
    assert len(outer) == 1
    assert outer[0].retry_after > 0


async def test_a_full_bus_is_told(tmp_path: Path) -> None:
    async with receiving(tmp_path, backlog=64 << 10, write_seconds=3.0) as centre:
        receipts, refusals = 0, []
        for _ in range(20):
            try:
                receipts += (await post(centre, random.randbytes(8192).replace(b"\n", b""))).lines
            except BusFull as error:
                refusals.append(error)
                break
        assert len(refusals) == 1
        assert refusals[0].retry_after > 0
        await centre.all()
        assert len(centre.lines()) == receipts > 0
