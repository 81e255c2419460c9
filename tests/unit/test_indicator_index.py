"""Matching against a plain judge that knows what each text was put together of, and reads no text itself."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.indicators import values
from detect.indicators.index import COLUMNS
from tests.event_rows import table
from tests.indicators import index

# Few of each kind, so that what is bad and what happened meet in most examples.
HOSTS = st.sampled_from(
    [
        *("evil.example", "EVIL.example", "a.evil.example", "b-1.a.evil.example", "notevil.example"),
        "evil.example.kr",
        "xn--bj0bj06e.kr",
        "evil",
    ]
)
PATHS = st.sampled_from(["", "/", "/x", "/X", "/a://b@c:1"])
QUERIES = st.sampled_from(["", "?", "?q=1", "?u=http://evil.example/", "?a@b"])
PORTS = st.sampled_from(["", ":80", ":443", ":8080", ":"])
V4 = st.sampled_from(["10.0.0.1", "198.51.100.0", "198.51.100.255", "198.51.101.0", "203.0.113.7"])
V6 = st.sampled_from(["2001:db8::", "2001:db8::1", "2001:db8:1::1", "2001:db9::1"])


@dataclass(frozen=True)
class Url:
    """A URL in its parts; `scheme` '' is one without."""

    scheme: str
    user: str
    host: str
    dot: str
    port: str
    path: str
    query: str
    fragment: str

    @property
    def text(self) -> str:
        return f"{self.scheme}{self.user}{self.host}{self.dot}{self.port}{self.path}{self.query}{self.fragment}"

    @property
    def meaning(self) -> str:
        port = self.port if self.port == ":8080" else ""
        return f"{self.host.lower()}{port}{self.path or '/'}{self.query}"


URLS = st.builds(
    Url,
    st.sampled_from(["", "http://", "https://", "FTP://"]),
    st.sampled_from(["", "u@", "u:p@w@"]),
    HOSTS | V4,
    st.sampled_from(["", "."]),
    PORTS,
    PATHS,
    QUERIES,
    st.sampled_from(["", "#f/g"]),
)


@st.composite
def networks(draw: st.DrawFn) -> str:
    address = draw(V4 | V6)
    shortest, longest = (8, 32) if "." in address else (16, 128)
    return str(ip_network(f"{address}/{draw(st.integers(shortest, longest))}", strict=False))


INDICATORS = st.one_of(
    networks(),
    HOSTS.filter(lambda host: "." in host),
    URLS.filter(lambda url: bool(url.scheme) and "." in url.host and not url.query.startswith("?u")).map(lambda url: url.text),
    st.sampled_from(["a" * 32, "B" * 64]),
)
ADDRESSES = st.none() | V4 | V6


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A row, and under `parts` what its texts were made of."""
    url = draw(st.none() | URLS)
    only_path = draw(st.booleans())
    path = draw(PATHS.filter(bool)) + draw(QUERIES)
    return {
        "src_ip": draw(ADDRESSES),
        "dst_ip": draw(ADDRESSES),
        "dst_nat_ip": draw(ADDRESSES),
        "domain_parts": draw(st.none() | st.tuples(HOSTS | V4, st.sampled_from(["", "."]), PORTS)),
        "dns_query": draw(st.just("") | HOSTS),
        "url": (path if only_path else url.text if url else ""),
        "url_parts": None if only_path else url,
        "path": path if only_path else "",
        "file_hash": draw(st.sampled_from(["", "A" * 32, "b" * 64, "c" * 32])),
    }


def row(event: dict[str, Any]) -> dict[str, Any]:
    domain = "".join(event["domain_parts"]) if event["domain_parts"] else ""
    return {name: event[name] for name in COLUMNS if name in event} | {"domain": domain}


def is_below(host: str, value: str) -> bool:
    return ("." + host.lower()).endswith("." + value)


def meets(event: dict[str, Any], one: values.Value) -> str:
    """The first column in which the indicator is met; '' when it is not."""
    hosts = {
        "domain": event["domain_parts"][0] if event["domain_parts"] else "",
        "dns_query": event["dns_query"],
        "url": event["url_parts"].host if event["url_parts"] else "",
    }
    for column in COLUMNS:
        address, host = event.get(column) if column.endswith("_ip") else None, hosts.get(column, "")
        if one.type in ("address", "network") and address and ip_address(address) in ip_network(one.text):
            return column
        if one.type == "address" and host.lower() == one.text:
            return column
        if one.type == "domain" and host and is_below(host, one.text):
            return column
        if one.type == "hash" and column == "file_hash" and event["file_hash"].lower() == one.text:
            return column
        if one.type == "url" and column == "url" and one.text in meanings(event):
            return column
    return ""


def meanings(event: dict[str, Any]) -> set[str]:
    if event["url_parts"]:
        return {event["url_parts"].meaning}
    if event["path"] and event["domain_parts"]:
        host, _, port = event["domain_parts"]
        return {f"{host.lower()}{port if port == ':8080' else ''}{event['path']}"}
    return set()


def value_of(text: str) -> values.Value | None:
    try:
        return values.guess(text)
    except values.BadValue:
        return None


@settings(max_examples=150, deadline=None)
@given(st.lists(INDICATORS, max_size=12), st.lists(events(), max_size=12))
def test_exactly_what_is_bad_is_met(texts: list[str], happened: list[dict[str, Any]]) -> None:
    bad = list(dict.fromkeys(value for text in texts if (value := value_of(text))))
    found = index(bad).match(table([row(event) for event in happened]), 0)
    got = {(r, i): COLUMNS[c] for r, i, c in zip(found.rows.tolist(), found.indicators.tolist(), found.columns.tolist(), strict=True)}
    expected = {(r, i): column for r, event in enumerate(happened) for i, one in enumerate(bad) if (column := meets(event, one))}
    assert got == expected
    assert found.rows.tolist() == sorted(found.rows.tolist())


def met(indicator: str, **columns: Any) -> bool:
    return bool(len(index([values.guess(indicator)]).match(table([columns]), 0).rows))


@pytest.mark.parametrize(
    ("indicator", "columns", "expected"),
    [
        ("evil.example", {"domain": "a.b.evil.example"}, True),
        ("evil.example", {"domain": "notevil.example"}, False),
        ("evil.example", {"domain": "evil.example.com"}, False),
        ("evil.example", {"dns_query": "WWW.Evil.Example."}, True),
        ("evil.example", {"url": "https://x.evil.example:8443?q"}, True),
        ("evil.example", {"url": "/redirect?to=http://evil.example/"}, False),
        ("evil.example", {"domain": "EVIL.example:8080"}, True),
        ("악성.example", {"domain": "www.악성.example"}, True),
        ("악성.example", {"domain": "xn--oj4bp8e.example"}, True),
        ("198.51.100.0/24", {"src_ip": "198.51.99.255"}, False),
        ("198.51.100.0/24", {"src_ip": "198.51.100.0"}, True),
        ("198.51.100.0/24", {"dst_nat_ip": "198.51.100.255"}, True),
        ("198.51.100.0/24", {"dst_ip": "198.51.101.0"}, False),
        ("::ffff:198.51.100.7", {"src_ip": "198.51.100.7"}, True),
        ("198.51.100.7", {"src_ip": "::ffff:198.51.100.7"}, True),
        ("198.51.100.7", {"src_nat_ip": "::c633:6407"}, False),
        ("2001:db8::/33", {"src_ip": "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"}, True),
        ("2001:db8::/33", {"src_ip": "2001:db8:8000::"}, False),
        ("198.51.100.7", {"url": "http://198.51.100.7/x"}, True),
        ("http://evil.example/Mal", {"url": "http://evil.example/mal"}, False),
        ("http://evil.example", {"url": "/", "domain": "evil.example"}, True),
        ("http://evil.example/x?q=1#f", {"url": "/x?q=1", "domain": "evil.example:80"}, True),
        ("http://evil.example/x", {"url": "/x"}, False),
        ("d" * 40, {"file_hash": "D" * 40}, True),
        ("http://evil.example/" + "p" * 2000, {"url": "http://evil.example/" + "p" * 2000}, True),
        ("http://evil.example/" + "p" * 2000, {"url": "http://evil.example/" + "p" * 200_000}, False),
        ("evil.example", {"url": "http://evil.example/" + "p" * 200_000}, True),
    ],
)
def test_edges(indicator: str, columns: dict[str, Any], expected: bool) -> None:
    assert met(indicator, **columns) is expected


def test_what_is_not_in_force_is_not_met() -> None:
    bad = [values.guess(f"198.51.100.{n}") for n in range(4)]
    made = index(bad, valid_from=[None, 1000, 1000, None], valid_until=[None, None, 2000, 1000])
    every = table([{"src_ip": f"198.51.100.{n}"} for n in range(4)])
    assert [made.match(every, at).indicators.tolist() for at in (999, 1000, 1999, 2000)] == [[0, 3], [0, 1, 2], [0, 1, 2], [0, 1]]


def test_rows_of_a_slice_and_texts_over_many_parts_keep_their_places() -> None:
    names = [f"host{n}.{'x' * 40}.example" for n in range(5000)]
    made = index([values.domain(names[n]) for n in range(0, 5000, 7)])
    found = made.match(table([{"domain": name, "src_ip": "10.0.0.1"} for name in ["", "a.example", *names]]).slice(2), 0)
    assert found.rows.tolist() == list(range(0, 5000, 7))
    assert found.indicators.tolist() == list(range(len(made)))


def test_the_same_value_of_two_feeds_is_met_twice() -> None:
    found = index([values.guess("evil.example")] * 2, feed=["a", "b"]).match(table([{"domain": "evil.example"}]), 0)
    assert (found.rows.tolist(), found.indicators.tolist()) == ([0, 0], [0, 1])
