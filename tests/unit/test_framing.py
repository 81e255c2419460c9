"""Stream framing: any way to cut a stream into chunks gives the same lines, and memory stays bounded."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.framing import Framed, Framer, Framing, detect

LIMIT = 24


@dataclass
class Read:
    """All that came out of a stream."""

    lines: list[bytes] = field(default_factory=list)
    cut: list[bytes] = field(default_factory=list)
    empty: int = 0
    broken: str = ""

    def add(self, framed: Framed) -> None:
        assert not (framed.lines and framed.apart)
        if framed.lines:
            blob = framed.blob.split(b"\n")
            assert len(blob) == framed.lines
            self.lines += blob
        self.lines += framed.apart
        self.cut += framed.cut
        self.empty += framed.empty


def read(chunks: list[bytes], limit: int = LIMIT, framing: Framing | None = None) -> Read:
    framer, result = Framer(limit, framing), Read()
    for chunk in chunks:
        result.add(framer.feed(chunk))
    result.add(framer.end())
    result.broken = framer.broken
    return result


def chunked(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    return [stream[a:b] for a, b in pairwise(places)]


cuts = st.lists(st.integers(0, 10_000), max_size=12)
text = st.binary(max_size=60).map(lambda b: b.translate(None, b"\n\r\0"))
pieces = st.sampled_from([b"\n", b"\0", b"\r", b"\r\n", b"<13>", b"5 hello", b"3 <a>", b"12 ", b"1", b" ", b"x" * 9, b"abc", b"\xb0\xa1"])
streams = st.lists(pieces, max_size=40).map(b"".join)


@given(streams, cuts)
@settings(max_examples=600)
@example(b"5 hello\n12", [3])
@example(b"x" * 24 + b"\r\n", [25])
@example(b"x" * 24 + b"\r\r\n", [25])
@example(b"abc\0", [4])
def test_chunking_changes_nothing(stream: bytes, at: list[int]) -> None:
    whole = read([stream])
    assert read(chunked(stream, at)) == whole
    assert read([stream[i : i + 1] for i in range(len(stream))]) == whole


@given(st.lists(text, min_size=1, max_size=20), st.sampled_from([b"\n", b"\r\n"]), st.booleans(), cuts)
def test_lines_ended_by_lf(lines: list[bytes], end: bytes, last_ended: bool, at: list[int]) -> None:
    lines[0] = b"<13>" + lines[0]
    stream = end.join(lines) + (end if last_ended else b"")
    result = read(chunked(stream, at))
    assert result.lines == [line for line in lines if 0 < len(line) <= LIMIT]
    assert result.cut == [line[:LIMIT] for line in lines if len(line) > LIMIT]
    ended = lines if last_ended else lines[:-1]
    assert result.empty == sum(not line for line in ended)
    assert not result.broken


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=20), cuts)
def test_counted_frames(lines: list[bytes], at: list[int]) -> None:
    lines = [b"<13>" + line.rstrip(b"\r\n\0") for line in lines]
    stream = b"".join(b"%d %s" % (len(line), line) for line in lines)
    result = read(chunked(stream, at))
    assert result.lines == [line for line in lines if len(line) <= LIMIT]
    assert result.cut == [line[:LIMIT] for line in lines if len(line) > LIMIT]
    assert not result.broken


@given(st.lists(text, min_size=1, max_size=10), cuts)
@example([b"x" * 22], [])
def test_messages_ended_by_nul(lines: list[bytes], at: list[int]) -> None:
    lines = [b"<13>" + line for line in lines] + [b"<14>last"]
    result = read(chunked(b"".join(line + b"\0" for line in lines), at))
    assert result.lines == [line for line in lines if len(line) <= LIMIT]
    assert result.cut == [line[:LIMIT] for line in lines if len(line) > LIMIT]


def test_an_lf_inside_a_counted_frame_is_kept() -> None:
    assert read([b"12 <1>two\nlines5 <1>xy"]).lines == [b"<1>two\nlines", b"<1>xy"]


@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"\0"])
def test_line_ends_in_and_between_counted_frames_are_passed_over(between: bytes) -> None:
    inside = b"5 <1>ab" + between + b"%d <1>cd" % (5 + len(between)) + between
    assert read([inside, b"5 <1>ef"]) == Read(lines=[b"<1>ab", b"<1>cd", b"<1>ef"])


@pytest.mark.parametrize(
    ("stream", "framing"),
    [
        (b"<13>x\n", Framing.LF),
        (b"11 <13>hello w", Framing.COUNTED),
        (b"5 hello7 another", Framing.COUNTED),
        (b"2014-09-30 20:14:50 INFO 108 SENSOR\n", Framing.LF),
        (b"2023 May  1 22:58:09 switch: up\n" + b"x" * 3000, Framing.LF),
        (b"2 123456789010 eni-1 192.0.2.1\n", Framing.LF),
        (b"0 3 HOST-IN 20/Jun/2022\n", Framing.LF),
        (b"<13>nul\0<13>", Framing.NUL),
        (b"<13>nul\0\0inside\n", Framing.LF),
        (b"\n<13>x", Framing.LF),
        (b"", None),
        (b"12", None),
        (b"12 ", None),
        (b"5 hello", None),
        (b"<13>not yet", None),
        (b"<13>perhaps nul\0", None),
    ],
)
def test_framing_is_found_from_the_first_bytes(stream: bytes, framing: Framing | None) -> None:
    assert detect(stream, 65536) is framing


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"5 hello", [b"hello"]),
        (b"5 hello\n", [b"hello"]),
        (b"500 miles\n", [b"500 miles"]),
        (b"500", [b"500"]),
        (b"<13>one\0", [b"<13>one"]),
        (b"<13>one", [b"<13>one"]),
    ],
)
def test_a_stream_that_ends_before_its_framing_is_clear(stream: bytes, lines: list[bytes]) -> None:
    assert read([stream], 65536).lines == lines


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"5 <1>ab<1>no count\n", "does not begin with its length"),
        (b"5 <1>ab05 <1>cd", "does not begin with its length"),
        (b"5 <1>ab99999999 x", "99999999 bytes long"),
        (b"5 <1>ab123456789 x", "does not begin with its length"),
        (b"5 <1>ab9 <1>c", "ended inside a frame"),
        (b"5 <1>ab12", "ended inside a frame"),
    ],
)
def test_a_broken_count_keeps_what_was_whole(stream: bytes, reason: str) -> None:
    result = read([stream], 4096)
    assert result.lines == [b"<1>ab"]
    assert reason in result.broken


def test_nothing_is_taken_after_a_broken_count() -> None:
    framer = Framer(LIMIT)
    framer.feed(b"5 <1>ab!")
    assert framer.broken
    assert framer.feed(b"5 <1>cd").taken == 0
    assert framer.end().taken == 0


def test_a_frame_that_broke_off_is_kept_as_cut() -> None:
    result = read([b"5 <1>ab9 <1>", b"cd"])
    assert (result.lines, result.cut) == ([b"<1>ab"], [b"<1>cd"])


def test_a_fixed_framing_is_not_detected() -> None:
    assert read([b"5 <1>ab\n5 <1>cd"], framing=Framing.LF).lines == [b"5 <1>ab", b"5 <1>cd"]


@pytest.mark.parametrize("head", [b"<13>", b"60000 <13>", b"<13>\0<13>", b"\0" * 9])
def test_memory_is_bounded_whatever_is_sent(head: bytes) -> None:
    framer = Framer(65536)
    framer.feed(head)
    chunk = b"x" * 65536
    tracemalloc.start()
    taken = sum(framer.feed(chunk).taken for _ in range(256))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken <= 2
    assert peak < 1 << 20
