"""Syslog over real UDP, TCP and TLS sockets onto the real embedded bus."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from core import metrics
from core.config import Listener, TlsSettings
from core.errors import ConfigError
from core.events import IntakeFlag
from ingest.rawbatch import Origin
from ingest.sources.stream import StreamLimits
from tests.servers.certificates import Authority
from tests.servers.receiving import Receiving, count, eventually, receiving

HOST = "127.0.0.1"
TREE: dict[str, Any] = {
    "intake": {"linger_ms": 5},
    "agencies": [
        {
            "id": "jongno-gu",
            "name_ko": "종로구",
            "sources": [
                {"name": "near", "addresses": ["127.0.0.1/32"], "timezone": "Asia/Seoul"},
                {"name": "fw-7", "certificates": ["fw-7.jongno.example"]},
            ],
        }
    ],
}
NEAR = {kind: Origin("jongno-gu", "near", kind, HOST, timezone="Asia/Seoul") for kind in ("udp", "tcp", "tls")}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Receiving]:
    async with receiving(tmp_path, TREE) as made:
        yield made


def tcp(**more: Any) -> Listener:
    return Listener(name="t", kind="tcp", host=HOST, port=0, **more)


async def send(port: int, data: bytes, context: ssl.SSLContext | None = None) -> None:
    """Send over a stream and close it, as a forwarder does."""
    _, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname="localhost" if context else None)
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def closed_by_peer(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(10):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


@pytest.mark.parametrize(
    "data",
    [
        b"<13>one\n<13>two\n\n<13>\xb0\xa1 three\n",
        b"<13>one\r\n<13>two\r\n<13>\xb0\xa1 three",
        b"7 <13>one7 <13>two12 <13>\xb0\xa1 three",
        b"<13>one\0<13>two\0<13>\xb0\xa1 three\0",
    ],
    ids=["lf", "crlf", "counted", "nul"],
)
async def test_every_framing_over_tcp(centre: Receiving, data: bytes) -> None:
    server = await centre.listen(tcp())
    await send(server.port, data)
    await centre.until(3)
    assert centre.lines(NEAR["tcp"]) == [b"<13>one", b"<13>two", b"<13>\xb0\xa1 three"]
    assert centre.origins == {NEAR["tcp"]}


async def test_frames_that_hold_an_lf_stay_whole(centre: Receiving) -> None:
    server = await centre.listen(tcp())
    await send(server.port, b"12 <13>one\nmore7 <13>two")
    await centre.until(2)
    assert centre.lines() == [b"<13>one\nmore", b"<13>two"]


async def test_a_line_that_is_too_long_is_cut_and_flagged(centre: Receiving) -> None:
    server = await centre.listen(tcp())
    before = count(metrics.LINES_TRUNCATED, "tcp")
    await send(server.port, b"<13>a\n<13>" + b"x" * 200_000 + b"\n<13>" + b"y" * 65532 + b"\n<13>z\n")
    await centre.until(4)
    assert centre.lines(NEAR["tcp"]) == [b"<13>a", b"<13>" + b"y" * 65532, b"<13>z"]
    cut = next(batch for batch in centre.batches if batch.origin.flags)
    assert cut.origin.flags == IntakeFlag.TRUNCATED
    assert list(cut.lines) == [b"<13>" + b"x" * 65532]
    assert count(metrics.LINES_TRUNCATED, "tcp") - before == 1


async def test_an_unknown_sender_is_kept_apart(tmp_path: Path) -> None:
    async with receiving(tmp_path) as centre:
        server = await centre.listen(tcp())
        await send(server.port, b"<13>who am I\n")
        await centre.until(1)
        assert centre.origins == {Origin("_unknown", "unknown-127.0.0.1", "tcp", HOST, IntakeFlag.UNKNOWN_SOURCE)}


async def test_a_listener_of_one_source(centre: Receiving) -> None:
    server = await centre.listen(tcp(agency="jongno-gu", source="fw-7"))
    await send(server.port, b"<13>x\n")
    await centre.until(1)
    assert centre.origins == {Origin("jongno-gu", "fw-7", "tcp", HOST)}


async def test_many_connections_at_once(centre: Receiving) -> None:
    server = await centre.listen(tcp())
    await asyncio.gather(*(send(server.port, b"".join(b"<13>%d of %d\n" % (n, c) for n in range(20))) for c in range(200)))
    await centre.until(4000)
    assert sorted(centre.lines()) == sorted(b"<13>%d of %d" % (n, c) for n in range(20) for c in range(200))
    await eventually(lambda: metrics.CONNECTIONS.labels("t")._value.get() == 0)


async def test_a_broken_count_ends_the_connection_and_keeps_what_was_whole(centre: Receiving) -> None:
    server = await centre.listen(tcp())
    before = count(metrics.FRAMING_ERRORS, "t")
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(b"7 <13>one7 <13>two<13>no count\n")
    assert await closed_by_peer(reader)
    writer.close()
    await centre.until(2)
    assert centre.lines() == [b"<13>one", b"<13>two"]
    assert count(metrics.FRAMING_ERRORS, "t") - before == 1


async def test_too_many_connections_are_refused_until_one_ends(centre: Receiving) -> None:
    server = await centre.listen(tcp(max_connections=1))
    before = count(metrics.CONNECTIONS_REFUSED, "t")
    _, first = await asyncio.open_connection(HOST, server.port)
    first.write(b"<13>first\n")
    await centre.until(1)
    reader, second = await asyncio.open_connection(HOST, server.port)
    assert await closed_by_peer(reader)
    second.close()
    assert count(metrics.CONNECTIONS_REFUSED, "t") - before == 1
    first.close()
    await eventually(lambda: metrics.CONNECTIONS.labels("t")._value.get() == 0)
    await send(server.port, b"<13>third\n")
    await centre.until(2)
    assert centre.lines() == [b"<13>first", b"<13>third"]


async def test_a_connection_that_says_nothing_is_closed_and_a_talking_one_is_not(centre: Receiving) -> None:
    server = await centre.listen(tcp(), StreamLimits(first_byte_seconds=0.2, idle_seconds=60))
    talking_reader, talking = await asyncio.open_connection(HOST, server.port)
    talking.write(b"<13>hello\n")
    reader, silent = await asyncio.open_connection(HOST, server.port)
    assert await closed_by_peer(reader)
    talking.write(b"<13>still here\n")
    await centre.until(2)
    assert not talking_reader.at_eof()
    silent.close()
    talking.close()


async def test_an_idle_connection_is_closed_and_its_last_line_taken(centre: Receiving) -> None:
    server = await centre.listen(tcp(), StreamLimits(first_byte_seconds=60, idle_seconds=0.2))
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(b"<13>one\n<13>unterminated")
    assert await closed_by_peer(reader)
    writer.close()
    await centre.until(2)
    assert centre.lines() == [b"<13>one", b"<13>unterminated"]


async def test_stop_makes_durable_what_was_read_and_closes(tmp_path: Path) -> None:
    async with receiving(tmp_path, {**TREE, "intake": {"linger_ms": 200}}) as centre:
        server = await centre.listen(tcp())
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(b"<13>one\n<13>unterminated")
        await eventually(lambda: centre.intake._held > 0)
        await server.stop()
        await centre.all()
        assert centre.lines() == [b"<13>one", b"<13>unterminated"]
        assert await closed_by_peer(reader)
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, server.port)


async def test_a_full_bus_holds_the_sender_back_and_loses_nothing(tmp_path: Path) -> None:
    lines = [b"<13>line%06d " % n + random.Random(n).randbytes(1500).hex().encode() for n in range(6000)]
    async with receiving(tmp_path, TREE, backlog=1 << 20, write_seconds=0.2) as centre:
        server = await centre.listen(tcp(), StreamLimits(window=256 << 10))
        before = count(metrics.BACKPRESSURE, "tcp")
        sending = asyncio.create_task(send(server.port, b"\n".join(lines) + b"\n"))
        await centre.full()
        assert centre.intake._held < 1 << 20  # the window, and one read beyond it
        await asyncio.sleep(0.3)
        assert not sending.done()  # 18 MB do not fit into what we hold and the kernel's buffers
        assert count(metrics.BACKPRESSURE, "tcp") > before
        await centre.until(len(lines))
        await sending
        await centre.all()
        assert centre.lines() == lines


async def test_stop_while_the_bus_is_full_ends_in_time_and_cuts_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.sources.stream._STOP_SECONDS", 0.3)
    async with receiving(tmp_path, TREE, backlog=64 << 10, write_seconds=0.2) as centre:
        server = await centre.listen(tcp())
        reader, writer = await asyncio.open_connection(HOST, server.port)
        for _ in range(10):
            writer.write(b"<13>" + random.randbytes(30_000).replace(b"\n", b"") + b"\n")
            await asyncio.sleep(0.02)
        await centre.full()
        async with asyncio.timeout(5):
            await server.stop()
            await centre.intake.close()
        assert await closed_by_peer(reader)
        writer.close()


def udp(*datagrams: bytes, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, (HOST, port))


async def test_one_datagram_is_one_line(centre: Receiving) -> None:
    server = await centre.listen(Listener(name="u", kind="udp", host=HOST, port=0))
    before = count(metrics.LINES_EMPTY, "udp")
    udp(b"<13>one\n", b"<13>two\nsame datagram\r\n", b"\n", b"", b"<13>\0three\0\0", b"5 hello", port=server.port)
    await centre.until(4)
    assert centre.lines(NEAR["udp"]) == [b"<13>one", b"<13>two\nsame datagram", b"<13>\0three", b"5 hello"]
    await eventually(lambda: count(metrics.LINES_EMPTY, "udp") - before == 2)


async def test_a_datagram_that_is_too_long_is_cut(tmp_path: Path) -> None:
    async with receiving(tmp_path, {"intake": {"max_line_bytes": 2000}}) as centre:
        server = await centre.listen(Listener(name="u", kind="udp", host=HOST, port=0))
        udp(b"x" * 60_000, b"y" * 2000, port=server.port)
        await centre.until(2)
        by_flag = {bool(batch.origin.flags & IntakeFlag.TRUNCATED): list(batch.lines) for batch in centre.batches}
        assert by_flag == {True: [b"x" * 2000], False: [b"y" * 2000]}


async def test_datagrams_from_two_addresses_are_two_sources(tmp_path: Path) -> None:
    async with receiving(tmp_path) as centre:
        server = await centre.listen(Listener(name="u", kind="udp", host=HOST, port=0))
        for address in ("127.0.0.2", "127.0.0.3"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((address, 0))
                sender.sendto(address.encode(), (HOST, server.port))
        await centre.until(2)
        assert {batch.origin.source: list(batch.lines) for batch in centre.batches} == {
            "unknown-127.0.0.2": [b"127.0.0.2"],
            "unknown-127.0.0.3": [b"127.0.0.3"],
        }


async def test_ipv4_senders_reach_an_ipv6_socket_under_their_own_address(centre: Receiving) -> None:
    server = await centre.listen(Listener(name="u", kind="udp", host="::", port=0))
    udp(b"<13>mapped", port=server.port)
    await centre.until(1)
    assert centre.origins == {NEAR["udp"]}


async def test_datagrams_are_dropped_and_counted_when_the_bus_is_full(tmp_path: Path) -> None:
    async with receiving(tmp_path, TREE, backlog=64 << 10, write_seconds=0.1) as centre:
        server = await centre.listen(Listener(name="u", kind="udp", host=HOST, port=0))
        before = count(metrics.DATAGRAMS_DROPPED, "u")
        datagrams = [random.Random(n).randbytes(20_000) for n in range(20)]
        for datagram in datagrams:
            udp(datagram, port=server.port)
            await asyncio.sleep(0.02)
        await eventually(lambda: count(metrics.DATAGRAMS_DROPPED, "u") > before)
        await server.stop()
        await centre.all()
        assert len(centre.lines()) + count(metrics.DATAGRAMS_DROPPED, "u") - before == len(datagrams)


async def test_stop_takes_datagrams_the_kernel_has_received(tmp_path: Path) -> None:
    async with receiving(tmp_path, TREE) as centre:
        server = await centre.listen(Listener(name="u", kind="udp", host=HOST, port=0))
        udp(*(b"<13>%d" % n for n in range(1000)), port=server.port)
        await server.stop()
        await centre.all()
        assert centre.lines() == [b"<13>%d" % n for n in range(1000)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def tls(authority: Authority, *, clients: bool = False, required: bool = False) -> Listener:
    certificate, key = authority.issue("localhost")
    trust = authority.file if clients or required else None
    settings = TlsSettings(certificate=certificate, key=key, client_ca=trust, require_client_certificate=required)
    return Listener(name="s", kind="tls", host=HOST, port=0, tls=settings)


def client(authority: Authority, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    if name:
        context.load_cert_chain(*authority.issue(name))
    return context


async def test_tls_without_a_client_certificate_goes_by_address(centre: Receiving, authority: Authority) -> None:
    server = await centre.listen(tls(authority, clients=True))
    await send(server.port, b"7 <13>one7 <13>two", client(authority))
    await centre.until(2)
    assert centre.lines(NEAR["tls"]) == [b"<13>one", b"<13>two"]


@pytest.mark.parametrize("required", [False, True])
async def test_a_client_certificate_names_the_source(centre: Receiving, authority: Authority, required: bool) -> None:
    server = await centre.listen(tls(authority, clients=True, required=required))
    await send(server.port, b"<13>signed\n", client(authority, "fw-7.jongno.example"))
    await centre.until(1)
    assert centre.origins == {Origin("jongno-gu", "fw-7", "tls", HOST)}


def refused(port: int, context: ssl.SSLContext) -> bool:
    """Whether a server ends a TLS connection; in TLS 1.3 it does so after the client's handshake."""
    try:
        with context.wrap_socket(socket.create_connection((HOST, port)), server_hostname="localhost") as sender:
            sender.sendall(b"<13>not signed\n")
            return sender.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


async def test_a_required_certificate_that_is_not_shown_or_not_trusted_ends_the_connection(
    centre: Receiving, authority: Authority, tmp_path: Path
) -> None:
    server = await centre.listen(tls(authority, required=True))
    stranger = client(authority)
    stranger.load_cert_chain(*Authority(tmp_path / "other").issue("fw-7.jongno.example"))
    for context in (client(authority), stranger):
        assert await asyncio.to_thread(refused, server.port, context)
    await send(server.port, b"<13>signed\n", client(authority, "fw-7.jongno.example"))
    await centre.until(1)
    assert centre.lines() == [b"<13>signed"]


async def test_old_tls_is_refused(centre: Receiving, authority: Authority) -> None:
    server = await centre.listen(tls(authority))
    context = client(authority)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert await asyncio.to_thread(refused, server.port, context)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_tls_sender_that_only_writes_and_closes_loses_nothing(
    authority: Authority, tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """It closes while we hold it back, having read neither ticket nor goodbye. The loops differ in what they read ahead."""
    lines = [b"<13>%06d" % n + b" filler" * 60 for n in range(20_000)]

    def write_and_close(port: int) -> None:
        plain = socket.create_connection((HOST, port))
        with client(authority).wrap_socket(plain, server_hostname="localhost") as sender:
            sender.sendall(b"\n".join(lines) + b"\n")

    async def scenario() -> None:
        async with receiving(tmp_path, TREE) as centre:
            server = await centre.listen(tls(authority), StreamLimits(window=64 << 10))
            await asyncio.to_thread(write_and_close, server.port)
            await centre.until(len(lines))
            assert centre.lines() == lines

    run(scenario())


async def test_a_port_that_is_taken_stops_the_start(centre: Receiving) -> None:
    for kind in ("tcp", "udp"):
        server = await centre.listen(Listener(name="first", kind=kind, host=HOST, port=0))
        with pytest.raises(ConfigError, match=rf"intake.listeners.second.*cannot listen on {HOST} port {server.port}"):
            await centre.listen(Listener(name="second", kind=kind, host=HOST, port=server.port))


async def test_a_certificate_that_cannot_be_used_stops_the_start(centre: Receiving, authority: Authority, tmp_path: Path) -> None:
    good = authority.issue("localhost")
    missing = tmp_path / "missing.pem"
    for settings, key in (
        (TlsSettings(certificate=missing, key=good.key), "intake.listeners.s.tls.certificate"),
        (TlsSettings(certificate=good.certificate, key=good.key, client_ca=missing), "intake.listeners.s.tls.client_ca"),
    ):
        with pytest.raises(ConfigError, match="No such file") as raised:
            await centre.listen(Listener(name="s", kind="tls", host=HOST, port=0, tls=settings))
        assert raised.value.key == key
