"""A restricted incident and all that is about it, over every way to read: for who is no member it is not there."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from core.config import Channel, NotifySettings, ReadinessSettings, Route
from respond.cases.models import Outgoing
from respond.models import Audit
from respond.notify import dispatch, oncall
from respond.notify.models import Delivery, Page
from respond.readiness import policy
from respond.readiness import service as readiness
from tests.detections import Finding
from tests.servers.api import PEOPLE, TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
TITLE: Final = "Quietly held matter"
FIRST, SECOND, CLOSED = "INC-2026-000001", "INC-2026-000002", "INC-2026-000003"
OUTSIDERS: Final = sorted(PEOPLE.keys() - {"lead", "officer"})
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
WHOLE_TRAIL: Final = "/v1/audit/export"
ENDLESS: Final = "/v1/stream"  # asks for incidents in sight alone (test_api_live)
"""The only way on which the number is told to who is no member: a chain of hashes verifies whole or not at all (docs/incidents.md)."""


@dataclass
class Held:
    """The centre, and the numbers of the cases about the restricted incident by their path."""

    centre: TestCentre
    cases: dict[str, str] = field(default_factory=dict)


async def done(client: httpx.AsyncClient, path: str, action: str, **wish: object) -> dict[str, Any]:
    """Take a step on a case as it is now."""
    seen = (await client.get(f"/v1/{path}")).headers.get("etag", '"1"')
    answer = await client.post(f"/v1/{path}/{action}", json=wish, headers={"If-Match": seen})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def made(client: httpx.AsyncClient, path: str, **body: object) -> str:
    answer = await client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"])


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    """An incident split off a visible one, another merged into it, a case of every kind about it; then it is restricted."""
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as centre:
        own = (("agency", "seogu"), ("rule_level", "high"))
        await centre.put_detections([Finding(1, more=own), Finding(2, 1, more=own), Finding(3, src="198.51.100.9", more=own)])
        found = Held(centre)
        async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
            (chosen, *_) = [one["detection_id"] for one in (await lead.get(f"/v1/incidents/{FIRST}")).json()["evidence"]]
            await done(lead, f"incidents/{FIRST}", "split", reason="another matter", title=TITLE, detections=[chosen])
            await done(lead, f"incidents/{SECOND}", "merge", reason=f"see {CLOSED}", into=CLOSED)
            await done(lead, f"incidents/{CLOSED}", "mark", reason="names", personal_data=True)
            await cases(found, lead, officer)
            propose(centre)
            tell(centre)
            await done(lead, f"incidents/{CLOSED}", "restrict", reason="DSO 10", members=["officer"])
            await lead.get("/v1/incidents", params={"q": TITLE})
        yield found


async def cases(found: Held, lead: httpx.AsyncClient, officer: httpx.AsyncClient) -> None:
    """A case of each kind."""
    about, ends = f"incident/{CLOSED}", (NOW + timedelta(days=3)).isoformat()
    report = await made(officer, "reports", incident=CLOSED, learned_at=NOW.isoformat(), system="s", summary=TITLE, personal_data="yes")
    await done(officer, f"reports/{report}", "submit")
    await done(lead, f"reports/{report}", "receive")
    team = await made(lead, "teams/proposals", incident=CLOSED, basis=TITLE)
    ask = {"article": "19(2)", "agency": "seogu", "about": about, "title": TITLE, "purpose": "p", "items": ["i"], "due_at": ends}
    request = await made(lead, "requests", **ask)
    async with found.centre.as_person("mayor") as mayor:
        await done(mayor, f"requests/{request}", "issue")
    found.cases = {
        "reports": report,
        "teams": team,
        "requests": request,
        "investigations": await made(lead, "investigations", incident=CLOSED),
        "blocks": await made(lead, "blocks", kind="ip", value="203.0.113.9", agency="seogu", about=about, why=TITLE, expires_at=ends),
        "personal-cases": await made(officer, "personal-cases", title=TITLE, about=CLOSED),
    }
    personal = f"personal-cases/{found.cases['personal-cases']}"
    async with found.centre.as_person("privacy") as privacy:
        await done(privacy, personal, "verify", determination={"subjects": 10})
        await done(privacy, personal, "write_letter", letter="first_notice")
    window = {"since": "2026-05-01T00:00:00Z", "until": "2026-05-02T00:00:00Z"}
    await done(lead, personal, "give_evidence", **window, purpose=TITLE)


def propose(centre: TestCentre) -> None:
    """A proposal of readiness whose evidence names the incident."""
    evidence: dict[str, Any] = {"total": 2, "incidents": [{"number": FIRST}, {"number": CLOSED}]}
    rules = policy.load(ReadinessSettings())
    with centre.centre.database.session() as session:
        readiness.propose(session, "system:readiness", rules, (), readiness.Direction.ESCALATE, "raised", evidence, at=NOW)


def tell(centre: TestCentre) -> None:
    """All news so far called about and given up on the way out."""
    with centre.centre.database.session() as session:
        for news in session.scalars(sa.select(Outgoing)).all():
            oncall.page(session, news)
            blank = {"state": "dead", "attempts": 9, "next_at": NOW, "sent_at": None, "problem": "p"}
            session.add(Delivery(outbox_id=news.id, channel="mail", to="", message={"data": news.data, "object": news.object}, **blank))
            news.handled_at = NOW


def paths(held: Held) -> list[str]:
    """Every GET of the API, with what there is to be named in it."""
    numbers = {"incidents": [FIRST, SECOND, CLOSED], "readiness": ["RDY-2026-000001"]} | {kind: [one] for kind, one in held.cases.items()}
    named = {
        "attachment_id": ["1"],
        "kind": ["first_notice"],
        "version": ["1"],
        "entry": ["1"],
        "period": ["2026-05-01", "2026-05"],
        "agency": ["seogu"],
        "rule_id": ["rule-scan"],
    }
    found = []
    for path, methods in held.centre.app.openapi()["paths"].items():
        if "get" in methods and path.startswith("/v1") and path not in (WHOLE_TRAIL, ENDLESS):
            names = _PARAMETER.findall(path)
            here = named | {"number": numbers.get(path.split("/")[2], [CLOSED])}
            for chosen in itertools.product(*(here.get(name, ["1"]) for name in names)):
                found.append(path.format(**dict(zip(names, chosen, strict=True))))
    queries = ("/v1/incidents?q=Quietly", f"/v1/incidents?q={CLOSED}", f"/v1/reports?incident={CLOSED}", "/v1/feed/reports?format=csv")
    return [*found, *queries, f"/v1/audit?object=incident/{CLOSED}", f"/v1/personal-cases?about={CLOSED}"]


async def test_no_way_of_reading_tells_of_it(held: Held) -> None:
    centre = held.centre
    centre.clock.advance(timedelta(days=1))  # so that the day can be issued
    every = paths(held)
    assert len(every) > 60
    for name in OUTSIDERS:
        async with centre.as_person(name) as client:
            for path in every:
                answer = await client.get(path)
                assert answer.status_code < 500, path
                for word in (CLOSED, SECOND, TITLE):
                    assert word not in answer.text or (answer.status_code in (403, 404, 422) and word in path), f"{name} {path}"
            for path, number in held.cases.items():
                assert (await client.get(f"/v1/{path}/{number}")).status_code in (403, 404), f"{name} {path}"


async def test_its_members_read_all_of_it(held: Held) -> None:
    async with held.centre.as_person("lead") as lead, held.centre.as_person("officer") as officer:
        for client in (lead, officer):
            assert TITLE in (await client.get(f"/v1/incidents/{CLOSED}")).text
            for path, number in held.cases.items():
                answer = await client.get(f"/v1/{path}/{number}")
                assert answer.status_code == 200, (path, answer.text)
                assert number in (await client.get(f"/v1/{path}")).text
        assert f"incident/{CLOSED}" in (await lead.get("/v1/audit", params={"limit": 500})).text
        assert CLOSED in (await lead.get("/v1/readiness/RDY-2026-000001")).text
        news = [one["object"] for one in (await lead.get("/v1/news", params={"limit": 200})).json()["items"]]
        assert f"report/{held.cases['reports']}" in news
        dead = (await lead.get("/v1/deliveries/dead")).json()["items"]
        calls = (await lead.get("/v1/calls")).json()["items"]
        assert any(held.cases["reports"] in json.dumps(one) for one in dead)
        assert any(held.cases["reports"] in json.dumps(one) for one in calls)


async def test_only_members_open_cases_about_it_and_act_on_them(held: Held) -> None:
    ends = (NOW + timedelta(days=3)).isoformat()
    async with held.centre.as_person("analyst") as analyst, held.centre.as_person("privacy") as privacy:
        for about in (CLOSED, f"incident/{CLOSED}", f"Incident/{CLOSED.lower()}", "INC-2026-000099"):
            ask = {"article": "19(2)", "agency": "seogu", "title": "t", "purpose": "p", "items": ["i"], "due_at": ends}
            for path, body in (
                ("requests", ask | {"about": about}),
                ("blocks", {"kind": "ip", "value": "203.0.113.8", "why": "w", "expires_at": ends, "about": about}),
                ("personal-cases", {"title": "t", "about": about}),
            ):
                answer = await analyst.post(f"/v1/{path}", json=body)
                assert answer.status_code == 404, (path, about, answer.text)
        assert (await analyst.post("/v1/investigations", json={"incident": CLOSED})).status_code == 404
        assert (await privacy.post("/v1/personal-cases", json={"title": "t", "about": CLOSED})).status_code == 404
        for path, action, body in (("requests", "edit", ask), ("investigations", "record_findings", {})):
            step = await analyst.post(f"/v1/{path}/{held.cases[path]}/{action}", json=body, headers={"If-Match": '"1"'})
            assert step.status_code == 404, (path, step.text)
        personal = f"/v1/personal-cases/{held.cases['personal-cases']}"
        for path in (f"{personal}/write_letter", f"{personal}/tracks/containment/measure"):
            for client in (analyst, privacy):
                step = await client.post(path, json={"letter": "first_notice"} if "letter" in path else {}, headers={"If-Match": '"3"'})
                assert step.status_code in (403, 404), step.text


async def test_what_is_about_it_goes_nowhere_while_it_is_restricted(held: Held) -> None:
    database = held.centre.centre.database
    notify = NotifySettings(
        channels=(Channel(name="mail", kind="webhook", url="http://127.0.0.1:9/", secret="s" * 16),),
        routes=(Route(kinds=("*",), channels=("mail",), page=True),),
    )
    with database.session() as session:
        session.execute(sa.delete(Delivery))
        session.execute(sa.delete(Page))
    async with held.centre.as_person("lead") as lead:
        await done(lead, f"investigations/{held.cases['investigations']}", "record_findings", cause=TITLE)
        await done(lead, f"incidents/{FIRST}", "triage")
        assert dispatch.sort_out(database, notify) == 2
        with database.session(readonly=True) as session:
            told = session.scalars(sa.select(Outgoing.object).join(Delivery, Delivery.outbox_id == Outgoing.id)).all()
            called = session.scalars(sa.select(Outgoing.object).join(Page, Page.outbox_id == Outgoing.id)).all()
        assert told == called == [f"incident/{FIRST}"]
        news = (await lead.get("/v1/news")).json()["items"]
        assert f"investigation/{held.cases['investigations']}" in {one["object"] for one in news}, "members read it on screen"
        await done(lead, f"reports/{held.cases['reports']}", "request_followup", questions=["q"])
    async with held.centre.as_person("officer") as officer, held.centre.as_person("mayor") as mayor:
        await done(officer, f"reports/{held.cases['reports']}", "submit_followup", impact="i")
        assert (await mayor.get("/v1/feed/reports")).json()["items"] == []


async def test_opened_again_it_is_there_for_all(held: Held) -> None:
    async with held.centre.as_person("lead") as lead, held.centre.as_person("analyst") as analyst:
        await done(lead, f"incidents/{CLOSED}", "unrestrict", reason="over")
        assert (await analyst.get(f"/v1/incidents/{SECOND}")).json()["merged_into"] == CLOSED
        for path, number in held.cases.items():
            assert (await analyst.get(f"/v1/{path}/{number}")).status_code == 200, path


async def test_reads_are_written_down_once_an_hour(held: Held) -> None:
    centre = held.centre

    def reads(name: str) -> list[tuple[str, str, Any]]:
        query = sa.select(Audit).where(Audit.object == name, Audit.action.endswith(".read")).order_by(Audit.seq)
        with centre.centre.database.session(readonly=True) as session:
            return [(row.actor, row.agency, json.loads(row.detail)["what"]) for row in session.scalars(query)]

    report, personal = held.cases["reports"], held.cases["personal-cases"]
    before = len(reads(f"report/{report}"))
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        for client in (lead, officer, lead):
            await client.get(f"/v1/reports/{report}")
            await client.get(f"/v1/personal-cases/{personal}")
            await client.get(f"/v1/personal-cases/{personal}/letters/first_notice/1")
        known = reads(f"report/{report}")
        assert {(actor, agency) for actor, agency, _ in known} == {("user:lead", "seogu"), ("user:officer", "seogu")}
        assert len(known) == 2 >= before
        assert ("user:lead", "seogu", "letter first_notice/1") in reads(f"personal_case/{personal}")
        assert reads(f"personal_case/{personal}").count(("user:lead", "seogu", "full")) == 1
        for _ in range(2):
            assert (await lead.get(f"/v1/personal-cases/{personal}/support/1/package")).status_code == 200
        centre.clock.advance(timedelta(hours=1))
        await lead.get(f"/v1/reports/{report}")
        assert len(reads(f"report/{report}")) == 3
    with centre.centre.database.session(readonly=True) as session:
        packages = session.scalars(sa.select(Audit).where(Audit.action == "personal_case.read_package")).all()
        assert [(one.actor, one.agency) for one in packages] == [("user:lead", "seogu")] * 2, "what is taken away is written each time"
        search = session.scalars(sa.select(Audit).where(Audit.action == "incident.search")).all()
        assert {one.actor for one in search} == {"user:lead"}
