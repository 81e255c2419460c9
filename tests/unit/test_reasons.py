"""Why a rule fired on a line: which detections held, which words did it, and that this agrees with what the engine says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.incidents.evidence import marked
from detect.reasons import MOST_SPANS, reason, tell


def told(detection: Mapping[str, Any]) -> Any:
    rule = {
        "title": "A rule",
        "id": "5c6f5c5c-0000-4000-8000-000000000001",
        "logsource": {"category": "firewall"},
        "detection": detection,
        "level": "high",
    }
    found = tell([json.dumps(rule)])
    assert found is not None
    return found


def words(detection: Mapping[str, Any], fields: Mapping[str, Any], raw: str) -> list[str]:
    found = reason(told({**detection, "condition": "s"}), fields, raw)
    return [raw[begin:end] for hit in found.hits for begin, end in hit.spans]


@pytest.mark.parametrize(
    ("test", "fields", "raw", "marks"),
    [
        ({"user": "root"}, {"user": "root"}, "login user=ROOT rooted", ["ROOT"]),
        ({"dst_port": 22}, {"dst_port": 22}, "12:22:01 sport=2222 dport=22 len=22", ["22", "22"]),
        ({"dst_port": 22}, {"dst_port": 22}, "at 22 from 22 to 22", []),
        ({"src_ip|cidr": "10.0.0.0/8"}, {"src_ip": "10.1.2.3"}, "from 10.1.2.3 to 10.1.2.33", ["10.1.2.3"]),
        ({"url|contains|all": ["UNION", "select"]}, {"url": "/a?q=union+select"}, "GET /a?q=union+select 200", ["union", "select"]),
        ({"url|contains": "../"}, {"url": "/가/../etc"}, "요청 url=/가/../etc 끝", ["../"]),
        ({"url|re": "id=[0-9]+'"}, {"url": "/x?id=12'"}, "GET /x?id=12' 403", ["id=12'"]),
        ({"url|endswith": ".php"}, {"url": "/a b.php"}, "GET /a%20b.php", [".php"]),
        ({"user|exists": True}, {"user": "root"}, "user=root", []),
        ({"disposition": "deny"}, {"disposition": "deny"}, "action=blocked", []),
    ],
)
def test_what_made_it_fire_is_marked(test: dict[str, Any], fields: dict[str, Any], raw: str, marks: list[str]) -> None:
    assert words({"s": test}, fields, raw) == marks


def test_keywords_are_marked_where_they_stand() -> None:
    assert words({"s": ["*mimikatz*", "*none*"]}, {}, "ran MimiKatz.exe") == ["MimiKatz"]


def test_each_detection_is_judged_and_what_excludes_marks_nothing() -> None:
    detection = {
        "s": {"user": "root"},
        "other": {"user": "lee"},
        "filter": {"src_ip": "10.0.0.1"},
        "condition": "(s or other) and not filter",
    }
    found = reason(told(detection), {"user": "root", "src_ip": "192.0.2.1"}, "user=root")
    assert found.held == {"s": True, "other": False, "filter": False}
    assert [(hit.detection, hit.field, hit.test, hit.value, hit.spans) for hit in found.hits] == [
        ("s", "user", "user is 'root'", "root", ((5, 9),))
    ]


def test_what_cannot_be_judged_here_counts_as_held() -> None:
    assert reason(told({"s": {"event_time|hour": 3}, "condition": "s"}), {}, "a line").held == {"s": True}


@pytest.mark.parametrize(
    ("test", "fields", "holds"),
    [
        ({"dst_port|gte": 1024}, {"dst_port": 1024}, True),
        ({"dst_port|lt": 1024}, {"dst_port": 1024}, False),
        ({"user": None}, {}, True),
        ({"user": None}, {"user": "root"}, False),
        ({"src_ip|fieldref": "dst_ip"}, {"src_ip": "192.0.2.1", "dst_ip": "192.0.2.1"}, True),
        ({"src_ip|cidr": "2001:db8::/32"}, {"src_ip": "192.0.2.1"}, False),
        ({"user|cased": "Root"}, {"user": "root"}, False),
        ({"user": "r?ot"}, {"user": "ROOT"}, True),
        ({"user": "*"}, {"user": "root"}, True),
    ],
)
def test_tests_without_words(test: dict[str, Any], fields: dict[str, Any], holds: bool) -> None:
    assert reason(told({"s": test, "condition": "s"}), fields, "a line").held == {"s": holds}


def test_a_line_that_repeats_a_value_is_marked_a_few_times() -> None:
    assert len(words({"s": {"user": "root"}}, {"user": "root"}, "user=root " * 100)) == MOST_SPANS


def test_an_expression_that_would_run_for_ever_elsewhere_ends() -> None:
    assert words({"s": {"url|re": "(a+)+$"}}, {"url": "a" * 5000 + "!"}, "a" * 5000 + "!") == []


def test_a_rule_that_cannot_be_read_is_none() -> None:
    assert tell(["[]"]) is None
    assert tell([]) is None


@given(raw=st.text(max_size=80), value=st.text(min_size=1, max_size=8))
def test_marks_lie_in_the_line_and_say_the_value(raw: str, value: str) -> None:
    line = f"{raw} user={value} {raw}"
    found = reason(told({"s": {"user|exists": True, "user|contains": "*"}, "condition": "s"}), {"user": value}, line)
    for hit in found.hits:
        for begin, end in hit.spans:
            assert 0 <= begin < end <= len(line)


@given(line=st.text(alphabet="a<&>'\"가b", max_size=40), spans=st.lists(st.tuples(st.integers(-3, 45), st.integers(-3, 45)), max_size=6))
def test_marking_changes_no_sign_of_the_line(line: str, spans: list[tuple[int, int]]) -> None:
    html = marked(line, spans)
    inside = {place for begin, end in spans for place in range(max(begin, 0), min(end, len(line)))}
    assert html.count("<mark>") == html.count("</mark>") == sum(place not in inside or place - 1 not in inside for place in inside)
    plain = html.replace("<mark>", "").replace("</mark>", "")
    for escaped, sign in (("&lt;", "<"), ("&gt;", ">"), ("&#x27;", "'"), ("&quot;", '"'), ("&amp;", "&")):
        plain = plain.replace(escaped, sign)
    assert plain == line
