"""The lists of every kind of case: every filter names something that can be asked for, and an unknown one is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.clock import FixedClock
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

LISTS = {
    "blocks": {"agency", "value", "about", "incident"},
    "investigations": {"incident"},
    "personal-cases": {"agency", "about", "incident"},
    "readiness": {"direction"},
    "reports": {"agency", "incident"},
    "requests": {"agency", "article", "about", "incident"},
    "rule-drafts": {"rule_id"},
    "team-members": {"team", "mine"},
    "teams": {"agency", "incident"},
    "warning-notices": {"agency", "warning"},
    "warnings": {"level"},
}
"""The filters of each list besides `state`, `overdue`, `cursor` and `limit`."""
VALUES = {"article": "19(2)", "direction": "escalate", "mine": "true", "overdue": "true"}


async def test_every_filter_can_be_asked_for(tmp_path: Path) -> None:
    async with running_centre(settings_for(tmp_path), FixedClock(datetime(2026, 5, 1, tzinfo=UTC))) as centre:
        paths = centre.app.openapi()["paths"]
        async with centre.as_person("lead") as lead:
            for name, filters in LISTS.items():
                told = {one["name"] for one in paths[f"/v1/{name}"]["get"]["parameters"]}
                assert told == {"state", "overdue", "cursor", "limit", *filters}, name
                for asked in ("state", "overdue", *filters):
                    answer = await lead.get(f"/v1/{name}", params={asked: VALUES.get(asked, "nothing")})
                    assert (answer.status_code, answer.text) == (200, '{"items":[],"next_cursor":""}'), (name, asked)
                assert (await lead.get(f"/v1/{name}", params={"colour": "red"})).status_code == 422, name


async def test_filters_narrow_and_several_values_mean_any(tmp_path: Path) -> None:
    async with running_centre(settings_for(tmp_path), FixedClock(datetime(2026, 5, 1, tzinfo=UTC))) as centre:
        await centre.put_detections([Finding(1, more=(("agency", "seogu"),))])
        for article, about in (("12", ""), ("15(3)", "incident/INC-2026-000001"), ("19(2)", "incident/INC-2026-000001")):
            await drafted(centre, article=article, about=about)
        assert await found(centre) == ["19(2)", "15(3)", "12"]
        assert await found(centre, article=["12", "19(2)"]) == ["19(2)", "12"]
        assert await found(centre, about="incident/INC-2026-000001") == ["19(2)", "15(3)"]
        assert await found(centre, about="incident/INC-2026-000001", article=["12", "15(3)"]) == ["15(3)"]
        assert await found(centre, state=["issued"]) == []
        assert await found(centre, limit=1) == ["19(2)"]


async def drafted(centre: TestCentre, **more: str) -> None:
    body = {"agency": "seogu", "title": "Servers", "purpose": "To see what is there", "items": ["A list of them"], **more}
    async with centre.as_person("mayor") as mayor:
        answer = await mayor.post("/v1/requests", json=body)
    assert answer.status_code == 201, answer.text


async def found(centre: TestCentre, **wanted: Any) -> list[str]:
    async with centre.as_person("mayor") as mayor:
        answer = await mayor.get("/v1/requests", params=wanted)
    return [one["article"] for one in answer.json()["items"]]
