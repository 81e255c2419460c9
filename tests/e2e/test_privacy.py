"""Personal numbers and passwords sent over every transport are nowhere in the installation: not on the bus, in the store, in the log."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core import topics
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.engine import Engine
from core.events import IntakeFlag
from ingest import rawbatch
from tests.personal_numbers import card, grouped, rrn
from tests.servers.centre import RunningCentre, free_port

PERSON = rrn("880229212345")
BARE = rrn("770707112233", hyphen="")
CARD = grouped(card("944610123456789"), "-")
PASSWORD = "Tr0ub4dor"
HIDDEN = [PERSON[7:], BARE[6:], CARD[7:], CARD.replace("-", "")[6:], PASSWORD]
SEEN = "marker-of-this-test"

WEB = (
    'date=2026-11-01 time=10:15:00 devname="FGT-1" devid="FGT60X0000000001" tz="+0900" logid="0317013312" type="utm" subtype="webfilter" '
    'eventtype="ftgd_allow" level="notice" vd="root" srcip=10.1.1.1 srcport=40000 dstip=198.51.100.7 dstport=80 action="passthrough" '
    f'hostname="www.example.go.kr" url="/join?jumin={PERSON}&card={CARD}&password={PASSWORD}&no={BARE}&{SEEN}={{number}}"'
)
UNKNOWN = f"no parser knows this {SEEN}={{number}} {PERSON} {CARD} passwd [{PASSWORD}] {BARE}"


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[RunningCentre, dict[str, int]]]:
    ports = {kind: free_port() for kind in ("udp", "tcp")}
    listeners = [{"name": kind, "kind": kind, "host": "127.0.0.1", "port": port, "agency": "jung-gu"} for kind, port in ports.items()]
    made = RunningCentre(tmp_path, {"intake": {"listeners": listeners}, "agencies": [{"id": "jung-gu", "name_ko": "중구"}]})
    try:
        yield made, ports
    finally:
        made.close()


def test_what_must_not_be_stored_is_nowhere(centre: tuple[RunningCentre, dict[str, int]]) -> None:
    running, ports = centre
    running.start()
    key = running.log_key("jung-gu", "web")
    lines = [template.format(number=number) for number in range(3) for template in (WEB, UNKNOWN)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for line in lines[:2]:
            udp.sendto(line.encode(), ("127.0.0.1", ports["udp"]))
    with socket.create_connection(("127.0.0.1", ports["tcp"])) as tcp:
        tcp.sendall("".join(line + "\n" for line in lines[2:4]).encode())
    body = "\n".join([lines[4], json.dumps(lines[5])])
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    assert httpx.post(f"{running.url}/v1/logs", content=body, headers=headers, timeout=20).status_code == 200
    running.wait_until_handled(len(lines))
    metrics = httpx.get(f"{running.url}/metrics", timeout=10).text
    for kind, count in (("rrn", 12.0), ("card", 6.0), ("password", 6.0)):
        assert f'bongsu_masked_total{{agency="jung-gu",kind="{kind}"}} {count}' in metrics
    assert running.stop() == 0

    for line in asyncio.run(on_the_bus(running.data)):
        assert SEEN in line
        assert not any(hidden in line for hidden in HIDDEN)
    for row in stored(running.data):
        assert SEEN in row["raw"]
        assert row["intake_flags"] & IntakeFlag.MASKED
        assert not any(hidden in str(value) for hidden in HIDDEN for value in row.values())
    seen = 0
    for file in [running.log, *(file for file in running.data.rglob("*") if file.is_file())]:
        content = file.read_bytes()
        seen += SEEN.encode() in content
        assert not any(hidden.encode() in content for hidden in HIDDEN), file
    assert seen, "the files of the bus hold no line in plain, so looking into them proves nothing"


async def on_the_bus(data: Path) -> list[str]:
    """Every line of `logs.raw`, by a reader that has read none yet."""
    bus = EmbeddedBus(data / "bus.sqlite", partitions=1, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=SystemClock())
    await bus.start()
    consumer = await bus.consumer("looks-into-it", [topics.LOGS_RAW])
    records = await consumer.poll(max_messages=1000, max_bytes=1 << 30, timeout=5.0)
    await consumer.close()
    await bus.close()
    return [line.decode() for record in records for line in rawbatch.decode(record).lines]


def stored(data: Path) -> list[dict[str, object]]:
    """The rows of events and of quarantine."""
    engine = Engine(data / "store")
    try:
        session = engine.session()
        events = session.arrow("SELECT raw, intake_flags, url FROM events").to_pylist()
        quarantine = session.arrow("SELECT raw, intake_flags, detail FROM quarantine").to_pylist()
        session.close()
    finally:
        engine.close()
    assert len(events) == 3
    assert len(quarantine) == 3
    assert all(
        str(row["url"]).startswith("/join?jumin=880229-*******&card=9446-10**-****-****&password=*********&no=770707*******")
        for row in events
    )
    return [*events, *quarantine]
