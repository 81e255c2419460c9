"""Who may call lines an exercise: whoever shows a ticket that the centre signed (`core.exercise`), and nobody else.

`Exercises.admit` is the receiver's half: the first line of a connection may be a ticket, good once and within `_START_MS` of being issued;
one that is not stays a line like any other. `Exercises.number` is the half of normalise: whatever a message's headers say, only a ticket of
ours makes its lines an exercise, so no producer on the bus can hide in one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import structlog

from core import metrics
from core.clock import Clock, millis
from core.errors import Invalid
from core.events import IntakeFlag
from core.exercise import LONGEST, MARK, SOURCE_PREFIX, Ticket, read
from core.signing import Verifier
from ingest.rawbatch import Origin

_MARK: Final = MARK.encode()
_START_MS: Final = 60_000
_REMEMBERED: Final = 4096
_log = structlog.get_logger()


class Exercises:
    """Judges tickets with the centre's public key; without one every ticket is refused. For one thread at a time."""

    def __init__(self, verifier: Verifier | None, clock: Clock) -> None:
        self._verifier = verifier
        self._clock = clock
        self._read: dict[str, Ticket | None] = {}
        self._shown: dict[str, int] = {}

    def admit(self, blob: bytes, origin: Origin) -> tuple[bytes, Origin] | None:
        """What is left of the first lines of a connection (joined by LF) after a good ticket, and whose that is; None without one.

        `origin` is the sender's own.
        """
        if not blob.startswith(_MARK):
            return None
        first, _, rest = blob.partition(b"\n")
        text = first.rstrip(b"\r")[: LONGEST + 1].decode("ascii", "replace")
        now = millis(self._clock.now())
        self._shown = {shown: at for shown, at in self._shown.items() if now - at <= 2 * _START_MS}
        ticket = self._ticket(text)
        if ticket is None or not ticket.holds_at(now) or now - ticket.issued_at > _START_MS or text in self._shown:
            metrics.EXERCISE_TICKETS.labels("refused").inc()
            _log.warning("exercise.ticket_refused", peer=origin.peer)
            return None
        self._shown[text] = now
        metrics.EXERCISE_TICKETS.labels("admitted").inc()
        _log.info("exercise.connected", drill=ticket.drill, agency=ticket.agency, source=ticket.source, peer=origin.peer)
        named = {"agency": ticket.agency, "source": f"{SOURCE_PREFIX}{ticket.source}", "timezone": ticket.timezone}
        return rest, replace(origin, **named, flags=IntakeFlag.REPLAY, exercise=text)

    def number(self, origin: Origin, received: int) -> str:
        """The number of the drill that lines of `origin` received at `received` belong to; '' when they are real."""
        if not origin.exercise:
            return ""
        ticket = self._ticket(origin.exercise)
        told = (origin.agency, origin.source)
        if ticket is not None and ticket.holds_at(received) and told == (ticket.agency, f"{SOURCE_PREFIX}{ticket.source}"):
            return ticket.drill
        metrics.EXERCISE_TICKETS.labels("dropped").inc()
        _log.warning("exercise.ticket_dropped", agency=origin.agency, source=origin.source[:64])
        return ""

    def _ticket(self, text: str) -> Ticket | None:
        if len(text) > LONGEST:
            return None
        if text not in self._read:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            self._read[text] = self._checked(text)
        return self._read[text]

    def _checked(self, text: str) -> Ticket | None:
        if self._verifier is None:
            return None
        try:
            return read(self._verifier, text)
        except Invalid:
            return None
