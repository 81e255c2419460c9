"""The Response pages in a real browser: a warning from the notice to the measures, a request, every list, and what goes wrong."""

from __future__ import annotations

from playwright.async_api import expect

from api.dashboard.response.kinds import KINDS
from tests.browser import BOTH, NEEDS_CHROMIUM, ONE, PHONE, Visit
from tests.e2e.test_report_page import become, field, send, step

pytestmark = NEEDS_CHROMIUM


async def choose(visit: Visit, korean: str, english: str, option: str) -> None:
    """Choose an option of a select by its word."""
    page = visit.page
    await page.locator(".q-select", has_text=korean if visit.korean else english).first.click()
    await page.locator(".q-menu .q-item", has_text=option).first.click()


@BOTH
async def test_a_warning_is_recorded_passed_on_acknowledged_on_a_phone_and_its_measures_done(visit: Visit) -> None:
    page = visit.page
    await visit.open("/response/warnings", "lead")
    await expect(page.locator(".empty b")).to_be_visible()
    await page.click("a.tool.primary")
    await field(visit, "발령 기관", "Issued by", "국가사이버안보센터")
    await field(visit, "문서 번호", "Reference number", "2026-17")
    await choose(visit, "단계", "Level", "관심" if visit.korean else "Attention")
    await field(visit, "제목", "Title", "공개 서버 공격 증가")
    await field(visit, "발령 시각", "In force since", "2026-05-01T11:00")
    await visit.picture(f"warning-new-{visit.language}")
    assert await visit.barriers() == []
    await page.get_by_role("button", name="저장" if visit.korean else "Save").click()
    await page.wait_for_url("**/response/warnings/WRN-2026-000001")
    await expect(page.locator(".receipt")).to_contain_text("발령하지는 않습니다" if visit.korean else "issues no warning")
    await step(visit, "propagate")
    await expect(page.locator("table.list tbody tr")).to_have_count(2)
    await visit.picture(f"warning-{visit.language}")
    assert await visit.barriers() == []

    await page.set_viewport_size(PHONE)
    await become(visit, "officer", "/response")
    await page.click(".waiting a >> text=WNT-2026")
    await step(visit, "acknowledge")
    await expect(page.locator(".case-head .state")).to_have_text("확인함" if visit.korean else "Acknowledged")
    ticks = page.locator(".checklist button")
    await expect(ticks).to_have_count(2)
    for place in range(2):
        await ticks.nth(place).click()
        await field(visit, "조치 내용과 확인 방법", "What was done, and where", "담당자에게 전파함")
        await send(visit)
        await expect(page.locator(".checklist li.is-done")).to_have_count(place + 1)
    await step(visit, "complete")
    await expect(page.locator(".case-head .state")).to_have_text("조치 완료" if visit.korean else "Measures done")
    assert await visit.too_wide() == 0
    await visit.picture(f"notice-phone-{visit.language}")
    assert await visit.barriers() == []


@BOTH
async def test_an_analyst_drafts_a_request_and_the_mayor_issues_it_over_a_conflict(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await visit.open("/response/requests/new", "analyst")
    await page.get_by_role("button", name="저장" if visit.korean else "Save").click()
    await expect(page.locator(".q-field--error, .wrong:not(:empty)").first).to_be_visible()
    await choose(visit, "근거 조항", "Article", "19조제2항" if visit.korean else "19(2)")
    await choose(visit, "기관", "Agency", "서구청" if visit.korean else "Seogu")
    await field(visit, "제목", "Title", "원격접속 차단")
    await field(visit, "목적", "Purpose", "확산을 막기 위함")
    await page.locator("fieldset.many textarea, fieldset.many input").first.fill("관리자 계정의 원격접속을 차단")
    await field(visit, "기한", "Due", "2026-05-10T18:00")
    await page.get_by_role("button", name="저장" if visit.korean else "Save").click()
    await page.wait_for_url("**/response/requests/REQ-2026-000001")
    assert await visit.barriers() == []

    await become(visit, "mayor", "/response/requests/REQ-2026-000001")
    await page.click("[data-step=edit]")
    title = page.locator(".sheet").get_by_label("제목" if visit.korean else "Title")
    await expect(title).to_have_value("원격접속 차단")
    await title.fill("원격접속을 바로 차단")
    async with centre.as_person("analyst") as analyst:
        body = {"article": "19(2)", "agency": "seogu", "title": "다른 제목", "purpose": "목적", "items": ["하나"]}
        changed = await analyst.post("/v1/requests/REQ-2026-000001/edit", json=body, headers={"If-Match": '"1"'})
        assert changed.status_code == 200, changed.text
    await page.locator(".sheet .sheet-end button").last.click()
    await expect(page.locator(".form-alert")).to_contain_text("제목" if visit.korean else "Title")
    await expect(page.locator(".form-alert")).to_contain_text("2026-05-01 12:00:30 analyst:")
    await expect(page.locator(".form-alert time")).to_have_attribute("title", "2026-05-01T03:00:30Z")
    await expect(title).to_have_value("원격접속을 바로 차단")
    await visit.picture(f"conflict-{visit.language}")
    assert await visit.barriers() == []
    await send(visit)
    await expect(page.locator(".case-head h1")).to_have_text("원격접속을 바로 차단")
    await page.click("[data-step=issue]")
    await field(visit, "기한", "Due", "2026-05-10T18:00")
    await send(visit)
    await expect(page.locator(".case-head .state")).to_have_text("발송됨" if visit.korean else "Issued")
    await expect(page.locator(".page .clock").first).to_contain_text("요청한 쪽" if visit.korean else "Set by whoever asked")


@ONE
async def test_every_list_opens_for_who_may_read_it_and_says_what_it_is(visit: Visit) -> None:
    page = visit.page
    await visit.open("/response", "lead")
    for kind in KINDS:
        await page.goto(f"{visit.url}/response/{kind.name}")
        await expect(page.locator(".empty b")).to_be_visible()
        await expect(page.locator(".page > .lead")).to_be_visible()
        if await page.locator("a.tool.primary").count():
            await page.goto(f"{visit.url}/response/{kind.name}/new")
            await expect(page.locator(".step-form")).to_be_visible()
    await page.goto(f"{visit.url}/response/delegations")
    await expect(page.locator("table.list tbody tr")).to_have_count(2)
    assert await visit.barriers() == []
    for path in ("/response/nonsense", "/response/reports/RPT-2026-999999", "/response/reports/what"):
        await page.goto(f"{visit.url}{path}")
        await expect(page.locator(".empty b")).to_be_visible()
    await become(visit, "admin", "/response")
    await expect(page.locator(".empty b")).to_have_text("이 역할은 업무를 열람하지 않습니다.")
