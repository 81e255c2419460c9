"""Whose lines are these: listener, then certificate, then the longest address range, else nobody's."""

from __future__ import annotations

from typing import Any

import pytest

from core.config import Listener, Settings, validate
from core.errors import ConfigError
from core.events import IntakeFlag
from ingest.attribution import Attribution, certificate_names, normal_address
from ingest.rawbatch import Origin


def agency(name: str, *sources: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "name_ko": name, "sources": list(sources)}


def settings(*agencies: dict[str, Any]) -> Settings:
    return validate({"agencies": agencies})


SETTINGS = settings(
    agency(
        "jongno-gu",
        {"name": "office", "addresses": ["10.11.0.0/16"], "timezone": "Asia/Seoul"},
        {"name": "fw-1", "addresses": ["10.11.0.1/32", "2001:db8:11::/48"], "certificates": ["fw-1.jongno.example"], "timezone": "UTC"},
    ),
    agency("mapo-gu", {"name": "everything", "addresses": ["10.0.0.0/8"]}, {"name": "ips", "addresses": ["::ffff:192.0.2.0/120"]}),
)
OPEN = Listener(name="open", kind="tcp", port=0)


@pytest.fixture
def attribution() -> Attribution:
    return Attribution(SETTINGS)


@pytest.mark.parametrize(
    ("peer", "agency_id", "source", "zone"),
    [
        ("10.11.0.1", "jongno-gu", "fw-1", "UTC"),
        ("10.11.0.2", "jongno-gu", "office", "Asia/Seoul"),
        ("10.12.0.1", "mapo-gu", "everything", ""),
        ("::ffff:10.11.0.1", "jongno-gu", "fw-1", "UTC"),
        ("2001:db8:11:5::9", "jongno-gu", "fw-1", "UTC"),
        ("192.0.2.200", "mapo-gu", "ips", ""),
    ],
)
def test_the_longest_range_wins(attribution: Attribution, peer: str, agency_id: str, source: str, zone: str) -> None:
    origin = attribution.of_peer(OPEN, peer)
    assert (origin.agency, origin.source, origin.timezone, origin.flags) == (agency_id, source, zone, IntakeFlag.NONE)


def test_what_a_source_of_old_logs_sends_is_marked_so_however_it_comes() -> None:
    attribution = Attribution(settings(agency("gu", {"name": "archive", "addresses": ["10.1.0.0/16"], "replay": True})))
    bound = Listener(name="bound", kind="tcp", port=0, agency="gu", source="archive")
    origins = [attribution.of_peer(OPEN, "10.1.0.1"), attribution.of_peer(bound, "192.0.2.1"), attribution.by_key("gu", "archive", "")]
    assert [origin.flags for origin in origins] == [IntakeFlag.REPLAY] * 3


def test_the_peer_is_kept_in_its_usual_form(attribution: Attribution) -> None:
    assert attribution.of_peer(OPEN, "::ffff:10.11.0.1").peer == "10.11.0.1"


@pytest.mark.parametrize("peer", ["203.0.113.5", "2001:db8:99::1", ""])
def test_an_unknown_sender_is_kept_apart_and_flagged(attribution: Attribution, peer: str) -> None:
    assert attribution.of_peer(OPEN, peer) == Origin("_unknown", f"unknown-{peer}", "tcp", peer, IntakeFlag.UNKNOWN_SOURCE)


def test_a_certificate_goes_before_the_address(attribution: Attribution) -> None:
    origin = attribution.of_peer(OPEN, "10.12.0.1", ("other.example", "FW-1.Jongno.Example"))
    assert (origin.agency, origin.source) == ("jongno-gu", "fw-1")


def test_an_unknown_certificate_leaves_it_to_the_address(attribution: Attribution) -> None:
    assert attribution.of_peer(OPEN, "10.12.0.1", ("other.example",)).source == "everything"


def test_a_listener_with_a_source_goes_before_everything(attribution: Attribution) -> None:
    listener = Listener(name="own", kind="udp", port=0, agency="mapo-gu", source="ips")
    origin = attribution.of_peer(listener, "10.11.0.1", ("fw-1.jongno.example",))
    assert origin == Origin("mapo-gu", "ips", "udp", "10.11.0.1")


def test_a_listener_with_a_declared_source_has_its_time_zone(attribution: Attribution) -> None:
    listener = Listener(name="own", kind="udp", port=0, agency="jongno-gu", source="fw-1")
    assert attribution.of_peer(listener, "203.0.113.5").timezone == "UTC"


@pytest.mark.parametrize(("peer", "source"), [("10.11.0.1", "fw-1"), ("10.12.0.1", "agency-tls"), ("203.0.113.5", "agency-tls")])
def test_a_listener_of_an_agency_finds_the_source_within_it(attribution: Attribution, peer: str, source: str) -> None:
    listener = Listener(name="agency-tls", kind="tcp", port=0, agency="jongno-gu")
    origin = attribution.of_peer(listener, peer)
    assert (origin.agency, origin.source, origin.flags) == ("jongno-gu", source, IntakeFlag.NONE)


def test_listeners_do_not_share_what_they_remember(attribution: Attribution) -> None:
    own = Listener(name="own", kind="tcp", port=0, agency="mapo-gu", source="ips")
    assert attribution.of_peer(OPEN, "10.11.0.1").source == "fw-1"
    assert attribution.of_peer(own, "10.11.0.1").source == "ips"


def test_a_key_says_agency_and_source(attribution: Attribution) -> None:
    assert attribution.by_key("jongno-gu", "fw-1", "::ffff:203.0.113.9") == Origin(
        "jongno-gu", "fw-1", "http", "203.0.113.9", timezone="UTC"
    )
    assert attribution.by_key("jongno-gu", "script", "203.0.113.9").timezone == ""


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ({"name": "a", "addresses": ["10.0.0.0/8"]}, {"name": "b", "addresses": ["10.0.0.0/8"]}, "agencies.1.sources.0.addresses"),
        (
            {"name": "a", "addresses": ["10.1.0.0/16"]},
            {"name": "b", "addresses": ["::ffff:10.1.0.0/112"]},
            "agencies.1.sources.0.addresses",
        ),
        ({"name": "a", "certificates": ["X.example"]}, {"name": "b", "certificates": ["x.example"]}, "agencies.1.sources.0.certificates"),
    ],
)
def test_a_claim_made_twice_stops_the_start(first: dict[str, Any], second: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match="already belongs to source 'a' of agency 'one'") as raised:
        Attribution(settings(agency("one", first), agency("two", second)))
    assert raised.value.key == key


def test_two_sources_of_one_name_in_one_agency_stop_the_start() -> None:
    with pytest.raises(ConfigError, match="already belongs"):
        Attribution(settings(agency("one", {"name": "a"}, {"name": "a"})))


def test_names_of_a_certificate() -> None:
    certificate = {
        "subject": ((("organizationName", "Jongno"),), (("commonName", "fw-1"),)),
        "subjectAltName": (("DNS", "fw-1.jongno.example"), ("IP Address", "10.11.0.1"), ("DNS", "fw-1")),
    }
    assert certificate_names(certificate) == ("fw-1.jongno.example", "10.11.0.1", "fw-1")
    assert certificate_names(None) == ()


@pytest.mark.parametrize(
    ("written", "normal"),
    [("::FFFF:192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::1"), ("2001:DB8::0:1", "2001:db8::1"), ("", ""), ("unix", "unix")],
)
def test_normal_address(written: str, normal: str) -> None:
    assert normal_address(written) == normal
