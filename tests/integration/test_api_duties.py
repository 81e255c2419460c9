"""Annual duties over the API: campaigns, the duty of an agency, findings, what is cited, files, and who is overdue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from respond.drills.models import Drill
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
LAST_INSTANT = datetime(2026, 12, 31, 14, 59, 59, 999999, tzinfo=UTC)
NEW_YEAR = datetime(2026, 12, 31, 15, 0, tzinfo=UTC)
INSPECTION: dict[str, Any] = {"kind": "inspection", "year": 2026, "title": "Inspection of 2026"}
OLD_CMS = {"subject": "websites", "severity": "high", "finding": "The CMS is out of support", "measure": "Update the CMS"}
OPEN_PORT = {"subject": "servers_network", "severity": "low", "finding": "Telnet is open", "measure": "Close it"}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def step(client: httpx.AsyncClient, path: str, number: str, action: str, **wish: object) -> httpx.Response:
    """Take a step on the case as it is now."""
    seen = (await client.get(f"/v1/{path}/{number}")).headers["etag"]
    return await client.post(f"/v1/{path}/{number}/{action}", json=wish, headers={"If-Match": seen})


async def ok(client: httpx.AsyncClient, path: str, number: str, action: str, **wish: object) -> dict[str, Any]:
    answer = await step(client, path, number, action, **wish)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def started(lead: httpx.AsyncClient, **wish: object) -> tuple[str, dict[str, str]]:
    """A running campaign, and its duties' numbers by agency."""
    made = await lead.post("/v1/campaigns", json=INSPECTION | wish)
    assert made.status_code == 201, made.text
    number = made.json()["number"]
    await ok(lead, "campaigns", number, "start")
    duties = (await lead.get("/v1/duties", params={"campaign": number})).json()["items"]
    return number, {one["agency"]: one["number"] for one in duties}


async def test_an_inspection_from_the_plan_to_the_sign_off(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        planned = (await lead.post("/v1/campaigns", json=INSPECTION)).json()
        assert (planned["number"], planned["state"], planned["law"]) == ("CMP-2026-000001", "planned", "CO 15(1)")
        assert planned["due_at"] == "2026-12-31T15:00:00Z"  # the end of the year in Seoul
        assert (await officer.get("/v1/campaigns")).json()["items"] == []
        await ok(lead, "campaigns", "CMP-2026-000001", "edit", **INSPECTION, due_at="2026-11-30T09:00:00+09:00")
        running = await ok(lead, "campaigns", "CMP-2026-000001", "start")
        assert {"CO 15(1)1", "CO 15(1)2", "CO 15(1)3"} <= {one["law"] for one in running["subjects"]}
        (duty,) = (await officer.get("/v1/duties")).json()["items"]
        number = duty["number"]
        assert (duty["agency"], duty["state"], duty["due_at"], duty["overdue"]) == ("seogu", "open", "2026-11-30T00:00:00Z", False)
        unfinished = await step(officer, "duties", number, "answer")
        assert (unfinished.status_code, "websites" in unfinished.json()["detail"]) == (422, True)
        for one in (await officer.get(f"/v1/duties/{number}")).json()["subjects"]:
            await ok(officer, "duties", number, "prove", measure=one["id"], proof="checked", applies=one["id"] != "websites")
        assert (await ok(officer, "duties", number, "answer"))["answered_at"] == "2026-05-01T03:00:30Z"
        assert (await step(lead, "duties", number, "send_back")).status_code == 422
        assert (await ok(lead, "duties", number, "send_back", reason="Websites do apply"))["answered_at"] is None
        await ok(officer, "duties", number, "prove", measure="websites", proof="all patched")
        await ok(officer, "duties", number, "answer")
        assert (await step(lead, "duties", number, "sign_off")).status_code == 409
        await ok(lead, "duties", number, "record_findings", result="All is well")
        done = await ok(lead, "duties", number, "sign_off")
        assert (done["state"], done["signed_off_by"], done["done_at"]) == ("done", "user:lead", "2026-05-01T03:00:30Z")
        told = (await officer.get(f"/v1/duties/{number}")).json()
        (clock,) = told["progress"]["clocks"]
        assert (clock["basis"], clock["source"], clock["stopped_at"]) == ("set", "campaign CMP-2026-000001", "2026-05-01T03:00:30Z")
        websites = next(one for one in told["subjects"] if one["id"] == "websites")
        assert (websites["outcome"], websites["earlier"][0]["outcome"]) == ("done", "not_applicable")
        seen = (await officer.get("/v1/campaigns/CMP-2026-000001")).json()
        assert (seen["duties"], seen["overdue"]) == ({"done": 1}, [])
        assert (await lead.get("/v1/campaigns/CMP-2026-000001")).json()["duties"] == {"done": 1, "open": 1}


async def test_a_campaign_ends_when_every_duty_has(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        number, duties = await started(lead)
        waiting = await step(lead, "campaigns", number, "close")
        assert (waiting.status_code, "2 duties" in waiting.json()["detail"]) == (422, True)
        for duty in duties.values():
            assert (await step(lead, "duties", duty, "waive")).status_code == 422
            await ok(lead, "duties", duty, "waive", reason="Inspected by the ministry")
        assert (await ok(lead, "campaigns", number, "close"))["state"] == "closed"
        reopened = await step(lead, "duties", duties["seogu"], "reopen", reason="Not quite")
        assert (reopened.status_code, number in reopened.json()["detail"]) == (422, True)


async def test_a_duty_begins_anew_while_its_campaign_runs(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        _, duties = await started(lead)
        await ok(lead, "duties", duties["seogu"], "inspect", result="Looked at")
        await ok(lead, "duties", duties["seogu"], "record_findings", result="One thing", findings=[OLD_CMS])
        await ok(lead, "duties", duties["seogu"], "sign_off", reason="Fixed on the spot")
        again = await ok(lead, "duties", duties["seogu"], "reopen", reason="It came back")
        assert (again["state"], again["done_at"], again["signed_off_by"]) == ("open", None, "")
        told = (await lead.get(f"/v1/duties/{duties['seogu']}")).json()
        assert [one["number"] for one in told["findings"]] == [1]
        assert [one["stopped_at"] for one in told["progress"]["clocks"]] == [None]


async def test_a_campaign_that_is_called_off_waives_what_is_open(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        number, duties = await started(lead)
        assert (await step(lead, "campaigns", number, "cancel")).status_code == 422
        await ok(lead, "duties", duties["parks"], "inspect", result="Looked at")
        await ok(lead, "duties", duties["parks"], "record_findings", result="Nothing")
        assert (await step(lead, "campaigns", number, "cancel", reason="Reorganised")).status_code == 422  # something was found at parks
        await ok(lead, "duties", duties["parks"], "sign_off")
        assert (await ok(lead, "campaigns", number, "cancel", reason="Reorganised"))["state"] == "cancelled"
        states = {one["agency"]: one["state"] for one in (await lead.get("/v1/duties")).json()["items"]}
        assert states == {"seogu": "waived", "parks": "done"}


async def test_a_campaign_that_makes_no_sense_is_refused(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        for wrong in (
            {"year": 2025},
            {"due_at": "2026-04-30T00:00:00Z"},
            {"due_at": "2026-12-31T15:00:00.000001Z"},
            {"agencies": ["atlantis"]},
            {"agencies": [""]},
            {"kind": "audit"},
            {"kind": "picnic"},
            {"title": ""},
        ):
            assert (await lead.post("/v1/campaigns", json=INSPECTION | wrong)).status_code == 422, wrong


async def test_a_duty_is_overdue_with_the_year_of_seoul(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        number, duties = await started(lead)
        await ok(lead, "duties", duties["parks"], "inspect", result="Looked at")
        await ok(lead, "duties", duties["parks"], "record_findings", result="Nothing")
        await ok(lead, "duties", duties["parks"], "sign_off")
        centre.clock.advance(LAST_INSTANT - NOW)
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        assert (await lead.get("/v1/duties", params={"overdue": True})).json()["items"] == []
        centre.clock.advance(NEW_YEAR - LAST_INSTANT)
        (late,) = (await lead.get("/v1/duties", params={"overdue": True})).json()["items"]
        assert (late["number"], late["overdue"]) == (duties["seogu"], True)
        assert (await officer.get(f"/v1/duties/{duties['seogu']}")).json()["progress"]["clocks"][0]["overdue_seconds"] == 0
        assert (await lead.get(f"/v1/campaigns/{number}")).json()["overdue"] == ["seogu"]
        beyond = await step(lead, "duties", duties["seogu"], "extend", due_at="2027-02-01T00:00:00Z", reason="Busy")
        assert beyond.status_code == 422
        await ok(lead, "duties", duties["seogu"], "inspect", result="Looked at, late")
        assert (await lead.get("/v1/duties", params={"overdue": False})).json()["items"] != []


async def test_another_time_within_the_year(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        _, duties = await started(lead, due_at="2026-06-01T00:00:00Z")
        moved = await ok(lead, "duties", duties["seogu"], "extend", due_at="2026-12-31T15:00:00Z", reason="Moving house")
        assert moved["due_at"] == "2026-12-31T15:00:00Z"
        (clock,) = (await lead.get(f"/v1/duties/{duties['seogu']}")).json()["progress"]["clocks"]
        assert (clock["started_at"], clock["due_at"]) == ("2026-05-01T03:00:30Z", "2026-12-31T15:00:00Z")


async def test_the_centre_inspects_some_agencies_itself(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        number, duties = await started(lead, agencies=["parks"], title="Inspection of the actual state")
        assert set(duties) == {"parks"}
        assert (await step(lead, "campaigns", number, "include", agencies=["parks"])).status_code == 422
        await ok(lead, "campaigns", number, "include", agencies=["seogu"])
        assert (await lead.get(f"/v1/campaigns/{number}")).json()["duties"] == {"open": 2}
        seen = await ok(lead, "duties", duties["parks"], "inspect", result="The server room is tidy")
        assert (seen["state"], seen["inspected_at"]) == ("inspected", "2026-05-01T03:00:30Z")


async def test_a_finding_becomes_a_corrective_request(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        _, duties = await started(lead)
        number = duties["seogu"]
        await ok(lead, "duties", number, "inspect", result="Looked at")
        strange = await step(lead, "duties", number, "record_findings", result="r", findings=[OLD_CMS | {"subject": "moon"}])
        assert (strange.status_code, "moon" in strange.json()["detail"]) == (422, True)
        await ok(lead, "duties", number, "record_findings", result="Two things", findings=[OLD_CMS, OPEN_PORT])
        await ok(lead, "duties", number, "request_correction", findings=[1], due_at="2026-06-01T00:00:00Z")
        assert (await step(lead, "duties", number, "request_correction", findings=[1])).status_code == 422
        (asked,) = (await lead.get("/v1/requests", params={"about": f"duty/{number}"})).json()["items"]
        assert (asked["article"], asked["agency"], asked["state"], asked["items"]) == ("15(3)", "seogu", "draft", ["Update the CMS"])
        assert "정당한 사유" in asked["wording_ko"]
        assert (await officer.get("/v1/requests")).json()["items"] == []  # it goes out when it is issued
        told = (await officer.get(f"/v1/duties/{number}")).json()
        assert [(one["number"], one["request"]) for one in told["findings"]] == [(1, asked["number"]), (2, "")]
        left = await step(lead, "duties", number, "sign_off")
        assert (left.status_code, "2" in left.json()["detail"]) == (422, True)
        assert (await ok(lead, "duties", number, "sign_off", reason="Closed while we were there"))["state"] == "done"
        words = json.dumps(told["progress"])
        assert "CMS" not in words  # history carries numbers
    async with centre.as_person("auditor") as auditor:
        trail = (await auditor.get("/v1/audit", params={"object": f"duty/{number}"})).text
    assert "CMS" not in trail


async def test_a_training_cites_its_drill(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        _, duties = await started(lead, kind="training", title="Training of 2026")
        number = duties["seogu"]
        planned = await lead.post("/v1/drills", json={"scenario": "malware-beacon", "agencies": ["seogu"]})
        drill = f"drill/{planned.json()['number']}"
        assert (await step(lead, "duties", number, "cite", object=drill)).status_code == 422, "it is not scored yet"
        with centre.centre.database.session() as session:
            session.execute(sa.update(Drill).values(state="scored"))
        assert (await step(lead, "duties", duties["parks"], "cite", object=drill)).status_code == 422, "it took no part"
        await ok(lead, "duties", number, "cite", object=drill, note="Malware drill")
        assert (await step(lead, "duties", number, "cite", object=drill)).status_code == 422
        await ok(lead, "duties", number, "inspect", result="Took part")
        await ok(lead, "duties", number, "record_findings", result="Slow to report", findings=[{**OLD_CMS, "subject": "reporting_line"}])
        await ok(lead, "duties", number, "request_correction", findings=[1])
        (asked,) = (await lead.get("/v1/requests", params={"about": f"duty/{number}"})).json()["items"]
        assert (asked["article"], "정당한 사유" in asked["wording_ko"]) == ("21(4)", False)
        told = (await lead.get(f"/v1/duties/{number}")).json()
        (cited,) = told["provenance"]
        assert (cited["object"], cited["by"]) == (drill, "user:lead")
        assert (told["law"], told["kind"]) == ("CO 21(1)", "training")


async def test_an_inspection_uses_data_already_submitted(centre: TestCentre) -> None:
    learned = {"learned_at": "2026-05-01T02:00:00Z", "system": "Portal", "summary": "Down"}
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        report = (await officer.post("/v1/reports", json={"agency": "seogu", **learned})).json()["number"]
        _, duties = await started(lead)
        unsent = await step(lead, "duties", duties["seogu"], "cite", object=f"report/{report}")
        assert unsent.status_code == 422  # a draft is its agency's own
        await ok(officer, "reports", report, "submit")
        await ok(lead, "duties", duties["seogu"], "cite", object=f"report/{report}", note="Cause known")
        assert (await step(lead, "duties", duties["parks"], "cite", object=f"report/{report}")).status_code == 422
        sha256 = (await lead.get(f"/v1/reports/{report}")).json()["submitted"][0]["sha256"]
        audit, audits = await started(lead, kind="audit", standards="Guideline 2026-1", title="Audit")
        unfinished = await step(lead, "duties", duties["seogu"], "cite", object=f"duty/{audits['seogu']}")
        assert unfinished.status_code == 422
        await ok(lead, "duties", audits["seogu"], "inspect", result="Audited")
        await ok(lead, "duties", audits["seogu"], "record_findings", result="Fine")
        await ok(lead, "duties", audits["seogu"], "sign_off")
        await ok(lead, "duties", duties["seogu"], "cite", object=f"duty/{audits['seogu']}")
        cited = (await officer.get(f"/v1/duties/{duties['seogu']}")).json()["provenance"]
        assert [one["object"] for one in cited] == [f"report/{report}", f"duty/{audits['seogu']}"]
        assert (cited[0]["version"], cited[0]["sha256"], cited[0]["note"]) == (1, sha256, "Cause known")
        for wrong in ("report/RPT-2026-999999", "incident/INC-2026-000001", "report/", "RPT-2026-000001", f"duty/{duties['seogu']}"):
            assert (await step(lead, "duties", duties["seogu"], "cite", object=wrong)).status_code == 422, wrong
        assert audit == "CMP-2026-000002"


async def test_an_audit_needs_standards_and_may_ask_for_an_internal_audit(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        _, duties = await started(lead, kind="audit", standards=" Guideline 2026-1 ", scope="Whole agency", title="Audit")
        number = duties["seogu"]
        await ok(lead, "duties", number, "inspect", result="Audited")
        await ok(lead, "duties", number, "record_findings", result="r", findings=[{**OLD_CMS, "subject": "plans"}])
        refused = await step(lead, "duties", number, "request_correction", findings=[1])
        assert (refused.status_code, "15(3)" in refused.json()["detail"]) == (422, True)
        await ok(lead, "duties", number, "ask_internal_audit", body="Audit office of the district")
        told = (await lead.get(f"/v1/duties/{number}")).json()
        assert (told["standards"], told["internal_audit"]) == ("Guideline 2026-1", "Audit office of the district")
        assert (await ok(lead, "duties", number, "sign_off"))["state"] == "done"
        _, inspections = await started(lead)
        await ok(lead, "duties", inspections["seogu"], "inspect", result="Looked at")
        await ok(lead, "duties", inspections["seogu"], "record_findings", result="Fine")
        assert (await step(lead, "duties", inspections["seogu"], "ask_internal_audit", body="b")).status_code == 422


async def test_a_review_of_access_rights_keeps_whose_they_were(centre: TestCentre) -> None:
    async with centre.as_machine("logs:write", agency="seogu", source="fw-1"), centre.as_person("lead") as lead:
        _, duties = await started(lead, kind="access_review", title="Review of access rights")
        assert set(duties) == {"", "seogu", "parks"}  # the centre reviews its own, too
        for agency, people in (("seogu", {"officer", "privacy"}), ("", {"admin", "analyst", "auditor", "lead", "mayor"})):
            await ok(lead, "duties", duties[agency], "inspect", result="One account of somebody who left")
            (kept,) = (await lead.get(f"/v1/duties/{duties[agency]}")).json()["files"]
            answer = await lead.get(f"/v1/duties/{duties[agency]}/files/{kept['id']}")
            assert (kept["name"], kept["sha256"]) == ("access-rights.json", hashlib.sha256(answer.content).hexdigest())
            rights = answer.json()
            assert {one["name"] for one in rights["accounts"]} == people
            assert [one["source"] for one in rights["keys"]] == (["fw-1"] if agency else [])
            assert "hash" not in answer.text
        await ok(lead, "duties", duties[""], "record_findings", result="Removed")
        assert (await ok(lead, "duties", duties[""], "sign_off"))["signed_off_by"] == "user:lead"


async def test_access_to_video_is_inspected_and_signed_off(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        _, duties = await started(lead, kind="cctv_inspection", title="Records of access to video", agencies=["seogu"])
        told = (await officer.get(f"/v1/duties/{duties['seogu']}")).json()
        assert {"CCTV 4(6)", "CCTV 4(7)"} <= {one["law"] for one in told["subjects"]}
        for one in told["subjects"]:
            await ok(officer, "duties", duties["seogu"], "prove", measure=one["id"], proof="looked through", sha256="ab" * 32)
        await ok(officer, "duties", duties["seogu"], "answer")
        await ok(lead, "duties", duties["seogu"], "record_findings", result="Nothing strange")
        assert (await ok(lead, "duties", duties["seogu"], "sign_off"))["law"] == "CCTV 4(6)"


async def test_files_are_kept_until_the_sign_off(centre: TestCentre) -> None:
    content = bytes(range(256)) * 5000  # more than a body of other routes may have
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer, centre.as_person("analyst") as analyst:
        _, duties = await started(lead)
        path = f"/v1/duties/{duties['seogu']}/files"
        made = await officer.post(path, params={"name": "점검표.xlsx"}, content=content)
        assert (made.status_code, made.json()["sha256"]) == (201, hashlib.sha256(content).hexdigest())
        again = await officer.post(path, params={"name": "점검표.xlsx"}, content=content)
        assert again.json()["id"] == made.json()["id"]
        assert (await officer.post(path, params={"name": "../up"}, content=b"x")).status_code == 422
        assert (await officer.post(f"/v1/duties/{duties['parks']}/files", params={"name": "a"}, content=b"x")).status_code == 404
        assert (await analyst.post(path, params={"name": "a"}, content=b"x")).status_code == 403
        got = await lead.get(f"{path}/{made.json()['id']}")
        assert (got.content == content, got.headers["content-type"]) == (True, "application/octet-stream")
        assert (await officer.get(f"/v1/duties/{duties['parks']}/files/{made.json()['id']}")).status_code == 404
        assert (await lead.get(f"/v1/duties/{duties['parks']}/files/{made.json()['id']}")).status_code == 404
        told = (await officer.get(f"/v1/duties/{duties['seogu']}")).json()["progress"]["history"]
        assert ([one["action"] for one in told], "점검표" in json.dumps(told, ensure_ascii=False)) == (["open", "attach"], False)
        await ok(lead, "duties", duties["seogu"], "waive", reason="Merged with another")
        assert (await officer.post(path, params={"name": "late"}, content=b"x")).status_code == 409


async def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, respond={"duties": {"file_mb": 1}})
    async with running_centre(settings, FixedClock(NOW)) as centre, centre.as_person("lead") as lead:
        _, duties = await started(lead)
        refused = await lead.post(f"/v1/duties/{duties['seogu']}/files", params={"name": "a"}, content=bytes((1 << 20) + 1))
    assert (refused.status_code, "respond.duties.file_mb" in refused.json()["detail"]) == (413, True)


async def test_agencies_are_told_of_their_duties(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        _, duties = await started(lead, kind="training", title="Joint training in June")
        news = (await officer.get("/v1/news")).json()["items"]
        assert [(one["kind"], one["object"], one["data"]) for one in news] == [
            ("duty.open", f"duty/{duties['seogu']}", {"title": "Joint training in June"})
        ]
        assert {one["kind"] for one in (await lead.get("/v1/news")).json()["items"]} == {"campaign.start", "duty.open"}


async def test_an_agency_sees_its_own_duties_alone(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer, centre.as_person("privacy") as privacy:
        everywhere, duties = await started(lead)
        elsewhere, _ = await started(lead, agencies=["parks"])
        assert {one["agency"] for one in (await officer.get("/v1/duties")).json()["items"]} == {"seogu"}
        assert (await officer.get("/v1/duties", params={"agency": "parks"})).json()["items"] == []
        assert (await officer.get(f"/v1/duties/{duties['parks']}")).status_code == 404
        assert (await officer.post(f"/v1/duties/{duties['parks']}/answer", json={}, headers={"If-Match": '"1"'})).status_code == 404
        assert [one["number"] for one in (await officer.get("/v1/campaigns")).json()["items"]] == [everywhere]
        assert (await officer.get(f"/v1/campaigns/{elsewhere}")).status_code == 404
        assert (await privacy.get("/v1/duties")).status_code == 403
