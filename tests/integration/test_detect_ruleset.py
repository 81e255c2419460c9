"""The rule set as a whole: witnesses and routing spare work and change nothing; a rule that fails fails alone."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.engine import Engine, Session
from core.errors import RuleError
from detect import rules, ruleset
from detect.compiled import CompiledRule, compile_rule
from detect.fields import EventFields
from detect.ruleset import SETTINGS, Matches, Plan, compile_rules
from tests.event_rows import table

WORDS = ("union select", "etc/passwd", "wp-login", "cgi-bin", "jndi:ldap", "sqlmap", "powershell", "cmd.exe")


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    engine = Engine()
    session = engine.session({**SETTINGS, "max_threads": 1})
    yield session
    session.close()
    engine.close()


def rule(number: int, detection: str, category: str = "web") -> str:
    return f"title: rule {number}\nid: 00000000-0000-4000-8000-{number:012}\nlogsource: {{category: {category}}}\ndetection: {detection}\n"


def pairs(plan: Plan, found: Matches) -> list[tuple[str, int]]:
    return [(plan.rules[r].rule.title, row) for r, row in zip(found.rules.tolist(), found.rows.tolist(), strict=True)]


def many() -> list[rules.Rule]:
    texts = [rule(n, f"{{s: {{url|contains: 'w{n} {word}'}}, condition: s}}") for n, word in enumerate(WORDS * 4)]
    texts += [
        rule(100, "{s: {url|contains: 'W1 ETC'}, t: {user_agent|startswith: Curl}, condition: s and not t}"),
        rule(101, "{s: {http_status: 404}, condition: s}"),
        rule(102, "[]".replace("[]", "{s: ['w2 wp-login', nothing here], condition: s}")),
        rule(103, "{s: {url|contains: 'w3 cgi-bin'}, condition: s}", "dns"),
    ]
    book = rules.parse("---\n".join(texts), "many.yml")
    assert not book.set_aside
    return list(book.rules)


def rows() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for n in range(200):
        url = f"/x?q=W{n % 40} {WORDS[n % 8].upper()}&n={n}"
        made.append(
            {
                "log_class": "dns" if n % 7 == 0 else "web",
                "url": url,
                "raw": f"GET {url}",
                "user_agent": "curl/8" if n % 3 else "Firefox",
                "http_status": 404 if n % 50 == 0 else None,
            }
        )
    return made


def test_the_scan_finds_what_checking_every_row_finds(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = compile_rules(many(), session)
    events = table(rows())
    found = pairs(scanned, scanned.run(session, events))
    monkeypatch.setattr(ruleset, "_FEWEST_SCANNED", 10**9)
    direct = compile_rules(many(), session)
    assert found == pairs(direct, direct.run(session, events))
    assert len({title for title, _ in found}) > 30
    titles_of_dns = {title for title, row in found if row % 7 == 0}
    assert titles_of_dns <= {"rule 103"}
    assert found == sorted(found, key=lambda pair: (pair[1], [c.rule.title for c in scanned.rules].index(pair[0])))


def test_a_batch_in_pieces_and_an_empty_batch(session: Session) -> None:
    plan = compile_rules(many(), session)
    events = table(rows())
    pieces = pa.concat_tables([events.slice(at, 33) for at in range(0, 200, 33)])
    assert pairs(plan, plan.run(session, pieces)) == pairs(plan, plan.run(session, events))
    assert len(plan.run(session, events.slice(0, 0)).rows) == 0


def test_rules_the_engine_refuses_are_set_aside_alone(session: Session) -> None:
    texts = [
        rule(1, "{s: {url|contains: aaaa}, condition: s}"),
        rule(2, "{s: {url|re: '(?<=a)b'}, condition: s}"),
        rule(3, "{s: {ParentImage: x}, condition: s}"),
        rule(4, "{s: {url|contains: bbbb}, f: {ParentImage: x}, condition: s and not f}"),
        rule(5, "{s: {url: a}, condition: s}", "process_creation"),
        rule(6, "{s: {http_status: abc}, condition: s}"),
        rule(7, "{s: {ParentImage: x}, condition: not s}"),
    ]
    book = rules.parse("---\n".join(texts), "some.yml")
    plan = compile_rules(book.rules, session, book.set_aside)
    assert [r.title for r in plan.active] == ["rule 1", "rule 4"]
    assert plan.rules[1].unknown == {"ParentImage"}
    reasons = {error.line: error.reason for error in plan.set_aside}
    assert len(reasons) == 5
    assert "engine refuses" in reasons[6]
    assert "ParentImage" in reasons[11]
    assert "process_creation" in reasons[21]
    assert "can never match" in reasons[26]
    assert "every event" in reasons[31]


def test_a_rule_that_fails_at_run_time_fails_alone(session: Session) -> None:
    book = rules.parse("---\n".join(rule(n, f"{{s: {{url|contains: word{n}}}, condition: s}}") for n in range(8)), "r.yml")
    good = compile_rules(book.rules, session).rules
    broken = [
        CompiledRule(
            c.rule, c.classes, "throwIf(length(`url`) = 9)" if c.rule.title == "rule 3" else c.sql, c.columns, c.witnesses, c.unknown
        )
        for c in good
    ]
    plan = Plan(broken, [])
    calm = table([{"log_class": "web", "url": "a word2"}])
    assert pairs(plan, plan.run(session, calm)) == [("rule 2", 0)]
    assert not plan.set_aside
    stormy = table([{"log_class": "web", "url": "a word2"}, {"log_class": "web", "url": "123456789"}, {"log_class": "web", "url": "word7"}])
    assert pairs(plan, plan.run(session, stormy)) == [("rule 2", 0), ("rule 7", 2)]
    assert [error.line for error in plan.set_aside] == [book.rules[3].line]
    assert "rule 3" not in [r.title for r in plan.active]
    assert pairs(plan, plan.run(session, stormy)) == [("rule 2", 0), ("rule 7", 2)]
    assert len(plan.set_aside) == 1


def test_addresses_and_numbers_are_those_of_the_store(session: Session) -> None:
    text = "---\n".join(
        [
            rule(1, "{s: {src_ip|cidr: 10.0.0.0/8}, condition: s}"),
            rule(2, "{s: {src_ip: '2001:DB8:0:0::1'}, condition: s}"),
            rule(3, "{s: {src_ip|startswith: '10.2'}, condition: s}"),
            rule(4, "{s: {event_time|hour: 22}, condition: s}"),
            rule(5, "{s: {dst_port|gte: 1024, src_port|fieldref: dst_port}, condition: s}"),
        ]
    )
    plan = compile_rules(rules.parse(text, "r.yml").rules, session)
    events = table(
        [
            {"log_class": "web", "src_ip": "10.1.1.1", "event_time": 1_777_847_000_000},
            {"log_class": "web", "src_ip": "10.2.1.1", "dst_port": 1024, "src_port": 1024},
            {"log_class": "web", "src_ip": "2001:db8::1", "dst_port": 1025, "src_port": 1024},
            {"log_class": "web"},
        ]
    )
    assert pairs(plan, plan.run(session, events)) == [
        ("rule 1", 0),
        ("rule 4", 0),
        ("rule 1", 1),
        ("rule 3", 1),
        ("rule 5", 1),
        ("rule 2", 2),
    ]


def test_every_public_network_rule_runs_or_says_why_not(session: Session, samples: Path, record_property: Any) -> None:
    book = rules.load([samples / "sigma" / "network"])
    plan = compile_rules(book.rules, session, book.set_aside)
    total = len(list((samples / "sigma" / "network").rglob("*.yml")))
    assert len(plan.active) + len(plan.set_aside) == total
    assert all(error.reason and error.file and error.line for error in plan.set_aside)
    assert len(plan.active) >= 74
    record_property("public_network_rules", f"{len(plan.active)} of {total} run")
    events = table([{"log_class": "proxy", "url": "/x", "user_agent": "sqlmap"}, {"log_class": "dns", "dns_query": "aaa.stage.1234"}])
    assert "Cobalt Strike DNS Beaconing" in {title for title, _ in pairs(plan, plan.run(session, events))}


def test_a_tenth_of_the_whole_public_corpus_is_read_without_a_crash(samples: Path, tmp_path: Path) -> None:
    with tarfile.open(samples / "sigma" / "sigmahq-rules.tar.gz") as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(".yml")][::10]
        archive.extractall(tmp_path, members, filter="data")
    book = rules.load([tmp_path])
    assert len(book.rules) > 0.99 * len(members)
    assert [error for error in book.set_aside if "%" not in error.reason] == []  # only placeholders nobody gave values for
    fields = EventFields()
    assert sum(refused(one, fields) for one in book.rules) > 0.9 * len(members)  # most are of Windows


def refused(rule: rules.Rule, fields: EventFields) -> bool:
    try:
        compile_rule(rule, fields)
    except RuleError:
        return True
    return False
