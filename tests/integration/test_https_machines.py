"""Client certificates on the real HTTPS API: who is let in by one, who is not, and that nothing but the handshake is believed."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.auth.keys import KeyWish, create_key, rotate_key
from core.clock import FixedClock
from core.errors import Conflict, Invalid
from runtime.web import WebService
from tests.linked_centres import alert, go_on, linked
from tests.servers.api import FIRST_SEEN, PASSWORD, TestCentre, running_centre, settings_for
from tests.servers.certificates import Authority, Pair

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
async def served(tmp_path: Path, authority: Authority, request: pytest.FixtureRequest) -> AsyncIterator[tuple[TestCentre, str]]:
    """A centre behind real TLS that asks for certificates, and its URL."""
    server = authority.issue("bongsu.city.example")
    tls = {"certificate": str(server.certificate), "key": str(server.key), "client_ca": str(authority.file)}
    required = getattr(request, "param", False)
    settings = settings_for(tmp_path, api={"port": 0, "tls": tls | {"require_client_certificate": required}})
    async with running_centre(settings, FixedClock(NOW)) as centre:
        web = WebService(centre.app, settings.api)
        await web.start()
        yield centre, web.url
        await web.stop()


def client(authority: Authority, url: str, pair: Pair | None = None, **options: Any) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(authority.file))
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return httpx.AsyncClient(base_url=url, verify=context, timeout=60, **options)


def let_in(centre: TestCentre, pair: Pair, number: str, days: float = 30) -> str:
    """Register a certificate for a centre's machine; the id of the identity."""
    with centre.centre.database.session() as session:
        pem = pair.certificate.read_text()
        wish = KeyWish("machine", (), "", "", timedelta(days=days), role="linked_centre", centre=number, certificate=pem)
        row, text = create_key(session, wish, actor="system:test")
        assert text == ""
        return row.id


async def test_a_registered_certificate_is_an_identity_until_it_is_revoked(served: tuple[TestCentre, str], authority: Authority) -> None:
    centre, url = served
    pair = authority.issue("soc.seogu.example")
    number = linked(centre, "seogu")
    async with client(authority, url, pair) as machine, centre.as_person("admin") as admin:
        assert (await machine.get("/v1/me")).status_code == 401  # signed by the right authority, but nobody's
        key_id = let_in(centre, pair, number)
        me = (await machine.get("/v1/me")).json()
        assert (me["kind"], me["actions"]["alerts:write"]) == ("key", "watched")
        sent = await machine.post("/v1/alerts", json=alert(time=NOW.isoformat()))
        assert sent.status_code == 202, sent.text
        assert (await go_on(centre))["rule_id"].to_pylist() == ["centre/seogu-soc/waf-1"]
        from_a_page = await machine.post("/v1/alerts", json=alert(time=NOW.isoformat()), headers={"Origin": url})
        assert from_a_page.status_code == 403
        (shown,) = (await admin.get("/v1/keys")).json()["items"]
        assert (shown["id"], shown["subject"], len(shown["certificate"])) == (key_id, "CN=soc.seogu.example", 64)
        assert (await admin.delete(f"/v1/keys/{key_id}", headers=FIRST_SEEN)).status_code == 204
        assert (await machine.get("/v1/me")).status_code == 401
    with pytest.raises(Conflict, match="issue another"):
        let_in(centre, pair, number)


async def test_an_expired_registration_is_refused_and_a_new_certificate_takes_over(
    served: tuple[TestCentre, str], authority: Authority
) -> None:
    centre, url = served
    old, new = authority.issue("old.seogu.example"), authority.issue("new.seogu.example")
    key_id = let_in(centre, old, linked(centre, "seogu"))
    with centre.centre.database.session() as session:
        row, _ = rotate_key(session, key_id, timedelta(hours=1), actor="system:test", certificate=new.certificate.read_text())
        assert row.expires_at < NOW + timedelta(days=2)  # never later than the certificate's own end, a day from now
    async with client(authority, url, old) as before, client(authority, url, new) as after:
        assert [(await one.get("/v1/me")).status_code for one in (before, after)] == [200, 200]
        centre.clock.advance(timedelta(hours=2))
        assert [(await one.get("/v1/me")).status_code for one in (before, after)] == [401, 200]
        centre.clock.advance(timedelta(days=2))
        assert (await after.get("/v1/me")).status_code == 401
    late = authority.issue("late.example").certificate.read_text()
    wish = KeyWish("x", ["rules:read"], "", "", timedelta(days=1), certificate=late)
    with pytest.raises(Invalid, match="has expired"), centre.centre.database.session() as session:
        create_key(session, wish, actor="system:test")


async def test_only_the_handshake_is_believed(served: tuple[TestCentre, str], authority: Authority, tmp_path: Path) -> None:
    centre, url = served
    pair = authority.issue("soc.seogu.example")
    let_in(centre, pair, linked(centre, "seogu"))
    stranger = Authority(tmp_path / "stranger").issue("soc.seogu.example")
    pem = pair.certificate.read_text().replace("\n", "%0A")
    headers = {"X-Client-Cert": pem, "X-SSL-Client-Cert": pem, "X-Forwarded-Client-Cert": pem, "client_certificate": "0" * 64}
    async with client(authority, url, headers=headers) as forger:
        assert (await forger.get("/v1/me")).status_code == 401
    for refused in (stranger, authority.issue("ended.example", lives=timedelta(minutes=-10))):
        async with client(authority, url, refused) as other:
            with pytest.raises(httpx.TransportError):
                await other.get("/healthz")


async def test_people_log_in_beside_machines(served: tuple[TestCentre, str], authority: Authority) -> None:
    _, url = served
    async with client(authority, url) as person, client(authority, url, authority.issue("laptop.example")) as with_one:
        for browser in (person, with_one):
            assert (await browser.post("/v1/login", json={"name": "analyst", "password": PASSWORD})).status_code == 200
            assert (await browser.get("/v1/me")).json()["name"] == "analyst"


@pytest.mark.parametrize("served", [True], indirect=True)
async def test_where_a_certificate_is_required_nobody_comes_without(served: tuple[TestCentre, str], authority: Authority) -> None:
    _, url = served
    async with client(authority, url) as nobody, client(authority, url, authority.issue("x.example")) as somebody:
        with pytest.raises(httpx.TransportError):
            await nobody.get("/healthz")
        assert (await somebody.get("/healthz")).status_code == 200
