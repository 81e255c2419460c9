"""The queue of incidents and the page of one, in a real browser on a real server: an analyst's whole path."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from api.dashboard.client import Answer, Api
from detect import published
from detect.published import Snapshot
from tests.browser import BOTH, NEEDS_CHROMIUM, ONE, PHONE, Visit, choose_file
from tests.detections import Finding
from tests.servers.api import TestCentre

pytestmark = NEEDS_CHROMIUM
expect.set_options(timeout=20_000)

BACKDOOR = (
    'date=2026-05-01 time=11:59:00 devname="gu-fw1" srcip=10.0.0.5 srcport=50123 dstip=192.0.2.9 dstport=4444 proto=6 '
    'action="accept" msg="<script>alert(1)</script>"'
)
LEVELS = ("low", "medium", "high", "medium", "high", "critical")


def finding(centre: TestCentre, offset: int, title: str, level: str, agency: str = "seogu", **more: object) -> Finding:
    at = centre.clock.now() - timedelta(seconds=90 - offset)
    values = {"rule_id": title, "rule_title": title, "rule_level": level, "agency": agency, "raw": f"srcip=192.0.2.7 n={offset}"}
    times = dict.fromkeys(("detected_at", "received_at", "event_time"), at)
    return Finding(offset, more=(*(values | times | more).items(),))


async def fill(centre: TestCentre) -> None:
    """Six incidents, the last opened one critical."""
    for n, level in enumerate(LEVELS):
        await centre.put_detections([finding(centre, n, f"Rule number {n}", level, "parks" if n % 2 else "seogu")])


async def put_backdoor(centre: TestCentre, offset: int = 10) -> None:
    """An incident of a rule of our own that is in force, whose line says what made it fire."""
    rule = next(one for one in centre.centre.rules.current().rules if "Backdoors" in one.title)
    with centre.centre.database.session() as session:
        published.publish(session, "host-1", Snapshot([rule], [], []))
    said = {"rule_id": rule.id, "rule_title": rule.title, "rule_hash": rule.hash, "rule_tags": ",".join(rule.tags), "raw": BACKDOOR}
    fields = {"disposition": "allow", "proto": "tcp", "dst_port": 4444, "src_ip": "10.0.0.5", "dst_ip": "192.0.2.9", "device": "gu-fw1"}
    await centre.put_detections([finding(centre, offset + n, rule.id, rule.level, **said, **fields) for n in range(3)])


@BOTH
async def test_triage_by_keyboard(visit: Visit) -> None:
    page, centre, korean = visit.page, visit.centre, visit.korean
    await fill(centre)
    await visit.open("/incidents")
    rows = page.locator("#queue tr.case")
    await expect(rows).to_have_count(6)
    await expect(page.locator(".views [aria-current]")).to_have_text("진행 중" if korean else "Open")
    assert await visit.barriers() == []
    await page.keyboard.press("j")
    await expect(rows.nth(0).locator("a")).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await expect(rows.nth(0).locator("a")).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("a")
    await expect(rows.nth(1).locator(".cell-assignee")).to_have_text("analyst")
    await page.keyboard.press("t")
    await expect(rows.nth(1).locator(".cell-state")).to_have_text("분류됨" if korean else "Triaged")
    await expect(rows.nth(1).locator("a")).to_be_focused()
    await page.keyboard.press("f")
    dialog = page.locator(".q-dialog .sheet")
    await expect(dialog.locator("textarea")).to_be_focused()
    assert await visit.barriers() == []
    await dialog.locator("button.primary").click()
    await expect(dialog.get_by_text("꼭 입력해야 합니다." if korean else "This is needed.")).to_be_visible()
    await dialog.locator("textarea").press_sequentially("the scanner of the district, jk?")
    await visit.picture(f"queue-dismiss-{visit.language}")
    await dialog.locator("button.primary").click()
    await expect(rows.nth(1).locator(".cell-state")).to_have_text("오탐" if korean else "False positive")
    async with centre.as_person("analyst") as analyst:
        told = (await analyst.get("/v1/incidents/INC-2026-000005")).json()["progress"]["history"]
    assert [(one["action"], one["reason"]) for one in told[1:]] == [
        ("assign", ""),
        ("triage", ""),
        ("dismiss", "the scanner of the district, jk?"),
    ]
    await page.keyboard.press("/")
    await expect(page.locator("[name=q]")).to_be_focused()
    await page.keyboard.type("number 3")
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(f"{visit.url}/incidents?{page.url.partition('?')[2]}")
    assert "q=number+3" in page.url
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.locator("dialog.keys")).to_be_visible()
    assert await visit.barriers() == []
    await visit.picture(f"queue-keys-{visit.language}")
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog.keys")).to_be_hidden()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/incidents/INC-2026-000004")


@ONE
async def test_a_key_pressed_as_the_help_closes_is_heard(visit: Visit) -> None:
    page = visit.page
    await fill(visit.centre)
    await visit.open("/incidents")
    await page.evaluate(
        """() => {
            const help = document.getElementById("queue-keys");
            help.showModal();
            help.close(); // until the next frame its button keeps the focus
            document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
        }"""
    )
    await expect(page.locator("#queue tr.case").nth(0).locator("a")).to_be_focused()


@ONE
async def test_the_lead_confirms_by_keyboard(visit: Visit) -> None:
    page = visit.page
    await fill(visit.centre)
    await visit.open("/incidents", "lead")
    first = page.locator("#queue tr.case").nth(0)
    await page.keyboard.press("j")
    await page.keyboard.press("t")
    await expect(first.locator(".cell-state")).to_have_text("분류됨")
    await page.keyboard.press("c")
    await page.locator(".q-dialog .sheet button.primary").click()
    await expect(first.locator(".cell-state")).to_have_text("확정")


@ONE
async def test_a_slow_answer_to_an_earlier_search_does_not_replace_a_later_one(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    page = visit.page
    await fill(visit.centre)
    await visit.open("/incidents")
    asked, go_on, answered, get = asyncio.Event(), asyncio.Event(), asyncio.Event(), Api.get

    async def slowly(self: Api, path: str, **query: Any) -> Answer:
        answer = await get(self, path, **query)
        if query.get("q") == "number":
            asked.set()
            await go_on.wait()
            asyncio.get_running_loop().call_later(0.5, answered.set)
        return answer

    monkeypatch.setattr(Api, "get", slowly)
    await page.locator("[name=q]").fill("number")
    await asyncio.wait_for(asked.wait(), 20)
    await page.locator("[name=q]").fill("number 3")
    rows = page.locator("#queue tr.case")
    await expect(rows).to_have_count(1)
    go_on.set()
    await asyncio.wait_for(answered.wait(), 20)
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Rule number 3")


@BOTH
async def test_many_at_once_views_and_what_arrives(visit: Visit) -> None:
    page, centre, korean = visit.page, visit.centre, visit.korean
    await fill(centre)
    await visit.open("/incidents")
    rows = page.locator("#queue tr.case")
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.locator(".bulk .count")).to_have_text("2건 선택" if korean else "2 chosen")
    async with centre.as_person("lead") as lead:  # somebody else is faster with one of them
        answer = await lead.post("/v1/incidents/INC-2026-000006/triage", json={}, headers={"If-Match": '"1"'})
        assert answer.status_code == 200
    await expect(rows.nth(0).locator(".cell-state")).to_have_text("분류됨" if korean else "Triaged")
    await page.keyboard.press("t")
    outcomes = page.locator(".outcomes li")
    await expect(outcomes).to_have_count(2)
    await expect(page.locator(".outcomes li.refused")).to_contain_text("INC-2026-000006")
    await expect(page.locator(".outcomes li.done")).to_contain_text("INC-2026-000005")
    await visit.picture(f"queue-outcomes-{visit.language}")
    assert await visit.barriers() == []
    await page.keyboard.press("Escape")
    await expect(outcomes).to_have_count(0)
    await expect(rows.nth(1).locator(".cell-state")).to_have_text("분류됨" if korean else "Triaged")

    await page.click("[data-do=assign_to]")
    dialog = page.locator(".q-dialog .sheet")
    await dialog.get_by_role("combobox").click()
    await page.locator(".q-menu .q-item", has_text="lead").click()
    assert await visit.barriers() == []
    await dialog.locator("button.primary").click()
    for place in (0, 1):
        await expect(rows.nth(place).locator(".cell-assignee")).to_have_text("lead")

    await rows.nth(0).locator("input").check()
    await rows.nth(1).locator("input").check()
    await rows.nth(3).locator("a").focus()
    await centre.put_detections([finding(centre, 20, "It arrives", "high")])
    await expect(rows).to_have_count(7)
    await expect(rows.nth(0)).to_contain_text("It arrives")
    await expect(rows.nth(4).locator("a")).to_be_focused()
    await expect(page.locator(".bulk .count")).to_have_text("2건 선택" if korean else "2 chosen")
    await page.set_viewport_size({"width": 1280, "height": 420})
    await page.evaluate("window.scrollTo(0, 400)")
    await centre.put_detections([finding(centre, 30, "It waits", "low")])
    await expect(page.locator(".fresh")).to_have_text("새 사고 1건 보기" if korean else "1 new: show")
    await expect(rows).to_have_count(7)
    await page.click(".fresh")
    await expect(rows.nth(0)).to_contain_text("It waits")
    await page.set_viewport_size({"width": 1280, "height": 800})

    await page.locator(".several summary").nth(1).click()
    await page.locator(".several [value=high]").check()
    await expect(rows).to_have_count(3)
    await page.select_option("[name=sort]", "oldest")
    await expect(rows.nth(0)).to_contain_text("Rule number 2")
    await page.get_by_role("button", name="이 보기 저장" if korean else "Keep this view").click()
    await expect(page.locator(".q-dialog input").first).to_be_focused()
    await page.keyboard.type("Grave ones")
    assert await visit.barriers() == []
    await page.keyboard.press("Enter")
    kept = page.locator(".views a.own")
    await expect(kept).to_have_text("Grave ones")
    await page.goto(f"{visit.url}/incidents?severity=critical")
    await expect(rows).to_have_count(1)
    await kept.click()
    await expect(rows).to_have_count(3)
    await expect(page.locator(".views [aria-current]")).to_have_text("Grave ones")
    await visit.picture(f"queue-view-{visit.language}")


@BOTH
async def test_an_incident_from_evidence_to_report(visit: Visit) -> None:
    page, centre, korean = visit.page, visit.centre, visit.korean
    await put_backdoor(centre)
    await visit.open("/incidents/INC-2026-000001", "lead")
    await expect(page.locator("h1")).to_contain_text("백도어" if korean else "Backdoors")
    marks = page.locator(".evidence mark")
    await expect(marks.first).to_have_text("10.0.0.5")
    assert set(await marks.all_inner_texts()) == {"10.0.0.5", "4444"}
    await expect(page.locator(".evidence pre").first).to_contain_text("<script>alert(1)</script>")
    why = page.locator(".why")
    await expect(why.locator("h3")).to_contain_text("백도어" if korean else "Backdoors")
    await expect(why.locator(".told").first).to_contain_text("공격 도구" if korean else "attack tools")
    await expect(why.locator("ul li")).to_contain_text("업체" if korean else "contractor")
    await expect(why.locator(".is-holds summary")).to_have_count(2)
    await expect(why.locator(".is-not summary")).to_contain_text("filter_main_inside")
    await expect(why).to_contain_text("T1571")
    await expect(why).to_contain_text("명령 및 제어" if korean else "Command and control")
    events = page.locator(".entities a[href^='/hunt']").first
    assert (await events.get_attribute("href") or "").startswith("/hunt?q=src_ip%3A10.0.0.5&since=2026-05-01T01%3A5")
    await page.locator("[data-known='192.0.2.9']").click()
    await expect(page.locator(".q-dialog")).to_contain_text("어느 목록에도 없습니다" if korean else "No list in this centre knows it.")
    await page.keyboard.press("Escape")
    await expect(page.locator(".q-dialog")).to_have_count(0)

    await page.keyboard.press("?")
    await expect(page.locator("dialog.keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("a")
    await page.locator(".sheet").get_by_role("combobox").click()
    await page.locator(".q-menu .q-item", has_text="analyst").click()
    await visit.picture(f"incident-assign-{visit.language}")
    assert await visit.barriers() == []
    await page.locator(".sheet .primary").click()
    await expect(page.locator(".facts").first).to_contain_text("analyst")
    await expect(page.locator(".q-dialog")).to_have_count(0)
    await page.keyboard.press("t")
    await page.locator(".sheet .primary").click()
    await expect(page.locator(".incident-head .state")).to_have_text("분류됨" if korean else "Triaged")
    comment = page.locator(".say textarea")
    await comment.fill("It is still being typed")
    centre.clock.advance(timedelta(seconds=1))
    async with centre.as_person("analyst") as analyst:
        await analyst.post("/v1/incidents/INC-2026-000001/comments", json={"text": "Seen at the proxy as well"})
        await analyst.post("/v1/incidents/INC-2026-000001/tasks", json={"title": "Ask the district"})
    await expect(page.locator(".comments")).to_contain_text("Seen at the proxy as well")
    await expect(comment).to_have_value("It is still being typed")
    await page.locator(".say button").nth(1).click()
    await expect(page.locator(".comments li")).to_have_count(2)
    await page.locator(".tasks .q-checkbox").click()
    await expect(page.locator(".tasks li.done")).to_have_count(1)
    await choose_file(page, "dump.txt", b"as it was")
    await expect(page.locator(".files a")).to_have_text("dump.txt")
    await choose_file(page, f"{'x' * 250}.txt", b"too long a name")
    refused = page.locator(".q-notification.bg-negative")
    await expect(refused).to_contain_text("최대 200자" if korean else "at most 200 characters")
    await refused.get_by_role("button").click()
    await expect(refused).to_have_count(0)
    await page.locator(".pick-file input").evaluate("field => { field.dataset.most = 3 }")
    await choose_file(page, "big.txt", b"four")
    await expect(refused).to_contain_text("MiB")
    await expect(page.locator(".files a")).to_have_count(1)
    assert ["422" in one for one in visit.complaints] == [True]  # the browser reports the refusal of the name
    visit.complaints.clear()
    await page.click("[data-step=confirm]")
    await page.locator(".sheet .primary").click()
    await expect(page.locator(".incident-head .state")).to_have_text("확정" if korean else "Confirmed")
    await expect(page.locator(".timeline canvas")).to_be_visible()
    await expect(page.locator(".moments li", has_text="확정" if korean else "Confirm")).to_have_count(1)
    await expect(page.locator("[data-step=restrict]")).to_be_visible()
    await expect(page.locator("[data-step=unrestrict]")).to_have_count(0)
    await page.click("[data-step=split]")
    await page.locator(".sheet .q-select").click()
    await expect(page.locator(".q-menu .q-item")).to_have_count(3)
    await expect(page.locator(".q-menu .q-item").first).to_contain_text("2026-05-01 11:59:10 date=2026-05-01 time=11:59:00")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(page.locator(".sheet")).to_have_count(0)
    async with centre.as_person("analyst") as analyst:
        made = await analyst.post("/v1/investigations", json={"incident": "INC-2026-000001"})
        assert made.status_code == 201, made.text
    await page.reload()
    await expect(page.locator(".around a[href^='/response/investigations/']")).to_be_visible()
    await visit.picture(f"incident-{visit.language}")
    assert await visit.barriers() == []


async def choose(page: Page, step: str, option: str, reason: str = "") -> None:
    """Take a step of an incident whose form is one choice, and why where it asks for it."""
    await page.click(f"[data-step={step}]")
    await page.locator(".sheet").get_by_role("combobox").click()
    await page.locator(".q-menu .q-item").get_by_text(option, exact=True).click()
    if reason:
        await page.locator(".sheet textarea").fill(reason)
    await page.locator(".sheet .primary").click()
    await expect(page.locator(".q-dialog")).to_have_count(0)


@ONE
async def test_what_was_set_can_be_taken_back(visit: Visit) -> None:
    page = visit.page
    await fill(visit.centre)
    await visit.open("/incidents/INC-2026-000001", "lead")
    facts, severity = page.locator(".facts").first, page.locator(".incident-head .severity")
    await expect(severity).to_have_text("낮음")
    await choose(page, "assign", "analyst")
    await expect(facts).to_contain_text("analyst")
    await choose(page, "assign", "담당자 없음")
    await expect(facts).not_to_contain_text("analyst")
    await expect(page.locator(".moments li", has_text="담당자 지정 담당자 없음")).to_have_count(1)
    await choose(page, "rate", "심각", "the whole district is concerned")
    await expect(severity).to_have_text("심각")
    await choose(page, "rate", "기준표에 따름", "one office only")
    await expect(severity).to_have_text("낮음")


@ONE
async def test_each_role_sees_what_is_its_own(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await fill(centre)
    await put_backdoor(centre)
    await visit.open("/incidents/INC-2026-000007", "mayor")
    await expect(page.locator(".evidence pre").first).to_contain_text("sha256 ")
    assert "srcip" not in await page.content()
    await expect(page.locator(".say, [data-step]")).to_have_count(0)
    assert await visit.barriers() == []
    await visit.context.clear_cookies()
    await visit.open("/incidents", "officer")
    await expect(page.locator("#queue tr.case")).to_have_count(4)
    await expect(page.locator("[name=agency], [data-do=confirm]")).to_have_count(0)
    async with centre.as_person("officer") as officer:
        made = await officer.post("/v1/reports", json={"incident": "INC-2026-000007"})
        assert made.status_code == 201, made.text
    await page.goto(f"{visit.url}/incidents/INC-2026-000007")
    await expect(page.locator(".around a[href='/response/reports/RPT-2026-000001']")).to_be_visible()
    await expect(page.locator(".evidence mark").first).to_be_visible()
    await page.goto(f"{visit.url}/incidents/INC-2026-000002")
    await expect(page.locator(".empty b")).to_be_visible()
    await visit.context.clear_cookies()
    await visit.open("/incidents", "admin")
    await expect(page.locator(".empty b")).to_be_visible()


@ONE
async def test_on_a_phone(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await fill(centre)
    await put_backdoor(centre)
    await page.set_viewport_size(PHONE)
    await visit.open("/incidents")
    await expect(page.locator("#queue tr.case")).to_have_count(7)
    assert await visit.too_wide() == 0
    assert await visit.barriers() == []
    await visit.picture("queue-phone")
    await page.locator("#queue tr.case a").first.click()
    await expect(page.locator(".evidence mark").first).to_be_visible()
    tops = [(await page.locator(f".panel:has(> {part})").bounding_box() or {"y": -1})["y"] for part in (".evidence", ".whys", ".files")]
    assert tops == sorted(tops)  # why it fired comes right after what proves it
    assert await visit.too_wide() == 0
    assert await visit.barriers() == []
    await visit.picture("incident-phone")
