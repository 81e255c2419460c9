"""Drafts of rules over the API: what is wrong with a text and where, lines it is tried on, and a second person's approval."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import FixedClock
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
ONE = "00000000-0000-4000-8000-000000000001"
RULE = f"""title: Telnet let through
id: {ONE}
logsource: {{category: firewall}}
detection:
  telnet:
    disposition: allow
    dst_port: 23
  inside:
    src_ip|cidr: 10.0.0.0/8
  condition: telnet and not inside
level: low
"""
LINE = (
    'date=2026-03-02 time=10:15:00 devname="fw-01" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" subtype="forward" '
    'vd="root" srcip={} srcport=40000 dstip=198.51.100.7 dstport={} proto=6 action="accept" policyid=1'
)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def tried(client: httpx.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    answer = await client.post("/v1/rule-drafts/check", json={"text": text, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def step(client: httpx.AsyncClient, number: str, action: str, **body: Any) -> httpx.Response:
    etag = (await client.get(f"/v1/rule-drafts/{number}")).headers["etag"]
    return await client.post(f"/v1/rule-drafts/{number}/{action}", json=body, headers={"If-Match": etag})


async def in_force(centre: TestCentre) -> list[str]:
    """The files of the loaded rules with the id of RULE."""
    return [rule.file for rule in centre.centre.rules.current().rules if rule.id == ONE]


@pytest.mark.parametrize(
    ("before", "after", "line", "column", "says"),
    [
        ("level: low", "level: huge", 11, 8, "'huge' is not a valid Sigma rule level"),
        ("and not inside", "and not outside", 10, 14, "outside"),
        ("src_ip|cidr", "src_ip|near", 9, 5, "'near'"),
        ("10.0.0.0/8", "10.0.0.0/99", 9, 18, "10.0.0.0/99"),
        ("category: firewall", "category: abacus", 3, 23, "abacus"),
        ("    dst_port: 23\n", "    dst_port: [23\n", 8, 9, "not YAML"),
        (f"id: {ONE}\n", "", 1, 1, "it has no id"),
        ("    disposition: allow\n    dst_port: 23", "    colour: red", 6, 5, "colour"),
    ],
)
async def test_an_error_is_told_with_its_place(centre: TestCentre, before: str, after: str, line: int, column: int, says: str) -> None:
    assert before in RULE
    async with centre.as_person("analyst") as analyst:
        found = await tried(analyst, RULE.replace(before, after))
    wrong = [one for one in found["problems"] if one["error"]]
    assert not found["valid"]
    assert [(one["line"], one["column"]) for one in wrong] == [(line, column)], wrong
    assert says in wrong[0]["reason"]


async def test_lines_are_read_by_the_parsers_and_the_parts_that_held_are_told(centre: TestCentre) -> None:
    lines = [LINE.format("192.0.2.7", 23), LINE.format("10.1.1.1", 23), LINE.format("192.0.2.7", 443), "no log of any kind"]
    async with centre.as_person("analyst") as analyst:
        found = await tried(analyst, RULE, lines=lines)
        named = await tried(analyst, RULE, lines=lines[:1], parser="panos")
        missing = await analyst.post("/v1/rule-drafts/check", json={"text": RULE, "lines": ["x"], "parser": "nonsense"})
    assert found["valid"]
    assert [one["matches"] for one in found["lines"]] == [[ONE], [], [], []]
    assert [one["parser"] for one in found["lines"]] == ["fortigate", "fortigate", "fortigate", ""]
    assert found["lines"][3]["refused"].startswith("no_parser")
    assert found["lines"][0]["event"]["dst_port"] == 23
    whole = found["lines"][1]["rules"][ONE]
    telnet, other = sorted(whole["parts"][1]["parts"], key=lambda part: str(part["name"] != "telnet"))
    assert (telnet["name"], telnet["holds"]) == ("telnet", True)
    assert (other["what"], other["holds"], other["parts"][0]["name"], other["parts"][0]["holds"]) == ("not", False, "inside", True)
    assert found["lines"][2]["rules"][ONE]["holds"] is False
    (rule,) = found["rules"]
    assert (rule["kind"], rule["classes"], rule["replaces"]) == ("rule", ["firewall"], "")
    assert "dst_port" in rule["condition"]
    assert named["lines"][0]["refused"].startswith("no_parser"), "the named parser does not know the line"
    assert missing.status_code == 404


async def test_a_correlation_is_tried_over_all_lines(centre: TestCentre) -> None:
    text = RULE + (
        "---\ntitle: Telnet again and again\nid: 00000000-0000-4000-8000-000000000002\nlevel: high\n"
        f"correlation:\n  type: event_count\n  rules: [{ONE}]\n  group-by: [src_ip]\n  timespan: 1h\n  condition: {{gte: 2}}\n"
    )
    async with centre.as_person("analyst") as analyst:
        found = await tried(analyst, text, lines=[LINE.format("192.0.2.7", 23)] * 2 + [LINE.format("192.0.2.8", 23)], agency="seogu")
        alone = await tried(analyst, text.replace(f"[{ONE}]", "[nobody]"))
    assert found["valid"], found["problems"]
    assert [one["kind"] for one in found["rules"]] == ["correlation", "rule"]
    assert [group["src_ip"] for group in found["fired"]["00000000-0000-4000-8000-000000000002"]] == ["192.0.2.7"]
    assert [(one["line"], one["error"]) for one in alone["problems"] if one["error"]] == [(18, True)]


async def test_where_it_can_fire_is_told_by_what_agencies_sent(centre: TestCentre) -> None:
    filled = {"log_class": "firewall", "vendor": "Fortinet", "product": "FortiGate", "disposition": "allow", "dst_port": 23}
    await centre.put_events("seogu", NOW - timedelta(minutes=10), 2, **filled)
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        found = await tried(analyst, RULE, coverage=True)
        own = await tried(officer, RULE, coverage=True)
    assert [(one["agency"], one["can"]) for one in found["agencies"]] == [("parks", False), ("seogu", True)]
    assert found["agencies"][0]["because"] == "no source of the class firewall"
    assert [one["agency"] for one in own["agencies"]] == ["seogu"]


async def test_a_second_person_approves_and_the_rule_is_in_force_until_it_is_retired(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        made = await analyst.post("/v1/rule-drafts", json={"text": RULE.replace("level: low", "level: huge"), "origin": "hunt/7"})
        assert made.status_code == 201, made.text
        number = made.json()["number"]
        assert (made.json()["title"], made.json()["state"], made.headers["etag"]) == ("Telnet let through", "draft", '"1"')
        refused = await step(analyst, number, "submit")
        assert refused.status_code == 422
        assert "line 11, column 8" in refused.json()["detail"]
        assert (await step(analyst, number, "edit", text=RULE)).status_code == 200
        assert (await analyst.post(f"/v1/rule-drafts/{number}/edit", json={"text": RULE})).status_code == 428
        stale = await analyst.post(f"/v1/rule-drafts/{number}/edit", json={"text": RULE}, headers={"If-Match": '"1"'})
        assert stale.status_code == 412
        assert (await step(analyst, number, "submit", reason="seen twice this week")).status_code == 200
        assert (await analyst.post(f"/v1/rule-drafts/{number}/approve", json={}, headers={"If-Match": '"3"'})).status_code == 403
        assert await in_force(centre) == []
        approved = await step(lead, number, "approve")
        assert (approved.status_code, approved.json()["state"], approved.json()["approved_by"]) == (200, "in_force", "user:lead")
        assert await in_force(centre) == [f"approved/{number}"]

        shown = (await analyst.get(f"/v1/rule-drafts/{number}")).json()
        assert [one["action"] for one in shown["progress"]["history"]] == ["open", "edit", "submit", "approve"]
        assert (shown["rule_ids"], shown["file"]) == ([ONE], f"approved/{number}")
        said = (await analyst.get(f"/v1/rule-drafts/{number}/texts")).json()["items"]
        assert [(one["version"], "huge" in one["text"]) for one in said] == [
            (1, True),
            (2, False),
        ]
        assert [one["number"] for one in (await lead.get("/v1/rule-drafts", params={"rule_id": ONE})).json()["items"]] == [number]
        assert (await officer.get(f"/v1/rule-drafts/{number}")).status_code == 404, "drafts are the centre's own"

        assert (await step(lead, number, "retire", reason="it was a test")).status_code == 200
        assert await in_force(centre) == []


async def test_nobody_approves_what_he_wrote_or_changed(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        number = (await analyst.post("/v1/rule-drafts", json={"text": RULE})).json()["number"]
        await step(lead, number, "edit", text=RULE.replace("level: low", "level: high"))
        await step(analyst, number, "submit")
        assert "approve" not in (await lead.get(f"/v1/rule-drafts/{number}")).json()["progress"]["steps"]
        refused = await step(lead, number, "approve")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert await in_force(centre) == []
        declined = await step(lead, number, "decline", reason="too loud")
        assert declined.json()["state"] == "declined"


async def test_a_new_version_retires_the_one_before_and_takes_the_place_of_a_files_rule(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "telnet.yml").write_text(RULE, encoding="utf-8")
    settings = settings_for(tmp_path, detect={"own_rules": False, "rule_folders": [str(folder)]})
    async with (
        running_centre(settings, FixedClock(NOW)) as centre,
        centre.as_person("analyst") as analyst,
        centre.as_person("lead") as lead,
    ):

        async def approved(text: str) -> str:
            number = str((await analyst.post("/v1/rule-drafts", json={"text": text})).json()["number"])
            await step(analyst, number, "submit")
            answer = await step(lead, number, "approve")
            assert answer.status_code == 200, answer.text
            return number

        (becomes,) = (await tried(analyst, RULE))["rules"]
        assert becomes["replaces"] == str(folder / "telnet.yml")
        first = await approved(RULE.replace("level: low", "level: high"))
        assert [(rule.file, rule.level) for rule in centre.centre.rules.current().rules] == [(f"approved/{first}", "high")]
        second = await approved(RULE.replace("level: low", "level: critical"))
        assert [(rule.file, rule.level) for rule in centre.centre.rules.current().rules] == [(f"approved/{second}", "critical")]
        history = (await lead.get(f"/v1/rule-drafts/{first}")).json()
        assert (history["state"], history["progress"]["history"][-1]["reason"]) == ("retired", f"{second} takes its place")
        await step(lead, second, "retire", reason="back to the file's")
        assert [(rule.file, rule.level) for rule in centre.centre.rules.current().rules] == [(str(folder / "telnet.yml"), "low")]


async def test_a_draft_in_force_with_more_rules_is_not_replaced_by_halves(centre: TestCentre) -> None:
    other = "00000000-0000-4000-8000-000000000002"
    both = f"{RULE}---\n{RULE.replace(ONE, other)}"
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        for text, expected in ((both, 200), (RULE, 409)):
            number = (await analyst.post("/v1/rule-drafts", json={"text": text})).json()["number"]
            await step(analyst, number, "submit")
            answer = await step(lead, number, "approve")
            assert answer.status_code == expected, answer.text
        assert other in answer.json()["detail"]
