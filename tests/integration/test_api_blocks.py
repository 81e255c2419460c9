"""Blocks over the API: a second person, an end, an undo, and the list a firewall pulls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from core.signing import load_signer
from respond.models import Incident
from tests.detections import Finding
from tests.servers.api import AGENCIES, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
END = "2026-05-01T09:00:00Z"
PROPOSED: dict[str, Any] = {"kind": "ip", "value": "192.0.2.7", "why": "guesses passwords", "expires_at": END}
OWN = ({**AGENCIES[0], "sources": [{"name": "fw-1", "addresses": ["198.51.100.0/24"]}]}, AGENCIES[1])


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    settings = settings_for(tmp_path, agencies=OWN, respond={"never_block": ["10.0.0.0/8", "2001:db8:1::/48"]})
    async with running_centre(settings, FixedClock(NOW)) as made:
        yield made


async def step(client: httpx.AsyncClient, number: str, action: str, version: int, **wish: object) -> httpx.Response:
    return await client.post(f"/v1/blocks/{number}/{action}", json={"reason": "so", **wish}, headers={"If-Match": f'"{version}"'})


async def pulled(client: httpx.AsyncClient, agency: str = "seogu") -> list[str]:
    answer = await client.get(f"/v1/blocks/list/{agency}")
    assert answer.status_code == 200, answer.text
    return answer.text.splitlines()[1:]


async def test_a_block_is_on_the_list_from_approval_until_its_end_or_withdrawal(centre: TestCentre) -> None:
    async with (
        centre.as_person("analyst") as analyst,
        centre.as_person("lead") as lead,
        centre.as_machine("blocks:read", agency="seogu") as firewall,
    ):
        for value, agency in (("192.0.2.7", ""), ("203.0.113.0/25", "seogu"), ("203.0.113.200", "parks")):
            number = (await analyst.post("/v1/blocks", json={**PROPOSED, "value": value, "agency": agency})).json()["number"]
            assert await pulled(firewall) == (["192.0.2.7"] if number > "BLK-2026-000001" else [])
            if number == "BLK-2026-000001":
                approved = await step(lead, number, "approve", 1)
                assert (approved.status_code, approved.json()["approved_by"]) == (200, "user:lead")
        await step(lead, "BLK-2026-000002", "approve", 1)
        await step(lead, "BLK-2026-000003", "approve", 1)
        assert await pulled(firewall) == ["192.0.2.7", "203.0.113.0/25"]
        assert (await firewall.get("/v1/blocks/list/parks")).status_code == 404
        assert (await step(lead, "BLK-2026-000001", "withdraw", 2)).status_code == 200
        assert await pulled(firewall) == ["203.0.113.0/25"]
        extended = await step(lead, "BLK-2026-000002", "extend", 2, expires_at="2026-05-01T12:00:00Z")
        assert (extended.status_code, extended.json()["state"]) == (200, "approved")
        centre.clock.advance(timedelta(hours=7))
        assert await pulled(firewall) == ["203.0.113.0/25"]
        centre.clock.advance(timedelta(hours=2))
        assert await pulled(firewall) == []


async def test_nobody_approves_his_own_proposal(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        number = (await lead.post("/v1/blocks", json=PROPOSED)).json()["number"]
        refused = await step(lead, number, "approve", 1)
    assert (refused.status_code, refused.json()["detail"]) == (403, "a second person approves a block")


async def test_the_list_is_signed_and_tells_when_nothing_changed(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        number = (await analyst.post("/v1/blocks", json={**PROPOSED, "kind": "domain", "value": "Böse.Example."})).json()["number"]
        await step(lead, number, "approve", 1)
        answer = await lead.get("/v1/blocks/list/seogu")
        assert answer.text == "# bongsu block list\nxn--bse-sna.example\n"
        signer = load_signer(centre.centre.settings.signing_key)
        assert signer.verifies("block list", answer.content, answer.headers["x-bongsu-signature"])
        assert not signer.verifies("block list", answer.content + b"198.51.100.1\n", answer.headers["x-bongsu-signature"])
        again = await lead.get("/v1/blocks/list/seogu", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("10.1.2.3", "touches 10.0.0.0/8"),
        ("198.51.100.7", "touches 198.51.100.0/24"),
        ("2001:db8:1::5", "touches 2001:db8:1::/48"),
        ("192.0.2.1/24", "has host bits set"),
        ("45.0.0.0/8", "too wide"),
        ("2600::/16", "too wide"),
        ("127.0.0.1", "of no attacker"),
        ("224.0.0.9", "of no attacker"),
        ("not an address", "no address"),
        ("", "value"),
    ],
)
async def test_what_must_not_be_blocked_is_refused(centre: TestCentre, value: str, told: str) -> None:
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.post("/v1/blocks", json={**PROPOSED, "value": value})
    assert answer.status_code == 422
    assert told in answer.text


async def test_about_an_exercise_it_is_one_and_blocks_nothing(centre: TestCentre) -> None:
    await centre.put_detections([Finding(1, more=(("agency", "seogu"),))])
    with centre.centre.database.session() as session:
        session.execute(sa.update(Incident).values(exercise=True))
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        made = (await analyst.post("/v1/blocks", json={**PROPOSED, "about": "incident/INC-2026-000001"})).json()
        assert made["exercise"] is True
        assert (await step(lead, made["number"], "approve", 1)).status_code == 200
        assert await pulled(lead) == []
        assert (await analyst.post("/v1/blocks", json={**PROPOSED, "about": "incident/INC-2026-000009"})).status_code == 404


async def test_an_exercise_and_a_double_are_never_on_the_list(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        number = (await analyst.post("/v1/blocks", json={**PROPOSED, "exercise": True})).json()["number"]
        assert (await step(lead, number, "approve", 1)).status_code == 200
        assert await pulled(lead) == []
        assert (await analyst.post("/v1/blocks", json=PROPOSED)).status_code == 201
        double = await analyst.post("/v1/blocks", json={**PROPOSED, "value": "192.0.2.7/32"})
        assert (double.status_code, "BLK-2026-000002" in double.json()["detail"]) == (409, True)
        for end in ("2026-04-30T00:00:00Z", "2027-12-31T00:00:00Z"):
            assert (await analyst.post("/v1/blocks", json={**PROPOSED, "value": "192.0.2.9", "expires_at": end})).status_code == 422
