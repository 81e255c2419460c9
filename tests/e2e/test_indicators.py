"""`bongsu indicators` against a running centre: a feed comes in by the command line, and a line over the wire meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.indicators import bundle, misp_event
from tests.servers.centre import RunningCentre

LINE = (
    'date=2026-03-02 time=10:15:00 devname="fw-01" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" subtype="forward" '
    'vd="root" srcip=10.1.1.{} srcport=40000 dstip=203.0.113.66 dstport=443 proto=6 action="accept" policyid=1'
)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[RunningCentre]:
    detect = {"own_rules": False}
    agencies = [{"id": "jongno-gu", "name_ko": "종로구"}]
    centre = RunningCentre(tmp_path, {"intake": {"listeners": []}, "agencies": agencies, "detect": detect})
    yield centre
    centre.close()


def test_a_feed_is_taken_in_met_asked_for_and_deleted(centre: RunningCentre) -> None:
    made = ("keys", "create", "cert", "--action", "indicators:write", "--action", "indicators:read")
    keys = {"BONGSU_KEY": centre.command(*made).strip()}
    log_key = centre.log_key("jongno-gu", "fw")
    centre.start()
    lead = centre.user("lead", "soc_lead")

    def indicators(*words: str, code: int = 0) -> str:
        environment = {**os.environ, **keys}
        command = [sys.executable, "-m", "runtime", "indicators", *words, "--to", centre.url]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stderr
        return done.stderr if code and not done.stdout else done.stdout

    stix, misp, csv = (centre.folder / name for name in ("stix.json", "misp.json", "feed.csv"))
    stix.write_bytes(bundle("[ipv4-addr:value = '203.0.113.66']", "[file:name = 'a.exe']", confidence=90))
    misp.write_text(json.dumps(misp_event(("domain", "evil.example"))), encoding="utf-8")
    csv.write_text("value\n203.0.113.0/24\n", encoding="utf-8")
    shown = indicators("import", str(stix), "--feed", "kisa", "--tlp", "green")
    assert "1 accepted, 1 of them new" in shown
    assert "refused 1: unsupported" in shown
    assert json.loads(indicators("import", str(misp), "--feed", "cert", "--json"))["accepted"] == 1
    indicators("import", str(csv), "--feed", "wide")
    assert {one["name"]: one["in_force"] for one in json.loads(indicators("list", "--json"))} == {
        "cert": {"domain": 1},
        "kisa": {"address": 1},
        "wide": {"network": 1},
    }
    assert "evil.example" in indicators("check", "www.evil.example")
    assert "is not known" in indicators("check", "fine.example", code=1)
    number = first_incident(centre, lead, log_key)
    evidence = lead.get(f"/v1/incidents/{number}").json()["evidence"]
    assert {(one["rule_id"], one["rule_level"]) for one in evidence} <= {("indicator-kisa", "high"), ("indicator-wide", "medium")}
    indicators("delete", "wide")
    assert "kisa" in indicators("list")
    assert "there is no feed" in indicators("delete", "wide", code=1)
    assert centre.stop() == 0


def first_incident(centre: RunningCentre, lead: httpx.Client, log_key: str) -> str:
    """Send lines until one met an indicator: the stream takes a new feed up within seconds."""
    deadline = time.monotonic() + 60
    for host in range(1, 250):
        answer = httpx.post(f"{centre.url}/v1/logs", content=LINE.format(host).encode(), headers={"Authorization": f"Bearer {log_key}"})
        assert answer.status_code == 200, answer.text
        time.sleep(0.5)
        if found := lead.get("/v1/incidents").json()["items"]:
            return str(found[0]["number"])
        assert time.monotonic() < deadline, "no incident"
    raise AssertionError("no incident")
