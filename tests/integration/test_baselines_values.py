"""New and rare values among invented events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.baseline_settings import FIRST_SEEN_TERMS
from detect.baselines.detector import Window
from detect.baselines.first_seen import FirstSeen
from detect.baselines.memory import Memory
from detect.baselines.population import Agencies
from detect.baselines.rare import Rare
from tests.baselines import EVERYONE, NOON, Lab, ago, open_lab

FIVE = timedelta(minutes=5)
USERS: dict[str, Any] = {
    "name": "vpn_country",
    "title": "VPN user from a new country",
    "title_ko": "VPN 사용자 새 국가",
    "columns": ["user", "src_country"],
    "when": {"log_class": ["vpn"]},
    "level": "high",
}
OURS = [term.name for term in FIRST_SEEN_TERMS]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path) as opened:
        yield opened


def only(*terms: dict[str, Any], **more: Any) -> dict[str, Any]:
    """First seen with these terms and none of ours."""
    return {"terms": list(terms), "disabled_terms": OURS, **more}


async def vpn(lab: Lab, minutes_after_noon: float, user: str, country: str, agency: str = "gangnam", **columns: str) -> None:
    at = NOON + timedelta(minutes=minutes_after_noon)
    given = {"log_class": "'vpn'", "user": f"'{user}'", "src_country": f"'{country}'", "agency": f"'{agency}'"} | columns
    await lab.events(at, 1, 3, **given)


async def test_a_new_value_is_told_once_and_never_again(lab: Lab) -> None:
    await vpn(lab, -60 * 24 * 20, "kim", "KR")
    for minute, country in ((6, "KR"), (11, "US"), (16, "US"), (21, "KR")):
        await vpn(lab, minute, "kim", country)
    watch = lab.watch("first_seen", first_seen=only(USERS))
    await lab.run(watch, NOON + 6 * FIVE)
    (row,) = await lab.told()
    assert row["rule_title"] == "First seen: VPN user from a new country"
    assert row["details"]["title_ko"] == "처음 관측됨: VPN 사용자 새 국가"
    assert (row["rule_level"], row["agency"], row["user"], row["src_country"]) == ("high", "gangnam", "kim", "US")
    assert row["details"]["values"] == {"user": "kim", "src_country": "US"}
    assert row["details"]["term"] == "vpn_country"
    assert (row["details"]["event_count"], len(row["details"]["events"])) == (3, 3)
    assert row["event_time"] == NOON + timedelta(minutes=11, seconds=2)


async def test_what_was_not_seen_for_the_length_of_the_history_is_new_again(lab: Lab) -> None:
    for days, user in ((25, "kim"), (25, "lee"), (2, "lee")):
        await vpn(lab, -60 * 24 * days, user, "KR")
    await lab.ask_and_remember(FirstSeen(), NOON, {"first_seen": only(USERS)})
    for user in ("kim", "lee", "new"):
        await vpn(lab, 1, user, "KR")
    for history, new in ((30, {"new"}), (10, {"kim", "new"}), (1, {"kim", "lee", "new"})):
        found = await lab.subjects(FirstSeen(), NOON + FIVE, {"first_seen": only(USERS, history_days=history)})
        assert found == {("gangnam", f"vpn_country|{user}|KR") for user in new}


async def test_an_agency_whose_values_are_young_is_not_judged(lab: Lab) -> None:
    await vpn(lab, -60 * 24 * 20, "kim", "KR", "gangnam")
    await vpn(lab, -60 * 24 * 3, "park", "KR", "mapo")
    for agency in ("gangnam", "mapo", "jongno"):
        await vpn(lab, 6, "new", "US", agency)
    watch = lab.watch("first_seen", first_seen=only(USERS))
    await lab.run(watch, NOON + 2 * FIVE)
    assert [row["agency"] for row in await lab.told()] == ["gangnam"]


async def test_many_new_values_at_once_are_told_of_in_part_and_learned_whole(lab: Lab) -> None:
    await vpn(lab, -60 * 24 * 20, "kim", "KR")
    await lab.ask_and_remember(FirstSeen(), NOON, {"first_seen": only(USERS)})
    await lab.events(NOON, 1, 200, log_class="'vpn'", user="concat('guess', toString(number))", src_country="'US'")
    outcome = await lab.ask(FirstSeen(), NOON + FIVE, {"first_seen": only(USERS)})
    assert (len(outcome.findings), len(outcome.seen), outcome.findings[0].details["new_values"]) == (50, 200, 200)


@pytest.mark.parametrize("agencies", [EVERYONE, Agencies(frozenset({"mapo", "jongno"}), all_but=False)], ids=["all", "some"])
async def test_a_term_without_values_is_learned_once(lab: Lab, agencies: Agencies) -> None:
    """Learning reads the kept history: not again every five minutes."""
    settings = {"first_seen": only(USERS)}
    first = await lab.ask(FirstSeen(), NOON, settings, agencies)
    assert [one.subject for one in first.seen] == ["vpn_country\x1f"] * len(agencies.names or {""})
    await Memory(lab.store).write("firstseen", Window(NOON, NOON).tick, first.seen, NOON)
    assert (await lab.ask(FirstSeen(), NOON + FIVE, settings, agencies)).seen == []


async def test_a_value_of_one_agency_is_new_at_another(lab: Lab) -> None:
    for agency, user in (("gangnam", "kim"), ("mapo", "lee")):
        await vpn(lab, -60 * 24 * 20, user, "KR", agency)
    await vpn(lab, 6, "kim", "KR", "mapo")
    await lab.run(lab.watch("first_seen", first_seen=only(USERS)), NOON + 2 * FIVE)
    assert [(row["agency"], row["user"]) for row in await lab.told()] == [("mapo", "kim")]


async def test_events_a_term_does_not_choose_teach_nothing(lab: Lab) -> None:
    await vpn(lab, -60 * 24 * 20, "kim", "KR")
    await vpn(lab, -60 * 24 * 19, "kim", "US", log_class="'auth'")
    await vpn(lab, -60 * 24 * 19, "kim", "JP", intake_flags="128")
    for country in ("US", "JP", ""):
        await vpn(lab, 6, "kim", country)
    await lab.run(lab.watch("first_seen", first_seen=only(USERS)), NOON + 2 * FIVE)
    assert {row["src_country"] for row in await lab.told()} == {"US", "JP"}


SIDES = [("203.0.113.9", "10.1.1.1", True), ("10.2.2.2", "10.1.1.1", False), ("203.0.113.9", "198.51.100.7", False)]


@pytest.mark.parametrize(("source", "destination", "inbound"), SIDES)
async def test_a_port_is_new_inbound_only_from_outside_to_inside(lab: Lab, source: str, destination: str, inbound: bool) -> None:
    addresses = {"src_ip": f"toIPv6('{source}')", "dst_ip": f"toIPv6('{destination}')"}
    firewall = {"log_class": "'firewall'", "disposition": "'allow'"}
    known = {"src_ip": "toIPv6('203.0.113.1')", "dst_ip": "toIPv6('10.1.1.1')"}
    await lab.events(ago(days=9), 60, 1, dst_port="443", **firewall, **known)
    await lab.events(NOON + FIVE, 60, 1, dst_port="3389", **firewall, **addresses)
    await lab.events(NOON + FIVE, 60, 1, dst_port="22", disposition="'deny'", log_class="'firewall'", **addresses)
    await lab.run(lab.watch("first_seen"), NOON + 2 * FIVE)
    told = [row["dst_port"] for row in await lab.told() if row["details"]["term"] == "inbound_port"]
    assert told == ([3389] if inbound else [])


@pytest.mark.parametrize(
    ("term", "columns"),
    [
        ("admin_address", {"log_class": "'auth'", "user": "'root'", "src_ip": "toIPv6('2001:db8::7')"}),
        ("user_country", {"log_class": "'vpn'", "user": "'kim'", "src_country": "'US'"}),
        ("user_network", {"log_class": "'vpn'", "user": "'kim'", "src_asn": "64500"}),
        ("waf_user_agent", {"log_class": "'waf'", "user_agent": "'sqlmap/1.8'"}),
        ("firewall_policy", {"log_class": "'firewall'", "device": "'gw1'", "rule": "'any-any'"}),
        ("source_format", {"source": "'fw1'", "parser": "'generic_kv'"}),
        ("source_device", {"source": "'fw1'", "device": "'replaced'"}),
    ],
)
async def test_each_term_of_ours_finds_its_new_value(lab: Lab, term: str, columns: dict[str, str]) -> None:
    usual = {name: value if name in ("log_class", "source") else "'usual'" for name, value in columns.items()}
    usual |= {"src_ip": "toIPv6('10.0.0.1')"} if "src_ip" in columns else {}
    usual |= {"src_asn": "64496"} if "src_asn" in columns else {}
    await lab.events(ago(days=10), 60, 1, **usual)
    await lab.ask_and_remember(FirstSeen(), NOON)
    await lab.events(NOON, 60, 1, **usual)
    await lab.events(NOON, 60, 1, **columns)
    found = (await lab.ask(FirstSeen(), NOON + FIVE)).findings
    assert [finding.details["term"] for finding in found].count(term) == 1


PORTS = {"log_class": "'firewall'", "disposition": "'allow'", "src_ip": "toIPv6('10.0.0.5')", "dst_ip": "toIPv6('203.0.113.5')"}


async def test_a_rare_port_is_told_and_told_once_a_day(lab: Lab) -> None:
    await lab.events(ago(hours=23), 4, 20_000, dst_port="if(number % 3, 443, 53)", **PORTS)
    await lab.events(ago(minutes=30), 60, 3, dst_port="4444", **PORTS)
    await lab.events(NOON + timedelta(minutes=30), 60, 3, dst_port="4444", **PORTS)
    watch = lab.watch("rare")
    await lab.run(watch, NOON + timedelta(hours=2))
    (row,) = await lab.told()
    assert (row["dst_port"], row["rule_title"]) == (4444, "Rare value: rare port outbound")
    details = row["details"]
    assert (details["observed"], details["total"], details["threshold"], details["values"]) == (3, 20_003, 10.0, {"dst_port": "4444"})
    assert details["event_count"] == 3


async def test_a_value_that_was_rare_this_morning_only_is_not_told_now(lab: Lab) -> None:
    await lab.events(ago(hours=23), 4, 20_000, dst_port="443", **PORTS)
    await lab.events(ago(hours=5), 60, 3, dst_port="4444", **PORTS)
    assert await lab.subjects(Rare(), NOON) == set()
    assert await lab.subjects(Rare(), ago(hours=4)) == {("gangnam", "outbound_port|4444")}


async def test_where_everything_is_rare_nothing_is(lab: Lab) -> None:
    await lab.events(ago(hours=23), 4, 20_000, app="'web'", agency="'gangnam'")
    await lab.events(ago(hours=23), 4, 20_000, app="if(number % 20, 'web', concat('job-', toString(number)))", agency="'mapo'")
    for agency in ("gangnam", "mapo"):
        await lab.events(ago(minutes=30), 60, 2, app="'ncat'", agency=f"'{agency}'")
    assert await lab.subjects(Rare(), NOON) == {("gangnam", "application|ncat")}


async def test_few_events_have_no_rare_values(lab: Lab) -> None:
    await lab.events(ago(hours=23), 10, 8000, app="'web'")
    await lab.events(ago(minutes=30), 60, 1, app="'ncat'")
    assert await lab.subjects(Rare(), NOON) == set()
    assert await lab.subjects(Rare(), NOON, {"rare": {"min_events": 8001}}) == {("gangnam", "application|ncat")}


async def test_values_with_odd_signs_stay_values(lab: Lab) -> None:
    odd = "a'b\\\\ {x:String} | 한글"
    await lab.events(ago(days=10), 60, 1, log_class="'waf'", user_agent="'usual'")
    await lab.ask_and_remember(FirstSeen(), NOON)
    await lab.events(NOON, 60, 1, log_class="'waf'", user_agent="concat('a\\'b\\\\\\\\ {x:String} | ', '한글')")
    found = (await lab.ask(FirstSeen(), NOON + FIVE)).findings
    assert [finding.details["values"] for finding in found if finding.details["term"] == "waf_user_agent"] == [{"user_agent": odd}]
