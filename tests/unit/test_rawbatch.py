"""The raw batch: what goes in comes out, and a value that is not what its headers say is a BadMessage, never anything else."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core import topics
from core.bus.contract import Message, Record
from core.errors import BadMessage
from core.events import UNKNOWN_AGENCY, IntakeFlag
from ingest import rawbatch
from ingest.rawbatch import Origin

AT = datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=UTC)
BUS_TIME = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
ORIGIN = Origin("jongno-gu", "fw-1", "tls", "192.0.2.7", IntakeFlag.TRUNCATED, "Asia/Seoul")
HEADERS = [
    topics.H_AGENCY,
    topics.H_SOURCE,
    topics.H_TRANSPORT,
    topics.H_RECEIVED_AT,
    topics.H_PEER,
    topics.H_FRAMING,
    topics.H_COMPRESSION,
    topics.H_FLAGS,
    topics.H_LINES,
    topics.H_TIMEZONE,
]


def record(value: bytes, headers: dict[str, str] | None = None) -> Record:
    return Record(topics.LOGS_RAW, 3, 41, value, headers or {}, BUS_TIME)


def carried(message: Message) -> Record:
    return record(message.value, dict(message.headers))


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=60))
def test_lines_come_out_as_they_went_in(lines: list[bytes]) -> None:
    batch = rawbatch.decode(carried(rawbatch.message(ORIGIN, AT, lines)))
    assert list(batch.lines) == lines
    assert batch.origin == ORIGIN
    assert batch.received_at == AT


@given(st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=60))
def test_a_blob_comes_out_as_its_lines(lines: list[bytes]) -> None:
    batch = rawbatch.decode(carried(rawbatch.message_of_blob(ORIGIN, AT, b"\n".join(lines), len(lines))))
    assert list(batch.lines) == lines


def test_a_large_value_is_compressed_and_a_small_one_is_not() -> None:
    large = rawbatch.message_of_blob(ORIGIN, AT, b"\n".join([b"the same line"] * 1000), 1000)
    assert len(large.value) < 1000
    assert list(rawbatch.decode(carried(large)).lines) == [b"the same line"] * 1000
    assert rawbatch.message(ORIGIN, AT, [b"one"]).value == b"one"


def test_lines_of_one_source_share_a_key_whatever_their_flags() -> None:
    plain = replace(ORIGIN, flags=IntakeFlag.NONE, transport="udp", peer="")
    assert rawbatch.message(ORIGIN, AT, [b"a"]).key == rawbatch.message(plain, AT, [b"a"]).key
    assert rawbatch.message(replace(plain, source="fw-2"), AT, [b"a"]).key != rawbatch.message(plain, AT, [b"a"]).key


def test_a_bare_line_of_an_agencys_own_producer_is_a_batch_of_one() -> None:
    batch = rawbatch.decode(record(b"<13>hello"))
    assert list(batch.lines) == [b"<13>hello"]
    assert batch.origin == Origin(UNKNOWN_AGENCY, "", "kafka", flags=IntakeFlag.UNKNOWN_SOURCE)
    assert batch.received_at == BUS_TIME


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ({topics.H_FRAMING: "length"}, b"\0\0"),
        ({topics.H_FRAMING: "length"}, b"\0\0\0\x05four"),
        ({topics.H_COMPRESSION: "zstd"}, b"not zstd"),
        ({topics.H_COMPRESSION: "zstd"}, b""),
        ({topics.H_COMPRESSION: "zstd"}, zstandard.compress(b"cut short " * 99)[:-5]),
        ({topics.H_COMPRESSION: "zstd"}, zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 999)[:-1]),
        ({topics.H_COMPRESSION: "lz4"}, b"x"),
    ],
)
def test_a_value_that_is_not_what_its_headers_say(headers: dict[str, str], value: bytes) -> None:
    with pytest.raises(BadMessage, match=r"^logs\.raw/3/41: "):
        rawbatch.decode(record(value, headers))


def test_a_compressed_value_of_unknown_size_is_read() -> None:
    value = zstandard.ZstdCompressor(write_content_size=False).compress(b"one\ntwo")
    assert list(rawbatch.decode(record(value, {topics.H_COMPRESSION: "zstd"})).lines) == [b"one", b"two"]


@pytest.mark.parametrize("known", [True, False])
def test_a_value_that_would_grow_beyond_any_batch_is_refused(known: bool) -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=known).compressobj(size=(300 << 20) if known else -1)
    value = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(300)) + compressor.flush()
    with pytest.raises(BadMessage, match="larger than 256 MiB"):
        rawbatch.decode(record(value, {topics.H_COMPRESSION: "zstd"}))


@given(
    st.dictionaries(st.sampled_from(HEADERS), st.one_of(st.text(max_size=20), st.from_regex(r"[0-9]{1,40}", fullmatch=True))), st.binary()
)
def test_any_message_is_a_batch_or_a_bad_message(headers: dict[str, str], value: bytes) -> None:
    with contextlib.suppress(BadMessage):
        batch = rawbatch.decode(record(value, headers))
        assert batch.origin.agency
        assert batch.received_at.tzinfo is not None
        assert 0 <= batch.origin.flags < 1 << 32
