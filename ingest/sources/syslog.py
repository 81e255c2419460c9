"""A syslog listener of the settings: UDP, TCP or TLS behind one face."""

from __future__ import annotations

from core.config import Listener
from ingest.attribution import Attribution
from ingest.exercises import Exercises
from ingest.sources.datagram import DatagramServer
from ingest.sources.intake import Intake
from ingest.sources.stream import StreamLimits, StreamServer


class SyslogServer:
    """Receives on one socket and puts what comes on the intake."""

    def __init__(
        self,
        listener: Listener,
        intake: Intake,
        attribution: Attribution,
        limits: StreamLimits | None = None,
        exercises: Exercises | None = None,
    ) -> None:
        """`exercises` judges tickets of exercises, which come over streams alone; None: there are none."""
        self.listener = listener
        self._server: DatagramServer | StreamServer
        if listener.kind == "udp":
            self._server = DatagramServer(listener, intake, attribution)
        else:
            self._server = StreamServer(listener, intake, attribution, limits or StreamLimits(), exercises)

    @property
    def port(self) -> int:
        """The port in use; the system's choice where the settings say 0."""
        return self._server.port

    async def start(self) -> None:
        """Listen. ConfigError when the address or a certificate cannot be used."""
        await self._server.start()

    async def stop(self) -> None:
        """Take no more, make durable what was read, close. Call it before the intake's `close`."""
        await self._server.stop()
