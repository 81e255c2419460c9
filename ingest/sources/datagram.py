"""Syslog over UDP (RFC 5426): one datagram is one line.

UDP has no way to hold a sender back. Datagrams are lost when the kernel's receive buffer overflows, which nobody can count here, and when
the bus refuses or too much is waiting for it, which is counted (`bongsu_intake_dropped_datagrams_total`) and logged.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import structlog

from core import metrics
from core.config import Listener
from core.errors import ConfigError
from core.events import IntakeFlag
from ingest.attribution import Attribution
from ingest.rawbatch import Origin
from ingest.sources.intake import Intake

_LARGEST_DATAGRAM = 65535
_ENDS = b"\r\n\0"
_READ_AT_ONCE = 512  # then other connections get their turn
_LAST_READS = 256  # at the end, what the kernel holds; a sender that never pauses must not keep us
_RECEIVE_BUFFER = 64 << 20
_SO_RCVBUFFORCE = 33  # Linux: beyond net.core.rmem_max, for a privileged process
_STOP_SECONDS = 10.0
_log = structlog.get_logger()


class DatagramServer:
    """One UDP listener."""

    def __init__(self, listener: Listener, intake: Intake, attribution: Attribution) -> None:
        self.listener = listener
        self.port = listener.port  # the one in use, once started
        self._intake = intake
        self._attribution = attribution
        self._limit = intake.settings.max_line_bytes
        self._socket: socket.socket | None = None
        self._unsettled: set[asyncio.Future[None]] = set()
        self._dropping = False

    async def start(self) -> None:
        listener = self.listener
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(listener.host, listener.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            self._socket = _bound(socket.socket(family, kind, protocol), address)
        except OSError as error:
            raise ConfigError(
                f"intake.listeners.{listener.name}", f"cannot listen on {listener.host} port {listener.port}: {error.strerror or error}"
            ) from error
        self.port = int(self._socket.getsockname()[1])
        loop.add_reader(self._socket.fileno(), self._read)
        size = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        _log.info("syslog.listening", listener=listener.name, kind="udp", port=self.port, receive_buffer=size)

    async def stop(self) -> None:
        """Take what the kernel has received, make it durable, close. Waits some seconds at most when the bus refuses."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        for _ in range(_LAST_READS):
            if not self._read():
                break
        if self._unsettled:
            await asyncio.wait(self._unsettled, timeout=_STOP_SECONDS)
        self._socket.close()
        self._socket = None

    def _read(self) -> bool:
        """Take datagrams that have arrived; whether there may be more."""
        gathered: dict[str, list[bytes]] = {}
        more = True
        receive = cast(socket.socket, self._socket).recvfrom
        for _ in range(_READ_AT_ONCE):
            try:
                data, address = receive(_LARGEST_DATAGRAM)
            except BlockingIOError:
                more = False
                break
            if address[0] in gathered:
                gathered[address[0]].append(data)
            else:
                gathered[address[0]] = [data]
        for peer, datagrams in gathered.items():
            self._take(self._attribution.of_peer(self.listener, peer), datagrams)
        return more

    def _take(self, origin: Origin, datagrams: Sequence[bytes]) -> None:
        lines = [line for line in (data.rstrip(_ENDS) for data in datagrams) if line]
        if len(lines) < len(datagrams):
            metrics.LINES_EMPTY.labels(origin.transport).inc(len(datagrams) - len(lines))
        cut = [line[: self._limit] for line in lines if len(line) > self._limit]
        if cut:
            lines = [line for line in lines if len(line) <= self._limit]
            self._offer(replace(origin, flags=origin.flags | IntakeFlag.TRUNCATED), cut)
        if lines:
            self._offer(origin, lines)

    def _offer(self, origin: Origin, lines: Sequence[bytes]) -> None:
        if self._intake.congested:
            self._drop(len(lines), "too much is waiting for the bus")
            return
        future = self._intake.offer_lines(origin, lines)
        self._unsettled.add(future)
        future.add_done_callback(partial(self._settled, len(lines)))

    def _settled(self, lines: int, future: asyncio.Future[None]) -> None:
        self._unsettled.discard(future)
        error = future.exception()
        if error is not None:
            self._drop(lines, str(error))
        else:
            self._dropping = False

    def _drop(self, lines: int, reason: str) -> None:
        metrics.DATAGRAMS_DROPPED.labels(self.listener.name).inc(lines)
        if not self._dropping:  # once per spell
            _log.error("syslog.datagrams_dropped", listener=self.listener.name, reason=reason)
        self._dropping = True


def _bound(made: socket.socket, address: Any) -> socket.socket:
    """The socket, bound, with as large a receive buffer as the system gives."""
    try:
        for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
            try:
                made.setsockopt(socket.SOL_SOCKET, option, _RECEIVE_BUFFER)
            except PermissionError:
                continue
            break
        if made.family == socket.AF_INET6 and address[0] == "::":
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.setblocking(False)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
