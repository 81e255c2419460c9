"""What the parts of a rule's condition are called on Korean pages, for every kind of test there is."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final, get_args

import pytest

from api.dashboard.conditions import condition, detection
from api.dashboard.texts import Texts
from detect.explain import said
from detect.tree import Boolean, Compare, Exists, Item, Network, Null, Number, Pattern, Reference, Regex, Test, TimePart, Wild

MANY: Final = Wild.MANY
TOLD: Final[list[tuple[str | None, Test, str]]] = [
    ("url", Pattern(("/a",)), "url 값이 '/a'"),
    ("url", Pattern(("A",), cased=True), "url 값이 'A' (대소문자 구분)"),
    ("url", Pattern((MANY, "a is b", MANY)), "url에 'a is b' 포함"),
    ("url", Pattern(("a contains b",)), "url 값이 'a contains b'"),
    ("url", Pattern(("/a", MANY)), "url 값이 '/a'(으)로 시작"),
    ("url", Pattern((MANY, "a")), "url 값이 'a'(으)로 끝남"),
    ("url", Pattern(("a", MANY, "b")), "url 값이 'a*b' 형태"),
    (None, Pattern(("sqlmap",)), "줄 전체에 'sqlmap' 포함"),
    (None, Regex("a+"), "줄 전체 값이 정규식 'a+'에 맞음"),
    ("url", Regex("a with i", "i"), "url 값이 정규식 'a with i'(플래그 i)에 맞음"),
    ("url", Regex("a\nb"), "url 값이 정규식 'a\\nb'에 맞음"),
    ("dst_port", Number(22), "dst_port 값이 22"),
    ("known", Boolean(value=True), "known 값이 true"),
    ("url", Null(), "url 값이 없음"),
    ("url", Exists(wanted=True), "url 항목이 있음"),
    ("url", Exists(wanted=False), "url 항목이 없음"),
    ("src_ip", Network(ip_network("10.0.0.0/8")), "src_ip 값이 10.0.0.0/8 대역 안"),
    ("dst_port", Compare(">=", 1024), "dst_port >= 1024"),
    ("url", Reference("domain"), "url 값이 domain 항목과 같음"),
    ("url", Reference("domain", begins=True, ends=True), "url에 domain 항목의 값 포함"),
    ("url", Reference("domain", begins=True), "url 값이 domain 항목의 값으로 시작"),
    ("url", Reference("domain", ends=True), "url 값이 domain 항목의 값으로 끝남"),
    ("event_time", TimePart("hour", 5), "event_time 시 = 5"),
    ("event_time", TimePart("month", 3, "<="), "event_time 월 <= 3"),
]


@pytest.mark.parametrize(("field", "test", "korean"), TOLD)
def test_a_test_on_a_field_is_told_in_korean(field: str | None, test: Test, korean: str) -> None:
    assert condition(Texts("ko"), said(Item(field, test))) == korean


@pytest.mark.parametrize(("field", "test"), [(field, test) for field, test, _ in TOLD])
def test_in_english_it_stays_as_it_is_said(field: str | None, test: Test) -> None:
    english = said(Item(field, test))
    assert condition(Texts("en"), english) == english


def test_every_kind_of_test_is_among_these() -> None:
    assert {type(test) for _, test, _ in TOLD} == set(get_args(Test))


@pytest.mark.parametrize(
    ("said", "korean"),
    [
        ("all of", "모두"),
        ("log_class is one of firewall, ips", "log_class 값이 firewall, ips 중 하나"),
        ("something new", "something new"),
    ],
)
def test_parts_of_a_condition_and_log_sources_have_words(said: str, korean: str) -> None:
    assert condition(Texts("ko"), said) == korean


@pytest.mark.parametrize(
    ("name", "korean"),
    [("filter: Their scanner", "필터: Their scanner"), ("log source: web", "로그 소스: web"), ("selection", "selection")],
)
def test_what_is_laid_over_a_rule_is_named(name: str, korean: str) -> None:
    assert detection(Texts("ko"), name) == korean
