"""What holds for every page of the dashboard, in a real browser: times are KST with UTC on hover, nothing is wider than the window."""

from __future__ import annotations

from datetime import timedelta

from playwright.async_api import expect

from api.dashboard.pages import PAGES
from tests.browser import NEEDS_CHROMIUM, NOW, ONE, PHONE, Visit
from tests.case_tables import KINDS
from tests.e2e.test_overview_page import ask, finding
from tests.e2e.test_report_page import become
from tests.integration.test_case_machines import put

pytestmark = NEEDS_CHROMIUM
DESK = {"width": 1280, "height": 800}
_BARE = r"""() => {
    const walker = document.createTreeWalker(document.querySelector("main.page"), NodeFilter.SHOW_TEXT), bare = []
    for (let one = walker.nextNode(); one; one = walker.nextNode())
        if (/\d{4}-\d\d-\d\d \d\d:\d\d/.test(one.data) && !one.parentElement.closest("time, pre, code, textarea")) bare.push(one.data)
    return bare
}"""
"""Times that stand on the page without an element that tells them in UTC."""
_UNTOLD = r"""() => [...document.querySelectorAll("time")]
    .filter(one => !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(one.title)).map(one => one.outerHTML)"""


async def something_everywhere(visit: Visit) -> None:
    """A centre with something on every page that has a time."""
    centre = visit.centre
    await centre.put_events("seogu", NOW - timedelta(minutes=3), 30)
    await centre.put_events("parks", NOW - timedelta(hours=5), 2)
    await centre.put_detections([finding(1, "high"), finding(2, "critical", "parks")])
    ask(centre, "Late", -30)
    ask(centre, "Soon", 2)
    for path, state in (("warnings", "propagated"), ("reports", "submitted"), ("teams", "requested"), ("drills", "planned")):
        put(centre, KINDS[path], state, 9)


@ONE
async def test_times_tell_utc_and_nothing_is_too_wide_or_in_the_way(visit: Visit) -> None:
    page = visit.page
    await something_everywhere(visit)
    await visit.open("/", "lead")
    await expect(page.locator(".banner time, .tile time, .clock-row time")).to_have_count(4)
    told = 0
    for one in PAGES:
        if one.path == "/mayor":
            await become(visit, "mayor", one.path)
        for size in (DESK, PHONE):
            await page.set_viewport_size(size)
            await page.goto(f"{visit.url}{one.path}")
            await expect(page.locator("main.page h1, main.page .overview").first).to_be_visible()
            assert await page.evaluate(_UNTOLD) == [], one.path
            assert await page.evaluate(_BARE) == [], one.path
            told += await page.locator("main.page time").count()
            assert await visit.too_wide() == 0, (one.path, size)
            assert await visit.barriers() == [], (one.path, size)
            await visit.picture(f"every{one.path.replace('/', '-')}-{size['width']}")
        if one.path == "/mayor":
            await become(visit, "lead", "/")
    assert told > 20


@ONE
async def test_a_time_on_hover_is_the_same_moment_in_utc(visit: Visit) -> None:
    await something_everywhere(visit)
    await visit.open("/", "lead")
    silent = visit.page.locator(".tile.is-silent time")
    await expect(silent).to_have_text("07:00:31")
    await expect(silent).to_have_attribute("title", "2026-04-30T22:00:31Z")
