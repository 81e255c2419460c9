"""The dashboard in a real browser on a real server: logging in, the overview that lives, one incident; both languages, both themes."""

from __future__ import annotations

from datetime import datetime, timedelta

from playwright.async_api import Browser, expect

from api.auth import users
from core.config import ReadinessSettings, WarningSettings
from respond.readiness import policy
from respond.readiness import service as readiness
from respond.readiness.machine import Direction
from respond.warnings import levels, service
from tests.browser import BOTH, NEEDS_CHROMIUM, NOW, ONE, Visit
from tests.detections import Finding
from tests.servers.api import TestCentre

RAW = 'srcip=192.0.2.7 msg="</script><img src=x onerror=alert(1)> `${alert(2)}` 한글"'

pytestmark = NEEDS_CHROMIUM


def finding(centre: TestCentre, offset: int, title: str, level: str, agency: str = "seogu") -> Finding:
    at = centre.clock.now() - timedelta(seconds=90 - offset)
    values = {"rule_id": title, "rule_title": title, "rule_level": level, "agency": agency, "raw": RAW}
    times = dict.fromkeys(("detected_at", "received_at", "event_time"), at)
    return Finding(offset, more=(*values.items(), *times.items(), ("user", "김서울")))


async def fill(centre: TestCentre, at: datetime) -> None:
    for minute in range(1, 12):
        await centre.put_events("seogu", at - timedelta(minutes=minute * 3), 20 + minute)
    await centre.put_quarantined("parks", at - timedelta(minutes=7), 4)
    await centre.put_detections([finding(centre, 1, "SSH brute force", "high"), finding(centre, 2, "SSH brute force", "high")])
    await centre.put_detections([finding(centre, 3, "SQL 삽입 시도", "critical", "parks")])


@BOTH
async def test_an_analyst_from_the_door_to_the_evidence(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    korean = await page.evaluate("navigator.language") == "ko-KR"
    await fill(centre, centre.clock.now())

    await page.goto(f"{visit.url}/incidents/INC-2026-999999")
    assert "/login?next=/incidents/INC-2026-999999" in page.url
    await visit.picture(f"login-{'ko' if korean else 'en'}")
    await visit.log_in("analyst", "not the password")
    await expect(page.get_by_role("alert")).to_have_text(
        "이름 또는 비밀번호가 맞지 않습니다." if korean else "The name or the password is wrong."
    )
    assert await page.input_value("#name") == "analyst"
    await visit.log_in("analyst")
    await expect(page.locator(".empty b")).to_have_text("그런 사고가 없습니다." if korean else "There is no such incident.")

    await page.click(".back")
    await page.wait_for_url("**/incidents")
    await page.goto(visit.url)
    await expect(page.locator("h1")).to_have_text("상황판" if korean else "Overview")
    assert await page.evaluate("document.documentElement.lang") == ("ko" if korean else "en")
    assert await page.evaluate("document.body.classList.contains('body--dark')") != korean
    cards = page.locator(".card")
    await expect(cards.nth(4).locator(".value")).to_have_text("3")
    await expect(cards.nth(5).locator(".value")).to_have_text("2")
    rows = page.locator("tr.opens")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("공원녹지사업소" if korean else "Parks Office")
    await expect(rows.nth(0)).to_contain_text("심각" if korean else "Critical")
    await expect(page.locator(".chart canvas")).to_be_visible()
    await visit.picture(f"overview-{'ko' if korean else 'en'}")

    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("SSH brute force")
    lines = page.locator(".evidence pre")
    assert await lines.all_text_contents() == [RAW, RAW]
    await expect(page.locator("table.list")).to_contain_text("김서울")
    await expect(page.locator("table.list")).to_contain_text("192.0.2.7")
    await visit.picture(f"incident-{'ko' if korean else 'en'}")

    await page.click("form[action='/logout'] button")
    await expect(page.locator("#password")).to_be_visible()
    await page.goto(f"{visit.url}/")
    assert "/login" in page.url


@ONE
async def test_the_overview_lives_without_losing_ones_place(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await page.goto(visit.url)
    await visit.log_in("lead")
    await expect(page.locator(".panel .empty:visible")).to_have_count(3)
    await visit.picture("empty")
    await centre.put_detections([finding(centre, 1, "First", "low")])
    centre.clock.advance(timedelta(seconds=5))
    await expect(page.locator("tr.opens")).to_have_count(1)
    await page.keyboard.press("j")
    await expect(page.locator("tr.opens a").nth(0)).to_be_focused()
    await centre.put_detections([finding(centre, 2, "Second", "critical")])
    centre.clock.advance(timedelta(seconds=5))
    await expect(page.locator("tr.opens")).to_have_count(2)
    await expect(page.locator("tr.opens").nth(0)).to_contain_text("Second")
    await expect(page.get_by_role("link", name="First")).to_be_focused()
    await expect(page.locator(".card").nth(4).locator(".value")).to_have_text("2")


@BOTH
async def test_language_and_theme_are_remembered(visit: Visit) -> None:
    page = visit.page
    await page.goto(visit.url)
    await visit.log_in("analyst")
    before = await page.locator("h1").text_content()
    dark = await page.evaluate("document.body.classList.contains('body--dark')")
    await page.click("[data-theme-switch]")
    await page.click("a.tool[hreflang]")
    await expect(page.locator("h1")).not_to_have_text(str(before))
    assert await page.evaluate("document.body.classList.contains('body--dark')") != dark
    await page.click("form[action='/logout'] button")
    await expect(page.locator("html")).to_have_attribute("data-theme", "light" if dark else "dark")


@ONE
async def test_an_officer_sees_the_own_agency_and_no_other(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await fill(centre, centre.clock.now())
    await page.goto(visit.url)
    await visit.log_in("officer")
    await expect(page.locator("tr.opens")).to_have_count(1)
    await expect(page.locator("tr.opens")).to_contain_text("SSH brute force")
    await expect(page.locator(".card").nth(5).locator(".value")).to_have_text("1")
    await expect(page.locator(".card").nth(2).locator(".value")).to_have_text("0")
    await page.goto(f"{visit.url}/incidents/INC-2026-000002")
    await expect(page.locator(".empty b")).to_be_visible()
    await expect(page.locator(".evidence")).to_have_count(0)


@ONE
async def test_the_mayors_office_reads_incidents_without_raw_logs(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await fill(centre, centre.clock.now())
    await page.goto(visit.url)
    await visit.log_in("mayor")
    await page.wait_for_url(f"{visit.url}/mayor")  # their own page comes first
    await page.goto(visit.url)
    await page.click("tr.opens a >> nth=0")
    await expect(page.locator(".evidence pre")).to_contain_text("sha256 ")
    assert "srcip" not in await page.content()


@ONE
async def test_who_reads_no_incidents_is_told_so(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await fill(centre, centre.clock.now())
    await page.goto(visit.url)
    await visit.log_in("admin")
    await expect(page.locator(".card")).to_have_count(5)
    await expect(page.locator(".panel .empty:visible")).to_have_count(2)  # no incidents, and nothing due
    await expect(page.locator("tr.opens")).to_have_count(0)


@ONE
async def test_an_open_page_ends_with_its_session(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await page.goto(visit.url)
    await visit.log_in("analyst")
    await expect(page.locator(".cards")).to_be_visible()
    with centre.centre.database.session() as session:
        users.disable_user(session, "analyst", actor="system:test")
    await page.wait_for_url("**/login?next=/")


@ONE
async def test_a_database_that_does_not_answer_is_told_and_survived(visit: Visit) -> None:
    page, database = visit.page, visit.centre.centre.database
    await page.goto(visit.url)
    await visit.log_in("analyst")
    await expect(page.locator(".live")).to_have_text("실시간")
    await page.wait_for_load_state("networkidle")  # its fonts are asked for through the gate, too
    database.close()
    await expect(page.locator(".live.stale")).to_contain_text("2026-05-01 12:00:30")
    database.start()
    await expect(page.locator(".live.stale")).to_have_count(0)
    await expect(page.locator(".live")).to_have_text("실시간")


async def test_a_socket_without_a_session_is_refused(centre: tuple[TestCentre, str], browser: Browser) -> None:
    made, url = centre
    context = await browser.new_context()
    page = await context.new_page()
    open_socket = """address => new Promise(done => {
        const socket = new WebSocket(address);
        socket.onopen = () => done("open");
        socket.onerror = () => done("refused");
    })"""
    address = url.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    await page.goto("about:blank")
    assert await page.evaluate(open_socket, address) == "refused"
    session = made.as_person("analyst")
    cookie = {"name": "bongsu_session", "value": session.cookies["bongsu_session"], "url": url}
    await context.add_cookies([cookie])
    assert await page.evaluate(open_socket, address) == "refused"  # another site's page, though the browser has the session
    await context.close()


@BOTH
async def test_the_warning_in_force_and_the_readiness_stand_apart(visit: Visit) -> None:
    page, korean = visit.page, await visit.page.evaluate("navigator.language") == "ko-KR"
    rules = policy.load(ReadinessSettings())
    national = service.National("NCSC <b>", "2026-17", "alert", "Attacks", "", (), NOW, None)
    with visit.centre.centre.database.session() as session:
        made = readiness.propose(session, "system:test", rules, (), Direction.ESCALATE, "raised", {}, at=NOW)
        readiness.confirm(session, "user:lead", rules, made.number, 1, "")
    await page.goto(visit.url)
    await visit.log_in("analyst")
    await expect(page.locator(".banner")).to_have_count(2)
    await expect(page.locator(".banner.calm b")).to_have_text("국가 사이버위기경보 정상" if korean else "National cyber warning: Normal")
    with visit.centre.centre.database.session() as session:
        service.record(session, "user:lead", levels.load(WarningSettings()), (), national)
    await expect(page.locator(".banner.alarm b")).to_have_text(
        "국가 사이버위기경보 경계 · NCSC <b> 2026-17" if korean else "National cyber warning: Alert · NCSC <b> 2026-17"
    )
    await expect(page.locator(".banner.calm")).to_have_count(0)
    await expect(page.locator(".banner.alarm span")).to_contain_text("발령하지 않습니다" if korean else "the city issues no warning")
    await expect(page.locator(".banner.own span")).to_contain_text("국가 경보가 아닙니다" if korean else "it is no national warning")
    await visit.picture(f"banners-{'ko' if korean else 'en'}")
