"""The accident report in a real browser: from the officer's log-in to the receipt, and the SOC lead who receives and accepts it."""

from __future__ import annotations

from datetime import timedelta

from playwright.async_api import expect

from tests.browser import BOTH, NEEDS_CHROMIUM, ONE, PHONE, Visit
from tests.detections import Finding

pytestmark = NEEDS_CHROMIUM
SUMMARY = "민원 포털 서버에서 <b>악성코드</b> 실행"


async def become(visit: Visit, name: str, path: str) -> None:
    await visit.context.clear_cookies(name="bongsu_session")
    await visit.open(path, name)


async def step(visit: Visit, action: str) -> None:
    """Take a step that needs no more than being sent."""
    await visit.page.click(f"[data-step={action}]")
    await send(visit)


async def send(visit: Visit) -> None:
    await visit.page.locator(".sheet .sheet-end button").last.click()
    await expect(visit.page.locator(".sheet")).to_have_count(0)


async def field(visit: Visit, korean: str, english: str, value: str) -> None:
    await visit.page.get_by_label(korean if visit.korean else english).first.fill(value)


@BOTH
async def test_a_report_from_the_log_in_to_the_acceptance(visit: Visit) -> None:
    page = visit.page
    await visit.open("/response/reports", "officer")
    await page.click("a.tool.primary")
    await expect(page.locator(".plain")).to_contain_text("법정 기한이 아닙니다" if visit.korean else "no time limit of the law")
    await page.get_by_role("button", name="보고서 제출" if visit.korean else "Submit the report").click()
    await expect(page.locator(".q-field--error")).to_have_count(3)
    assert await visit.barriers() == []
    await field(visit, "인지 시각", "Learned of it", "2026-05-01T11:10")
    await field(visit, "피해 시스템", "System attacked", "민원 포털")
    await page.get_by_role("button", name="초안 저장" if visit.korean else "Save the draft").click()
    await expect(page.locator(".page-head .soft")).to_contain_text("RPT-2026-000001")
    await page.wait_for_url("**/response/reports/RPT-2026-000001/write")
    await page.reload()
    await expect(page.get_by_label("인지 시각" if visit.korean else "Learned of it")).to_have_value("2026-05-01T11:10")
    await field(visit, "사고 내용", "What happened", SUMMARY)
    await visit.picture(f"report-write-{visit.language}")
    await page.get_by_role("button", name="보고서 제출" if visit.korean else "Submit the report").click()
    await page.wait_for_url("**/response/reports/RPT-2026-000001")
    await expect(page.locator(".case-head .state")).to_have_text("제출됨" if visit.korean else "Submitted")
    await expect(page.locator(".columns.case")).to_contain_text(SUMMARY)
    await expect(page.locator(".columns.case")).to_contain_text("11:10")
    assert await visit.barriers() == []

    await become(visit, "lead", "/response")
    await expect(page.locator(".waiting")).to_contain_text("RPT-2026-000001")
    await visit.picture(f"hub-{visit.language}")
    assert await visit.barriers() == []
    await page.click(".waiting a >> text=RPT-2026-000001")
    await step(visit, "receive")
    await expect(page.locator(".receipt b")).to_have_text("RCP-2026-000001")
    await page.click("[data-step=request_followup]")
    await visit.picture(f"report-ask-{visit.language}")
    assert await visit.barriers() == []
    await field(visit, "질문", "Questions", "어느 계정이 쓰였습니까?")
    await send(visit)
    await expect(page.locator(".case-head .state")).to_have_text("추가 보고 요구" if visit.korean else "Follow-up asked for")

    await become(visit, "officer", "/response/reports/RPT-2026-000001")
    await page.click("[data-step=submit_followup]")
    await field(visit, "원인", "Cause", "유출된 관리자 계정")
    await send(visit)
    await page.click("[data-step=submit_closing]")
    await field(visit, "영향", "Impact", "두 시간 동안 중단")
    await field(visit, "조치 내용", "Actions taken", "계정 차단과 재설치")
    await send(visit)
    await expect(page.locator("details.version")).to_have_count(3)
    await visit.picture(f"report-case-{visit.language}")
    assert await visit.barriers() == []

    await become(visit, "lead", "/response/reports/RPT-2026-000001")
    await step(visit, "accept")
    await expect(page.locator(".case-head .state")).to_have_text("승인됨" if visit.korean else "Accepted")


@ONE
async def test_a_late_report_is_taken_on_a_phone_and_a_conflict_keeps_what_was_typed(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await page.set_viewport_size(PHONE)
    await centre.put_detections([Finding(1, more=(("agency", "seogu"),))])
    centre.clock.advance(timedelta(days=3))
    await visit.open("/response", "officer")
    await page.goto(f"{visit.url}/response/reports/new?incident=INC-2026-000001")
    await field(visit, "인지 시각", "", "2026-05-01T12:30")
    await expect(page.get_by_label("사유")).to_be_visible()
    await page.get_by_role("button", name="초안 저장").click()
    await expect(page.locator(".page-head .soft")).to_contain_text("RPT-2026-000001")
    assert await page.get_by_label("사고 내용").first.input_value() != ""  # filled from the incident
    await field(visit, "피해 시스템", "", "민원 포털")
    await page.get_by_role("button", name="보고서 제출").click()
    await expect(page.locator(".form-alert")).to_contain_text("센터 자체 목표보다 늦은 보고입니다")
    assert await visit.too_wide() == 0
    await visit.picture("report-late-phone")
    assert await visit.barriers() == []
    await field(visit, "사유", "", "연휴 동안 담당자가 없었습니다")
    await page.get_by_role("button", name="보고서 제출").click()
    await page.wait_for_url("**/response/reports/RPT-2026-000001")
    await expect(page.locator(".page .clock").first).to_contain_text("법정 기한이 아닙니다")
    await expect(page.locator(".page .clock").first).to_contain_text("늦음")
    assert await visit.too_wide() == 0
    await visit.picture("report-phone")
