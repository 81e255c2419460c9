"""The pages of rules in a real browser: the desk on which a rule is written, its approval, the list, and what is changed about a rule."""

from __future__ import annotations

from datetime import timedelta

from playwright.async_api import expect

from core.errors import RuleError
from detect import published, rules
from detect.published import Snapshot
from tests.browser import BOTH, NEEDS_CHROMIUM, NOW, ONE, PHONE, Visit
from tests.detections import Finding

pytestmark = NEEDS_CHROMIUM

TELNET = "00000000-0000-4000-8000-000000000001"
SQLMAP = "00000000-0000-4000-8000-000000000002"
RULES = f"""title: Telnet allowed
id: {TELNET}
description: It should not be.
level: high
tags: [attack.initial-access, attack.t1133]
logsource: {{category: firewall}}
detection: {{s: {{disposition: allow, dst_port: 23}}, condition: s}}
custom: {{title_ko: 텔넷 허용}}
---
title: A scanner of web pages
id: {SQLMAP}
level: low
tags: [attack.reconnaissance, attack.t1595.002]
logsource: {{category: web}}
detection: {{a: {{user_agent|contains: sqlmap}}, b: {{url|contains: union}}, condition: a or b}}
"""
LINE = (
    'date=2026-03-02 time=10:15:00 devname="fw-01" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" subtype="forward" '
    'vd="root" srcip=192.0.2.7 srcport=40000 dstip=198.51.100.7 dstport={} proto=6 action="accept" policyid=1'
)


async def fill(visit: Visit) -> None:
    """Two rules that run and one that does not, hits of one of them, and lines of an agency."""
    centre = visit.centre
    book = rules.parse(RULES, "/rules/own.yml")
    assert not book.set_aside
    with centre.centre.database.session() as session:
        published.publish(session, "host-1", Snapshot(book.rules, (), [RuleError("/rules/bad.yml", "it has no id; give it a new UUID", 7)]))
    found = []
    for number, hours in enumerate((1, 2, 70)):
        at = NOW - timedelta(hours=hours)
        times = dict.fromkeys(("detected_at", "received_at", "event_time"), at)
        about = {"agency": "seogu", "rule_id": TELNET, "rule_title": "Telnet allowed", "rule_level": "high", **times}
        found.append(Finding(number + 1, src=f"192.0.2.{number}", more=tuple(about.items())))
    await centre.put_detections(found)
    filled = {"log_class": "firewall", "vendor": "Fortinet", "product": "FortiGate", "disposition": "allow", "dst_port": 23}
    await centre.put_events("seogu", NOW - timedelta(minutes=10), 2, **filled)


async def decide(visit: Visit, number: int, *actions: str) -> None:
    """Take steps of an incident, as the lead."""
    async with visit.centre.as_person("lead") as lead:
        for version, action in enumerate(actions, 1):
            seen = {"If-Match": f'"{version}"'}
            answer = await lead.post(f"/v1/incidents/INC-2026-{number:06d}/{action}", json={"reason": "looked at it"}, headers=seen)
            assert answer.status_code == 200, answer.text


async def log_in_as(visit: Visit, name: str, path: str) -> None:
    await visit.page.click("form[action='/logout'] button")
    await visit.page.wait_for_selector("#password")
    await visit.open(path, name)


async def write(visit: Visit, text: str) -> None:
    """Put `text` in place of what stands in the editor, as by pasting it."""
    await visit.page.click(".cm-content")
    await visit.page.keyboard.press("Control+a")
    await visit.page.keyboard.insert_text(text)


@BOTH
async def test_a_rule_from_the_desk_to_force(visit: Visit) -> None:
    page, korean = visit.page, visit.korean
    await visit.open("/rules")
    await page.click(".views a[href$=drafts]")
    await expect(page.locator(".empty b")).to_be_visible()
    await page.click(".page-head .main-button")
    await page.wait_for_url("**/rules/drafts/RUL-*")
    number = page.url.rpartition("/")[2]
    await expect(page.locator(".rule-verdict").first).to_have_text("실행할 수 있습니다." if korean else "It can run.")
    await expect(page.locator(".where li")).to_have_count(2)

    wrong = RULES.split("---", maxsplit=1)[0].replace("level: high", "level: huge")
    await write(visit, wrong)
    problem = page.locator(".problems .is-error")
    await expect(problem).to_have_count(1)
    await expect(problem.locator(".where-at")).to_have_text("4행 8열" if korean else "line 4, column 8")
    await expect(page.locator(".cm-line.line-error")).to_have_text("level: huge")
    await visit.picture(f"rules-desk-error-{visit.language}")
    assert await visit.barriers() == []
    await write(visit, wrong.replace("huge", "high"))
    await expect(page.locator(".cm-line.line-error")).to_have_count(0)
    await expect(problem).to_have_count(0)

    await page.fill(".trial textarea", f"{LINE.format(23)}\n{LINE.format(443)}\nno log of any kind")
    await page.click(".trial .main-button")
    tried = page.locator(".tried > li")
    await expect(tried).to_have_count(3, timeout=30_000)  # the first lines open the statements of all parsers
    told = ["일치", "일치하지 않음", "해석 안 됨"] if korean else ["matches", "does not match", "not read"]
    assert await tried.locator("p .rule-verdict").all_text_contents() == told
    await expect(tried.nth(0).locator("mark")).to_have_text("23")
    await expect(tried.nth(1).locator("details[open]")).to_contain_text("dst_port")
    await expect(tried.nth(1).locator(".sign.is-no").last).to_be_visible()
    assert await visit.barriers() == []
    await visit.picture(f"rules-desk-{visit.language}")

    await page.get_by_role("button", name="저장" if korean else "Save", exact=True).click()
    await expect(page.locator("h1")).to_have_text("Telnet allowed")
    await page.get_by_role("button", name="승인 요청" if korean else "Submit for approval").click()
    await expect(page.locator(".draft-head .state")).to_have_text("승인 대기" if korean else "Awaiting approval")
    await expect(page.get_by_role("button", name="승인" if korean else "Approve", exact=True)).to_have_count(0)
    assert all(rule.id != TELNET for rule in visit.centre.centre.rules.current().rules)

    await log_in_as(visit, "lead", f"/rules/drafts/{number}")
    await page.get_by_role("button", name="승인" if korean else "Approve", exact=True).click()
    await expect(page.locator(".draft-head .state")).to_have_text("시행 중" if korean else "In force")
    await expect(page.locator(".history li")).to_have_count(4)
    assert await visit.barriers() == []
    assert [rule.file for rule in visit.centre.centre.rules.current().rules if rule.id == TELNET] == [f"approved/{number}"]
    await page.set_viewport_size(PHONE)
    assert await visit.too_wide() == 0
    await visit.picture(f"rules-desk-phone-{visit.language}")


@BOTH
async def test_the_list_the_matrix_and_where_rules_can_fire(visit: Visit) -> None:
    page, korean = visit.page, visit.korean
    await fill(visit)
    await decide(visit, 1, "triage", "dismiss")
    await decide(visit, 2, "triage", "confirm")
    await visit.open("/rules")
    rows = page.locator(".rules-table tbody tr")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(0)).to_contain_text("텔넷 허용" if korean else "Telnet allowed")
    await expect(rows.nth(0).locator(".cell-day")).to_have_text("2")
    await expect(rows.nth(0).locator(".cell-week")).to_have_text("3")
    await expect(rows.nth(0).locator(".cell-false")).to_have_text("50.0% 1/2")
    await expect(rows.nth(1).locator(".cell-false")).to_have_text("–")
    await expect(page.locator("th[aria-sort=descending]")).to_contain_text("7일" if korean else "7 days")
    await page.get_by_role("button", name="등급" if korean else "Level").click()
    await expect(page.locator("th[aria-sort=descending]")).to_contain_text("등급" if korean else "Level")
    await page.get_by_role("button", name="등급" if korean else "Level").click()
    await expect(rows.nth(2)).to_contain_text("텔넷 허용" if korean else "Telnet allowed")
    assert await visit.barriers() == []
    await visit.picture(f"rules-list-{visit.language}")
    await page.get_by_label("찾기" if korean else "Search", exact=True).fill("식별자" if korean else "no id")
    await expect(rows).to_have_count(1)
    await expect(rows.nth(0)).to_contain_text("규칙에 식별자가 없습니다" if korean else "it has no id")
    await page.get_by_label("찾기" if korean else "Search", exact=True).fill("nothing of the kind")
    await expect(page.locator(".empty:visible b")).to_have_text("조건에 맞는 규칙이 없습니다." if korean else "No rule fits.")

    await page.get_by_role("link", name="ATT&CK").click()
    cell = page.locator(".tactics li", has_text="T1133")
    await expect(cell).to_contain_text("External Remote Services")
    await expect(cell).to_contain_text("탐지 3건" if korean else "3 hits")
    assert await visit.barriers() == []
    await visit.picture(f"rules-attack-{visit.language}")
    await cell.get_by_role("link").click()
    await expect(rows).to_have_count(1)

    await page.get_by_role("link", name="탐지 범위" if korean else "Coverage").click()
    seogu = page.locator(".agency-coverage", has_text="서구청" if korean else "Seogu District")
    await expect(seogu.locator("summary")).to_contain_text("규칙 2개 중 1개 탐지 가능" if korean else "1 of 2 rules can fire")
    await seogu.locator("summary").click()
    await expect(seogu.locator("li")).to_contain_text("다음 부류의 로그 출처가 없습니다: web" if korean else "no source of the class web")
    assert await visit.barriers() == []
    await page.set_viewport_size(PHONE)
    for view in ("list", "attack", "coverage", "drafts", "silences"):
        await page.goto(f"{visit.url}/rules?view={view}")
        await page.wait_for_selector("main.page")
        assert await visit.too_wide() == 0, view


@BOTH
async def test_a_rule_is_tuned_and_silenced_on_its_page(visit: Visit) -> None:
    page, korean = visit.page, visit.korean
    await fill(visit)
    await visit.open(f"/rules/{TELNET}")
    await expect(page.locator("h1")).to_have_text("텔넷 허용" if korean else "Telnet allowed")
    await expect(page.locator("pre.yaml").first).to_contain_text("dst_port: 23")
    await expect(page.locator("pre.yaml.wraps")).to_contain_text("`dst_port` = 23")
    await expect(page.locator(".hits-chart canvas")).to_be_visible()
    await expect(page.locator(".where li")).to_have_count(2)
    await expect(page.locator(".short-list li")).to_have_count(3)
    assert await visit.barriers() == []

    await page.get_by_role("button", name="조정" if korean else "Tune", exact=True).click()
    dialog = page.locator(".dialog:visible")
    await dialog.get_by_label("사유" if korean else "Reason").fill("the scanner of the district")
    await dialog.get_by_role("switch").click()
    assert await visit.barriers() == []
    await dialog.get_by_role("button", name="조정" if korean else "Tune", exact=True).click()
    changed = page.locator(".silence", has_text="the scanner of the district")
    await expect(changed).to_contain_text("꺼짐" if korean else "switched off")
    await changed.get_by_role("button").click()
    await expect(changed).to_have_count(0)

    await page.get_by_role("button", name="침묵" if korean else "Silence", exact=True).click()
    await dialog.get_by_label("값(주소, 네트워크, 문자열)" if korean else "Value (an address, a network, a text)").fill("192.0.2.0/24")
    await dialog.get_by_role("button", name="침묵" if korean else "Silence", exact=True).click()
    refused = page.locator(".q-notification.bg-negative")
    await expect(refused).to_be_visible()  # it needs a reason
    await refused.get_by_role("button").click()
    await dialog.get_by_label("사유" if korean else "Reason").fill("yearly scan")
    await dialog.get_by_role("button", name="침묵" if korean else "Silence", exact=True).click()
    silence = page.locator(".silence", has_text="yearly scan")
    await expect(silence).to_contain_text("src_ip = 192.0.2.0/24")
    await expect(dialog).to_have_count(0)
    assert await visit.barriers() == []
    await visit.picture(f"rule-{visit.language}")
    await page.goto(f"{visit.url}/rules?view=silences")
    await expect(silence).to_be_visible()
    await silence.get_by_role("button").click()
    await expect(silence).to_have_count(0)

    await page.goto(f"{visit.url}/rules/{TELNET}")
    await page.get_by_role("button", name="새 규칙으로 복사" if korean else "Copy as a new rule").click()
    await page.wait_for_url("**/rules/drafts/RUL-*")
    await expect(page.locator(".cm-content")).to_contain_text("derived")
    await page.goto(f"{visit.url}/rules/{TELNET}")
    await page.set_viewport_size(PHONE)
    assert await visit.too_wide() == 0


@ONE
async def test_who_only_reads_rules_finds_no_way_to_change_them(visit: Visit) -> None:
    page = visit.page
    await fill(visit)
    await visit.open(f"/rules/{TELNET}", "auditor")
    await expect(page.locator("h1")).to_have_text("텔넷 허용")
    await expect(page.locator("main.page button")).to_have_count(0)
    await page.goto(f"{visit.url}/rules")
    await expect(page.locator(".main-button")).to_have_count(0)
    await page.goto(f"{visit.url}/rules/nobody")
    await expect(page.locator(".empty b")).to_be_visible()
    await log_in_as(visit, "mayor", "/rules")
    await expect(page.locator(".empty b")).to_have_text("이 역할은 할 수 없는 일입니다.")
    await expect(page.locator("nav.pages a[href='/rules']")).to_have_count(0)
