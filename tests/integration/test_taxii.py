"""The TAXII 2.1 server, asked by a public client over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import requests
import stix2
import taxii2client.v21 as taxii

from api.auth.keys import KeyWish, create_key
from core.clock import FixedClock
from respond.sharing import signed
from runtime.web import WebService
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
MEDIA = "application/taxii+json;version=2.1"
INDICATORS = [{"type": "domain", "value": f"bad-{n}.example"} for n in range(7)]
WISH: dict[str, Any] = {
    "kind": "indicator",
    "tlp": "amber",
    "content": {"title": "Seen at 서구청", "summary": "from 10.1.2.3", "indicators": INDICATORS},
}
T = TypeVar("T")


class Served:
    """A centre behind a real socket."""

    def __init__(self, centre: TestCentre, url: str) -> None:
        self.centre = centre
        self.url = f"{url}/taxii2/"

    def key(self, *actions: str, agency: str = "") -> str:
        wish = KeyWish("test", actions or ("sharing:read", "sharing:write"), agency, "", timedelta(days=30))
        with self.centre.centre.database.session() as session:
            return create_key(session, wish, actor="system:test")[1]

    def root(self, key: str) -> taxii.ApiRoot:
        (root,) = taxii.Server(self.url, user="machine", password=key).api_roots
        return root

    def raw(self, key: str, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {key}", "Accept": MEDIA, **headers})


async def blocking(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)


def collection(root: taxii.ApiRoot, alias: str) -> taxii.Collection:
    (found,) = [one for one in root.collections if one._raw["alias"] == alias]
    return found


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with running_centre(settings_for(tmp_path, api={"port": 0}), FixedClock(NOW)) as centre:
        web = WebService(centre.app, centre.centre.settings.api)
        await web.start()
        try:
            yield Served(centre, web.url)
        finally:
            await web.stop()


async def share(centre: TestCentre, **changes: Any) -> str:
    async with centre.as_person("lead") as lead:
        number: str = (await lead.post("/v1/shares", json={**WISH, **changes})).json()["number"]
        done = await lead.post(f"/v1/shares/{number}/release", json={}, headers={"If-Match": '"1"'})
        assert done.status_code == 200, done.text
    return number


async def states(centre: TestCentre) -> dict[str, str]:
    async with centre.as_person("lead") as lead:
        return {one["agency"]: one["state"] for one in (await lead.get("/v1/share-receipts")).json()["items"]}


async def test_a_public_client_finds_its_way_and_collects(served: Served) -> None:
    await share(served.centre)
    key = served.key(agency="parks")

    def read() -> tuple[list[Any], list[Any], dict[str, Any]]:
        root = served.root(key)
        assert (root.title, root.versions, root.max_content_length) == ("Security Control Center", [MEDIA], 1 << 20)
        assert [one.title for one in root.collections][2:3] == ["TLP:AMBER for parks"]
        amber, inbox = collection(root, "amber"), collection(root, "inbox")
        assert (amber.can_read, amber.can_write, inbox.can_read, inbox.can_write) == (True, False, False, True)
        assert collection(root, "green").get_objects() == {}
        manifest = amber.get_manifest()["objects"]
        return manifest, amber.get_objects()["objects"], amber.get_object(manifest[-1]["id"])

    manifest, objects, one = await blocking(read)
    assert [entry["id"] for entry in manifest] == [told["id"] for told in objects]
    assert one["objects"] == [objects[-1]]
    assert objects[-1]["type"] == "report"
    assert len(stix2.parse({"type": "bundle", "id": "bundle--5a0c58a5-6d0f-4b6e-8a43-2f4ab1b8c0de", "objects": objects}).objects) == 11
    assert signed.verify(json.dumps({"objects": objects}).encode()).problems == []
    assert "서구청" not in json.dumps(objects, ensure_ascii=False)
    assert await states(served.centre) == {"seogu": "sent", "parks": "collected"}


async def test_pages_filters_and_dates(served: Served) -> None:
    await share(served.centre)
    key = served.key(agency="parks")

    def read() -> None:
        amber = collection(served.root(key), "amber")
        whole = amber.get_objects()["objects"]
        pages = [page["objects"] for page in taxii.as_pages(amber.get_objects, per_request=4)]
        assert [len(page) for page in pages] == [4, 4, 3]
        assert [one for page in pages for one in page] == whole
        entries = [one for page in taxii.as_pages(amber.get_manifest, per_request=4) for one in page["objects"]]
        assert [one["id"] for one in entries] == [one["id"] for one in whole]
        after = entries[8]["date_added"]
        assert amber.get_objects(added_after=after)["objects"] == whole[9:]
        assert len(amber.get_objects(type="indicator")["objects"]) == 7
        assert len(amber.get_objects(type=["indicator", "report"])["objects"]) == 8
        assert amber.get_objects(id=whole[4]["id"])["objects"] == [whole[4]]
        assert amber.get_objects(spec_version="2.0") == {}
        assert amber.get_objects(version=whole[4]["modified"])["objects"] == [
            one for one in whole if one.get("modified") == whole[4]["modified"]
        ]

    await blocking(read)
    async with served.raw(key) as raw:
        level = (await raw.get("root/collections/")).json()["collections"][2]["id"]
        page = await raw.get(f"root/collections/{level}/objects/?limit=2")
        assert page.json()["more"] is True
        assert page.headers["content-type"] == MEDIA
        first, last = (page.headers[f"X-TAXII-Date-Added-{name}"] for name in ("First", "Last"))
        assert (first, last) == ("2026-05-01T03:00:30.000000Z", "2026-05-01T03:00:30.000001Z") or first < last
        following = await raw.get(f"root/collections/{level}/objects/", params={"added_after": last})
        assert len(following.json()["objects"]) == 9


async def test_versions_and_revocation_reach_the_client(served: Served) -> None:
    number = await share(served.centre)
    key = served.key(agency="seogu")
    root = await blocking(lambda: served.root(key))
    amber = await blocking(lambda: collection(root, "amber"))
    last = (await blocking(amber.get_manifest))["objects"][-1]
    served.centre.clock.advance(timedelta(minutes=1))
    async with served.centre.as_person("lead") as lead:
        done = await lead.post(f"/v1/shares/{number}/revoke", json={"reason": "wrong"}, headers={"If-Match": '"2"'})
        assert done.status_code == 200, done.text
    since = (await blocking(lambda: amber.get_objects(added_after=last["date_added"])))["objects"]
    assert [one["revoked"] for one in since] == [True] * 8
    assert signed.verify(json.dumps(since).encode()).problems == []
    indicator = next(one["id"] for one in since if one["type"] == "indicator")
    versions = await blocking(lambda: amber.object_versions(indicator)) if hasattr(amber, "object_versions") else None
    async with served.raw(key) as raw:
        told = (await raw.get(f"root/collections/{amber.id}/objects/{indicator}/versions/")).json()["versions"]
        first = (await raw.get(f"root/collections/{amber.id}/objects/{indicator}/?match[version]=first")).json()["objects"]
        every = (await raw.get(f"root/collections/{amber.id}/objects/{indicator}/?match[version]=all")).json()["objects"]
    assert versions is None or versions["versions"] == told
    assert told == ["2026-05-01T03:00:30.000000Z", "2026-05-01T03:01:30.000000Z"]
    assert [one.get("revoked", False) for one in first + every] == [False, False, True]


async def test_nobody_reads_what_is_anothers(served: Served) -> None:
    await share(served.centre, recipients=["parks"])
    parks, seogu, city = served.key(agency="parks"), served.key(agency="seogu"), served.key("sharing:read")
    theirs = await blocking(lambda: collection(served.root(parks), "amber"))
    name = (await blocking(theirs.get_manifest))["objects"][-1]["id"]
    async with served.raw(seogu) as raw:
        own = (await raw.get("root/collections/")).json()["collections"][2]["id"]
        assert (await raw.get(f"root/collections/{theirs.id}/objects/")).status_code == 404
        assert (await raw.get(f"root/collections/{own}/objects/{name}/")).status_code == 404
        assert (await raw.get(f"root/collections/amber/objects/{name}/")).status_code == 404
        assert (await raw.get(f"root/collections/{own}/objects/")).json() == {}
    whole = await blocking(lambda: collection(served.root(city), "amber").get_objects()["objects"])
    assert "서구청" in json.dumps(whole, ensure_ascii=False)
    assert await states(served.centre) == {"parks": "sent"}  # its manifest is no receipt, and the city's reading is not its own


async def test_what_an_agency_sends_becomes_its_proposal(served: Served) -> None:
    key = served.key(agency="seogu")
    indicator = stix2.Indicator(pattern="[domain-name:value = 'sent.example' OR ipv4-addr:value = '203.0.113.9']", pattern_type="stix")
    good = json.loads(indicator.serialize())
    malware = json.loads(stix2.Malware(name="Loader", is_family=True, object_marking_refs=[stix2.TLP_AMBER]).serialize())
    tool = json.loads(stix2.Tool(name="hammer").serialize())
    hard = {**good, "id": good["id"][:-1] + ("0" if good["id"][-1] != "0" else "1"), "pattern": "[a:b = 'c'] FOLLOWEDBY [d:e = 'f']"}

    def send() -> tuple[Any, Any]:
        inbox = collection(served.root(key), "inbox")
        sent = inbox.add_objects({"objects": [good, malware, tool, hard, {"id": "nonsense"}]})
        again = taxii.Status(f"{served.url}root/status/{sent.id}", user="m", password=key)
        return sent, again

    sent, again = await blocking(send)
    assert (sent.status, sent.total_count, sent.success_count, sent.failure_count) == ("complete", 5, 2, 3)
    assert again._raw == sent._raw
    assert "type tool" in json.dumps(sent.failures)
    async with served.centre.as_person("lead") as lead, served.raw(served.key(agency="parks")) as other:
        (made,) = (await lead.get("/v1/shares")).json()["items"]
        assert (made["state"], made["agency"], made["victim"], made["tlp"]) == ("proposed", "seogu", "seogu", "amber")
        content = (await lead.get(f"/v1/shares/{made['number']}")).json()["content"]
        assert [one["value"] for one in content["indicators"]] == ["sent.example", "203.0.113.9"]
        assert (await other.get(f"root/status/{sent.id}/")).status_code == 404
        assert (await lead.post(f"/v1/shares/{made['number']}/release", json={}, headers={"If-Match": '"1"'})).status_code == 200
    assert await states(served.centre) == {"parks": "sent"}


async def test_personal_numbers_are_not_taken_in(served: Served) -> None:
    told = json.loads(stix2.Malware(name="Loader", is_family=True, description="of 900101-1234568").serialize())

    def send() -> Any:
        return collection(served.root(served.key(agency="seogu")), "inbox").add_objects({"objects": [told]})

    sent = await blocking(send)
    assert (sent.success_count, sent.failure_count) == (0, 1)
    assert "personal numbers" in sent.failures[0]["message"]
    async with served.centre.as_person("lead") as lead:
        assert (await lead.get("/v1/shares")).json()["items"] == []


async def test_errors_are_those_of_taxii(served: Served) -> None:
    await share(served.centre)
    key, reader = served.key(agency="parks"), served.key("sharing:read", agency="parks")
    async with served.raw(key) as raw, served.raw(reader) as only, served.raw("bongsu_wrong") as wrong:
        listed = (await raw.get("root/collections/")).json()["collections"]
        amber, inbox = (f"root/collections/{listed[place]['id']}/objects/" for place in (2, 5))
        name = (await raw.get(amber)).json()["objects"][-1]["id"]
        body = json.dumps({"objects": [{}]})
        answers = {
            "no identity": (await wrong.get(""), 401),
            "other media": (await raw.get("", headers={"Accept": "application/json"}), 406),
            "other version": (await raw.get("", headers={"Accept": "application/taxii+json;version=2.0"}), 406),
            "no root": (await raw.get("elsewhere/"), 404),
            "no collection": (await raw.get("root/collections/91a7b528-80eb-42ed-a74d-c6fbd5a26116/"), 404),
            "no object": (await raw.get(f"{amber}indicator--91a7b528-80eb-42ed-a74d-c6fbd5a26116/"), 404),
            "read the inbox": (await raw.get(inbox), 403),
            "write elsewhere": (await raw.post(amber, content=body, headers={"Content-Type": MEDIA}), 403),
            "write without leave": (await only.post(inbox, content=body, headers={"Content-Type": MEDIA}), 403),
            "other content": (await raw.post(inbox, content=body, headers={"Content-Type": "application/json"}), 415),
            "no envelope": (await raw.post(inbox, content="[]", headers={"Content-Type": MEDIA}), 422),
            "no JSON": (await raw.post(inbox, content="{", headers={"Content-Type": MEDIA}), 422),
            "too large": (await raw.post(inbox, content=b" " * (2 << 20), headers={"Content-Type": MEDIA}), 413),
            "too many": (await raw.post(inbox, content=json.dumps({"objects": [1] * 1001}), headers={"Content-Type": MEDIA}), 413),
            "delete": (await raw.delete(f"{amber}{name}/"), 403),
            "bad date": (await raw.get(amber, params={"added_after": "yesterday"}), 400),
            "bad limit": (await raw.get(amber, params={"limit": "-1"}), 400),
            "bad filter": (await raw.get(amber, params={"match[colour]": "red"}), 400),
        }
    assert {what: one.status_code for what, (one, _) in answers.items()} == {what: status for what, (_, status) in answers.items()}
    for what, (one, status) in answers.items():
        assert one.headers["content-type"] == MEDIA, what
        assert (one.json()["http_status"], bool(one.json()["title"]), "type" in one.json()) == (str(status), True, False), what
    assert "Basic" in answers["no identity"][0].headers["www-authenticate"]


async def test_basic_opens_nothing_but_taxii(served: Served) -> None:
    key = served.key("sharing:read", "incidents:read")
    plain = served.url.removesuffix("/taxii2/")

    def ask(path: str, password: str) -> int:
        return requests.get(f"{plain}{path}", auth=("m", password), headers={"Accept": MEDIA}, timeout=10).status_code

    assert await blocking(lambda: [ask("/taxii2/", key), ask("/taxii2/", key[:-1] + "x"), ask("/v1/incidents", key)]) == [200, 401, 401]
