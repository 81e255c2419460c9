"""Real forwarders deliver to the real receiver: rsyslog and syslog-ng run the shipped examples, `logger` its own options.

What must arrive is written here byte for byte; it is read back from `logs.raw`, after the forwarder has ended and the receiver has made
durable what it had read, so a line too many is seen as well as one too few.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from core.config import Listener
from core.events import IntakeFlag
from ingest.sources.syslog import SyslogServer
from tests.servers.centre import free_port
from tests.servers.certificates import Authority, Pair
from tests.servers.forwarders import Example, Forwarder, Program, Tls, skip_without
from tests.servers.receiving import Receiving, receiving

ARRIVE_SECONDS = 30.0
CENTRE, RELAY, STRANGER = "bongsu.city.example", "relay.transport.example", "somebody.else.example"
PROGRAMS: tuple[Program, ...] = ("rsyslog", "syslog-ng")


SETTINGS = {
    "agencies": [
        {"id": "transport", "name_ko": "교통", "sources": [{"name": "relay", "certificates": [RELAY]}]},
        {"id": "water", "name_ko": "수도", "sources": [{"name": "network", "addresses": ["127.0.0.0/8"]}]},
    ]
}


class Receiver:
    """The syslog half of the receiver on a real embedded bus, with one listener; it can be stopped and started on the same port."""

    def __init__(self, centre: Receiving, listener: Listener) -> None:
        self.kind = listener.kind
        self._centre = centre
        self._listener = listener
        self._server: SyslogServer | None = None

    @property
    def port(self) -> int:
        return self._listener.port

    async def listen(self, pair: Pair | None = None) -> None:
        """Listen, with another certificate than the one before when it is given."""
        if pair and self._listener.tls:
            tls = self._listener.tls.model_copy(update=pair._asdict())
            self._listener = self._listener.model_copy(update={"tls": tls})
        self._server = await self._centre.listen(self._listener)
        self._listener = self._listener.model_copy(update={"port": self._server.port})

    async def hang_up(self) -> None:
        """Stop listening, as a stop of the whole receiver does; what was read is durable on return."""
        if self._server is not None:
            await self._server.stop()
        self._server = None

    async def until(self, lines: int) -> None:
        """Wait until so many lines are on the bus in all."""
        await self._centre.until(lines)

    async def until_all(self, lines: Sequence[bytes]) -> None:
        """Wait until each of `lines` is on the bus."""
        async with asyncio.timeout(ARRIVE_SECONDS):
            while not set(lines) <= set(self._centre.lines()):
                await self._centre.read()

    async def everything(self) -> list[bytes]:
        """Stop, and give all lines that ever arrived."""
        await self.hang_up()
        await self._centre.all()
        return self._centre.lines()

    @property
    def senders(self) -> set[tuple[str, str, str, IntakeFlag]]:
        """Agency, source, transport and flags of all that arrived."""
        return {(origin.agency, origin.source, origin.transport, origin.flags) for origin in self._centre.origins}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
async def receiver(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> AsyncIterator[Receiver]:
    """A receiver whose one listener is of the kind the parameter names."""
    tls = {**authority.issue(CENTRE)._asdict(), "client_ca": authority.file, "require_client_certificate": True}
    kind = request.param
    async with receiving(tmp_path, SETTINGS) as centre:
        made = Receiver(centre, Listener(name=kind, kind=kind, host="127.0.0.1", port=0, tls=tls if kind == "tls" else None))
        await made.listen()
        yield made


def example(program: Program, receiver: Receiver, tmp_path: Path, tls: Tls | None = None) -> Example:
    return Example(program, "127.0.0.1", receiver.port, free_port(), tmp_path / program, tls)


def firewall_lines(count: int, start: int = 0) -> list[bytes]:
    """Lines as a FortiGate writes them, each its own."""
    return [
        f'<189>date=2026-03-01 time=12:00:00 devname="fw-1" logid="0000000013" type="traffic" srcip=10.1.{n >> 8 & 255}.{n & 255} '
        f'srcport={1024 + n} dstip=198.51.100.7 dstport=443 proto=6 action="deny" policyid={n} msg="n{n}"'.encode()
        for n in range(start, start + count)
    ]


AWKWARD = [
    "<190>1 2026-03-01T03:00:00.000001Z fw4_deny FW - - - 방화벽 차단: 외부에서 내부로".encode(),
    '<190>1 2026-03-01T03:00:00Z fw - - - [x@1 k="] \\" v"] 차단된 접속'.encode("cp949"),
    b"<134>Mar  1 12:00:00 fw-2 ips:\ttab\tand  two spaces and 100% %rawmsg% ${MESSAGE} $(length x)",
    b"<134>Mar  1 12:00:00 fw-2 long: " + b"0123456789abcdef" * 2000,
    b"<13>no header at all",
]
MULTILINE = b"<134>1 2026-03-01T03:00:00Z waf - - - - GET / HTTP/1.1\nHost: www.example\n\nbody"


def framed(lines: Sequence[bytes]) -> list[bytes]:
    """RFC 6587, 3.4.1."""
    return [b"%d %s" % (len(line), line) for line in lines]


def ended(lines: Sequence[bytes]) -> list[bytes]:
    """RFC 6587, 3.4.2."""
    return [line + b"\n" for line in lines]


@pytest.mark.parametrize("receiver", ["tcp"], indirect=True)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_relay_over_tcp_delivers_every_line_once_and_unchanged(program: Program, receiver: Receiver, tmp_path: Path) -> None:
    skip_without(program)
    lines = [*firewall_lines(3000), *AWKWARD]
    async with Forwarder(example(program, receiver, tmp_path)) as forwarder:
        await forwarder.send(*ended(lines))
        await receiver.until(len(lines))
    assert Counter(await receiver.everything()) == Counter(lines)
    assert receiver.senders == {("water", "network", "tcp", IntakeFlag.NONE)}


@pytest.mark.parametrize("receiver", ["tls"], indirect=True)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_relay_over_tls_delivers_under_the_name_in_its_certificate(
    program: Program, receiver: Receiver, tmp_path: Path, authority: Authority
) -> None:
    skip_without(program)
    lines = [*firewall_lines(3000), *AWKWARD]
    async with Forwarder(example(program, receiver, tmp_path, Tls(authority.file, authority.issue(RELAY)))) as forwarder:
        await forwarder.send(*ended(lines))
        await receiver.until(len(lines))
    assert Counter(await receiver.everything()) == Counter(lines)
    assert receiver.senders == {("transport", "relay", "tls", IntakeFlag.NONE)}


@pytest.mark.parametrize("receiver", ["udp"], indirect=True)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_relay_over_udp_delivers_lines_unchanged(program: Program, receiver: Receiver, tmp_path: Path) -> None:
    skip_without(program)
    lines = [*firewall_lines(100), *AWKWARD]  # few enough for any socket's buffer: UDP may lose what is too much
    relay = Example(program, "127.0.0.1", receiver.port, free_port(), tmp_path / program, datagrams=True)
    async with Forwarder(relay) as forwarder:
        await forwarder.send(*ended(lines))
        await receiver.until(len(lines))
    assert Counter(await receiver.everything()) == Counter(lines)
    assert receiver.senders == {("water", "network", "udp", IntakeFlag.NONE)}


@pytest.mark.parametrize("receiver", ["tcp"], indirect=True)
async def test_a_line_with_line_feeds_stays_one_line(receiver: Receiver, tmp_path: Path) -> None:
    skip_without("rsyslog")
    lines = [*firewall_lines(3), MULTILINE, *firewall_lines(3, start=3)]
    async with Forwarder(example("rsyslog", receiver, tmp_path)) as forwarder:
        await forwarder.send(*framed(lines))
        await receiver.until(len(lines))
    assert await receiver.everything() == lines


@pytest.mark.parametrize("receiver", ["tcp"], indirect=True)
async def test_rsyslog_with_newline_framing(receiver: Receiver, tmp_path: Path) -> None:
    skip_without("rsyslog")
    lines = [*firewall_lines(2000), *AWKWARD]
    by_line = Example("rsyslog", "127.0.0.1", receiver.port, free_port(), tmp_path / "rsyslog", framing="traditional")
    async with Forwarder(by_line) as forwarder:
        await forwarder.send(*ended(lines))
        await receiver.until(len(lines))
    assert Counter(await receiver.everything()) == Counter(lines)


@pytest.mark.parametrize("receiver", ["tcp", "tls"], indirect=True)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_what_a_relay_takes_while_the_centre_is_away_comes_when_it_is_back(
    program: Program, receiver: Receiver, tmp_path: Path, authority: Authority
) -> None:
    """The relay itself is restarted in between: its queue is on disk.

    Syslog acknowledges nothing: lines written between the centre's closing and the relay's noticing may be lost, and the line at the break
    may come twice (deploy/forwarders/README.md). The lines of that moment are probes here, of which nothing is asked.
    """
    skip_without(program)
    before, away, after = firewall_lines(200), firewall_lines(2000, start=200), firewall_lines(200, start=2200)
    tls = Tls(authority.file, authority.issue(RELAY)) if receiver.kind == "tls" else None
    async with Forwarder(example(program, receiver, tmp_path, tls)) as forwarder:
        await forwarder.send(*ended(before))
        await receiver.until(len(before))
        await receiver.hang_up()
        probes = await probe_until(forwarder, "Connection refused")
        await forwarder.send(*ended(away))
        await forwarder.stop()
        await forwarder.start()
        await receiver.listen()
        await forwarder.send(*ended(after))
        await receiver.until_all([*before, *away, *after])
    arrived = Counter(line for line in await receiver.everything() if line not in probes)
    assert arrived.keys() == {*before, *away, *after}
    twice = arrived.total() - len(arrived)
    assert twice <= (1 if program == "rsyslog" else 0)


async def probe_until(forwarder: Forwarder, complaint: str) -> set[bytes]:
    """Give the forwarder a line now and then until it says `complaint`; gives those lines."""
    probes: set[bytes] = set()
    async with asyncio.timeout(ARRIVE_SECONDS):
        while complaint not in forwarder.said():
            probe = b"<13>Mar  1 12:00:00 relay probe: %d" % len(probes)
            probes.add(probe)
            await forwarder.send(probe + b"\n")
            await asyncio.sleep(0.1)
    return probes


@pytest.mark.parametrize("receiver", ["tls"], indirect=True)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_relay_sends_nothing_to_a_centre_of_another_name(
    program: Program, receiver: Receiver, tmp_path: Path, authority: Authority
) -> None:
    skip_without(program)
    await receiver.hang_up()
    await receiver.listen(authority.issue(STRANGER, address="127.0.0.2"))
    complaint = {"rsyslog": "not permitted to talk to it", "syslog-ng": "does not match configured hostname"}[program]
    async with Forwarder(example(program, receiver, tmp_path, Tls(authority.file, authority.issue(RELAY)))) as forwarder:
        await probe_until(forwarder, complaint)
    assert await receiver.everything() == []


RFC5424 = rb"<13>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+[+-]\d\d:\d\d \S+ bongsu-test - - \[timeQuality [^]]*\] "
RFC3164 = rb"<13>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ bongsu-test: "


@pytest.mark.parametrize(
    ("receiver", "options"), [("tcp", ["-T"]), ("tcp", ["-T", "--octet-count"]), ("udp", ["-d"])], indirect=["receiver"]
)
@pytest.mark.parametrize(("form", "header"), [("--rfc5424", RFC5424), ("--rfc3164", RFC3164)])
async def test_logger_delivers(form: str, header: bytes, options: list[str], receiver: Receiver, tmp_path: Path) -> None:
    skip_without("logger")
    texts = [f"line {n} of 50: 차단 action=deny src=10.0.0.{n}" for n in range(50)]
    file = tmp_path / "lines"
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    await logger(*options, form, "-n", "127.0.0.1", "-P", str(receiver.port), "-t", "bongsu-test", "-f", str(file))
    await receiver.until(len(texts))
    lines = sorted(await receiver.everything(), key=_number)
    for line, text in zip(lines, texts, strict=True):
        assert re.fullmatch(header + re.escape(text.encode()), line), line


async def logger(*options: str) -> None:
    """Run `logger`; it ends when it has sent."""
    process = await asyncio.create_subprocess_exec("logger", *options, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")


def _number(line: bytes) -> int:
    found = re.search(rb"line (\d+) of", line)
    assert found, line
    return int(found[1])
