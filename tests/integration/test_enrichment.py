"""Enrichment on its way through the normaliser: columns by dictionary, per agency, with directions; and what the doctor says of it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from core.clock import FixedClock
from core.config import EnrichmentSettings, IntakeSettings, validate
from core.engine import Engine
from core.events import ENRICHED, EVENTS
from ingest.compile import ParserSet
from ingest.enrichment.columns import enrich
from ingest.enrichment.library import Library
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from runtime.commands.checks import examine
from tests.parsing import NOW, record

ASSETS = """cidr,system,owner,importance,agency
10.0.0.0/8,office network,IT team,low,
10.1.0.0/16,tax system,Kim,critical,gu-a
10.1.0.0/16,library,Lee,low,gu-b
198.51.100.16/28,city web,Park,high,
"""
URL = (
    'date=2026-03-05 time=14:59:58 devname="FGT-1" devid="FGT60F0000000001" tz="+0900" logid="0317013312" type="utm" subtype="webfilter" '
    'level="notice" vd="root" srcip={src} srcport=40000 dstip={dst} dstport=80 proto=6 action="passthrough" hostname="{host}" url="{url}"'
)
TRAFFIC = (
    'date=2026-03-05 time=14:59:58 devname="FGT-1" devid="FGT60F0000000001" tz="+0900" logid="0000000013" type="traffic" subtype="forward" '
    'level="notice" vd="root" srcip={src} srcport=40000 dstip={dst} dstport=443 proto=6 action="accept" policyid=1 service="HTTPS"'
)
ADMIN = (
    'date=2026-03-05 time=14:59:58 devname="FGT-1" devid="FGT60F0000000001" tz="+0900" logid="0100032001" type="event" subtype="system" '
    'level="information" vd="root" user="admin" action="login" status="success"'
)


def packed(address: str) -> bytes:
    return b"\0" * 10 + b"\xff\xff" + IPv4Address(address).packed


def mmdb(file: Path, kind: str, records: dict[str, dict[str, object]]) -> Path:
    writer = MMDBWriter(4, kind, languages=["en"], description="of the tests")
    for cidr, told in records.items():
        writer.insert_network(IPSet([cidr]), told)
    writer.to_db_file(str(file))
    return file


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> EnrichmentSettings:
    folder = tmp_path_factory.mktemp("dictionaries")
    (folder / "assets.csv").write_text(ASSETS, encoding="utf-8")
    (folder / "feed.txt").write_text("203.0.113.0/24\nevil.example\n", encoding="utf-8")
    (folder / "kisa.txt").write_text("203.0.113.66\nwww.evil.example\n", encoding="utf-8")
    return EnrichmentSettings(
        assets=folder / "assets.csv",
        country_db=mmdb(folder / "country.mmdb", "GeoLite2-Country", {"203.0.113.0/24": {"country": {"iso_code": "NL"}}}),
        asn_db=mmdb(
            folder / "asn.mmdb",
            "GeoLite2-ASN",
            {"203.0.113.0/24": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example BV"}},
        ),
        known_bad={"feed": folder / "feed.txt", "kisa": folder / "kisa.txt"},
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def rows(engine: Engine, settings: EnrichmentSettings, *batches: tuple[str, list[str]]) -> list[dict[str, Any]]:
    """The events of lines by agency."""
    library = Library(settings, ["gu-a", "gu-b"])
    library.refresh()
    normaliser = Normaliser(engine, ParserSet.load(), IntakeSettings(), FixedClock(NOW), library)
    try:
        records = [
            record([line.encode() for line in lines], offset, origin=Origin(agency, "fw", "tcp"))
            for offset, (agency, lines) in enumerate(batches)
        ]
        done = normaliser.normalise(records, "e")
    finally:
        normaliser.close()
    assert done.events.schema == EVENTS.schema
    assert not done.quarantine.num_rows
    return done.events.to_pylist()  # type: ignore[no-any-return]


def test_every_dictionary_fills_its_columns(engine: Engine, configured: EnrichmentSettings) -> None:
    line = URL.format(src="10.1.2.3", dst="203.0.113.66", host="WWW.Evil.Example", url="http://cdn.evil.example:8080/x?y=1")
    (row,) = rows(engine, configured, ("gu-a", [line]))
    told = {column.name: row[column.name] for column in ENRICHED if row[column.name] not in ("", None)}
    assert told == {
        "src_system": "tax system",
        "src_owner": "Kim",
        "src_importance": "critical",
        "dst_country": "NL",
        "dst_asn": 64500,
        "dst_as_org": "Example BV",
        "dst_threat": "feed,kisa",
        "domain_threat": "feed,kisa",
    }
    assert row["direction"] == "outbound"


def test_an_agencys_own_networks_are_not_anothers(engine: Engine, configured: EnrichmentSettings) -> None:
    lines = [TRAFFIC.format(src="10.1.2.3", dst="10.2.0.1"), TRAFFIC.format(src="192.0.2.1", dst="10.1.0.1")]
    found = rows(engine, configured, ("gu-a", lines), ("gu-b", lines), ("gu-c", lines))
    assert [(row["agency"], row["src_system"], row["dst_system"], row["direction"]) for row in found] == [
        ("gu-a", "tax system", "office network", "internal"),
        ("gu-a", "", "tax system", "inbound"),
        ("gu-b", "library", "office network", "internal"),
        ("gu-b", "", "library", "inbound"),
        ("gu-c", "office network", "office network", "internal"),
        ("gu-c", "", "office network", "inbound"),
    ]


def test_a_direction_the_device_told_stays(engine: Engine, configured: EnrichmentSettings) -> None:
    library = Library(configured, ["gu-a", "gu-b"])
    library.refresh()
    ours, theirs = packed("10.1.2.3"), packed("203.0.113.9")
    told = pa.table(
        {
            "agency": ["gu-a"] * 4,
            "src_ip": pa.array([ours, ours, theirs, None], pa.binary(16)),
            "dst_ip": pa.array([theirs, theirs, theirs, ours], pa.binary(16)),
            "direction": ["inbound", "", "", ""],
            "domain": [""] * 4,
            "dns_query": [""] * 4,
            "url": [""] * 4,
        }
    )
    assert enrich(told, library.tables).column("direction").to_pylist() == ["inbound", "outbound", "", ""]


def test_lines_without_addresses_or_known_ones_are_left_alone(engine: Engine, configured: EnrichmentSettings) -> None:
    lines = [ADMIN, TRAFFIC.format(src="192.0.2.1", dst="192.0.2.2"), TRAFFIC.format(src="10.0.0.1", dst="2001:db8::1")]
    admin, unknown, mixed = rows(engine, configured, ("gu-a", lines))
    for row in (admin, unknown):
        assert not any(row[column.name] for column in ENRICHED)
        assert row["direction"] == ""
    assert (mixed["src_system"], mixed["dst_system"], mixed["direction"]) == ("office network", "", "outbound")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://user@evil.example/x", "feed"),
        ("evil.example/x", "feed"),
        ("www.evil.example:443", "feed,kisa"),
        ("http://evil.example?x=1", "feed"),
        ("/evil.example/x", ""),
        ("http://notevil.example/", ""),
        ("https://host.example/?u=http://evil.example/", ""),
    ],
)
def test_the_host_of_an_url_is_looked_up(engine: Engine, configured: EnrichmentSettings, url: str, found: str) -> None:
    (row,) = rows(engine, configured, ("gu-a", [URL.format(src="10.0.0.1", dst="192.0.2.2", host="host.example", url=url)]))
    assert row["url"] == url
    assert row["domain_threat"] == found


def test_with_nothing_configured_nothing_is_filled(engine: Engine) -> None:
    (row,) = rows(engine, EnrichmentSettings(), ("gu-a", [TRAFFIC.format(src="10.1.2.3", dst="203.0.113.66")]))
    assert not any(row[column.name] for column in ENRICHED)
    assert row["direction"] == ""


async def test_the_doctor_says_what_is_loaded_and_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "assets.csv").write_text(ASSETS, encoding="utf-8")
    (tmp_path / "feed.txt").write_text("evil.example\nnot a name\n", encoding="utf-8")
    agencies = [{"id": "gu-a", "name_ko": "가구"}, {"id": "gu-b", "name_ko": "나구"}]
    enrichment = {"assets": str(tmp_path / "assets.csv"), "known_bad": {"feed": str(tmp_path / "feed.txt")}}
    off = {"card": {"enabled": False, "reason": "test cards", "approved_by": "CISO"}}
    settings = validate({"data_dir": str(tmp_path / "data"), "agencies": agencies, "enrichment": enrichment, "intake": {"masking": off}})
    told = {finding.check: finding for finding in await examine(settings)}
    assert told["enrichment.assets"].ok
    assert told["enrichment.assets"].detail == f"{tmp_path / 'assets.csv'}: 4 entries"
    assert not told["enrichment.known_bad.feed"].ok
    assert f"{tmp_path / 'feed.txt'}:2" in told["enrichment.known_bad.feed"].detail
    assert "test cards (CISO)" in told["masking of card"].detail
