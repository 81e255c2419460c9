"""What stands where no page is and where one fails, and what is said when the connection is lost: in the visitor's language."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from api.dashboard import compliance_page
from tests.browser import BOTH, NEEDS_CHROMIUM, Visit

pytestmark = NEEDS_CHROMIUM


@BOTH
async def test_an_address_without_a_page_leads_back(visit: Visit) -> None:
    page, korean = visit.page, visit.language == "ko"
    await visit.open("/", "analyst")
    answer = await page.goto(f"{visit.url}/response/nothing/of/this/kind")
    assert answer is not None
    assert answer.status == 404
    await expect(page.locator("main.page b")).to_have_text("그런 화면이 없습니다." if korean else "There is no such page.")
    said = await page.locator("#popup span").all_text_contents()
    assert said == (["연결이 끊어졌습니다.", "다시 연결하고 있습니다..."] if korean else ["The connection is lost.", "Trying again ..."])
    await visit.picture(f"no-page-{visit.language}")
    assert await visit.barriers() == []
    visit.complaints.clear()  # the browser reports the 404
    await page.click("nav.pages a[href='/incidents']")
    await expect(page.locator("main.page h1")).to_have_text("사고" if korean else "Incidents")


@BOTH
async def test_a_page_that_fails_says_under_which_number_the_reason_is_kept(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    page, korean = visit.page, visit.language == "ko"

    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(compliance_page, "_page", failing)
    await visit.open("/", "analyst")
    answer = await page.goto(f"{visit.url}/compliance")
    assert answer is not None
    assert answer.status == 500
    await expect(page.locator("main.page b")).to_have_text("화면을 표시하지 못했습니다." if korean else "This page could not be shown.")
    await expect(page.locator("main.page")).to_contain_text(answer.headers["x-request-id"])
    visit.complaints.clear()  # the browser reports the 500
