"""Questions about events, on both stores: one by its id, counts, when sources were heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import NotFound
from core.events import DETECTIONS, EVENTS, QUARANTINE
from core.storage.contract import Store
from core.storage.event_queries import Heard, counts, get_event, last_seen
from tests.rows import NOON, rows

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


async def put(store: Store, count: int, name: str = "t", **columns: Any) -> None:
    await store.insert("events", rows(count, **columns), name)


async def test_one_event_by_its_id(any_store: Store) -> None:
    await put(any_store, 3, raw_epoch="k7", raw_partition=3, raw_offset=99, agency=["gangnam", "mapo", "mapo"])
    assert (await get_event(any_store, "k7-3-99-1", None))["agency"] == "mapo"
    assert (await get_event(any_store, "k7-3-99-1", {"mapo"}))["event_id"] == "k7-3-99-1"
    for name, scope in [
        ("k7-3-99-1", {"gangnam"}),
        ("k7-3-99-3", None),
        ("k8-3-99-1", None),
        ("k7-70000-99-1", None),
        ("k7-3--1-1", None),
        ("", None),
        ("'--", None),
    ]:
        with pytest.raises(NotFound):
            await get_event(any_store, name, scope)


async def test_counts_by_minute_of_what_reached_us(any_store: Store) -> None:
    minute = timedelta(minutes=1)
    at = [NOON, NOON + 59 * SECOND, NOON + 2 * minute, NOON - SECOND]
    await put(any_store, 4, received_at=at, event_time=NOON - 400 * HOUR, agency=["gangnam", "mapo", "mapo", "mapo"])
    await any_store.insert("quarantine", rows(1, QUARANTINE, received_at=NOON + minute, agency="mapo"), "t")
    await any_store.insert("detections", rows(2, DETECTIONS, received_at=NOON - 400 * HOUR, detected_at=NOON + minute), "t")
    drill = {"exercise": "DRL-2026-000001", "received_at": NOON + minute, "detected_at": NOON + minute, "raw_offset": 99}
    for table in (EVENTS, QUARANTINE, DETECTIONS):
        known = {name: value for name, value in drill.items() if name in table.names}
        await any_store.insert(table.name, rows(1, table, **known), "drill")
    all_of = await counts(any_store, NOON + 30 * SECOND, NOON + 3 * minute + 30 * SECOND, None)
    assert (all_of.events, all_of.quarantined, all_of.detections) == (3, 1, 2)
    assert [(m.at, m.events, m.quarantined, m.detections) for m in all_of.minutes] == [
        (NOON, 2, 0, 0),
        (NOON + minute, 0, 1, 2),
        (NOON + 2 * minute, 1, 0, 0),
    ]
    of_mapo = await counts(any_store, NOON, NOON + 3 * minute, {"mapo"})
    assert (of_mapo.events, of_mapo.quarantined, of_mapo.detections) == (2, 1, 0)


async def test_when_each_source_was_last_heard(any_store: Store) -> None:
    times = [NOON, NOON + SECOND, NOON - SECOND]
    await put(any_store, 3, received_at=times, agency=["gangnam", "gangnam", "mapo"], source=["fw1", "fw1", "ips"])
    await any_store.insert("quarantine", rows(1, QUARANTINE, received_at=NOON, agency="mapo", source="ips"), "t")
    await any_store.insert("quarantine", rows(1, QUARANTINE, received_at=NOON, agency="mapo", source="broken"), "u")
    await put(any_store, 1, raw_offset=99, received_at=NOON + SECOND, source="exercise/fw1", exercise="DRL-2026-000001")
    assert await last_seen(any_store, None) == [
        Heard("gangnam", "fw1", NOON + SECOND, 2),
        Heard("mapo", "broken", NOON, 1),
        Heard("mapo", "ips", NOON, 2),
    ]
    assert await last_seen(any_store, {"gangnam"}) == [Heard("gangnam", "fw1", datetime(2026, 3, 2, 12, 0, 1, tzinfo=UTC), 2)]
