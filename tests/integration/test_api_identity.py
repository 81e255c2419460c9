"""Who gets in: passwords, sessions, keys, lockout, the gate, and the trail they leave."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute, iter_route_contexts

from api.auth import keys, lockout, users
from api.auth.dependencies import Allowed
from api.auth.gate import COOKIE, OPEN_PATHS
from api.auth.tables import ApiKey, LoginSession, User
from core.clock import FixedClock
from core.errors import Invalid, TooMany
from respond import audit
from respond.models import Audit
from tests.servers.api import FIRST_SEEN, PASSWORD, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


def trail(centre: TestCentre) -> list[tuple[str, str, str]]:
    with centre.centre.database.session(readonly=True) as session:
        assert audit.verify(session).problem == ""
        return [tuple(row) for row in session.execute(sa.select(Audit.actor, Audit.action, Audit.object).order_by(Audit.seq))]


async def attempt(client: httpx.AsyncClient, name: str, password: str) -> httpx.Response:
    return await client.post("/v1/login", json={"name": name, "password": password})


async def test_login_gives_a_cookie_that_is_the_session(centre: TestCentre) -> None:
    async with centre.client() as client:
        answer = await attempt(client, " Analyst ", PASSWORD)
        assert answer.status_code == 200
        assert answer.json()["roles"] == ["analyst"]
        assert answer.json()["expires_at"] == "2026-05-01T15:00:30Z"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        me = (await client.get("/v1/me")).json()
        assert (me["kind"], me["name"], me["actions"]["incidents:read"]) == ("user", "analyst", "all")
        secret = client.cookies[COOKIE]
    with centre.centre.database.session(readonly=True) as session:
        assert session.scalars(sa.select(LoginSession.token_hash)).one() != secret
        assert PASSWORD not in session.scalars(sa.select(User.password_hash)).first()


async def test_behind_tls_the_cookie_is_sent_over_tls_only(centre: TestCentre) -> None:
    async with centre.client() as client:
        client.base_url = "https://bongsu.test"
        answer = await attempt(client, "analyst", PASSWORD)
    assert "Secure" in answer.headers["set-cookie"]


async def test_wrong_name_and_wrong_password_look_the_same(centre: TestCentre) -> None:
    async with centre.client() as client:
        wrong = await attempt(client, "analyst", "not the password")
        nobody = await attempt(client, "nobody", "not the password")
        with centre.centre.database.session() as session:
            users.disable_user(session, "lead", actor="system:test")
        disabled = await attempt(client, "lead", PASSWORD)
    told = [{k: v for k, v in one.json().items() if k != "request_id"} for one in (wrong, nobody, disabled)]
    assert wrong.status_code == 401
    assert told[0] == told[1] == told[2]


async def test_a_session_ends_by_logout_expiry_disabling_and_new_password(centre: TestCentre) -> None:
    database = centre.centre.database
    async with centre.as_person("analyst") as one, centre.as_person("analyst") as two:
        copied = dict(one.cookies)
        assert (await one.post("/v1/logout")).status_code == 204
        async with centre.client(cookies=copied) as thief:
            assert (await thief.get("/v1/me")).status_code == 401
        assert (await two.get("/v1/me")).status_code == 200
        centre.clock.advance(timedelta(hours=12))
        assert (await two.get("/v1/me")).status_code == 401
    async with centre.as_person("analyst") as three:
        with database.session() as session:
            users.ensure_user(session, "analyst", PASSWORD + "!", ["analyst"])
        assert (await three.get("/v1/me")).status_code == 401
    async with centre.as_person("lead") as four, centre.as_person("lead") as five:
        assert (await four.post("/v1/logout", params={"everywhere": True})).status_code == 204
        assert (await five.get("/v1/me")).status_code == 401
    async with centre.as_person("mayor") as six:
        with database.session() as session:
            users.disable_user(session, "mayor", actor="system:test")
        assert (await six.get("/v1/me")).status_code == 401


async def test_roles_are_those_of_now_not_of_the_login(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as client:
        assert (await client.get("/v1/events")).status_code == 200
        with centre.centre.database.session() as session:
            users.ensure_user(session, "analyst", PASSWORD, ["auditor"])
        assert (await client.get("/v1/events")).status_code == 403


async def test_ensuring_a_user_who_is_so_already_writes_nothing(centre: TestCentre) -> None:
    before = trail(centre)
    with centre.centre.database.session() as session:
        users.ensure_user(session, "officer", PASSWORD, ["agency_officer"], "seogu")
    assert trail(centre) == before


@pytest.mark.parametrize(
    ("name", "password", "roles", "agency"),
    [("", PASSWORD, ["analyst"], ""), ("a b", PASSWORD, ["analyst"], ""), ("kim", "short", ["analyst"], ""), ("kim", PASSWORD, ["x"], "")],
)
async def test_impossible_users_are_refused(centre: TestCentre, name: str, password: str, roles: list[str], agency: str) -> None:
    with pytest.raises(Invalid), centre.centre.database.session() as session:
        users.ensure_user(session, name, password, roles, agency)


async def test_after_repeated_failures_a_name_waits_even_with_the_right_password(centre: TestCentre) -> None:
    async with centre.client() as client:
        for _ in range(5):
            assert (await attempt(client, "analyst", "wrong password")).status_code == 401
        locked = await attempt(client, "analyst", PASSWORD)
        assert (locked.status_code, locked.headers["retry-after"]) == (429, "30")
        assert "30 seconds" in locked.json()["detail"]
        assert (await attempt(client, "lead", PASSWORD)).status_code == 200
        centre.clock.advance(timedelta(seconds=30))
        assert (await attempt(client, "analyst", "wrong password")).status_code == 401
        again = await attempt(client, "analyst", PASSWORD)
        assert (again.status_code, again.headers["retry-after"]) == (429, "60")
        centre.clock.advance(timedelta(seconds=60))
        assert (await attempt(client, "analyst", PASSWORD)).status_code == 200
        assert (await attempt(client, "analyst", "wrong password")).status_code == 401


def tries(centre: TestCentre, name: str, peer: str, *, right: bool = False) -> bool:
    """One attempt as `log_in` counts it; whether it was let through to the password."""
    subjects = (lockout.of_name(name), lockout.of_address(peer))
    try:
        with centre.centre.database.session() as session:
            lockout.count_attempt(session, subjects)
    except TooMany:
        return False
    if right:
        with centre.centre.database.session() as session:
            lockout.forgive(session, *subjects)
    return True


async def test_an_unknown_name_waits_alike(centre: TestCentre) -> None:
    assert [tries(centre, "nobody", f"192.0.2.{n}") for n in range(6)] == [True] * 5 + [False]


async def test_an_address_that_tries_many_names_waits_and_others_do_not(centre: TestCentre) -> None:
    assert all(tries(centre, f"name{n}", "2001:db8:1:2::5") for n in range(25))
    assert not tries(centre, "analyst", "2001:db8:1:2::9")
    assert tries(centre, "analyst", "2001:db8:1:3::5")
    assert all(tries(centre, f"name{n}", "192.0.2.7") for n in range(25, 50))
    assert not tries(centre, "mayor", "::ffff:192.0.2.7")
    assert tries(centre, "mayor", "192.0.2.8")


async def test_right_logins_never_make_anybody_wait(centre: TestCentre) -> None:
    assert all(tries(centre, f"name{n % 3}", "192.0.2.7", right=True) for n in range(60))
    assert all(tries(centre, f"name{n}", "192.0.2.7") for n in range(25))
    assert not tries(centre, "name99", "192.0.2.7")


async def test_failures_are_forgotten_after_a_while_and_waits_stay_bounded(centre: TestCentre) -> None:
    for _ in range(20):
        assert tries(centre, "nobody", "192.0.2.7")
        centre.clock.advance(timedelta(minutes=15))
    centre.clock.advance(timedelta(minutes=31))
    assert [tries(centre, "nobody", "192.0.2.7") for _ in range(6)] == [True] * 5 + [False]


async def test_attempts_at_the_same_time_do_not_pass_the_limit(centre: TestCentre) -> None:
    at_once = (asyncio.to_thread(tries, centre, "nobody", f"192.0.2.{n}") for n in range(20))
    assert sum(await asyncio.gather(*at_once)) == 5


async def test_a_key_works_until_it_expires_or_is_revoked(centre: TestCentre) -> None:
    async with centre.as_machine("incidents:read", agency="seogu", days=1) as machine:
        me = (await machine.get("/v1/me")).json()
        assert (me["kind"], me["agency"], me["actions"]) == ("key", "seogu", {"incidents:read": "own"})
        assert (await machine.get("/v1/events")).status_code == 403
        centre.clock.advance(timedelta(days=1))
        assert (await machine.get("/v1/me")).status_code == 401


@pytest.mark.parametrize("change", [lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"), lambda _: "bongsu_x_y", lambda _: ""])
async def test_a_wrong_key_is_refused(centre: TestCentre, change: object) -> None:
    async with centre.as_machine("incidents:read") as machine:
        text = machine.headers["Authorization"].removeprefix("Bearer ")
        machine.headers["Authorization"] = f"Bearer {change(text)}"  # type: ignore[operator]
        answer = await machine.get("/v1/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_admin_makes_lists_and_revokes_keys(centre: TestCentre) -> None:
    wish = {"name": "forwarder", "actions": ["logs:write"], "agency": "seogu", "source": "fw-1", "days": 10}
    async with centre.as_person("admin") as admin:
        made = (await admin.post("/v1/keys", json=wish)).json()
        assert re.fullmatch(r"bongsu_[0-9a-f]{12}_[0-9a-f]{64}", made["key"])
        assert (await admin.post("/v1/keys", json=wish | {"agency": "atlantis"})).status_code == 422
        assert (await admin.post("/v1/keys", json=wish | {"source": ""})).status_code == 422
        listed = await admin.get("/v1/keys")
        assert [one["name"] for one in listed.json()["items"]] == ["forwarder"]
        assert made["key"].rsplit("_", 1)[1] not in listed.text
        with centre.centre.database.session(readonly=True) as session:
            stored = session.scalars(sa.select(ApiKey)).one()
            assert stored.secret_hash not in made["key"]
        async with centre.client(headers={"Authorization": f"Bearer {made['key']}"}) as machine:
            assert (await machine.post("/v1/logs", content=b"a line\n")).status_code == 200
            assert (await admin.get("/v1/keys")).json()["items"][0]["last_used_at"] == "2026-05-01T03:00:30Z"
            assert (await admin.delete(f"/v1/keys/{made['id']}", headers=FIRST_SEEN)).status_code == 204
            assert (await admin.delete(f"/v1/keys/{made['id']}", headers={"If-Match": '"2"'})).status_code == 204, "it has ended already"
            assert (await machine.post("/v1/logs", content=b"a line\n")).status_code == 401
        assert (await admin.delete("/v1/keys/none", headers=FIRST_SEEN)).status_code == 404


async def test_keys_are_listed_in_pages(centre: TestCentre) -> None:
    for n in range(5):
        centre.clock.advance(timedelta(seconds=n % 2))  # some share their instant
        centre.as_machine("incidents:read")
    async with centre.as_person("admin") as admin:
        seen, cursor = [], ""
        for _ in range(3):
            page = (await admin.get("/v1/keys", params={"limit": 2, "cursor": cursor})).json()
            seen += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
        assert cursor == ""
        assert len(set(seen)) == len(seen) == 5
        assert (await admin.get("/v1/keys", params={"cursor": "nonsense"})).status_code == 422


async def test_the_trail_tells_of_logins_keys_and_users(centre: TestCentre) -> None:
    start = len(trail(centre))
    async with centre.client() as admin, centre.client() as client:
        admin.headers["X-CSRF-Token"] = (await attempt(admin, "admin", PASSWORD)).json()["csrf_token"]
        made = (await admin.post("/v1/keys", json={"name": "x", "actions": ["incidents:read"]})).json()
        await admin.delete(f"/v1/keys/{made['id']}", headers=FIRST_SEEN)
        await attempt(client, "analyst", "wrong password")
        await attempt(client, "wrong field password", "x" * 12)
        await admin.post("/v1/logout")
    new = trail(centre)[start:]
    assert new == [
        ("user:admin", "login", "user/admin"),
        ("user:admin", "key.created", f"key/{made['id']}"),
        ("user:admin", "key.revoked", f"key/{made['id']}"),
        ("anonymous", "login.failed", "user/analyst"),
        ("anonymous", "login.failed", "user/?"),
        ("user:admin", "logout", "user/admin"),
    ]
    with centre.centre.database.session(readonly=True) as session:
        assert not [row for row in session.scalars(sa.select(Audit.detail)) if "password" in json.loads(row)]


async def test_what_another_site_makes_a_browser_send_is_refused(centre: TestCentre) -> None:
    async with centre.as_person("admin") as admin:
        token = admin.headers.pop("X-CSRF-Token")
        wish = {"name": "x", "actions": ["incidents:read"]}
        tried = {
            "nothing": await admin.post("/v1/keys", json=wish),
            "foreign origin": await admin.post("/v1/keys", json=wish, headers={"Origin": "http://evil.test"}),
            "null origin": await admin.post("/v1/keys", json=wish, headers={"Origin": "null"}),
            "wrong token": await admin.post("/v1/keys", json=wish, headers={"X-CSRF-Token": "0" * 64, "Origin": "http://bongsu.test"}),
        }
        assert {name: answer.status_code for name, answer in tried.items()} == dict.fromkeys(tried, 403)
        assert (await admin.get("/v1/keys")).json()["items"] == []
        assert (await admin.post("/v1/keys", json=wish, headers={"Origin": "http://bongsu.test"})).status_code == 201
        assert (await admin.post("/v1/keys", json=wish, headers={"X-CSRF-Token": token})).status_code == 201
    async with centre.client() as client:
        body = {"name": "analyst", "password": PASSWORD}
        assert (await client.post("/v1/login", json=body, headers={"Origin": "http://evil.test"})).status_code == 403


def routes(centre: TestCentre) -> list[tuple[str, str, APIRoute]]:
    """Every route of the application: method, path with parameters filled, and the route."""
    found = []
    for context in iter_route_contexts(centre.app.routes):
        for method in sorted(getattr(context, "methods", None) or {"GET"}):
            path = re.sub(r"\{[^}]*\}", "INC-2026-000001", getattr(context, "path", "") or "/")
            found.append((method, path, context.original_route))
    return found


async def test_no_route_answers_without_identity(centre: TestCentre) -> None:
    found = routes(centre)
    assert {"/v1/me", "/v1/logs", "/v1/events", "/v1/incidents", "/v1/keys", "/v1/counters", "/v1/openapi.json"} <= {p for _, p, _ in found}
    extra = [("GET", "/incidents/INC-2026-000001", None), ("GET", "/_nicegui/x", None), ("POST", "/_nicegui_ws/socket.io/", None)]
    extra += [("GET", "/nothing/at/all", None), ("GET", "/v1/nothing", None), ("GET", "//login", None), ("GET", "/static", None)]
    async with centre.client("192.0.2.99") as client:
        for method, path, _ in [*found, *extra]:
            if path in OPEN_PATHS or path.startswith("/static/"):
                continue
            answer = await client.request(method, path)
            assert answer.status_code == 401, (method, path, answer.status_code)
            taxii = path.startswith("/taxii2/")  # which has an error resource of its own (TAXII 2.1, 3.6.1)
            assert answer.headers["content-type"] == ("application/taxii+json;version=2.1" if taxii else "application/problem+json")
            page = await client.request(method, path, headers={"Accept": "text/html"})
            assert page.status_code in (401, 303), (method, path)


async def test_every_data_route_states_what_it_needs(centre: TestCentre) -> None:
    """Identity alone opens only what is about the caller itself."""
    about_oneself = {"/v1/login", "/v1/login/code", "/v1/logout", "/v1/me", "/v1/news", "/v1/news/read"}
    about_oneself |= {"/v1/clocks"}  # of each kind of case what the caller reads
    for _, path, route in routes(centre):
        if path.startswith("/v1/account/") or path == "/v1/account":
            continue
        if path.startswith("/v1/") and path not in about_oneself | {"/v1/openapi.json"}:
            needs = [sub.call for one in route.dependant.dependencies for sub in (one, *one.dependencies)]
            assert any(isinstance(call, Allowed) for call in needs), path


async def test_open_doors_tell_strangers_nothing(centre: TestCentre) -> None:
    async with centre.client("192.0.2.99") as client:
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        ready = await client.get("/readyz")
        assert ready.status_code == 200
        assert "problem" not in ready.text
        assert "lag" not in ready.text
        assert (await client.get("/static/bongsu.css")).status_code == 200
        assert (await client.get("/static/../app.py")).status_code in (401, 404)
        assert (await client.get("/static/..%2f..%2fapp.py")).status_code == 404
        assert (await client.get("/login")).status_code == 200


async def test_metrics_need_a_key_or_this_machine(centre: TestCentre) -> None:
    async with centre.client("192.0.2.99") as stranger, centre.client("127.0.0.1") as local, centre.client("::1") as local6:
        assert (await stranger.get("/metrics")).status_code == 401
        assert (await local.get("/metrics", headers={"X-Forwarded-For": "192.0.2.99"})).status_code == 401
        assert "bongsu_http_requests_total" in (await local.get("/metrics")).text
        assert (await local6.get("/metrics")).status_code == 200
    async with centre.as_machine("metrics:read") as prometheus, centre.as_machine("incidents:read") as other:
        assert (await prometheus.get("/metrics")).status_code == 200
        assert (await other.get("/metrics")).status_code == 403


async def test_the_form_logs_in_and_leads_on_but_never_away(centre: TestCentre) -> None:
    async with centre.client() as client:
        page = await client.get("/", headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/login?next=/")
        form = {"name": "analyst", "password": PASSWORD}
        done = await client.post("/login?next=/incidents/INC-2026-000001", data=form)
        assert (done.status_code, done.headers["location"]) == (303, "/incidents/INC-2026-000001")
        searched = await client.get("/hunt", params={"q": "user:kim 한"}, headers={"Accept": "text/html", "Cookie": ""})
        assert searched.headers["location"] == "/login?next=/hunt%3Fq%3Duser%253Akim%2B%25ED%2595%259C"
        there = await client.post(searched.headers["location"], data=form)
        assert there.headers["location"] == "/hunt?q=user%3Akim+%ED%95%9C"
        sent = await client.post("/login", params={"next": "//evil.test"}, data=form)
        assert sent.headers["location"] == "/"
        for away in ("https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/x?y=//evil.test", "/\tevil"):
            assert (await client.get("/preferences", params={"language": "en", "next": away})).headers["location"] == "/"
        out = await client.post("/logout", headers={"Origin": "http://bongsu.test"})
        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert (await client.get("/v1/me")).status_code == 401


async def test_the_form_shows_what_was_typed_as_text(centre: TestCentre) -> None:
    async with centre.client() as client:
        page = await client.post("/login", data={"name": '"><script>alert(1)</script>', "password": "wrong password"})
    assert page.status_code == 401
    assert "<script>" not in page.text
    assert "script" not in page.headers["content-security-policy"].replace("'none'", "")


async def test_the_language_is_chosen_remembered_or_the_browsers(centre: TestCentre) -> None:
    async with centre.client() as client:
        assert 'lang="ko"' in (await client.get("/login")).text
        assert 'lang="en"' in (await client.get("/login", headers={"Accept-Language": "en-GB,ko;q=0.5"})).text
        await client.get("/preferences", params={"language": "en", "theme": "dark"})
        page = (await client.get("/login", headers={"Accept-Language": "ko"})).text
        assert 'lang="en" data-theme="dark"' in page
        assert (await client.get("/preferences", params={"language": "xx"})).status_code == 422


async def test_services_refuse_keys_that_make_no_sense(centre: TestCentre) -> None:
    day = timedelta(days=1)
    for wish in (
        keys.KeyWish("x", ["logs:write"], "", "", day),
        keys.KeyWish("x", ["incidents:read"], "seogu", "fw-1", day),
        keys.KeyWish(" ", ["incidents:read"], "", "", day),
        keys.KeyWish("x", ["incidents:read"], "", "", timedelta(0)),
        keys.KeyWish("x", ["incidents:read"], "", "", timedelta(days=4000)),
    ):
        with pytest.raises(Invalid), centre.centre.database.session() as session:
            keys.create_key(session, wish, actor="system:test")
