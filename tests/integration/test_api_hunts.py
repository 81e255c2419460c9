"""Hunts over the API and the command line: who may ask, what is told, and what is written down about it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from core import topics
from core.clock import FixedClock
from core.events import DETECTIONS
from core.storage.writer import TableWriter
from detect.hunt import requests
from detect.hunt.runner import HuntRunner
from respond.models import Audit
from tests.servers.api import FIRST_SEEN, TestCentre, running_centre, settings_for
from tests.servers.centre import RunningCentre

NOW = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)
BAD = "00000000-0000-4000-8000-000000000001"
RULE = f"title: Bad\nid: {BAD}\nlevel: high\nlogsource: {{category: web}}\ndetection: {{s: {{url: /bad}}, condition: s}}\n"
PASTED = "title: Mine\nlogsource: {category: web}\ndetection: {s: {url|contains: goo}, condition: s}\n"
SPAN = {"since": "2026-05-01T00:00:00Z", "until": "2026-05-01T12:00:00+09:00"}
ASK = SPAN | {"rule_ids": [BAD]}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "bad.yml").write_text(RULE)
    detect = {"own_rules": False, "rule_folders": [str(tmp_path / "rules")]}
    async with running_centre(settings_for(tmp_path / "data", detect=detect), FixedClock(NOW)) as made:
        for agency in ("seogu", "parks"):
            await made.put_events(agency, NOW - timedelta(hours=1), 3, log_class="web", url="/bad")
            await made.put_events(agency, NOW - timedelta(hours=1), 2, log_class="web", url="/good")
        yield made


def service(centre: TestCentre) -> HuntRunner:
    parts = centre.centre
    clock = parts.clock
    history = timedelta(days=30)
    return HuntRunner(
        parts.store, parts.bus, parts.database, clock, parts.rules, centre.engine, history=history, busy=lambda: False, holder="here"
    )


async def search(centre: TestCentre) -> None:
    """Run what waits, and store what was found."""
    runner = service(centre)
    while await runner.step():
        pass
    reader = await centre.centre.bus.consumer("test", [topics.DETECTIONS])
    while records := await reader.poll(max_messages=100, max_bytes=1 << 24, timeout=0.2):
        await TableWriter(centre.centre.store, DETECTIONS).handle(records, 1)
        await reader.commit({(one.topic, one.partition): one.offset + 1 for one in records})
    await reader.close()


def trail(centre: TestCentre) -> list[tuple[str, str, str]]:
    with centre.centre.database.session(readonly=True) as session:
        rows = session.execute(sa.select(Audit.actor, Audit.action, Audit.object).where(Audit.action.like("hunt.%")).order_by(Audit.seq))
        return [(actor, action, about) for actor, action, about in rows]


async def test_a_hunt_is_asked_watched_and_read(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        cost = await analyst.post("/v1/hunts", json=ASK | {"dry_run": True})
        assert (cost.status_code, cost.json()["rows"]) == (200, 10)
        assert cost.json().keys() == {"rows", "bytes", "seconds"}
        asked = await analyst.post("/v1/hunts", json=ASK | {"rules": PASTED})
        assert (asked.status_code, asked.json()["state"]) == (202, "queued")
        hunt_id = asked.json()["id"]
        await search(centre)
        done = (await analyst.get(f"/v1/hunts/{hunt_id}")).json()
        assert (done["state"], done["rows_done"], done["rows_total"], done["asked_by"]) == ("done", 10, 10, "user:analyst")
        bad, mine = done["rules"]
        assert (bad["id"], bad["matches"], bad["kept"], bad["capped"]) == (BAD, 6, 6, False)
        assert [(one["agency"], one["matches"]) for one in bad["agencies"]] == [("parks", 3), ("seogu", 3)]
        assert (mine["title"], mine["matches"]) == ("Mine", 4)
        first = (await analyst.get(f"/v1/events/{bad['agencies'][0]['first_event_id']}")).json()
        assert (first["agency"], first["event_time"]) == ("parks", "2026-05-01T02:00:00.000Z")
        assert [one["id"] for one in (await analyst.get("/v1/hunts", params={"kind": "hunt"})).json()["items"]] == [hunt_id]
        assert (await analyst.get("/v1/hunts", params={"kind": "backfill"})).json()["items"] == []

        seen, cursor = [], ""
        for _ in range(10):
            page = (await analyst.get(f"/v1/hunts/{hunt_id}/detections", params={"limit": 3, "cursor": cursor})).json()
            seen += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert len(seen) == len({one["detection_id"] for one in seen}) == 10
        assert [one["event_time"] for one in seen] == sorted(one["event_time"] for one in seen)
        assert all(one["detection_id"] == f"{one['rule_id']}:{one['event_id']}" for one in seen)
        of_rule = (await analyst.get(f"/v1/hunts/{hunt_id}/detections", params={"rule_id": BAD})).json()["items"]
        assert {one["url"] for one in of_rule} == {"/bad"}
        hours = (await analyst.get(f"/v1/hunts/{hunt_id}/hours")).json()["items"]
        assert hours == [{"at": "2026-05-01T02:00:00Z", "detections": 10}]
        minutes = (await analyst.get("/v1/counters")).json()
        assert minutes["detections_today"] == 0, "what was asked of history did not happen now"
    assert trail(centre) == [("user:analyst", "hunt.asked", f"hunt/{hunt_id}")]


async def test_a_hunt_waits_in_a_bounded_queue_and_can_be_cancelled(centre: TestCentre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LONGEST_QUEUE", 2)
    async with centre.as_person("lead") as lead:
        ids = [(await lead.post("/v1/hunts", json=ASK)).json()["id"] for _ in range(2)]
        full = await lead.post("/v1/hunts", json=ASK)
        assert (full.status_code, full.json()["code"]) == (429, "too_many")
        assert full.headers["retry-after"] == "60"
        ended = await lead.delete(f"/v1/hunts/{ids[0]}", headers=FIRST_SEEN)
        assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
        assert (await lead.delete(f"/v1/hunts/{ids[0]}", headers={"If-Match": ended.headers["etag"]})).status_code == 409
        assert (await lead.delete("/v1/hunts/0123456789ab", headers=FIRST_SEEN)).status_code == 404
        assert (await lead.post("/v1/hunts", json=ASK)).status_code == 202
        pages = [(await lead.get("/v1/hunts", params={"limit": 2})).json()]
        pages.append((await lead.get("/v1/hunts", params={"limit": 2, "cursor": pages[0]["next_cursor"]})).json())
        assert [len(page["items"]) for page in pages] == [2, 1]
        assert pages[1]["next_cursor"] == ""
    assert [action for _, action, _ in trail(centre)] == ["hunt.asked", "hunt.asked", "hunt.cancelled", "hunt.asked"]


async def test_a_hunt_reaches_no_further_than_its_asker(centre: TestCentre) -> None:
    async with (
        centre.as_machine("hunts:run", "logs:read", agency="seogu") as own,
        centre.as_machine("hunts:run") as blind,
        centre.as_person("analyst") as analyst,
    ):
        assert (await own.post("/v1/hunts", json=ASK | {"dry_run": True})).json()["rows"] == 5
        assert (await own.post("/v1/hunts", json=ASK | {"agencies": ["parks"]})).status_code == 403
        mine = (await own.post("/v1/hunts", json=ASK)).json()
        assert mine["agencies"] == ["seogu"]
        everyones = (await analyst.post("/v1/hunts", json=ASK)).json()
        parks = (await analyst.post("/v1/hunts", json=ASK | {"agencies": ["parks"]})).json()
        await search(centre)
        found = (await own.get(f"/v1/hunts/{mine['id']}")).json()
        assert (found["rows_total"], found["rules"][0]["matches"]) == (5, 3)
        assert [one["agency"] for one in (await own.get(f"/v1/hunts/{mine['id']}/detections")).json()["items"]] == ["seogu"] * 3
        for hidden in (everyones, parks):
            for path in ("", "/detections", "/hours"):
                assert (await own.get(f"/v1/hunts/{hidden['id']}{path}")).status_code == 404
            assert (await own.delete(f"/v1/hunts/{hidden['id']}", headers=FIRST_SEEN)).status_code == 404
        assert [one["id"] for one in (await own.get("/v1/hunts")).json()["items"]] == [mine["id"]]
        assert (await blind.get(f"/v1/hunts/{parks['id']}")).status_code == 200
        assert (await blind.get(f"/v1/hunts/{parks['id']}/detections")).status_code == 403, "raw lines need logs:read"


async def test_others_do_not_hunt(centre: TestCentre) -> None:
    for name in ("mayor", "officer", "auditor", "privacy", "admin"):
        async with centre.as_person(name) as person:
            answers = [
                await person.post("/v1/hunts", json=ASK),
                await person.get("/v1/hunts"),
                await person.delete("/v1/hunts/0123456789ab", headers=FIRST_SEEN),
            ]
        assert [one.status_code for one in answers] == [403] * 3


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"rule_ids": []}, 422, "at least one rule"),
    ({"rule_ids": ["nonsense"]}, 404, "nonsense"),
    ({"until": SPAN["since"]}, 422, "before"),
    ({"since": "2026-05-01T00:00:00"}, 422, "since"),
    ({"rules": "detection: ["}, 422, "YAML"),
    ({"rules": PASTED.replace("url", "Image")}, 422, "Image"),
    ({"rules": PASTED.replace("url|contains: goo", "url|re: '(?<=a)b'"), "dry_run": True}, 422, "Mine"),
    ({"agencies": []}, 422, "agency"),
    ({"kind": "first_knowable"}, 422, "kind"),
    ({"kind": "backfill", "rules": PASTED}, 422, "saved rules"),
    ({"colour": "red"}, 422, "colour"),
]


async def test_what_cannot_be_hunted_is_refused_by_name(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst:
        for changes, status, said in REFUSED:
            answer = await analyst.post("/v1/hunts", json=ASK | changes)
            assert (answer.status_code, said in answer.json()["detail"]) == (status, True), f"{changes}: {answer.text}"
        assert (await analyst.get("/v1/hunts")).json()["items"] == []


async def test_what_history_says_of_a_new_rule_is_told_within_scope(centre: TestCentre) -> None:
    async with centre.as_person("analyst") as analyst, centre.as_person("officer") as officer, centre.as_person("mayor") as mayor:
        path = f"/v1/rules/{BAD}/first-knowable"
        assert (await analyst.get(path)).status_code == 404
        await service(centre).background.look_around()
        waiting = (await analyst.get(path)).json()
        assert (waiting["state"], waiting["searched_at"], waiting["agencies"]) == ("queued", None, [])
        await search(centre)
        told = (await analyst.get(path)).json()
        assert (told["matches"], [one["agency"] for one in told["agencies"]]) == (6, ["parks", "seogu"])
        assert told["agencies"][0]["first_event_at"] == "2026-05-01T02:00:00Z"
        own = (await officer.get(path)).json()
        assert (own["matches"], [one["agency"] for one in own["agencies"]]) == (3, ["seogu"])
        assert (await mayor.get(path)).status_code == 403
        listed = (await analyst.get("/v1/hunts", params={"kind": "first_knowable"})).json()["items"]
        assert [(one["asked_by"], one["rules"][0]["matches"]) for one in listed] == [("system:detect", 6)]


# ---- the command line, on a centre in a process of its own ----


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningCentre]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "bad.yml").write_text(RULE)
    agencies = [{"id": "seogu", "name_ko": "서구청", "sources": [{"name": "web-1"}]}]
    settings = {
        "agencies": agencies,
        "intake": {"listeners": []},
        "detect": {"own_rules": False, "rule_folders": [str(tmp_path / "rules")]},
        "bus": {"min_free_disk_mb": 0},
    }
    centre = RunningCentre(tmp_path, settings)
    yield centre
    centre.close()


def test_the_command_hunts_on_a_running_centre(running: RunningCentre, tmp_path: Path) -> None:
    running.start()
    writer = running.log_key("seogu", "web-1")
    key = running.command("keys", "create", "hunter", "--action", "hunts:run", "--action", "logs:read").strip()
    at = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    lines = [f'203.0.113.{n} - - [{at}] "GET {"/bad" if n < 3 else "/good"} HTTP/1.1" 200 12 "-" "curl/8"' for n in range(10)]
    sent = httpx.post(
        f"{running.url}/v1/logs", content="\n".join(lines), headers={"Authorization": f"Bearer {writer}", "Content-Type": "text/plain"}
    )
    assert sent.json()["lines"] == 10
    running.wait_until_handled(10)
    to = ["--to", running.url, "--key", key]

    def hunt(*words: str) -> str:
        command = [sys.executable, "-m", "runtime", "hunt", *words, *to]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "COLUMNS": "200"})
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    cost = json.loads(hunt("run", "--rule", BAD, "--since", "2d", "--dry-run", "--json"))
    assert cost["rows"] == 10
    (tmp_path / "mine.yml").write_text(PASTED)
    done = json.loads(hunt("run", "--rule", BAD, "--rule", str(tmp_path / "mine.yml"), "--since", "2d", "--json"))
    assert (done["state"], [one["matches"] for one in done["rules"]]) == ("done", [3, 7])
    told = [json.loads(line) for line in hunt("detections", done["id"]).splitlines()]
    assert sorted(one["src_ip"] for one in told) == [f"203.0.113.{n}" for n in range(10)]
    assert re.search(r"hunt\s+.\s+done", hunt("list"))
    shown = hunt("show", done["id"])
    assert "Mine" in shown
    assert "seogu" in shown
    again = hunt("run", "--rule", BAD, "--since", "2d", "--no-wait").split()[-1]
    assert json.loads(hunt("show", again, "--json"))["id"] == again
    filled = json.loads(hunt("backfill", "--rule", BAD, "--since", "2d", "--json"))
    assert (filled["kind"], filled["state"], filled["rules"][0]["kept"]) == ("backfill", "done", 0), "the stream has it all"
    assert "first_knowable" in hunt("list", "--kind", "first_knowable")
