"""Linked centres over the API: the register, who watches whom, their machines, their links, and what a machine may do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from api.auth import keys
from api.auth.keys import KeyWish
from core.clock import FixedClock
from core.errors import Invalid
from core.permissions import Reach
from respond.cases.models import Outgoing
from respond.centres import links
from respond.warnings import levels
from respond.warnings import service as warnings
from respond.warnings.models import Notice
from respond.warnings.service import National
from tests.linked_centres import alert, linked, machine
from tests.role_matrix import MACHINES
from tests.servers.api import FIRST_SEEN, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
NEW = {"agency": "seogu", "name": "seogu-soc", "name_ko": "서구 보안관제센터"}
FIRST = "LNC-2026-000001"


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def step(client: httpx.AsyncClient, action: str, version: int, **wish: Any) -> httpx.Response:
    return await client.post(f"/v1/centres/{FIRST}/{action}", json=wish, headers={"If-Match": f'"{version}"'})


def told(centre: TestCentre) -> list[tuple[str, str, str]]:
    with centre.centre.database.session(readonly=True) as session:
        query = sa.select(Outgoing.kind, Outgoing.agency, Outgoing.severity).where(Outgoing.kind.startswith("centre."))
        return [tuple(row) for row in session.execute(query.order_by(Outgoing.id))]


async def test_a_centre_is_registered_and_watches_until_it_ends(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        assert (await analyst.post("/v1/centres", json=NEW)).status_code == 403
        assert (await officer.get("/v1/centres")).status_code == 403
        assert (await lead.post("/v1/centres", json=NEW | {"agency": "atlantis"})).status_code == 422
        made = await lead.post("/v1/centres", json=NEW)
        assert (made.status_code, made.json()["number"], made.json()["state"], made.headers["etag"]) == (201, FIRST, "registered", '"1"')
        assert (await lead.post("/v1/centres", json=NEW)).status_code == 409
        assert (await step(lead, "activate", 1)).json()["state"] == "active"
        own = await lead.post("/v1/delegations", json={"agency": "seogu", "centre": FIRST})
        assert (own.status_code, own.json()["reason"]) == (201, "")
        nothing = await lead.post("/v1/delegations", json={"agency": "parks", "centre": FIRST})
        assert (nothing.status_code, "reason" in nothing.json()["detail"]) == (422, True)
        shown = (await analyst.get("/v1/delegations/map")).json()
        assert shown["unwatched"] == ["parks"]
        other = await lead.post("/v1/delegations", json={"agency": "parks", "centre": FIRST, "reason": "twelve employees"})
        assert (await lead.post("/v1/delegations", json={"agency": "parks", "centre": FIRST, "reason": "again"})).status_code == 409
        shown = (await analyst.get("/v1/delegations/map")).json()
        assert [(one["agency"], one["own"], one["reason"]) for one in shown["agencies"]] == [
            ("seogu", True, ""),
            ("parks", False, "twelve employees"),
        ]
        assert shown["unwatched"] == []
        assert (await analyst.get("/v1/delegations/map", params={"at": "2026-04-01T00:00:00Z"})).json()["unwatched"] == ["seogu", "parks"]
        assert (await analyst.get(f"/v1/centres/{FIRST}")).json()["watches"] == ["parks", "seogu"]
        ended = await lead.post(f"/v1/delegations/{other.json()['id']}/end", json={"reason": "own centre planned"}, headers=FIRST_SEEN)
        assert (ended.status_code, ended.json()["until"]) == (200, "2026-05-01T03:00:30Z")
        again = await lead.post(
            f"/v1/delegations/{other.json()['id']}/end", json={"reason": "x"}, headers={"If-Match": ended.headers["etag"]}
        )
        assert again.status_code == 409
        assert (await step(lead, "suspend", 2)).status_code == 422
        assert (await step(lead, "suspend", 2, reason="maintenance")).json()["link"] == "off"
        assert (await analyst.get("/v1/delegations/map")).json()["unwatched"] == ["seogu", "parks"]
        assert (await step(lead, "end", 3, reason="merged with the city's")).json()["state"] == "ended"
        history = (await analyst.get("/v1/delegations")).json()["items"]
        assert [(one["agency"], one["until"] is not None) for one in history] == [("parks", True), ("seogu", True)]
        assert (await lead.post("/v1/delegations", json={"agency": "parks", "centre": FIRST, "reason": "r"})).status_code == 422
        detail = (await analyst.get(f"/v1/centres/{FIRST}")).json()
        assert [one["action"] for one in detail["progress"]["history"]] == [
            *("open", "activate", "delegate", "delegate", "undelegate", "suspend", "end", "undelegate"),
        ]


async def test_a_machine_of_a_centre_does_what_its_column_of_the_matrix_says(centre: TestCentre) -> None:
    number = linked(centre, "seogu", "parks")
    async with machine(centre, number) as client:
        me = (await client.get("/v1/me")).json()
        assert me["actions"] == {str(action): str(reach) for action, reach in MACHINES["linked_centre"].items()}  # type: ignore[index]
        assert Reach.ALL not in me["actions"].values()
        beat = (await client.post("/v1/centres/heartbeat")).json()
        assert beat == {"at": "2026-05-01T03:00:30Z", "centre": number, "watches": ["parks", "seogu"], "heartbeat_seconds": 60}
        assert (await client.get("/v1/rules")).status_code == 200
        for path in ("/v1/incidents", "/v1/events", "/v1/centres", "/v1/delegations", "/v1/reports", "/v1/keys", "/v1/audit"):
            assert (await client.get(path)).status_code == 403, path
        assert (await client.post("/v1/logs", content=b"a line\n")).status_code == 200


DAY = timedelta(days=1)
WRONG = [
    (KeyWish("x", ["alerts:write"], "seogu", "", DAY), "name the centre"),
    (KeyWish("x", [], "", "", DAY, role="linked_centre"), "name the centre"),
    (KeyWish("x", ["incidents:read"], "", "", DAY, centre=FIRST), "has no incidents:read"),
    (KeyWish("x", ["alerts:write"], "parks", "", DAY, centre=FIRST), "of seogu"),
    (KeyWish("x", ["alerts:write"], "", "", DAY, centre="LNC-2026-000009"), "no linked centre"),
    (KeyWish("x", ["logs:read"], "", "", DAY, certificate="nonsense"), "PEM"),
]


async def test_identities_that_make_no_sense_are_refused(centre: TestCentre) -> None:
    linked(centre)
    for wish, why in WRONG:
        with pytest.raises(Invalid, match=why), centre.centre.database.session() as session:
            keys.create_key(session, wish, actor="system:test")


async def test_only_machines_of_an_active_centre_are_let_in(centre: TestCentre) -> None:
    number = linked(centre, "seogu", active=False)
    async with machine(centre, number, days=2) as client, centre.as_person("lead") as lead, centre.as_person("admin") as admin:
        refused = await client.post("/v1/centres/heartbeat")
        assert (refused.status_code, "not active" in refused.json()["detail"]) == (403, True)
        for version, action, expected in ((1, "activate", 200), (2, "suspend", 403), (3, "resume", 200)):
            assert (await step(lead, action, version, reason="r")).status_code == 200
            assert (await client.post("/v1/alerts", json=alert(id=action))).status_code == (202 if expected == 200 else 403)
        (key,) = (await admin.get("/v1/keys")).json()["items"]
        assert (key["centre"], key["agency"], key["source"]) == (number, "seogu", "seogu-soc")
        rotated = (await admin.post(f"/v1/keys/{key['id']}/rotate", json={"overlap_hours": 1}, headers=FIRST_SEEN)).json()
        assert (rotated["actions"], rotated["centre"], rotated["expires_at"]) == (key["actions"], number, key["expires_at"])
        async with centre.client(headers={"Authorization": f"Bearer {rotated['key']}"}) as new:
            assert (await client.post("/v1/centres/heartbeat")).status_code == 200
            centre.clock.advance(timedelta(hours=1))
            assert (await client.post("/v1/centres/heartbeat")).status_code == 401  # the old one has ended
            assert (await admin.post(f"/v1/keys/{key['id']}/rotate", json={}, headers={"If-Match": '"2"'})).status_code == 409
            assert (await new.post("/v1/centres/heartbeat")).status_code == 200
            assert (await admin.delete(f"/v1/keys/{rotated['id']}", headers=FIRST_SEEN)).status_code == 204
            assert (await new.post("/v1/centres/heartbeat")).status_code == 401


async def test_a_silent_link_is_late_then_down_and_a_call_mends_it(centre: TestCentre) -> None:
    number = linked(centre, "seogu")
    turn = links.judge(centre.centre.settings.respond.centres)

    def judge_after(seconds: int) -> list[str]:
        centre.clock.advance(timedelta(seconds=seconds))
        with centre.centre.database.session() as session:
            return list(turn(session))

    async with machine(centre, number) as client, centre.as_person("analyst") as analyst, centre.as_person("mayor") as mayor:
        assert (await analyst.get("/v1/counters")).json()["centres"] == {"up": 0, "late": 0, "down": 1}
        assert (await mayor.get("/v1/counters")).json()["centres"] is None
        await client.get("/v1/me")  # any call is a heartbeat
        assert (judge_after(170), judge_after(0)) == ([], [])
        assert (judge_after(10), judge_after(0)) == ([number], [])
        assert (judge_after(420), judge_after(1000)) == ([number], [])
        (shown,) = (await analyst.get("/v1/centres", params={"link": "down"})).json()["items"]
        assert shown["last_seen_at"] == "2026-05-01T03:00:30Z"
        await client.get("/v1/me")
        assert (await analyst.get("/v1/counters")).json()["centres"] == {"up": 1, "late": 0, "down": 0}
        first = (await analyst.get(f"/v1/centres/{number}/links", params={"limit": 3})).json()
        rest = (await analyst.get(f"/v1/centres/{number}/links", params={"cursor": first["next_cursor"]})).json()
        assert [one["status"] for one in first["items"] + rest["items"]] == ["up", "down", "late", "up"]
        news = (await analyst.get("/v1/news")).json()["items"]
        assert [one["kind"] for one in news if one["severity"]] == ["centre.down"]
    assert [one for one in told(centre) if one[0] not in ("centre.activate", "centre.delegate")] == [
        ("centre.up", "seogu", ""),
        ("centre.down", "seogu", "high"),
        ("centre.up", "seogu", ""),
    ]


async def test_a_linked_centre_drafts_and_an_officer_submits(centre: TestCentre) -> None:
    number = linked(centre, "seogu")
    draft = {"agency": "seogu", "learned_at": "2026-05-01T02:10:00Z", "system": "portal", "summary": "Malware"}
    async with machine(centre, number) as client, centre.as_person("officer") as officer:
        assert (await client.post("/v1/reports", json=draft | {"agency": "parks"})).status_code == 403
        assert (await client.post("/v1/reports", json={"incident": "INC-2026-000001"})).status_code == 403
        made = await client.post("/v1/reports", json=draft)
        assert made.status_code == 201
        path = f"/v1/reports/{made.json()['number']}"
        assert (await client.get(path)).status_code == 403
        assert (await client.post(f"{path}/submit", json={}, headers={"If-Match": '"1"'})).status_code == 403
        assert (await officer.get(path)).json()["created_by"].startswith("key:")
        assert (await officer.post(f"{path}/submit", json={}, headers={"If-Match": '"1"'})).status_code == 200


async def test_a_linked_centre_reads_and_acknowledges_warnings_of_agencies_it_watches(centre: TestCentre) -> None:
    number = linked(centre, "parks")
    table = levels.load(centre.centre.settings.respond.warnings)
    notice = National("NCSC", "2026-1", "caution", "t", "all", (), NOW, None)
    with centre.centre.database.session() as session:
        warning = warnings.record(session, "user:lead", table, ["seogu", "parks"], notice)
        warnings.propagate(session, "user:lead", warning.number, 1, table, ["seogu", "parks"])
        of_agency = dict(session.execute(sa.select(Notice.agency, Notice.number)).all())
    async with machine(centre, number) as client:
        listed = (await client.get("/v1/warning-notices")).json()["items"]
        assert [one["number"] for one in listed] == [of_agency["parks"]]
        for agency, expected in (("parks", 200), ("seogu", 404)):
            path = f"/v1/warning-notices/{of_agency[agency]}/acknowledge"
            assert (await client.post(path, json={}, headers={"If-Match": '"1"'})).status_code == expected


async def test_the_mayors_office_pulls_the_feed_by_machine(centre: TestCentre) -> None:
    async with centre.as_machine("reports:read") as client:
        assert (await client.get("/v1/feed/reports")).json()["items"] == []
        assert (await client.get("/v1/incidents")).status_code == 403
