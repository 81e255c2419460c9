"""Alerts of linked centres: taken once, masked, and found as incidents of their agencies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core import topics
from core.clock import FixedClock
from core.events import DETECTIONS
from core.storage.writer import TableWriter
from respond.centres import alerts
from respond.centres.models import CentreAlert, Delegation
from respond.centres.relay import Relay
from tests.linked_centres import ALERT, alert, go_on, linked, machine
from tests.personal_numbers import rrn
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def incidents(centre: TestCentre) -> list[dict[str, Any]]:
    async with centre.as_person("analyst") as analyst:
        return (await analyst.get("/v1/incidents")).json()["items"]  # type: ignore[no-any-return]


async def test_an_alert_becomes_an_incident_of_its_agency_once(centre: TestCentre) -> None:
    number = linked(centre, "seogu")
    async with machine(centre, number) as client:
        answer = await client.post("/v1/alerts", json=alert())
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "known": 0})
        (row,) = (await go_on(centre)).to_pylist()
        again = await client.post("/v1/alerts", json={"alerts": [ALERT, ALERT | {"id": "a-2", "agency": ""}]})
        assert again.json() == {"accepted": 1, "known": 1}
        await go_on(centre)
    assert (row["rule_id"], row["kind"], row["origin"], row["source"]) == ("centre/seogu-soc/waf-1", "centre", "stream", "seogu-soc")
    assert (row["dst_ip"], row["device"]) == (IPv6Address("2001:db8::5").packed, "seogu-soc")
    (incident,) = await incidents(centre)
    assert (incident["agency"], incident["title"], incident["severity"]) == ("seogu", "SQL injection", "high")
    assert incident["detections"] == 2
    async with centre.as_person("officer") as officer:
        detail = (await officer.get(f"/v1/incidents/{incident['number']}")).json()
    assert {one["raw"] for one in detail["evidence"]} == {"\n".join(ALERT["evidence"])}
    assert {"kind": "ip", "role": "source", "value": "192.0.2.7", "detections": 2} in detail["entities"]
    with centre.centre.database.session(readonly=True) as session:
        kept = session.execute(sa.select(CentreAlert.position, CentreAlert.content).order_by(CentreAlert.id)).all()
    assert [tuple(one) for one in kept] == [(1, None), (2, None)]


async def test_what_is_outside_the_delegation_is_refused_whole(centre: TestCentre) -> None:
    number = linked(centre, "seogu")
    async with machine(centre, number) as client:
        mixed = {"alerts": [ALERT, ALERT | {"id": "a-2", "agency": "parks"}]}
        assert (await client.post("/v1/alerts", json=mixed)).status_code == 403
        with centre.centre.database.session() as session:
            session.execute(sa.update(Delegation).values(until=NOW + timedelta(minutes=1)))
        centre.clock.advance(timedelta(minutes=1))
        assert (await client.post("/v1/alerts", json=alert())).status_code == 403
    async with centre.as_machine("logs:read") as other, centre.as_person("lead") as lead:
        assert (await other.post("/v1/alerts", json=alert())).status_code == 403
        assert (await lead.post("/v1/alerts", json=alert())).status_code == 403
    assert (await go_on(centre)).num_rows == 0


async def test_an_id_is_given_once(centre: TestCentre) -> None:
    number, other = linked(centre, "seogu"), linked(centre, "parks", name="parks-soc")
    async with machine(centre, number) as client, machine(centre, other) as stranger:
        assert (await client.post("/v1/alerts", json=alert())).status_code == 202
        assert (await client.post("/v1/alerts", json=alert(title="Another"))).status_code == 409
        twice = {"alerts": [ALERT | {"id": "b"}, ALERT | {"id": "b", "level": "low"}]}
        assert (await client.post("/v1/alerts", json=twice)).status_code == 409
        assert (await stranger.post("/v1/alerts", json=alert(agency="parks"))).json()["accepted"] == 1
        at_once = await asyncio.gather(*(client.post("/v1/alerts", json=alert(id="c")) for _ in range(5)))
    assert sorted(one.json()["accepted"] for one in at_once) == [0, 0, 0, 0, 1]
    assert sorted((await go_on(centre))["agency"].to_pylist()) == ["parks", "seogu", "seogu"]


WRONG: list[dict[str, Any]] = [
    {"title": ""},
    {"title": "x" * 301},
    {"level": "grave"},
    {"time": "2026-05-01T03:00:00"},
    {"time": "2026-05-03T03:00:00Z"},
    {"id": "a b"},
    {"rule": "../x"},
    {"entities": {"src_ip": "nowhere"}},
    {"entities": {"raw": "x"}},
    {"entities": {"dst_port": 70000}},
    {"evidence": ["x" * 8193]},
    {"evidence": ["x"] * 51},
    {"colour": "red"},
]


async def test_alerts_that_make_no_sense_are_explained(centre: TestCentre) -> None:
    async with machine(centre, linked(centre, "seogu")) as client:
        for wrong in WRONG:
            answer = await client.post("/v1/alerts", json=alert(**wrong))
            assert (answer.status_code, bool(answer.json()["detail"])) == (422, True), wrong
        assert (await client.post("/v1/alerts", json={"alerts": [ALERT] * 201})).status_code == 422
        assert (await client.post("/v1/alerts", json={"alerts": []})).status_code == 422


async def test_personal_numbers_are_masked_before_anything_is_kept(centre: TestCentre) -> None:
    number, secret = linked(centre, "seogu"), rrn("900101100001")
    async with machine(centre, number) as client:
        lines = [f"user={secret} GET /", "nothing\nto hide"]
        taken = await client.post("/v1/alerts", json=alert(evidence=lines, entities={"url": f"/x?id={secret}"}))
        assert taken.status_code == 202
    with centre.centre.database.session(readonly=True) as session:
        assert secret not in str(session.scalars(sa.select(CentreAlert.content)).one())
    (row,) = (await go_on(centre)).to_pylist()
    assert secret not in str(row)
    assert row["raw"].endswith("\nnothing\nto hide")
    assert row["url"].startswith("/x?id=")


async def test_a_relay_that_dies_before_it_notes_what_it_sent_repeats_it_and_nothing_is_doubled(
    centre: TestCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = linked(centre, "seogu")

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    consumer = await centre.centre.bus.consumer("store-detections", [topics.DETECTIONS])
    async with machine(centre, number) as client:
        batch = [ALERT | {"id": f"a-{n}", "entities": {"src_ip": f"192.0.2.{n}"}} for n in range(5)]
        assert (await client.post("/v1/alerts", json={"alerts": batch})).json()["accepted"] == 5
        with monkeypatch.context() as patched:
            patched.setattr(Relay, "_mark", die)
            with pytest.raises(RuntimeError):
                await Relay(centre.centre.database, centre.centre.bus).step()
        await client.post("/v1/alerts", json=alert(id="later", entities={"src_ip": "192.0.2.99"}))
        rows = await go_on(centre)
    assert rows["raw_offset"].to_pylist() == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6]
    assert [one["detections"] for one in await incidents(centre)] == [1] * 6
    await TableWriter(centre.centre.store, DETECTIONS).handle(await consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=1), 1)
    await consumer.close()
    stored = await centre.centre.store.query("SELECT raw_offset FROM detections ORDER BY raw_offset")
    assert stored["raw_offset"].to_pylist() == [1, 2, 3, 4, 5, 6]


async def test_senders_wait_when_too_much_waits(centre: TestCentre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "MOST_WAITING", 1)
    number = linked(centre, "seogu")
    async with machine(centre, number) as client:
        assert (await client.post("/v1/alerts", json=alert())).status_code == 202
        full = await client.post("/v1/alerts", json=alert(id="a-2"))
        assert (full.status_code, int(full.headers["retry-after"]) >= 1) == (503, True)
        assert (await client.post("/v1/alerts", json=alert())).json() == {"accepted": 0, "known": 1}
        await go_on(centre)
        assert (await client.post("/v1/alerts", json=alert(id="a-2"))).status_code == 202
