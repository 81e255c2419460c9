"""Rules, tunings and silences over the API, each caller within its scope."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from core.errors import RuleError
from detect import published, rules
from detect.published import Snapshot
from respond.models import Audit
from tests.detections import Finding
from tests.servers.api import FIRST_SEEN, NOT_THERE, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
TELNET = "00000000-0000-4000-8000-000000000001"
SQLMAP = "00000000-0000-4000-8000-000000000002"
MANY = "00000000-0000-4000-8000-000000000003"
RULES = f"""title: Telnet allowed
id: {TELNET}
name: telnet
description: It should not be.
level: high
tags: [attack.initial-access, attack.t1133]
logsource: {{category: firewall}}
detection: {{s: {{disposition: allow, dst_port: 23}}, condition: s}}
custom: {{title_ko: 텔넷 허용, suppress: {{by: [src_ip], for: 1h}}}}
---
title: A scanner of web pages
id: {SQLMAP}
level: low
tags: [attack.reconnaissance, attack.t1595.002]
logsource: {{category: web}}
detection: {{a: {{user_agent|contains: sqlmap}}, b: {{url|contains: union}}, condition: a or b}}
---
title: Many telnets
id: {MANY}
level: critical
correlation: {{type: event_count, rules: [telnet], group-by: [src_ip], timespan: 1h, condition: {{gte: 10}}}}
"""


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        book = rules.parse(RULES, "/rules/own.yml")
        assert not book.set_aside
        with made.centre.database.session() as session:
            published.publish(session, "host-1", Snapshot(book.rules, book.correlations, [RuleError("/rules/bad.yml", "it has no id", 7)]))
        yield made


def finding(offset: int, agency: str, src: str = "192.0.2.7", minute: float = 0) -> Finding:
    return Finding(offset, minute, src=src, more=(("agency", agency), ("rule_id", TELNET), ("rule_title", "Telnet allowed")))


def audited(centre: TestCentre) -> list[tuple[str, str, str]]:
    with centre.centre.database.session(readonly=True) as session:
        found = session.execute(sa.select(Audit.actor, Audit.action, Audit.object).order_by(Audit.seq))
        return [(actor, action, named) for actor, action, named in found if action.startswith(("silence", "rule"))]


async def incidents(centre: TestCentre) -> list[dict[str, Any]]:
    async with centre.as_person("analyst") as analyst:
        return list((await analyst.get("/v1/incidents")).json()["items"])


# ---- rules ----


async def test_what_a_warning_does_to_a_rule_is_told_with_its_reason(centre: TestCentre) -> None:
    national = {"issuer": "NCSC", "reference": "1", "level": "caution", "title": "t", "starts_at": "2026-05-01T03:00:00Z"}
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:

        async def effects(client: Any, rule_id: str) -> list[tuple[str, str, bool, float, str]]:
            found = (await client.get(f"/v1/rules/{rule_id}")).json()["effects"]
            return [(one["agency"], one["source"], one["runs"], one["factor"], one["reason"]) for one in found]

        assert await effects(lead, MANY) == []
        assert (await lead.post("/v1/warnings", json=national | {"agencies": ["parks"]})).status_code == 201
        told = ("parks", "warning/WRN-2026-000001", True, 0.75, "caution, WRN-2026-000001: thresholds times 0.75")
        assert await effects(lead, MANY) == [told]
        assert await effects(officer, MANY) == [], "what holds elsewhere is not its business"
        assert await effects(lead, TELNET) == [], "one event has no threshold"
        await lead.post("/v1/warnings", json=national | {"reference": "2", "level": "alert"})
        assert (await effects(officer, MANY))[0][:4] == ("", "warning/WRN-2026-000002", True, 0.5)


async def test_the_rules_in_force_are_listed_with_their_version_and_what_is_set_aside(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        page = (await officer.get("/v1/rules")).json()
        assert (page["rules"], len(page["version"]), page["next_cursor"]) == (3, 16, "")
        assert [one["rule_id"] for one in page["items"]] == [TELNET, SQLMAP, MANY]
        telnet = page["items"][0]
        assert (telnet["kind"], telnet["level"], telnet["file"], telnet["line"]) == ("rule", "high", "/rules/own.yml", 1)
        assert telnet["words"] == {"title_ko": "텔넷 허용"}
        assert telnet["suppress"] == {"by": ["src_ip"], "for": "3600s"}
        assert len(telnet["hash"]) == 16
        assert page["set_aside"] == [{"file": "/rules/bad.yml", "line": 7, "reason": "it has no id"}]
        assert [(one["name"], one["alive"]) for one in page["processes"]] == [("host-1", True)]
        first = (await officer.get("/v1/rules", params={"limit": 2})).json()
        rest = (await officer.get("/v1/rules", params={"limit": 2, "cursor": first["next_cursor"]})).json()
        assert [one["rule_id"] for one in (*first["items"], *rest["items"])] == [TELNET, SQLMAP, MANY]
        assert [one["rule_id"] for one in (await officer.get("/v1/rules", params={"q": "SCANNER"})).json()["items"]] == [SQLMAP]
        assert [one["rule_id"] for one in (await officer.get("/v1/rules", params={"level": "critical"})).json()["items"]] == [MANY]


async def test_before_anything_detects_there_are_no_rules(tmp_path: Path) -> None:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made, made.as_person("analyst") as analyst:
        page = (await analyst.get("/v1/rules")).json()
        assert (page["version"], page["items"], page["processes"]) == ("", [], [])
        assert (await analyst.get(f"/v1/rules/{TELNET}")).status_code == 404
        assert (await analyst.get("/v1/rules/coverage")).json()["techniques"] == []


async def test_who_does_not_read_rules_is_refused(centre: TestCentre) -> None:
    for name in ("mayor", "privacy", "admin"):
        async with centre.as_person(name) as person:
            for path in ("/v1/rules", f"/v1/rules/{TELNET}", "/v1/rules/coverage", "/v1/rules/tunings", "/v1/silences"):
                assert (await person.get(path)).status_code == 403, (name, path)


async def close(centre: TestCentre, number: str, end: str) -> None:
    async with centre.as_person("lead") as lead:
        for version, action in enumerate(("triage", end), 1):
            answer = await lead.post(f"/v1/incidents/{number}/{action}", json={"reason": "looked at"}, headers={"If-Match": f'"{version}"'})
            assert answer.status_code == 200, answer.text


async def test_a_rule_tells_how_it_did_and_what_to_silence(centre: TestCentre) -> None:
    await centre.put_detections([finding(1, "seogu"), finding(2, "seogu", "192.0.2.8"), finding(3, "seogu", minute=200)])
    await centre.put_detections([finding(4, "parks", "192.0.2.9"), finding(5, "seogu", "192.0.2.10")])
    numbers = {(one["entity_value"], one["first_event_at"]): one["number"] for one in await incidents(centre)}
    for (value, _), number in numbers.items():
        await close(centre, number, {"192.0.2.7": "dismiss", "192.0.2.9": "dismiss"}.get(value, "confirm"))
    async with centre.as_person("analyst") as analyst:
        told = (await analyst.get(f"/v1/rules/{TELNET}")).json()
    by_agency = {one["agency"]: one for one in told["agencies"]}
    seogu = by_agency["seogu"]
    assert (seogu["detections"], seogu["incidents"], seogu["false_positives"], seogu["true_positives"], seogu["precision"]) == (
        4,
        4,
        2,
        2,
        0.5,
    )
    assert (by_agency["parks"]["false_positives"], by_agency["parks"]["precision"]) == (1, 0.0)
    body = told["suggested_silence"]
    assert (body["rule_id"], body["agency"], body["match"]) == (TELNET, "seogu", {"src_ip": "192.0.2.7"})
    async with centre.as_person("analyst") as analyst:
        made = await analyst.post("/v1/silences", json=body)
    assert made.status_code == 201, made.text
    await centre.put_detections([finding(9, "seogu", minute=300)])
    assert len(await incidents(centre)) == len(numbers)


async def test_an_officer_sees_how_a_rule_did_at_the_own_agency_alone(centre: TestCentre) -> None:
    await centre.put_detections([finding(1, "seogu"), finding(2, "parks", "192.0.2.9")])
    for one in await incidents(centre):
        if one["agency"] == "parks":
            await close(centre, one["number"], "dismiss")
    async with centre.as_person("officer") as officer:
        told = (await officer.get(f"/v1/rules/{TELNET}")).json()
    assert [one["agency"] for one in told["agencies"]] == ["seogu"]
    assert told["suggested_silence"] is None


async def test_figures_are_of_the_last_thirty_days(centre: TestCentre) -> None:
    await centre.put_detections([finding(1, "seogu")])
    centre.clock.advance(timedelta(days=31))
    async with centre.as_person("analyst") as analyst:
        assert (await analyst.get(f"/v1/rules/{TELNET}")).json()["agencies"] == []


# ---- coverage ----


async def test_coverage_says_which_rules_can_fire_where_and_why_not(centre: TestCentre) -> None:
    at = NOW - timedelta(minutes=5)
    await centre.put_events("seogu", at, 2, log_class="firewall", vendor="secui", dst_port=23, disposition="allow", src_ip="192.0.2.1")
    await centre.put_events("parks", at, 2, log_class="firewall", vendor="secui", disposition="allow")
    await centre.put_events("parks", at, 1, log_class="web", url="/a")
    async with centre.as_person("analyst") as analyst:
        told = (await analyst.get("/v1/rules/coverage")).json()
    assert {(one["tactic"], one["technique"]): one["levels"] for one in told["techniques"]} == {
        ("", ""): {"critical": 1},
        ("initial-access", "T1133"): {"high": 1},
        ("reconnaissance", "T1595.002"): {"low": 1},
    }
    agencies = {one["agency"]: one for one in told["agencies"]}
    assert agencies["seogu"]["can"] == [TELNET, MANY]
    assert agencies["seogu"]["techniques"] == ["T1133"]
    assert agencies["seogu"]["cannot"] == [{"because": "no source of the class web", "rules": [SQLMAP]}]
    assert agencies["parks"]["can"] == [SQLMAP], "one of its two columns is filled"
    assert agencies["parks"]["cannot"] == [
        {"because": "its rule 'Telnet allowed': never filled: dst_port, src_ip", "rules": [MANY]},
        {"because": "never filled: dst_port", "rules": [TELNET]},
    ]
    async with centre.as_person("officer") as officer:
        own = (await officer.get("/v1/rules/coverage")).json()
    assert [one["agency"] for one in own["agencies"]] == ["seogu"]


# ---- tunings ----


async def test_a_rule_is_changed_at_an_agency_and_back(centre: TestCentre) -> None:
    wish = {"enabled": True, "level": "low", "suppress": {"by": ["dst_port"], "for": "10m"}, "reason": "The scanner of the district"}
    async with centre.as_person("analyst") as analyst:
        made = await analyst.put(f"/v1/rules/{TELNET}/tunings/seogu", json=wish, headers=NOT_THERE)
        assert made.status_code == 200, made.text
        assert made.json()["owner"] == "analyst"
        assert made.json()["suppress"] == {"by": ["dst_port"], "for": "600s"}
        every = await analyst.put(f"/v1/rules/{MANY}/tunings/_all", json={"condition": {"gte": 50}, "reason": "noise"}, headers=NOT_THERE)
        assert (every.json()["agency"], every.json()["condition"]) == ("", {"gte": 50})
        listed = (await analyst.get("/v1/rules/tunings")).json()["items"]
        assert [(one["rule_id"], one["agency"]) for one in listed] == [(TELNET, "seogu"), (MANY, "")]
        assert (await analyst.get(f"/v1/rules/{TELNET}")).json()["tunings"][0]["level"] == "low"
        assert (await analyst.delete(f"/v1/rules/{TELNET}/tunings/seogu", headers=FIRST_SEEN)).status_code == 204
        assert (await analyst.delete(f"/v1/rules/{TELNET}/tunings/seogu", headers=FIRST_SEEN)).status_code == 404
        assert (await analyst.delete(f"/v1/rules/{MANY}/tunings/_all", headers=FIRST_SEEN)).status_code == 204
    assert audited(centre) == [
        ("user:analyst", "rule.tuned", f"rule/{TELNET}"),
        ("user:analyst", "rule.tuned", f"rule/{MANY}"),
        ("user:analyst", "rule.tuning_dropped", f"rule/{TELNET}"),
        ("user:analyst", "rule.tuning_dropped", f"rule/{MANY}"),
    ]


@pytest.mark.parametrize(
    ("rule", "agency", "wish", "status", "why"),
    [
        (TELNET, "nowhere", {"reason": "x"}, 422, "no agency"),
        ("none", "seogu", {"reason": "x"}, 404, "no rule none runs"),
        (TELNET, "seogu", {"reason": " "}, 422, "reason"),
        (TELNET, "seogu", {"reason": "x", "level": "huge"}, 422, "a level is one of"),
        (TELNET, "seogu", {"reason": "x", "condition": {"gte": 5}}, 422, "only a correlation"),
        (MANY, "seogu", {"reason": "x", "condition": {"above": 5}}, 422, "one or more of lt"),
        (TELNET, "seogu", {"reason": "x", "suppress": {"by": ["colour"], "for": "1h"}}, 422, "colour"),
        (TELNET, "seogu", {"reason": "x", "suppress": {"by": ["src_ip"], "for": "forever"}}, 422, "forever"),
        (TELNET, "seogu", {"reason": "x", "colour": "red"}, 422, "colour"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(
    centre: TestCentre, rule: str, agency: str, wish: dict[str, Any], status: int, why: str
) -> None:
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.put(f"/v1/rules/{rule}/tunings/{agency}", json=wish, headers=NOT_THERE)
    assert answer.status_code == status, answer.text
    assert why in answer.json()["detail"]


async def test_a_correlation_with_a_boolean_condition_has_no_thresholds_to_change(centre: TestCentre) -> None:
    both = "00000000-0000-4000-8000-000000000099"
    condition = "type: temporal, rules: [telnet, many], timespan: 1h, condition: telnet and not many"
    text = RULES.replace("title: Many telnets\n", "title: Many telnets\nname: many\n")
    book = rules.parse(f"{text}---\ntitle: Few telnets\nid: {both}\ncorrelation: {{{condition}}}\n", "/rules/own.yml")
    assert not book.set_aside
    with centre.centre.database.session() as session:
        published.publish(session, "host-1", Snapshot(book.rules, book.correlations, []))
    async with centre.as_person("analyst") as analyst:
        refused = await analyst.put(f"/v1/rules/{both}/tunings/seogu", json={"reason": "x", "condition": {"gte": 5}}, headers=NOT_THERE)
        assert (refused.status_code, "no thresholds" in refused.json()["detail"]) == (422, True), refused.text
        assert (
            await analyst.put(f"/v1/rules/{both}/tunings/seogu", json={"reason": "x", "enabled": False}, headers=NOT_THERE)
        ).status_code == 200


async def test_an_officer_sees_changes_at_the_own_agency_and_changes_nothing(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        for agency in ("seogu", "parks", "_all"):
            await analyst.put(f"/v1/rules/{TELNET}/tunings/{agency}", json={"enabled": False, "reason": "x"}, headers=NOT_THERE)
    async with centre.as_person("officer") as officer:
        assert [one["agency"] for one in (await officer.get("/v1/rules/tunings")).json()["items"]] == ["", "seogu"]
        assert [one["agency"] for one in (await officer.get(f"/v1/rules/{TELNET}")).json()["tunings"]] == ["", "seogu"]
        assert (await officer.put(f"/v1/rules/{TELNET}/tunings/seogu", json={"reason": "x"}, headers=NOT_THERE)).status_code == 403
        assert (await officer.delete(f"/v1/rules/{TELNET}/tunings/seogu", headers=FIRST_SEEN)).status_code == 403


# ---- silences ----


def body(**more: Any) -> dict[str, Any]:
    until = (NOW + timedelta(days=7)).isoformat()
    return {"rule_id": TELNET, "agency": "seogu", "match": {"src_ip": "192.0.2.0/24"}, "reason": "A scan", "expires_at": until} | more


async def test_a_silence_is_made_counted_ended_and_kept(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        made = await analyst.post("/v1/silences", json=body(owner="Kim"))
        assert made.status_code == 201, made.text
        number = made.json()["id"]
        await centre.put_detections([finding(1, "seogu"), finding(2, "parks")])
        assert [one["agency"] for one in await incidents(centre)] == ["parks"]
        (told,) = (await analyst.get("/v1/silences", params={"rule_id": TELNET})).json()["items"]
        assert (told["detections"], told["owner"], told["created_by"], told["active"]) == (1, "Kim", "user:analyst", True)
        fired = {one["agency"]: one["detections"] for one in (await analyst.get(f"/v1/rules/{TELNET}")).json()["agencies"]}
        assert fired == {"parks": 1, "seogu": 1}, "what is silenced is stored all the same"
        assert (await analyst.delete(f"/v1/silences/{number}", headers=FIRST_SEEN)).status_code == 204
        assert (await analyst.get("/v1/silences")).json()["items"] == []
        ended = (await analyst.get("/v1/silences", params={"state": "ended"})).json()["items"]
        assert [(one["id"], one["ended_by"]) for one in ended] == [(number, "user:analyst")]
        assert (await analyst.get(f"/v1/silences/{number}")).json()["active"] is False
        assert (await analyst.get("/v1/silences/999")).status_code == 404
    assert audited(centre) == [
        ("user:analyst", "silence.made", f"silence/{number}"),
        ("user:analyst", "silence.ended", f"silence/{number}"),
    ]


async def test_silences_come_in_pages(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        numbers = [(await analyst.post("/v1/silences", json=body())).json()["id"] for _ in range(3)]
        first = (await analyst.get("/v1/silences", params={"limit": 2})).json()
        rest = (await analyst.get("/v1/silences", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [one["id"] for one in (*first["items"], *rest["items"])] == numbers[::-1]
    assert rest["next_cursor"] == ""


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"expires_at": (NOW + timedelta(days=91)).isoformat()}, "90 days"),
        ({"expires_at": "2026-05-02T00:00:00"}, "timezone"),
        ({"agency": "nowhere"}, "no agency"),
        ({"rule_id": "", "agency": "", "match": {}}, "everything"),
        ({"match": {"src_ip": "anything"}}, "neither an address"),
        ({"reason": ""}, "at least 1"),
    ],
)
async def test_a_silence_that_makes_no_sense_is_refused(centre: TestCentre, wanted: dict[str, Any], why: str) -> None:
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.post("/v1/silences", json=body(**wanted))
    assert answer.status_code == 422, answer.text
    assert why in answer.json()["detail"]


async def test_an_officer_reads_the_silences_of_the_own_agency_and_makes_none(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        own, other, city = [
            (await analyst.post("/v1/silences", json=body(agency=agency))).json()["id"] for agency in ("seogu", "parks", "")
        ]
    async with centre.as_person("officer") as officer:
        assert [one["id"] for one in (await officer.get("/v1/silences")).json()["items"]] == [own]
        assert (await officer.get(f"/v1/silences/{own}")).status_code == 200
        for hidden in (other, city):
            assert (await officer.get(f"/v1/silences/{hidden}")).status_code == 404
        assert (await officer.post("/v1/silences", json=body())).status_code == 403
        assert (await officer.delete(f"/v1/silences/{own}", headers=FIRST_SEEN)).status_code == 403


# ---- figures, source, history ----


async def test_how_often_each_rule_fires_and_is_right(centre: TestCentre) -> None:
    await centre.put_detections([finding(1, "seogu"), finding(2, "seogu", "192.0.2.8"), finding(3, "parks", "192.0.2.9")])
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        for number, action in ((1, "triage"), (1, "dismiss")):
            name = f"/v1/incidents/INC-2026-{number:06d}"
            etag = (await analyst.get(name)).headers["etag"]
            answer = await analyst.post(f"{name}/{action}", json={"reason": "a scan of ours"}, headers={"If-Match": etag})
            assert answer.status_code == 200, answer.text
        (telnet,) = (await analyst.get("/v1/rules/figures")).json()["items"]
        (own,) = (await officer.get("/v1/rules/figures")).json()["items"]
        by_day = (await analyst.get(f"/v1/rules/{TELNET}/hits", params={"days": 7})).json()["items"]
    assert (telnet["rule_id"], telnet["day"], telnet["week"], telnet["incidents"]) == (TELNET, 3, 3, 3)
    assert (telnet["false_positives"], telnet["true_positives"], telnet["precision"]) == (1, 0, 0.0)
    assert (own["day"], own["incidents"]) == (2, 2)
    assert [one["detections"] for one in by_day] == [0, 0, 0, 0, 0, 0, 3]
    assert by_day[-1]["at"] == "2026-04-30T15:00:00Z", "midnight of Seoul"


async def test_what_a_rule_says_and_becomes(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        telnet = (await officer.get(f"/v1/rules/{TELNET}/source")).json()
        many = (await officer.get(f"/v1/rules/{MANY}/source")).json()
        missing = await officer.get("/v1/rules/nobody/source")
    (again,) = rules.parse(telnet["yaml"], "again").rules
    (before,) = [one for one in rules.parse(RULES, "before").rules if one.id == TELNET]
    assert (again.tree, again.level, again.tags) == (before.tree, before.level, before.tags)
    assert telnet["yaml"].startswith("title: Telnet allowed\nid: ")
    assert (telnet["classes"], telnet["columns"]) == (["firewall"], ["disposition", "dst_port"])
    assert "`dst_port` = 23" in telnet["condition"]
    assert (many["condition"], "event_count" in many["yaml"]) == ("", True)
    assert missing.status_code == 404


async def test_the_history_has_versions_and_tunings_within_scope(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        for agency in ("seogu", "parks"):
            answer = await lead.put(
                f"/v1/rules/{TELNET}/tunings/{agency}", json={"level": "low", "reason": f"because of {agency}"}, headers=NOT_THERE
            )
            assert answer.status_code == 200, answer.text
        await lead.delete(f"/v1/rules/{TELNET}/tunings/parks", headers=FIRST_SEEN)
        every = (await lead.get(f"/v1/rules/{TELNET}/history")).json()["items"]
        own = (await officer.get(f"/v1/rules/{TELNET}/history")).json()["items"]
    assert sorted((one["kind"], one["agency"]) for one in every) == [
        ("rule.tuned", "parks"),
        ("rule.tuned", "seogu"),
        ("rule.tuning_dropped", "parks"),
        ("version", ""),
    ]
    assert sorted((one["kind"], one["reason"]) for one in own) == [("rule.tuned", "because of seogu"), ("version", "")]
    assert "Telnet allowed" in next(one for one in every if one["kind"] == "version")["data"]["yaml"]


async def test_the_parsers_are_listed(centre: TestCentre) -> None:
    async with centre.as_person("admin") as admin:
        names = {one["name"]: one for one in (await admin.get("/v1/parsers")).json()["items"]}
    assert names["fortigate"]["vendor"] == "Fortinet"
