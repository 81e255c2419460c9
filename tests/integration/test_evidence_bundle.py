"""Evidence taken out over the API and verified offline, and what a check says of a bundle somebody worked on."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.clock import FixedClock
from core.signing import Signer, load_signer
from detect import published
from detect.published import Snapshot
from detect.rules import parse
from respond import bundle
from tests.detections import Finding
from tests.e2e.test_cli import bongsu
from tests.servers.api import TestCentre, running_centre, settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
RAW = "<189>login failed \ufffd 한글 \0 end"
RULE = """
title: Login failed
id: 6f1f9e6c-5a6e-4a0a-9d5e-0a4f7c2b1d11
status: test
description: A login that failed.
author: Bongsu
date: 2026-01-01
logsource: {category: firewall}
detection:
  failed: {action: failed}
  condition: failed
level: high
tags: [attack.credential-access]
---
title: Not from the scanner
id: 6f1f9e6c-5a6e-4a0a-9d5e-0a4f7c2b1d12
logsource: {category: firewall}
filter:
  rules: [6f1f9e6c-5a6e-4a0a-9d5e-0a4f7c2b1d11]
  scanner: {src_ip: 192.0.2.250}
  condition: not scanner
"""


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[TestCentre]:
    async with running_centre(settings_for(tmp_path), FixedClock(NOW)) as made:
        yield made


async def taken(centre: TestCentre) -> bytes:
    """The bundle of an incident with two lines of a rule whose text is kept."""
    (rule,) = parse(RULE, "rule.yml").rules
    with centre.centre.database.session() as session:
        published.publish(session, "here", Snapshot([rule], [], []))
    about = (("agency", "seogu"), ("rule_id", rule.id), ("rule_hash", rule.hash), ("raw", RAW))
    await centre.put_detections([Finding(n, more=about) for n in range(2)])
    async with centre.as_person("analyst") as analyst:
        answer = await analyst.post("/v1/incidents/INC-2026-000001/evidence-bundle", json={"reason": "For the police"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), answer.text
    return answer.content


async def test_what_is_taken_out_proves_itself(centre: TestCentre) -> None:
    content = await taken(centre)
    signer = load_signer(centre.centre.settings.signing_key)
    found = bundle.verify(io.BytesIO(content), signer)
    assert (found.problems, found.incident, found.lines, found.signed_by) == ([], "INC-2026-000001", 2, signer.key_id)
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        rows = {name: [json.loads(text) for text in opened.read(name).splitlines()] for name in opened.namelist() if ".jsonl" in name}
    assert [row["raw"] for row in rows["evidence.jsonl"]] == [RAW] * 2
    assert [row["event_id"] for row in rows["evidence.jsonl"]] == ["e1-0-0-0", "e1-0-1-0"]
    (rule,) = rows["rules.jsonl"]
    assert [json.loads(text)["title"] for text in rule["sources"]] == ["Login failed", "Not from the scanner"]
    last = rows["audit.jsonl"][-1]
    assert (last["actor"], last["action"], json.loads(last["detail"])["reason"]) == ("user:analyst", "evidence.exported", "For the police")


async def test_only_who_works_on_incidents_takes_evidence_out(centre: TestCentre) -> None:
    await taken(centre)
    for name, status in {"mayor": 403, "officer": 403, "auditor": 403, "privacy": 403, "admin": 403, "lead": 200}.items():
        async with centre.as_person(name) as client:
            answer = await client.post("/v1/incidents/INC-2026-000001/evidence-bundle", json={"reason": "because"})
            assert answer.status_code == status, name
            nowhere = await client.post("/v1/incidents/INC-2026-000009/evidence-bundle", json={"reason": "because"})
            assert nowhere.status_code == (404 if status == 200 else 403)


async def test_the_command_verifies_a_bundle_anywhere(centre: TestCentre, tmp_path: Path) -> None:
    key = load_signer(centre.centre.settings.signing_key).text
    file = tmp_path / "case.zip"
    file.write_bytes(await taken(centre))
    whole = bongsu("evidence", "verify", str(file), "--key", key)
    assert (whole.returncode, "whole: INC-2026-000001, 2 lines" in whole.stdout) == (0, True), whole.stderr
    file.write_bytes(changed("evidence.jsonl", lambda text: text.replace(b"failed", b"passed"))(file.read_bytes()))
    broken = bongsu("evidence", "verify", str(file), "--json")
    assert (broken.returncode, json.loads(broken.stdout)["problems"]) == (1, ["evidence.jsonl was changed"])


def changed(name: str, change: Callable[[bytes], bytes | None]) -> Callable[[bytes], bytes]:
    """A bundle whose file `name` was changed; None: taken out."""

    def work(content: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
            for path in before.namelist():
                wanted = change(before.read(path)) if path == name else before.read(path)
                if wanted is not None:
                    after.writestr(path, wanted)
        return out.getvalue()

    return work


def added(content: bytes) -> bytes:
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a") as bundled:
        bundled.writestr("more.txt", "more")
    return out.getvalue()


def resigned(content: bytes) -> bytes:
    """Signed again by somebody else, who also names his own key."""
    other = Signer(Ed25519PrivateKey.generate())
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        manifest = json.dumps({**json.loads(opened.read("manifest.json")), "key": other.text}).encode()
    again = changed("manifest.json", lambda _: manifest)(content)
    return changed("manifest.sig", lambda _: other.sign(bundle.KIND, manifest).encode())(again)


WORKED_ON: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a line changed": (changed("evidence.jsonl", lambda text: text.replace(b"failed", b"passed")), "evidence.jsonl was changed"),
    "a file taken out": (changed("rules.jsonl", lambda _: None), "rules.jsonl is missing"),
    "a file put in": (added, "the files are not those of the manifest"),
    "the manifest changed": (changed("manifest.json", lambda text: text.replace(b"user:analyst", b"user:nobody1")), "is not signed with"),
    "signed by another": (resigned, "is not signed with"),
    "cut off": (lambda content: content[:-40], "no whole evidence bundle"),
    "something else": (lambda _: b"hello", "no whole evidence bundle"),
}


@pytest.mark.parametrize(("work", "told"), WORKED_ON.values(), ids=WORKED_ON)
async def test_what_was_worked_on_is_told(centre: TestCentre, work: Callable[[bytes], bytes], told: str) -> None:
    content = await taken(centre)
    signer = load_signer(centre.centre.settings.signing_key)
    found = bundle.verify(io.BytesIO(work(content)), signer)
    assert any(told in problem for problem in found.problems), found.problems
