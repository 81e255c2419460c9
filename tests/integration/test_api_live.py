"""The stream of what is new, over a real socket: what is told to whom, and after a break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from api import live
from api.auth.tables import LoginSession
from core.clock import FixedClock
from core.config import ApiSettings
from runtime.web import WebService
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)


class Event(NamedTuple):
    kind: str
    id: str
    data: Any


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


@pytest.fixture
async def url(centre: TestCentre) -> AsyncIterator[str]:
    service = WebService(centre.app, ApiSettings(port=0))
    await service.start()
    yield service.url
    await service.stop()


class Listener:
    """Somebody who listens: `next` gives the next event of a kind."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self, kind: str) -> Event:
        async with asyncio.timeout(120):
            while (event := await self._event()).kind != kind:
                pass
            return event

    async def _event(self) -> Event:
        fields: dict[str, str] = {}
        async for line in self._lines:
            if not line and "event" in fields:
                return Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
            name, _, value = line.partition(": ")
            fields[name] = value
        raise EOFError


@asynccontextmanager
async def listening(centre: TestCentre, url: str, person: str, topics: str, last: str = "") -> AsyncIterator[Listener]:
    async with centre.as_person(person) as caller, httpx.AsyncClient(base_url=url, cookies=caller.cookies, timeout=60) as client:
        query = [("topics", topic) for topic in topics.split()]
        async with client.stream("GET", "/v1/stream", params=query, headers={"Last-Event-ID": last} if last else {}) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            listener = Listener(answer)
            await asyncio.sleep(2 * live.LOOK_SECONDS)  # what was there before is looked at, and not told
            yield listener


def finding(offset: int, agency: str, title: str, at: datetime = NOW) -> Finding:
    return Finding(offset, 0, more=(("agency", agency), ("rule_id", title), ("rule_title", title), ("detected_at", at)))


async def test_incidents_and_detections_are_told_to_those_in_scope(centre: TestCentre, url: str) -> None:
    await centre.put_detections([finding(1, "seogu", "Before anybody listened")])
    async with (
        listening(centre, url, "analyst", "incidents detections") as analyst,
        listening(centre, url, "officer", "incidents detections") as officer,
    ):
        centre.clock.advance(timedelta(seconds=1))
        await centre.put_detections([finding(2, "parks", "Port scan"), finding(3, "seogu", "Brute force")])
        told = {(await analyst.next("incident")).data["title"] for _ in range(2)}
        assert told == {"Port scan", "Brute force"}
        assert (await officer.next("incident")).data["title"] == "Brute force"
        assert {(await analyst.next("detection")).data["rule_title"] for _ in range(2)} == told
        detection = (await officer.next("detection")).data
        assert (detection["rule_title"], detection["agency"]) == ("Brute force", "seogu")
        assert "raw" not in detection
        assert detection["event_id"]


async def test_a_change_is_told_as_it_is_now(centre: TestCentre, url: str) -> None:
    await centre.put_detections([finding(1, "seogu", "Port scan")])
    async with listening(centre, url, "lead", "incidents") as lead, centre.as_person("analyst") as analyst:
        centre.clock.advance(timedelta(seconds=1))
        (incident,) = (await analyst.get("/v1/incidents")).json()["items"]
        answer = await analyst.post(f"/v1/incidents/{incident['number']}/triage", json={}, headers={"If-Match": '"1"'})
        assert answer.status_code == 200
        told = (await lead.next("incident")).data
        assert (told["state"], told["version"]) == ("triaged", 2)
        assert told == (await analyst.get("/v1/incidents")).json()["items"][0]


async def test_after_a_break_what_was_missed_comes_first(centre: TestCentre, url: str) -> None:
    async with listening(centre, url, "analyst", "incidents detections") as analyst:
        centre.clock.advance(timedelta(seconds=1))
        await centre.put_detections([finding(1, "seogu", "Heard", centre.clock.now())])
        await analyst.next("incident")
        last = (await analyst.next("detection")).id
    centre.clock.advance(timedelta(minutes=5))
    await centre.put_detections([finding(2, "seogu", "Missed", centre.clock.now())])
    async with listening(centre, url, "analyst", "incidents detections", last) as analyst:
        while (await analyst.next("incident")).data["title"] != "Missed":
            pass  # what came shortly before the break may be told again
        while (await analyst.next("detection")).data["rule_title"] != "Missed":
            pass


async def test_too_much_to_tell_again_is_said(centre: TestCentre, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_TOLD_AGAIN", 1)
    await centre.put_detections([finding(n, "seogu", f"Rule {n}") for n in range(3)])
    async with listening(centre, url, "analyst", "incidents", str(live.millis(NOW - timedelta(hours=1)))) as analyst:
        assert (await analyst.next("reset")).data["of"] == "incident"


async def test_figures_are_told_when_they_change(centre: TestCentre, url: str) -> None:
    async with listening(centre, url, "mayor", "counters") as mayor:
        assert (await mayor.next("counters")).data["open_incidents"] == 0
        centre.clock.advance(timedelta(seconds=5))
        await centre.put_detections([finding(1, "seogu", "Port scan")])
        while (await mayor.next("counters")).data["open_incidents"] != 1:
            pass


@pytest.mark.parametrize("topics", ["counters", "incidents counters"])
async def test_after_a_break_the_figures_come_as_they_are(centre: TestCentre, url: str, topics: str) -> None:
    async with listening(centre, url, "mayor", topics) as mayor:
        first = await mayor.next("counters")
    assert first.data["open_incidents"] == 0
    await centre.put_detections([finding(1, "seogu", "Port scan")])
    centre.clock.advance(timedelta(seconds=5))
    async with listening(centre, url, "mayor", topics, first.id) as mayor:
        again = await mayor.next("counters")
    assert again.data["open_incidents"] == 1
    assert again.id != first.id


async def test_a_stream_ends_with_its_session(centre: TestCentre, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_IDENTITY_EVERY", 1)
    async with listening(centre, url, "analyst", "incidents") as analyst:
        with centre.centre.database.session() as session:
            session.execute(sa.update(LoginSession).values(revoked_at=NOW))
        with pytest.raises(EOFError):
            await analyst.next("incident")


@pytest.mark.parametrize(
    ("person", "topics", "last", "status"),
    [
        ("admin", "incidents", "", 403),
        ("mayor", "detections", "", 403),
        ("privacy", "detections", "", 403),
        ("analyst", "gossip", "", 422),
        ("analyst", "incidents", "1.2", 422),
        ("analyst", "incidents", "yesterday", 422),
    ],
)
async def test_what_may_not_be_heard_is_refused(centre: TestCentre, person: str, topics: str, last: str, status: int) -> None:
    async with centre.as_person(person) as caller:
        answer = await caller.get("/v1/stream", params={"topics": topics}, headers={"Last-Event-ID": last} if last else {})
    assert answer.status_code == status


async def test_a_caller_has_so_many_streams(centre: TestCentre, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_STREAMS", 1)
    async with listening(centre, url, "analyst", "incidents"), centre.as_person("analyst") as caller:
        assert (await caller.get("/v1/stream")).status_code == 429
