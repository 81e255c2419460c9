"""The audit page in a real browser: the trail with filters and pages, and what its proof says when a row was changed behind its back."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from playwright.async_api import expect

from core.signing import load_signer
from respond import trail
from respond.audit import record
from respond.models import Audit
from tests.browser import BOTH, NEEDS_CHROMIUM, ONE, PHONE, Visit

pytestmark = NEEDS_CHROMIUM


def acts(visit: Visit) -> None:
    """Some days of work, signed."""
    made = visit.centre
    with made.centre.database.session() as session:
        for number in range(60):
            detail = {"agency": "seogu", "from": "draft", "to": "issued", "reason": f"reason <b>{number}</b>", "items": ["a", "b"]}
            record(session, "user:lead" if number % 2 else "user:kim", "request.issue", f"request/REQ-2026-{number:06}", detail)
    made.clock.advance(timedelta(days=1))
    with made.centre.database.session() as session:
        told = {"agency": "parks", "due_at": "2026-05-03T00:00:00Z", "personal_data": True, "counts": {"high": 2}}
        record(session, "user:kim", "incident.confirm", "incident/INC-2026-000001", told)
        trail.make_checkpoint(session, load_signer(made.centre.settings.signing_key))


@BOTH
async def test_an_auditor_reads_filters_and_finds_the_row_that_was_changed(visit: Visit) -> None:
    page, korean = visit.page, visit.korean
    acts(visit)
    await visit.open("/audit", "auditor")
    rows = page.locator(".trail tbody tr")
    await expect(rows).to_have_count(50)
    newest = rows.nth(1)  # before the log-in
    await expect(newest).to_contain_text("incident.confirm")
    await expect(newest).to_contain_text("사고: 확정" if korean else "Incident: Confirm")
    await expect(newest).to_contain_text("공원녹지사업소" if korean else "Parks Office")
    await expect(newest).to_contain_text("2026-05-03 09:00:00")
    await expect(newest).to_contain_text("high2")
    assert await newest.locator("a").get_attribute("href") == "/incidents/INC-2026-000001"
    await newest.locator("summary").click()
    await expect(newest.locator("details dd").nth(0)).to_be_visible()
    assert await visit.barriers() == []
    await visit.picture(f"audit-{visit.language}")

    await page.get_by_role("button", name="이전 기록" if korean else "Older").click()
    first = rows.filter(has_text="REQ-2026-000000")
    await expect(first).to_contain_text("reason <b>0</b>")
    await expect(first).to_contain_text("작성 중 → 발송됨" if korean else "Draft → Issued")
    await page.get_by_role("button", name="이후 기록" if korean else "Newer").click()
    await expect(rows).to_have_count(50)
    await page.get_by_label("행위자" if korean else "Who", exact=True).fill("user:kim")
    await page.get_by_label("행위" if korean else "Action", exact=True).fill("request.issue")
    await page.get_by_label("끝 (KST)" if korean else "Until (KST)").fill("2026-05-02T00:00")
    await page.keyboard.press("Enter")
    await expect(rows).to_have_count(30)
    await page.get_by_label("시작 (KST)" if korean else "From (KST)").fill("2026-05-01T20:00")
    await page.keyboard.press("Enter")
    await expect(page.locator(".empty b").last).to_have_text("조건에 맞는 기록이 없습니다." if korean else "No row is like that.")

    await page.click("#verify-trail")
    await expect(page.locator("#result-trail .verdict.is-holds")).to_contain_text("이상이 없습니다" if korean else "is whole")
    with visit.centre.centre.database.session() as session:
        session.execute(sa.update(Audit).where(Audit.seq == 40).values(actor="user:nobody"))
    await page.click("#verify-trail")
    await expect(page.locator("#result-trail .verdict.is-fails")).to_contain_text("40")
    await expect(page.locator("#result-trail .verdict.is-fails")).to_contain_text("변조되었습니다" if korean else "was tampered with")
    await page.click("#verify-ledger")
    await expect(page.locator("#result-ledger .verdict.is-holds")).to_be_visible()
    assert await visit.barriers() == []
    await visit.picture(f"audit-changed-{visit.language}")
    async with page.expect_download() as download:
        await page.click("a[href='/v1/audit/export']")
    assert (await download.value).suggested_filename == "audit.jsonl"
    await page.set_viewport_size(PHONE)
    assert await visit.too_wide() == 0
    await visit.picture(f"audit-phone-{visit.language}")


@ONE
async def test_who_reads_the_trail_but_does_not_verify_is_offered_no_button(visit: Visit) -> None:
    page = visit.page
    acts(visit)
    await visit.open("/audit", "lead")
    await expect(page.locator(".trail tbody tr")).to_have_count(50)
    await expect(page.locator("#verify-trail, #verify-ledger, a[href='/v1/audit/export']")).to_have_count(0)
    await page.click("form[action='/logout'] button")
    await visit.open("/audit", "analyst")
    await expect(page.locator(".empty b")).to_contain_text("열람할 수 없습니다")
    await expect(page.locator("nav a[href='/audit']")).to_have_count(0)
