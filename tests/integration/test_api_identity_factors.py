"""Second factors, password rules, sessions and who may change accounts, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyotp
import pytest
import sqlalchemy as sa

from api.auth.gate import COOKIE
from api.auth.tables import LoginStep, RecoveryCode, User
from core.clock import FixedClock
from respond import audit
from respond.models import Audit
from tests.servers.api import PASSWORD, PEOPLE, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
STEP = timedelta(seconds=30)
OWN = "seven quiet herons at dawn"


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def log_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    answer = await client.post("/v1/login", json={"name": name, "password": password})
    if answer.status_code == 200:
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return answer


async def enrolled(centre: TestCentre, name: str = "analyst") -> tuple[pyotp.TOTP, list[str]]:
    async with centre.as_person(name) as client:
        made = (await client.post("/v1/account/second-factor", json={"password": PASSWORD})).json()
        assert made["qr"].startswith("<svg")
        totp = pyotp.parse_uri(made["uri"])
        assert isinstance(totp, pyotp.TOTP)
        assert (totp.secret, totp.issuer, totp.name) == (made["secret"], "Bongsu", name)
        confirmed = await client.post("/v1/account/second-factor/confirm", json={"code": totp.at(centre.clock.now())})
        return totp, confirmed.json()["codes"]


async def test_a_password_alone_opens_nothing_where_there_is_a_second_factor(centre: TestCentre) -> None:
    totp, _ = await enrolled(centre)
    async with centre.client() as client:
        half = await log_in(client, "analyst")
        assert (half.status_code, half.json()) == (202, {"next": "code", "expires_in": 600})
        assert COOKIE not in client.cookies
        assert "HttpOnly" in half.headers["set-cookie"]
        assert (await client.get("/v1/me")).status_code == 401
        half_token = client.cookies["bongsu_login"]
        assert (await client.get("/v1/me", headers={"Cookie": f"{COOKIE}={half_token}"})).status_code == 401
        code = totp.at(centre.clock.now())
        assert (await client.post("/v1/login/code", json={"code": code})).status_code == 401  # it confirmed: used up
        centre.clock.advance(STEP)
        done = await client.post("/v1/login/code", json={"code": totp.at(centre.clock.now())})
        assert (done.status_code, done.json()["name"]) == (200, "analyst")
        assert (await client.get("/v1/me")).status_code == 200
        client.cookies.set("bongsu_login", half_token)
        again = await client.post("/v1/login/code", json={"code": totp.at(centre.clock.now())})
        assert (again.status_code, again.json()["code"]) == (401, "expired")
    with centre.centre.database.session(readonly=True) as session:
        user = session.scalars(sa.select(User).where(User.name == "analyst")).one()
        assert totp.secret not in (user.totp_secret or "")
        assert not session.scalars(sa.select(LoginStep)).all()
        trail = " ".join(session.scalars(sa.select(Audit.detail)).all())
        assert totp.secret not in trail
        assert audit.verify(session).problem == ""


async def test_a_clock_may_be_half_a_minute_off(centre: TestCentre) -> None:
    outcomes = {}
    apps = {steps: (name, (await enrolled(centre, name))[0]) for steps, name in zip(range(-2, 3), PEOPLE, strict=False)}
    centre.clock.advance(10 * STEP)
    for steps, (name, totp) in apps.items():
        async with centre.client() as client:
            await log_in(client, name)
            shown = await client.post("/v1/login/code", json={"code": totp.at(centre.clock.now() + steps * STEP)})
            outcomes[steps] = shown.status_code
    assert outcomes == {-2: 401, -1: 200, 0: 200, 1: 200, 2: 401}


async def test_a_code_is_taken_once_and_none_before_it(centre: TestCentre) -> None:
    totp, _ = await enrolled(centre)
    centre.clock.advance(10 * STEP)
    at = centre.clock.now()
    outcomes = []
    for code in (totp.at(at), totp.at(at), totp.at(at - STEP), totp.at(at + STEP)):
        async with centre.client() as client:
            await log_in(client, "analyst")
            outcomes.append((await client.post("/v1/login/code", json={"code": code})).status_code)
    assert outcomes == [200, 401, 401, 200]


async def test_wrong_codes_make_the_account_wait_and_a_right_password_forgives_none(centre: TestCentre) -> None:
    totp, _ = await enrolled(centre)
    centre.clock.advance(10 * STEP)
    statuses = []
    for _ in range(6):
        async with centre.client() as client:
            assert (await log_in(client, "analyst")).status_code == 202
            statuses.append((await client.post("/v1/login/code", json={"code": "12345"})).status_code)
    assert statuses == [401] * 5 + [429]
    async with centre.client() as client:
        await log_in(client, "analyst")
        assert (await client.post("/v1/login/code", json={"code": totp.at(centre.clock.now())})).status_code == 429
        async with centre.as_person("admin") as admin:
            assert (await admin.post("/v1/users/analyst/unlock")).status_code == 204
        assert (await client.post("/v1/login/code", json={"code": totp.at(centre.clock.now())})).status_code == 200


async def test_a_half_log_in_ends_after_ten_minutes(centre: TestCentre) -> None:
    totp, _ = await enrolled(centre)
    async with centre.client() as client:
        await log_in(client, "analyst")
        centre.clock.advance(timedelta(minutes=10))
        late = await client.post("/login/code", data={"code": totp.at(centre.clock.now())})
    assert late.status_code == 401
    assert 'name="password"' in late.text


async def test_recovery_codes_stand_in_once_and_are_stored_as_hashes(centre: TestCentre) -> None:
    _, codes = await enrolled(centre)
    assert len(set(codes)) == 10
    async with centre.client() as client:
        await log_in(client, "analyst")
        assert (await client.post("/v1/login/code", json={"code": codes[0].upper().replace("-", " ")})).status_code == 200
    async with centre.client() as client:
        await log_in(client, "analyst")
        assert (await client.post("/v1/login/code", json={"code": codes[0]})).status_code == 401
    async with centre.as_person("analyst") as client:
        assert (await client.get("/v1/account")).json()["recovery_codes_left"] == 9
        fresh = await client.post("/v1/account/recovery-codes", json={"password": PASSWORD, "code": codes[1]})
        assert fresh.status_code == 201
        wrong = await client.post("/v1/account/recovery-codes", json={"password": PASSWORD, "code": codes[2]})
        assert wrong.status_code == 403
        gone = await client.post("/v1/account/second-factor/remove", json={"password": PASSWORD, "code": fresh.json()["codes"][0]})
        assert gone.status_code == 204
    async with centre.client() as client:
        assert (await log_in(client, "analyst")).status_code == 200
    with centre.centre.database.session(readonly=True) as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(RecoveryCode)) == 0


async def test_an_administrator_takes_a_lost_second_factor_away(centre: TestCentre) -> None:
    await enrolled(centre)
    async with centre.as_person("admin") as admin, centre.client() as client:
        seen = await admin.get("/v1/users/analyst")
        reset = await admin.post("/v1/users/analyst/second-factor/reset", headers={"If-Match": seen.headers["etag"]})
        assert (reset.status_code, reset.json()["second_factor_since"]) == (200, None)
        stale = await admin.post("/v1/users/analyst/second-factor/reset", headers={"If-Match": seen.headers["etag"]})
        assert stale.status_code == 412
        assert (await log_in(client, "analyst")).status_code == 200
    with centre.centre.database.session(readonly=True) as session:
        told = session.execute(sa.select(Audit.actor, Audit.object).where(Audit.action == "second_factor.reset")).all()
    assert [tuple(one) for one in told] == [("user:admin", "user/analyst")]


async def test_a_role_that_must_have_a_second_factor_reaches_only_the_account_before(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, api={"identity": {"second_factor_roles": ["soc_lead"]}})
    async with running_centre(settings, FixedClock(NOW)) as centre, centre.client() as client:
        opened = (await log_in(client, "lead")).json()
        assert (opened["due"], opened["actions"]) == ("second_factor", {})
        refused = await client.get("/v1/incidents")
        assert (refused.status_code, "second-factor" in refused.json()["detail"]) == (403, True)
        for path in ("/v1/news", "/v1/openapi.json", "/v1/stream"):
            assert (await client.get(path)).status_code == 403
        page = await client.get("/incidents", headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/account")
        secret = (await client.post("/v1/account/second-factor", json={"password": PASSWORD})).json()["secret"]
        code = pyotp.TOTP(secret).at(NOW)
        assert (await client.post("/v1/account/second-factor/confirm", json={"code": code})).status_code == 200
        assert (await client.get("/v1/incidents")).status_code == 200
        removed = await client.post("/v1/account/second-factor/remove", json={"password": PASSWORD, "code": "000000"})
        assert removed.status_code == 409
        async with centre.client() as analyst:
            assert (await log_in(analyst, "analyst")).json()["due"] == ""


async def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as client, centre.as_person("analyst") as other, centre.client() as fresh:

        async def change(present: str, new: str) -> int:
            return (await client.post("/v1/account/password", json={"present": present, "new": new})).status_code

        tried = [await change("wrong", OWN), await change(PASSWORD, PASSWORD), await change(PASSWORD, "passwordpassword1")]
        assert [*tried, await change(PASSWORD, OWN)] == [403, 422, 422, 204]
        assert (await client.get("/v1/me")).status_code == 200
        assert (await other.get("/v1/me")).status_code == 401
        assert (await log_in(fresh, "analyst")).status_code == 401
        assert (await log_in(fresh, "analyst", OWN)).status_code == 200


async def test_a_thief_of_a_session_cannot_guess_the_password_with_it(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as thief:
        tried = [(await thief.post("/v1/account/password", json={"present": f"guess {n}", "new": OWN})).status_code for n in range(6)]
    assert tried == [403] * 5 + [429]


async def test_sessions_are_listed_ended_and_end_when_idle(centre: TestCentre) -> None:
    async with centre.client(headers={"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/140.0"}) as one:
        async with centre.client("192.0.2.9") as two, centre.client() as three:
            for client in (one, two, three):
                await log_in(client, "analyst")
            listed = (await one.get("/v1/account/sessions")).json()["items"]
            assert [item["current"] for item in listed] == [True, False, False]
            assert (listed[0]["device"], {item["peer"] for item in listed}) == ("Firefox, Windows", {"127.0.0.1", "192.0.2.9"})
            theirs = next(item["id"] for item in listed if item["peer"] == "192.0.2.9")
            async with centre.as_person("lead") as lead:
                assert (await lead.delete(f"/v1/account/sessions/{theirs}")).status_code == 404
            assert (await one.delete(f"/v1/account/sessions/{theirs}")).status_code == 204
            assert (await two.get("/v1/me")).status_code == 401
            assert (await one.post("/v1/account/sessions/end-others")).json() == {"ended": 1}
            assert (await three.get("/v1/me")).status_code == 401
        for _ in range(3):
            centre.clock.advance(timedelta(minutes=45))
            assert (await one.get("/v1/me")).status_code == 200
        centre.clock.advance(timedelta(minutes=60))
        assert (await one.get("/v1/me")).status_code == 401
    async with centre.as_person("analyst") as person, centre.as_person("admin") as admin:
        (theirs,) = (await admin.get("/v1/users/analyst/sessions")).json()["items"]
        assert (await admin.delete(f"/v1/users/lead/sessions/{theirs['id']}")).status_code == 404
        assert (await admin.delete(f"/v1/users/analyst/sessions/{theirs['id']}")).status_code == 204
        assert (await person.get("/v1/me")).status_code == 401


async def test_an_account_is_proposed_by_one_and_approved_by_another(centre: TestCentre) -> None:
    wish = {"user": "Hong", "kind": "create", "roles": ["agency_officer"], "agency": "seogu", "reason": "New officer"}
    async with centre.as_person("lead") as lead, centre.as_person("mayor") as mayor, centre.as_person("admin") as admin:
        first = await lead.post("/v1/account-changes", json=wish, headers={"Idempotency-Key": "1"})
        again = await lead.post("/v1/account-changes", json=wish, headers={"Idempotency-Key": "1"})
        assert (first.status_code, first.json()) == (201, again.json())
        assert (await admin.post("/v1/account-changes", json=wish)).status_code == 409
        assert (await lead.post("/v1/account-changes", json=wish | {"user": "x", "agency": "atlantis"})).status_code == 422
        assert (await lead.post("/v1/account-changes", json=wish | {"user": "x", "agency": ""})).status_code == 422
        where = f"/v1/account-changes/{first.json()['id']}/approve"
        assert (await mayor.post(where)).status_code == 428
        assert (await admin.get("/v1/users/hong")).status_code == 404
        assert (await mayor.post(where, headers={"If-Match": '"1"'})).json()["state"] == "approved"
        assert (await mayor.post(where, headers={"If-Match": '"2"'})).status_code == 409
        user = await admin.get("/v1/users/hong")
        assert (user.json()["roles"], user.json()["comes_by"]) == (["agency_officer"], "")
        given = (await admin.post("/v1/users/hong/password", headers={"If-Match": user.headers["etag"]})).json()["password"]
        async with centre.client() as hong:
            assert (await log_in(hong, "hong", given)).json()["due"] == "password"
            assert (await hong.get("/v1/incidents")).status_code == 403
            assert (await hong.post("/v1/account/password", json={"present": given, "new": OWN})).status_code == 204
            assert (await hong.get("/v1/incidents")).status_code == 200
        async with centre.client() as thief:
            assert (await log_in(thief, "hong", given)).status_code == 401
    with centre.centre.database.session(readonly=True) as session:
        assert audit.verify(session).problem == ""
        told = session.execute(sa.select(Audit.actor, Audit.action).where(Audit.object == "user/hong").order_by(Audit.seq)).all()
        assert [tuple(one) for one in told] == [
            ("user:lead", "account_change.proposed"),
            ("user:mayor", "user.created"),
            ("user:mayor", "account_change.approved"),
            ("user:admin", "password.reset"),
            ("user:hong", "login"),
            ("user:hong", "password.changed"),
            ("anonymous", "login.failed"),
        ]
        assert given not in json.dumps(session.scalars(sa.select(Audit.detail)).all())


async def test_a_given_password_holds_for_a_week(centre: TestCentre) -> None:
    async with centre.as_person("admin") as admin, centre.client() as client:
        etag = (await admin.get("/v1/users/analyst")).headers["etag"]
        given = (await admin.post("/v1/users/analyst/password", headers={"If-Match": etag})).json()["password"]
        centre.clock.advance(timedelta(days=7))
        assert (await log_in(client, "analyst", given)).status_code == 401


async def test_nobody_promotes_themselves_and_one_administrator_stays(centre: TestCentre) -> None:
    async with centre.as_person("admin") as admin, centre.as_person("lead") as lead, centre.as_person("mayor") as mayor:
        own = {"user": "admin", "kind": "change", "roles": ["admin", "analyst"]}
        assert (await admin.post("/v1/account-changes", json=own)).status_code == 403
        assert (await admin.post("/v1/users/admin/disable", headers={"If-Match": '"1"'})).status_code == 403
        assert (await admin.post("/v1/users/admin/password", headers={"If-Match": '"1"'})).status_code == 403
        for_mayor = {"user": "mayor", "kind": "change", "roles": ["mayors_office", "analyst"]}
        change = (await lead.post("/v1/account-changes", json=for_mayor)).json()["id"]
        assert (await mayor.post(f"/v1/account-changes/{change}/approve", headers={"If-Match": '"1"'})).status_code == 403
        demoted = {"user": "admin", "kind": "change", "roles": ["analyst"]}
        change = (await lead.post("/v1/account-changes", json=demoted)).json()["id"]
        assert (await mayor.post(f"/v1/account-changes/{change}/approve", headers={"If-Match": '"1"'})).status_code == 409
        assert (await mayor.post("/v1/users/admin/disable", headers={"If-Match": '"1"'})).status_code == 409
        withdrawn = await lead.post(f"/v1/account-changes/{change}/withdraw", headers={"If-Match": '"1"'})
        assert withdrawn.json()["state"] == "withdrawn"
        shut = await admin.post("/v1/users/analyst/disable", headers={"If-Match": '"1"'})
        assert shut.json()["disabled_at"] is not None
        change = (await admin.post("/v1/account-changes", json={"user": "analyst", "kind": "enable"})).json()["id"]
        rejected = await mayor.post(f"/v1/account-changes/{change}/reject", json={"reason": "Left"}, headers={"If-Match": '"1"'})
        assert (rejected.json()["state"], rejected.json()["decision"]) == ("rejected", "Left")
        change = (await lead.post("/v1/account-changes", json={"user": "analyst", "kind": "enable"})).json()["id"]
        assert (await mayor.post(f"/v1/account-changes/{change}/approve", headers={"If-Match": '"1"'})).status_code == 200
        assert (await lead.get("/v1/users/analyst")).json()["disabled_at"] is None
        states = [one["state"] for one in (await lead.get("/v1/account-changes")).json()["items"]]
        assert states == ["approved", "rejected", "withdrawn", "proposed"]


async def test_settings_tell_where_they_come_from_and_no_secret(tmp_path: Path) -> None:
    oidc = {"issuer": "https://login.city.example", "client_id": "x", "client_secret": "hush-hush", "roles": {"soc": ["analyst"]}}
    settings = settings_for(tmp_path, api={"identity": {"oidc": oidc}, "session_hours": 8})
    async with running_centre(settings, FixedClock(NOW)) as centre, centre.as_person("auditor") as auditor:
        answer = await auditor.get("/v1/system/settings")
        system = (await auditor.get("/v1/system")).json()
    found = {one["key"]: one for one in answer.json()["items"]}
    assert (found["api.session_hours"]["value"], found["api.session_hours"]["source"]) == (8, "file")
    assert (found["api.port"]["value"], found["api.port"]["source"]) == (8514, "default")
    assert found["api.identity.oidc.client_secret"]["value"] == "********"
    assert "hush-hush" not in answer.text
    assert system["database_revision"] == "0026"
    assert system["store"].startswith("ClickHouse")
    assert {one["name"]: one["ready"] for one in system["parts"]} == {"bus": True, "store": True, "database": True}
    assert min(system["rules"], system["correlations"], system["parsers"]) > 10


async def test_logging_in_is_asked_only_so_often_from_one_address(tmp_path: Path) -> None:
    async with running_centre(settings_for(tmp_path, api={"requests_per_minute": 10}), FixedClock(NOW)) as centre:
        async with centre.client("192.0.2.9") as client:
            statuses = [(await client.get("/login")).status_code for _ in range(40)]  # more than come in while these are answered
        async with centre.client("192.0.2.10") as other:
            assert (await other.get("/login")).status_code == 200
    assert (statuses[:10], set(statuses)) == ([200] * 10, {200, 429})
