"""The cluster mode: a process for each stage, with the shipped settings on a real Kafka, PostgreSQL and ClickHouse's protocol.

As in deploy/compose.yaml, every process reads settings.cluster.yaml and gets what is its own from the environment. Nothing is shared but
the three engines.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from clickhouse_driver import Client

from core.config import ENV_PREFIX
from tests.servers.centre import PASSWORD, free_port
from tests.servers.certificates import Authority
from tests.servers.clickhouse import ClickHouseServer
from tests.servers.forwarders import ROOT
from tests.servers.kafka import KafkaBroker
from tests.servers.postgres import PostgresServer

READY_SECONDS = 180.0  # each process imports the whole product
HANDLED_SECONDS = 90.0
RELAY = "relay.transport.city.example"  # a source of settings.cluster.yaml
CORRELATION_ID = "00000000-0000-4000-8000-000000000002"
CORRELATED = """title: Denied
id: 00000000-0000-4000-8000-000000000001
name: denied
logsource: {category: firewall}
detection: {selection: {disposition: deny}, condition: selection}
---
title: Many addresses denied to one
id: 00000000-0000-4000-8000-000000000002
level: high
correlation: {type: value_count, rules: [denied], group-by: [dst_ip], timespan: 1m, condition: {field: src_ip, gte: 200}}
"""
PROCESSES = ("receive", "normalise", "store", "detect", "correlate", "respond", "api")
ATTACK = (
    '{"timestamp":"2026-03-02T10:15:00.000000+0900","flow_id":7,"event_type":"alert","src_ip":"203.0.113.66","src_port":51514,'
    '"dest_ip":"10.20.30.40","dest_port":8080,"proto":"TCP","alert":{"action":"allowed","gid":1,"signature_id":2034647,"rev":1,'
    '"signature":"Apache log4j RCE Attempt (CVE-2021-44228)","category":"Attempted Administrator Privilege Gain","severity":1}}'
)


class Cluster:
    """The processes of one cluster, each with a data folder of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        file = str(ROOT / "deploy" / "settings.cluster.yaml")
        self._environment = os.environ | environment | {f"{ENV_PREFIX}CONFIG": file, "PYTHONUNBUFFERED": "1"}
        self._running: list[subprocess.Popen[bytes]] = []

    def command(self, *words: str, **more: str) -> str:
        """Run a command that ends; what it prints."""
        done = subprocess.run(self._call(words), env=self._own("command") | more, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def health(self) -> int:
        """What the container's health check ends with."""
        check = [sys.executable, str(ROOT / "deploy" / "healthcheck.py")]
        return subprocess.run(check, env=self._own("command") | {"PYTHONPATH": str(ROOT)}, timeout=30, check=False).returncode

    def start(self, roles: Sequence[str]) -> None:
        """Start the processes and wait until each says that it runs."""
        logs = []
        for number, role in enumerate(roles):
            log = self._folder / f"{role}-{number}.log"
            with log.open("wb") as output:
                self._running.append(
                    subprocess.Popen(self._call([role]), env=self._own(f"{role}-{number}"), stdout=output, stderr=subprocess.STDOUT)
                )
            logs.append(log)
        deadline = time.monotonic() + READY_SECONDS
        for role, log, process in zip(roles, logs, self._running, strict=True):
            while f"bongsu {role}: running" not in log.read_text(encoding="utf-8"):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, f"{role} does not start:\n{self.said()}"
                time.sleep(0.1)

    def stop(self) -> list[int]:
        """SIGTERM to all; the exit codes."""
        for process in self._running:
            process.terminate()
        return [process.wait(40) for process in self._running]

    def close(self) -> None:
        """End what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
                process.wait(10)

    def said(self) -> str:
        return "\n".join(f"--- {log.name}\n{log.read_text(encoding='utf-8')[-3000:]}" for log in sorted(self._folder.glob("*.log")))

    def _own(self, name: str) -> dict[str, str]:
        return self._environment | {f"{ENV_PREFIX}DATA_DIR": str(self._folder / name)}

    def _call(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "runtime", *words]


@pytest.fixture
def engines(
    tmp_path: Path, kafka_broker: KafkaBroker, postgres_server: PostgresServer, clickhouse_server: ClickHouseServer
) -> dict[str, str]:
    """What a process needs to find the engines, as compose.yaml hands it over."""
    clickhouse = clickhouse_server.settings("cluster")
    return {
        "BUS__TOPIC_PREFIX": f"{tmp_path.name}.",
        "BUS__KAFKA__BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
        "DATABASE__URL": postgres_server.new_database(),
        "STORE__CLICKHOUSE__HOST": clickhouse.host,
        "STORE__CLICKHOUSE__PORT": str(clickhouse.port),
        "STORE__CLICKHOUSE__DATABASE": clickhouse.database,
        "STORE__CLICKHOUSE__PASSWORD": clickhouse.password.get_secret_value(),
        "STORE__CLICKHOUSE__USER": clickhouse.user,
    }


@pytest.fixture
def doors(tmp_path: Path) -> tuple[dict[str, str], int, int, ssl.SSLContext]:
    """Settings of the sockets, the ports of syslog over TLS and of the API, and what a relay shows."""
    authority = Authority(tmp_path / "tls")
    certificate, key = authority.issue("bongsu.city.example")
    syslog, api = free_port(), free_port()
    tls = {"certificate": str(certificate), "key": str(key)}
    listener = {"name": "tls", "kind": "tls", "host": "127.0.0.1", "port": syslog}
    listener["tls"] = {**tls, "client_ca": str(authority.file), "require_client_certificate": True}  # type: ignore[assignment]
    relay = ssl.create_default_context(cafile=str(authority.file))
    relay.load_cert_chain(*authority.issue(RELAY))
    settings = {"INTAKE__LISTENERS": json.dumps([listener]), "API__PORT": str(api), "API__HOST": "127.0.0.1", "API__TLS": json.dumps(tls)}
    return settings, syslog, api, relay


@pytest.fixture
def cluster(tmp_path: Path, engines: dict[str, str], doors: tuple[dict[str, str], int, int, ssl.SSLContext]) -> Iterator[Cluster]:
    folder, rules = tmp_path / "processes", tmp_path / "rules"
    folder.mkdir()
    rules.mkdir()
    (rules / "correlated.yml").write_text(CORRELATED, encoding="utf-8")
    environment = engines | doors[0] | {"DETECT__RULE_FOLDERS": json.dumps([str(rules)])}
    made = Cluster(folder, {ENV_PREFIX + name: value for name, value in environment.items()})
    yield made
    made.close()


@pytest.mark.timeout(600)
def test_every_line_goes_through_all_the_processes_once_and_the_attack_is_an_incident(
    cluster: Cluster,
    engines: dict[str, str],
    doors: tuple[dict[str, str], int, int, ssl.SSLContext],
    clickhouse_server: ClickHouseServer,
) -> None:
    _, syslog, api, relay = doors
    lines = [
        f'<189>date=2026-03-02 time=10:15:00 tz="+0900" devname="fw-1" devid="FGT1" logid="0000000013" type="traffic" subtype="forward" '
        f'level="notice" srcip=10.1.0.{n % 250} srcport={1024 + n} dstip=198.51.100.7 dstport=443 proto=6 action="deny" policyid={n}'
        for n in range(2000)
    ]
    assert "up to date" in cluster.command("db", "migrate")
    assert cluster.health() == 1
    cluster.start(PROCESSES)
    assert cluster.health() == 0

    for part in (lines[:1000], [*lines[1000:], ATTACK]):  # two connections
        with relay.wrap_socket(_connection(syslog), server_hostname="bongsu.city.example") as stream:
            stream.sendall(b"".join(b"%d %s" % (len(line.encode()), line.encode()) for line in part))
            stream.unwrap()
    clickhouse = clickhouse_server.settings(engines["STORE__CLICKHOUSE__DATABASE"])
    with Client(clickhouse.host, clickhouse.port, clickhouse.database, password=clickhouse.password.get_secret_value()) as store:
        _wait_for_rows(store, len(lines) + 1, cluster)
        stored = Counter(raw for (raw,) in store.execute("SELECT raw FROM events UNION ALL SELECT raw FROM quarantine"))
        senders = store.execute("SELECT DISTINCT agency, source, transport FROM events")
    assert stored == Counter([*lines, ATTACK])
    assert senders == [("transport", "relay", "tls")]

    cluster.command("users", "set", "lead", "--role", "soc_lead", BONGSU_PASSWORD=PASSWORD)
    with httpx.Client(base_url=f"https://127.0.0.1:{api}", verify=relay, timeout=30) as lead:
        assert lead.post("/v1/login", json={"name": "lead", "password": PASSWORD}).status_code == 200
        assert lead.get("/v1/incidents").status_code == 200
        deadline = time.monotonic() + HANDLED_SECONDS
        while True:
            seen = lead.get("/v1/incidents").json()["items"]
            incidents = [one for one in seen if "203.0.113.66" in json.dumps(one)]
            correlated = [one for one in seen if CORRELATION_ID in one["rule_ids"]]
            if incidents and correlated:
                break
            assert time.monotonic() < deadline, cluster.said()
            time.sleep(0.2)
    assert [one["detections"] for one in correlated] == [1]
    assert {one["agency"] for one in incidents} == {"transport"}
    findings = Counter((*one["rule_ids"], one["entity_kind"], one["entity_value"]) for one in incidents)
    assert set(findings.values()) == {1}, incidents
    assert {one["detections"] for one in incidents} == {1}, incidents
    assert cluster.stop() == [0] * len(PROCESSES), cluster.said()


def _connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port))


def _wait_for_rows(store: Client, rows: int, cluster: Cluster) -> None:
    deadline = time.monotonic() + HANDLED_SECONDS
    while (held := store.execute("SELECT (SELECT count() FROM events) + (SELECT count() FROM quarantine)")[0][0]) < rows:
        assert time.monotonic() < deadline, f"{held} of {rows} rows\n{cluster.said()}"
        time.sleep(0.2)
