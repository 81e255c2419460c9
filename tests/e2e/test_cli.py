"""The command line as people and scripts use it: what it prints, and how it fails."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from runtime import cli
from tests.servers.centre import RunningCentre, free_port

LINE = (
    'date=2026-03-02 time=10:15:00 devname="fw-01" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" subtype="forward" '
    'vd="root" srcip=10.1.1.{} srcport=40000 dstip=198.51.100.7 dstport=443 proto=6 action="accept" policyid=1'
)


def bongsu(*words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BONGSU_")}
    done = subprocess.run(
        [sys.executable, "-m", "runtime", *words], input=stdin, env={**clean, **environment}, capture_output=True, timeout=120, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file of an installation that was never started."""
    tree = {
        "data_dir": str(tmp_path / "data"),
        "api": {"port": free_port()},
        "intake": {"listeners": [{"name": "tcp", "kind": "tcp", "host": "127.0.0.1", "port": free_port()}]},
        "agencies": [{"id": "jongno-gu", "name_ko": "종로구"}],
    }
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    return file


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[RunningCentre]:
    """An installation without listeners, not started."""
    centre = RunningCentre(tmp_path, {"intake": {"listeners": []}, "agencies": [{"id": "jongno-gu", "name_ko": "종로구"}]})
    yield centre
    centre.close()


def test_help_names_every_command() -> None:
    shown = bongsu("--help").stdout
    stages = ("receive", "normalise", "store", "detect", "correlate", "respond", "api")
    for command in ("up", *stages, "replay", "parse", "rules", "db", "doctor", "bench"):
        assert command in shown


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_list_can_be_loaded_under_its_name(name: str) -> None:
    assert cli.load(name).name == name


def test_a_command_that_is_not_there_is_said_so() -> None:
    done = bongsu("nosuch")
    assert done.returncode == 2
    assert "nosuch" in done.stderr


@pytest.mark.parametrize(
    ("environment", "words", "said"),
    [
        ({"BONGSU_API__PORT": "ninety"}, ("up",), "setting 'api.port'"),
        ({"BONGSU_APY": "1"}, ("up",), "setting 'apy': there is no such setting"),
        ({}, ("up", "--config", "/nowhere/settings.yaml"), "/nowhere/settings.yaml"),
        ({}, ("detect",), "setting 'bus.kind'"),
        ({}, ("replay", "/nowhere/lines.log", "--to", "http://127.0.0.1:1"), "--key"),
        ({}, ("rules", "match", "--cases", "/nowhere/cases.jsonl"), "/nowhere/cases.jsonl"),
    ],
)
def test_a_wrong_setting_or_file_is_one_line_on_stderr(environment: dict[str, str], words: tuple[str, ...], said: str) -> None:
    done = bongsu(*words, **environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken_stops_the_start_and_is_named(settings: Path) -> None:
    tree = yaml.safe_load(settings.read_text(encoding="utf-8"))
    tree["intake"]["listeners"].append({**tree["intake"]["listeners"][0], "name": "again"})
    settings.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    done = bongsu("up", "--config", str(settings))
    assert done.returncode == 2
    assert str(tree["intake"]["listeners"][0]["port"]) in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_finds_a_sound_installation_sound_and_names_what_is_not(settings: Path) -> None:
    bongsu("db", "migrate", "--config", str(settings))
    sound = bongsu("doctor", "--json", "--config", str(settings))
    assert sound.returncode == 0, sound.stdout + sound.stderr
    findings = {finding["check"]: finding for finding in json.loads(sound.stdout)}
    assert {"data folder", "listener tcp", "api", "parsers", "rules", "database", "bus", "store"} <= findings.keys()
    assert all(finding["ok"] for name, finding in findings.items() if name != "open files")

    broken = bongsu("doctor", "--config", str(settings), BONGSU_DATABASE__URL="postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert broken.returncode == 1
    assert "database" in broken.stdout


def test_parse_prints_one_object_per_line_in_order() -> None:
    lines = [LINE.format(1), "nothing any parser knows", "", LINE.format(2)]
    done = bongsu("parse", "-", stdin="\n".join(lines).encode())
    assert done.returncode == 0, done.stderr
    first, unknown, empty, last = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["parser"], first["src_ip"], first["dst_port"], first["disposition"]) == ("fortigate", "10.1.1.1", 443, "allow")
    assert last["src_ip"] == "10.1.1.2"
    assert unknown["quarantine"] == "no_parser"
    assert empty["quarantine"] == "empty"


def test_rules_match_answers_in_order_and_keeps_an_error_to_its_case(tmp_path: Path) -> None:
    rule = "title: t\nlogsource: {{category: firewall}}\ndetection:\n  sel:\n    dst_port: {}\n  condition: sel\n"
    cases = [
        {"id": "hit", "rule_yaml": rule.format(3389), "event": {"dst_port": 3389}},
        {"id": "bad", "rule_yaml": "title: [", "event": {}},
        {"id": "miss", "rule_yaml": rule.format(3389), "event": {"dst_port": 22}},
    ]
    file = tmp_path / "cases.jsonl"
    file.write_text("\n".join(json.dumps(case) for case in cases), encoding="utf-8")
    done = bongsu("rules", "match", "--cases", str(file))
    hit, bad, miss = (json.loads(line) for line in done.stdout.splitlines())
    assert hit == {"id": "hit", "match": True}
    assert miss == {"id": "miss", "match": False}
    assert bad["id"] == "bad"
    assert "error" in bad


def test_replay_puts_a_file_on_the_bus_of_a_stopped_centre_which_then_stores_it(centre: RunningCentre) -> None:
    file = centre.folder / "lines.log.gz"
    file.write_bytes(gzip.compress("\n".join(LINE.format(number) for number in range(1, 201)).encode()))
    assert "200 lines" in centre.command("replay", str(file), "--agency", "jongno-gu")
    centre.start()
    centre.wait_until_handled(200)
    assert centre.stop() == 0
    assert sum(centre.stored().events.values()) == 200


def test_replay_through_a_running_centre_and_a_second_start_finds_its_data(centre: RunningCentre) -> None:
    file = centre.folder / "lines.log"
    file.write_text("\n".join(LINE.format(number) for number in range(1, 101)), encoding="utf-8")
    key = centre.log_key("jongno-gu", "fw")
    centre.start()
    refused = bongsu("replay", str(file), "--agency", "jongno-gu", "--config", str(centre.config))
    assert refused.returncode == 1
    assert "another bongsu runs there" in refused.stderr
    assert "100 lines" in centre.command("replay", str(file), "--to", centre.url, environment={"BONGSU_KEY": key})
    centre.wait_until_handled(100)
    assert centre.stop() == 0

    centre.start()
    lead = centre.user("lead", "soc_lead")
    page = lead.get("/v1/events", params={"since": "2026-03-01T00:00:00Z", "until": "2026-03-03T00:00:00Z", "limit": 200}).json()
    assert len(page["items"]) == 100
    assert centre.stop() == 0


class Demo:
    """`bongsu up --demo` as `make run` starts it, on ports of this test's own."""

    def __init__(self, folder: Path) -> None:
        listeners = [{"name": "tcp", "kind": "tcp", "host": "127.0.0.1", "port": free_port()}]
        self.port = free_port()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BONGSU_")},
            "BONGSU_DATA_DIR": str(folder / "data"),
            "BONGSU_API__PORT": str(self.port),
            "BONGSU_INTAKE__LISTENERS": json.dumps(listeners),
        }
        self._said = folder / "said.txt"

    def run(self, work: Callable[[str], None]) -> None:
        """Start, hand what it said to `work` once it runs, and stop it by Ctrl-C."""
        with self._said.open("wb") as said:
            process = subprocess.Popen([sys.executable, "-m", "runtime", "up", "--demo"], env=self._environment, stdout=said, stderr=said)
        try:
            until(60, lambda: process.poll() is not None or "Ctrl-C stops it" in self._said.read_text(encoding="utf-8"))
            assert process.poll() is None, self._said.read_text(encoding="utf-8")
            work(self._said.read_text(encoding="utf-8"))
            process.send_signal(signal.SIGINT)
            assert process.wait(40) == 0
        finally:
            process.kill()
            process.wait(10)


def until(seconds: float, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def incidents_of_lead(port: int, said: str) -> Callable[[], list[str]]:
    """Log in with the account the terminal showed; gives the numbers of all incidents, oldest first, at each call."""
    assert f"http://127.0.0.1:{port}" in said
    found = re.search(r"│ lead +│ (\S+) +│ soc_lead", said)
    assert found, said
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.post("/v1/login", json={"name": "lead", "password": found[1]}).status_code == 200
        cookies = dict(client.cookies)

    def numbers() -> list[str]:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", cookies=cookies) as client:
            items = client.get("/v1/incidents", params={"limit": 200}).json()["items"]
        return sorted(item["number"] for item in items)

    return numbers


def test_the_demo_shows_an_incident_within_a_minute_and_finds_it_again(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    first: list[str] = []

    def newcomer(said: str) -> None:
        numbers = incidents_of_lead(demo.port, said)
        until(60, lambda: bool(numbers()))
        first.extend(numbers())

    demo.run(newcomer)
    demo.run(lambda said: first.append("again") if set(first) <= set(incidents_of_lead(demo.port, said)()) else None)
    assert first[-1] == "again"
    assert len(first) > 1


def test_migrating_twice_is_safe(settings: Path) -> None:
    first = bongsu("db", "migrate", "--config", str(settings))
    second = bongsu("db", "migrate", "--config", str(settings))
    assert "applied 0001" in first.stdout
    assert second.stdout == "the schema is up to date\n"


# ---- parsers ----

ACME = "<134>Mar  5 10:00:0{} fw-1 acme: acme_id=7{} src=10.0.0.{} sport=40000 dst=203.0.113.9 dport=443 proto=tcp disp={}\n".format


def test_a_new_parser_from_its_first_draft_to_its_samples(tmp_path: Path) -> None:
    lines = tmp_path / "lines.log"
    lines.write_text(ACME(1, 1, 5, "permit") + ACME(2, 2, 6, "drop"))
    own = tmp_path / "own"
    own.mkdir()
    environment: dict[str, Any] = {"BONGSU_INTAKE__PARSERS_FOLDER": str(own)}
    made = bongsu("parsers", "new", "acme_fw", str(lines), "--vendor", "Acme", "--product", "Firewall", **environment)
    assert made.returncode == 0, made.stderr
    assert "2 of 2 lines are recognised" in made.stdout
    again = bongsu("parsers", "new", "acme_fw", str(lines), "--vendor", "Acme", "--product", "Firewall", **environment)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)

    untried = bongsu("parsers", "test", "acme_fw", **environment)
    assert (untried.returncode, "parsers test --accept" in untried.stderr) == (2, True)
    assert bongsu("parsers", "test", "acme_fw", "--accept", **environment).returncode == 0
    expected = own / "samples" / "acme_fw" / "lines.expected.jsonl"
    rows = [json.loads(line) for line in expected.read_text().splitlines()]
    assert [(row["src_ip"], row["disposition"]) for row in rows] == [("10.0.0.5", "allow"), ("10.0.0.6", "deny")]
    assert bongsu("parsers", "test", "acme_fw", **environment).returncode == 0

    expected.write_text(expected.read_text().replace("10.0.0.6", "10.0.0.7"))
    wrong = bongsu("parsers", "test", "acme_fw", **environment)
    assert wrong.returncode == 1
    assert 'lines.log:2: src_ip: expected "10.0.0.7", found "10.0.0.6"' in wrong.stdout
    listed = json.loads(bongsu("parsers", "list", "--json", **environment).stdout)
    assert [(one["vendor"], one["version"], one["samples"]) for one in listed if one["parser"] == "acme_fw"] == [("Acme", 1, 2)]


def test_a_parser_without_samples_fails_its_test(tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text(
        "name: bare\nversion: 1\nvendor: A\nproduct: B\nrecognise: position(head, 'bare=') > 0\n"
        "log_class: \"'system'\"\ncolumns: {device: host}\n"
    )
    done = bongsu("parsers", "test", "bare", BONGSU_INTAKE__PARSERS_FOLDER=str(tmp_path))
    assert (done.returncode, "bare: has no samples" in done.stdout) == (1, True)
    unknown = bongsu("parsers", "test", "nosuch")
    assert (unknown.returncode, "there is no parser 'nosuch'" in unknown.stderr) == (1, True)


def test_coverage_of_a_running_centre_and_of_its_store(centre: RunningCentre, tmp_path: Path) -> None:
    centre.start()
    key = centre.log_key("jongno-gu", "fw-1", "counters:read")
    file = tmp_path / "lines.log"
    file.write_text("".join(f"{LINE.format(host)}\n" for host in range(1, 4)) + "nobody knows this\n")
    environment: dict[str, Any] = {"BONGSU_CONFIG": str(centre.config), "BONGSU_KEY": key}
    assert bongsu("replay", str(file), "--to", centre.url, **environment).returncode == 0

    def asked(*words: str) -> list[dict[str, Any]]:
        done = bongsu("parsers", "coverage", "--json", *words, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    end = time.monotonic() + 60
    while sum(row["lines"] for row in asked("--to", centre.url)) < 4:
        assert time.monotonic() < end
    (row,) = asked("--to", centre.url)
    assert (row["agency"], row["source"], row["parsed"], row["refused"]) == ("jongno-gu", "fw-1", 0.75, {"no_parser": 1})
    assert "url" in row["empty"]["fortigate"]
    assert "src_ip" not in row["empty"]["fortigate"]
    centre.stop()
    assert asked() == [row]
    shown = bongsu("parsers", "coverage", **environment).stdout
    assert "75.0%" in shown
