"""The compliance page in a real browser: every paragraph with its standing and evidence, in both languages and themes."""

from __future__ import annotations

from datetime import timedelta

from playwright.async_api import expect

from api.compliance import law
from core.duty_settings import DutySettings
from respond.duties import campaigns, policy, service
from respond.duties.campaigns import Planned
from respond.duties.machine import Kind
from tests.browser import BOTH, NEEDS_CHROMIUM, NOW, ONE, Visit
from tests.servers.api import TestCentre

pytestmark = NEEDS_CHROMIUM
SUBJECTS = policy.load(DutySettings())


def work(made: TestCentre) -> None:
    """An inspection that is done at one agency, and a training that is overdue at the other."""
    with made.centre.database.session() as session:
        for kind, agencies in ((Kind.INSPECTION, ("parks", "seogu")), (Kind.TRAINING, ("parks",))):
            due = NOW + timedelta(days=1)
            planned = Planned(kind, 2026, "<b>2026</b>", due_at=due, agencies=agencies)
            number = campaigns.plan(session, "user:lead", SUBJECTS, {"seogu", "parks"}, planned).number
            campaigns.start(session, "user:lead", number, 1, SUBJECTS, {"seogu", "parks"})
        service.inspect(session, None, "user:lead", "DTY-2026-000001", 1, "r")
        service.record_findings(session, None, "user:lead", "DTY-2026-000001", 2, "r", [])
        service.sign_off(session, None, "user:lead", "DTY-2026-000001", 3, "")
        service.extend(session, None, "user:lead", "DTY-2026-000002", 1, "r", NOW + timedelta(days=9))


@BOTH
async def test_every_paragraph_with_its_evidence(visit: Visit) -> None:
    page, korean = visit.page, await visit.page.evaluate("navigator.language") == "ko-KR"
    work(visit.centre)
    visit.centre.clock.advance(timedelta(days=2))
    await page.goto(visit.url)
    await visit.log_in("lead")
    await page.click("nav a[href='/compliance']")
    await expect(page.locator("h1")).to_have_text("법령 준수" if korean else "Compliance")
    rows = page.locator("[data-paragraph]")
    await expect(rows).to_have_count(sum(len(act.rows) for act in law.load().acts))
    inspected = page.locator('[data-paragraph="CO 15(1)1"]')
    await expect(inspected.locator("span.standing")).to_have_text("일부 충족" if korean else "Partly")
    await expect(inspected).to_contain_text("2개 기관 중 1개 완료" if korean else "done at 1 of 2 agencies")
    await expect(inspected.locator(".lacking")).to_contain_text("서구청" if korean else "Seogu District")
    trained = page.locator('[data-paragraph="CO 21(1)"]')
    await expect(trained.locator("span.standing")).to_have_text("기한 경과" if korean else "Overdue")
    await expect(trained.locator(".lacking")).to_contain_text("공원녹지사업소" if korean else "Parks Office")
    await expect(page.locator('[data-paragraph="DEC 30(2)"] span.standing')).to_have_text("시스템 범위 밖" if korean else "Outside")
    await visit.picture(f"compliance-{'ko' if korean else 'en'}")
    await inspected.locator("a").click()
    await expect(page.locator("body")).to_contain_text("DTY-2026-000001")


@ONE
async def test_an_officer_is_shown_the_own_agency(visit: Visit) -> None:
    work(visit.centre)
    await visit.page.goto(f"{visit.url}/login?next=/compliance")
    await visit.log_in("officer")
    await expect(visit.page.locator('[data-paragraph="CO 15(1)1"]')).to_be_visible()
    await expect(visit.page.locator("#content")).not_to_contain_text("공원녹지사업소")
    await expect(visit.page.locator('[data-paragraph="DEC 30(1)4"] span.standing')).to_have_text("열람 대상 아님")


@ONE
async def test_who_reads_no_duties_is_told_so(visit: Visit) -> None:
    await visit.page.goto(f"{visit.url}/login?next=/compliance")
    await visit.log_in("admin")
    await expect(visit.page.locator(".empty b")).to_have_text("이 역할은 법령 준수 현황을 보지 않습니다.")
    await expect(visit.page.locator("nav a[href='/compliance']")).to_have_count(0)


@ONE
async def test_a_database_that_does_not_answer_is_told(visit: Visit) -> None:
    await visit.page.goto(visit.url)
    await visit.log_in("lead")
    await expect(visit.page.locator("nav a[href='/compliance']")).to_be_visible()
    await visit.centre.centre.store.close()
    await visit.page.goto(f"{visit.url}/compliance")
    await expect(visit.page.locator(".empty b")).to_have_text("지금은 보여 드릴 수 없습니다.")
