"""News on screen within one's scope, the rota, and calls, over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.routes.notifications import READ_BY
from core.clock import FixedClock
from core.config import NotifySettings
from respond import outbox
from respond.cases.models import Outgoing
from respond.notify import dispatch, messages
from respond.notify.models import Delivery, Page
from tests.case_tables import KINDS
from tests.servers.api import FIRST_SEEN, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
SHIFT = {"person": "kim", "address": "kim@soc.example", "begins_at": "2026-05-01T00:00:00Z", "ends_at": "2026-05-01T09:00:00Z"}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


def tell(centre: TestCentre, *news: tuple[str, str]) -> None:
    with centre.centre.database.session() as session:
        for kind, agency in news:
            outbox.tell(session, kind, f"{kind.partition('.')[0]}/X-2026-000001", agency=agency, severity="critical")


async def test_news_is_of_what_one_may_read(centre: TestCentre) -> None:
    tell(centre, ("incident.confirm", "seogu"), ("incident.confirm", "parks"), ("readiness.confirm", ""), ("request.issue", "seogu"))
    seen = {}
    for name in ("analyst", "officer", "privacy", "admin"):
        async with centre.as_person(name) as client:
            seen[name] = [(one["kind"], one["agency"]) for one in (await client.get("/v1/news")).json()["items"]]
    assert seen["analyst"] == [
        ("request.issue", "seogu"),
        ("readiness.confirm", ""),
        ("incident.confirm", "parks"),
        ("incident.confirm", "seogu"),
    ]
    assert seen["officer"] == [("request.issue", "seogu"), ("incident.confirm", "seogu")]
    assert seen["privacy"] == [("request.issue", "seogu")]
    assert seen["admin"] == []


async def test_news_comes_in_pages_and_remembers_what_was_read(centre: TestCentre) -> None:
    tell(centre, *(("incident.confirm", "seogu") for _ in range(5)))
    async with centre.as_person("analyst") as analyst:
        first = (await analyst.get("/v1/news", params={"limit": 3})).json()
        rest = (await analyst.get("/v1/news", params={"limit": 3, "cursor": first["next_cursor"]})).json()
        assert [len(first["items"]), len(rest["items"]), rest["next_cursor"], first["read_until"]] == [3, 2, "", 0]
        newest = first["items"][0]["id"]
        assert (await analyst.put("/v1/news/read", json={"id": newest})).status_code == 204
        assert (await analyst.get("/v1/news")).json()["read_until"] == newest
    async with centre.as_person("lead") as lead:
        assert (await lead.get("/v1/news")).json()["read_until"] == 0


async def test_the_rota_the_calls_and_the_undelivered_come_in_pages(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:

        async def walked(path: str, told: str) -> list[Any]:
            found: list[Any] = []
            cursor = ""
            while True:
                page = (await lead.get(path, params={"limit": 2, "cursor": cursor})).json()
                assert len(page["items"]) <= 2
                found += [one[told] for one in page["items"]]
                if not (cursor := page["next_cursor"]):
                    return found

        for person, tier in (("kim", 1), ("lee", 0), ("park", 1), ("choi", 0), ("han", 0)):
            assert (await lead.post("/v1/oncall", json={**SHIFT, "person": person, "tier": tier})).status_code == 201
        assert await walked("/v1/oncall", "person") == ["lee", "choi", "han", "kim", "park"]
        tell(centre, *[("incident.confirm", "seogu")] * 5)
        with centre.centre.database.session() as session:
            for number, news in enumerate(session.scalars(sa.select(Outgoing.id).order_by(Outgoing.id)).all()):
                session.add(Page(outbox_id=news, tier=0, called=[], acknowledged_by=""))
                given_up = {"channel": "siem", "to": str(number), "state": "dead", "attempts": 9, "problem": "refused", "message": {}}
                session.add(Delivery(outbox_id=news, next_at=NOW, **given_up))
        assert len(calls := await walked("/v1/calls", "id")) == 5
        assert calls == sorted(calls)
        assert await walked("/v1/deliveries/dead", "to") == ["4", "3", "2", "1", "0"]
        await lead.delete("/v1/oncall/2", headers=FIRST_SEEN)
        assert (await lead.get("/v1/oncall", params={"cursor": "2"})).status_code == 422


async def test_a_call_is_made_and_acknowledged(centre: TestCentre) -> None:
    settings = NotifySettings.model_validate(
        {
            "channels": [{"name": "siem", "kind": "syslog", "host": "127.0.0.1", "protocol": "udp"}],
            "routes": [{"channels": ["siem"], "page": True}],
        }
    )
    async with centre.as_person("lead") as lead, centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        made = await lead.post("/v1/oncall", json=SHIFT)
        assert (made.status_code, made.json()["made_by"]) == (201, "user:lead")
        assert (await lead.post("/v1/oncall", json={**SHIFT, "ends_at": SHIFT["begins_at"]})).status_code == 422
        assert (await analyst.post("/v1/oncall", json=SHIFT)).status_code == 403
        assert [one["person"] for one in (await analyst.get("/v1/oncall")).json()["items"]] == ["kim"]
        tell(centre, ("incident.confirm", "seogu"))
        dispatch.work(centre.centre.database, settings)
        (call,) = (await analyst.get("/v1/calls")).json()["items"]
        assert ([one["person"] for one in call["called"]], call["tier"], call["acknowledged_by"]) == (["kim"], 0, "")
        assert (await officer.post(f"/v1/calls/{call['id']}/acknowledge")).status_code == 403
        taken = await analyst.post(f"/v1/calls/{call['id']}/acknowledge")
        assert taken.json()["acknowledged_by"] == "user:analyst"
        assert (await lead.post(f"/v1/calls/{call['id']}/acknowledge")).json()["acknowledged_by"] == "user:analyst"
        assert (await analyst.get("/v1/calls")).json()["items"] == []
        assert (await lead.delete(f"/v1/oncall/{made.json()['id']}", headers=FIRST_SEEN)).status_code == 204
        assert (await lead.delete(f"/v1/oncall/{made.json()['id']}", headers=FIRST_SEEN)).status_code == 404


def test_every_kind_of_case_has_words_and_readers() -> None:
    kinds = {kind.machine.kind for kind in KINDS.values()}
    assert kinds <= messages.CASES.keys()
    assert kinds <= READ_BY.keys()
