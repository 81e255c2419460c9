"""Replay of files and of standard input onto the real embedded bus."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import zstandard

from core.events import IntakeFlag
from ingest.inflate import BadCompression
from ingest.rawbatch import Origin
from ingest.sources.file import Replayed, replay
from tests.servers.receiving import Receiving, receiving

ORIGIN = Origin("jongno-gu", "archive", "file", timezone="Asia/Seoul")
LINES = [b"<13>%d %s" % (number, random.Random(number).randbytes(40).hex().encode()) for number in range(40_000)]
TEXT = b"\n".join(LINES) + b"\n"


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Receiving]:
    async with receiving(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text[:-1],
        gzip.compress,
        lambda text: gzip.compress(text[:12345]) + gzip.compress(text[12345:]),
        zstandard.compress,
        lambda text: zstandard.compress(text[:12345]) + zstandard.compress(text[12345:]),
    ],
    ids=["plain", "crlf", "no-last-end", "gzip", "gzip-members", "zstd", "zstd-frames"],
)
async def test_every_line_of_a_file_is_on_the_bus(centre: Receiving, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "lines"
    file.write_bytes(pack(TEXT))
    progress: list[tuple[int, int, int]] = []
    done = await replay(file, ORIGIN, centre.intake, lambda *now: progress.append(now))
    size = file.stat().st_size
    assert done == Replayed(lines=len(LINES), truncated=0, empty=0, bytes_read=size)
    assert progress == sorted(progress)
    assert progress[-1] == (size, size, len(LINES))
    await centre.all()
    assert centre.lines(ORIGIN) == LINES


async def test_standard_input(centre: Receiving) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as sink:
        replaying = asyncio.create_task(replay(source, ORIGIN, centre.intake))
        sink.write(b"one\n")
        sink.flush()
        await centre.until(1)  # a pipe that goes on is not waited for
        sink.write(b"two")
        sink.close()
        assert (await replaying).lines == 2
    await centre.all()
    assert centre.lines() == [b"one", b"two"]


async def test_an_empty_file(centre: Receiving) -> None:
    assert await replay(io.BufferedReader(io.BytesIO(b"")), ORIGIN, centre.intake) == Replayed(0, 0, 0, 0)


async def test_long_and_empty_lines_are_counted(centre: Receiving, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"\n5 one\n" + b"x" * 3_000_000 + b"\n\ntwo")
    assert await replay(file, ORIGIN, centre.intake) == Replayed(lines=3, truncated=1, empty=2, bytes_read=3_000_012)
    await centre.all()
    assert centre.lines(ORIGIN) == [b"5 one", b"two"]
    assert [len(batch.lines[0]) for batch in centre.batches if batch.origin.flags & IntakeFlag.TRUNCATED] == [65536]


async def test_damaged_compression_is_told(centre: Receiving, tmp_path: Path) -> None:
    file = tmp_path / "lines.gz"
    file.write_bytes(gzip.compress(TEXT)[:-1000])
    with pytest.raises(BadCompression, match="ends too early"):
        await replay(file, ORIGIN, centre.intake)


async def test_a_file_that_is_not_there(centre: Receiving, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await replay(tmp_path / "missing", ORIGIN, centre.intake)


async def test_a_full_bus_makes_it_wait_and_loses_nothing(tmp_path: Path) -> None:
    async with receiving(tmp_path, {"intake": {"batch_bytes": 65536}}, backlog=256 << 10, write_seconds=0.1) as centre:
        replaying = asyncio.create_task(replay(io.BufferedReader(io.BytesIO(TEXT)), ORIGIN, centre.intake))
        await centre.full()
        assert not replaying.done()
        await centre.until(len(LINES))
        assert (await replaying).lines == len(LINES)
        assert centre.lines() == LINES
