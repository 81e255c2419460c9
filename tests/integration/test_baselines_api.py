"""What the baselines have learned, as the API tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import FixedClock
from detect.baselines.detector import Window
from detect.baselines.memory import SLOT, WATCH, Memory, Seen
from tests.baselines import NOON, ago
from tests.rows import rows
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = NOON + timedelta(minutes=2)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        await fill(made)
        yield made


async def fill(centre: TestCentre) -> None:
    """Sources in every state at Seogu, one at Parks, values of a term, and a silence told of."""
    store = centre.centre.store
    sent = {"heard": 26 * 60, "quiet": 26 * 60 - 60, "silent": 26 * 60 - 90, "back": 26 * 60}  # minutes with a line, from 26 hours ago on
    for number, (source, minutes) in enumerate(sent.items()):
        times = [ago(hours=26) + timedelta(minutes=minute) for minute in range(minutes) if not (source == "back" and 1500 <= minute < 1530)]
        for day in sorted({at.date() for at in times}):
            of_day = [at for at in times if at.date() == day]
            batch = rows(len(of_day), agency="seogu", source=source, received_at=of_day, raw_offset=number)
            await store.insert("events", batch, f"{source} {day}")
    await store.insert("events", rows(1, agency="seogu", source="new", received_at=[ago(minutes=1)]), "new")
    await store.insert("events", rows(1, agency="parks", source="other", received_at=[ago(minutes=1)]), "other")
    memory = Memory(store)
    for slot in range(24):
        start = ago(hours=2) + slot * SLOT
        await memory.write(WATCH, Window(start, start + SLOT).tick, (), start)
    await memory.write("silence", 5, [Seen("seogu", "silent", ago(minutes=60)), Seen("seogu", "back", ago(minutes=40))], ago(minutes=40))
    values = [Seen("seogu", "user_country\x1fkim\x1fKR", ago(days=3)), Seen("seogu", "user_country\x1flee\x1fKR", ago(days=2))]
    await memory.write("firstseen", Window(NOON, NOON).tick, [*values, Seen("parks", "user_country\x1fpark\x1fKR", ago(days=9))], NOON)


async def asked(centre: TestCentre, name: str) -> dict[str, Any]:
    async with centre.as_person(name) as client:
        answer = await client.get("/v1/baselines")
        assert answer.status_code == 200
        return answer.json()  # type: ignore[no-any-return]


async def test_states_of_sources(centre: TestCentre) -> None:
    found = await asked(centre, "analyst")
    states = {(one["agency"], one["source"]): one["state"] for one in found["sources"]}
    assert states == {
        ("parks", "other"): "learning",
        ("seogu", "back"): "heard",
        ("seogu", "heard"): "heard",
        ("seogu", "new"): "learning",
        ("seogu", "quiet"): "quiet",
        ("seogu", "silent"): "silent",
    }
    by_name = {one["source"]: one for one in found["sources"]}
    assert by_name["back"]["silence_told"] == "2040-05-23T02:20:00Z" < by_name["back"]["last"]
    assert by_name["heard"]["silence_told"] is None
    assert (by_name["heard"]["usual_lines"], by_name["heard"]["usual_slots"], by_name["heard"]["missed_slots"]) == (60, 12, 0)
    assert by_name["new"]["usual_lines"] is None
    assert by_name["quiet"]["missed_slots"] == 12  # of the hour that is over
    assert by_name["silent"]["last"] == "2040-05-23T01:25:00Z"


async def test_detectors_and_values(centre: TestCentre) -> None:
    found = await asked(centre, "auditor")
    until = {one["detector"]: one["until"] for one in found["detectors"]}
    assert set(until) == {"silence", "falling", "firstseen", "rare", "beacon", "outbound"}
    assert (until["firstseen"], until["beacon"]) == ("2040-05-23T03:00:00Z", None)
    assert all(one["enabled"] and one["title_ko"] for one in found["detectors"])
    assert found["terms"] == [
        {"agency": "parks", "term": "user_country", "values": 1, "since": "2040-05-14T03:00:00Z", "told_from": "2040-05-21T03:00:00Z"},
        {"agency": "seogu", "term": "user_country", "values": 2, "since": "2040-05-20T03:00:00Z", "told_from": "2040-05-27T03:00:00Z"},
    ]


async def test_an_officer_sees_their_own_agency_alone(centre: TestCentre) -> None:
    found = await asked(centre, "officer")
    assert {one["agency"] for one in found["sources"]} == {"seogu"}
    assert {one["agency"] for one in found["terms"]} == {"seogu"}
    async with centre.as_machine("rules:read", agency="parks") as machine:
        own = (await machine.get("/v1/baselines")).json()
    assert {one["agency"] for one in (*own["sources"], *own["terms"])} == {"parks"}
    async with centre.as_machine("counters:read") as machine:
        assert (await machine.get("/v1/baselines")).status_code == 403
