"""A wrong parser file is refused with its line and the reason; a right one gives typed columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.config import IntakeSettings
from core.engine import Engine, Session
from core.errors import ConfigError, ParserError
from ingest import parser
from ingest.compile import Parser, ParserSet, Statement
from ingest.parser import Tier
from tests.parsing import evaluate

GOOD = """\
name: trial
version: 3
vendor: Maker
product: Box
recognise: position(line, 'trial') > 0
text: line
log_class: "'firewall'"
event_time: epoch(kv('at'))
columns:
  src_ip: word('src')
  bytes_src: word('sent')
  bytes: bytes_src + 1
  action: kv('act')
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    engine = Engine()
    session = engine.session()
    yield session
    session.close()
    engine.close()


def loaded(tmp_path: Path, text: str) -> Parser:
    file = tmp_path / "trial.yaml"
    file.write_text(text, encoding="utf-8")
    return Parser(parser.load(file))


def compiled(tmp_path: Path, session: Session, text: str) -> Statement:
    found = loaded(tmp_path, text)
    found.prove(session)
    return found.statement(session)


def test_a_definition_becomes_typed_columns(tmp_path: Path, session: Session) -> None:
    found = loaded(tmp_path, GOOD)
    assert (found.name, found.version, found.vendor, found.tier) == ("trial", 3, "Maker", Tier.PRODUCT)
    lines = ['trial src=10.0.0.1 sent=7 act="let it go" at=1772690398', "trial src=x sent=-1", "another src=10.0.0.1"]
    first, second, third = evaluate(session, found.statement(session).narrow, lines)
    assert first["_ok"] == 1
    assert first["src_ip"] == b"\0" * 10 + b"\xff\xff\x0a\0\0\x01"
    assert (first["bytes_src"], first["bytes"], first["action"], first["event_time"]) == (7, 8, "let it go", 1772690398000)
    assert (second["src_ip"], second["bytes_src"], second["bytes"], second["action"]) == (None, None, None, "")
    assert third["_ok"] == 0


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("  src_ip:", "  source:", 10, "no column 'source'"),
        ("  src_ip:", "  agency:", 10, "no column 'agency'"),
        ("version: 3", "version: none", 2, "version must be a whole number"),
        ("version: 3\n", "", 1, "has no 'version'"),
        ("name: trial", "name: other", 1, "the same as the file's"),
        ("vendor: Maker", "vendor: Maker\nvendor: Twice", 4, "stands here twice"),
        ("product: Box", "product: Box\ncolour: red", 5, "no such key: 'colour'"),
        ("word('src')", "word(src)", 10, "word in single quotes"),
        ("word('src')", "word('src'", 10, "bracket is not closed"),
        ("word('src')", "lookup('none', word('src'))", 10, "none"),
        ("word('src')", "nosuchfunction(line)", 10, "nosuchfunction"),
        ("word('src')", "group('x')", 10, "has no cases"),
        ("position(line, 'trial') > 0", "positon(line, 'trial') > 0", 5, "positon"),
        ("bytes_src + 1", "action + 1", 12, "plus"),
        ("epoch(kv('at'))", "toDate(", 8, "bracket|Syntax|syntax"),
        ("text: line", "text: lime", 6, "lime"),
        ("kv('act')", "arrayJoin(splitByChar(',', line))", 13, "more or fewer rows"),
        ("word('sent')", "count() OVER ()", 11, "more or fewer rows"),
        ("text: line", "text: text", 6, "refers to itself"),
        ("kv('act')", "bytes2 +", 13, "bytes2"),
        ("columns:", "cases: {of: line, items: [{match: '('}]}\ncolumns:", 9, "not a regular expression"),
        ("columns:", "cases: {of: line, items: [{match: '%{NO}'}]}\ncolumns:", 9, "no fragment 'NO'"),
        ("columns:", "with: {action: line}\ncolumns:", 9, "cannot be a name here"),
        ("version: 3", "version: 3\ntier: best", 3, "none of product, format, generic"),
        ("version: 3", "version: 3\nmaps: {m: {on: x}}", 3, "put quotes around it"),
        ("version: 3", "version: [3", 3, "is not YAML"),
        ("version: 3", "version: 3\nmaps: {disposition: {yes_: permit}}", 3, "'permit', which is none of allow, deny, alert"),
        ("\"'firewall'\"", "\"'fire'\"", 7, "log_class is 'fire', which is none of"),
        ("columns:", "cases: {of: line, items: [{match: x, set: {disposition: ok}}]}\ncolumns:", 9, "disposition is 'ok'"),
        ("columns:", "cases: {of: line, items: [{match: '(?P<src_up>x)'}]}\ncolumns:", 9, "'src_up' is no column .like it: src_ip"),
    ],
)
def test_a_wrong_definition_is_refused_with_its_line(tmp_path: Path, session: Session, old: str, new: str, line: int, reason: str) -> None:
    assert old in GOOD
    with pytest.raises(ParserError, match=reason) as caught:
        compiled(tmp_path, session, GOOD.replace(old, new, 1))
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{tmp_path / 'trial.yaml'}:{line}: ")


def test_a_macro_may_read_another_column(tmp_path: Path, session: Session) -> None:
    columns = """\
  severity: kv('sev')
  severity_id: graded(severity)
  user: known(object)
  object: kv('by')
  proto: proto(device)
  device: kv('p')"""
    found = compiled(tmp_path, session, GOOD.replace("  action: kv('act')", columns))
    rows = evaluate(session, found.narrow, ["trial sev=High by=- p=6", "trial sev=odd by=kim p=UDP"])
    assert [(row["severity_id"], row["user"], row["proto"]) for row in rows] == [(4, "", "tcp"), (None, "kim", "udp")]


def test_a_macro_reads_the_header_where_a_column_is_called_like_it(tmp_path: Path, session: Session) -> None:
    found = compiled(tmp_path, session, GOOD.replace("  action: kv('act')", "  proto: proto(app)\n  app: upper(app)"))
    rows = evaluate(session, found.narrow, ["Mar  5 15:00:00 fw-1 UDP: trial"])
    assert [(row["proto"], row["app"]) for row in rows] == [("udp", "UDP")]


def test_columns_that_refer_to_each_other_are_refused(tmp_path: Path, session: Session) -> None:
    with pytest.raises(ParserError):
        compiled(tmp_path, session, GOOD.replace("word('sent')", "bytes + 1"))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParserError, match="cannot be read"):
        parser.load(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    with pytest.raises(ParserError, match="cannot be read"):
        parser.load(tmp_path / "latin.yaml")


def test_products_are_asked_before_formats_before_what_is_generic() -> None:
    tiers = [one.tier for one in ParserSet.load().parsers]
    assert tiers == sorted(tiers)
    assert set(tiers) == set(Tier)


def test_cases_give_groups_and_constants(tmp_path: Path, session: Session) -> None:
    text = GOOD.replace("  action: kv('act')\n", "").replace(
        "columns:",
        "fragments: {A: '[0-9.]+'}\n"
        "cases:\n"
        "  of: line\n"
        "  items:\n"
        "    - {when: \"position(line, 'deny') > 0\", match: 'trial (?P<action>deny) (?P<dst_ip>%{A})', set: {disposition: deny}}\n"
        "    - {match: 'trial (?P<action>\\w+) for (?P<user>\\w+)'}\n"
        "columns:",
    )
    found = compiled(tmp_path, session, text)
    deny, other, neither = evaluate(session, found.narrow, ["trial deny 10.0.0.2", "trial login for kim", "trial"])
    assert (deny["action"], deny["disposition"], deny["user"]) == ("deny", "deny", "")
    assert str(deny["dst_ip"])[-6:]
    assert (other["action"], other["disposition"], other["user"], other["dst_ip"]) == ("login", "", "kim", None)
    assert (neither["action"], neither["user"]) == ("", "")


def test_loading_asks_the_engine_nothing_and_finds_what_is_wrong_in_shape(tmp_path: Path) -> None:
    (tmp_path / "trial.yaml").write_text(GOOD.replace("word('src')", "nosuchfunction(line)"), encoding="utf-8")
    assert [one.name for one in ParserSet.load(tmp_path).parsers] == ["trial"]
    (tmp_path / "trial.yaml").write_text(GOOD.replace("position(line, 'trial')", "position(kv(line, 'trial')"), encoding="utf-8")
    with pytest.raises(ParserError, match="recognise") as caught:
        ParserSet.load(tmp_path)
    assert caught.value.line == 5


def test_an_operators_own_parsers_stand_beside_ours_and_before_those_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "trial.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "secui.yaml").write_text(GOOD.replace("name: trial", "name: secui"), encoding="utf-8")
    engine = Engine()
    try:
        ours = ParserSet.open(engine, IntakeSettings())
        found = ParserSet.open(engine, IntakeSettings(parsers_folder=tmp_path))
    finally:
        engine.close()
    assert set(found.by_name) == {*ours.by_name, "trial"}
    assert (ours.by_name["secui"].vendor, found.by_name["secui"].vendor) == ("SECUI", "Maker")


def test_a_wrong_parser_of_the_operators_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "trial.yaml"
    file.write_text(GOOD.replace("word('src')", "nosuchfunction(line)"), encoding="utf-8")
    engine = Engine()
    try:
        with pytest.raises(ParserError, match="nosuchfunction") as caught:
            ParserSet.open(engine, IntakeSettings(parsers_folder=tmp_path))
        assert (caught.value.file, caught.value.line) == (str(file), 10)
        with pytest.raises(ConfigError, match="no folder"):
            ParserSet.open(engine, IntakeSettings(parsers_folder=tmp_path / "absent"))
    finally:
        engine.close()
