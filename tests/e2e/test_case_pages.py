"""The page of a case of every kind in a real browser, in both languages and themes, on a desk and on a phone; and what is done there."""

from __future__ import annotations

from playwright.async_api import expect

from api.dashboard.response.kinds import KINDS as PAGES
from respond.cases import records
from tests.browser import BOTH, NEEDS_CHROMIUM, ONE, PHONE, Visit, choose_file
from tests.case_tables import KINDS, TABLES
from tests.detections import Finding
from tests.e2e.test_report_page import become, send, step
from tests.e2e.test_response_pages import choose
from tests.integration.test_api_teams import PEOPLE as MEMBERS
from tests.integration.test_api_teams import put_incident
from tests.integration.test_case_machines import put
from tests.personal_cases import FACTS
from tests.servers.api import FIRST_SEEN

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


@ONE
async def test_a_personal_case_is_verified_and_its_letter_written(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    async with centre.as_person("officer") as officer:
        made = await officer.post("/v1/personal-cases", json={"title": "회원 명단 유출", "agency": "seogu"})
        assert made.status_code == 201, made.text
        described = {"facts": FACTS.model_dump(mode="json")}
        answer = await officer.post("/v1/personal-cases/PIC-2026-000001/describe", json=described, headers=FIRST_SEEN)
        assert answer.status_code == 200, answer.text
    await visit.open("/response/personal/PIC-2026-000001", "privacy")
    await page.click("[data-step=verify]")
    await visit.picture("personal-verify")
    assert await visit.barriers() == []
    await send(visit)
    await expect(page.locator(".case-head .state")).to_have_text("유출 확인")
    await page.click("[data-step=write_letter]")
    await page.locator(".sheet .q-select").first.click()
    await page.locator(".q-menu .q-item").first.click()
    await send(visit)
    letter = page.locator(".checklist li", has=page.get_by_role("button", name="읽기"))
    await expect(letter).to_have_count(1)
    await letter.get_by_role("button").click()
    await expect(page.locator("pre.letter").first).to_contain_text("회원 조회 화면이 외부에서 조회됨")
    await visit.picture("personal-letter")
    assert await visit.barriers() == []


@ONE
async def test_a_drill_is_planned_and_started(visit: Visit) -> None:
    page = visit.page
    await visit.open("/response/drills/new", "lead")
    await choose(visit, "시나리오", "Scenario", "악성코드")
    await choose(visit, "기관", "Agencies", "서구청")
    await page.keyboard.press("Escape")
    await visit.picture("drill-new")
    await page.get_by_role("button", name="저장").click()
    await page.wait_for_url("**/response/drills/DRL-2026-000001")
    await expect(page.locator(".case-head .tag")).to_have_text("훈련")
    await step(visit, "start")
    await expect(page.locator(".case-head .state")).to_have_text("진행 중")
    await visit.picture("drill-running")
    assert await visit.barriers() == []


@ONE
async def test_a_share_is_released_and_the_agency_replies(visit: Visit) -> None:
    page = visit.page
    async with visit.centre.as_person("analyst") as analyst:
        content = {"title": "비밀번호 추측", "summary": "여러 계정을 시도함"}
        made = await analyst.post("/v1/shares", json={"kind": "means", "tlp": "amber", "content": content})
        assert made.status_code == 201, made.text
    await visit.open("/response/shares/SHR-2026-000001", "lead")
    await step(visit, "release")
    await expect(page.locator(".case-head .state")).to_have_text("배포됨")
    receipts = page.locator("table.list tbody tr")
    await expect(receipts).to_have_count(2)
    await visit.picture("share-released")
    assert await visit.barriers() == []
    href = await receipts.locator("a", has_text="서구청").get_attribute("href")
    await become(visit, "officer", str(href))
    await step(visit, "receive")
    await page.click("[data-step=reply]")
    await page.locator(".sheet .q-select").click()
    await page.locator(".q-menu .q-item").first.click()
    await page.locator(".sheet textarea").fill("차단함")
    await send(visit)
    await expect(page.locator(".columns.case")).to_contain_text("차단함")
    await visit.picture("share-replied")
    assert await visit.barriers() == []


@ONE
async def test_a_team_has_a_roster_and_a_log(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await centre.put_detections([Finding(1, more=(("agency", "seogu"),))])
    team = "/v1/teams/ECT-2026-000001"
    put_incident(centre, "INC-2026-000001", state="confirmed")
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead:
        asked = await officer.post("/v1/teams/requests", json={"incident": "INC-2026-000001", "basis": "시 전체 서비스 중단"})
        assert asked.status_code == 201, asked.text
        named = await lead.post(f"{team}/nominate", json={"people": MEMBERS}, headers=FIRST_SEEN)
        assert named.status_code == 200, named.text
    await visit.open("/response/teams/ECT-2026-000001", "mayor")
    await page.click("[data-step=form]")
    await page.locator(".sheet textarea").first.fill("복구를 서두를 것")
    await send(visit)
    await expect(page.locator(".case-head .state")).to_have_text("편성됨")
    await become(visit, "lead", "/response/teams/ECT-2026-000001")
    await expect(page.locator("table.list tbody tr")).to_have_count(len(MEMBERS))
    await page.locator(".write textarea").fill("관리자 계정을 막음")
    await page.locator(".write button").click()
    await expect(page.locator(".panel:has(.write) .happened")).to_contain_text("관리자 계정을 막음")
    await page.locator(".write textarea").fill("전산실을")
    async with centre.as_person("lead") as lead:
        seen = (await lead.get(team)).headers["etag"]
        called = await lead.post(f"{team}/call_out", json={}, headers={"If-Match": seen})
        assert called.status_code == 200, called.text
    await expect(page.locator("table.list tbody .state.is-called")).to_have_count(len(MEMBERS), timeout=20_000)
    await expect(page.locator(".write textarea")).to_have_value("전산실을")  # what is being written stays
    await visit.picture("team-log")
    assert await visit.barriers() == []
    await page.set_viewport_size(PHONE)
    assert await visit.too_wide() == 0


@ONE
async def test_a_file_is_added_to_a_duty_twice_and_kept_once(visit: Visit) -> None:
    page, links = visit.page, visit.page.locator(".checklist a[download]")
    number = put(visit.centre, KINDS["duties"], "open", 1)
    await visit.open(f"/response/duties/{number}", "officer")
    names = ("result.txt", "result.txt", "2026 결과 & 사진.txt")
    for count, name in zip((1, 1, 2), names, strict=True):
        async with page.expect_response("**/files?*"):
            await choose_file(page, name)
        await expect(links).to_have_count(count)
    await visit.picture("duty-files")
    async with page.expect_file_chooser() as opened:
        await page.click(".pick-file")
    await page.locator(".pick-file").evaluate("one => one.remove()")  # as when the page is built anew while somebody looks for the file
    await (await opened.value).set_files({"name": "late.txt", "mimeType": "text/plain", "buffer": b"late"})
    await expect(links).to_have_count(3)
    async with page.expect_download() as taken:
        await page.get_by_role("link", name="2026 결과 & 사진.txt").click()
    assert (await (await taken.value).path()).read_bytes().decode() == "2026 결과 & 사진.txt"


@BOTH
async def test_readiness_tells_what_it_was_proposed_by(visit: Visit) -> None:
    page, korean = visit.page, visit.language == "ko"
    number = put(visit.centre, KINDS["readiness"], "proposed", 1)
    with visit.centre.centre.database.session() as session:
        quiet = {"quiet_minutes": 240, "severity": "high", "total": 0, "incidents": []}
        put(visit.centre, KINDS["readiness"], "proposed", 2, direction="stand_down", evidence=quiet)
        case = session.query(KINDS["readiness"].model).filter_by(number=number).one()
        records.note(session, KINDS["readiness"].machine, case, "system:readiness", "pass_on", {}, "nobody answered within 15 minutes")
    await visit.open(f"/response/readiness/{number}", "lead")
    grounds = page.locator(".panel", has=page.locator("h2", has_text="근거" if korean else "Evidence"))
    told = (
        ("3 (기준 3 이상)", "2 (기준 2 이상)", "핵심", "1시간")
        if korean
        else ("3, at least 3 asked for", "2, at least 2 asked for", "Critical", "1 h")
    )
    for one in told:
        await expect(grounds).to_contain_text(one)
    await expect(grounds.locator("tbody tr")).to_have_count(3)
    answered = "15분 안에 응답한 사람이 없음" if korean else "nobody answered within 15 minutes"
    await expect(page.locator(".happened")).to_contain_text(answered)
    words = await grounds.locator("dt, th").all_text_contents()
    assert [one for one in words if "_" in one or (korean and one.isascii())] == []
    await visit.picture(f"readiness-grounds-{visit.language}")
    await page.goto(f"{visit.url}/response/readiness/RDY-2026-000002")
    await expect(page.locator("main.page")).to_contain_text("4시간" if korean else "4 h")
