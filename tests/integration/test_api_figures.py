"""Lists of what is late, and the figures of a period."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import FixedClock
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 20, 3, tzinfo=UTC)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def asked(centre: TestCentre, agency: str, days: int) -> str:
    """A request to an agency, issued and due in so many days; gives its number."""
    body = {"article": "12", "agency": agency, "title": "Servers", "purpose": "To see", "items": ["A list"]}
    due = (NOW + timedelta(days=days)).isoformat()
    async with centre.as_person("mayor") as mayor:
        made = (await mayor.post("/v1/requests", json={**body, "due_at": due})).json()
        issued = await mayor.post(f"/v1/requests/{made['number']}/issue", json={}, headers={"If-Match": '"1"'})
    assert issued.status_code == 200, issued.text
    return str(made["number"])


async def got(centre: TestCentre, who: str, path: str, **query: Any) -> Any:
    async with centre.as_person(who) as client:
        answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_list_of_what_is_late(centre: TestCentre) -> None:
    await asked(centre, "seogu", 9)
    late = await asked(centre, "seogu", 1)
    assert (await got(centre, "mayor", "/v1/requests", overdue="true"))["items"] == []
    centre.clock.advance(timedelta(days=2))
    assert [one["number"] for one in (await got(centre, "mayor", "/v1/requests", overdue="true"))["items"]] == [late]
    assert len((await got(centre, "mayor", "/v1/requests", overdue="false"))["items"]) == 2


async def test_the_figures_of_a_period(centre: TestCentre) -> None:
    await centre.put_detections([Finding(1, more=(("agency", "seogu"), ("rule_id", "a"), ("rule_level", "high")))])
    await centre.put_detections([Finding(2, more=(("agency", "parks"), ("rule_id", "b"), ("rule_level", "low")))])
    async with centre.as_person("analyst") as analyst:
        for action, reason in (("triage", ""), ("dismiss", "A scanner of ours")):
            etag = (await analyst.get("/v1/incidents/INC-2026-000002")).headers["ETag"]
            done = await analyst.post(f"/v1/incidents/INC-2026-000002/{action}", json={"reason": reason}, headers={"If-Match": etag})
            assert done.status_code == 200, done.text
    async with centre.as_person("officer") as officer:
        for hours, reason in ((2, ""), (40, "A holiday")):
            learned = {"learned_at": (NOW - timedelta(hours=hours)).isoformat(), "system": "Portal", "summary": "Malware"}
            number = (await officer.post("/v1/reports", json=learned)).json()["number"]
            sent = await officer.post(f"/v1/reports/{number}/submit", json={"reason": reason}, headers={"If-Match": '"1"'})
            assert sent.status_code == 200, sent.text
    month = await got(centre, "mayor", "/v1/figures/2026-05")
    assert (month["since"], month["until"]) == ("2026-04-30T15:00:00Z", "2026-05-31T15:00:00Z")
    assert (month["incidents"], month["false_positives"]) == (1, 1)
    assert sum(month["by_severity"].values()) == 1
    assert month["reports"] == {"submitted": 2, "late": 1, "median_seconds": 21 * 3600}
    assert (await got(centre, "mayor", "/v1/figures/2026-04"))["incidents"] == 0
    assert (await got(centre, "officer", "/v1/figures/2026-05"))["false_positives"] == 0  # the other agency's
    assert (await got(centre, "privacy", "/v1/figures/2026-05"))["reports"] is None
    async with centre.as_person("mayor") as mayor:
        assert (await mayor.get("/v1/figures/2026-13")).status_code == 422
