"""A search made a rule: on the engine the rule finds exactly the events the search finds, or the search is refused with its place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.engine import Engine
from core.errors import Invalid
from core.events import EVENTS
from core.storage.embedded import EmbeddedStore
from core.storage.event_search import Wanted, page
from core.storage.search_language import parse
from detect import rules
from detect.compiled import compile_rule
from detect.fields import EventFields
from detect.logsources import route
from detect.search_rule import rule_text
from tests.rows import NOON, ipv4, rows

DAY = date(2026, 3, 2)
TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "a*b",
    "a?b",
    "a\\b",
    "50%",
    "a_b",
    "관리자",
    "가a나",
    "'q\"",
    "null",
    "10",
    " a ",
    "a\nb",
    "-x",
    "true",
    "é",
    "aaB",
)
NUMBERS = (None, 0, 1, 22, 1023, 1024, 65535)
BIG = (None, 0, 1, 2**53 + 1, 2**64 - 1)
ADDRESSES = (
    None,
    ipv4(0, 0, 0, 0),
    ipv4(10, 0, 0, 1),
    ipv4(10, 0, 1, 255),
    ipv4(255, 255, 255, 255),
    bytes(16),
    bytes(15) + b"\x01",
    bytes(10) + b"\xff\xfe" + bytes(4),
    bytes.fromhex("20010db8000000000000000000000005"),
    b"\xff" * 16,
)
COUNT = 200


class Ground:
    """A store with events of every sort, and both ways of asking it."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.engine = Engine(folder)
        self.store = EmbeddedStore(self.engine)
        self.runner.run(self._fill())

    async def _fill(self) -> None:
        await self.store.start()
        await self.store.migrate()
        columns: dict[str, list[Any]] = {
            "user": [TEXTS[n % len(TEXTS)] for n in range(COUNT)],
            "raw": [TEXTS[(n * 7 + n // len(TEXTS)) % len(TEXTS)] for n in range(COUNT)],
            "action": [TEXTS[(n * 3 + n // 9) % len(TEXTS)] for n in range(COUNT)],
            "agency": [("gangnam", "Gangnam", "마포")[n % 3] for n in range(COUNT)],
            "dst_port": [NUMBERS[(n * 5 + n // 7) % len(NUMBERS)] for n in range(COUNT)],
            "bytes": [BIG[(n * 3 + n // 5) % len(BIG)] for n in range(COUNT)],
            "parser_version": [(0, 1, 2)[(n // 2) % 3] for n in range(COUNT)],
            "src_ip": [ADDRESSES[(n * 3 + n // 10) % len(ADDRESSES)] for n in range(COUNT)],
            "log_class": [("firewall", "web", "dns")[(n // 3) % 3] for n in range(COUNT)],
        }
        await self.store.insert("events", rows(COUNT, **columns), "t")

    def searched(self, search: str) -> set[int]:
        wanted = Wanted(NOON - timedelta(hours=1), NOON + timedelta(hours=1), None, parse(search))
        found = self.runner.run(page(self.store, wanted, 1000))
        return {int(row["event_id"].rsplit("-", 1)[1]) for row in found.rows}

    def ruled(self, text: str) -> set[int]:
        book = rules.parse(text, "rule.yml")
        assert not book.set_aside, book.set_aside
        (rule,) = book.rules
        classes = ", ".join(f"'{word}'" for word in route(rule.logsource).classes)
        condition = compile_rule(rule, EventFields()).sql
        found = self.runner.run(self.store.query(f"SELECT raw_line FROM events WHERE log_class IN ({classes}) AND {condition}"))
        return set(found["raw_line"].to_pylist())

    def close(self) -> None:
        self.runner.run(self.store.close())
        self.engine.close()
        self.runner.close()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("store"))
    yield made
    made.close()


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


letters = st.sampled_from(("a", "b", "A", "관", "자", "\\*", "\\?", "\\\\", "%", "_", "0"))
wild = st.lists(st.one_of(letters, st.sampled_from("*?")), min_size=1, max_size=5).map("".join)
words = st.one_of(st.sampled_from([quoted(text) for text in TEXTS]), wild)
numbers = st.sampled_from(("0", "1", "22", "1023", "1024", "65535"))
addresses = st.sampled_from(("0.0.0.1", "10.0.0.1", "10.0.1.255", "::", "::1", "2001:db8::5", "::fffe:0:0", "::ffff:10.0.0.1"))
networks = st.sampled_from(("10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "::/64", "::ffff:0:0/96", "10.0.0.0/24", "10.0.*", "10.*"))


def ranged(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bound = st.one_of(values, st.just("*"))
    between = st.builds(lambda o, a, b, c: f"{name}:{o}{a} TO {b}{c}", st.sampled_from("[{"), bound, bound, st.sampled_from("]}"))
    return st.one_of(between, st.builds(lambda how, value: f"{name}:{how}{value}", st.sampled_from((">", ">=", "<", "<=")), values))


tests = st.one_of(
    words,
    words.map(lambda value: f"user:{value}"),
    words.map(lambda value: f"action:{value}"),
    words.map(lambda value: f"raw:{value}"),
    st.sampled_from(("gangnam", "GANGNAM", "마포", "gang*", "*")).map(lambda value: f"agency:{value}"),
    st.one_of(numbers, st.just("*"), st.just('""')).map(lambda value: f"dst_port:{value}"),
    st.sampled_from(("0", "1", "*", '""')).map(lambda value: f"parser_version:{value}"),
    st.one_of(addresses, networks, st.just("*"), st.just('""')).map(lambda value: f"src_ip:{value}"),
    ranged("dst_port", numbers),
    ranged("bytes", st.sampled_from(("0", "1", str(2**53 - 1), str(2**53)))),
    ranged("src_ip", addresses),
    st.sampled_from(("log_class:firewall", "log_class:WEB", "log_class:f*")),
)
searches = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " AND ".join(parts) + ")"),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " OR ".join(parts) + ")"),
        inner.map(lambda part: f"NOT {part}"),
    ),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(search=searches)
def test_the_rule_finds_what_the_search_finds(ground: Ground, search: str) -> None:
    found = ground.searched(search)
    try:
        text = rule_text(parse(search), title="Made", on=DAY, said=search)
    except Invalid as error:
        refused = str(error)
    else:
        assert ground.ruled(text) == found, text
        return
    constant = {f"this search finds {what}, and makes no rule": count for what, count in (("every event", COUNT), ("no event at all", 0))}
    assert constant.get(refused, -1) == len(found) or "'é'" in refused, refused


def test_a_rule_reads_as_a_person_would_write_it() -> None:
    search = 'log_class:firewall src_ip:(10.0.0.0/8 OR 192.0.2.7) dst_port:(22 OR 3389) user:adm* "union select" NOT action:(deny OR drop)'
    text = rule_text(parse(search), title="Remote administration", level="high", author="lead", on=DAY, said=search)
    (rule,) = rules.parse(text, "r.yml").rules
    assert (rule.title, rule.level, str(rule.logsource)) == ("Remote administration", "high", "category firewall")
    head, _, detection = text.partition("detection:\n")
    assert "author: lead\ndate: '2026-03-02'\n" in head
    assert detection == (
        "  selection:\n"
        "    src_ip|cidr:\n    - 10.0.0.0/8\n    - 192.0.2.7/32\n"
        "    dst_port:\n    - 22\n    - 3389\n"
        "    user|startswith: adm\n"
        "  keywords:\n  - union select\n"
        "  filter:\n    action:\n    - deny\n    - drop\n"
        "  condition: selection and keywords and not filter\n"
        "level: high\n"
    )


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        ("", "finds every event"),
        ("NOT raw:*", "no event at all"),
        ("a event_time:>2026-03-01", "character 3: a rule runs on what comes"),
        ("a intake_flags:masked", "character 3: a rule cannot say"),
        ("transport:tcp", "character 1: rules cannot name the column transport"),
        ("user:É", "character 6: a rule takes 'É'"),
        ("scr_ip:1", "character 1: there is no column"),
        ("bytes:>9007199254740993", "character 8: a rule compares numbers up to 9007199254740992"),
        ("dst_port:99999", "character 10: dst_port"),
    ],
)
def test_what_a_rule_cannot_say_is_refused_with_its_place(search: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        rule_text(parse(search), title="Made", on=DAY)


def test_every_column_makes_a_rule_or_is_refused(ground: Ground) -> None:
    refused = set()
    for column in EVENTS.columns:
        value = "1" if column.kind.is_number else "10.0.0.1" if "ip" in column.kind.value else "a"
        search = f"{column.name}:{value}"
        try:
            text = rule_text(parse(search), title="Made", on=DAY)
        except Invalid:
            refused.add(column.name)
        else:
            assert ground.ruled(text) == ground.searched(search), column.name
    assert refused == {"received_at", "event_time", "transport", "intake_flags"}
