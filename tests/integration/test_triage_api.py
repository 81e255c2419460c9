"""The list of incidents in its orders, kept views, why rules fired, and the one look at changes for all pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import disclosure
from api.auth.users import disable_user
from api.dashboard.incidents.wanted import Wanted
from api.incident_shapes import Incident
from api.live import Changes
from api.rule_titles import RuleTitles
from core.clock import FixedClock
from core.permissions import Principal, Role, grants_of_roles
from detect import published, rules
from detect.published import Snapshot
from respond.incidents import queries
from respond.incidents.queries import Filters
from respond.incidents.sight import Sight
from tests.detections import Finding
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
LEVELS = ("low", "critical", "high", "medium", "high", "informational", "critical")


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def fill(centre: TestCentre) -> None:
    """Seven incidents a minute apart; the last events run the other way but for one."""
    for n, level in enumerate(LEVELS):
        at = NOW - timedelta(minutes=n if n != 3 else 0)
        values = {"rule_id": f"r{n}", "rule_title": f"Rule {n}", "rule_level": level, "agency": "parks" if n % 2 else "seogu"}
        times = dict.fromkeys(("detected_at", "received_at", "event_time"), at)
        await centre.put_detections([Finding(n, more=(*values.items(), *times.items()))])
        centre.clock.advance(timedelta(minutes=1))


async def walked(client: httpx.AsyncClient, **asked: Any) -> list[str]:
    """The last digits of every incident, page by page of two."""
    found: list[str] = []
    cursor = ""
    while True:
        page = (await client.get("/v1/incidents", params={**asked, "limit": 2, "cursor": cursor})).json()
        found += [one["number"][-1] for one in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            return found


async def test_a_rules_korean_title_is_searched_and_shown(centre: TestCentre) -> None:
    book = rules.parse(
        "title: Rule 3\nid: 00000000-0000-4000-8000-000000000003\nlogsource: {category: firewall}\n"
        "detection: {a: {dst_port: 23}, condition: a}\ncustom: {title_ko: 텔넷 접속}\n",
        "/rules/own.yml",
    )
    with centre.centre.database.session() as session:
        published.publish(session, "host-1", Snapshot(book.rules, book.correlations, []))
    await fill(centre)
    async with centre.as_person("analyst") as analyst:
        assert await walked(analyst, q="텔넷") == ["4"]
        assert await walked(analyst, q="ssh 접속") == []
    titles = RuleTitles(centre.centre.database)
    await titles.look()
    assert (titles.korean("Rule 3"), titles.korean("Rule 4")) == ("텔넷 접속", "")
    assert titles.korean("Log source has fallen silent: fw-1") == "로그 수집원이 침묵함: fw-1"


async def test_orders_go_on_from_page_to_page(centre: TestCentre) -> None:
    await fill(centre)
    async with centre.as_person("analyst") as analyst:
        assert await walked(analyst) == list("7654321")
        assert await walked(analyst, sort="oldest") == list("1234567")
        assert await walked(analyst, sort="last_event") == list("4123567")
        assert await walked(analyst, sort="severity") == list("7253416")
        assert await walked(analyst, sort="severity", severity=["high", "critical"]) == list("7253")
        assert await walked(analyst, sort="last_event", agency="parks") == list("426")
        wrong = await analyst.get("/v1/incidents", params={"sort": "severity", "cursor": "INC-2026-000001"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
        broken = await analyst.get("/v1/incidents", params={"sort": "last_event", "cursor": "INC-2026-000001~never"})
        assert broken.status_code == 422


async def test_a_page_goes_on_though_the_incident_it_ended_with_changed(centre: TestCentre) -> None:
    await fill(centre)
    async with centre.as_person("analyst") as analyst:
        first = (await analyst.get("/v1/incidents", params={"sort": "severity", "limit": 3})).json()
        last = first["items"][-1]["number"]
        rated = await analyst.post(f"/v1/incidents/{last}/rate", json={"severity": "low", "reason": "r"}, headers={"If-Match": '"1"'})
        assert rated.status_code == 200
        then = (await analyst.get("/v1/incidents", params={"sort": "severity", "cursor": first["next_cursor"]})).json()
    assert [one["number"][-1] for one in first["items"]] == list("725")
    assert [one["number"][-1] for one in then["items"]] == list("34516")


async def test_whose_it_is_and_whether_it_was_reported(centre: TestCentre) -> None:
    await fill(centre)
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        await analyst.post("/v1/incidents/INC-2026-000002/assign", json={"assignee": "analyst"}, headers={"If-Match": '"1"'})
        await officer.post("/v1/reports", json={"incident": "INC-2026-000003"})
        assert await walked(analyst, assignee="me") == ["2"]
        assert await walked(analyst, assignee="user:analyst") == ["2"]
        assert await walked(analyst, assignee="nobody") == list("765431")
        assert await walked(officer, reported=True) == ["3"]
        assert await walked(officer, reported=False) == list("751")
        assert await walked(analyst, within_hours=1) == list("7654321")
        assert await walked(analyst, q="inc-2026-000004") == ["4"]
        assert await walked(analyst, q="192.0.2.7") == list("7654321")
        assert await walked(analyst, q="192.0.2.8") == []


async def test_whom_an_incident_can_be_given_to(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer:
        everybody = (await analyst.get("/v1/assignees")).json()["items"]
        own = (await officer.get("/v1/assignees")).json()["items"]
    assert everybody == [{"name": "analyst", "agency": ""}, {"name": "lead", "agency": ""}, {"name": "officer", "agency": "seogu"}]
    assert own == [{"name": "officer", "agency": "seogu"}]
    with centre.centre.database.session() as session:
        disable_user(session, "lead", actor="user:admin")
    async with centre.as_person("analyst") as analyst:
        assert [one["name"] for one in (await analyst.get("/v1/assignees")).json()["items"]] == ["analyst", "officer"]


async def test_a_kept_view_is_ones_own(centre: TestCentre) -> None:
    wish = {"name": "Mine", "query": "state=new&state=triaged&assignee=me&sort=severity"}
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        made = await analyst.post("/v1/views", json=wish)
        assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
        view = made.json()["id"]
        assert (await analyst.post("/v1/views", json=wish)).status_code == 409
        assert (await lead.get("/v1/views")).json() == {"items": [], "next_cursor": ""}
        assert (await lead.delete(f"/v1/views/{view}", headers={"If-Match": '"1"'})).status_code == 404
        changed = {"name": "Ours", "query": ""}
        assert (await analyst.put(f"/v1/views/{view}", json=changed)).status_code == 428
        replaced = await analyst.put(f"/v1/views/{view}", json=changed, headers={"If-Match": '"1"'})
        assert (replaced.status_code, replaced.headers["ETag"]) == (200, '"2"')
        assert (await analyst.put(f"/v1/views/{view}", json=wish, headers={"If-Match": '"1"'})).status_code == 412
        assert [one["name"] for one in (await analyst.get("/v1/views")).json()["items"]] == ["Ours"]
        assert (await analyst.delete(f"/v1/views/{view}", headers={"If-Match": '"2"'})).status_code == 204
        assert (await analyst.get("/v1/views")).json() == {"items": [], "next_cursor": ""}


@pytest.mark.parametrize("query", ["colour=red", "state=happy", "cursor=INC-2026-000001", "state", "sort=fastest", "limit=9999"])
async def test_a_view_the_list_would_refuse_is_refused(centre: TestCentre, query: str) -> None:
    async with centre.as_person("analyst") as analyst:
        refused = await analyst.post("/v1/views", json={"name": "V", "query": query})
    assert refused.status_code == 422


async def test_why_a_rule_fired_is_told_with_the_words_of_the_line(centre: TestCentre) -> None:
    rule = next(one for one in centre.centre.rules.current().rules if "Backdoors" in one.title)
    raw = "srcip=10.0.0.5 dstip=192.0.2.9 dstport=4444"
    fields = {"disposition": "allow", "proto": "tcp", "dst_port": 4444, "dst_ip": "192.0.2.9", "agency": "seogu"}
    more = {"rule_id": rule.id, "rule_title": rule.title, "rule_hash": rule.hash, "raw": raw, **fields}
    await centre.put_detections([Finding(1, src="10.0.0.5", more=tuple(more.items()))])
    async with centre.as_person("analyst") as analyst, centre.as_person("auditor") as auditor, centre.as_person("mayor") as mayor:
        why = (await analyst.get("/v1/incidents/INC-2026-000001/reasons")).json()
        bare = (await auditor.get("/v1/incidents/INC-2026-000001/reasons")).json()
        refused = await mayor.get("/v1/incidents/INC-2026-000001/reasons")
    (told,), (line,) = why["rules"], why["lines"]
    assert (told["rule_id"], told["kind"], told["condition"]) == (
        rule.id,
        "rule",
        "selection and destination_known and not 1 of filter_main_*",
    )
    assert told["words"]["title_ko"].startswith("내부에서")
    assert "4444" in told["detections"]["selection"]
    assert line["held"] == {"destination_known": True, "filter_main_inside": False, "selection": True}
    assert {raw[begin:end] for hit in line["hits"] for begin, end in hit["spans"]} == {"10.0.0.5", "4444"}
    assert (bare["lines"][0]["held"], bare["lines"][0]["hits"]) == (line["held"], [])
    assert refused.status_code == 403


async def test_one_look_at_changes_serves_everybody_their_own(centre: TestCentre) -> None:
    await fill(centre)
    centre.clock.advance(timedelta(minutes=10))
    async with centre.as_person("analyst") as analyst, centre.as_person("lead") as lead:
        await analyst.post("/v1/incidents/INC-2026-000002/triage", json={}, headers={"If-Match": '"1"'})
        await analyst.post("/v1/incidents/INC-2026-000003/comments", json={"text": "a word"})
        closed = {"members": ["lead"], "reason": "need to know"}
        assert (await lead.post("/v1/incidents/INC-2026-000001/restrict", json=closed, headers={"If-Match": '"1"'})).status_code == 200
    changes = Changes(centre.centre.database, centre.clock)
    heard = {
        name: {one.incident.number[-1] for one in await changes.latest(sight)}
        for name, sight in {
            "analyst": Sight(None, "user:analyst"),
            "lead": Sight(None, "user:lead"),
            "officer": Sight(frozenset({"seogu"}), "user:officer"),
            "privacy": Sight(frozenset({"seogu"}), "user:privacy", only_personal=True),
        }.items()
    }
    assert heard == {"analyst": {"2", "3"}, "lead": {"1", "2", "3"}, "officer": {"3"}, "privacy": set()}


@pytest.mark.parametrize(
    ("query", "met"),
    [
        ("", "1234567"),
        ("severity=critical&severity=high", "2357"),
        ("agency=parks", "246"),
        ("assignee=me", "2"),
        ("assignee=nobody", "134567"),
        ("state=triaged", ""),
        ("exercise=true", ""),
        ("within_hours=1&exercise=false", "1234567"),
        ("since=2026-05-01T03:03:00Z", "4567"),
        ("until=2026-05-01T03:03:00Z&severity=low", "1"),
    ],
)
async def test_what_a_page_takes_for_wanted_is_what_the_list_has(centre: TestCentre, query: str, met: str) -> None:
    await fill(centre)
    wanted = Wanted.of(query)
    async with centre.as_person("analyst") as analyst:
        await analyst.post("/v1/incidents/INC-2026-000002/assign", json={"assignee": "analyst"}, headers={"If-Match": '"1"'})
        listed = [Incident.model_validate(one) for one in (await analyst.get("/v1/incidents", params=wanted.asked())).json()["items"]]
        every = [Incident.model_validate(one) for one in (await analyst.get("/v1/incidents")).json()["items"]]
    assert {one.number[-1] for one in listed} == set(met)
    assert {one.number for one in every if wanted.meets(one, "user:analyst", centre.clock.now())} == {one.number for one in listed}


@pytest.mark.parametrize("sort", ["", "oldest", "last_event", "severity"])
async def test_a_page_sorts_as_the_list_does(centre: TestCentre, sort: str) -> None:
    await fill(centre)
    wanted = Wanted.of(f"sort={sort}")
    async with centre.as_person("analyst") as analyst:
        listed = [Incident.model_validate(one) for one in (await analyst.get("/v1/incidents", params=wanted.asked())).json()["items"]]
    assert sorted(listed, key=wanted.place) == listed


def test_an_address_is_read_as_it_is_written() -> None:
    text = "state=new&state=triaged&q=a+b&sort=severity"
    assert Wanted.of(text).text == text
    assert Wanted.of("?all").text == ""
    assert Wanted.of("state=&colour=red&severity=high&severity=high").text == "severity=high"


async def test_what_is_seen_in_a_query_is_seen_in_what_was_read(centre: TestCentre) -> None:
    await fill(centre)
    caller = Principal("user", "x", "officer", "seogu", grants_of_roles([Role.AGENCY_OFFICER]))
    sight = disclosure.sight(caller)
    with centre.centre.database.session(readonly=True) as session:
        listed = {one.number for one in queries.list_incidents(session, sight, Filters()).items}
        read = {one.incident.number for one in queries.changes(session, NOW - timedelta(days=1), 100) if one.seen_by(sight)}
    assert listed == read
