"""Rules as an operator works with them: the commands, and a running centre whose rules are edited, tuned and silenced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.centre import RunningCentre

ONE = "00000000-0000-4000-8000-000000000001"
LINE = (
    'date=2026-03-02 time=10:15:00 devname="fw-01" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" subtype="forward" '
    'vd="root" srcip=192.0.2.{} srcport=40000 dstip=198.51.100.7 dstport={} proto=6 action="accept" policyid=1'
)
RULE = f"""title: Telnet let through
id: {ONE}
status: experimental
description: It should not be.
level: low
tags: [attack.initial-access, attack.t1133]
logsource: {{category: firewall}}
detection: {{selection: {{disposition: allow, dst_port: 23}}, condition: selection}}
falsepositives: [none]
"""
SAMPLES = {
    "match": [{"parser": "fortigate", "because": "telnet", "line": LINE.format(1, 23)}],
    "no_match": [{"parser": "fortigate", "because": "web", "line": LINE.format(1, 443)}],
}


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[RunningCentre]:
    (tmp_path / "rules").mkdir()
    write(tmp_path, RULE)
    settings = {
        "intake": {"listeners": []},
        "agencies": [{"id": "seogu", "name_ko": "서구"}],
        "detect": {"own_rules": False, "rule_folders": [str(tmp_path / "rules")]},
    }
    made = RunningCentre(tmp_path, settings)
    yield made
    made.close()


def write(folder: Path, text: str, samples: Any = SAMPLES) -> None:
    (folder / "rules" / "telnet_let_through.yml").write_text(text, encoding="utf-8")
    (folder / "rules" / "telnet_let_through.samples.yml").write_text(json.dumps(samples), encoding="utf-8")


def bongsu(centre: RunningCentre, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runtime", *words, "--config", str(centre.config)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.2)
    return found


# ---- commands ----


def test_samples_of_an_operators_folder_are_run(centre: RunningCentre) -> None:
    done = bongsu(centre, "rules", "test", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"files": 1, "without": [], "set_aside": [], "differences": []}
    write(centre.folder, RULE, {"match": SAMPLES["no_match"], "no_match": [{"line": "no log of any kind", "because": "nonsense"}]})
    done = bongsu(centre, "rules", "test", "telnet_let_through")
    assert done.returncode == 1
    assert "match 1 (web): the rule does not match it" in done.stdout
    assert "no_match 1 (nonsense): the line goes to quarantine" in done.stdout
    assert done.stdout.endswith("1 sample files, 2 differences\n")


def test_what_is_refused_is_told_with_its_line_and_ends_with_1(centre: RunningCentre) -> None:
    write(
        centre.folder,
        f"# a comment\n---\n{RULE}---\ntitle: No id\nlogsource: {{category: dns}}\ndetection: {{s: {{dns_query: a}}, condition: s}}\n",
    )
    done = bongsu(centre, "rules", "check", str(centre.folder / "rules"))
    assert done.returncode == 1
    assert "telnet_let_through.yml:13: it has no id" in done.stdout
    write(centre.folder, RULE)
    done = bongsu(centre, "rules", "check", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"rules": 1, "errors": [], "warnings": []})


def test_a_line_is_explained_and_a_rule_converted(centre: RunningCentre) -> None:
    file = str(centre.folder / "rules" / "telnet_let_through.yml")
    done = bongsu(centre, "rules", "explain", "--rule", file, "--line", LINE.format(1, 443))
    assert done.returncode == 1
    assert "no  dst_port is 23   [443]" in done.stdout
    assert done.stdout.endswith("the rule does not match\n")
    done = bongsu(centre, "rules", "explain", "--rule", file, "--event", '{"disposition": "allow", "dst_port": 23}', "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["holds"] is True
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BONGSU_")}
    words = [sys.executable, "-m", "runtime", "rules", "convert", "--rule", file, "--json"]
    converted = json.loads(subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout)
    assert converted["condition"] in converted["hunt"]
    assert converted["columns"] == ["disposition", "dst_port"]


# ---- a running centre ----


def push(centre: RunningCentre, key: str, host: int) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/plain"}
    answer = httpx.post(f"{centre.url}/v1/logs", content=LINE.format(host, 23), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


def fired(lead: httpx.Client) -> int:
    told = lead.get(f"/v1/rules/{ONE}").json()
    return sum(one["detections"] for one in told["agencies"])


def incidents(lead: httpx.Client) -> dict[str, str]:
    return {one["entity_value"]: one["severity"] for one in lead.get("/v1/incidents").json()["items"]}


def test_rules_are_edited_tuned_and_silenced_while_events_flow(centre: RunningCentre) -> None:
    centre.start()
    lead = centre.user("lead", "soc_lead")
    me = lead.get("/v1/me").json()
    change = {"X-CSRF-Token": me["csrf_token"]}
    key = centre.log_key("seogu", "fw-1", "rules:read")
    push(centre, key, 1)
    until(lambda: incidents(lead) == {"192.0.2.1": "low"})

    before = lead.get("/v1/rules").json()["version"]
    write(centre.folder, RULE.replace("level: low", "level: high"))
    until(lambda: lead.get("/v1/rules").json()["version"] != before)
    push(centre, key, 2)
    until(lambda: incidents(lead).get("192.0.2.2") == "high")

    write(centre.folder, RULE.replace("condition: selection", "condition: nothing"))
    aside = until(lambda: lead.get("/v1/rules").json()["set_aside"])
    assert "nothing" in aside[0]["reason"]
    write(centre.folder, RULE)
    until(lambda: not lead.get("/v1/rules").json()["set_aside"])

    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"agency": "seogu", "match": {"src_ip": "192.0.2.3"}, "reason": "a scan", "expires_at": expires}
    assert lead.post("/v1/silences", json=body, headers=change).status_code == 201
    push(centre, key, 3)
    until(lambda: lead.get("/v1/silences").json()["items"][0]["detections"] == 1)
    until(lambda: fired(lead) == 3)
    assert "192.0.2.3" not in incidents(lead)

    put = lead.put(f"/v1/rules/{ONE}/tunings/seogu", json={"level": "critical", "reason": "now"}, headers=change | {"If-None-Match": "*"})
    assert put.status_code == 200, put.text
    host = iter(range(10, 200))

    def tuned() -> bool:
        push(centre, key, next(host))
        return "critical" in incidents(lead).values()

    until(tuned)

    told = json.loads(bongsu(centre, "rules", "coverage", "--to", centre.url, "--key", key, "--json").stdout)
    assert told["techniques"] == [{"tactic": "initial-access", "technique": "T1133", "levels": {"low": 1}}]
    assert [(one["agency"], one["can"], one["cannot"]) for one in told["agencies"]] == [("seogu", [ONE], [])]
    refused = bongsu(centre, "rules", "coverage", "--to", centre.url, "--key", "bongsu_none_none")
    assert refused.returncode == 1
    assert "refused with 401" in refused.stderr


def test_a_rule_that_was_written_here_fires_from_its_approval_until_it_is_retired(centre: RunningCentre) -> None:
    (centre.folder / "rules" / "telnet_let_through.yml").unlink()
    centre.start()
    clients = {name: centre.user(name, role) for name, role in (("analyst", "analyst"), ("lead", "soc_lead"))}
    tokens = {name: client.get("/v1/me").json()["csrf_token"] for name, client in clients.items()}
    key = centre.log_key("seogu", "fw-1")

    def take(name: str, number: str, action: str, **body: str) -> httpx.Response:
        etag = clients[name].get(f"/v1/rule-drafts/{number}").headers["etag"]
        headers = {"X-CSRF-Token": tokens[name], "If-Match": etag}
        return clients[name].post(f"/v1/rule-drafts/{number}/{action}", json=body, headers=headers)

    made = clients["analyst"].post("/v1/rule-drafts", json={"text": RULE}, headers={"X-CSRF-Token": tokens["analyst"]})
    number = made.json()["number"]
    assert take("analyst", number, "submit").status_code == 200
    push(centre, key, 1)
    assert take("lead", number, "approve").json()["state"] == "in_force"
    until(lambda: clients["lead"].get("/v1/rules").json()["rules"] == 1)
    push(centre, key, 2)
    until(lambda: incidents(clients["lead"]).get("192.0.2.2") == "low")
    (rule,) = clients["lead"].get("/v1/rules").json()["items"]
    assert (rule["rule_id"], rule["draft"]) == (ONE, number)

    assert take("lead", number, "retire", reason="it was a trial").status_code == 200
    until(lambda: clients["lead"].get("/v1/rules").json()["rules"] == 0)
    push(centre, key, 3)

    def settled() -> bool:
        figures = clients["lead"].get("/v1/counters").json()
        return bool(figures["received_today"] == 3 and figures["lag"] == 0)

    until(settled)
    assert "192.0.2.3" not in incidents(clients["lead"])
