"""The macros against what they promise, many of them by properties over invented text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine import Engine, Session
from ingest.parser import Definition
from ingest.scope import Scope
from ingest.sql import quote, unquote
from ingest.statement import select
from tests.parsing import NOW, evaluate


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    engine = Engine()
    session = engine.session()
    yield session
    session.close()
    engine.close()


def definition(**changes: object) -> Definition:
    base: dict[str, object] = {"text": "line", **changes}
    return Definition(Path("trial.yaml"), "trial", 1, "v", "p", "1", "''", {}, **base)  # type: ignore[arg-type]


def values(
    session: Session,
    expression: str,
    lines: list[str],
    *,
    window: int = 256,
    at: datetime = NOW,
    zone: str = "Asia/Seoul",
    **changes: object,
) -> list[object]:
    """What `expression` gives for each line."""
    scope = Scope(definition(**changes))
    sql = scope.expand(expression, window)
    return [row["x"] for row in evaluate(session, select(scope.aliases, {"x": sql}), lines, at, zone)]


KEYS = st.sampled_from(["src", "dst", "action", "user_name", "a.b"])
BARE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\"'=\\"), min_size=1, max_size=12)
QUOTED = st.text(st.characters(exclude_characters='"\\\0', exclude_categories=("Cs", "Cc")), max_size=12)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.dictionaries(KEYS, st.tuples(st.booleans(), BARE, QUOTED)), min_size=1, max_size=8))
def test_kv_finds_every_value_and_nothing_for_keys_that_are_not_there(
    session: Session, rows: list[dict[str, tuple[bool, str, str]]]
) -> None:
    lines = [" ".join(f'{key}="{inside}"' if quoted else f"{key}={bare}" for key, (quoted, bare, inside) in row.items()) for row in rows]
    wanted = [row["user_name"][2] if row["user_name"][0] else row["user_name"][1] for row in rows if "user_name" in row]
    present = [f"x={number} {line}" for number, (row, line) in enumerate(zip(rows, lines, strict=True)) if "user_name" in row]
    for window in (256, 8192):
        if present and not any(" user_name=" in inside for row in rows for _, _, inside in row.values()):
            assert values(session, "kv('user_name')", present, window=window) == wanted
    assert values(session, "concat(kv('zz'), word('zz'), quoted('zz'), spaced('zz'))", lines) == [""] * len(lines)


@pytest.mark.parametrize(
    ("scale", "grades"),
    [
        ("", {"Critical": 5, "HIGH": 4, "warning": 3, "notice": 2, "information": 1, "emerg": 6, "7": None, "strange": None, "": None}),
        (", 'syslog'", {"0": 6, "2": 5, "3": 4, "4": 3, "5": 2, "6": 1, "7": 1, "8": None, "error": 4}),
        (", 'ten'", {"0": 1, "3": 2, "4": 3, "8": 4, "10": 5, "11": None, "Low": 2}),
        (", 'priority'", {"1": 4, "2": 3, "3": 2, "4": 1, "5": None}),
    ],
)
def test_severities_come_to_one_scale(session: Session, scale: str, grades: dict[str, int | None]) -> None:
    assert values(session, f"graded(line{scale})", list(grades)) == list(grades.values())


def test_kv_reads_escaped_quotes_in_long_values(session: Session) -> None:
    line = r'a=1 msg="he said \"no\" and left" b=2'
    assert values(session, "kv('msg')", [line], window=8192) == ['he said "no" and left']


def test_kv_takes_the_first_key_that_has_a_value(session: Session) -> None:
    assert values(session, "kv('a', 'b', 'c')", ["b=2 c=3", 'a="" c=3', "a=1 b=2"]) == ["2", "3", "1"]


def test_spaced_values_run_to_the_next_key(session: Session) -> None:
    line = 'start="2026-03-05 14:00" rule=Local Out src=10.0.0.1 reason=Denied by Rule'
    assert values(session, "spaced('rule')", [line]) == ["Local Out"]
    assert values(session, "spaced('reason')", [line]) == ["Denied by Rule"]
    assert values(session, "spaced('start')", [line]) == ["2026-03-05 14:00"]


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\0\r\n\x1f", exclude_categories=("Cs",)), max_size=8), min_size=3, max_size=5),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([",", "|", "`", "\t"]),
)
def test_csv_fields_are_those_a_csv_writer_wrote(session: Session, rows: list[list[str]], delimiter: str) -> None:
    lines = []
    for row in rows:
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator="", quoting=csv.QUOTE_ALL).writerow(row)
        lines.append(out.getvalue())
    for place in range(3):
        assert values(session, f"csv({place + 1})", lines, window=8192, delimiter=delimiter) == [row[place] for row in rows]


def test_csv_reads_fields_without_quotes_and_with_some(session: Session) -> None:
    line = '1,,"a ""b"", c",z'
    assert [values(session, f"csv({n})", [line], window=8192)[0] for n in (1, 2, 3, 4, 5)] == ["1", "", 'a "b", c', "z", ""]


def test_json_reads_paths_of_any_kind_of_value(session: Session) -> None:
    document = json.dumps({"a": {"b": "x", "n": 7, "t": True, "none": None}, "list": [{"k": "first"}, {"k": "second"}], "top": 1.5})
    for path, wanted in {
        "a.b": "x",
        "a.n": "7",
        "a.t": "true",
        "a.none": "",
        "a.absent": "",
        "list.1.k": "second",
        "list.9.k": "",
        "top": "1.5",
    }.items():
        assert values(session, f"json('{path}')", [document, "{broken"]) == [wanted, ""], path


def test_json_refuses_a_path_through_a_value(session: Session) -> None:
    with pytest.raises(ValueError, match="path"):
        values(session, "concat(json('a'), json('a.b'))", ["{}"])


def test_cef_header_and_extension(session: Session) -> None:
    line = r"<1>host CEF:0|Ma\|ker|Pro\\duct|1|id|na me|5|src=10.0.0.1 msg=a\=b c\\d and more act=not blocked"
    got = {
        what: values(session, f"cef({what})", [line], window=8192)[0] for what in ("1", "2", "5", "6", "'msg'", "'act'", "'src'", "'zz'")
    }
    assert got == {
        "1": "Ma|ker",
        "2": "Pro\\duct",
        "5": "na me",
        "6": "5",
        "'msg'": "a=b c\\d and more",
        "'act'": "not blocked",
        "'src'": "10.0.0.1",
        "'zz'": "",
    }


CEF_FIELDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=10).map(str.strip)
CEF_VALUES = st.lists(st.text(st.sampled_from("ab|\\=:/,"), min_size=1, max_size=8), min_size=1, max_size=3).map(" ".join)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(CEF_FIELDS, CEF_VALUES, CEF_VALUES, st.sampled_from(["", " ", "  "])), min_size=1, max_size=20))
def test_cef_gives_back_what_was_escaped(session: Session, rows: list[tuple[str, str, str, str]]) -> None:
    def header(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|")

    def value(text: str) -> str:
        return text.replace("\\", "\\\\").replace("=", "\\=")

    lines = [f"CEF:0|{header(name)}|p|1|id|n|5|{gap}msg={value(one)} {gap}act={value(two)}{gap}" for name, one, two, gap in rows]
    assert values(session, "cef(1)", lines, window=8192) == [name for name, *_ in rows]
    assert values(session, "cef('msg')", lines, window=8192) == [one for _, one, _, _ in rows]
    assert values(session, "cef('zz', 'act')", lines, window=8192) == [two for _, _, two, _ in rows]


def test_cef_of_a_header_that_is_not_whole_is_empty(session: Session) -> None:
    cut = ["CEF:0|Maker|Product|1|id|name", r"CEF:0|Ma\|ker|Product|1|id|name", "CEF:0|", "CEF:"]
    assert values(session, "concat(cef(1), cef(6), cef('act'))", cut, window=8192) == [""] * len(cut)
    assert values(session, "concat(cef(5), cef(6))", ["CEF:0|M|P|1|id|name|7"], window=8192) == ["name7"]


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@settings(max_examples=10, deadline=None)
@given(st.lists(ADDRESSES, min_size=1, max_size=20))
def test_ip_reads_every_address_plain_bracketed_and_with_a_port(session: Session, addresses: list[IPv4Address | IPv6Address]) -> None:
    wanted = [a.packed if a.version == 6 else b"\0" * 10 + b"\xff\xff" + a.packed for a in addresses]
    plain = [str(a) for a in addresses]
    assert values(session, "ip(line)", plain) == wanted
    assert values(session, "ip(line)", [f"[{a}]" if ip_address(a).version == 6 else f"{a}:443" for a in plain]) == wanted
    assert values(session, "ip(line)", [f"[{a}]:443" if ip_address(a).version == 6 else f"{a}/443" for a in plain]) == wanted


def test_ip_is_null_for_garbage(session: Session) -> None:
    garbage = ["", "-", "10.0.0", "10.0.0.256", "host.example", "1.2.3.4.5", "::g", "10.0.0.1 "]
    assert values(session, "ip(line)", garbage) == [None] * len(garbage)
    assert values(session, "ip(line)", ["fe80::1%eth0"]) == [ip_address("fe80::1").packed]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("6", "tcp"),
        ("TCP", "tcp"),
        ("17", "udp"),
        ("58", "ipv6-icmp"),
        ("ICMPv6", "ipv6-icmp"),
        ("icmp6", "ipv6-icmp"),
        ("47", "gre"),
        ("", ""),
        ("253", "253"),
    ],
)
def test_proto_numbers_and_names_agree(session: Session, written: str, wanted: str) -> None:
    assert values(session, "proto(line)", [written]) == [wanted]


def test_numbers_and_ports_are_null_out_of_range(session: Session) -> None:
    assert values(session, "port(line)", ["443", "0", "65535", "65536", "-1", "", "x"]) == [443, 0, 65535, None, None, None, None]
    assert values(session, "num(line)", ["18446744073709551615", "1e3", ""]) == [18446744073709551615, None, None]


def test_epoch_tells_the_unit_by_the_size(session: Session) -> None:
    lines = ["1772690398", "1772690398123", "1772690398123456", "1772690398123456789", "1772690398.5", "0", "x", ""]
    assert values(session, "epoch(line)", lines) == [
        1772690398000,
        1772690398123,
        1772690398123,
        1772690398123,
        1772690398000,
        None,
        None,
        None,
    ]


def millis(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]


def test_stamp_uses_the_written_zone_then_the_given_then_the_sources(session: Session) -> None:
    assert values(session, "stamp(line)", ["2026-03-05T14:00:00+09:00", "2026-03-05 14:00:00", "2026/03/05 14:00:00", "never"]) == [
        millis(2026, 3, 5, 5),
        millis(2026, 3, 5, 5),
        millis(2026, 3, 5, 5),
        None,
    ]
    assert values(session, "stamp(line, 'UTC')", ["2026-03-05 14:00:00"]) == [millis(2026, 3, 5, 14)]
    assert values(session, "stamp(line)", ["2026-07-05 14:00:00"], zone="America/New_York") == [millis(2026, 7, 5, 18)]


HEADERS = [
    # line, host, app, body
    ("<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "mymachine", "su", "'su root' failed"),
    ("<13>1 2026-03-05T14:00:00.003Z host.example app 8710 - - body", "host.example", "app", "body"),
    ('<13>1 2026-03-05T14:00:00Z - - - - [x@1 a="]" b="\\""][y] body here', "", "", "body here"),
    ("<13>1 2026-03-05T14:00:00Z h a p m - \ufeffbody", "h", "a", "body"),
    ("<189>date=2026-03-05 time=1", "", "", "date=2026-03-05 time=1"),
    ("no header at all", "", "", "no header at all"),
    ("Mar  5 14:00:00 fw-1 kernel: [1.5] IN=eth0", "fw-1", "kernel", "[1.5] IN=eth0"),
    ("Mar 05 2026 14:00:00 asa-1 : %ASA-6-302013: Built", "asa-1", "", "%ASA-6-302013: Built"),
    ("Mar  5 14:00:00 dev01: %ASA-6-302013: Built", "dev01", "", "%ASA-6-302013: Built"),
    ("Mar 05 2026 14:00:00: %ASA-4-722037: Group", "", "", "%ASA-4-722037: Group"),
    ("<166>2026-03-05T14:00:00Z ftd-1  %FTD-1-430003: A: b", "ftd-1", "", "%FTD-1-430003: A: b"),
    ("<13>Mar  5 14:00:00 1,2026/03/05 14:00:00,x", "", "", "1,2026/03/05 14:00:00,x"),
    ("<13>Mar  5 14:00:00 suricata[811]: {}", "", "suricata", "{}"),
    ("<134>Mar  5 14:00:01 relay <189>Mar  5 14:00:00 fw-9 prog[1]: body", "fw-9", "prog", "body"),
    ("<134>Mar  5 14:00:01 relay Mar  5 14:00:00 fw-9 body text", "fw-9", "", "body text"),
    ("<134>1 2026-03-05T14:00:01Z relay - - - - <13>1 2026-03-05T14:00:00Z fw-8 app - - - body", "fw-8", "app", "body"),
    ("<134>Mar  5 14:00:01 relay <189>date=2026", "relay", "", "date=2026"),
    ("<134>Mar  5 14:00:01 relay 1 2026-03-05T14:00:00Z fw-7 app 1 - - body", "fw-7", "app", "body"),
    ('<134>Mar  5 14:00:01 relay <13>1 2026-03-05T14:00:00Z fw-7 app 1 - [x@1 a="b"] body', "fw-7", "app", "body"),
    ("<134>1 2026-03-05T14:00:01Z relay - - - - <13>Mar  5 14:00:00 fw-6 app[2]: body", "fw-6", "app", "body"),
    ("<134>1 2026-03-05T14:00:01Z relay fwd - - - Mar  5 14:00:00 fw-6 app[2]: body", "fw-6", "app", "body"),
    ("<1>Mar  5 14:00:02 far <2>Mar  5 14:00:01 near <3>Mar  5 14:00:00 fw-5 app: body", "fw-5", "app", "body"),
    ("<1>1 2026-03-05T14:00:02Z far - - - - <2>Mar  5 14:00:01 near 2026-03-05T14:00:00+09:00 fw-5 app: body", "fw-5", "app", "body"),
    ("<1>Mar  5 14:00:02 far <2>Mar  5 14:00:01 near <3>date=2026", "near", "", "date=2026"),
    ("<1>Mar  5 14:00:02 far <3>1 2026-03-05T14:00:00Z - app - - - body", "far", "app", "body"),
    ("<1><13>Mar  5 14:00:00 fw-4 app: body", "fw-4", "app", "body"),
    ("<1>Mar  5 14:00:02 fw-4 last message repeated 3 times", "fw-4", "", "last message repeated 3 times"),
    ("<1>Mar  5 14:00:02 fw-4 app[7]: message repeated 3 times: [ body]", "fw-4", "app", "message repeated 3 times: [ body]"),
    ("<1>Mar  5 14:00:02 KST fw-4 app: body", "fw-4", "app", "body"),
    ("<1>Mar  5 14:00:02 FIRE app: body", "FIRE", "app", "body"),
    ("<13>", "", "", ""),
    ("<13", "", "", "<13"),
    ("<999999>x", "", "", "<999999>x"),
]


@pytest.mark.parametrize(("line", "host", "app", "body"), HEADERS)
def test_syslog_headers(session: Session, line: str, host: str, app: str, body: str) -> None:
    assert [values(session, word, [line])[0] for word in ("host", "app", "body")] == [host, app, body]


def test_priority_and_severity(session: Session) -> None:
    lines = ["<0>x", "<191>x", "<13>1 2026-03-05T14:00:00Z h a p m - x", "none"]
    assert values(session, "pri", lines) == [0, 191, 13, None]
    assert values(session, "syslog_severity", lines) == [0, 7, 5, None]


@pytest.mark.parametrize(
    ("line", "received", "wanted"),
    [
        ("<1>Dec 31 23:59:59 h x: y", datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC), millis(2025, 12, 31, 14, 59, 59)),
        ("<1>Jan  1 00:00:05 h x: y", datetime(2025, 12, 31, 14, 59, 50, tzinfo=UTC), millis(2025, 12, 31, 15, 0, 5)),
        ("<1>Jan  1 00:00:05 h x: y", datetime(2025, 12, 30, 14, 59, 50, tzinfo=UTC), millis(2025, 12, 31, 15, 0, 5)),
        ("<1>Mar  5 14:00:00 h x: y", NOW, millis(2026, 3, 5, 5)),
        ("<1>Mar  5 10:00:00 h x: y", datetime(2026, 11, 21, tzinfo=UTC), millis(2026, 3, 5, 1)),
        ("<1>Mar  7 10:00:00 h x: y", datetime(2026, 3, 1, tzinfo=UTC), millis(2026, 3, 7, 1)),
        ("<1>Mar 20 10:00:00 h x: y", datetime(2026, 3, 1, tzinfo=UTC), millis(2025, 3, 20, 1)),
        ("<1>Feb 29 12:00:00 h x: y", datetime(2024, 3, 1, tzinfo=UTC), millis(2024, 2, 29, 3)),
        ("<1>Feb 29 12:00:00 h x: y", datetime(2025, 1, 10, tzinfo=UTC), millis(2024, 2, 29, 3)),
        ("<1>Mar 05 2021 14:00:00 h x: y", NOW, millis(2021, 3, 5, 5)),
        ("<1>Mar  5 14:00:00.250 h x: y", NOW, millis(2026, 3, 5, 5) + 250),
        ("<1>2026-03-05T14:00:00+09:00 h x: y", NOW, millis(2026, 3, 5, 5)),
        ("<1>1 2026-03-05T05:00:00.123456Z h a - - - y", NOW, millis(2026, 3, 5, 5) + 123),
        ("<1>Mar  5 05:00:00 UTC h x: y", NOW, millis(2026, 3, 5, 5)),
        ("<1>Mar  5 05:00:00.250 UTC: %SYS-5-X: y", NOW, millis(2026, 3, 5, 5) + 250),
        ("<1>Mar 05 2026 00:00:00 EST: %ASA-6-302013: y", NOW, millis(2026, 3, 5, 5)),
        ("<1>Mar  5 14:00:00 CST h x: y", NOW, millis(2026, 3, 5, 5)),
        ("<1>Mar  5 05:00:00 +00:00 h x: y", NOW, millis(2026, 3, 5, 5)),
        ("<1>Mar  5 15:30:00 relay <2>Mar  5 14:00:00 h x: y", NOW, millis(2026, 3, 5, 5)),
        ("<1>1 2026-03-05T06:00:00Z relay - - - - <2>Mar  5 14:00:00 h x: y", NOW, millis(2026, 3, 5, 5)),
        ("<1>Dec 31 23:59:59 UTC h x: y", datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC), millis(2025, 12, 31, 23, 59, 59)),
        ("<1>Jan  1 00:00:05 UTC h x: y", datetime(2025, 12, 31, 23, 59, 50, tzinfo=UTC), millis(2026, 1, 1, 0, 0, 5)),
        ("<1>Feb 29 12:00:00 h x: y", datetime(2028, 2, 29, 2, tzinfo=UTC), millis(2028, 2, 29, 3)),
        ("<1>Foo 99 99:99:99 h x: y", NOW, None),
        ("<1>1 - h a - - - y", NOW, None),
        ("no time", NOW, None),
    ],
)
def test_header_times(session: Session, line: str, received: datetime, wanted: int | None) -> None:
    assert values(session, "header_time", [line], at=received) == [wanted]


@pytest.mark.parametrize(
    ("date", "at", "zone", "told"),
    [
        ("Dec 31 23:59:59", datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC), "", millis(2025, 12, 31, 14, 59, 59)),
        ("Jan  1 00:00:01", datetime(2025, 12, 31, 23, 59, tzinfo=UTC), ", 'UTC'", millis(2026, 1, 1, 0, 0, 1)),
        ("Mar  5 10:00:00", datetime(2026, 11, 21, tzinfo=UTC), "", millis(2026, 3, 5, 1)),
        ("Feb 29 12:00:00", datetime(2027, 3, 1, tzinfo=UTC), "", millis(2024, 2, 29, 3)),
        ("not a time", datetime(2027, 3, 1, tzinfo=UTC), "", None),
    ],
)
def test_a_date_without_a_year_is_of_the_latest_that_fits(session: Session, date: str, at: datetime, zone: str, told: int | None) -> None:
    assert values(session, f"yearless(line{zone})", [date], at=at) == [told]


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_quote_and_unquote_are_inverse(text: str) -> None:
    assert unquote(quote(text)) == text


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40), min_size=1, max_size=20))
def test_no_text_breaks_a_header_or_a_macro(session: Session, lines: list[str]) -> None:
    texts = "host, app, body, kv('a'), spaced('b'), csv(2), cef('c'), cef(1), json('d.e')"
    expression = f"concat({texts}, toString(header_time IS NULL), toString(isNull(ip(word('f')))))"
    assert len(values(session, expression, lines)) == len(lines)
