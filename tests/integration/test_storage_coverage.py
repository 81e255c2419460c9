"""What parsers made of each source's lines, asked of both stores."""

from __future__ import annotations

from datetime import timedelta

from core.events import EVENTS, QUARANTINE
from core.storage.contract import Store
from core.storage.coverage import ParserCoverage, SourceCoverage, coverage
from tests.rows import NOON, ipv4, rows

HOUR = timedelta(hours=1)


async def fill(store: Store) -> None:
    """Two sources of Gangnam (one of two products, one all in quarantine), one of Mapo, one line too old and one of an exercise."""
    await store.insert("events", rows(3, EVENTS, src_ip=[ipv4(10, 0, 0, 1), None, ipv4(10, 0, 0, 2)], user=["kim", "", ""]), "a")
    await store.insert("events", rows(1, EVENTS, raw_offset=1, parser="generic_kv", dst_port=0, intake_flags=72), "b")
    await store.insert("events", rows(1, EVENTS, raw_offset=2, agency="mapo", source="ips"), "c")
    await store.insert("events", rows(1, EVENTS, raw_offset=3, received_at=NOON - 2 * HOUR), "d")
    await store.insert("events", rows(1, EVENTS, raw_offset=5, source="exercise/fw1", exercise="DRL-2026-000001"), "f")
    await store.insert(
        "quarantine", rows(2, QUARANTINE, raw_offset=4, source="old", reason=["no_parser", "malformed"], intake_flags=[0, 64]), "e"
    )


async def test_lines_columns_and_refusals_of_each_source(any_store: Store) -> None:
    await fill(any_store)
    assert await coverage(any_store, NOON - HOUR, NOON + HOUR, None) == [
        SourceCoverage(
            "gangnam",
            "fw1",
            (ParserCoverage("fortigate", 3, {"src_ip": 2, "user": 1}), ParserCoverage("generic_kv", 1, {"dst_port": 1})),
            {},
            masked=1,
        ),
        SourceCoverage("gangnam", "old", (), {"malformed": 1, "no_parser": 1}, masked=1),
        SourceCoverage("mapo", "ips", (ParserCoverage("fortigate", 1, {}),), {}),
    ]


async def test_an_agency_is_told_of_its_own_sources(any_store: Store) -> None:
    await fill(any_store)
    found = await coverage(any_store, NOON - HOUR, NOON + HOUR, {"mapo"})
    assert [(one.agency, one.source, one.lines) for one in found] == [("mapo", "ips", 1)]
    assert await coverage(any_store, NOON - HOUR, NOON + HOUR, set()) == []
