"""Connections of a drill to a listener of the centre: one for each source of each agency, as its device would have.

Each begins with a ticket (`core.exercise`), so everything on it is tagged end to end. A connection that breaks is made anew with a new one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from core.clock import Clock, millis
from core.exercise import Ticket, issue
from core.signing import Signer
from respond.drills.sending import Job
from respond.drills.timeline import Shot

_SECONDS: Final = 10.0  # to connect, or until the listener reads on
_GRACE_MS: Final = 3_600_000  # a ticket is good for so much longer than the rest of the scenario


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to reach a listener: its host and port (asked at each connection), the key that signs tickets, TLS or None."""

    target: Callable[[], tuple[str, int]]
    signer: Signer
    tls: ssl.SSLContext | None
    clock: Clock


class Links:
    """The connections of one drill."""

    def __init__(self, access: Access, job: Job) -> None:
        self._access = access
        self._job = job
        self._open: dict[tuple[int, str], asyncio.StreamWriter] = {}

    async def send(self, shots: Sequence[Shot]) -> None:
        """Write lines, all now. OSError or TimeoutError when a connection cannot be made or breaks; then send them again."""
        lines: dict[tuple[int, str], list[Shot]] = defaultdict(list)
        for shot in shots:
            lines[shot.place, shot.source.name].append(shot)
        now = self._access.clock.now()
        try:
            for key, some in lines.items():
                writer = self._open.get(key) or await self._connect(some[0])
                writer.write(b"".join(shot.text(now).encode() + b"\n" for shot in some))
                await asyncio.wait_for(writer.drain(), _SECONDS)
        except (OSError, TimeoutError):
            self.close()
            raise

    async def finish(self) -> None:
        """Let everything written go out, and close."""
        for writer in self._open.values():
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._open.values()), return_exceptions=True)
        self._open.clear()

    def close(self) -> None:
        """Close at once."""
        for writer in self._open.values():
            writer.close()
        self._open.clear()

    async def _connect(self, shot: Shot) -> asyncio.StreamWriter:
        host, port = self._access.target()
        tls = self._access.tls
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port, ssl=tls, server_hostname=host if tls else None), _SECONDS)
        self._open[shot.place, shot.source.name] = writer
        now, job = millis(self._access.clock.now()), self._job
        until = now + int((job.timeline.scenario.seconds - shot.at) * 1000) + _GRACE_MS
        ticket = Ticket(job.number, job.agencies[shot.place], shot.source.name, shot.source.timezone, now, until)
        writer.write(issue(self._access.signer, ticket).encode() + b"\n")
        return writer
