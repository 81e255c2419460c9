"""The hunt pages in a real browser: searching from the first key to an exported file and a rule, and a rule run over history."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from playwright.async_api import Locator, expect

from api.dashboard.client import Answer, Api
from core import topics
from core.events import DETECTIONS
from core.storage.writer import TableWriter
from detect.hunt.runner import HuntRunner
from detect.rules import parse
from tests.browser import BOTH, NEEDS_CHROMIUM, ONE, PHONE, Visit
from tests.detections import Finding
from tests.servers.api import TestCentre

pytestmark = NEEDS_CHROMIUM
expect.set_options(timeout=20_000)  # as long as the pages themselves are given
RAW = 'date=2026-05-01 srcip=192.0.2.7 dstport=22 user="kim" msg="</script><img src=x onerror=alert(1)> Union Select 한글"'
RULE = """title: Refused SSH
logsource: {category: firewall}
detection:
  selection: {dst_port: 22, disposition: deny}
  condition: selection
level: high
"""


async def fill(centre: TestCentre) -> None:
    """Two bursts in the last hour and one yesterday: refused SSH of kim, allowed web of lee."""
    now = centre.clock.now()
    ssh = {"src_ip": "192.0.2.7", "dst_ip": "10.0.0.5", "dst_port": 22, "user": "kim", "disposition": "deny", "log_class": "firewall"}
    web = {"src_ip": "198.51.100.9", "dst_ip": "10.0.0.8", "dst_port": 443, "user": "lee park", "disposition": "allow", "log_class": "web"}
    await centre.put_events("seogu", now - timedelta(minutes=40), 120, **ssh, raw=RAW, action="drop")
    await centre.put_events("parks", now - timedelta(minutes=10), 30, **web, url="/a?id=1", raw="GET /a?id=1 by lee park")
    await centre.put_events("parks", now - timedelta(hours=26), 7, **ssh, raw=RAW, action="drop")


def said(visit: Visit) -> Locator:
    """The line that says what was found."""
    return visit.page.locator(".hunt-results [role=status]")


@BOTH
async def test_a_search_is_typed_with_help(visit: Visit) -> None:
    page, centre, korean = visit.page, visit.centre, visit.korean
    await fill(centre)
    await visit.open("/hunt")
    await expect(said(visit)).to_contain_text("150")
    await expect(page.locator(".hunt-chart canvas")).to_be_visible()
    rows = page.locator(".hunt-grid .ag-center-cols-container .ag-row")
    await expect(rows.first).to_contain_text("198.51.100.9")
    assert await visit.barriers() == []
    await visit.picture(f"hunt-{visit.language}")

    query, offers = page.locator("#hunt-q"), page.locator("#hunt-list li")
    await page.keyboard.press("/")
    await expect(query).to_be_focused()
    await query.press_sequentially("dst_p")
    await expect(offers.first).to_contain_text("목적지 포트" if korean else "Destination port")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(query).to_have_value("dst_port:")
    await expect(offers.first).to_contain_text("22")
    await page.keyboard.press("ArrowDown")
    await visit.picture(f"hunt-completion-{visit.language}")
    assert await visit.barriers() == []
    await page.keyboard.press("Enter")
    await expect(query).to_have_value("dst_port:22 ")
    await query.press_sequentially("AND scr_ip:1 ")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Enter")
    wrong = page.get_by_role("alert")
    await expect(wrong).to_contain_text("scr_ip 열이 없습니다" if korean else "There is no column scr_ip. Did you mean src_ip")
    await expect(wrong.locator("mark")).to_have_text("scr_ip:1")
    await expect(query).to_be_focused()
    assert await visit.barriers() == []
    await visit.picture(f"hunt-mistake-{visit.language}")

    await query.fill('dst_port:22 "union select"')
    await page.keyboard.press("Enter")
    await expect(wrong).to_have_count(0)
    await expect(said(visit)).to_contain_text("120")
    assert "q=dst_port%3A22+%22union+select%22" in page.url


@BOTH
async def test_an_event_is_opened_and_leads_on(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await fill(centre)
    at = centre.clock.now() - timedelta(minutes=40)
    times = dict.fromkeys(("detected_at", "received_at", "event_time"), at)
    found = {"raw_epoch": "e1", "rule_title": "SSH brute force", "agency": "seogu", "raw": RAW}
    await centre.put_detections([Finding(1, more=(*found.items(), *times.items()))])

    await visit.open("/hunt?q=dst_port:22%2520%2522union%2520select%2522")
    await expect(said(visit)).to_contain_text("120")
    query = page.locator("#hunt-q")
    await page.locator(".hunt-grid .ag-cell").last.click()
    panel = page.locator("#event-panel")
    await expect(panel.locator("pre").first).to_have_text(RAW)
    assert await panel.locator("#event-raw mark").all_text_contents() == ["22", "Union Select"]
    await expect(panel.locator("tr", has_text="dst_port").locator("mark")).to_have_text("22")
    assert await page.locator("img[src=x]").count() == 0
    await panel.get_by_text("OCSF").click()
    await expect(panel.locator("#event-ocsf")).to_contain_text('"class_uid": 4001')
    ocsf = json.loads(await panel.locator("#event-ocsf").text_content() or "")
    assert (ocsf["src_endpoint"]["ip"], ocsf["dst_endpoint"]["port"], ocsf["disposition_id"]) == ("192.0.2.7", 22, 2)
    assert await visit.barriers() == []
    await visit.picture(f"hunt-event-{visit.language}")
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()

    first = (await visit.centre.as_person("analyst").get("/v1/events", params={"q": "dst_port:22", "limit": 500})).json()["items"][-1]
    await page.goto(f"{visit.url}/hunt?q=kim&event={first['event_id']}")
    link = panel.get_by_role("link", name="INC-2026-000001")
    await expect(link).to_be_visible()
    await expect(panel).to_contain_text("SSH brute force")
    await panel.get_by_role("link", name="src_ip 192.0.2.7").click()
    await expect(query).to_have_value("src_ip:192.0.2.7")
    await expect(said(visit)).to_contain_text("120")


@BOTH
async def test_narrowing_columns_and_taking_it_along(visit: Visit, tmp_path: Path) -> None:
    page, centre, korean = visit.page, visit.centre, visit.korean
    await fill(centre)
    await visit.open("/hunt")
    await expect(said(visit)).to_contain_text("150")

    fields = page.locator(".hunt-fields")
    await fields.get_by_role("button", name="user", exact=True).click()
    values = page.locator("#values-user")
    await expect(values.locator("li").first).to_contain_text("kim")
    await expect(values.locator("li").first).to_contain_text("80.0%")
    await values.locator("li", has_text="lee park").get_by_role("button").first.click()
    await expect(page.locator("#hunt-q")).to_have_value('user:"lee park"')
    await expect(said(visit)).to_contain_text("30")
    await expect(values.locator("li")).to_have_count(1)
    await page.go_back()
    await expect(said(visit)).to_contain_text("150")
    await page.locator("[data-hunt-field=user]").click()
    await values.locator("li", has_text="lee park").get_by_role("button").last.click()
    await expect(page.locator("#hunt-q")).to_have_value('NOT user:"lee park"')
    await expect(said(visit)).to_contain_text("120")

    await page.locator("[data-hunt-column=user]").check()
    await expect(page.locator(".ag-header-cell", has_text="user")).to_be_visible()
    await page.locator("[data-hunt-column=raw]").uncheck()
    await expect(page.locator(".ag-header-cell", has_text="raw")).to_have_count(0)
    await page.goto(f"{visit.url}/hunt")
    await expect(page.locator(".ag-header-cell", has_text="user")).to_be_visible()
    await expect(page.locator("[data-hunt-column=raw]")).not_to_be_checked()
    await expect(said(visit)).to_contain_text("150")

    box = await page.locator(".hunt-chart").bounding_box()
    assert box is not None
    plot, width = box["x"] + 56, box["width"] - 74
    await page.mouse.move(plot + width * 0.75, box["y"] + 60)
    await page.mouse.down()
    await page.mouse.move(plot + width * 0.85, box["y"] + 90, steps=5)
    await page.mouse.move(plot + width * 0.95, box["y"] + 90, steps=5)
    await page.mouse.up()
    await expect(said(visit)).to_contain_text("30")
    assert "since=2026-05-01T02%3A4" in page.url
    await expect(page.locator("#hunt-range")).to_have_value("")
    await expect(page.locator("#hunt-since")).to_have_value(re.compile("^2026-05-01T11:4"))
    await visit.picture(f"hunt-brushed-{visit.language}")

    await page.get_by_role("button", name="내보내기" if korean else "Export").click()
    await expect(page.locator(".hunt-dialog")).to_contain_text("5,000,000")
    assert await visit.barriers() == []
    await visit.picture(f"hunt-export-{visit.language}")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="내려받기" if korean else "Download").click()
    file = tmp_path / "events.ndjson"
    await (await download.value).save_as(file)
    taken = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert (len(taken), {one["user"] for one in taken}) == (30, {"lee park"})
    assert "raw" not in taken[0]
    if not korean:
        await page.get_by_label("Format").click()
        await page.get_by_role("option", name="Parquet").click()
        await expect(page.get_by_role("link", name="Download")).to_have_attribute("href", re.compile("format=parquet"))
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download").click()
        await (await download.value).save_as(tmp_path / "events.parquet")
        assert pq.read_table(tmp_path / "events.parquet")["dst_port"].to_pylist() == [443] * 30
    await page.get_by_role("button", name="닫기" if korean else "Close").click()

    await page.goto(f"{visit.url}/hunt?q=dst_port:(22 OR 23) NOT user:lee* event_time:>2026-01-01")
    await expect(said(visit)).to_contain_text("120")
    await page.get_by_role("button", name="규칙으로 저장" if korean else "Save as rule").click()
    await expect(page.locator(".hunt-dialog [role=alert]")).to_contain_text("시각을 빼십시오" if korean else "Take the time out")
    await page.goto(f"{visit.url}/hunt?q=dst_port:(22 OR 23) NOT user:lee*")
    await expect(said(visit)).to_contain_text("120")
    await page.get_by_role("button", name="규칙으로 저장" if korean else "Save as rule").click()
    await expect(page.locator("#draft-yaml")).to_contain_text("condition: selection and not filter")
    (rule,) = parse(await page.locator("#draft-yaml").text_content() or "", "draft.yml").rules
    assert rule.level == "medium"
    assert await visit.barriers() == []
    await visit.picture(f"hunt-draft-{visit.language}")
    await page.get_by_role("button", name="과거 로그에 실행" if korean else "Run over history").click()
    await expect(page.locator("textarea")).to_have_value(re.compile("condition: selection and not filter"))


async def searched(centre: TestCentre) -> None:
    """Let what waits be searched, and what is found be stored, as the services do."""
    inner, parts = centre.centre, centre
    runner = HuntRunner(
        inner.store,
        inner.bus,
        inner.database,
        inner.clock,
        inner.rules,
        parts.engine,
        history=timedelta(days=30),
        busy=lambda: False,
        holder="here",
    )
    while await runner.step():
        pass
    reader = await inner.bus.consumer("test", [topics.DETECTIONS])
    found = await reader.poll(max_messages=1000, max_bytes=1 << 28, timeout=1.0)
    await reader.close()
    await TableWriter(inner.store, DETECTIONS).handle(found, 1)


@BOTH
async def test_a_rule_is_run_over_history(visit: Visit) -> None:
    page, centre, korean = visit.page, visit.centre, visit.korean
    await fill(centre)
    await visit.open("/hunt/history")
    await expect(page.locator(".empty b")).to_have_text("아직 실행한 헌팅이 없습니다." if korean else "Nobody has hunted yet.")
    assert await visit.barriers() == []
    await page.locator("textarea").fill(RULE)
    await page.get_by_role("button", name="예상 부담 보기" if korean else "What would it cost?").click()
    await expect(page.get_by_role("status").filter(has_text="157")).to_be_visible()
    await page.get_by_role("button", name="실행" if korean else "Run", exact=True).click()
    await expect(page.locator(".hunt-one .state.queued")).to_be_visible()
    await expect(page.locator(".hunt-one progress")).to_be_visible()
    await visit.picture(f"history-waits-{visit.language}")
    await asyncio.create_task(searched(centre))
    await expect(page.locator(".hunt-one .state.done")).to_be_visible()
    table = page.locator(".hunt-one table").first
    await expect(table).to_contain_text("서구청" if korean else "Seogu District")
    await expect(table.locator("tr", has_text="120")).to_be_visible()
    await expect(table.locator("tr", has_text="7")).not_to_have_count(0)
    await expect(page.locator(".hunt-hours canvas")).to_be_visible()
    await expect(page.locator(".hunt-one tr.opens")).to_have_count(50)
    await expect(page.locator(".panel").last.locator("tr.opens")).to_contain_text("Refused SSH")
    assert await visit.barriers() == []
    await visit.picture(f"history-done-{visit.language}")
    await page.locator(".hunt-one tr.opens a").first.click()
    await expect(page.locator("#event-raw")).to_have_text(RAW)
    await expect(page.locator("#event-panel")).to_contain_text("헌팅에서 발견" if korean else "found by a hunt")


@ONE
async def test_a_hunt_is_cancelled_and_roles_are_told(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await fill(centre)
    await visit.open("/hunt/history")
    await page.locator("textarea").fill("title: nonsense")
    await page.get_by_role("button", name="실행", exact=True).click()
    await expect(page.locator(".q-notification")).to_contain_text("받을 수 없습니다")
    await page.locator(".q-notification button").click()
    await page.locator("textarea").fill(RULE)
    await page.get_by_role("button", name="실행", exact=True).click()
    await page.get_by_role("button", name="헌팅 취소").click()
    await expect(page.locator(".hunt-one .state.cancelled")).to_be_visible()
    await page.click("form[action='/logout'] button")
    await visit.open("/hunt", "auditor")
    await expect(page.locator(".empty b")).to_have_text("이 역할은 원시 로그를 볼 수 없습니다.")
    await page.click("form[action='/logout'] button")
    await visit.open("/hunt", "officer")
    await expect(said(visit)).to_contain_text("120")


@ONE
async def test_a_hunt_asked_for_at_once_can_be_cancelled_while_answers_are_slow(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    page, at_once = visit.page, Api.get

    async def slowly(api: Api, path: str, **query: Any) -> Answer:
        if path.startswith(("/v1/rules", "/v1/hunts/")):
            await asyncio.sleep(1.5)
        return await at_once(api, path, **query)

    monkeypatch.setattr(Api, "get", slowly)
    await visit.open("/hunt/history")
    await page.locator("textarea").fill(RULE)
    await page.get_by_role("button", name="실행", exact=True).click()  # before the rules in force are there to be chosen
    await page.get_by_role("button", name="헌팅 취소").click()
    await expect(page.locator(".hunt-one .state.cancelled")).to_be_visible()


@ONE
async def test_a_hunt_that_is_not_there_is_told_once(visit: Visit) -> None:
    page = visit.page
    await visit.open("/hunt/history?hunt=000000000000")
    await expect(page.locator(".q-notification")).to_contain_text("없는 탐색입니다.")
    await asyncio.sleep(5)  # the page looks again every two seconds
    await expect(page.locator(".q-notification")).to_have_count(1)
    await expect(page.locator(".q-notification__badge")).to_have_count(0)
    await expect(page.locator(".hunt-one")).to_be_hidden()


@BOTH
async def test_on_a_phone(visit: Visit) -> None:
    page, centre = visit.page, visit.centre
    await page.set_viewport_size(PHONE)
    await fill(centre)
    await visit.open("/hunt?q=dst_port:22")
    await expect(said(visit)).to_contain_text("120")
    assert await visit.too_wide() == 0
    await expect(page.locator(".hunt-fields details")).not_to_have_attribute("open", "")
    await visit.picture(f"hunt-phone-{visit.language}")
    await page.locator(".hunt-grid .ag-cell").first.click()
    await expect(page.locator("#event-raw")).to_have_text(RAW)
    assert await visit.too_wide() == 0
    assert await visit.barriers() == []
    await visit.picture(f"hunt-phone-event-{visit.language}")
    await page.goto(f"{visit.url}/hunt/history")
    await expect(page.locator("textarea")).to_be_visible()
    assert await visit.too_wide() == 0
    await visit.picture(f"history-phone-{visit.language}")
