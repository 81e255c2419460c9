"""One's own account in a real browser: a second factor from QR code to recovery code, the password, sessions."""

from __future__ import annotations

from datetime import timedelta

import pyotp
from playwright.async_api import expect

from tests.browser import BOTH, NEEDS_CHROMIUM, ONE, PHONE, Visit
from tests.servers.api import PASSWORD

pytestmark = NEEDS_CHROMIUM
STEP = timedelta(seconds=30)
NEXT_PASSWORD = "seven quiet herons at dawn"


def say(visit: Visit, korean: str, english: str) -> str:
    return korean if visit.korean else english


async def click(visit: Visit, korean: str, english: str) -> None:
    await visit.page.get_by_role("button", name=say(visit, korean, english), exact=True).click()


async def log_out(visit: Visit) -> None:
    await visit.page.click("form[action='/logout'] button")
    await visit.page.wait_for_url("**/login**")


@BOTH
async def test_a_second_factor_from_the_picture_to_the_last_way_in(visit: Visit) -> None:
    page, clock, mode = visit.page, visit.centre.clock, "ko" if visit.korean else "en"
    await visit.open("/")
    await page.click("a.who")
    await expect(page.locator("h1")).to_have_text(say(visit, "내 계정", "Your account"))
    await expect(page.locator("tbody tr")).to_have_count(1)
    await visit.picture(f"account-{mode}")
    assert await visit.barriers() == []
    factor = page.locator(".panel", has=page.get_by_role("heading", name=say(visit, "2단계 인증", "Second factor")))
    await factor.get_by_label(say(visit, "비밀번호", "Your password")).fill(PASSWORD)
    await click(visit, "2단계 인증 등록", "Set up a second factor")
    secret = (await page.locator(".totp-secret").inner_text()).replace(" ", "")
    await expect(page.locator(".qr svg")).to_be_visible()
    await visit.picture(f"account-qr-{mode}")
    assert await visit.barriers() == []
    totp = pyotp.TOTP(secret)
    code = factor.get_by_role("textbox", name=say(visit, "인증 코드", "Code"), exact=True)
    await code.fill("000000" if totp.at(clock.now()) != "000000" else "111111")
    await click(visit, "코드 확인", "Confirm the code")
    await expect(page.locator(".q-notification")).to_be_visible()
    await code.fill(totp.at(clock.now()))
    await click(visit, "코드 확인", "Confirm the code")
    await expect(page.locator(".secrets li")).to_have_count(10, timeout=20_000)
    recovery = await page.locator(".secrets li").all_inner_texts()
    await visit.picture(f"account-codes-{mode}")
    assert await visit.barriers() == []
    await click(visit, "보관하였습니다", "I have kept it")

    await log_out(visit)
    await visit.log_in("analyst")
    await page.wait_for_url("**/login/code?next=/")
    await visit.picture(f"login-code-{mode}")
    assert await visit.barriers() == []
    await page.fill("#code", totp.at(clock.now()))  # the one that confirmed: used up
    await page.click("button[type=submit]")
    await expect(page.locator("[role=alert]")).to_be_visible()
    clock.advance(STEP)
    await page.fill("#code", totp.at(clock.now()))
    await page.click("button[type=submit]")
    await page.wait_for_selector("main.page")

    await log_out(visit)
    await visit.log_in("analyst")
    await page.set_viewport_size(PHONE)
    await page.fill("#code", recovery[3].upper())
    assert await visit.too_wide() == 0
    await page.click("button[type=submit]")
    await page.wait_for_selector("main.page")
    await page.goto(f"{visit.url}/account")
    await expect(factor).to_contain_text(say(visit, "복구 코드가 9개", "9 recovery codes"))
    await visit.picture(f"account-phone-{mode}")
    assert await visit.too_wide() == 0
    assert await visit.barriers() == []


@ONE
async def test_a_password_of_ones_own_and_the_other_sessions(visit: Visit) -> None:
    page = visit.page
    async with visit.centre.as_person("analyst") as other:
        await visit.open("/account")
        await expect(page.locator("tbody tr")).to_have_count(2)
        fields = [page.get_by_label(one, exact=True) for one in ("현재 비밀번호", "새 비밀번호", "새 비밀번호 확인")]
        for given in ("passwordpassword1", NEXT_PASSWORD):
            for one, value in zip(fields, (PASSWORD, given, given), strict=True):
                await one.fill(value)
            await click(visit, "비밀번호 변경", "")
            told = "비밀번호를 변경하였습니다" if given == NEXT_PASSWORD else "이대로는 받을 수 없습니다"
            await expect(page.locator(".q-notification", has_text=told)).to_be_visible(timeout=20_000)
        assert (await other.get("/v1/me")).status_code == 401
    await log_out(visit)
    await visit.log_in("analyst", NEXT_PASSWORD)
    await page.wait_for_selector("main.page")
    async with visit.centre.as_person("analyst") as other:
        await page.goto(f"{visit.url}/account")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.locator("tbody tr").nth(1).get_by_role("button").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        assert (await other.get("/v1/me")).status_code == 401
