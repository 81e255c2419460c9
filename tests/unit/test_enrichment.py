"""Dictionaries of enrichment: which network wins, what files may hold, what becomes of a broken one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from core import metrics
from core.config import EnrichmentSettings
from core.errors import DictionaryError
from ingest.enrichment import assets, geography, threats
from ingest.enrichment.assets import Asset
from ingest.enrichment.geography import AddressDatabase, AutonomousSystem
from ingest.enrichment.library import Library
from ingest.enrichment.networks import ADDRESS, NetworkTable
from ingest.enrichment.threats import Threats

HEAD = "cidr,system,owner,importance,agency\n"


def packed(*addresses: str) -> np.ndarray:
    numbers = [ip_address(one) for one in addresses]
    return np.array([one.packed if one.version == 6 else b"\0" * 10 + b"\xff\xff" + one.packed for one in numbers], ADDRESS)


@st.composite
def networks(draw: st.DrawFn) -> IPv4Network | IPv6Network:
    """Networks near one another, so that many lie in others, and some that span all of IPv4's."""
    if draw(st.booleans()):
        return ip_network((0x0A000000 | draw(st.integers(0, 255)), draw(st.integers(22, 32))), strict=False)
    base = draw(st.sampled_from([0, 0x20010DB8 << 96, 0xFFFE << 32, 0xFFFF << 32, (1 << 128) - 256]))
    prefix = draw(st.sampled_from([0, 1, 64, 80, 95, 120, 124, 127, 128]))
    return IPv6Network((base | draw(st.integers(0, 255)), prefix), strict=False)


ADDRESSES = ["0.0.0.1", "9.255.255.255", *(f"10.0.0.{n}" for n in range(0, 256, 5)), "10.0.3.255", "255.255.255.255"] + [
    str(IPv6Address(base + n))
    for base in (0, 0x20010DB8 << 96, 0xFFFE << 32, (0xFFFF << 32) - 256, 0x10000 << 32, (1 << 128) - 256)
    for n in range(0, 256, 15)
]


@given(st.lists(networks(), max_size=12))
def test_the_longest_prefix_wins_as_a_plain_search_says(held: list[IPv4Network | IPv6Network]) -> None:
    table = NetworkTable([(one, number) for number, one in enumerate(held, 1)], told=lambda inside: inside[-1], nothing=0)
    every = NetworkTable(
        [(one, (number,)) for number, one in enumerate(held, 1)], told=lambda inside: tuple(sorted(sum(inside, ()))), nothing=()
    )
    found = [table.values[place] for place in table.find(packed(*ADDRESSES))]
    all_of = [every.values[place] for place in every.find(packed(*ADDRESSES))]
    for text, winner, holders in zip(ADDRESSES, found, all_of, strict=True):
        address: IPv4Address | IPv6Address = ip_address(text)
        holding = [(one.prefixlen, number) for number, one in enumerate(held, 1) if _holds(one, address)]
        assert winner == (max(holding)[1] if holding else 0)
        assert holders == tuple(sorted(number for _, number in holding))


def _holds(one: IPv4Network | IPv6Network, address: IPv4Address | IPv6Address) -> bool:
    if one.version == address.version:
        return address in one
    inside_mapped = one.version == 6 and one.network_address.ipv4_mapped is not None and one.prefixlen >= 96
    return inside_mapped and address.version == 4 and IPv6Address(f"::ffff:{address}") in one


# --- the inventory


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "assets.csv",
            "# ours\ncidr,system,owner,importance,agency\n10.0.0.0/8, office ,,low,\n10.1.0.0/16,tax,Kim,critical,gu\n"
            '10.1.0.0/16,water,Lee,high,\n2001:db8::/32,"web, public",Park,medium,\n192.0.2.1,mail,Choi,high,\n',
        ),
        (
            "assets.yaml",
            "- {cidr: 10.0.0.0/8, system: office, importance: low}\n- cidr: 10.1.0.0/16\n  system: tax\n  owner: Kim\n"
            "  importance: critical\n  agency: gu\n- {cidr: 10.1.0.0/16, system: water, owner: Lee, importance: high}\n"
            '- {cidr: "2001:db8::/32", system: "web, public", owner: Park, importance: medium}\n'
            "- {cidr: 192.0.2.1, system: mail, owner: Choi, importance: high}\n",
        ),
    ],
)  # fmt: skip
def test_an_inventory_in_both_forms(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    inventory = assets.load(tmp_path / name, {"gu", "other"})
    asked = packed("10.1.2.3", "10.2.0.1", "2001:db8::9", "192.0.2.1", "192.0.2.2", "172.16.0.1")

    def told(agency: str) -> list[Asset]:
        words = {field: column.to_pylist() for field, column in inventory.words.items()}
        return [Asset(*(words[field][number] for field in ("system", "owner", "importance"))) for number in inventory.find(agency, asked)]

    rest = [Asset("office", "", "low"), Asset("web, public", "Park", "medium"), Asset("mail", "Choi", "high"), Asset(), Asset()]
    assert inventory.entries == 5
    assert inventory.of_agency == {"gu"}
    assert told("gu") == [Asset("tax", "Kim", "critical"), *rest]
    assert told("") == [Asset("water", "Lee", "high"), *rest]


@pytest.mark.parametrize(
    ("name", "text", "line", "reason"),
    [
        ("a.csv", "10.0.0.0/8,office,Kim,low\n", 1, "headings"),
        ("a.csv", HEAD + "10.0.0.0/8,office,Kim,low,\n\n10.0.0.0/8,office,Kim\n", 4, "3 cells under 5 headings"),
        ("a.csv", HEAD + "10.0.0.300,office,Kim,low,\n", 2, "neither an address nor a network"),
        ("a.csv", HEAD + "10.0.0.1/8,office,Kim,low,\n", 2, r"10\.0\.0\.0/8 is meant"),
        ("a.csv", HEAD + "10.0.0.0/8,office,Kim,urgent,\n", 2, "critical, high, medium, low"),
        ("a.csv", HEAD + "10.0.0.0/8,,Kim,low,\n", 2, "system is missing"),
        ("a.csv", HEAD + "10.0.0.0/8,office,Kim,low,nobody\n", 2, "no agency 'nobody'"),
        ("a.csv", HEAD + "10.0.0.0/8,a,,low,\n10.0.0.0/8,b,,low,\n", 3, "line 2 already"),
        ("a.csv", HEAD + '10.0.0.0/8,"a,,low,\n', 2, "is not CSV"),
        ("a.yaml", "cidr: 10.0.0.0/8\n", 1, "a list of mappings"),
        ("a.yaml", "- {cidr: 10.0.0.0/8, system: a, importance: low}\n- {cidr: 10.0.0.0/9, name: a}\n", 2, "an entry has cidr"),
        ("a.yaml", "- {cidr: 10.0.0.0/8, system: a, importance: low}\n- 10.0.0.0/9\n", 2, "must be a mapping"),
        ("a.yaml", "- {cidr: 10.0.0.0/8,\n- x", 2, "is not YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_inventory_is_told_with_its_line(tmp_path: Path, name: str, text: str, line: int, reason: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DictionaryError, match=reason) as told:
        assets.load(tmp_path / name, {"gu"})
    assert told.value.line == line


# --- known-bad lists


def test_a_list_holds_addresses_networks_and_domains(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text(
        "# list\n198.51.100.7\n203.0.113.0/24 # all of it\n2001:db8::bad\nEvil.Example.\n*.worse.example\n", encoding="utf-8"
    )
    (tmp_path / "more.txt").write_text("203.0.113.9\nmail.evil.example\n", encoding="utf-8")
    both = Threats({"bad": threats.load(tmp_path / "bad.txt"), "more": threats.load(tmp_path / "more.txt")})
    asked = packed("198.51.100.7", "198.51.100.8", "203.0.113.9", "203.0.113.10", "2001:db8::bad")
    assert [both.networks.values[place] for place in both.networks.find(asked)] == [("bad",), (), ("bad", "more"), ("bad",), ("bad",)]
    names = ["evil.example", "MAIL.evil.EXAMPLE.", "a.b.worse.example", "notevil.example", "example", "", "."]
    assert [both.domain(name) for name in names] == ["bad", "bad,more", "bad", "", "", "", ""]


@pytest.mark.parametrize("entry", ["not a name", "http://evil.example/", "10.0.0.1/8", "300.1.1.1", "-bad-.example", "localhost"])
def test_what_is_wrong_in_a_list_is_told_with_its_line(tmp_path: Path, entry: str) -> None:
    (tmp_path / "bad.txt").write_text(f"# list\n198.51.100.7\n{entry}\n", encoding="utf-8")
    with pytest.raises(DictionaryError) as told:
        threats.load(tmp_path / "bad.txt")
    assert told.value.line == 3


# --- databases


def database(file: Path, kind: str, records: dict[str, dict[str, object]], version: int = 4) -> Path:
    writer = MMDBWriter(version, kind, languages=["en"], ipv4_compatible=version == 6, description="of the tests")
    for cidr, record in records.items():
        writer.insert_network(IPSet([cidr]), record)
    writer.to_db_file(str(file))
    return file


def mapped(address: str) -> bytes:
    return b"\0" * 10 + b"\xff\xff" + IPv4Address(address).packed


def test_countries_and_systems_of_a_database(tmp_path: Path) -> None:
    file = database(
        tmp_path / "country.mmdb",
        "GeoLite2-Country",
        {
            "198.51.100.0/24": {"country": {"iso_code": "kr"}},
            "203.0.113.0/24": {"registered_country": {"iso_code": "US"}},
            "192.0.2.0/24": {},
        },
    )
    countries = AddressDatabase(file, geography.country, "")
    assert [countries.find(mapped(one)) for one in ("198.51.100.9", "203.0.113.1", "192.0.2.1", "10.0.0.1")] == ["KR", "US", "", ""]
    assert countries.find(IPv6Address("2001:db8::1").packed) == ""
    file = database(
        tmp_path / "asn.mmdb",
        "GeoLite2-ASN",
        {
            "198.51.100.0/24": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Telecom"},
            "2001:db8::/32": {"asn": "AS64501", "as_name": "Six"},
        },
        version=6,
    )
    systems = AddressDatabase(file, geography.autonomous_system, AutonomousSystem())
    assert systems.find(mapped("198.51.100.9")) == AutonomousSystem(64500, "Example Telecom")
    assert systems.find(IPv6Address("2001:db8::1").packed) == AutonomousSystem(64501, "Six")
    assert systems.find(mapped("10.0.0.1")) == AutonomousSystem(None, "")


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.mmdb").write_bytes(b"nothing of the kind")
    with pytest.raises(DictionaryError, match="MaxMind"):
        AddressDatabase(tmp_path / "x.mmdb", geography.country, "")


# --- files that change


def broken(name: str) -> float:
    return metrics.DICTIONARY_BROKEN.labels(name)._value.get()  # type: ignore[no-any-return]


def test_a_changed_file_is_read_again_and_a_broken_one_keeps_the_old_table(tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_text("evil.example\n", encoding="utf-8")
    library = Library(EnrichmentSettings(known_bad={"feed": file}), [])
    assert not library.tables
    library.refresh()
    first = library.tables
    assert first.threats is not None
    assert first.threats.domain("evil.example") == "feed"
    library.refresh()
    assert library.tables is first

    replaced(file, "evil.example\nnot a name\n")
    library.refresh()
    assert library.tables is first
    assert library.states[0].problem == f"{file}:2: 'not a name' is neither an address nor a network such as 192.0.2.0/24, nor a domain"
    assert library.states[0].held == "1 entries"
    assert broken("known_bad.feed") == 1

    replaced(file, "worse.example\n203.0.113.9\n")
    library.refresh()
    assert library.tables.threats is not None
    assert library.tables.threats.domain("worse.example") == "feed"
    assert library.tables.threats.domain("evil.example") == ""
    assert library.states[0].problem == ""
    assert broken("known_bad.feed") == 0

    file.unlink()
    library.refresh()
    assert library.tables.threats.domain("worse.example") == "feed"
    assert "No such file" in library.states[0].problem


def test_what_cannot_be_read_at_the_start_leaves_the_others_in_use(tmp_path: Path) -> None:
    (tmp_path / "assets.csv").write_text(HEAD + "10.0.0.0/8,office,,low,\n", encoding="utf-8")
    library = Library(EnrichmentSettings(assets=tmp_path / "assets.csv", country_db=tmp_path / "missing.mmdb"), [])
    library.refresh()
    assert library.tables.assets is not None
    assert library.tables.geography is None
    assert [bool(state.problem) for state in library.states] == [False, True]


def test_a_database_that_is_overwritten_in_place_is_read_again(tmp_path: Path) -> None:
    file = database(tmp_path / "c.mmdb", "GeoLite2-Country", {"198.51.100.0/24": {"country": {"iso_code": "KR"}}})
    library = Library(EnrichmentSettings(country_db=file), [])
    library.refresh()
    before = library.tables.geography
    assert before is not None
    other = database(tmp_path / "d.mmdb", "GeoLite2-Country", {"198.51.100.0/24": {"country": {"iso_code": "US"}}})
    file.write_bytes(b"")
    assert before.find(mapped("198.51.100.1")) == ("KR", None, "")
    file.write_bytes(other.read_bytes())
    library.refresh()
    assert library.tables.geography is not None
    assert library.tables.geography.find(mapped("198.51.100.1")) == ("US", None, "")


def replaced(file: Path, text: str) -> None:
    """Write anew, as an editor does: another file under the same name."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)
