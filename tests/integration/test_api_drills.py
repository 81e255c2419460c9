"""Drills over the API: who plans and sees what, notice and receipts, and what a report shows to whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from respond.cases.models import Outgoing
from respond.drills import sending
from respond.drills.machine import Sending
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
JOINT: dict[str, Any] = {"scenario": "joint-supply-chain", "agencies": ["seogu", "parks"]}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def plan(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post("/v1/drills", json={"scenario": "malware-beacon", "agencies": ["seogu"], **more})
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def step(client: httpx.AsyncClient, drill: str, action: str, **body: Any) -> httpx.Response:
    etag = (await client.get(f"/v1/drills/{drill}")).headers.get("ETag", '"1"')
    return await client.post(f"/v1/drills/{drill}/{action}", json=body, headers={"If-Match": etag})


def send_all(centre: TestCentre) -> None:
    """What the runner does, at once."""
    with centre.centre.database.session() as session:
        job = sending.claim(session, "h", timedelta(minutes=1))
        assert job is not None
        done = sending.Progress()
        done.add_all([shot.place for shot in job.timeline.shots], NOW)
        assert sending.write_down(session, job, done)
        sending.end(session, job, Sending.DONE)


async def test_an_agency_plans_its_own_and_sees_what_it_takes_part_in(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer, centre.as_person("mayor") as mayor:
        theirs = await plan(lead, agencies=["parks"])
        joint = await plan(lead, **JOINT)
        own = await plan(officer)
        assert (own["agency"], own["joint"], own["exercise"], own["title"]) == (
            "seogu",
            False,
            True,
            "악성코드 명령 서버 통신 · Malware that calls home",
        )
        assert (joint["agency"], joint["joint"]) == ("", True)
        for wrong in ({"agencies": ["parks"]}, {"joint": True}, JOINT):
            assert (
                await officer.post("/v1/drills", json={"scenario": "malware-beacon", "agencies": ["seogu"], **wrong})
            ).status_code == 403
        for wrong in (
            {"scenario": "nothing"},
            {"agencies": ["nowhere"]},
            {"agencies": ["seogu", "seogu"]},
            {**JOINT, "agencies": ["seogu"]},
        ):
            assert (await lead.post("/v1/drills", json={"scenario": "malware-beacon", "agencies": ["seogu"], **wrong})).status_code == 422
        assert (await mayor.post("/v1/drills", json=JOINT)).status_code == 403
        seen = (await officer.get("/v1/drills")).json()["items"]
        assert [one["number"] for one in seen] == [own["number"], joint["number"]]
        assert (await officer.get(f"/v1/drills/{theirs['number']}")).status_code == 404
        detail = (await officer.get(f"/v1/drills/{joint['number']}")).json()
        assert [one["agency"] for one in detail["parties"]] == ["seogu"]
        assert (await step(officer, joint["number"], "start")).status_code == 404
        some = (await lead.get("/v1/drills", params={"agency": "parks", "state": "planned"})).json()["items"]
        assert [one["number"] for one in some] == [joint["number"], theirs["number"]]


async def test_joint_training_needs_its_notice_or_a_reason(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer, centre.as_person("mayor") as mayor:
        drill = (await plan(lead, **JOINT))["number"]
        refused = await step(lead, drill, "start")
        assert (refused.status_code, "article 21(3)" in refused.json()["detail"]) == (422, True)
        assert (await lead.post(f"/v1/drills/{drill}/start", json={})).status_code == 428
        assert (await step(mayor, drill, "give_notice", text=" ")).status_code == 422
        assert (await step(mayor, drill, "give_notice", text="On Tuesday")).json()["notice"] == "On Tuesday"
        assert (await step(officer, drill, "acknowledge", agency="parks")).status_code == 403
        assert (await step(officer, drill, "acknowledge")).status_code == 200
        assert (await step(officer, drill, "acknowledge")).status_code == 422
        assert (await step(lead, drill, "acknowledge")).status_code == 422
        assert (await step(lead, drill, "acknowledge", agency="parks")).status_code == 200
        told = (await lead.get(f"/v1/drills/{drill}")).json()
        assert [(one["agency"], one["acknowledged_by"]) for one in told["parties"]] == [("seogu", "user:officer"), ("parks", "user:lead")]
        assert (await step(lead, drill, "start")).json()["state"] == "running"
        own = (await plan(lead))["number"]
        assert (await step(mayor, own, "give_notice", text="x")).status_code == 422
        waived = (await plan(lead, **JOINT))["number"]
        assert (await step(mayor, waived, "waive_notice")).status_code == 422
        assert (await step(mayor, waived, "waive_notice", reason="A surprise")).json()["state"] == "notice_waived"
    with centre.centre.database.session(readonly=True) as session:
        news = session.execute(
            sa.select(Outgoing.kind, Outgoing.agency, Outgoing.exercise).where(Outgoing.object == f"drill/{drill}")
        ).all()
    assert ("drill.give_notice", "parks", True) in [tuple(one) for one in news]
    assert {exercise for _, _, exercise in news} == {True}


async def test_a_report_is_of_the_frozen_score_and_each_agency_reads_its_own(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer, centre.as_person("mayor") as mayor:
        drill = (await plan(lead, **JOINT, title="Joint training"))["number"]
        await step(mayor, drill, "waive_notice", reason="A surprise")
        await step(lead, drill, "start")
        assert (await step(lead, drill, "score")).status_code == 409
        send_all(centre)
        assert (await lead.get(f"/v1/drills/{drill}/report")).status_code == 409
        assert (await step(lead, drill, "score")).status_code == 409, "there is time left"
        centre.clock.advance(timedelta(minutes=5))
        assert (await step(lead, drill, "score")).json()["state"] == "scored"
        assert (await step(lead, drill, "ask_correction", requests=[{"agency": "nowhere", "items": ["a"]}])).status_code == 422
        assert (await step(lead, drill, "close", findings="Nobody looked <b>")).json()["findings"] == "Nobody looked <b>"
        whole = await mayor.get(f"/v1/drills/{drill}/report")
        assert whole.content == (await mayor.get(f"/v1/drills/{drill}/report")).content
        told = whole.json()
        assert (told["score"]["expected"], told["score"]["found"], told["score"]["sent"]) == (4, 0, 35)
        assert (told["notice_waived_because"], told["exercise"], told["agencies"]["parks"]["ko"]) == ("A surprise", True, "공원녹지사업소")
        own = (await officer.get(f"/v1/drills/{drill}/report")).json()
        assert [one["agency"] for one in own["score"]["agencies"]] == ["seogu"]
        assert (own["score"]["expected"], own["agencies"].keys()) == (2, {"seogu"})
        papers = [
            (await mayor.get(f"/v1/drills/{drill}/report", params={"format": "pdf", "language": language})).content
            for language in ("ko", "en", "ko")
        ]
        assert all(paper.startswith(b"%PDF") for paper in papers)
        assert papers[0] == papers[2] != papers[1]


async def test_the_scenarios_are_listed(centre: TestCentre) -> None:
    async with centre.as_person("auditor") as auditor:
        found = (await auditor.get("/v1/drills/scenarios")).json()["items"]
    assert [(one["id"], len(one["roles"])) for one in found] == [
        ("joint-supply-chain", 2),
        ("malware-beacon", 1),
        ("scan-then-brute-force", 1),
        ("web-attack-exfiltration", 1),
    ]
