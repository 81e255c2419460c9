"""Administration in a real browser: an account from proposal to its owner's own password, a key shown once, settings and versions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from core.clock import FixedClock
from tests.browser import BOTH, NEEDS_CHROMIUM, NOW, ONE, PHONE, Visit, served
from tests.servers.api import TestCentre, settings_for
from tests.servers.oidc import CLIENT, SECRET, OpenIdProvider, open_id_provider

pytestmark = NEEDS_CHROMIUM
OWN = "seven quiet herons at dawn"


def say(visit: Visit, korean: str, english: str) -> str:
    return korean if visit.korean else english


async def click(visit: Visit, korean: str, english: str) -> None:
    await visit.page.get_by_role("button", name=say(visit, korean, english), exact=True).click()


async def leave(visit: Visit) -> None:
    await visit.page.click("form[action='/logout'] button")
    await visit.page.wait_for_url("**/login**")


@BOTH
async def test_an_account_from_its_proposal_to_a_password_of_its_owner(visit: Visit) -> None:
    page, mode = visit.page, "ko" if visit.korean else "en"
    await visit.open("/admin", "admin")
    await expect(page.locator("[data-user]")).to_have_count(7)
    await click(visit, "계정 제안", "Propose an account")
    box = page.locator(".dialog")
    await box.get_by_label(say(visit, "사용자 이름", "User name")).fill("hong")
    await box.get_by_role("combobox", name=say(visit, "역할", "Roles")).click()
    await page.locator(".q-menu .q-item", has_text=say(visit, "분석가", "Analyst")).first.click()
    await page.keyboard.press("Escape")
    await box.get_by_label(say(visit, "사유", "What it is for")).fill("Night shift <b>")
    await visit.picture(f"admin-propose-{mode}")
    assert await visit.barriers() == []
    await box.get_by_role("button", name=say(visit, "제안", "Propose"), exact=True).click()
    await expect(page.locator("[data-change]")).to_contain_text("Night shift <b>")
    await leave(visit)

    await visit.log_in("mayor")
    await page.goto(f"{visit.url}/admin")
    await visit.picture(f"admin-approve-{mode}")
    assert await visit.barriers() == []
    await click(visit, "승인", "Approve")
    await expect(page.locator("[data-user='hong']")).to_be_visible()
    await expect(page.locator("[data-change]")).to_have_count(0)
    await leave(visit)

    await visit.log_in("admin")
    await page.goto(f"{visit.url}/admin")
    await visit.picture(f"admin-{mode}")
    assert await visit.barriers() == []
    await click(visit, "hong 관리", "Manage hong")
    await expect(box).to_be_visible()
    await visit.picture(f"admin-manage-{mode}")
    assert await visit.barriers() == []
    await click(visit, "임시 비밀번호 발급", "Give a password for one log-in")
    given = await page.locator(".secrets li").inner_text()
    await click(visit, "보관하였습니다", "I have kept it")
    await leave(visit)

    await visit.log_in("hong", given)
    await page.wait_for_url("**/account")
    await page.goto(f"{visit.url}/incidents/INC-2026-000001")
    await page.wait_for_url("**/account")
    await visit.picture(f"account-due-{mode}")
    assert await visit.barriers() == []
    names = (("현재 비밀번호", "Present password"), ("새 비밀번호", "New password"), ("새 비밀번호 확인", "New password once more"))
    for (korean, english), value in zip(names, (given, OWN, OWN), strict=True):
        await page.get_by_label(say(visit, korean, english), exact=True).fill(value)
    await click(visit, "비밀번호 변경", "Change the password")
    await expect(page.locator(".cards")).to_be_visible()


@BOTH
async def test_keys_settings_and_versions(visit: Visit) -> None:
    page, mode = visit.page, "ko" if visit.korean else "en"
    await visit.open("/admin/keys", "admin")
    await expect(page.locator(".empty b")).to_be_visible()
    await click(visit, "키 만들기", "Make a key")
    box = page.locator(".dialog")
    await box.get_by_label(say(visit, "이름", "Name"), exact=True).fill("Seogu forwarder")
    await box.get_by_role("combobox", name=say(visit, "권한", "What it may do")).click()
    await page.locator(".q-menu .q-item", has_text="incidents:read").click()
    await page.keyboard.press("Escape")
    await visit.picture(f"admin-key-{mode}")
    assert await visit.barriers() == []
    await click(visit, "만들기", "Make it")
    key = await page.locator(".secrets li").inner_text()
    async with visit.centre.client(headers={"Authorization": f"Bearer {key}"}) as machine:
        assert (await machine.get("/v1/incidents")).status_code == 200
        await click(visit, "보관하였습니다", "I have kept it")
        await page.reload()
        await expect(page.locator("[data-key]")).to_have_count(1)
        assert key not in await page.content()
        await visit.picture(f"admin-keys-{mode}")
        assert await visit.barriers() == []
        await click(visit, "폐기", "Revoke")
        await box.get_by_role("button", name=say(visit, "폐기", "Revoke"), exact=True).click()
        await expect(page.locator("[data-key]")).to_contain_text(say(visit, "폐기됨", "revoked"))
        assert (await machine.get("/v1/incidents")).status_code == 401

    await page.click(".tabs a[href='/admin/settings']")
    await expect(page.locator("[data-setting='api.session_hours'] .value")).to_have_text("12")
    await page.get_by_label(say(visit, "찾기", "Search")).fill("data_dir")
    await expect(page.locator("[data-setting='data_dir']")).to_contain_text(say(visit, "설정 파일", "Settings file"))
    await expect(page.locator("[data-setting]")).to_have_count(1)
    await page.get_by_label(say(visit, "찾기", "Search")).fill("")
    await expect(page.locator("[data-setting='api.port']")).to_be_visible()
    await visit.picture(f"admin-settings-{mode}")
    assert await visit.barriers() == []
    await page.click(".tabs a[href='/admin/system']")
    await expect(page.locator(".facts")).to_contain_text("ClickHouse")
    await expect(page.locator("span.standing.is-met")).to_have_count(3)
    await visit.picture(f"admin-system-{mode}")
    assert await visit.barriers() == []
    await page.set_viewport_size(PHONE)
    for path in ("", "/keys", "/settings", "/system"):
        await page.goto(f"{visit.url}/admin{path}")
        await page.wait_for_selector("main.page .panel")
        assert await visit.too_wide() == 0, path


class TestTheCitysOwnLogIn:
    """A provider that is another process of the city, and the button that leads there."""

    @pytest.fixture
    def provider(self) -> Iterator[OpenIdProvider]:
        with open_id_provider(FixedClock(NOW)) as made:
            made.person = {"sub": "u-1", "preferred_username": "kim.haneul", "groups": ["soc"]}
            yield made

    @pytest.fixture
    async def centre(self, tmp_path: Path, provider: OpenIdProvider) -> AsyncIterator[tuple[TestCentre, str]]:
        oidc: dict[str, Any] = {"issuer": provider.address, "client_id": CLIENT, "client_secret": SECRET, "roles": {"soc": ["analyst"]}}
        async with served(settings_for(tmp_path, api={"identity": {"oidc": oidc}}), FixedClock(NOW)) as made:
            yield made

    @ONE
    async def test_the_button_leads_there_and_back(self, visit: Visit, provider: OpenIdProvider) -> None:
        page = visit.page
        await page.goto(f"{visit.url}/login?next=/account")
        await visit.picture("login-oidc-ko")
        assert await visit.barriers() == []
        await page.click(".login-provider")
        await expect(page.locator("h1")).to_have_text("내 계정")
        await expect(page.locator("a.who")).to_contain_text("kim.haneul")
        await expect(page.get_by_label("현재 비밀번호")).to_have_count(0)
        await leave(visit)
        await expect(page.locator(".login-told a")).to_have_attribute(
            "href",
            f"{provider.address}/end?client_id={CLIENT}"
            f"&post_logout_redirect_uri={visit.url.replace(':', '%3A').replace('/', '%2F')}%2Flogin",
        )
        provider.person["groups"] = ["cycling"]
        await page.click(".login-provider")
        await expect(page.locator("[role=alert]")).to_contain_text("역할이 없습니다")
        assert await visit.barriers() == []
        seen = [one for one in visit.complaints if provider.address in one or "403" in one]
        assert len(seen) == len(visit.complaints) >= 3  # the provider was asked twice, and the browser reports the refusal
        visit.complaints.clear()
