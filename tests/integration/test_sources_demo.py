"""The demo feed: settings, formats, determinism, and lines on the real embedded bus."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.clock import KST, FixedClock, SystemClock
from core.config import Settings, load, validate
from core.errors import ConfigError
from ingest.attribution import Attribution
from ingest.rawbatch import Origin
from ingest.sources.demo import DemoFeed, fortigate_lines
from tests.servers.receiving import receiving

FILE = Path(__file__).resolve().parents[2] / "runtime" / "demo.yaml"
START = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)  # after midnight in Korea
FORMATS = {
    "fortigate": r'<1\d\d>date=2026-03-05 time=00:3\d:\d\d devname="[A-Z0-9-]+" devid="FGVM\d{10}" eventtime=\d{19} tz="\+0900" logid="',
    "paloalto": r"<14>Mar  5 00:3\d:\d\d [A-Z0-9-]+ 1,2026/03/05 00:3\d:\d\d,\d{15},(TRAFFIC|THREAT),(end|drop|vulnerability),2561,",
    "asa": r"<16[46]>Mar 05 2026 00:3\d:\d\d [A-Z0-9-]+ : %ASA-[46]-(106023|302014|302016|113015|113012): ",
    "suricata": r"<141>Mar  5 00:3\d:\d\d [A-Z0-9-]+ suricata\[811\]: \{",
    "webguard": r"<134>Mar  5 00:3\d:\d\d [A-Z0-9-]+ CEF:0\|Hanul\|WebGuard\|4\.2\|\d+\|[^|]+\|\d+\|rt=\d{13} ",
    "bluemax": r"<190>1 2026-03-04T15:3\d:\d\d\.\d{6}Z \[fw4_(allow|deny)\] \[[0-9.]+\] 2026-03-05 00:3\d:\d\d,2026-03-05 00:3\d:\d\d,\d+,",
}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(FILE, {})


def generated(settings: Settings, n: int) -> list[tuple[Origin, bytes]]:
    """Lines that were only made; nothing is sent, so no intake is needed."""
    return list(DemoFeed(None, settings, FixedClock(START)).generate(n))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def feed(settings: Settings) -> list[tuple[Origin, bytes]]:
    return generated(settings, 20_000)


def test_the_demo_settings_hold_together(settings: Settings) -> None:
    Attribution(settings)
    assert {(listener.kind, listener.host, listener.port) for listener in settings.intake.listeners} == {
        ("udp", "127.0.0.1", 5514),
        ("tcp", "127.0.0.1", 5514),
    }
    assert all(agency.name_ko and agency.name_en for agency in settings.agencies)


def test_the_noise_at_the_doors_is_no_scan_of_the_city(feed: list[tuple[Origin, bytes]]) -> None:
    """A stranger refused at four agencies within an hour would be an incident, each minute another one."""
    doors: dict[bytes, set[str]] = {}
    for origin, line in feed:
        for stranger in re.findall(rb"\b192\.0\.2\.(?!191\b)\d+\b", line):
            doors.setdefault(stranger, set()).add(origin.agency)
    assert len(doors) > 100
    assert max(map(len, doors.values())) == 1


def test_every_line_has_its_devices_format(feed: list[tuple[Origin, bytes]]) -> None:
    kinds: Counter[str] = Counter()
    for origin, line in feed:
        kind = origin.source.partition("-")[0]
        assert re.match(FORMATS[kind], line.decode()), line
        assert b"\n" not in line
        kinds[kind] += 1
    assert set(kinds) == set(FORMATS)


def test_suricata_writes_json_with_the_same_time_as_its_header(feed: list[tuple[Origin, bytes]]) -> None:
    some = [line.decode() for origin, line in feed if origin.source.startswith("suricata")]
    for line in some:
        header, _, body = line.partition(": ")
        at = datetime.strptime(json.loads(body)["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
        assert at.astimezone(KST).strftime("%H:%M:%S") in header
    assert len(some) > 100


def test_columns_of_csv_lines_are_as_many_as_the_format_has(feed: list[tuple[Origin, bytes]]) -> None:
    width = {b"fw4_deny": 17, b"fw4_allow": 19}
    seen = set()
    for origin, line in feed:
        if origin.source.startswith("bluemax"):
            kind = b"fw4_deny" if b"[fw4_deny]" in line else b"fw4_allow"
            assert line.rpartition(b"] ")[2].count(b",") + 1 == width[kind], line
            seen.add(kind)
    assert seen == set(width)


def test_the_same_seed_and_time_give_the_same_lines(settings: Settings) -> None:
    def made(seed: int) -> list[tuple[Origin, bytes]]:
        return generated(settings.model_copy(update={"demo": settings.demo.model_copy(update={"seed": seed})}), 500)

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_an_attack_story_begins_within_seconds_and_has_every_scene(feed: list[tuple[Origin, bytes]]) -> None:
    minute = [line.lower() for _, line in feed[:3100]]  # 50 quiet lines a second, and the story's
    for sign in (b"union%20select", b"${jndi:ldap://", b"cobalt strike", b"login fail", b"198.51.100.66"):
        assert any(sign in line for line in minute), sign
    quarter = b"\n".join(minute[:800])
    assert b"${jndi:ldap://" in quarter
    enemies = [enemy for enemy in (b"203.0.113.45", b"203.0.113.77", b"198.51.100.23", b"192.0.2.191") if quarter.count(enemy) > 40]
    assert len(enemies) == 1


async def test_the_feed_puts_its_lines_on_the_bus(tmp_path: Path, settings: Settings) -> None:
    async with receiving(tmp_path) as centre:
        feeding = asyncio.create_task(DemoFeed(centre.intake, settings, SystemClock()).run())
        await centre.until(60)
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding
        assert {origin.transport for origin in centre.origins} == {"demo"}
        assert {origin.agency for origin in centre.origins} <= {agency.id for agency in settings.agencies}
        now = datetime.now(UTC)
        for batch in centre.batches:
            assert abs(batch.received_at - now) < timedelta(minutes=1)


async def test_a_feed_that_fell_behind_goes_on_from_now(tmp_path: Path, settings: Settings) -> None:
    async with receiving(tmp_path) as centre:
        clock = FixedClock(START)
        feeding = asyncio.create_task(DemoFeed(centre.intake, settings, clock).run())
        await centre.until(1)
        clock.advance(timedelta(hours=10))
        await centre.until(2)
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding
        await centre.all()
        assert len(centre.lines()) < 20


def test_settings_without_a_device_are_refused() -> None:
    tree = {"agencies": [{"id": "a", "name_ko": "a", "sources": [{"name": "router-1"}]}]}
    with pytest.raises(ConfigError, match="fortigate, paloalto"):
        generated(validate(tree), 1)


def test_bench_lines_are_many_alike_and_about_600_bytes() -> None:
    made = fortigate_lines(2000, seed=3)
    assert made == fortigate_lines(2000, seed=3)
    assert len(set(made)) == 2000
    assert 540 < sum(map(len, made)) / len(made) < 660
    assert all(line.startswith(b"<189>date=2026-01-01 time=09:00:0") and b'type="traffic"' in line for line in made)
