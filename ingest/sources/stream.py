"""Syslog over TCP and TLS (RFC 6587, RFC 5425).

Plain syslog has no acknowledgement, so reading is the only promise made to a sender: a connection is read on only while what was read
from it and is not yet durable stays under a window. The rest waits in the kernel's buffers, and then at the sender.

- Lines read are offered to the intake insisting: they are tried again until the bus takes them.
- A connection that ends, breaks its framing or is closed by us loses none of the whole lines that were read.
- Memory is bounded: per connection by the window and one partial line, in all by the intake's own limit.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, replace
from typing import Any, cast

import structlog

from core import metrics
from core.config import Listener
from core.errors import ConfigError
from core.events import IntakeFlag
from ingest.attribution import Attribution, certificate_names
from ingest.exercises import Exercises
from ingest.framing import Framed, Framer
from ingest.rawbatch import Origin
from ingest.sources.intake import Intake
from ingest.sources.tls import TlsSession, server_context

_BACKLOG = 1024
_STOP_SECONDS = 10.0
_MOST_UNSENT = 65536
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one connection may take. A dead peer is found by TCP keep-alive within two minutes, whatever these say."""

    window: int = 4 << 20  # bytes read and not yet durable
    first_byte_seconds: float = 60.0  # until the first byte of a log line, a TLS handshake included
    idle_seconds: float = 6 * 3600.0  # a quiet device loses a message when its connection is closed, so this is long


class StreamServer:
    """One TCP or TLS listener."""

    def __init__(
        self, listener: Listener, intake: Intake, attribution: Attribution, limits: StreamLimits, exercises: Exercises | None = None
    ) -> None:
        self.listener = listener
        self.port = listener.port  # the one in use, once started
        self.intake = intake
        self.limits = limits
        self.exercises = exercises
        self._attribution = attribution
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._unsettled: set[asyncio.Future[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._refusing = False

    async def start(self) -> None:
        listener = self.listener
        context = server_context(listener, listener.tls) if listener.tls else None
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self, TlsSession(context) if context else None), listener.host, listener.port, backlog=_BACKLOG
            )
        except OSError as error:
            raise ConfigError(
                f"intake.listeners.{listener.name}", f"cannot listen on {listener.host} port {listener.port}: {error.strerror or error}"
            ) from error
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._sweep_later()
        _log.info("syslog.listening", listener=listener.name, kind=listener.kind, port=self.port)

    async def stop(self) -> None:
        """Take no more, make durable what was read, close the connections. Waits some seconds at most when the bus refuses."""
        if self._server is None:
            return
        if self._sweep is not None:
            self._sweep.cancel()
        self._server.close()
        self._server = None
        for connection in tuple(self._connections):
            connection.finish()
        if self._unsettled:
            _, late = await asyncio.wait(self._unsettled, timeout=_STOP_SECONDS)
            if late:
                _log.error("syslog.stopped_before_durable", listener=self.listener.name, batches=len(late))
        for connection in tuple(self._connections):
            connection.close()

    def join(self, connection: _Connection) -> bool:
        """Let a connection in; False: there are too many."""
        if len(self._connections) >= self.listener.max_connections:
            metrics.CONNECTIONS_REFUSED.labels(self.listener.name).inc()
            if not self._refusing:
                _log.warning("syslog.too_many_connections", listener=self.listener.name, limit=self.listener.max_connections)
            self._refusing = True
            return False
        self._refusing = False
        self._connections.add(connection)
        metrics.CONNECTIONS.labels(self.listener.name).inc()
        return True

    def origin(self, peer: str, certificate: dict[str, Any] | None) -> Origin:
        return self._attribution.of_peer(self.listener, peer, certificate_names(certificate))

    def leave(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            metrics.CONNECTIONS.labels(self.listener.name).dec()

    def track(self, future: asyncio.Future[None]) -> None:
        """Remember lines that are under way, whatever becomes of their connection."""
        if future not in self._unsettled:
            self._unsettled.add(future)
            future.add_done_callback(self._unsettled.discard)

    def _sweep_later(self) -> None:
        every = min(self.limits.first_byte_seconds, self.limits.idle_seconds) / 4
        self._sweep = asyncio.get_running_loop().call_later(every, self._close_idle)

    def _close_idle(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in tuple(self._connections):
            if connection.is_idle(now):
                _log.info("syslog.idle_connection_closed", listener=self.listener.name, peer=connection.peer)
                connection.finish()
                connection.close()
        self._sweep_later()


class _Connection(asyncio.Protocol):
    """One sender."""

    def __init__(self, server: StreamServer, tls: TlsSession | None) -> None:
        self.peer = ""
        self._server = server
        self._intake = server.intake
        self._tls = tls
        self._framer = Framer(server.intake.settings.max_line_bytes)
        self._transport: asyncio.Transport | None = None
        self._origin: Origin | None = None  # known from the start, with TLS after the handshake
        self._unsettled: dict[asyncio.Future[None], int] = {}
        self._unsettled_bytes = 0
        self._paused = False
        self._ended = False
        self._active_at = 0.0
        self._talked = False
        self._begun = server.exercises is None  # whether it is known that no ticket of an exercise comes

    def is_idle(self, now: float) -> bool:
        limits = self._server.limits
        return not self._paused and now - self._active_at > (limits.idle_seconds if self._talked else limits.first_byte_seconds)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._active_at = asyncio.get_running_loop().time()
        if not self._server.join(self):
            self._ended = True
            self._transport.abort()
            return
        address = transport.get_extra_info("peername")
        self.peer = address[0] if address else ""
        if self._tls is None:
            self._origin = self._server.origin(self.peer, None)
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._tls is not None:
            data = self._decrypted(self._tls, data)
        if data:
            self._active_at = asyncio.get_running_loop().time()
            self._talked = True
            self._take(self._framer.feed(data))
        if self._framer.broken or (self._tls is not None and (self._tls.broken or self._tls.ended)):
            self.finish()
            self.close()
        elif self._unsettled and (self._unsettled_bytes > self._server.limits.window or self._intake.congested):
            self._pause()

    def _decrypted(self, tls: TlsSession, data: bytes) -> bytes:
        plain = tls.receive(data)
        if tls.established and self._origin is None:
            self._origin = self._server.origin(self.peer, tls.certificate())
        transport = cast(asyncio.Transport, self._transport)
        transport.write(tls.to_send())
        if transport.get_write_buffer_size() > _MOST_UNSENT:
            tls.broken = "the peer does not read what TLS needs to say"
        if tls.broken:
            _log.warning("syslog.broken_tls", listener=self._server.listener.name, peer=self.peer, reason=tls.broken)
        return plain

    def eof_received(self) -> None:
        self.finish()

    def connection_lost(self, _: Exception | None) -> None:
        self.finish()
        self._server.leave(self)

    def finish(self) -> None:
        """Read no more and take what was read."""
        if self._ended:
            return
        self._ended = True
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._pause()
        if self._origin is not None:
            self._take(self._framer.end())
        if self._framer.broken:
            metrics.FRAMING_ERRORS.labels(self._server.listener.name).inc()
            _log.warning("syslog.broken_framing", listener=self._server.listener.name, peer=self.peer, reason=self._framer.broken)

    def close(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is not None:
            self._tls.end()
            self._transport.write(self._tls.to_send())
        self._transport.close()

    def _take(self, framed: Framed) -> None:
        if not self._begun and framed.taken:
            self._begin(framed)
        origin = cast(Origin, self._origin)
        if framed.lines:
            self._track(self._intake.offer(origin, framed.blob, framed.lines, insist=True), len(framed.blob))
        if framed.apart:
            self._track(self._intake.offer_lines(origin, framed.apart, insist=True), sum(map(len, framed.apart)))
        if framed.cut:
            cut = replace(origin, flags=origin.flags | IntakeFlag.TRUNCATED)
            self._track(self._intake.offer_lines(cut, framed.cut, insist=True), sum(map(len, framed.cut)))
        if framed.empty:
            metrics.LINES_EMPTY.labels(origin.transport).inc(framed.empty)

    def _begin(self, framed: Framed) -> None:
        """Take a ticket of an exercise off the first lines, if they begin with a good one."""
        self._begun = True
        admitted = cast(Exercises, self._server.exercises).admit(framed.blob, cast(Origin, self._origin))
        if admitted is not None:
            framed.blob, self._origin = admitted
            framed.lines -= 1

    def _track(self, future: asyncio.Future[None], size: int) -> None:
        self._unsettled_bytes += size
        if future in self._unsettled:
            self._unsettled[future] += size
            return
        self._unsettled[future] = size
        self._server.track(future)
        future.add_done_callback(self._settled)

    def _settled(self, future: asyncio.Future[None]) -> None:
        self._unsettled_bytes -= self._unsettled.pop(future)
        error = future.exception()
        if error is not None:
            _log.error("syslog.lines_lost", listener=self._server.listener.name, peer=self.peer, error=str(error))
            if self._transport is not None:
                self._transport.abort()
        elif self._paused and not self._ended and self._may_resume():
            self._paused = False
            cast(asyncio.Transport, self._transport).resume_reading()

    def _may_resume(self) -> bool:
        """With nothing under way nothing would wake this connection again, so then it reads on even in a congested intake."""
        return not self._unsettled or (self._unsettled_bytes <= self._server.limits.window // 2 and not self._intake.congested)

    def _pause(self) -> None:
        if self._paused:
            return
        self._paused = True
        cast(asyncio.Transport, self._transport).pause_reading()
        if not self._ended:
            metrics.BACKPRESSURE.labels(self._server.listener.kind).inc()
