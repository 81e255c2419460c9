"""Whole rule sets over JSON events: what each case expects holds when all rules and all events go through together."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.engine import Engine, Session
from detect import objects, rules, ruleset
from detect.objects import ObjectRules
from detect.ruleset import SETTINGS
from tests.bench.sigma_events import EVERYTHING, everyday

RULE = "title: {0}\nid: 00000000-0000-4000-8000-{1:012}\nlogsource: {{category: any}}\ndetection: {2}\n"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    engine = Engine()
    session = engine.session({**SETTINGS, "max_threads": 1})
    yield session
    session.close()
    engine.close()


def found(judge: ObjectRules, lines: list[str]) -> set[tuple[str, int]]:
    matches = judge.run(pa.array(lines, pa.string()))
    return {(judge.rules[rule].title, row) for rule, row in zip(matches.rules.tolist(), matches.rows.tolist(), strict=True)}


def book(*detections: str) -> list[rules.Rule]:
    text = "---\n".join(RULE.format(f"r{number}", number, detection) for number, detection in enumerate(detections))
    loaded = rules.parse(text, "rules.yml")
    assert not loaded.set_aside
    return list(loaded.rules)


@pytest.mark.parametrize("indent", [None, 1], ids=["compact", "spaced"])
def test_every_case_of_the_public_set_holds_within_one_rule_set(session: Session, samples: Path, indent: int | None) -> None:
    cases = [json.loads(line) for line in (samples / "sigma" / "conformance.jsonl").read_text("utf-8").splitlines()]
    loaded: list[rules.Rule] = []
    expected: list[tuple[int, int, dict[str, Any]]] = []
    lines: list[str] = []
    for case in cases:
        read = rules.parse(case["rule_yaml"], "case.yml", case.get("placeholders") or {}, strict=False)
        if len(read.rules) == 1 and not read.set_aside:
            expected.append((len(loaded), len(lines), case))
            loaded.append(read.rules[0])
            lines.append(json.dumps(case["event"], ensure_ascii=indent is None, indent=indent))
    assert len(expected) > 70
    matches = ObjectRules(loaded, session).run(pa.array(lines, pa.string()))
    pairs = set(zip(matches.rules.tolist(), matches.rows.tolist(), strict=True))
    wrong = [case["id"] for rule, row, case in expected if ((rule, row) in pairs) != case["match"]]
    assert not wrong


def test_the_witnesses_change_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    lines = list(everyday(2000, EVERYTHING))
    words = sorted({word for line in chance.sample(lines, 40) for word in json.loads(line).get("Image", line).split("\\") if len(word) > 2})
    fields = ("Image", "CommandLine", "cs-uri", "query", "Product")
    detections = [f"{{s: {{{chance.choice(fields)}|contains: {json.dumps(word[:30])}}}, condition: s}}" for word in words]
    detections += [f"{{s: {{Image|endswith: {json.dumps(word)}, User|contains: 'gu\\user1'}}, condition: s}}" for word in words]
    detections += [f"{{s: [{json.dumps(word[:20])}, nothing here], condition: s}}" for word in words]
    loaded = book(*detections)
    scanned = found(ObjectRules(loaded, session), lines)
    monkeypatch.setattr(ruleset, "_FEWEST_SCANNED", 10**9)
    assert scanned == found(ObjectRules(loaded, session), lines)
    assert len({title for title, _ in scanned}) > 10


def test_what_an_event_says_does_not_depend_on_how_its_json_is_written(session: Session) -> None:
    judge = ObjectRules(
        book(
            "{s: {a.b: /x/y}, condition: s}",
            "{s: {n: 10}, condition: s}",
            "{s: {a.b|exists: true}, condition: s}",
            "{s: {gone: ''}, condition: s}",
            "{s: {gone: null}, condition: s}",
            '{s: [quoted "word"], condition: s}',  # not within a name, nor across two values
            "{s: {k|contains: kelvin}, condition: s}",
            "{s: {k|re|i: 'secret|nothing'}, condition: s}",
            "{s: {k|contains: ЖУК}, condition: s}",
            "{s: {l: true}, condition: s}",
        ),
        session,
    )
    lines = [
        '{"a.b": "/x/y", "n": 10}',
        '{"a" : {"b":"\\/x\\u002fy"}, "n": 1e1}',
        '{"a": [{"b": ["q", "/x/y"]}], "n": "10"}',
        '{"a.b": null, "n": 10.0, "gone": ""}',
        '{"m": "a quoted \\"word\\" here", "k": "\u212aELVIN"}',
        '{"k": "a \u017fecret жук", "l": "True"}',
        '{"k": "a \\u017fecret \\u0436ук", "l" : true}',
        '{"b": "quoted", "c": "\\"word\\"", "quoted \\"word\\"": 1}',
        "[1]",
        "not json",
    ]
    assert found(judge, lines) == {
        *(("r0", row) for row in (0, 1, 2)),
        *(("r1", row) for row in (0, 1, 2, 3)),
        *(("r2", row) for row in (0, 1, 2, 3)),
        ("r3", 3),
        *(("r4", row) for row in (0, 1, 2, 4, 5, 6, 7)),
        ("r5", 4),
        ("r6", 4),
        *((rule, row) for rule in ("r7", "r8", "r9") for row in (5, 6)),
    }
    assert judge.unreadable == 2


def test_shapes_of_few_events_go_together_and_a_later_batch_may_bring_new_ones(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = ObjectRules(book("{s: {a: 1}, condition: s}", "{s: {b: 2}, t: {c: 3}, condition: s and not t}"), session)
    first = ['{"a": 1}', '{"b": 2}', '{"a": 1, "b": 2, "c": 3}', '{"z": 0}']
    assert found(judge, first) == {("r0", 0), ("r1", 1), ("r0", 2)}
    monkeypatch.setattr(objects, "_FEW", 1)
    assert found(judge, [*first, '{"c": 4, "b": 2}']) == {("r0", 0), ("r1", 1), ("r0", 2), ("r1", 4)}


def test_a_rule_the_engine_refuses_is_set_aside_alone(session: Session) -> None:
    judge = ObjectRules(book("{s: {a|re: '(?<=x)y'}, condition: s}", "{s: {a: xy}, condition: s}"), session)
    assert found(judge, ['{"a": "xy"}']) == {("r1", 0)}
    assert len(judge.set_aside) == 1
