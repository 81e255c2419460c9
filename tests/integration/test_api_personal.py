"""Personal-information cases over the API: who is shown how much, evidence for the controller, and an incident's exercise."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core.clock import FixedClock
from respond.models import Audit, Incident
from tests.detections import Finding
from tests.personal_cases import FACTS
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
RAW = "login kim.minsu@example.kr from 198.51.100.7"
SECRETS = ("kim.minsu", "조회 화면", "02-0000", "정보통신과", "told-to-nobody", "Member list")


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        await made.put_detections([finding(n) for n in range(3)])
        yield made


def finding(offset: int) -> Finding:
    more = (
        ("agency", "seogu"),
        ("user", ("kim.minsu", "lee.jieun")[offset % 2]),
        ("url", "/members?rrn=told-to-nobody"),
        ("dst_ip", "10.1.2.3"),
        ("device", "=cmd()"),
        ("raw", RAW),
    )
    return Finding(offset, float(offset), "198.51.100.7", more=more)


async def step(client: httpx.AsyncClient, path: str, version: int, **wish: object) -> Any:
    answer = await client.post(f"/v1/personal-cases/{path}", json=wish, headers={"If-Match": f'"{version}"'})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def opened(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/personal-cases", json={"title": "Member list read", "about": "INC-2026-000001"})
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"'), answer.text
    assert (answer.json()["agency"], answer.json()["state"]) == ("seogu", "suspected")
    number: str = answer.json()["number"]
    return number


async def verified(centre: TestCentre) -> str:
    """A case of 1,200 subjects: opened by an analyst, described by the officer, verified and posted by the privacy officer."""
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer, centre.as_person("privacy") as privacy:
        number = await opened(analyst)
        await step(officer, f"{number}/describe", 1, facts=FACTS.model_dump(mode="json"))
        findings = {"systems": ["10.1.2.3"], "outside_access": True, "summary": "kim.minsu was used"}
        await step(analyst, f"{number}/add_findings", 2, findings=findings)
        known = {"subjects": 1200, "count_final": True}
        case = await step(privacy, f"{number}/verify", 3, determination=known, aware_at="2026-05-01T11:00:00+09:00")
        assert (case["pack"], case["aware_at"], case["missing"]) == ("2023-09-15", "2026-05-01T02:00:00Z", [])
        await step(privacy, f"{number}/write_letter", 4, letter="posting")
        await step(privacy, f"{number}/tracks/posting/post", 1, letter=1, address="https://told-to-nobody.example", reason="Member list")
    return number


async def test_each_role_is_shown_what_the_matrix_says(centre: TestCentre) -> None:
    number = await verified(centre)
    for name, shown in {"mayor": "status", "auditor": "redacted", "officer": "full", "privacy": "full", "analyst": "full"}.items():
        async with centre.as_person(name) as client:
            answer = await client.get(f"/v1/personal-cases/{number}")
            listed = await client.get("/v1/personal-cases", params={"about": "INC-2026-000001", "state": "verified"})
            letter = await client.get(f"/v1/personal-cases/{number}/letters/posting/1")
        case = answer.json()
        assert (case["view"], case["state"], answer.headers["etag"]) == (shown, "verified", '"5"'), name
        assert {one["track"]: one["state"] for one in case["tracks"]} == {
            **{"containment": "open", "notice": "due", "posting": "posted", "report": "due"}
        }
        kept = [secret for secret in SECRETS if secret in answer.text]
        assert kept == (["kim.minsu", *SECRETS[1:]] if shown == "full" else []), name
        assert not [secret for secret in SECRETS if secret in listed.text]
        assert [one["number"] for one in listed.json()["items"]] == [number]
        assert letter.status_code == (200 if shown == "full" else 403)
        assert ("subjects" in answer.text) == (shown != "status")


async def test_an_auditor_sees_dates_counts_and_reasons_of_rules(centre: TestCentre) -> None:
    number = await verified(centre)
    async with centre.as_person("auditor") as auditor:
        case = (await auditor.get(f"/v1/personal-cases/{number}")).json()
    assert case["determination"]["subjects"] == 1200
    posting = next(one for one in case["tracks"] if one["track"] == "posting")
    assert posting["given"].keys() >= {"at", "until", "sha256", "place"}
    assert "address" not in posting["given"]
    assert posting["rules"] == ["posting-ordinance"]
    assert "1,200 subjects" in posting["why"]["en"]
    assert [one["action"] for one in case["progress"]["history"]] == ["open", "describe", "add_findings", "verify", "write_letter"]
    assert case["progress"]["steps"] == []
    report = next(one for one in case["tracks"] if one["track"] == "report")
    (clock,) = report["progress"]["clocks"]
    assert (clock["name"], clock["basis"], clock["due_at"]) == ("first_report", "pack", "2026-05-04T02:00:00Z")


async def test_another_agencys_case_does_not_exist(centre: TestCentre) -> None:
    async with centre.as_person("lead") as lead, centre.as_person("officer") as officer, centre.as_person("privacy") as privacy:
        made = await lead.post("/v1/personal-cases", json={"title": "Elsewhere", "agency": "parks"})
        number = made.json()["number"]
        for client in (officer, privacy):
            assert (await client.get(f"/v1/personal-cases/{number}")).status_code == 404
            assert (await client.get("/v1/personal-cases")).json()["items"] == []
            assert (await client.post("/v1/personal-cases", json={"title": "x", "agency": "parks"})).status_code == 403
        seen = {"If-Match": '"1"'}
        assert (await privacy.post(f"/v1/personal-cases/{number}/verify", json={}, headers=seen)).status_code == 404
        assert (await lead.post("/v1/personal-cases", json={"title": "x", "about": "INC-2026-000009"})).status_code == 404
        assert (await lead.post("/v1/personal-cases", json={"title": "x", "agency": "nowhere"})).status_code == 422
        assert (await lead.post("/v1/personal-cases", json={"title": "x"})).status_code == 422


async def test_an_exercise_is_the_incidents(centre: TestCentre) -> None:
    with centre.centre.database.session() as session:
        session.execute(sa.update(Incident).values(exercise=True))
    async with centre.as_person("privacy") as privacy:
        number = await opened(privacy)
        await step(privacy, f"{number}/verify", 1, determination={"subjects": 1200})
        case = (await privacy.get(f"/v1/personal-cases/{number}")).json()
    assert case["exercise"] is True
    assert [one["progress"]["clocks"] for one in case["tracks"]] == [[]] * 4


async def test_the_controller_gets_what_it_needs_and_no_more(centre: TestCentre) -> None:
    wanted = {
        "since": "2026-05-01T03:00:00Z",
        "until": "2026-05-01T03:02:00Z",
        "purpose": "To find whose records were read",
        "columns": ["event_time", "device", "src_net", "dst_ip", "user", "url_path", "raw_sha256"],
    }
    async with centre.as_person("analyst") as analyst, centre.as_person("privacy") as privacy, centre.as_person("auditor") as auditor:
        number = await opened(analyst)
        for wrong in ({"columns": ["raw"]}, {"since": wanted["until"]}, {"since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}):
            refused = await analyst.post(f"/v1/personal-cases/{number}/give_evidence", json=wanted | wrong, headers={"If-Match": '"1"'})
            assert refused.status_code == 422
        await step(analyst, f"{number}/give_evidence", 1, **wanted)
        await step(analyst, f"{number}/log_support", 2, kind="advice", summary="Told how to shut the page")
        case = (await privacy.get(f"/v1/personal-cases/{number}")).json()
        package, advice = case["support"]
        assert (package["kind"], advice["kind"], advice["package_sha256"]) == ("evidence", "advice", "")
        path = f"/v1/personal-cases/{number}/support/{package['id']}/package"
        answer = await privacy.get(path)
        assert (await auditor.get(path)).status_code == 403
        assert (await privacy.get(f"/v1/personal-cases/{number}/support/{advice['id']}/package")).status_code == 404
    assert answer.headers["content-type"] == "application/zip"
    assert hashlib.sha256(answer.content).hexdigest() == package["package_sha256"] == answer.headers["x-content-sha256"]
    files = unpacked(answer.content)
    manifest = json.loads(files["manifest.json"])
    assert {name: hashlib.sha256(files[name]).hexdigest() for name in ("rows.csv", "summary.json")} == {
        name: one["sha256"] for name, one in manifest["files"].items()
    }
    assert (manifest["rows"], manifest["case"], manifest["incident"]) == (2, number, "INC-2026-000001")
    rows = list(csv.DictReader(io.StringIO(files["rows.csv"].decode())))
    assert [one["user"] for one in rows] == ["k***#1", "l***#2"]
    assert {one["src_net"] for one in rows} == {"198.51.100.0/24"}
    assert {one["url_path"] for one in rows} == {"/members"}
    assert {one["device"] for one in rows} == {"'=cmd()"}
    assert {one["raw_sha256"] for one in rows} == {hashlib.sha256(RAW.encode()).hexdigest()}
    everything = b"".join(files.values()).decode()
    assert not [secret for secret in ("kim.minsu", "told-to-nobody", "198.51.100.7") if secret in everything]
    with centre.centre.database.session(readonly=True) as session:
        read = session.scalars(sa.select(Audit).where(Audit.action == "personal_case.read_package")).all()
    assert [(one.actor, one.object) for one in read] == [("user:privacy", f"personal_case/{number}")]


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_packs_are_shown_with_their_markings(centre: TestCentre) -> None:
    async with centre.as_person("mayor") as mayor:
        packs = (await mayor.get("/v1/personal-cases/packs")).json()["items"]
    assert [(one["id"], one["marking"]) for one in packs] == [("seed-2022", "law"), ("2023-09-15", "found"), ("2026-09-11", "found")]
    assert {rule["source"]["marking"] for one in packs for rule in one["rules"]} == {"law", "found"}


async def test_a_step_on_what_somebody_changed_meanwhile_is_refused(centre: TestCentre) -> None:
    number = await verified(centre)
    async with centre.as_person("privacy") as privacy:
        path = f"/v1/personal-cases/{number}/tracks/posting/take_down"
        assert (await privacy.post(path, json={"reason": "x"}, headers={"If-Match": '"1"'})).status_code == 412
        assert (await privacy.post(path, json={"reason": "x"})).status_code == 428
        centre.clock.advance(timedelta(hours=2))
        assert (await step(privacy, f"{number}/tracks/posting/take_down", 2, reason="The site was down"))["state"] == "required"
