"""The overview in a real browser: what is due, who is silent, how the ledger stands; it lives, and nobody loses their place."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from playwright.async_api import expect

from api.ledger import MEANS
from ingest.ledger.checking import Checking
from ingest.ledger.closing import Closing
from ingest.ledger.models import LedgerEntry
from respond.cases import clocks
from respond.cases.clocks import Basis
from respond.cases.records import open_case
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request
from tests.browser import BOTH, NEEDS_CHROMIUM, NOW, ONE, PHONE, Visit
from tests.detections import Finding
from tests.flow import BAD, GOOD, flowing
from tests.servers.api import TestCentre

pytestmark = NEEDS_CHROMIUM


def ask(centre: TestCentre, title: str, hours: float | None, agency: str = "seogu", exercise: bool = False) -> str:
    """A request whose answer is due in so many hours (None: without a time); its number."""
    with centre.centre.database.session() as session:
        row = Request(
            agency=agency, exercise=exercise, article="12", provider="", about="", title=title, purpose="", items=[], due_at=None, reply={}
        )
        case = open_case(session, REQUEST, row, "user:lead", {})
        due = None if hours is None else NOW + timedelta(hours=hours)
        times = {"started_at": NOW - timedelta(days=3), "due_at": due}
        clocks.start(session, f"request/{case.number}", agency, "answer", basis=Basis.SET, source="test", exercise=exercise, **times)
        return case.number


def finding(offset: int, level: str, agency: str = "seogu") -> Finding:
    at = NOW - timedelta(seconds=90 - offset)
    values = {"rule_id": f"r{offset}", "rule_title": f"Rule {offset}", "rule_level": level, "agency": agency, "raw": "a line"}
    return Finding(offset, more=(*values.items(), *dict.fromkeys(("detected_at", "received_at", "event_time"), at).items()))


@BOTH
async def test_the_city_at_a_glance(visit: Visit) -> None:
    page, centre, korean = visit.page, visit.centre, visit.korean
    await centre.put_events("seogu", NOW - timedelta(minutes=3), 30)
    await centre.put_events("parks", NOW - timedelta(hours=5), 2)
    await centre.put_detections([finding(1, "high"), finding(2, "critical", "parks")])
    late, soon = ask(centre, "Late", -30), ask(centre, "Soon", 2)
    ask(centre, "Drill", None, exercise=True)
    await visit.open("/")
    await expect(page.locator(".tile")).to_have_count(2)
    silent, live = page.locator(".tile").nth(0), page.locator(".tile").nth(1)
    await expect(silent).to_contain_text("공원녹지사업소" if korean else "Parks Office")
    await expect(silent).to_contain_text("07:00:31부터 침묵" if korean else "Silent since 07:00:31")
    await expect(live).to_contain_text("서구청" if korean else "Seogu District")
    assert await silent.get_attribute("href") == "/sources?agency=parks"
    rows = page.locator(".clock-row")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(0)).to_contain_text("30시간 지남" if korean else "overdue by 30 hours")
    await expect(rows.nth(1)).to_contain_text("2시간 남음" if korean else "in 2 hours")
    await expect(rows.nth(2)).to_contain_text("지체 없이" if korean else "without delay")
    assert [await rows.nth(n).get_attribute("href") for n in (0, 1)] == [f"/response/requests/{late}", f"/response/requests/{soon}"]
    cell = page.locator(".matrix a[href='/incidents?state=new&severity=critical']")
    await expect(cell).to_have_text("1")
    await expect(page.locator(".matrix a:not(.zero)")).to_have_count(2)
    await expect(page.locator(".verdict")).to_contain_text("아직 마감한" if korean else "No hour is closed yet")
    assert await visit.barriers() == []
    await visit.picture(f"overview-{visit.language}")
    await page.set_viewport_size({"width": 1280, "height": 800})
    box = page.locator(".scroll:has(> .matrix)")
    assert await box.evaluate("one => one.scrollWidth - one.clientWidth") == 0  # every severity is in sight
    await visit.picture(f"overview-1280-{visit.language}")
    await page.set_viewport_size(PHONE)
    assert await visit.too_wide() == 0
    await visit.picture(f"overview-phone-{visit.language}")
    await page.set_viewport_size({"width": 1920, "height": 1080})
    assert await visit.too_wide() == 0
    await visit.picture(f"overview-wall-{visit.language}")


@ONE
async def test_it_lives_and_nobody_loses_their_place(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await centre.put_events("seogu", NOW, 1)
    await centre.put_events("parks", NOW, 1)
    ask(centre, "First", 1)
    await centre.put_detections([finding(1, "high")])
    await visit.open("/")
    tile = page.locator(".tile[href='/sources?agency=parks']")
    await expect(tile).to_contain_text("수신 중")
    await tile.focus()
    centre.clock.advance(timedelta(minutes=12))
    await expect(tile).to_contain_text("지연")
    await expect(tile).to_be_focused()
    cell = page.locator(".matrix a[href='/incidents?state=new&severity=high']")
    await expect(cell).to_have_text("1")
    await cell.focus()
    await centre.put_detections([finding(2, "high", "parks")])
    centre.clock.advance(timedelta(seconds=5))
    await expect(cell).to_have_text("2")
    await expect(cell).to_be_focused()
    row = page.locator(".clock-row").nth(0)
    await row.focus()
    number = ask(centre, "Sooner", 0.5)
    centre.clock.advance(timedelta(minutes=50))
    await expect(page.locator(".clock-row").nth(0)).to_have_attribute("href", f"/response/requests/{number}")
    await expect(page.locator(".clock-row").nth(0)).to_contain_text("지남")
    await expect(page.locator(".clock-row").nth(1)).to_be_focused()


@BOTH
async def test_the_ledger_turns_bad_when_it_is_altered_behind_its_back(visit: Visit) -> None:
    page, made, korean = visit.page, visit.centre, visit.korean
    centre = made.centre
    of = (centre.store, centre.bus, centre.database, centre.clock, MEANS)
    closing, checking = Closing(*of), Checking(*of)
    async with flowing(centre.bus, centre.store, centre.database, made.engine, made.clock) as flow:
        await flow.put([GOOD, GOOD, BAD], NOW - timedelta(hours=1))
        await flow.put([GOOD], NOW - timedelta(hours=1), agency="parks")
        await flow.run()
        await closing.step()
        made.clock.advance(timedelta(minutes=3))
        assert len(await closing.step()) == 1
        await checking.check("recent")
        await visit.open("/", "auditor")
        await expect(page.locator(".intake .verdict.is-holds")).to_contain_text("수집 대장이 맞습니다" if korean else "The ledger holds")
        await expect(page.locator(".intake .facts")).to_contain_text("2026-05-01 12:00:00")
        await visit.picture(f"ledger-holds-{visit.language}")
        with centre.database.session() as session:
            session.execute(sa.delete(LedgerEntry).where(LedgerEntry.agency == "parks"))
        await checking.check("recent")
        made.clock.advance(timedelta(seconds=5))
        await expect(page.locator(".intake .verdict.is-fails")).to_contain_text("맞지 않습니다" if korean else "does not hold")
        await expect(page.locator(".differences")).to_contain_text("1번 항목이 없습니다." if korean else "Entry 1 is missing.")
        assert await visit.barriers() == []
        await visit.picture(f"ledger-fails-{visit.language}")
        await page.click(".intake a[href='/audit']")
        await page.click("#verify-ledger")
        await expect(page.locator("#result-ledger .verdict.is-fails")).to_be_visible()
        told = "대장의 해시 체인이 끊어졌습니다" if korean else "The chain of entries is broken"
        await expect(page.locator("#result-ledger .differences")).to_contain_text(told)
        await visit.picture(f"audit-ledger-{visit.language}")
