"""`rules match`: the public conformance cases, and what an event as an object means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.engine import Engine
from detect.match import match_cases


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def test_the_public_conformance_cases_all_hold(engine: Engine, samples: Path) -> None:
    """None of the 78 cases is outside Sigma: filters, several rules in one text and placeholders are part of it."""
    cases = [json.loads(line) for line in (samples / "sigma" / "conformance.jsonl").read_text().splitlines()]
    assert len(cases) >= 78
    results = list(match_cases(engine, cases))
    assert [result["id"] for result in results] == [case["id"] for case in cases]
    wrong = [(result, case["match"]) for result, case in zip(results, cases, strict=True) if result.get("match") != case["match"]]
    assert wrong == []


def judged(engine: Engine, detection: str, event: Any) -> Any:
    rule = f"title: T\nlogsource: {{category: test}}\ndetection: {detection}\n"
    (result,) = match_cases(engine, [{"id": 1, "rule_yaml": rule, "event": event}])
    return result.get("match", result.get("error"))


@pytest.mark.parametrize(
    ("detection", "event", "wanted"),
    [
        ("{s: {a: x}, condition: s}", {"a": ["y", "X"]}, True),
        ("{s: {a|contains|all: [x, y]}, condition: s}", {"a": ["x1", "y1"]}, True),
        ("{s: {a.b: 1}, condition: s}", {"a": [{"b": 2}, {"b": 1}]}, True),
        ("{s: {a-b c.d: x}, condition: s}", {"a-b c": {"d": "x"}}, True),
        ("{s: {a: null}, condition: s}", {}, True),
        ("{s: {a: null}, condition: s}", {"a": None}, True),
        ("{s: {a: null}, condition: s}", {"a": ""}, False),
        ("{s: {a: ''}, condition: s}", {"a": ""}, True),
        ("{s: {a: ''}, condition: s}", {}, False),
        ("{s: {a: '*'}, condition: s}", {"a": ""}, True),
        ("{s: {a: '*'}, condition: s}", {}, False),
        ("{s: {a|exists: true}, condition: s}", {"a": None}, True),
        ("{s: {a.b|exists: true}, condition: s}", {"a": [{"b": []}]}, True),
        ("{s: {a|exists: false}, condition: s}", {"b": None}, True),
        ("{s: {a|contains: 44}, condition: s}", {"a": 8443}, True),
        ("{s: {a|startswith|cased: 84}, condition: s}", {"a": 8443}, True),
        ("{s: {a|windash: x-y}, condition: s}", {"a": "X—Y"}, True),
        ("{s: {a|windash|contains: ' –f*o'}, condition: s}", {"a": "x /foo"}, True),
        ("{s: {t|hour|gte: 22}, condition: s}", {"t": "2024-01-01T23:05:00Z"}, True),
        ("{s: {t|hour|gte: 22}, condition: s}", {"t": "2024-01-01T21:05:00Z"}, False),
        ("{s: {t|day: 10}, condition: s}", {"t": "10"}, False),
        ("{s: {a|neq: x}, condition: s}", {}, True),
        ("{s: {a: x}, condition: not s}", {}, True),
        ("{s: {a: true}, condition: s}", {"a": True}, True),
        ("{s: {a: 'true'}, condition: s}", {"a": True}, True),
        ("{s: {a: 10}, condition: s}", {"a": 10.0}, True),
        ("{s: {a: 10}, condition: s}", {"a": "10"}, True),
        ("{s: {a|gt: 9}, condition: s}", {"a": "10"}, True),
        ("{s: {a|gt: 9}, condition: s}", {"a": "ten"}, False),
        ("{s: {a|cidr: 2001:db8::/32}, condition: s}", {"a": "2001:DB8::1"}, True),
        ("{s: {a|cidr: 10.0.0.0/8}, condition: s}", {"a": "10.1.2.3 or so"}, False),
        ("{s: {a|re: 'b.c'}, condition: s}", {"a": "ab\ncd"}, False),
        ("{s: {a|re|s: 'b.c'}, condition: s}", {"a": "ab\ncd"}, True),
        ("{s: {a|re|m: '^c'}, condition: s}", {"a": "ab\ncd"}, True),
        ("{s: {a|re: 'B'}, condition: s}", {"a": "ab"}, False),
        ("{s: {a: 'b?d'}, condition: s}", {"a": "b가d"}, True),
        ("{s: {a: 한글É}, condition: s}", {"a": "한글é"}, True),
        ("{s: {a|base64offset|contains: whoami}, condition: s}", {"a": "cG93ZXJzaGVsbCB3aG9hbWkgL2FsbA=="}, True),
        ("{s: {a|wide|base64offset|contains: é가}, condition: s}", {"a": "eADpAACseAA="}, True),
        ("{s: {t|week: 1, t|minute: 5}, condition: s}", {"t": "2024-12-30T23:05:00Z"}, True),
        ("{s: {t|month: 1}, condition: s}", {"t": "no time"}, False),
        ("{s: {a|fieldref: b}, condition: s}", {"a": "X", "b": "x"}, True),
        ("{s: {a|fieldref: b}, condition: s}", {"a": None}, False),
        ("{s: [evil], condition: s}", {"a": {"b": ["an EVIL thing"]}}, True),
        ("{s: {'|all': [one, two]}, condition: s}", {"a": "one", "b": "two"}, True),
        ("{s: {'|re': 'e[v]il'}, condition: s}", {"a": "evil"}, True),
        ('{s: {a|contains: "\'; DROP"}, condition: s}', {"a": "x'; drop table"}, True),
    ],
)
def test_fields_of_an_object(engine: Engine, detection: str, event: dict[str, Any], wanted: bool) -> None:
    assert judged(engine, detection, event) is wanted


def test_a_bad_case_is_an_error_of_its_own(engine: Engine) -> None:
    good = "title: T\nlogsource: {category: test}\ndetection: {s: {a: x}, condition: s}\n"
    unreadable = good.replace("{a: x}", "{a|re: '(?<=b)x'}")
    cases: list[dict[str, Any]] = [
        {"id": 1, "rule_yaml": "title: [", "event": {}},
        {"id": 2, "rule_yaml": good, "event": {"a": "x"}},
        {"id": 3, "rule_yaml": good, "event": "text"},
        {"id": 4, "rule_yaml": unreadable, "event": {"a": "bx"}},
        {"id": 5, "rule_yaml": good, "event": {"a": "y"}},
        {"id": 6},
        {"id": 7, "rule_yaml": "", "event": {}},
    ]
    results = {result["id"]: result for result in match_cases(engine, cases)}
    assert results[2] == {"id": 2, "match": True}
    assert results[5] == {"id": 5, "match": False}
    assert {key for key, result in results.items() if "error" in result} == {1, 3, 4, 6, 7}
    assert "object" in results[3]["error"]
    assert "engine refuses" in results[4]["error"]
