"""The mayor's office feed: in order, without gaps, the same for ever; corrections are dated; papers say what the document says."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import FixedClock
from respond.feed import paper
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 20, 3, 0, 0, 123456, tzinfo=UTC)
HOSTILE = '#panic("x") *굵게* $x^2$ =HYPERLINK("http://x") \u202e\x07 ' + "a" * 300 + "\n" + "0123456789abcdef" * 4
CLOSING = {"cause": "c", "impact": "i", "actions": "a"}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def step(client: httpx.AsyncClient, number: str, action: str, version: int, **wish: object) -> None:
    answer = await client.post(f"/v1/reports/{number}/{action}", json=wish, headers={"If-Match": f'"{version}"'})
    assert answer.status_code == 200, answer.text


async def received(centre: TestCentre, **said: object) -> str:
    """A report that was drafted, submitted and received; its version is then 3."""
    learned = (centre.clock.now() - timedelta(hours=1)).isoformat()
    async with centre.as_person("officer") as officer, centre.as_person("lead") as lead:
        wish = {"learned_at": learned, "system": "Portal", "summary": "s", "contact": "Kim 02-000-0000", **said}
        number = str((await officer.post("/v1/reports", json=wish)).json()["number"])
        await step(officer, number, "submit", 1)
        await step(lead, number, "receive", 2)
    return number


async def follow_up(centre: TestCentre, number: str, version: int, **said: object) -> None:
    async with centre.as_person("officer") as officer:
        await step(officer, number, "submit_followup", version, **said)


async def ask(centre: TestCentre, who: str, path: str, **params: Any) -> httpx.Response:
    """What somebody who has just logged in is answered."""
    async with centre.as_person(who) as client:
        return await client.get(f"/v1/feed/{path}", params=params)


async def got(centre: TestCentre, path: str, **params: Any) -> httpx.Response:
    answer = await ask(centre, "mayor", path, **params)
    assert answer.status_code == 200, answer.text
    return answer


async def issue_later(centre: TestCentre, period: str) -> Any:
    centre.clock.advance(timedelta(days=31))
    return (await got(centre, f"issues/{period}")).json()


async def test_the_feed_goes_on_from_where_the_reader_was(centre: TestCentre) -> None:
    assert (await got(centre, "reports")).json() == {"items": [], "next_cursor": "", "more": False}
    numbers = [await received(centre) for _ in range(3)]
    first = (await got(centre, "reports", limit=2)).json()
    assert ([one["report"] for one in first["items"]], first["more"]) == (numbers[:2], True)
    rest = (await got(centre, "reports", cursor=first["next_cursor"])).json()
    assert ([one["seq"] for one in rest["items"]], rest["more"]) == ([3], False)
    nothing = (await got(centre, "reports", cursor=rest["next_cursor"])).json()
    assert nothing == {"items": [], "next_cursor": rest["next_cursor"], "more": False}
    centre.clock.advance(timedelta(minutes=1))
    await follow_up(centre, numbers[0], 3, impact="more")
    news = (await got(centre, "reports", cursor=rest["next_cursor"])).json()["items"]
    assert [(one["report"], one["version"], one["kind"], one["restates"]["seq"]) for one in news] == [(numbers[0], 2, "followup", 1)]
    since = (NOW + timedelta(minutes=1)).isoformat()
    assert [one["seq"] for one in (await got(centre, "reports", since=since)).json()["items"]] == [4]
    assert (await ask(centre, "mayor", "reports", cursor="x")).status_code == 422
    assert "contact" not in news[0]
    assert "Kim" not in json.dumps(news)
    assert [one["seq"] for one in (await ask(centre, "officer", "reports")).json()["items"]] == [1, 2, 3, 4]


async def test_what_was_not_received_is_not_finished(centre: TestCentre) -> None:
    async with centre.as_person("officer") as officer:
        wish = {"learned_at": NOW.isoformat(), "system": "s", "summary": "s"}
        number = (await officer.post("/v1/reports", json=wish)).json()["number"]
        await step(officer, number, "submit", 1)
    assert (await got(centre, "reports")).json()["items"] == []


async def test_a_period_is_the_same_bytes_for_ever(centre: TestCentre) -> None:
    number = await received(centre, summary="한글")
    forms = [{}, {"format": "csv"}, {"format": "pdf"}, {"format": "pdf", "language": "en"}]
    assert (await ask(centre, "mayor", "issues/2026-05")).status_code == 409
    assert (await ask(centre, "mayor", "issues/2026-13")).status_code == 422
    centre.clock.advance(timedelta(days=12))
    before = [await got(centre, "issues/2026-05", **form) for form in forms]
    for answer in before:
        assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    (entry,) = before[0].json()["items"]
    assert (await got(centre, "reports")).json()["items"] == [entry]
    text = json.dumps({**entry, "sha256": None}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.replace('"sha256":null,', "").encode()).hexdigest() == entry["sha256"]
    centre.clock.advance(timedelta(days=3))
    await follow_up(centre, number, 3, summary="corrected")
    after = [await ask(centre, "auditor", "issues/2026-05", **form) for form in forms]
    assert [one.content for one in after] == [one.content for one in before]
    (listed,) = (await got(centre, "issues")).json()["items"]
    assert (listed["period"], listed["entries"], listed["sha256"]) == ("2026-05", 1, hashlib.sha256(before[0].content).hexdigest())
    assert listed["restated"] == [{"report": number, "version": 2, "at": "2026-06-04T03:00:00.123456Z"}]
    day = (await issue_later(centre, "2026-06-04"))["items"]
    assert [(one["version"], one["summary"], one["restates"]["published_at"]) for one in day] == [
        (2, "corrected", "2026-05-20T03:00:00.123456Z")
    ]
    assert [one["period"] for one in (await got(centre, "issues")).json()["items"]] == ["2026-06-04", "2026-05"]
    page = (await got(centre, "issues", limit=1)).json()
    assert [one["period"] for one in (await got(centre, "issues", cursor=page["next_cursor"])).json()["items"]] == ["2026-05"]


async def test_periods_are_those_of_seoul(centre: TestCentre) -> None:
    centre.clock.advance(timedelta(days=11, hours=11, minutes=59, seconds=59))  # 23:59:59 of 31 May in Seoul
    late = await received(centre)
    centre.clock.advance(timedelta(seconds=1))
    early = await received(centre)
    assert [one["report"] for one in (await got(centre, "issues/2026-05")).json()["items"]] == [late]
    assert [one["report"] for one in (await issue_later(centre, "2026-06"))["items"]] == [early]


async def test_nothing_enters_a_period_that_was_issued(centre: TestCentre) -> None:
    centre.clock.advance(timedelta(days=12))
    issued = await got(centre, "issues/2026-05")
    centre.clock.advance(timedelta(days=-12))  # a clock that was set back
    await received(centre)
    (entry,) = (await got(centre, "reports")).json()["items"]
    assert entry["published_at"] == "2026-05-31T15:00:00Z"
    assert (issued.json()["until"], issued.json()["items"]) == ("2026-05-31T15:00:00Z", [])


async def test_csv_is_read_by_spreadsheets_and_runs_nothing(centre: TestCentre) -> None:
    await received(centre, summary='=cmd|"/c calc"!A1', system="포털, 둘\n셋")
    answer = await got(centre, "reports", format="csv")
    assert (answer.headers["content-type"], answer.headers["next-cursor"]) == ("text/csv; charset=utf-8", "1")
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert (row["summary"], row["system"], row["restates_seq"], row["seq"]) == ('\'=cmd|"/c calc"!A1', "포털, 둘\n셋", "", "1")


def text_of(pdf: bytes) -> str:
    return subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()


async def test_a_paper_shows_what_the_document_says(centre: TestCentre) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (Debian package poppler-utils)")
    number = await received(centre, summary=HOSTILE, personal_data="yes")
    await follow_up(centre, number, 3, type="malware")
    document = await issue_later(centre, "2026-05")
    fingerprint = (await got(centre, "issues/2026-05")).headers["etag"].strip('"')
    papers = {}
    for language in ("ko", "en"):
        pdf = (await got(centre, "issues/2026-05", format="pdf", language=language)).content
        assert pdf == paper.render(document, language)
        papers[language] = text_of(pdf)
    for text in papers.values():
        assert number in text
        assert fingerprint in text
        assert '#panic("x") *굵게* $x^2$' in text
        assert "a" * 300 in "".join(text.replace("\u200b", "").split())
        assert "0123456789abcdef" * 4 in text
        assert "2026-05-20 12:00 KST" in text
    assert "서구청" in papers["ko"]
    assert "정정·보완: 2026-05-20 12:00 KST에 게시된 제1판을 대신합니다." in papers["ko"]
    assert "Seogu District" in papers["en"]
    assert "Restatement: takes the place of version 1" in papers["en"]


async def test_an_agency_sees_no_issue_of_the_city(centre: TestCentre) -> None:
    centre.clock.advance(timedelta(days=31))
    await got(centre, "issues/2026-05")
    assert (await ask(centre, "officer", "issues/2026-05")).status_code == 404
    assert (await ask(centre, "officer", "issues")).json()["items"] == []
