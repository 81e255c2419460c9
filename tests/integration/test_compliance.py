"""Compliance: the state of a paragraph follows the records, within the caller's scope, and the trail's verification is evidence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.centre import StageState
from api.compliance import law
from api.compliance.facts import State
from api.compliance.judge import together
from core.clock import FixedClock
from tests.detections import Finding
from tests.integration.test_api_duties import NEW_YEAR, NOW, ok, started
from tests.integration.test_api_requests import ASKED
from tests.servers.api import TestCentre, running_centre, settings_for

LEARNED = {"learned_at": "2026-05-01T03:00:00Z", "system": "Portal", "summary": "s"}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def rows(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await client.get("/v1/compliance")
    assert answer.status_code == 200, answer.text
    return {one["id"]: one for one in answer.json()["paragraphs"]}


async def done(lead: httpx.AsyncClient, duties: Sequence[str]) -> None:
    for number in duties:
        await ok(lead, "duties", number, "inspect", result="Looked at")
        await ok(lead, "duties", number, "record_findings", result="Nothing")
        await ok(lead, "duties", number, "sign_off")


async def test_evidence_follows_the_records(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        before = await rows(lead)
        assert list(before) == [row.id for act in law.load().acts for row in act.rows]
        assert before["CO 15(1)1"]["state"] == before["CO 12"]["state"] == before["CO 20(1)"]["state"] == "nothing"
        assert (before["DEC 30(2)"]["state"], before["DEC 30(2)"]["evidence"]) == ("outside", [])
        _, duties = await started(lead)
        await done(lead, [duties["parks"]])
        partly = (await rows(lead))["CO 15(1)1"]
        (fact,) = partly["evidence"]
        assert (partly["state"], fact["count"], fact["agencies"], fact["last_at"]) == ("partly", 1, ["seogu"], "2026-05-01T03:00:30Z")
        assert fact["link"] == "/v1/duties?kind=inspection&year=2026"
        assert [one["state"] for one in (await lead.get(fact["link"])).json()["items"]] == ["open", "done"]
        await done(lead, [duties["seogu"]])
        after = await rows(lead)
        assert (after["CO 15(1)1"]["state"], after["CO 15(1)1"]["evidence"][0]["agencies"]) == ("met", [])
        assert after["CO 21(1)"]["state"] == "nothing"
        assert after["CO 14(4)1"]["state"] == "partly"  # inspected, not trained


async def test_a_waiver_is_no_doing(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        _, duties = await started(lead, kind="audit", standards="s")
        await done(lead, [duties["parks"]])
        await ok(lead, "duties", duties["seogu"], "waive", reason="Audited by the ministry")
        (fact,) = (await rows(lead))["CO 25(1)"]["evidence"]
    assert (fact["state"], fact["agencies"], "1 waived" in fact["en"], "면제 1건" in fact["ko"]) == ("partly", ["seogu"], True, True)


async def test_what_was_not_done_in_its_year_stays_overdue(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        await started(lead, kind="training")
        centre.clock.advance(NEW_YEAR - NOW)
    async with centre.as_person("lead") as lead:
        row = (await rows(lead))["CO 21(1)"]
        assert (row["state"], row["evidence"][0]["agencies"]) == ("overdue", ["parks", "seogu"])
        assert "2027" in row["evidence"][0]["en"]


async def test_requests_reports_and_accidents(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("mayor") as mayor, centre.as_person("officer") as officer:
        number = (await mayor.post("/v1/requests", json=ASKED)).json()["number"]
        assert (await rows(mayor))["CO 19(2)"]["state"] == "nothing"  # a draft asks nobody
        await ok(mayor, "requests", number, "issue")
        assert ((await rows(mayor))["CO 19(2)"]["state"], (await rows(mayor))["CO 12"]["state"]) == ("met", "nothing")
        await centre.put_detections([Finding(1, more=(("agency", "seogu"), ("rule_id", "r"), ("rule_level", "high")))])
        for action in ("triage", "confirm"):
            await ok(lead, "incidents", "INC-2026-000001", action)
        told = (await rows(lead))["CO 19(3)"]
        assert (told["state"], told["evidence"][0]["agencies"]) == ("partly", ["seogu"])
        centre.clock.advance(timedelta(hours=25))
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        late = await rows(lead)
        assert (late["CO 19(3)"]["state"], late["CO 19(2)"]["state"]) == ("overdue", "overdue")
        assert late["CO 19(2)"]["evidence"][0]["agencies"] == ["seogu"]
        made = await officer.post("/v1/reports", json={"incident": "INC-2026-000001", **LEARNED})
        report = made.json()["number"]
        assert (await rows(lead))["CO 19(3)"]["state"] == "overdue"  # a draft reports nothing
        await ok(officer, "reports", report, "submit", reason="Nobody was there")
        sent = (await rows(lead))["CO 19(3)"]
        assert (sent["evidence"][0]["count"], sent["evidence"][0]["agencies"]) == (1, [])


async def test_sources_that_fall_silent(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead:
        assert (await rows(lead))["CO 17(2)1"]["state"] == "nothing"
        await centre.put_events("seogu", NOW - timedelta(hours=2), 3)
        (fact,) = (await rows(lead))["CO 17(2)1"]["evidence"]
        assert (fact["state"], fact["count"], fact["agencies"]) == ("partly", 1, ["parks"])
        await centre.put_events("parks", NOW - timedelta(hours=1), source="fw-9")
        assert (await rows(lead))["CO 17(2)1"]["state"] == "met"
        centre.clock.advance(timedelta(hours=23))
    async with centre.as_person("lead") as lead:
        (fact,) = (await rows(lead))["CO 17(2)1"]["evidence"]
        assert (fact["state"], fact["agencies"]) == ("partly", ["seogu"])


async def test_a_stage_that_fails_is_no_pipeline(centre: TestCentre) -> None:
    centre.stages += [StageState("detect"), StageState("store", lag=7)]
    async with centre.as_person("lead") as lead:
        assert (await rows(lead))["CO 17(1)"]["evidence"][0]["state"] == "met"
        centre.stages[0] = StageState("detect", problem="no rule could be loaded")
        assert (await rows(lead))["CO 17(1)"]["evidence"][0]["state"] == "partly"


async def test_a_verification_of_the_trail_is_evidence(centre: TestCentre) -> None:
    async with centre.as_person("auditor") as auditor, centre.as_person("lead") as lead:
        await started(lead)
        trail = (await rows(auditor))["DEC 30(1)4"]["evidence"][1]
        assert (trail["state"], trail["last_at"]) == ("partly", None)
        assert (await auditor.get("/v1/audit/verify")).json()["problem"] == ""
        trail = (await rows(auditor))["DEC 30(1)4"]["evidence"][1]
        assert (trail["state"], trail["last_at"]) == ("met", "2026-05-01T03:00:30Z")
        centre.clock.advance(timedelta(days=91))
    async with centre.as_person("auditor") as auditor:
        assert (await rows(auditor))["DEC 30(1)4"]["evidence"][1]["state"] == "partly"


async def test_a_trail_that_was_tampered_with_is_told(centre: TestCentre) -> None:
    async with centre.as_person("auditor") as auditor, centre.as_person("lead") as lead:
        await started(lead)
        with centre.centre.database.session() as session:
            session.connection().exec_driver_sql("UPDATE audit SET actor = 'user:nobody' WHERE seq = 2")
        assert "row 2" in (await auditor.get("/v1/audit/verify")).json()["problem"]
        trail = (await rows(lead))["DEC 30(1)4"]["evidence"][1]
    assert (trail["state"], "row 2" in trail["en"]) == ("overdue", True)


async def test_an_agency_sees_evidence_about_itself(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer:
        _, duties = await started(lead)
        await done(lead, [duties["seogu"]])
        assert (await rows(lead))["CO 15(1)1"]["state"] == "partly"
        seen = await rows(officer)
        assert seen["CO 15(1)1"]["state"] == "met"
        assert "parks" not in str(seen)
        assert (seen["DEC 30(1)4"]["state"], seen["DEC 30(1)4"]["evidence"], seen["DEC 30(1)4"]["hidden"]) == ("hidden", [], 2)


async def test_an_exercise_is_no_evidence(centre: TestCentre) -> None:
    async with centre.as_person("mayor") as mayor:
        number = (await mayor.post("/v1/requests", json=ASKED | {"exercise": True})).json()["number"]
        await ok(mayor, "requests", number, "issue")
        centre.clock.advance(timedelta(days=2))
    async with centre.as_person("mayor") as mayor:
        assert (await rows(mayor))["CO 19(2)"]["state"] == "nothing"


async def test_the_whole_is_counted(centre: TestCentre) -> None:
    async with centre.as_person("auditor") as auditor, centre.as_person("privacy") as privacy, centre.as_person("admin") as admin:
        answer = (await auditor.get("/v1/compliance")).json()
        assert sum(answer["states"].values()) == len(answer["paragraphs"])
        assert answer["at"] == NOW.isoformat().replace("+00:00", "Z")
        for other in (privacy, admin):
            assert (await other.get("/v1/compliance")).status_code == 403


@given(st.lists(st.sampled_from([State.MET, State.PARTLY, State.OVERDUE, State.NOTHING]), max_size=6))
def test_facts_come_together_in_any_order(states: list[State]) -> None:
    made = together(states)
    assert made == together(states[::-1])
    assert (made is State.MET) == (bool(states) and all(one is State.MET for one in states))
    assert (made is State.OVERDUE) == (State.OVERDUE in states)
    assert (made is State.HIDDEN) == (not states)


def test_now_is_a_time_in_the_year_of_the_campaigns() -> None:
    assert datetime(2026, 1, 1, tzinfo=UTC) < NOW < NEW_YEAR
