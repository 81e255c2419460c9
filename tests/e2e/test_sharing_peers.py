"""Two centres: one shares over TAXII, the other polls it into its library; and `bongsu share verify` away from both."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.auth.keys import KeyWish, create_key
from core.clock import FixedClock
from core.database import Database
from core.errors import Invalid, StoreUnavailable
from core.sharing_settings import PeerSettings
from core.signing import load_signer
from respond.sharing import peers, taxii
from runtime.peers import PeerReader
from runtime.web import WebService
from tests.servers.api import TestCentre, running_centre, settings_for
from tests.servers.centre import RunningCentre

NOW = datetime.now(UTC) - timedelta(hours=1)
WISH: dict[str, Any] = {
    "kind": "indicator",
    "tlp": "amber",
    "content": {
        "title": "t",
        "summary": "s",
        "indicators": [{"type": "domain", "value": "from-peer.example", "confidence": 70}, {"type": "address", "value": "203.0.113.77"}],
    },
}
AMBER = taxii.collection_id("parks", "amber")


@pytest.fixture
async def sharer(tmp_path: Path) -> AsyncIterator[tuple[TestCentre, str]]:
    """A centre in this process, and its TAXII root on a real socket."""
    async with running_centre(settings_for(tmp_path / "sharer", api={"port": 0}), FixedClock(NOW)) as centre:
        web = WebService(centre.app, centre.centre.settings.api)
        await web.start()
        try:
            yield centre, f"{web.url}/taxii2/root/"
        finally:
            await web.stop()


def peer(centre: TestCentre, root: str, **changes: Any) -> dict[str, Any]:
    with centre.centre.database.session() as session:
        _, key = create_key(session, KeyWish("peer", ["sharing:read"], "parks", "", timedelta(days=30)), actor="system:test")
    return {"name": "upstream", "root": root, "collections": [AMBER], "user": "us", "secret": key, "minutes": 1, **changes}


async def share(centre: TestCentre, wish: dict[str, Any]) -> str:
    async with centre.as_person("lead") as lead:
        made = await lead.post("/v1/shares", json=wish)
        assert made.status_code == 201, made.text
        number: str = made.json()["number"]
        done = await lead.post(f"/v1/shares/{number}/release", json={}, headers={"If-Match": '"1"'})
        assert done.status_code == 200, done.text
    return number


async def test_a_centre_takes_in_what_its_peer_shares(sharer: tuple[TestCentre, str], tmp_path: Path) -> None:
    centre, root = sharer
    number = await share(centre, WISH)
    settings = {"intake": {"listeners": []}, "respond": {"sharing": {"peers": [peer(centre, root)]}}}
    (tmp_path / "taker").mkdir()
    taker = RunningCentre(tmp_path / "taker", settings)

    async def known(value: str) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            found = await beside(lambda: analyst.get("/v1/indicators", params={"value": value}).json()["items"])
            if found:
                return found  # type: ignore[no-any-return]
            await beside(lambda: time.sleep(0.5))
        raise AssertionError(taker.log.read_text(encoding="utf-8")[-3000:])

    try:
        await beside(taker.start)
        analyst = await beside(lambda: taker.user("lead", "soc_lead"))
        (one,) = await known("from-peer.example")
        assert (one["feed"], one["tlp"], one["confidence"]) == ("peer-upstream", "amber", 70)
        assert one["source"] == "Security Control Center"
        assert len(await known("203.0.113.77")) == 1
        (state,) = (await beside(lambda: analyst.get("/v1/sharing/peers"))).json()["items"]
        assert (state["peer"], state["indicators"], state["problem"]) == ("upstream", 2, "")
    finally:
        await beside(taker.close)
    async with centre.as_person("lead") as lead:
        receipts = {one["agency"]: one["state"] for one in (await lead.get("/v1/share-receipts")).json()["items"]}
        content = (await lead.get(f"/v1/shares/{number}/bundle", params={"recipient": "parks"})).content
    assert receipts == {"parks": "collected", "seogu": "sent"}
    file, key = tmp_path / "shared.json", load_signer(centre.centre.settings.signing_key).text
    file.write_bytes(content)
    whole = await beside(lambda: verify(file, "--key", key))
    file.write_bytes(content.replace(b"203.0.113.77", b"203.0.113.78"))
    broken = await beside(lambda: verify(file, "--key", key))
    assert (whole.returncode, "whole: " in whole.stdout) == (0, True), whole.stderr
    assert (broken.returncode, "BROKEN" in broken.stdout) == (1, True)


def verify(file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime", "share", "verify", str(file), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def beside(call: Any) -> Any:
    """What blocks runs beside the loop, which serves the sharer."""
    return await asyncio.to_thread(call)


async def test_turns_go_on_where_the_last_one_ended(sharer: tuple[TestCentre, str], tmp_path: Path) -> None:
    """The reader itself, into the sharer's own library: what is revoked later is taken back, and failures move nothing on."""
    centre, root = sharer
    database = centre.centre.database
    number = await share(centre, WISH)
    reader = PeerReader(PeerSettings.model_validate(peer(centre, root)), database, centre.centre.importer, centre.clock)
    assert await reader.look(AMBER) is False
    first = state(database)
    assert (first.indicators, first.problem) == (2, "")
    assert await reader.look(AMBER) is False
    assert (state(database).objects, state(database).added_after) == (first.objects, first.added_after)
    centre.clock.advance(timedelta(minutes=1))
    async with centre.as_person("lead") as lead:
        before = (await lead.get("/v1/indicators", params={"value": "from-peer.example"})).json()["items"]
        done = await lead.post(f"/v1/shares/{number}/revoke", json={"reason": "wrong"}, headers={"If-Match": '"2"'})
        assert done.status_code == 200
        await reader.look(AMBER)
        told = (await lead.get("/v1/indicators", params={"value": "from-peer.example"})).json()["items"]
    assert [(one["feed"], one["in_force"]) for one in before] == [("peer-upstream", True)]
    assert not any(one["in_force"] for one in told)
    wrong = PeerReader(PeerSettings.model_validate(peer(centre, root, secret="bongsu_no")), database, centre.centre.importer, centre.clock)
    after = state(database).added_after
    assert await wrong.look(AMBER) is False
    assert (state(database).added_after, "secret is not accepted" in state(database).problem) == (after, True)


def state(database: Database) -> Any:
    with database.session(readonly=True) as session:
        (found,) = peers.states(session)
        return found


@pytest.mark.parametrize(
    ("content", "headers", "status", "why"),
    [
        (b"{}", {"Content-Type": "text/html"}, 200, "not TAXII 2.1"),
        (b"{", {}, 200, "no JSON"),
        (b"[]", {}, 200, "no TAXII envelope"),
        (b'{"objects": 3}', {}, 200, "no TAXII envelope"),
        (b"", {}, 302, "answered 302"),
        (b"", {}, 500, "answered 500"),
        (b'{"objects": ["' + b"x" * (3 << 20) + b'"]}', {}, 200, "larger than max_mb"),
    ],
)
def test_a_strange_peer_is_an_error_for_people(content: bytes, headers: dict[str, str], status: int, why: str) -> None:
    told = PeerSettings(name="p", root="https://peer.example/r/", collections=("c",), max_mb=2)
    answer = httpx.Response(status, content=content, headers={"Content-Type": taxii.MEDIA, **headers})
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as http, pytest.raises(Invalid, match=why):
        peers.ask(http, told, "c", "")


def test_a_peer_that_is_not_there() -> None:
    told = PeerSettings.model_validate({"name": "p", "root": "http://127.0.0.1:1/r/", "collections": ["c"]})
    with peers.client(told) as http, pytest.raises(StoreUnavailable, match="does not answer"):
        peers.ask(http, told, "c", "")


def test_verify_knows_what_is_no_share(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"objects": [{"id": "indicator--1", "type": "indicator"}]}), encoding="utf-8")
    done = verify(file)
    assert (done.returncode, "nothing in it is signed" in done.stdout) == (1, True)
