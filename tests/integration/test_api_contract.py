"""What holds for every operation of the OpenAPI document: changes that say what they saw, creations done once, pages, examples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jsonschema_rs
import pytest
import pytest_asyncio

from core.clock import FixedClock
from core.errors import RuleError
from detect import published, rules
from detect.reload import Snapshot
from tests.detections import Finding
from tests.linked_centres import linked
from tests.servers.api import NOT_THERE, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
pytestmark = pytest.mark.asyncio(loop_scope="module")
RULE = "00000000-0000-4000-8000-000000000001"
RULE_TEXT = f"title: Telnet\nid: {RULE}\nlevel: high\nlogsource: {{category: firewall}}\ndetection: {{a: {{dst_port: 23}}, condition: a}}\n"

UNGUARDED = {
    "POST /v1/login": "begins a session: nothing is there yet",
    "POST /v1/login/code": "ends a half log-in that only who began it has",
    "POST /v1/logout": "ends one's own session; ending it twice is the same",
    "POST /v1/logs": "lines are added, and nothing is replaced",
    "POST /v1/incidents/{number}/attachments": "adds a file under its hash; the same again is kept once",
    "PUT /v1/incidents/{number}/watch": "one's own watching: nobody else changes it, and twice is the same",
    "DELETE /v1/incidents/{number}/watch": "as above",
    "POST /v1/rule-drafts/check": "changes nothing",
    "POST /v1/indicators/feeds/{name}": "adds to the feed what its file tells; whoever sends a file need not have read the feed",
    "POST /v1/incidents/{number}/evidence-bundle": "changes nothing: it puts together what there is",
    "PUT /v1/news/read": "one's own mark; going back is allowed",
    "POST /v1/calls/{call_id}/acknowledge": "the first one counts and is told to all after; twice is the same",
    "POST /v1/deliveries/{delivery_id}/again": "only what was given up is sent again: the second finds nothing to send",
    "PUT /v1/teams/{number}/log/{entry}": "a line is written once under the name its writer gives it, and never replaced",
    "POST /taxii2/root/collections/{collection}/objects/": "TAXII 2.1 (5.6) knows no precondition; objects are added",
    "DELETE /taxii2/root/collections/{collection}/objects/{object_id}/": "TAXII 2.1 (5.8) knows no precondition",
    "POST /v1/centres/heartbeat": "says that a centre is there",
    "POST /v1/duties/{number}/files": "adds a file under its hash; the same again is kept once",
    "POST /v1/account/password": "the present password is sent along: it is what was seen",
    "POST /v1/account/second-factor": "begins anew; what counts stays until it is confirmed",
    "POST /v1/account/second-factor/confirm": "a code of what was begun last is sent along",
    "POST /v1/account/second-factor/remove": "password and code are sent along",
    "POST /v1/account/recovery-codes": "password and code are sent along",
    "DELETE /v1/account/sessions/{session_id}": "a session only ends; ending it must not fail because it was used",
    "POST /v1/account/sessions/end-others": "as above",
    "DELETE /v1/users/{name}/sessions/{session_id}": "as above",
    "POST /v1/users/{name}/unlock": "forgets failed attempts, which nobody writes; twice is the same",
}
"""Changes that take no If-Match, and why nobody's work is lost by that."""

NOT_KEPT = {
    "POST /v1/keys": "the answer holds a secret, which is never stored",
    "POST /v1/keys/{key_id}/rotate": "as above",
    "POST /v1/login": "as above",
    "POST /v1/login/code": "as above",
    "POST /v1/logout": "ends the session that would ask again",
    "POST /v1/users/{name}/password": "the answer holds a secret, which is never stored",
    "POST /v1/logs": "lines are pushed again as they are after a 503 (docs/intake.md)",
    "POST /v1/indicators/feeds/{name}": "files have limits of their own; the same file again changes nothing",
    "POST /v1/incidents/{number}/attachments": "files have limits of their own; the same bytes are kept once",
    "POST /v1/duties/{number}/files": "as above",
    "POST /taxii2/root/collections/{collection}/objects/": "TAXII 2.1: objects are known by id and version",
}
"""POSTs without Idempotency-Key, and why; those of one's own account hold or take secrets."""

WHOLE = {
    "GET /v1/events/{event_id}/detections": "of one event",
    "GET /v1/events/columns": "the columns there are",
    "GET /v1/indicators/feeds": "the feeds there are",
    "GET /v1/indicators/hashes/{digest}": "of one hash, at most a thousand",
    "GET /v1/indicators/imports/{import_id}/refusals": "the first thousand are kept",
    "GET /v1/sharing/peers": "the collections of the peers in the settings",
    "GET /v1/personal-cases/packs": "the packs there are",
    "GET /v1/system/settings": "the settings there are",
    "GET /v1/users/{name}/sessions": "of one person",
    "GET /v1/account/sessions": "as above",
    "GET /v1/incidents/{number}/related": "of one attacker, a limited number",
    "GET /v1/sources": "the sources there are, as one picture",
    "GET /v1/rules/figures": "the rules there are",
    "GET /v1/rules/{rule_id}/hits": "a number for each day asked for",
    "GET /v1/rules/{rule_id}/history": "the newest 200 changes; GET /v1/audit has all of them, in pages",
    "GET /v1/parsers": "the parsers there are",
    "GET /v1/rule-drafts/{number}/texts": "of one draft",
    "GET /v1/hunts/{hunt_id}/hours": "a number for each hour of one search",
    "GET /v1/indicators": "what is known of one value, at most a thousand",
    "GET /v1/teams/{number}/log": "followed with `after` while it grows",
    "GET /v1/drills/scenarios": "the scenarios there are",
    "GET /v1/agencies/health": "the agencies there are",
    "GET /v1/assignees": "the accounts of those who work on incidents",
}
"""Lists that are given whole, and why they stay short."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def centre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TestCentre]:
    """One centre for all, with a rule in force: nothing here asks what another test has done."""
    async with running_centre(settings_for(tmp_path_factory.mktemp("centre")), FixedClock(NOW)) as made:
        book = rules.parse(RULE_TEXT, "/rules/own.yml")
        with made.centre.database.session() as session:
            published.publish(session, "host-1", Snapshot(book.rules, book.correlations, list[RuleError]()))
        yield made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], set[str]]]:
    """Each operation as `METHOD path`, with what it says and the names of its parameters."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation, {one["name"] for one in operation.get("parameters", [])}


def answers(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for status, answer in operation["responses"].items():
        told = answer.get("content", {}).get("application/json")
        if status.startswith("2") and told and told.get("schema"):
            yield told


async def test_every_change_says_what_it_saw(centre: TestCentre) -> None:
    changes, guarded, creations = set(), set(), set()
    for name, operation, parameters in operations(centre.app.openapi()):
        method, _, path = name.partition(" ")
        if method == "GET":
            continue
        changes.add(name)
        if "If-Match" in parameters:
            assert {"412", "428"} <= operation["responses"].keys(), name
            guarded.add(name)
        elif method == "POST" and operation["responses"].keys() & {"201", "202"} and _is_of_its_own(path):
            creations.add(name)
    assert changes - guarded - creations - UNGUARDED.keys() == set(), "without If-Match, and nothing says why"
    assert UNGUARDED.keys() - (changes - guarded) == set(), "guarded by now, or gone"
    assert len(guarded) > 150


def _is_of_its_own(path: str) -> bool:
    """Whether what is made there changes nothing else."""
    return "{" not in path or path.endswith(("/comments", "/tasks"))


async def test_every_creation_is_done_once(centre: TestCentre) -> None:
    without = {
        name
        for name, _, parameters in operations(centre.app.openapi())
        if name.startswith("POST ") and "Idempotency-Key" not in parameters and "/v1/account/" not in name
    }
    assert without == NOT_KEPT.keys()


async def test_every_list_comes_in_pages(centre: TestCentre) -> None:
    document = centre.app.openapi()
    whole, paged = set(), 0
    for name, operation, parameters in operations(document):
        for told in answers(operation):
            assert told["schema"].get("type") != "array", f"{name}: a list has its rows in `items`"
            shape = document["components"]["schemas"].get(told["schema"].get("$ref", "").rpartition("/")[2], {}).get("properties", {})
            items = shape.get("items", {}).get("items", {})
            if not name.startswith("GET ") or not (items.get("$ref") or items.get("type") == "object"):
                continue
            if {"cursor", "limit"} <= parameters:
                assert "next_cursor" in shape, name
                paged += 1
            else:
                whole.add(name)
    assert whole == WHOLE.keys()
    assert paged > 35


async def test_every_body_and_answer_has_an_example_of_its_own_schema(centre: TestCentre) -> None:
    document = centre.app.openapi()
    wrong, seen = [], 0
    for name, operation, _ in operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        for told in [*([body] if body else []), *answers(operation)]:
            schema = told["schema"]
            model = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
            examples = [told["example"]] if "example" in told else model.get("examples", [])
            assert examples, name
            valid = jsonschema_rs.Draft202012Validator(schema | {"components": document["components"]}, validate_formats=True)
            wrong += [f"{name}: {error.instance_path} {error.message}" for one in examples for error in valid.iter_errors(one)]
            seen += len(examples)
    assert not wrong, "\n".join(wrong)
    assert seen > 350


async def test_examples_tell_something(centre: TestCentre) -> None:
    schemas = centre.app.openapi()["components"]["schemas"]
    empty = {name for name, schema in schemas.items() for one in schema.get("examples", []) if "string" in _words(one)}
    assert empty == set()
    block = schemas["Block"]["examples"][0]
    assert (block["number"], block["state"], block["value"]) == ("BLK-2026-000001", "approved", "192.0.2.7")
    assert schemas["AssignWish"]["examples"] == [{"assignee": "lee"}]


def _words(value: Any) -> Iterator[Any]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield value if isinstance(value, str) else ""
    for one in below:
        yield from _words(one)


# ---- what is guarded, and how ----

Made = Callable[[TestCentre, httpx.AsyncClient], Awaitable[str]]
"""Makes a record and gives the path it is read at."""


async def _posted(client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str = "id") -> str:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    return f"{path}/{answer.json()[field]}"


async def a_key(_centre: TestCentre, client: httpx.AsyncClient) -> str:
    return await _posted(client, "/v1/keys", {"name": "reader", "actions": ["incidents:read"]})


async def a_view(_centre: TestCentre, client: httpx.AsyncClient) -> str:
    return await _posted(client, "/v1/views", {"name": "Mine", "query": "assignee=me"})


async def a_shift(_centre: TestCentre, client: httpx.AsyncClient) -> str:
    times = {"begins_at": "2026-05-01T00:00:00Z", "ends_at": "2026-05-01T09:00:00Z"}
    return await _posted(client, "/v1/oncall", {"person": "kim", "address": "kim@soc.example", **times})


async def a_task(centre: TestCentre, client: httpx.AsyncClient) -> str:
    await centre.put_detections([Finding(1, more=(("agency", "seogu"), ("detected_at", NOW)))])
    return await _posted(client, "/v1/incidents/INC-2026-000001/tasks", {"title": "Call the administrator"})


async def a_silence(_centre: TestCentre, client: httpx.AsyncClient) -> str:
    expires = (NOW + timedelta(days=1)).isoformat()
    return await _posted(client, "/v1/silences", {"agency": "seogu", "reason": "a scan", "expires_at": expires})


async def a_tuning(_centre: TestCentre, client: httpx.AsyncClient) -> str:
    places = [f"/v1/rules/{RULE}/tunings/{agency}" for agency in ("seogu", "parks", "_all")]
    path, *_ = [one for one in places if (await client.get(one)).status_code == 404]
    answer = await client.put(path, json={"level": "low", "reason": "noise"}, headers=NOT_THERE)
    assert answer.is_success, answer.text
    return path


async def a_hunt(_centre: TestCentre, client: httpx.AsyncClient) -> str:
    times = {"since": "2026-05-01T00:00:00Z", "until": "2026-05-01T01:00:00Z"}
    return await _posted(client, "/v1/hunts", {**times, "rules": RULE_TEXT})


async def a_delegation(centre: TestCentre, client: httpx.AsyncClient) -> str:
    number = linked(centre)
    return await _posted(client, "/v1/delegations", {"agency": "parks", "centre": number, "reason": "twelve employees"})


async def a_feed(centre: TestCentre, client: httpx.AsyncClient) -> str:
    path = "/v1/indicators/feeds/own"
    assert (await client.post(path, content=b"value\nevil.example\n", headers={"Content-Type": "text/csv"})).is_success
    return path


async def an_account_change(_centre: TestCentre, client: httpx.AsyncClient) -> str:
    wish = {"user": "hong", "kind": "create", "roles": ["analyst"], "reason": "Joins the night shift"}
    return await _posted(client, "/v1/account-changes", wish)


async def an_account(_centre: TestCentre, _client: httpx.AsyncClient) -> str:
    return "/v1/users/analyst"


GUARDED: list[tuple[Made, str, str, str, dict[str, Any] | None]] = [
    (a_key, "admin", "DELETE", "", None),
    (a_key, "admin", "POST", "/rotate", {}),
    (a_view, "analyst", "PUT", "", {"name": "Yours", "query": ""}),
    (a_view, "analyst", "DELETE", "", None),
    (a_shift, "lead", "DELETE", "", None),
    (a_task, "analyst", "PATCH", "", {"done": True}),
    (a_silence, "lead", "DELETE", "", None),
    (a_tuning, "lead", "PUT", "", {"level": "medium", "reason": "less noise"}),
    (a_tuning, "lead", "DELETE", "", None),
    (a_hunt, "lead", "DELETE", "", None),
    (a_delegation, "lead", "POST", "/end", {"reason": "own centre"}),
    (a_feed, "lead", "DELETE", "", None),
    (an_account_change, "lead", "POST", "/withdraw", None),
    (an_account, "admin", "POST", "/disable", None),
]


@pytest.mark.parametrize(("made", "name", "method", "step", "body"), GUARDED, ids=lambda one: getattr(one, "__name__", None))
async def test_a_change_needs_the_version_it_saw(
    centre: TestCentre, made: Made, name: str, method: str, step: str, body: dict[str, Any] | None
) -> None:
    async with centre.as_person(name) as client:
        path = await made(centre, client)
        etag = (await client.get(path)).headers["etag"]

        async def change(**headers: str) -> tuple[int, str]:
            answer = await client.request(method, path + step, json=body, headers=headers)
            told = answer.json() if answer.content else {}
            return answer.status_code, told.get("code", "")

        assert await change() == (428, "precondition_required")
        assert await change(**{"If-Match": '"999"'}) == (412, "stale")
        assert await change(**{"If-Match": "W/" + etag}) == (422, "invalid")
        assert (await client.get(path)).headers["etag"] == etag, "nothing was changed"
        assert (await change(**{"If-Match": etag}))[0] in (200, 201, 204)
        after = await client.get(path)
        assert after.status_code == 404 or after.headers["etag"] != etag
        assert (await change(**{"If-Match": etag}))[0] in (404, 412)


async def test_a_change_refused_for_its_version_may_be_sent_again_under_its_key(centre: TestCentre) -> None:
    async with centre.as_person("lead") as client:
        number = linked(centre, name="other-soc")
        made = await _posted(client, "/v1/delegations", {"agency": "seogu", "centre": number, "reason": "its own"})
        answers = [
            await client.post(f"{made}/end", json={"reason": "over"}, headers={"Idempotency-Key": "end-1", **seen})
            for seen in ({}, {"If-Match": '"7"'}, {"If-Match": '"1"'}, {"If-Match": '"1"'})
        ]
    assert [one.status_code for one in answers] == [428, 412, 200, 200]
    assert ["idempotency-replayed" in one.headers for one in answers] == [False, False, False, True]


async def test_pages_go_on_where_the_one_before_ended(centre: TestCentre) -> None:
    async with centre.as_person("auditor") as auditor, centre.as_person("lead") as client:
        for name in "abc":
            await client.post("/v1/views", json={"name": name, "query": ""})
        for agency in ("_all", "seogu", "parks"):
            await client.put(f"/v1/rules/{RULE}/tunings/{agency}", json={"reason": "noise"}, headers=NOT_THERE)
        for path, reader in (("/v1/views", client), ("/v1/rules/tunings", auditor)):
            whole = (await reader.get(path)).json()["items"]
            seen, cursor, pages = [], "", 0
            while cursor or not pages:
                page = (await reader.get(path, params={"limit": 2, "cursor": cursor})).json()
                seen, cursor, pages = seen + page["items"], page["next_cursor"], pages + 1
            assert (seen, pages) == (whole, (len(whole) + 1) // 2)
            assert len(whole) >= 3
            for wrong in ("x", "bnVsbA", "WzEsMl0"):  # no base64, null, two numbers
                assert (await reader.get(path, params={"cursor": wrong})).status_code == 422


async def test_a_tuning_is_replaced_or_made_and_never_both(centre: TestCentre) -> None:
    path, wish = f"/v1/rules/{RULE}/tunings/_unknown", {"level": "low", "reason": "noise"}
    async with centre.as_person("lead") as client:

        async def put(**headers: str) -> int:
            return (await client.put(path, json=wish, headers=headers)).status_code

        assert await put(**{"If-Match": '"1"'}) == 412, "there is nothing yet"
        assert await put(**NOT_THERE) == 200
        assert await put(**NOT_THERE) == 412
        assert await put(**NOT_THERE, **{"If-Match": '"1"'}) == 428
        assert await put(**{"If-None-Match": '"1"'}) == 422
        assert await put(**{"If-Match": '"1"'}) == 200


@pytest.mark.parametrize(
    ("at", "is_taken"),
    [
        ("0001-01-01T00:00:00+14:00", False),
        ("1969-12-31T23:59:59Z", False),
        ("1970-01-01T00:00:00+14:00", True),
        ("2199-12-31T23:59:59-12:00", True),
        ("9999-12-31T23:59:59-12:00", False),
    ],
)
async def test_a_time_is_taken_within_what_can_be_stored(centre: TestCentre, at: str, is_taken: bool) -> None:
    """Of every list that is asked for by times, one time given: the other has its default, which may leave nothing between them."""
    asked = 0
    for name, operation, parameters in operations(centre.app.openapi()):
        path = name.removeprefix("GET ")
        times = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query" and "'date-time'" in str(one["schema"])]
        for time in times if path != name and "{" not in path else []:
            asked += 1
            query = {time: at, **({"of": "src_ip"} if "of" in parameters else {})}
            async with centre.as_person("lead") as lead:
                answer = await lead.get(path, params=query)
            assert answer.status_code == (200 if is_taken else 422) or answer.json()["detail"] == "since must be before until", answer.text
    assert asked >= 18
