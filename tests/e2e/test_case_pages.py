"""The page of a case of every kind in a real browser, in both languages and themes, on a desk and on a phone; and what is done there."""

from __future__ import annotations

from playwright.async_api import expect

from api.dashboard.response.kinds import KINDS as PAGES
from tests.browser import BOTH, NEEDS_CHROMIUM, PHONE, Visit
from tests.case_tables import KINDS, TABLES
from tests.integration.test_case_machines import put

pytestmark = NEEDS_CHROMIUM
DESK = {"width": 1280, "height": 800}
STATES = {
    **{"reports": "received", "warnings": "propagated", "warning-notices": "acknowledged", "requests": "issued", "teams": "active"},
    **{"team-members": "called", "personal-cases": "possible", "readiness": "confirmed", "blocks": "approved", "investigations": "open"},
    **{"drills": "noticed", "shares": "drafted", "share-receipts": "received", "campaigns": "planned", "duties": "findings"},
    **{"centres": "active"},
}
"""In which state a case of each kind is looked at: the one with the most to do."""
ELSEWHERE = {"prove"}
"""Steps that are taken at what they are about, not in the bar."""


@BOTH
async def test_a_case_of_every_kind_has_its_page(visit: Visit) -> None:
    page = visit.page
    await visit.open("/response", "lead")
    for kind in PAGES:
        path = kind.path.removeprefix("/v1/")
        state = STATES[path]
        number = put(visit.centre, KINDS[path], state, 1)
        await page.set_viewport_size(DESK)
        await page.goto(f"{visit.url}/response/{kind.name}/{number}")
        await expect(page.locator(".case-head .number")).to_have_text(number)
        await expect(page.locator(".case-head h1")).not_to_be_empty()
        offered = {action for action, (states, _, people) in TABLES[path].items() if state in states.split() and "lead" in people.split()}
        shown = await page.locator(".steps").first.locator("[data-step]").evaluate_all("all => all.map(one => one.dataset.step)")
        assert set(shown) == offered - ELSEWHERE, kind.name
        assert len(shown) == len(set(shown))
        empty = await page.locator(".page .panel").evaluate_all(
            "all => all.filter(one => one.children.length < 2).map(one => one.innerText)"
        )
        assert empty == [], kind.name
        for size, name in ((DESK, "desk"), (PHONE, "phone")):
            await page.set_viewport_size(size)
            assert await visit.too_wide() == 0, (kind.name, name)
            assert await visit.barriers() == [], (kind.name, name)
            await visit.picture(f"case-{kind.name}-{name}-{visit.language}")
