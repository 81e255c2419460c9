"""Sharing over the API: from a draft to replies, new versions and revocation, and what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import stix2

from core.clock import FixedClock
from core.signing import Verifier, load_signer
from respond.cases.models import Outgoing
from respond.incidents.models import IncidentPerson, Part
from respond.models import Incident
from respond.sharing import signed
from respond.sharing.policy import load
from respond.sharing.receipts import chase
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
CONTENT: dict[str, Any] = {
    "title": "Password guessing at 서구청",
    "summary": "203.0.113.5 tried 40 accounts of Seogu District at 10.1.2.3, mail kim@seogu.example",
    "indicators": [
        {"type": "address", "value": "203.0.113.5", "confidence": 80},
        {"type": "address", "value": "10.9.9.9", "description": "a machine of ours"},
        {"type": "domain", "value": "bad.example"},
        {"type": "hash", "value": "0123456789abcdef0123456789abcdef"},
        {"type": "url", "value": "evil.example/a'b"},
        {"type": "network", "value": "198.51.100.0/24"},
    ],
    "malware": [{"name": "Loader", "types": ["dropper"]}],
    "vulnerabilities": [{"name": "CVE-2026-12345", "description": "in the VPN gateway at fd00::1"}],
    "techniques": [{"id": "T1110.001", "name": "Password Guessing"}],
    "measures": [{"name": "Ask for a second factor"}],
    "observed": [{"type": "address", "value": "203.0.113.5"}, {"type": "address", "value": "10.1.2.3"}],
    "sighted": {"first": "2026-05-01T00:00:00Z", "last": "2026-05-01T01:00:00Z", "count": 40},
}
WISH: dict[str, Any] = {"kind": "means", "tlp": "amber", "content": CONTENT}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def step(client: httpx.AsyncClient, path: str, action: str, version: int, **wish: object) -> httpx.Response:
    return await client.post(f"/v1/{path}/{action}", json=wish, headers={"If-Match": f'"{version}"'})


async def released(centre: TestCentre, **changes: Any) -> str:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        made = await analyst.post("/v1/shares", json={**WISH, **changes})
        assert made.status_code == 201, made.text
        number: str = made.json()["number"]
        done = await step(lead, f"shares/{number}", "release", 1)
        assert done.status_code == 200, done.text
    return number


async def bundle(client: httpx.AsyncClient, number: str, **params: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/shares/{number}/bundle", params=params)
    assert answer.status_code == 200, answer.text
    objects: list[dict[str, Any]] = answer.json()["objects"]
    return objects


def by_type(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["type"] == kind]


async def test_from_a_draft_to_the_replies(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        made = await analyst.post("/v1/shares", json=WISH)
        assert (made.status_code, made.headers["etag"], made.json()["number"]) == (201, '"1"', "SHR-2026-000001")
        path = "shares/SHR-2026-000001"
        assert (await step(analyst, path, "release", 1)).status_code == 403
        assert (await step(analyst, path, "propose", 1)).json()["state"] == "proposed"
        assert (await step(lead, path, "send_back", 2)).status_code == 422
        assert (await step(lead, path, "send_back", 2, reason="which gateway?")).json()["state"] == "drafted"
        edited = await step(analyst, path, "edit", 3, kind="means", tlp="amber", content={**CONTENT, "summary": "203.0.113.5 tried"})
        assert edited.status_code == 200, edited.text
        assert (await officer.get("/v1/share-receipts")).json()["items"] == []
        assert (await step(lead, path, "release", 4)).json()["state"] == "released"
        assert (await officer.get(f"/v1/{path}")).status_code == 404  # the centre's own item is not the agency's
        (receipt,) = (await officer.get("/v1/share-receipts")).json()["items"]
        assert (receipt["state"], receipt["share"], receipt["tlp"]) == ("sent", "SHR-2026-000001", "amber")
        mine = f"share-receipts/{receipt['number']}"
        assert (await step(officer, mine, "receive", 1)).json()["state"] == "received"
        assert (await step(officer, mine, "reply", 2)).status_code == 422
        assert (await step(officer, mine, "reply", 2, done="partly")).status_code == 422
        assert (await step(officer, mine, "reply", 2, done="taken", reason="Blocked")).json()["reply"]["done"] == "taken"
        told = (await officer.get(f"/v1/{mine}")).json()["progress"]
        assert [(one["name"], one["basis"], one["stopped_at"] is None) for one in told["clocks"]] == [("reply", "target", False)]
        detail = (await analyst.get(f"/v1/{path}")).json()
    assert {one["agency"]: one["state"] for one in detail["receipts"]} == {"seogu": "replied", "parks": "sent"}


async def test_objects_are_valid_stix_and_the_same_every_time(centre: TestCentre) -> None:
    number = await released(centre)
    async with centre.as_person("analyst") as analyst:
        first = await analyst.get(f"/v1/shares/{number}/bundle")
        again = await analyst.get(f"/v1/shares/{number}/bundle")
        narrowed = await bundle(analyst, number, recipient="parks")
    assert first.content == again.content
    assert first.headers["content-type"] == "application/stix+json;version=2.1"
    parsed = stix2.parse(first.text, allow_custom=False)
    assert {one["type"] for one in parsed.objects} == {
        *("identity", "extension-definition", "marking-definition", "report", "indicator", "malware", "vulnerability"),
        *("attack-pattern", "course-of-action", "relationship", "sighting", "observed-data", "ipv4-addr"),
    }
    patterns = {one["pattern"] for one in by_type(first.json()["objects"], "indicator")}
    assert patterns == {
        "[ipv4-addr:value = '203.0.113.5']",
        "[ipv4-addr:value = '10.9.9.9']",
        "[domain-name:value = 'bad.example']",
        "[file:hashes.MD5 = '0123456789abcdef0123456789abcdef']",
        "[url:value IN ('http://evil.example/a\\'b', 'https://evil.example/a\\'b')]",
        "[ipv4-addr:value ISSUBSET '198.51.100.0/24']",
    }
    (marking,) = by_type(narrowed, "marking-definition")
    assert marking["extensions"]["extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"]["tlp_2_0"] == "amber"
    assert all(marking["id"] in one["object_marking_refs"] for one in narrowed if "object_marking_refs" in one)
    stix2.parse(json.dumps({"type": "bundle", "id": first.json()["id"], "objects": narrowed}), allow_custom=False)


async def test_each_recipient_gets_what_it_may_see(centre: TestCentre) -> None:
    number = await released(centre)
    async with centre.as_person("analyst") as analyst:
        whole, parks = await bundle(analyst, number), await bundle(analyst, number, recipient="parks")
        seogu = await bundle(analyst, number, recipient="seogu")
    for objects, hidden in (
        (parks, ("서구청", "Seogu", "seogu", "10.1.2.3", "10.9.9.9", "fd00::1", "kim@")),
        (seogu, ("10.1.2.3", "kim@")),
    ):
        text = json.dumps(objects, ensure_ascii=False)
        assert [word for word in hidden if word in text] == []
    assert "서구청" in json.dumps(seogu, ensure_ascii=False)
    assert len(by_type(whole, "indicator")) == len(by_type(parks, "indicator")) + 1
    ids = {name: {one["id"] for one in objects} for name, objects in (("whole", whole), ("parks", parks))}
    changed = {one["id"] for one in parks if one["type"] in ("vulnerability", "report", "observed-data")}
    assert changed
    assert not changed & ids["whole"]
    assert {one["id"] for one in by_type(parks, "malware")} <= ids["whole"]


async def test_a_signature_tells_what_was_changed(centre: TestCentre) -> None:
    number = await released(centre)
    async with centre.as_person("analyst") as analyst:
        content = (await analyst.get(f"/v1/shares/{number}/bundle", params={"recipient": "parks"})).content
    signer = load_signer(centre.centre.settings.signing_key)
    found = signed.verify(content, Verifier.of(signer.text))
    assert (found.problems, found.signed_by, len(found.reports)) == ([], signer.key_id, 1)
    told = json.loads(content)
    (indicator, *_) = by_type(told["objects"], "indicator")
    indicator["pattern"] = "[ipv4-addr:value = '192.0.2.1']"
    assert any(indicator["id"] in problem for problem in signed.verify(json.dumps(told).encode()).problems)
    told["objects"].remove(indicator)
    assert signed.verify(json.dumps(told).encode()).problems == [
        f"{indicator['id']} of the report {by_type(told['objects'], 'report')[0]['id']} is missing"
    ]
    assert signed.verify(b"{}").problems
    assert signed.verify(content, Verifier.of("A" * 43 + "=")).problems


async def test_a_new_version_keeps_the_ids_and_revokes_what_it_leaves_out(centre: TestCentre) -> None:
    number = await released(centre)
    centre.clock.advance(timedelta(hours=1))
    fewer = {**CONTENT, "indicators": CONTENT["indicators"][:1], "malware": [{"name": "Loader", "description": "drops more"}]}
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        before = {one["id"]: one for one in await bundle(analyst, number, recipient="parks")}
        made = await analyst.post("/v1/shares", json={**WISH, "content": fewer, "supersedes": number})
        following = made.json()["number"]
        assert (await step(lead, f"shares/{following}", "release", 1)).status_code == 422
        done = await step(lead, f"shares/{number}", "supersede", 2, by=following)
        assert (done.status_code, done.json()["state"]) == (200, "superseded"), done.text
        assert (await analyst.get(f"/v1/shares/{following}")).json()["state"] == "released"
        after = {one["id"]: one for one in await bundle(analyst, following, recipient="parks")}
        other = (await analyst.post("/v1/shares", json={**WISH, "tlp": "green", "supersedes": following})).status_code
    assert other == 422
    (old,), (new,) = by_type([*before.values()], "malware"), by_type([*after.values()], "malware")
    assert (old["id"], old["created"]) == (new["id"], new["created"])
    assert (old["modified"], new["modified"]) == ("2026-05-01T03:00:30.000Z", "2026-05-01T04:00:30.000Z")
    assert sum(one.get("revoked", False) for one in by_type([*after.values()], "indicator")) == 4
    kept = [one for one in by_type([*after.values()], "indicator") if not one.get("revoked")]
    assert [(one["name"], one["modified"]) for one in kept] == [("203.0.113.5", "2026-05-01T03:00:30.000Z")]
    assert signed.verify(json.dumps([*after.values()]).encode()).problems == []


async def test_what_is_revoked_says_so_and_is_told(centre: TestCentre) -> None:
    number = await released(centre)
    centre.clock.advance(timedelta(minutes=5))
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        assert (await step(lead, f"shares/{number}", "revoke", 2)).status_code == 422
        assert (await step(lead, f"shares/{number}", "revoke", 2, reason="It was a scanner of ours")).json()["state"] == "revoked"
        objects = await bundle(lead, number, recipient="seogu")
        (receipt,) = (await officer.get("/v1/share-receipts")).json()["items"]
        news = [one["kind"] for one in (await officer.get("/v1/news")).json()["items"]]
    assert receipt["state"] == "recalled"
    assert {"share_receipt.open", "share_receipt.recall"} <= set(news)
    revocable = [one for one in objects if one["type"] not in ("identity", "extension-definition", "marking-definition", "ipv4-addr")]
    assert revocable
    assert all(one["revoked"] and one["modified"] == "2026-05-01T03:05:30.000Z" for one in revocable)
    assert signed.verify(json.dumps(objects).encode()).problems == []


async def test_one_recipient_can_be_recalled_alone(centre: TestCentre) -> None:
    number = await released(centre)
    async with centre.as_person("lead") as lead:
        receipts = {one["agency"]: one["number"] for one in (await lead.get("/v1/share-receipts")).json()["items"]}
        assert (await step(lead, f"share-receipts/{receipts['parks']}", "recall", 1, reason="sent in error")).status_code == 200
        parks, seogu = await bundle(lead, number, recipient="parks"), await bundle(lead, number, recipient="seogu")
    assert all(one["revoked"] for one in by_type(parks, "indicator"))
    assert not any(one.get("revoked") for one in seogu)


@pytest.mark.parametrize("tlp", ["red", "amber+strict"])
async def test_strict_levels_go_to_named_recipients_only(centre: TestCentre, tlp: str) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        number = (await analyst.post("/v1/shares", json={**WISH, "tlp": tlp})).json()["number"]
        refused = await step(lead, f"shares/{number}", "release", 1)
        assert (refused.status_code, "named recipients" in refused.json()["detail"]) == (422, True)
        named = (await analyst.post("/v1/shares", json={**WISH, "tlp": tlp, "recipients": ["parks"]})).json()["number"]
        assert (await step(lead, f"shares/{named}", "release", 1)).status_code == 200
        assert [one["agency"] for one in (await lead.get("/v1/share-receipts")).json()["items"]] == ["parks"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"content": {"title": "t", "summary": "resident 900101-1234568"}}, "personal numbers"),
        ({"content": {"title": "t", "summary": "card 4111 1111 1111 1111"}}, "personal numbers"),
        ({"kind": "gossip"}, "no kind"),
        ({"recipients": ["nowhere"]}, "no agency"),
        ({"content": {"title": "t", "indicators": [{"type": "domain", "value": "x"}]}}, "not a domain"),
        ({"content": {"title": "t", "indicators": [{"type": "address", "value": "198.51.100.0/24"}]}}, "type network"),
        ({"tlp": "green", "content": {"title": "t", "indicators": [{"type": "domain", "value": "a.example", "tlp": "amber"}]}}, "stricter"),
        ({"content": None}, "incident it is"),
        ({"content": {"title": "t"}}, "beside its title"),
    ],
)
async def test_what_cannot_be_shared(centre: TestCentre, changes: dict[str, Any], why: str) -> None:
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.post("/v1/shares", json={**WISH, **changes})
    assert (answer.status_code, why in answer.text) == (422, True), answer.text


async def test_what_came_in_confidence_is_not_shared_on(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        for feed, tlp, value in (
            ("peer-a", "red", "secret.example"),
            ("peer-a", "red", "known.example"),
            ("open", "clear", "known.example"),
        ):
            csv = f"value,type,tlp\n{value},domain,{tlp}\n"
            done = await analyst.post(f"/v1/indicators/feeds/{feed}", content=csv, headers={"Content-Type": "text/csv"})
            assert done.status_code == 200, done.text

        async def drafted(value: str) -> httpx.Response:
            content = {"title": "t", "indicators": [{"type": "domain", "value": value}]}
            return await analyst.post("/v1/shares", json={**WISH, "content": content})

        refused = await drafted("secret.example")
        assert (refused.status_code, "TLP:RED" in refused.json()["detail"]) == (422, True)
        assert (await drafted("known.example")).status_code == 201


async def test_an_incident_is_shared_without_its_victim(centre: TestCentre) -> None:
    await centre.put_detections([Finding(n, n, more=(("agency", "seogu"), ("dst_ip", "10.1.2.3"))) for n in range(3)])
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        made = await analyst.post("/v1/shares", json={"kind": "means", "tlp": "green", "about": "incident/INC-2026-000001"})
        assert (made.status_code, made.json()["victim"]) == (201, "seogu"), made.text
        number = made.json()["number"]
        preview = await bundle(analyst, number, recipient="parks")
        assert (await step(lead, f"shares/{number}", "release", 1)).status_code == 200
        sent = await bundle(analyst, number, recipient="parks")
        own = await bundle(analyst, number, recipient="seogu")
    assert [one["external_references"][0]["external_id"] for one in by_type(sent, "attack-pattern")] == ["T1046"]
    assert [one["name"] for one in by_type(sent, "indicator")] == ["192.0.2.7"]
    assert {one["id"] for one in preview} == {one["id"] for one in sent}
    assert [one["value"] for one in by_type(sent, "ipv4-addr")] == ["192.0.2.7"]
    assert {one["value"] for one in by_type(own, "ipv4-addr")} == {"192.0.2.7", "10.1.2.3"}
    assert [one["count"] for one in by_type(sent, "sighting")] == [3]
    assert {one["name"] for one in by_type(own, "identity")} == {"Security Control Center", "Seogu District"}
    assert [one["name"] for one in by_type(sent, "identity")] == ["Security Control Center"]


@pytest.mark.parametrize("what", ["restricted", "exercise"])
async def test_the_restricted_and_exercises_never_leave(centre: TestCentre, what: str) -> None:
    await centre.put_detections([Finding(1, more=(("agency", "seogu"),))])
    wish = {"kind": "means", "tlp": "green", "about": "incident/INC-2026-000001"}
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead, centre.as_person("auditor") as auditor:
        number = (await analyst.post("/v1/shares", json=wish)).json()["number"]
        with centre.centre.database.session() as session:
            session.execute(sa.update(Incident).values({what: True}))
            member = {"incident_id": 1, "part": Part.MEMBER, "person": "user:lead", "at": NOW, "added_by": "user:lead"}
            session.execute(sa.insert(IncidentPerson), [member])
        refused = await step(lead, f"shares/{number}", "release", 1)
        assert refused.status_code == 422, refused.text
        seen = (await auditor.get(f"/v1/shares/{number}")).status_code
        again = await analyst.post("/v1/shares", json=wish)
        assert (await lead.get("/v1/share-receipts")).json()["items"] == []
        if what == "restricted":
            assert (seen, again.status_code) == (404, 404)
        else:
            assert (again.status_code, again.json()["exercise"]) == (201, True)
            assert (await step(lead, f"shares/{again.json()['number']}", "release", 1)).status_code == 422


async def test_an_overdue_reply_is_asked_for_again(centre: TestCentre) -> None:
    await released(centre)
    policy = load(centre.centre.settings.respond.sharing)

    def chased() -> int:
        with centre.centre.database.session() as session:
            return chase(session, policy)

    assert chased() == 0
    centre.clock.advance(timedelta(hours=73))
    async with centre.as_person("officer") as officer:
        (receipt,) = (await officer.get("/v1/share-receipts")).json()["items"]
        assert (await step(officer, f"share-receipts/{receipt['number']}", "reply", 1, done="taken")).status_code == 200
    assert (chased(), chased()) == (1, 0)
    centre.clock.advance(timedelta(hours=24))
    assert chased() == 1
    with centre.centre.database.session(readonly=True) as session:
        told = session.execute(
            sa.select(Outgoing.agency, sa.func.count()).where(Outgoing.kind == "share_receipt.chase").group_by(Outgoing.agency)
        )
        assert [tuple(row) for row in told] == [("parks", 2)]


async def test_an_agency_shares_its_own(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead:
        made = (await officer.post("/v1/shares", json=WISH)).json()
        assert (made["agency"], made["victim"]) == ("seogu", "seogu")
        assert (await step(officer, f"shares/{made['number']}", "release", 1)).status_code == 403
        assert (await step(lead, f"shares/{made['number']}", "release", 1)).status_code == 200
        assert [one["agency"] for one in (await lead.get("/v1/share-receipts")).json()["items"]] == ["parks"]
        assert (await officer.get("/v1/shares")).json()["items"][0]["state"] == "released"
