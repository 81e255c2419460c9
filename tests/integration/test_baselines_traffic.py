"""Beacons and hosts that send too much, among invented traffic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from detect.baselines.beacon import Beacon
from detect.baselines.memory import Memory, Seen
from detect.baselines.outbound import Outbound
from tests.baselines import NOON, Lab, ago, open_lab

DAY = 86_400
MEGABYTE = 1_000_000


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path) as opened:
        yield opened


def flow(source: str, destination: str, **columns: str) -> dict[str, str]:
    addresses = {"src_ip": f"toIPv6('{source}')", "dst_ip": f"toIPv6('{destination}')"}
    return {"log_class": "'firewall'", "disposition": "'allow'", "dst_port": "443"} | addresses | columns


def shifted(seconds: str) -> str:
    """An event time moved by SQL seconds."""
    return f"fromUnixTimestamp64Milli(toUnixTimestamp64Milli(at) + toInt64(({seconds}) * 1000), 'UTC')"


# ---- beacons ----


async def test_a_beacon_with_jitter_is_found_among_people_and_noise(lab: Lab) -> None:
    jitter = shifted("(cityHash64(number, 7) % 1000 / 1000 - 0.5) * 120")  # a fifth of the interval either way
    await lab.events(
        ago(hours=12), 300, 140, event_time=jitter, bytes_src="200 + cityHash64(number) % 8", **flow("10.0.0.9", "203.0.113.66")
    )
    # a person: bursts of a few seconds, then minutes to hours of nothing, of all sizes
    pauses = shifted("pow(cityHash64(number, 3) % 1000 / 100, 3) * 10 + number % 5")
    await lab.events(
        ago(hours=10), 60, 500, event_time=pauses, bytes_src="pow(cityHash64(number, 5) % 1000, 2)", **flow("10.0.0.10", "203.0.113.67")
    )
    # noise: times at random
    random = shifted("cityHash64(number, 11) % 36000 - number * 36")
    await lab.events(ago(hours=10), 36, 1000, event_time=random, **flow("10.0.0.11", "203.0.113.68"))
    found = {finding.subject: finding.details for finding in (await lab.ask(Beacon(), NOON)).findings}
    assert set(found) == {"10.0.0.9\x1f203.0.113.66"}
    details = found["10.0.0.9\x1f203.0.113.66"]
    assert 0.85 < details["observed"] < 1
    assert (details["source"], details["destination"], details["connections"]) == ("10.0.0.9", "203.0.113.66", 140)
    assert 270 <= details["interval_seconds"] <= 330


async def test_a_beacon_is_told_once_a_day_with_its_newest_connection(lab: Lab) -> None:
    await lab.events(ago(hours=5), 120, 240, **flow("10.0.0.9", "203.0.113.66"))
    await lab.run(lab.watch("beacon"), NOON + timedelta(hours=3))
    (row,) = await lab.told()
    assert row["details"]["event_count"] == 150
    assert len(row["details"]["events"]) == 20
    assert row["event_time"] == NOON - timedelta(seconds=120)
    assert (row["rule_level"], row["details"]["sizes"]) == ("medium", None)


@pytest.mark.parametrize(
    ("what", "columns", "told"),
    [
        ("inside", {"dst_ip": "toIPv6('10.9.9.9')"}, False),
        ("inbound", {"src_ip": "toIPv6('198.51.100.9')", "dst_ip": "toIPv6('10.0.0.1')"}, False),
        ("the line says outbound", {"src_ip": "toIPv6('198.51.100.9')", "direction": "'outbound'"}, True),
        ("the line says inbound", {"direction": "'inbound'"}, False),
        ("clocks", {"dst_port": "123"}, False),
        ("an old log", {"intake_flags": "128"}, False),
        ("IPv6", {"src_ip": "toIPv6('fd00::9')", "dst_ip": "toIPv6('2001:db8::66')"}, True),
        ("through the proxy", {"log_class": "'proxy'", "dst_ip": "toIPv6('10.0.0.80')", "domain": "'C2.example'"}, True),
        ("names", {"log_class": "'dns'", "dst_ip": "toIPv6('10.0.0.53')", "dns_query": "concat(toString(number), '.c2.example')"}, True),
    ],
)
async def test_which_connections_count(lab: Lab, what: str, columns: dict[str, str], told: bool) -> None:
    await lab.events(ago(hours=6), 180, 120, **(flow("10.0.0.9", "203.0.113.66") | columns))
    found = (await lab.ask(Beacon(), NOON)).findings
    assert bool(found) == told, what
    if "domain" in columns or "dns_query" in columns:
        assert found[0].details["destination"] == "c2.example"


@pytest.mark.parametrize(
    ("every", "count", "hours"),
    [(600, 19, 6), (60, 60, 6), (5, 10_000, 20)],
    ids=["too few", "too short", "too many"],
)
async def test_pairs_that_are_not_judged(lab: Lab, every: float, count: int, hours: float) -> None:
    await lab.events(ago(hours=hours), every, count, **flow("10.0.0.9", "203.0.113.66"))
    assert await lab.subjects(Beacon(), NOON) == set()


async def test_a_chatty_hour_is_no_beacon(lab: Lab) -> None:
    """A film: a connection a second for ten minutes, and again at night."""
    for hours in (10, 1):
        await lab.events(ago(hours=hours), 1, 600, **flow("10.0.0.9", "203.0.113.66"))
    assert await lab.subjects(Beacon(), NOON) == set()


async def test_a_destination_of_many_is_nobodys_beacon(lab: Lab) -> None:
    for host in range(11):
        await lab.events(ago(hours=6), 300, 72, **flow(f"10.0.0.{host}", "203.0.113.66"))
    await lab.events(ago(hours=6), 300, 72, agency="'mapo'", **flow("10.0.0.1", "203.0.113.66"))
    assert await lab.subjects(Beacon(), NOON) == {("mapo", "10.0.0.1|203.0.113.66")}
    ignored = {"beacon": {"ignore_destinations": ["203.0.113.66"]}}
    assert await lab.subjects(Beacon(), NOON, ignored) == set()
    assert len(await lab.subjects(Beacon(), NOON, {"beacon": {"popular_sources": 11}})) == 12


# ---- outbound volume ----


async def usual_traffic(lab: Lab, nightly: int = 0) -> None:
    """Seven days in which eight hosts sent some 20 MB an hour, and 10.0.0.3 `nightly` bytes more in the hour that ends now."""
    rows = [
        Seen("gangnam", f"10.0.0.{host}", ago(hours=hour), 20 * MEGABYTE + (host * 7919 + hour * 104_729) % (4 * MEGABYTE))
        for hour in range(2, 7 * 24 + 2)
        for host in range(1, 9)
    ]
    rows += [Seen("gangnam", "10.0.0.3", ago(days=day, hours=1), nightly + day * MEGABYTE) for day in range(1, 8) if nightly]
    await Memory(lab.store).write_sums("outbound", 1, rows, ago(hours=2))
    for host in range(1, 9):
        await lab.events(ago(minutes=50), 60, 1, bytes_src=str(20 * MEGABYTE), **flow(f"10.0.0.{host}", "203.0.113.5"))


async def test_a_host_that_sends_far_more_is_found_and_told_once_a_day(lab: Lab) -> None:
    await usual_traffic(lab)
    await lab.events(ago(minutes=50), 60, 40, bytes_src=str(25 * MEGABYTE), **flow("10.0.0.3", "198.51.100.99"))
    await lab.events(NOON + timedelta(minutes=10), 60, 40, bytes_src=str(25 * MEGABYTE), **flow("10.0.0.3", "198.51.100.99"))
    await lab.run(lab.watch("outbound"), NOON + timedelta(hours=1))
    rows = {row["details"]["unit"]: row for row in await lab.told()}
    row = rows["bytes a hour"]
    assert row["details"]["host"] == "10.0.0.3"
    assert row["details"]["observed"] == pytest.approx(1020 * MEGABYTE)
    assert row["details"]["threshold"] == 500 * MEGABYTE
    assert row["details"]["expected"] == pytest.approx(22 * MEGABYTE, abs=2 * MEGABYTE)
    assert (row["rule_level"], row["details"]["event_count"]) == ("high", 41)
    assert len(rows) == 2, "the second hour makes the day too much, too"


async def test_a_nightly_copy_is_known(lab: Lab) -> None:
    await usual_traffic(lab, nightly=1000 * MEGABYTE)
    await lab.events(ago(minutes=40), 10, 40, bytes_src=str(25 * MEGABYTE), **flow("10.0.0.3", "198.51.100.99"))
    assert await lab.subjects(Outbound(), NOON) == set()
    await lab.events(ago(minutes=40), 10, 40, bytes_src=str(45 * MEGABYTE), **flow("10.0.0.3", "198.51.100.99"))
    assert await lab.subjects(Outbound(), NOON) == {("gangnam", "hour|10.0.0.3"), ("gangnam", "day|10.0.0.3")}


async def test_only_what_goes_outside_counts(lab: Lab) -> None:
    await usual_traffic(lab)
    sent = str(25 * MEGABYTE)
    await lab.events(ago(minutes=50), 60, 40, bytes_src=sent, **flow("10.0.0.3", "10.200.0.1"))
    await lab.events(ago(minutes=50), 60, 40, bytes_dst=sent, **flow("10.0.0.4", "198.51.100.99"))
    await lab.events(ago(minutes=50), 60, 40, bytes_src=sent, **flow("198.51.100.99", "10.0.0.5"))
    assert await lab.subjects(Outbound(), NOON) == set()


async def test_slow_sending_makes_a_day_and_hours_are_remembered(lab: Lab) -> None:
    await usual_traffic(lab)
    await lab.events(NOON, 600, 72, bytes_src=str(50 * MEGABYTE), **flow("10.0.0.3", "198.51.100.99"))
    await lab.run(lab.watch("outbound"), NOON + timedelta(hours=12))
    rows = await lab.told()
    assert {(row["details"]["unit"], row["details"]["host"]) for row in rows} == {("bytes a day", "10.0.0.3")}
    assert rows[0]["received_at"] == NOON + timedelta(hours=6)  # 300 MB an hour make 1.5 times a usual day's 500 MB, and 2,000 MB


async def test_without_history_or_peers_nothing_is_told(lab: Lab) -> None:
    await lab.events(ago(minutes=50), 60, 40, bytes_src=str(25 * MEGABYTE), **flow("10.0.0.3", "198.51.100.99"))
    assert await lab.subjects(Outbound(), NOON) == set()
    for host in range(10, 15):
        await lab.events(ago(minutes=50), 60, 4, bytes_src=str(MEGABYTE), **flow(f"10.0.0.{host}", "198.51.100.99"))
    assert await lab.subjects(Outbound(), NOON) == {("gangnam", "hour|10.0.0.3")}
