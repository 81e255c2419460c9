"""The dashboard's way to the API: the visitor's own session, the API's own rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import Request

from api.auth.gate import COOKIE
from api.dashboard.client import Api, Refused
from core.clock import FixedClock
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path, api={"requests_per_minute": 10}), FixedClock(NOW)) as made:
        agency = (("agency", "seogu"), ("detected_at", NOW - timedelta(minutes=1)))
        await made.put_detections([Finding(1, more=agency)])
        yield made


def api_of(centre: TestCentre, name: str) -> Api:
    cookie = centre.as_person(name).cookies[COOKIE]
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())]
    return Api(Request({"type": "http", "headers": headers, "client": ("192.0.2.1", 1), "state": {"application": centre.app}}))


async def test_a_visitor_reads_and_changes_what_the_api_allows(centre: TestCentre) -> None:
    api = api_of(centre, "analyst")
    (listed,) = (await api.get("/v1/incidents", state=["new"], q="", agency=None)).body["items"]
    read = await api.get(f"/v1/incidents/{listed['number']}")
    assert read.etag == '"1"'
    after = await api.post(f"/v1/incidents/{listed['number']}/triage", {}, etag=read.etag)
    assert (after.body["state"], after.etag) == ("triaged", '"2"')
    with pytest.raises(Refused, match=r"somebody|changed") as refused:
        await api.post(f"/v1/incidents/{listed['number']}/dismiss", {"reason": "r"}, etag=read.etag)
    assert (refused.value.status, refused.value.code) == (412, "stale")


async def test_a_visitor_gets_no_further_than_their_role(centre: TestCentre) -> None:
    with pytest.raises(Refused) as refused:
        await api_of(centre, "admin").get("/v1/incidents")
    assert (refused.value.status, refused.value.code) == (403, "forbidden")
    with pytest.raises(Refused) as refused:
        await api_of(centre, "analyst").post("/v1/incidents/INC-2026-000001/tasks", {"title": ""})
    assert refused.value.errors[0]["where"] == "body.title"


async def test_a_page_may_ask_often_where_a_program_may_not(centre: TestCentre) -> None:
    api = api_of(centre, "analyst")
    for _ in range(20):
        await api.get("/v1/me")
    async with centre.as_person("analyst") as program:
        assert [(await program.get("/v1/me", headers={"X-Inside": "1"})).status_code for _ in range(12)].count(429) == 2


async def test_a_session_that_ended_is_told(centre: TestCentre) -> None:
    api = api_of(centre, "analyst")
    await api.post("/v1/logout", everywhere=True)
    with pytest.raises(Refused) as refused:
        await api.get("/v1/me")
    assert refused.value.status == 401
