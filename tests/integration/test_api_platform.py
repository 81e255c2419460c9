"""What every route has: compression, limits on how often, and requests that are done once however often they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from api import idempotency
from api.idempotency import KEPT, Answered
from core.clock import FixedClock
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
DRAFT: dict[str, Any] = {"article": "12", "agency": "seogu", "title": "Logs of May", "purpose": "To look into it", "items": ["The logs"]}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def drafts(caller: httpx.AsyncClient) -> int:
    return len((await caller.get("/v1/requests")).json()["items"])


async def draft(caller: httpx.AsyncClient, key: str, **changed: Any) -> httpx.Response:
    return await caller.post("/v1/requests", json=DRAFT | changed, headers={"Idempotency-Key": key})


async def test_a_request_with_a_key_is_done_once(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        first, again = await draft(analyst, "k1"), await draft(analyst, "k1")
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content
        assert first.headers["ETag"] == again.headers["ETag"]
        assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
        assert (await draft(lead, "k1")).status_code == 201  # a key is its caller's own
        assert (await draft(analyst, "k2")).status_code == 201
        assert await drafts(analyst) == 3


async def test_a_key_is_for_one_request(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        await draft(analyst, "k1")
        other = await draft(analyst, "k1", title="Logs of June")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
        assert (await draft(analyst, "two words")).status_code == 422
        assert (await draft(analyst, "x" * 256)).status_code == 422
        assert await drafts(analyst) == 1


async def test_no_answer_with_a_secret_is_kept(centre: TestCentre) -> None:
    wish = {"name": "forwarder", "actions": ["logs:write"], "agency": "seogu", "source": "fw-1", "days": 30}
    async with centre.as_person("admin") as admin:
        answer = await admin.post("/v1/keys", json=wish, headers={"Idempotency-Key": "k1"})
        assert (answer.status_code, "takes no Idempotency-Key" in answer.json()["detail"]) == (422, True)
        assert (await admin.post("/v1/keys", json=wish)).status_code == 201
    with centre.centre.database.session(readonly=True) as session:
        assert session.scalars(sa.select(Answered.key)).all() == []


async def test_a_refusal_is_kept_like_any_answer(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        first = await draft(analyst, "k1", article="99")
        again = await draft(analyst, "k1", article="99")
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.json()["request_id"] == first.json()["request_id"]


async def test_many_at_once_are_one(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        answers = await asyncio.gather(*(draft(analyst, "k1") for _ in range(8)))
        codes = {answer.status_code for answer in answers}
        assert 201 in codes
        assert codes <= {201, 409}  # 409: while the first was under way
        assert await drafts(analyst) == 1


async def test_what_nobody_can_know_is_said(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        await draft(analyst, "k1")
        with centre.centre.database.session() as session:
            session.execute(sa.update(Answered).values(status=0))  # as when the centre was killed on the way
        answer = await draft(analyst, "k1")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_unknown")


async def test_keys_are_forgotten_after_a_day(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        await draft(analyst, "k1")

    def kept() -> list[str]:
        with centre.centre.database.session() as session:
            idempotency.forget(session)
            return list(session.scalars(sa.select(Answered.key)))

    centre.clock.advance(KEPT - timedelta(seconds=1))
    assert kept() == ["k1"]
    centre.clock.advance(timedelta(seconds=2))
    assert kept() == []


async def test_large_answers_are_compressed(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        document = await analyst.get("/v1/openapi.json", headers={"Accept-Encoding": "gzip"})
        small = await analyst.get("/v1/me", headers={"Accept-Encoding": "gzip"})
        plain = await analyst.get("/v1/openapi.json", headers={"Accept-Encoding": "identity"})
    assert document.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in document.headers["Vary"]
    assert "Content-Encoding" not in plain.headers
    assert document.json() == plain.json()
    assert small.status_code == 200


async def test_too_many_requests_are_told_when_to_come_back(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    few = settings.api.model_copy(update={"requests_per_minute": 10})
    settings = settings.model_copy(update={"api": few})
    async with (
        running_centre(settings, FixedClock(NOW)) as centre,
        centre.as_person("analyst") as analyst,
        centre.as_person("lead") as lead,
    ):
        codes = [(await analyst.get("/v1/me")).status_code for _ in range(12)]
        refused = await analyst.get("/v1/me")
        assert codes[:10] == [200] * 10
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 6
        assert (await lead.get("/v1/me")).status_code == 200


async def test_the_document_tells_of_the_key(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        paths = (await analyst.get("/v1/openapi.json")).json()["paths"]
    posts = {path: {one["name"] for one in found["post"].get("parameters", [])} for path, found in paths.items() if "post" in found}
    assert "Idempotency-Key" in posts["/v1/requests"]
    for path in ("/v1/logs", "/v1/keys", "/taxii2/root/collections/{collection}/objects/"):
        assert "Idempotency-Key" not in posts[path]
