"""Files of feeds: what is read of them, and what is refused with a reason."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from detect.indicators import csv_feed, json_stream, misp, patterns, stix, values
from detect.indicators.model import Indicator, Read, Refused
from detect.indicators.patterns import BadPattern
from tests import indicators as files

A, B = "203.0.113.5", "evil.example"
SHA256 = "ab" * 32


def read(reader: Any, content: bytes | str) -> list[Indicator | Refused]:
    text = content.encode() if isinstance(content, str) else content
    found: Read = reader.read(io.BytesIO(text))
    return list(found)


def texts(found: list[Indicator | Refused]) -> list[str]:
    return [one.value.text if isinstance(one, Indicator) else f"refused {one.place}: {one.word}" for one in found]


# Values


@pytest.mark.parametrize(
    ("text", "kind", "meant"),
    [
        (" 203.0.113.5 ", "address", "203.0.113.5"),
        ("::ffff:203.0.113.5", "address", "203.0.113.5"),
        ("::ffff:203.0.113.0/120", "network", "203.0.113.0/24"),
        ("2001:DB8::0005", "address", "2001:db8::5"),
        ("203.0.113.5/32", "address", "203.0.113.5"),
        ("203.0.113.0/24", "network", "203.0.113.0/24"),
        ("*.Evil.Example.", "domain", "evil.example"),
        ("_dmarc.evil.example", "domain", "_dmarc.evil.example"),
        ("한글.kr", "domain", "xn--bj0bj06e.kr"),
        ("HTTP://user:pw@Evil.Example:80", "url", "evil.example/"),
        ("https://evil.example.:8443/A%2f?q=1#frag", "url", "evil.example:8443/A%2f?q=1"),
        ("https://evil.example:443?q", "url", "evil.example/?q"),
        ("http://[2001:db8::1]:8080/x", "url", "[2001:db8::1]:8080/x"),
        ("evil.example/x", "url", "evil.example/x"),
        ("D41D8CD98F00B204E9800998ECF8427E", "hash", "d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
def test_values_are_normalised(text: str, kind: str, meant: str) -> None:
    found = values.guess(text)
    assert (found.type, found.text) == (kind, meant)


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", "evil", ".", "com", "a..b", "-a.example", "1.2.3", "1.2.3.4.5", "999.1.1.1", "a" * 64 + ".example", "ab" * 15),
        *(
            "203.0.113.5/24",
            "203.0.113.0/33",
            "10.0.0.0/7",
            "0.0.0.2",
            "127.0.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "0.0.0.0/0",
            "::",
            "::1",
        ),
        *(
            "ff02::1",
            "2000::/3",
            "::/0",
            "::ffff:0:0/96",
            "fe80::1%eth0",
            "http://",
            "http:///x",
            "http://localhost/",
            "http://a b.example/",
        ),
        *("http://evil.example/a b", "http://evil.example/" + "x" * 2048, "/path/only", "evil example", "evil.example\nother.example"),
    ],
)
def test_what_cannot_be_an_indicator_is_refused(text: str) -> None:
    with pytest.raises(values.BadValue):
        values.guess(text)


# STIX patterns


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        (f"[ipv4-addr:value = '{A}']", [A]),
        (f"  [ ipv4-addr:value='{A}' ]  ", [A]),
        ("[ipv4-addr:value = '198.51.100.0/24']", ["198.51.100.0/24"]),
        ("[ipv4-addr:value ISSUBSET '198.51.100.0/24']", ["198.51.100.0/24"]),
        ("[ipv6-addr:value = '2001:db8::5']", ["2001:db8::5"]),
        (f"[domain-name:value IN ('{B}', 'worse.example')]", [B, "worse.example"]),
        (f"[url:value = 'http://{B}/it\\'s']", [f"{B}/it's"]),
        (f"[file:hashes.'SHA-256' = '{SHA256}' OR file:hashes.MD5 = '{'0' * 32}']", [SHA256, "0" * 32]),
        (f"[file:hashes.SHA256 = '{SHA256.upper()}']", [SHA256]),
        (f"[ipv4-addr:value = '{A}'] OR ([domain-name:value = '{B}'])", [A, B]),
        (f"[(ipv4-addr:value = '{A}' OR domain-name:value = '{B}') OR ipv4-addr:value = '{A}']", [A, B]),
        (f"[ipv4-addr:value = '{A}' AND ipv4-addr:value = '{A}']", [A]),
    ],
)
def test_a_pattern_of_single_values_is_read(pattern: str, meant: list[str]) -> None:
    assert [one.text for one in patterns.read(pattern)] == meant


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        *(
            (pattern, "unsupported")
            for pattern in (
                f"[ipv4-addr:value = '{A}' AND domain-name:value = '{B}']",
                f"[ipv4-addr:value = '{A}'] AND [domain-name:value = '{B}']",
                f"[ipv4-addr:value = '{A}'] FOLLOWEDBY [domain-name:value = '{B}']",
                f"[ipv4-addr:value = '{A}'] WITHIN 300 SECONDS",
                f"[ipv4-addr:value = '{A}'] REPEATS 5 TIMES",
                f"[ipv4-addr:value = '{A}'] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'",
                f"([ipv4-addr:value = '{A}'] OR [domain-name:value = '{B}']) WITHIN 5 SECONDS",
                f"[ipv4-addr:value != '{A}']",
                f"[NOT ipv4-addr:value = '{A}']",
                f"[ipv4-addr:value NOT = '{A}']",
                "[domain-name:value LIKE '%.evil.example']",
                "[domain-name:value MATCHES '^evil']",
                "[ipv4-addr:value ISSUPERSET '198.51.100.0/24']",
                "[domain-name:value ISSUBSET '198.51.100.0/24']",
                "[EXISTS ipv4-addr:value]",
                "[file:name = 'a.exe']",
                f"[file:hashes.SSDEEP = '{SHA256}']",
                f"[file:hashes.'SHA-256' = '{SHA256}' AND file:name = 'a.exe']",
                f"[network-traffic:dst_ref.value = '{A}']",
                f"[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '{A}']",
                f"[domain-name:resolves_to_refs[*].value = '{A}']",
                "[email-addr:value = 'a@evil.example']",
                "[ipv4-addr:value = 5]",
                "[file:size > 5]",
                "[" + "(" * 60 + f"ipv4-addr:value = '{A}'" + ")" * 60 + "]",
                "[domain-name:value IN ('" + "','".join(f"d{n}.example" for n in range(9000)) + "')]",
            )
        ),
        *(
            (pattern, "malformed")
            for pattern in (
                "",
                "[",
                "[]",
                "evil",
                f"[ipv4-addr:value = '{A}'",
                f"ipv4-addr:value = '{A}'",
                "[ipv4-addr:value = '",
                "[\\]",
                "[[]]",
            )
        ),
        *(
            (pattern, "value")
            for pattern in (
                "[ipv4-addr:value = '300.0.0.1']",
                "[ipv4-addr:value = '2001:db8::5']",
                f"[ipv6-addr:value = '{A}']",
                "[domain-name:value = 'localhost']",
                f"[file:hashes.MD5 = '{SHA256}']",
                "[ipv4-addr:value = '0.0.0.0/0']",
                f"[ipv4-addr:value = '{A}' OR ipv4-addr:value = 'x']",
            )
        ),
    ],
)
def test_a_pattern_that_says_more_is_refused_whole(pattern: str, word: str) -> None:
    with pytest.raises(BadPattern) as caught:
        patterns.read(pattern)
    assert caught.value.word == word
    assert str(caught.value)


COMPARISONS = st.sampled_from([f"ipv4-addr:value = '{A}'", f"domain-name:value = '{B}'", "url:value = 'http://evil.example/x'"])
BEYOND = st.sampled_from(["file:name = 'x'", "ipv4-addr:value != '203.0.113.9'", "domain-name:value LIKE 'x%'"])
MEANT = {f"ipv4-addr:value = '{A}'": A, f"domain-name:value = '{B}'": B, "url:value = 'http://evil.example/x'": "evil.example/x"}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(COMPARISONS, min_size=1, max_size=4), min_size=1, max_size=4), st.booleans())
def test_any_or_of_comparisons_is_the_set_of_their_values(observations: list[list[str]], nested: bool) -> None:
    inner = [" OR ".join(f"({one})" if nested else one for one in listed) for listed in observations]
    found = patterns.read(" OR ".join(f"[{one}]" for one in inner))
    assert [one.text for one in found] == list(dict.fromkeys(MEANT[one] for listed in observations for one in listed))


@settings(max_examples=150, deadline=None)
@given(st.lists(COMPARISONS, max_size=3), BEYOND, st.lists(COMPARISONS, max_size=3), st.sampled_from(["OR", "AND"]))
def test_nothing_is_read_of_a_pattern_with_a_part_beyond_us(before: list[str], beyond: str, after: list[str], how: str) -> None:
    with pytest.raises(BadPattern):
        patterns.read(f"[{f' {how} '.join([*before, beyond, *after])}]")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["[", "]", "(", ")", " OR ", " AND ", "ipv4-addr:value", " = ", f"'{A}'", "'", "\\", "t'x'", " IN ", ","]),
        max_size=15,
    )
)
def test_any_text_is_read_or_refused(pieces: list[str]) -> None:
    try:
        found = patterns.read("".join(pieces))
    except BadPattern:
        return
    assert [one.text for one in found] == [A]


# STIX bundles


def test_an_indicator_carries_what_its_bundle_says_of_it() -> None:
    custom = "marking-definition--00000000-0000-4000-8000-00000000000a"
    one = {
        "type": "indicator",
        "id": "indicator--1",
        "pattern": f"[domain-name:value = '{B}']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T09:00:00+09:00",
        "valid_until": "2027-01-01T00:00:00.5Z",
        "confidence": 85,
        "created_by_ref": "identity--1",
        "labels": ["c2"],
        "indicator_types": ["malicious-activity"],
        "object_marking_refs": [files.TLP_IDS["green"], custom],
        "name": "a name",
    }
    identity = {"type": "identity", "id": "identity--1", "name": "KISA"}
    extension = {"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {"tlp_2_0": "amber+strict"}}
    marking = {"type": "marking-definition", "id": custom, "extensions": extension}
    (found,) = read(stix, json.dumps({"type": "bundle", "objects": [one, marking, identity]}))
    assert found == Indicator(
        values.domain(B),
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        valid_until=datetime(2027, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC),
        confidence=85,
        tlp="amber+strict",
        source="KISA",
        labels="malicious-activity,c2",
        reference="indicator--1",
        description="a name",
    )


@pytest.mark.parametrize(
    ("more", "tlp"),
    [
        ({}, ""),
        ({"object_marking_refs": [files.TLP_IDS["amber+strict"]]}, "amber+strict"),
        ({"object_marking_refs": [files.TLP_IDS["green"], files.TLP_IDS["red"]]}, "red"),
        ({"object_marking_refs": ["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"]}, "clear"),
        ({"granular_markings": [{"marking_ref": files.TLP_IDS["red"], "selectors": ["pattern"]}]}, "red"),
        ({"object_marking_refs": "nonsense", "granular_markings": [7]}, ""),
    ],
)
def test_the_strictest_marking_counts(more: dict[str, Any], tlp: str) -> None:
    (found,) = read(stix, files.bundle(f"[domain-name:value = '{B}']", **more))
    assert isinstance(found, Indicator)
    assert found.tlp == tlp


def test_bad_indicators_do_not_stop_the_others() -> None:
    good = f"[domain-name:value = '{B}']"
    kinds: list[dict[str, Any]] = [{"pattern_type": "sigma"}, {"valid_from": "yesterday"}, {"confidence": 101}, {"pattern": 5}, {}]
    objects = [json.loads(files.bundle(good, **kind))["objects"][0] for kind in kinds]
    found = read(stix, json.dumps([*objects, {"type": "malware"}, "text", None]))
    assert texts(found) == ["refused 1: pattern_type", "refused 2: malformed", "refused 3: malformed", "refused 4: pattern_type", B]


@pytest.mark.parametrize(
    ("text", "year"), [("9999-12-31T23:59:59-09:00", 2200), ("0001-01-01T00:00:00+09:00", 1970), ("2026-12-31T23:00:00-02:00", 2027)]
)
def test_an_end_beyond_all_bounds_is_the_farthest_there_is(text: str, year: int) -> None:
    (found,) = read(stix, files.bundle(f"[domain-name:value = '{B}']", valid_until=text))
    assert isinstance(found, Indicator)
    assert found.valid_until is not None
    assert found.valid_until.year == year


def test_a_revoked_indicator_is_not_in_force() -> None:
    (found,) = read(stix, files.bundle(f"[domain-name:value = '{B}']", revoked=True))
    assert isinstance(found, Indicator)
    assert found.valid_until == datetime(1970, 1, 1, tzinfo=UTC)


# MISP


def test_attributes_of_events_and_objects_are_read() -> None:
    attributes = [
        *(("ip-src", A), ("ip-dst|port", "203.0.113.6|443"), ("domain|ip", f"{B}|203.0.113.7"), ("hostname|port", "c2.example|80")),
        *(
            ("url", f"http://{B}/x"),
            ("sha1", "C" * 40),
            ("filename|sha256", f"a|b.exe|{SHA256}"),
            ("email-src", "a@b.example"),
            ("md5", "x"),
        ),
    ]
    event = files.misp_event(
        *attributes, tags=["tlp:amber", "TLP:GREEN", "type:OSINT"], Object=[{"Attribute": [_attribute("md5", "e" * 32)]}]
    )
    first = read(misp, json.dumps(event))
    assert texts(first) == [
        *(A, "203.0.113.6", B, "203.0.113.7", "c2.example", f"{B}/x", "c" * 40, SHA256),
        *("refused 8: unsupported", "refused 9: value", "e" * 32),
    ]
    assert isinstance(first[0], Indicator)
    assert (first[0].tlp, first[0].source, first[0].description, first[0].reference) == ("amber", "CERT", "an event", "u0")
    every = {"response": [event, files.misp_event(("domain", "two.example"), tags=["tlp:red"])]}
    both = read(misp, json.dumps(every))
    assert [one.tlp for one in both if isinstance(one, Indicator)] == ["amber"] * 9 + ["red"]
    assert texts(read(misp, json.dumps([event]))) == texts(first)


def test_attributes_not_meant_for_detection_are_passed_over() -> None:
    quiet = [_attribute("domain", B) | {"to_ids": False}, _attribute("domain", B) | {"deleted": True}]
    event = {"Event": {"Attribute": quiet, "Object": [{"deleted": True, "Attribute": [_attribute("domain", B)]}]}}
    assert read(misp, json.dumps(event)) == []


def test_an_attribute_search_is_read_with_its_own_tags() -> None:
    one = _attribute("domain", B) | {"Tag": [{"name": "tlp:red"}], "Event": {"info": "of the event", "Orgc": {"name": "KISA"}}}
    (found,) = read(misp, json.dumps({"response": {"Attribute": [one]}}))
    assert isinstance(found, Indicator)
    assert (found.tlp, found.source, found.description) == ("red", "KISA", "of the event")


def _attribute(kind: str, value: str) -> dict[str, Any]:
    return {"type": kind, "value": value, "to_ids": True}


# CSV


def test_a_csv_is_read_by_its_headings() -> None:
    content = (
        "﻿# a comment\n\nConfidence,VALUE,type,tlp,expires,description,source\n"
        f'90,{A},,TLP:RED,2027-01-01,"a, b",KISA\n'
        f",{B},host,white,2027-01-01T09:00:00+09:00,,\n"
        f",{B},ip,,,,\n,x.example,,purple,,,\n101,x.example,,,,,\n,x.example,,,soon,,\n,x.example,,,,,,9\n,,,,,,\n5,http://x.example/\n"
    )
    found = read(csv_feed, content)
    assert texts(found) == [
        *(A, B, "refused 3: value", "refused 4: malformed", "refused 5: malformed", "refused 6: malformed", "refused 7: malformed"),
        *("refused 8: value", "x.example/"),
    ]
    one, two = found[0], found[1]
    assert isinstance(one, Indicator)
    assert (one.confidence, one.tlp, one.description, one.source) == (90, "red", "a, b", "KISA")
    assert isinstance(two, Indicator)
    assert (two.tlp, two.valid_until) == ("clear", datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "content",
    ["", "ip\n203.0.113.5\n", "value,value\n", "value,colour\n", 'value\n"open', b"value\n\xff\n", b"value\n" + b"x" * 70_000, b"\0"],
)
def test_what_is_no_csv_of_ours_is_refused_whole(content: bytes | str) -> None:
    with pytest.raises(Invalid):
        read(csv_feed, content)


# JSON of any size

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(VALUES, max_size=8), st.dictionaries(st.text(max_size=3), VALUES, max_size=3), st.integers(1, 40), st.sampled_from([None, 2])
)
def test_elements_come_as_a_whole_reading_gives_them(listed: list[Any], beside: dict[str, Any], chunk: int, indent: int | None) -> None:
    document = (
        {f"a{key}": value for key, value in beside.items()} | {"objects": listed} | {f"z{key}": value for key, value in beside.items()}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)
        found = json_stream.elements(io.BytesIO(json.dumps(document, indent=indent).encode()), [("objects", "*")])
        assert [value for _, value in found if not json_stream.entered(value)] == listed


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"{",
            b'{"objects": [1,]}',
            b'{"objects": [1 2]}',
            b'{"objects": [1]} x',
            b'{"objects" 1}',
            b"{1: 2}",
            b"\xff",
            b"nul",
            b'{"a": NaN}',
        ),
        *(
            b'{"objects": ["' + b"x" * (17 << 20) + b'"]}',
            b'{"objects": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
            b'{"objects": ["\\ud800',
        ),
    ],
)
def test_what_is_not_json_or_beyond_all_bounds_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        list(json_stream.elements(io.BytesIO(content), [("objects", "*")]))
