"""What is done for the ledger now and then: close the hours that are due, and look at what belongs to the last day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from core.clock import Clock
from ingest.ledger.checking import Checking
from ingest.ledger.closing import Closing

EVERY_SECONDS: Final = 10.0
_LOOK: Final = timedelta(minutes=10)


class Keeper:
    """Call `step` every EVERY_SECONDS. A check follows each closing, and one comes every ten minutes at the least."""

    def __init__(self, closing: Closing, checking: Checking, clock: Clock) -> None:
        self._closing = closing
        self._checking = checking
        self._clock = clock
        self._looked_at: datetime | None = None

    async def step(self) -> None:
        """Do what is due. BusError and StoreError: the next step tries again."""
        entered = await self._closing.step()
        now = self._clock.now()
        if entered or self._looked_at is None or now - self._looked_at >= _LOOK:
            await self._checking.check("recent")
            self._looked_at = now
