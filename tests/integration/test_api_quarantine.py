"""The lines in quarantine over the API: who sees which, why they are there, and how they come in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.clock import FixedClock
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def test_a_line_is_told_with_its_bytes_and_the_reason(centre: TestCentre) -> None:
    await centre.put_quarantined("seogu", NOW - timedelta(minutes=5), 1)
    async with centre.as_person("analyst") as analyst:
        (line,) = (await analyst.get("/v1/quarantine")).json()["items"]
    assert line == {
        "event_id": "e1-0-1-0",
        "received_at": "2026-05-01T02:55:30.000Z",
        "agency": "seogu",
        "source": "fw-1",
        "transport": "tcp",
        "raw": "bad 0",
        "reason": "no_parser",
        "detail": "no parser knows this format",
    }


async def test_lines_are_asked_for_by_time_agency_source_and_reason(centre: TestCentre) -> None:
    await centre.put_quarantined("seogu", NOW - timedelta(minutes=5), 2)
    await centre.put_quarantined("parks", NOW - timedelta(minutes=5), 3)
    await centre.put_quarantined("parks", NOW - timedelta(hours=5), 4)
    async with centre.as_person("analyst") as analyst:

        async def found(**query: str) -> int:
            answer = await analyst.get("/v1/quarantine", params=query)
            assert answer.status_code == 200, answer.text
            return len(answer.json()["items"])

        assert await found() == 5
        assert await found(since="2026-04-30T00:00:00Z") == 9
        assert await found(since="1970-01-01T00:00:00Z", until="2199-12-31T23:59:59-12:00") == 9
        assert await found(until="1970-01-01T00:00:00+14:00") == 0
        assert await found(until="2026-05-01T02:55:31Z") == 2
        assert await found(agency="parks") == 3
        assert await found(source="fw-1") == 5
        assert await found(source="fw-2") == 0
        assert await found(reason="malformed") == 0
        for wrong in ({"cursor": "nonsense"}, {"since": "2026-05-01T03:00:30Z"}, {"since": "yesterday"}, {"limit": "0"}):
            assert (await analyst.get("/v1/quarantine", params=wrong)).status_code == 422, wrong


async def test_an_agency_sees_its_own_lines_alone(centre: TestCentre) -> None:
    for agency in ("seogu", "parks", "_unknown"):
        await centre.put_quarantined(agency, NOW - timedelta(minutes=5), 2)
    async with centre.as_person("officer") as officer, centre.as_person("mayor") as mayor:
        assert {one["agency"] for one in (await officer.get("/v1/quarantine")).json()["items"]} == {"seogu"}
        assert (await officer.get("/v1/quarantine", params={"agency": "parks"})).json()["items"] == []
        assert (await mayor.get("/v1/quarantine")).status_code == 403


async def test_pages_follow_one_another_whatever_comes_in_between(centre: TestCentre) -> None:
    await centre.put_quarantined("seogu", NOW - timedelta(minutes=5), 25)
    async with centre.as_person("analyst") as analyst:
        seen, cursor = [], ""
        for number in range(3):
            page = (await analyst.get("/v1/quarantine", params={"limit": 10, "cursor": cursor})).json()
            seen += [one["raw"] for one in page["items"]]
            cursor = page["next_cursor"]
            await centre.put_quarantined("seogu", NOW - timedelta(minutes=1 + number / 10), 1)
    assert cursor == ""
    assert seen == [f"bad {n}" for n in reversed(range(25))]
