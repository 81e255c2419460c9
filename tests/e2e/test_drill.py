"""A joint drill on a running centre over real sockets: tagged end to end, scored, in no feed and no figure; a forged ticket hides none."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.signing import Signer, load_signer
from tests.drills import ticket
from tests.servers.centre import RunningCentre, free_port

T = TypeVar("T")
DEADLINE = 90.0
SQL_INJECTION = "55e499dc-591f-419c-ab10-8be8bae8d3e5"
LINE = '{src} - - [{clf}] "GET /board/view.do?id={n}%27%20UNION%20SELECT%20id,pw%20FROM%20member-- HTTP/1.1" 500 512 "-" "Mozilla/5.0"'
LINES = 4


def scenario() -> dict[str, Any]:
    """Both agencies see an injection; the second is asked besides for what its lines do not show."""
    find = {"name": "injection", "ko": "삽입", "en": "injection", "rules": [SQL_INJECTION], "within": 60}
    never = {"name": "never", "ko": "없음", "en": "nothing", "rules": ["no-such-rule"], "within": 1}

    def role(name: str, src: str, expect: list[dict[str, Any]]) -> dict[str, Any]:
        lines = [{"source": "web", "at": 0, "repeat": LINES, "every": 0.2, "line": LINE.replace("{src}", src)}]
        sources = [{"name": "web", "product": "httpd"}]
        return {"name": name, "ko": "역할", "en": "role", "sources": sources, "lines": lines, "expect": expect}

    told = dict.fromkeys(("title_ko", "title_en", "about_ko", "about_en"), "훈련")
    roles = [role("first", "203.0.113.200", [find]), role("second", "203.0.113.201", [find, never])]
    return {"id": "two-injections", "version": "1", **told, "roles": roles}


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[RunningCentre, int]]:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "two.yaml").write_text(yaml.safe_dump(scenario(), allow_unicode=True), encoding="utf-8")
    port = free_port()
    settings = {
        "intake": {"listeners": [{"name": "tcp", "kind": "tcp", "host": "127.0.0.1", "port": port}]},
        "agencies": [
            {"id": "seogu", "name_ko": "서구청", "sources": [{"name": "web", "addresses": ["127.0.0.1/32"]}]},
            {"id": "parks", "name_ko": "공원녹지사업소"},
        ],
        "respond": {"drills": {"scenarios_folder": str(folder)}},
    }
    made = RunningCentre(tmp_path, settings)
    try:
        made.start()
        yield made, port
    finally:
        made.close()


def until(what: Callable[[], T | None]) -> T:
    """What `what` gives as soon as it gives something."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {DEADLINE} s")


def take(client: httpx.Client, drill: str, action: str, **body: Any) -> dict[str, Any]:
    etag = client.get(f"/v1/drills/{drill}").headers["ETag"]
    answer = client.post(f"/v1/drills/{drill}/{action}", json=body, headers={"If-Match": etag})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def send(port: int, *lines: str) -> None:
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall("".join(f"{line}\n" for line in lines).encode())


def real_line(src: str) -> str:
    now = datetime.now(UTC)
    return LINE.replace("{src}", src).replace("{clf}", f"{now:%d/%b/%Y:%H:%M:%S} +0000").replace("{n}", "9")


def test_a_joint_drill_from_its_plan_to_its_report(centre: tuple[RunningCentre, int]) -> None:
    running, port = centre
    people = {name: running.user(name, role) for name, role in (("lead", "soc_lead"), ("mayor", "mayors_office"))}
    officers = {agency: running.user(agency, "agency_officer", agency) for agency in ("seogu", "parks")}
    lead, mayor = people["lead"], people["mayor"]
    for client in (*people.values(), *officers.values()):
        client.headers["X-CSRF-Token"] = client.get("/v1/me").json()["csrf_token"]

    planned = lead.post("/v1/drills", json={"scenario": "two-injections", "agencies": ["seogu", "parks"]})
    assert planned.status_code == 201, planned.text
    drill = planned.json()["number"]
    early = lead.post(f"/v1/drills/{drill}/start", json={}, headers={"If-Match": '"1"'})
    assert early.status_code == 422
    assert "notice" in early.json()["detail"]
    take(mayor, drill, "give_notice", text="On Tuesday at two")
    take(officers["seogu"], drill, "acknowledge")
    take(lead, drill, "start")

    told = until(lambda: one if (one := lead.get(f"/v1/drills/{drill}").json())["sending"] == "done" else None)
    assert [(one["agency"], one["sent"]) for one in told["parties"]] == [("seogu", LINES), ("parks", LINES)]
    found = until(lambda: items if len(items := exercises(lead)) == 2 else None)
    assert {(one["agency"], one["entity_value"], one["drill"]) for one in found} == {
        ("seogu", "203.0.113.200", drill),
        ("parks", "203.0.113.201", drill),
    }

    # A real attack of the same address, and one behind a ticket of another's making, are real incidents of the sender.
    forged = ticket(datetime.now(UTC), drill=drill, agency="parks", signer=Signer(Ed25519PrivateKey.generate()))
    send(port, real_line("203.0.113.200"))
    send(port, forged, real_line("203.0.113.99"))
    real = until(lambda: items if len(items := lead.get("/v1/incidents", params={"exercise": "false"}).json()["items"]) == 2 else None)
    assert {(one["agency"], one["entity_value"], one["exercise"], one["drill"]) for one in real} == {
        ("seogu", "203.0.113.200", False, ""),
        ("seogu", "203.0.113.99", False, ""),
    }
    events = lead.get("/v1/events", params={"exercise": drill}).json()["items"]
    assert len(events) == 2 * LINES
    assert {one["source"] for one in events} == {"exercise/web"}
    counters = lead.get("/v1/counters").json()
    assert counters["received_today"] == 3  # two real lines and the forged ticket, which is a quarantined line
    assert counters["quarantined_today"] == 1
    assert counters["open_incidents"] == 2

    # A ticket of ours that was on the wire already is good for nobody else.
    again = ticket(datetime.now(UTC), drill=drill, agency="parks", signer=load_signer(running.data / "keys" / "signing.pem"))
    send(port, again, real_line("203.0.113.201"))
    send(port, again, real_line("203.0.113.98"))
    until(lambda: one_of("203.0.113.98", lead))
    assert one_of("203.0.113.98", lead)["exercise"] is False

    mine = next(one for one in found if one["agency"] == "seogu")["number"]
    etag = lead.get(f"/v1/incidents/{mine}").headers["ETag"]
    assert lead.post(f"/v1/incidents/{mine}/triage", json={}, headers={"If-Match": etag}).status_code == 200
    report_and_receive(officers["seogu"], lead, mine)
    assert lead.get("/v1/feed/reports").json()["items"] == []

    score = take(lead, drill, "score")
    assert score["state"] == "scored"
    detail = lead.get(f"/v1/drills/{drill}").json()
    assert (detail["score"]["expected"], detail["score"]["found"], detail["score"]["in_time"]) == (3, 2, 2)
    first, second = detail["score"]["agencies"]
    assert 0 <= first["detect_seconds"] <= first["triage_seconds"] <= first["report_seconds"] < DEADLINE * 3
    assert (second["triage_seconds"], second["report_seconds"]) == (None, None)
    assert [find["found"] for find in second["finds"]] == [True, False]
    assert not [one for one in detail["progress"]["clocks"] if one["basis"] == "pack"]

    take(lead, drill, "ask_correction", requests=[{"agency": "parks", "items": ["Send the logs of the proxy"]}])
    drafted = mayor.get("/v1/requests", params={"about": f"drill/{drill}"}).json()["items"]
    assert [(one["article"], one["agency"], one["exercise"]) for one in drafted] == [("21(4)", "parks", False)]
    take(lead, drill, "close", findings="The second agency looked too late")

    document = mayor.get(f"/v1/drills/{drill}/report").json()
    assert document["score"]["found"] == 2
    theirs = officers["parks"].get(f"/v1/drills/{drill}/report").json()
    assert [one["agency"] for one in theirs["score"]["agencies"]] == ["parks"]
    for language in ("ko", "en"):
        paper = mayor.get(f"/v1/drills/{drill}/report", params={"format": "pdf", "language": language})
        assert paper.content.startswith(b"%PDF")
        assert paper.content == mayor.get(f"/v1/drills/{drill}/report", params={"format": "pdf", "language": language}).content


def exercises(client: httpx.Client) -> list[dict[str, Any]]:
    return client.get("/v1/incidents", params={"exercise": "true"}).json()["items"]  # type: ignore[no-any-return]


def one_of(address: str, client: httpx.Client) -> dict[str, Any]:
    items = client.get("/v1/incidents", params={"q": address}).json()["items"]
    return items[0] if items else {}


def report_and_receive(officer: httpx.Client, lead: httpx.Client, incident: str) -> None:
    """The agency reports the incident, and the centre receives it."""
    told = {"incident": incident, "learned_at": datetime.now(UTC).isoformat(), "system": "홈페이지", "summary": "훈련"}
    drafted = officer.post("/v1/reports", json=told).json()
    number, etag = drafted["number"], f'"{drafted["version"]}"'
    assert drafted["exercise"] is True
    submitted = officer.post(f"/v1/reports/{number}/submit", json={}, headers={"If-Match": etag})
    assert submitted.status_code == 200, submitted.text
    received = lead.post(f"/v1/reports/{number}/receive", json={}, headers={"If-Match": submitted.headers["ETag"]})
    assert received.json()["receipt"].startswith("RCX-")
