"""The mayor's office in a real browser: the numbers, a team approved, and a report taken away that really is a PDF."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import expect

from tests.browser import BOTH, NEEDS_CHROMIUM, PHONE, Visit
from tests.detections import Finding
from tests.servers.api import TestCentre

pytestmark = NEEDS_CHROMIUM


async def reported(centre: TestCentre) -> None:
    """An accident of April that was reported and received, and one of May that a team is asked for."""
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead:
        wanted = {"learned_at": "2026-04-20T01:00:00Z", "system": "민원 포털", "summary": "홈페이지 변조", "reason": "훈련 중"}
        made = (await officer.post("/v1/reports", json={name: value for name, value in wanted.items() if name != "reason"})).json()
        sent = await officer.post(f"/v1/reports/{made['number']}/submit", json={"reason": "연휴"}, headers={"If-Match": '"1"'})
        assert sent.status_code == 200, sent.text
        assert (await lead.post(f"/v1/reports/{made['number']}/receive", json={}, headers={"If-Match": '"2"'})).status_code == 200
        for action, body in (("triage", {}), ("confirm", {})):
            etag = (await lead.get("/v1/incidents/INC-2026-000001")).headers["ETag"]
            answer = await lead.post(f"/v1/incidents/INC-2026-000001/{action}", json=body, headers={"If-Match": etag})
            assert answer.status_code == 200, answer.text
        asked = await lead.post("/v1/teams/proposals", json={"incident": "INC-2026-000001", "basis": "시 전체 민원 업무 중단"})
        assert asked.status_code == 201, asked.text


@BOTH
async def test_the_mayor_approves_a_team_and_takes_the_report_away(visit: Visit, tmp_path: Path) -> None:
    page, centre = visit.page, visit.centre
    await centre.put_detections([Finding(1, more=(("agency", "seogu"), ("rule_level", "critical")))])
    await reported(centre)
    centre.clock.advance(datetime(2026, 6, 2, 1, tzinfo=UTC) - centre.clock.now())
    await visit.open("/mayor", "mayor")
    await expect(page.locator(".big .value").nth(0)).to_have_text("정상" if visit.korean else "Normal")
    await expect(page.locator(".big .value").nth(2)).to_have_text("0")
    await expect(page.locator(".big .note").nth(2)).to_contain_text("1")
    await expect(page.locator(".decision h3")).to_contain_text("시 전체 민원 업무 중단")
    await visit.picture(f"mayor-{visit.language}")
    assert await visit.barriers() == []
    await page.click("[data-step=form]")
    await page.get_by_label("시장의 지시" if visit.korean else "Order").fill("민원 업무를 우선 복구")
    await page.locator(".sheet .sheet-end button").last.click()
    await expect(page.locator(".decision")).to_have_count(0)
    await expect(page.locator(".cases-in-short")).to_contain_text("시 전체 민원 업무 중단")

    name = "2026-05 자료 PDF · 한국어" if visit.korean else "2026-05 as PDF · English"
    async with page.expect_download() as started:
        await page.get_by_role("link", name=name).click()
    download = await started.value
    await download.save_as(tmp_path / "report.pdf")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert len(content) > 5000
    async with page.expect_download() as started:
        await page.get_by_role("link", name="CSV").click()
    await (await started.value).save_as(tmp_path / "report.csv")
    assert "민원 포털" in (tmp_path / "report.csv").read_text(encoding="utf-8-sig")
    await page.set_viewport_size(PHONE)
    assert await visit.too_wide() == 0
    await visit.picture(f"mayor-phone-{visit.language}")
    assert await visit.barriers() == []
