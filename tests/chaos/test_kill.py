"""kill -9 in the middle of a replay: no acknowledged line is lost, and none is stored twice. The intake ledger says so too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from core.engine import Engine
from tests.servers.centre import RunningCentre

BATCH = 200
LINE = (
    '<189>date=2026-03-02 time=10:15:{second:02d} devname="fw-01" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" '
    'subtype="forward" level="notice" vd="root" srcip=10.1.{high}.{low} srcport=40000 srcintf="lan" dstip=198.51.100.7 dstport=443 '
    'dstintf="wan1" sessionid={number} proto=6 action="accept" policyid={policy} service="HTTPS" sentbyte=10 rcvdbyte=20'
)

CORRELATION_ID = "00000000-0000-4000-8000-000000000002"
CORRELATED = """title: Traffic
id: 00000000-0000-4000-8000-000000000001
name: traffic
logsource: {category: firewall}
detection: {selection: {dst_port: 443}, condition: selection}
---
title: Much in a second
id: 00000000-0000-4000-8000-000000000002
correlation: {type: event_count, rules: [traffic], group-by: [rule], timespan: 1s, condition: {gte: 3}}
"""
"""Fires once for each policy and second with three lines in it and the second before."""


def batches(total: int) -> Iterator[list[str]]:
    for first in range(0, total, BATCH):
        yield [
            LINE.format(second=number % 60, high=number // 250 % 250, low=number % 250 + 1, number=number, policy=number // 1000)
            for number in range(first, first + BATCH)
        ]


class Sender:
    """Posts batches one after another and notes which were acknowledged; a batch is never sent twice."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}", "Content-Type": "text/plain"}, timeout=10)
        self.acknowledged: list[str] = []
        self.sent = threading.Event()

    def send(self, work: Iterator[list[str]], *, signal_after: int) -> None:
        done = 0
        for lines in work:
            try:
                answer = self._client.post("/v1/logs", content="\n".join(lines).encode())
            except httpx.TransportError:
                return
            if answer.is_success:
                self.acknowledged += lines
                done += 1
            if done == signal_after:
                self.sent.set()


def assert_each_once(stored: Sequence[tuple[str, int]], acknowledged: list[str]) -> None:
    counts = dict(stored)
    assert [line for line in acknowledged if line not in counts] == []
    assert [line for line, count in counts.items() if count != 1] == []


@pytest.mark.timeout(1200)
def test_kill_in_the_middle_of_a_replay_loses_and_doubles_nothing(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "correlated.yml").write_text(CORRELATED, encoding="utf-8")
    detect = {"rule_folders": [str(tmp_path / "rules")]}
    agencies = [{"id": "jongno-gu", "name_ko": "종로구"}]
    centre = RunningCentre(tmp_path, {"intake": {"listeners": []}, "agencies": agencies, "detect": detect})
    key = centre.log_key("jongno-gu", "fw")
    work = batches(60_000)
    acknowledged: list[str] = []
    try:
        for after in (5, 40, 20):
            centre.start()
            sender = Sender(centre.url, key)
            thread = threading.Thread(target=sender.send, args=(work,), kwargs={"signal_after": after})
            thread.start()
            assert sender.sent.wait(60)
            centre.kill()
            thread.join(30)
            acknowledged += sender.acknowledged
        centre.start()
        centre.wait_until_idle()
        assert centre.stop() == 0
        ledger = json.loads(centre.command("ledger", "verify", "--json"))
    finally:
        centre.close()
    stored = centre.stored()
    assert not stored.quarantine
    assert (ledger["problems"], ledger["waiting"]) == ([], {})
    total = stored.events.total()
    assert ledger["counted"] == {"received": total, "stored": total, "quarantined": 0, "evaluated": total}
    assert_each_once(list(stored.events.items()), acknowledged)
    assert len(acknowledged) >= (5 + 40 + 20) * BATCH
    held = per_second(centre, "events", "1")
    wanted = {(policy, second) for policy, second in held if held[policy, second] + held.get((policy, second - 1), 0) >= 3}
    assert per_second(centre, "detections", f"rule_id = '{CORRELATION_ID}'") == dict.fromkeys(wanted, 1)
    assert len(wanted) >= (5 + 40 + 20) * BATCH / 1000 * 50


def per_second(centre: RunningCentre, table: str, where: str) -> dict[tuple[str, int], int]:
    """How many rows of each policy and second there are in the store of the stopped centre."""
    engine = Engine(centre.data / "store")
    try:
        session = engine.session()
        rows = session.arrow(f"SELECT rule, toSecond(event_time) AS second, count() AS n FROM {table} WHERE {where} GROUP BY ALL")
        session.close()
    finally:
        engine.close()
    return {(row["rule"], row["second"]): row["n"] for row in rows.to_pylist()}
