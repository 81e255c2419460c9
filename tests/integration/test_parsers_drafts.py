"""First drafts of parsers: from lines to a file that loads, compiles and reads those lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import FixedClock
from core.config import IntakeSettings
from core.engine import Engine, Session
from ingest import parser
from ingest.compile import Parser, ParserSet
from ingest.drafting.draft import draft, messages_of
from ingest.normalise import Normaliser
from ingest.parse_lines import parse_lines
from tests.parsing import NOW

PAIRS = [
    "<134>Mar  5 10:00:01 fw-01 acme: acme_id=77 ts=1772690398 src=10.0.0.5 sport=40000 dst=203.0.113.9 dport=443 proto=TCP "
    'disp=permit policy="web out" user=kim rx=100',
    "<134>Mar  5 10:00:02 fw-01 acme: acme_id=78 ts=1772690399 src=10.0.0.6 sport=40001 dst=203.0.113.9 dport=22 proto=17 "
    'disp=drop policy="ssh out" user=lee rx=0',
]
JSON = [
    '{"time":"2026-03-05T10:00:00+09:00","acmeEvent":"conn","src":{"ip":"10.0.0.5","port":40000},"dst":{"ip":"203.0.113.9","port":443},'
    '"proto":"tcp","action":"allowed","userName":"kim"}',
    '{"time":"2026-03-05T10:00:01+09:00","acmeEvent":"conn","src":{"ip":"10.0.0.6","port":40001},"dst":{"ip":"203.0.113.9","port":22},'
    '"proto":"udp","action":"blocked","userName":null,"deep":{"er":{"est":{"x":1}}}}',
]
DELIMITED = [
    "<13>Mar  5 10:00:01 gw DETECT|2026-03-05 10:00:01|10.0.0.5|40000|203.0.113.9|443|tcp|PASS|plain",
    "<13>Mar  5 10:00:02 gw DETECT|2026-03-05 10:00:02|10.0.0.6|40001|203.0.113.9|22|udp|BLOCK|SQL Injection",
]
TEXT = [
    "<13>Mar  5 10:00:01 gw acmed[12]: Login failed for user kim from 10.0.0.5 port 40000",
    "<13>Mar  5 10:00:02 gw acmed[12]: Connection 10.0.0.6:40001 -> 203.0.113.9:22 closed, it's 100% done",
]
POSITIONAL = [
    "2026-03-05 14:00:01;DOOR-3F;ENTRY;card=0001;name=김;result=OK;ip=10.0.0.5",
    "2026-03-05 14:00:31;DOOR-3F;EXIT;card=0002;name=이;result=DENIED;ip=10.0.0.6",
]
SENTENCES = [
    "<190>Mar  5 14:00:01 fw 1304(root) 44 Traffic@FLOW: SESSION: 10.0.0.5:40000->203.0.113.9:443(TCP), interface e0/1, vr trust, "
    "policy 12, user kim@local, host -, send packets 12, send bytes 1400",
    "<190>Mar  5 14:00:02 fw 1304(root) 45 Traffic@FLOW: SESSION: 10.0.0.6:40001->203.0.113.9:22(UDP), interface e0/1, vr trust, "
    "policy deny",
]
MINUTE = ["2026-03-05T05:00:01.000Z", "2026-03-05T05:00:31.000Z"]
FLOW = {
    "src_ip": ["10.0.0.5", "10.0.0.6"],
    "src_port": [40000, 40001],
    "dst_ip": ["203.0.113.9"] * 2,
    "dst_port": [443, 22],
    "proto": ["tcp", "udp"],
    "disposition": ["allow", "deny"],
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    session = engine.session()
    yield session
    session.close()


def read(engine: Engine, session: Session, folder: Path, lines: list[str]) -> list[dict[str, Any]]:
    """What a draft made from `lines` gives for them."""
    file = folder / "acme.yaml"
    file.write_text(draft("acme", "Acme", "on: call", messages_of(session, FixedClock(NOW), lines)), "utf-8")
    normaliser = Normaliser(engine, ParserSet([Parser(parser.load(file))]), IntakeSettings(), FixedClock(NOW))
    rows = list(parse_lines(normaliser, [line.encode() for line in lines]))
    normaliser.close()
    return rows


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (PAIRS, {**FLOW, "action": ["permit", "drop"], "rule": ["web out", "ssh out"], "user": ["kim", "lee"], "device": ["fw-01"] * 2}),
        (JSON, {**FLOW, "action": ["allowed", "blocked"], "user": ["kim", None], "event_time": ["2026-03-05T01:00:00.000Z", None]}),
        (DELIMITED, {**FLOW, "action": ["PASS", "BLOCK"], "device": ["gw", "gw"]}),
        (TEXT, {"src_ip": FLOW["src_ip"], "src_port": FLOW["src_port"], "user": ["kim", None], "dst_port": [None, 22]}),
        (
            POSITIONAL,
            {
                "src_ip": FLOW["src_ip"],
                "disposition": FLOW["disposition"],
                "event_time": ["2026-03-05T05:00:01.000Z", "2026-03-05T05:00:31.000Z"],
            },
        ),
        (SENTENCES, {name: FLOW[name] for name in ("src_ip", "src_port", "dst_ip", "dst_port", "proto")}),
    ],
    ids=["pairs", "json", "delimited", "text", "positional", "sentences"],
)
def test_a_draft_reads_the_lines_it_was_made_from(
    engine: Engine, session: Session, tmp_path: Path, lines: list[str], expected: dict[str, list[Any]]
) -> None:
    rows = read(engine, session, tmp_path, lines)
    assert [(row["parser"], row["product"]) for row in rows] == [("acme", "on: call")] * 2
    for column, values in expected.items():
        for row, value in zip(rows, values, strict=True):
            if value is not None or column != "event_time":
                assert row.get(column) == value, column


@pytest.mark.parametrize(
    "lines",
    [
        ["x"],
        ["", " "],
        ["key=value"],
        ['a\'b "c" {d} [e] (f) \\ %{g} #h: i'],
        ['{"a.b": 1, "": 2, "c": [1, 2], "d": {}}'],
        ["a=1 a=2 a=3 b= c=="],
        ["|||||||||"],
        ["가=나 다=라 마=바 사용자=김"],
    ],
)
def test_a_draft_of_anything_loads_and_compiles(session: Session, tmp_path: Path, lines: list[str]) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(draft("odd", "'", "yes", messages_of(session, FixedClock(NOW), lines)), "utf-8")
    Parser(parser.load(file)).prove(session)
    assert parser.load(file).product == "yes"
