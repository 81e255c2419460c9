"""The city's own log-in, against a real provider over HTTP: who gets in, as what, and every way of cheating that is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
import sqlalchemy as sa
from joserfc.jwk import RSAKey

from api.auth import users
from core.clock import FixedClock
from respond.models import Audit
from tests.servers.api import PASSWORD, TestCentre, running_centre, settings_for
from tests.servers.oidc import CLIENT, SECRET, OpenIdProvider, open_id_provider

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
KIM = {"sub": "u-1", "preferred_username": "Kim.Haneul", "groups": ["soc", "cycling"], "org": "S-01"}
OIDC: dict[str, Any] = {
    "client_id": CLIENT,
    "client_secret": SECRET,
    "roles": {"soc": ["analyst"], "district": ["agency_officer"], "leads": ["soc_lead"]},
    "agency_claim": "org",
    "agencies": {"S-01": "seogu"},
}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def provider(clock: FixedClock) -> Iterator[OpenIdProvider]:
    with open_id_provider(clock) as made:
        made.person = dict(KIM)
        yield made


@asynccontextmanager
async def started(tmp_path: Path, provider: OpenIdProvider, clock: FixedClock, **identity: Any) -> AsyncIterator[TestCentre]:
    oidc = {"issuer": provider.address, **OIDC, **identity.pop("oidc", {})}
    async with running_centre(settings_for(tmp_path, api={"identity": {"oidc": oidc, **identity}}), clock) as made:
        yield made


@pytest.fixture
async def centre(tmp_path: Path, provider: OpenIdProvider, clock: FixedClock) -> AsyncIterator[TestCentre]:
    async with started(tmp_path, provider, clock) as made:
        yield made


async def sent_back(client: httpx.AsyncClient, following: str = "/hunt") -> str:
    """Go to the provider and log in there: the address one is sent back to."""
    away = await client.get("/login/oidc", params={"next": following})
    assert away.status_code == 303
    async with httpx.AsyncClient() as browser:
        back = await browser.get(away.headers["location"])
    return back.headers["location"]


async def through(client: httpx.AsyncClient) -> httpx.Response:
    return await client.get(await sent_back(client))


async def test_who_is_known_to_the_city_gets_in_as_the_mapping_says(centre: TestCentre, provider: OpenIdProvider) -> None:
    async with centre.client() as client:
        page = (await client.get("/login", headers={"Accept-Language": "en"})).text
        assert 'href="/login/oidc?next=/"' in page
        done = await through(client)
        assert (done.status_code, done.headers["location"]) == (303, "/hunt")
        me = (await client.get("/v1/me")).json()
        assert (me["name"], me["roles"], me["agency"]) == ("kim.haneul", ["analyst"], "seogu")
        provider.person |= {"groups": ["district"], "preferred_username": "renamed"}
        assert (await through(client)).status_code == 303
        me = (await client.get("/v1/me")).json()
        assert (me["name"], me["roles"]) == ("kim.haneul", ["agency_officer"])
        out = await client.post("/logout", headers={"Origin": "http://bongsu.test"})
        assert out.headers["location"] == "/login?left=true"
        left = (await client.get(out.headers["location"])).text
        assert f'href="{provider.address}/end?client_id={CLIENT}&amp;post_logout_redirect_uri=http%3A%2F%2Fbongsu.test%2Flogin"' in left
        assert (await client.get("/v1/me")).status_code == 401


def _expired(provider: OpenIdProvider) -> None:
    provider.lies = {"exp": int(NOW.timestamp()) - 61, "iat": int(NOW.timestamp()) - 400}


def _wrong_key(provider: OpenIdProvider) -> None:
    provider.signer = RSAKey.generate_key(2048)


LIES: dict[str, Callable[[OpenIdProvider], None]] = {
    "nonce of another": lambda one: one.lies.update(nonce="another"),
    "no nonce": lambda one: one.lies.update(nonce=None),
    "another audience": lambda one: one.lies.update(aud="another-client"),
    "another audience besides": lambda one: one.lies.update(aud=[CLIENT, "another-client"]),
    "another authorized party": lambda one: one.lies.update(azp="another-client"),
    "another issuer": lambda one: one.lies.update(iss="https://evil.test"),
    "no subject": lambda one: one.lies.update(sub=None),
    "expired": _expired,
    "no end": lambda one: one.lies.update(exp=None),
    "another key under the same name": _wrong_key,
}


@pytest.mark.parametrize("name", LIES)
async def test_an_id_token_that_does_not_hold_lets_nobody_in(centre: TestCentre, provider: OpenIdProvider, name: str) -> None:
    async with centre.client() as client:
        assert (await through(client)).status_code == 303  # the keys are known by now
        await client.post("/logout", headers={"Origin": "http://bongsu.test"})
        LIES[name](provider)
        answer = await through(client)
        assert answer.status_code == 401
        assert "성립하지 않는" in answer.text or "does not hold" in answer.text
        assert (await client.get("/v1/me")).status_code == 401
    with centre.centre.database.session(readonly=True) as session:
        failed = sa.select(sa.func.count()).where(Audit.action == "login.oidc_failed")
        assert session.scalar(failed) == 1


async def test_an_answer_is_for_the_browser_that_asked_and_once(centre: TestCentre, provider: OpenIdProvider) -> None:
    async with centre.client() as one, centre.client() as other:
        back = await sent_back(one)
        assert (await other.get(back)).status_code == 401  # no log-in was begun there
        await sent_back(other)
        assert (await other.get(back)).status_code == 401  # another was: the state is not its own
        copied = dict(one.cookies)
        assert (await one.get(back)).status_code == 303
        async with centre.client(cookies=copied) as thief:
            assert (await thief.get(back)).status_code == 401
        provider.codes.update({"stolen": {"redirect_uri": "x", "code_challenge": "x", "nonce": "x"}})
        fresh = await sent_back(other)
        assert (await other.get(fresh.replace(parse_qs(urlsplit(fresh).query)["code"][0], "stolen"))).status_code == 401
        late = await sent_back(other)
        centre.clock.advance(timedelta(minutes=10))
        assert (await other.get(late)).status_code == 401
        for client in (other,):
            assert (await client.get("/v1/me")).status_code == 401


async def test_a_rotated_key_is_fetched(centre: TestCentre, provider: OpenIdProvider) -> None:
    async with centre.client() as client:
        assert (await through(client)).status_code == 303
        provider.rotate()
        assert (await through(client)).status_code == 303
    assert provider.asked.count("/keys") == 2


async def test_strangers_the_disabled_and_namesakes_stay_out(centre: TestCentre, provider: OpenIdProvider) -> None:
    async with centre.client() as client:
        provider.person["groups"] = ["cycling"]
        assert (await through(client)).status_code == 403
        provider.person |= {"groups": "district", "org": "S-99"}
        assert (await through(client)).status_code == 403  # an officer of no agency of ours
        provider.person |= {"groups": ["soc"], "preferred_username": "admin"}
        assert (await through(client)).status_code == 403  # the name of a local account
        provider.person["preferred_username"] = "a b"
        assert (await through(client)).status_code == 403
        provider.person = dict(KIM)
        assert (await through(client)).status_code == 303
        with centre.centre.database.session() as session:
            users.disable_user(session, "kim.haneul", actor="system:test")
        assert (await client.get("/v1/me")).status_code == 401
        assert (await through(client)).status_code == 403
        login = {"name": "kim.haneul", "password": ""}
        assert (await client.post("/login", data=login)).status_code == 401


async def test_a_provider_that_does_not_answer_is_told(centre: TestCentre, provider: OpenIdProvider) -> None:
    provider.address = "http://127.0.0.1:9"  # its discovery document now names another issuer
    async with centre.client() as client:
        answer = await client.get("/login/oidc")
    assert answer.status_code == 503


async def test_break_glass_accounts_alone_log_in_by_password(tmp_path: Path, provider: OpenIdProvider, clock: FixedClock) -> None:
    async with started(tmp_path, provider, clock, oidc={"password_users": ["Admin"]}) as centre, centre.client() as client:
        tried = [(await client.post("/v1/login", json={"name": name, "password": PASSWORD})).status_code for name in ("admin", "analyst")]
    assert tried == [200, 401]


async def test_a_second_factor_of_the_provider_counts_and_its_absence_is_made_up_here(
    tmp_path: Path, provider: OpenIdProvider, clock: FixedClock
) -> None:
    async with started(tmp_path, provider, clock, second_factor_roles=["analyst"]) as centre, centre.client() as client:
        provider.person["amr"] = ["pwd", "otp"]
        await through(client)
        assert (await client.get("/v1/me")).json()["due"] == ""
        provider.person["amr"] = ["pwd"]
        await through(client)
        me = (await client.get("/v1/me")).json()
        assert (me["due"], me["actions"]) == ("second_factor", {})
        client.headers["X-CSRF-Token"] = me["csrf_token"]
        secret = (await client.post("/v1/account/second-factor", json={})).json()["secret"]
        code = pyotp.TOTP(secret).at(clock.now())
        assert (await client.post("/v1/account/second-factor/confirm", json={"code": code})).status_code == 200
        assert (await client.get("/v1/me")).json()["due"] == ""
        clock.advance(timedelta(seconds=30))
        del client.headers["X-CSRF-Token"]
        halfway = await through(client)
        assert halfway.headers["location"] == "/login/code?next=/hunt"
        done = await client.post(halfway.headers["location"], data={"code": pyotp.TOTP(secret).at(clock.now())})
        assert (done.status_code, done.headers["location"]) == (303, "/hunt")


async def test_without_a_provider_there_is_no_door(tmp_path: Path) -> None:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as centre, centre.client() as client:
        assert (await client.get("/login/oidc")).status_code == 404
        assert (await client.get("/login/oidc/callback", params={"code": "x", "state": "x"})).status_code == 404
        assert "/login/oidc" not in (await client.get("/login")).text
