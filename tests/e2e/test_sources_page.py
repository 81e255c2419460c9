"""The pages of sources in a real browser: how each does, and the wizard that waits for a line and shows how it was read."""

from __future__ import annotations

from datetime import timedelta

from playwright.async_api import expect

from core.events import IntakeFlag
from tests.browser import BOTH, NEEDS_CHROMIUM, NOW, ONE, PHONE, Visit

pytestmark = NEEDS_CHROMIUM

BROKEN = "link up on <i>port 7</i>"
RAW = "date=2026-05-01 devname=<b>fw-9</b> srcip=192.0.2.7 dstport=443"


@BOTH
async def test_sources_are_shown_and_one_is_connected(visit: Visit) -> None:
    page, centre, korean = visit.page, visit.centre, visit.korean
    await centre.put_events("seogu", NOW - timedelta(minutes=2), 30, parser="fortigate", intake_flags=0)
    await centre.put_events("parks", NOW - timedelta(minutes=2), 3, source="off", intake_flags=IntakeFlag.CLOCK_SKEW.value)
    await centre.put_events("parks", NOW - timedelta(minutes=2), 1, source="off", intake_flags=0)
    await centre.put_quarantined("seogu", NOW - timedelta(minutes=3), 10)
    await centre.put_events("seogu", NOW - timedelta(hours=3), 1, source="fw-old")
    await centre.put_events("_unknown", NOW - timedelta(minutes=2), 1, source="unknown-192.0.2.99")
    await visit.open("/sources")
    rows = page.locator(".sources-table tbody tr")
    live = page.locator("tr", has=page.locator("b", has_text="fw-1"))
    await expect(live.locator(".heard")).to_have_text("수신 중" if korean else "Live")
    await expect(live).to_contain_text("75.0%")
    await expect(live).to_contain_text("fortigate")
    old = page.locator("tr", has=page.locator("b", has_text="fw-old"))
    await expect(old.locator(".heard")).to_have_text("무수신" if korean else "Silent")
    await expect(old).to_contain_text("설정에 없음" if korean else "not in the settings")
    skewed = page.locator("tr", has=page.locator("b", has_text="off")).locator("td.right.num").nth(3)
    await expect(skewed).to_have_text("75.0%")
    async with centre.as_person("analyst") as analyst:
        told = (await analyst.get("/v1/sources")).json()["items"]
    assert {one["source"]: one["skewed"] for one in told}["off"] == 3
    await expect(rows).to_have_count(4)
    assert await visit.barriers() == []
    await visit.picture(f"sources-{visit.language}")
    await page.get_by_role("link", name="자세히" if korean else "Details").first.click()
    await expect(page.locator("h1")).to_have_text("서구청" if korean else "Seogu District")
    await expect(rows).to_have_count(2)
    assert await visit.barriers() == []

    await page.get_by_role("link", name="로그원 연결" if korean else "Connect a source").click()
    await expect(page.locator("pre.yaml").first).to_contain_text("127.0.0.1")
    await expect(page.locator("pre.yaml").nth(1)).to_contain_text("- id: seogu")
    await page.get_by_label("로그원 이름(예: fw-1)" if korean else "Name of the source (such as fw-1)").fill("fw-9")
    await expect(page.locator("pre.yaml").nth(1)).to_contain_text("- name: fw-9")
    await page.get_by_role("button", name="192.0.2.99").click()
    await expect(page.locator("pre.yaml").nth(1)).to_contain_text('addresses: ["192.0.2.99"]')
    await page.get_by_label("보내는 장비" if korean else "What sends").click()
    await page.locator(".q-menu .q-item", has_text="rsyslog · UDP").click()
    await expect(page.locator("pre.yaml").first).to_contain_text('protocol="udp"')
    await expect(page.locator("pre.yaml").first).to_contain_text("127.0.0.1")
    await expect(page.get_by_label("인증서" if korean else "certificate")).to_be_hidden()
    await page.locator("[data-copy]").nth(1).click()
    await expect(page.locator(".copied-from [role=status]").nth(1)).to_have_text("복사했습니다." if korean else "Copied.")
    assert await visit.barriers() == []
    centre.clock.advance(timedelta(seconds=10))
    await centre.put_quarantined("seogu", centre.clock.now(), 1, source="fw-9", raw=BROKEN)
    await expect(page.locator(".first-line.is-refused b")).to_contain_text("격리" if korean else "quarantine")
    await expect(page.locator("pre.wraps")).to_have_text(BROKEN)
    await expect(page.locator(".unread")).to_contain_text("이 형식을 아는 파서가 없습니다" if korean else "No parser knows this format")
    await expect(page.locator(".unread")).to_contain_text("bongsu parsers new")
    assert await visit.barriers() == []
    await visit.picture(f"sources-refused-{visit.language}")
    centre.clock.advance(timedelta(seconds=10))
    await centre.put_events("seogu", centre.clock.now(), 1, source="fw-9", raw=RAW, parser="fortigate", dst_port=443)
    centre.clock.advance(timedelta(seconds=1))
    await expect(page.locator(".first-line b")).to_contain_text("첫 로그를 받아" if korean else "We received your first line")
    await expect(page.locator("pre.wraps")).to_have_text(RAW)
    await expect(page.locator(".first-event")).to_contain_text("443")
    assert await visit.barriers() == []
    await visit.picture(f"sources-wizard-{visit.language}")
    await page.set_viewport_size(PHONE)
    assert await visit.too_wide() == 0
    for path in ("/sources", "/sources/seogu", "/sources/new"):
        await page.goto(f"{visit.url}{path}")
        await page.wait_for_selector("main.page")
        assert await visit.too_wide() == 0, path
        await visit.picture(f"{path.strip('/').replace('/', '-')}-phone-{visit.language}")


@ONE
async def test_an_officer_sees_the_own_agencys_sources(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    for agency in ("seogu", "parks"):
        await centre.put_events(agency, NOW - timedelta(minutes=2), 3)
    await visit.open("/sources", "officer")
    await expect(page.locator(".sources-table b")).to_have_count(1)
    await page.goto(f"{visit.url}/sources/parks")
    await expect(page.locator(".sources-table b")).to_have_count(0)
    await page.goto(f"{visit.url}/sources/new")
    await expect(page.locator("pre.yaml").nth(1)).to_contain_text("- id: seogu")
