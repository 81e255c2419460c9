"""Records of access to video: the same record in each writing gives the same event, and the mapping the docs show works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import parser
from ingest.compile import Parser, ParserSet
from ingest.normalise import Normaliser
from ingest.parse_lines import parse_lines
from tests.parsing import opened

DOC = (Path(__file__).parents[2] / "docs" / "video-access.md").read_text("utf-8")
KEYS = ("time", "user", "ip", "action", "camera", "from", "to", "result", "reason", "approval", "file", "server")

words = st.text("abcxyz가나다홍길동0159_.", min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=3).map(" ".join)


@pytest.fixture(scope="module")
def normaliser() -> Iterator[Normaliser]:
    ours = Parser(parser.load(parser.FOLDER / "video_access.yaml"))
    with opened(ParserSet([ours])) as normaliser:
        yield normaliser


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOC, re.DOTALL | re.MULTILINE)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.tuples(words, texts, texts, texts, words, words), st.sampled_from(("ok", "성공", "denied", "거부")), st.booleans())
def test_three_writings_of_a_record_are_one_event(normaliser: Normaliser, given_texts: tuple[str, ...], result: str, quoted: bool) -> None:
    user, action, camera, reason, approval, file = given_texts
    values = ("2026-03-05 14:00:00", user, "10.8.0.5", action, camera, "13:00", "13:10", result, reason, approval, file, "vms-1")
    mark = '"' if quoted else ""
    pairs = "VMS " + " ".join(f"{key}={mark}{value}{mark}" for key, value in zip(KEYS, values, strict=True))
    comma = "VMS," + ",".join(f"{mark}{value}{mark}" if number else value for number, value in enumerate(values))
    document = json.dumps({"log": "video_access", **dict(zip(KEYS, values, strict=True))})
    first, *others = parse_lines(normaliser, [line.encode() for line in (pairs, comma, document)])
    assert others == [first, first]
    assert (first["user"], first["action"], first["object"], first["category"]) == (user, action, camera, reason)
    assert (first["rule"], first["file_name"], first["device"]) == (approval, file, "vms-1")
    assert first["disposition"] == ("allow" if result in ("ok", "성공") else "deny")
    assert (first["log_class"], first["src_ip"], first["event_time"]) == ("video", "10.8.0.5", "2026-03-05T05:00:00.000Z")


def test_records_the_docs_show_are_read_as_they_say(normaliser: Normaliser) -> None:
    lines = blocks("")[0].splitlines()
    rows = list(parse_lines(normaliser, [line.encode() for line in lines]))
    assert len(rows) == 3
    for row in rows:
        assert (row["user"], row["event_code"], row["object"], row["disposition"]) == ("kim", "export", "정문 1번", "allow")


def test_the_mapping_the_docs_show_works(tmp_path: Path) -> None:
    (file := tmp_path / "city_vms.yaml").write_text(blocks("yaml")[0], "utf-8")
    line = "<134>Mar  5 14:00:00 vms-9 cityvms: " + blocks("")[1].strip()
    with opened(ParserSet([Parser(parser.load(file))])) as normaliser:
        for encoding in ("utf-8", "cp949"):
            (row,) = parse_lines(normaliser, [line.encode(encoding)])
            assert (row["parser"], row["log_class"], row["device"]) == ("city_vms", "video", "vms-9")
            assert (row["user"], row["src_ip"], row["action"], row["event_code"]) == ("kim", "10.8.0.5", "영상반출", "export")
            assert (row["object"], row["disposition"], row["category"]) == ("정문 1번", "allow", "수사협조")
