"""Up to when everything received is in the store.

A look notes where the topics of the first leg end. Once the groups that read them have passed those ends, the ends of the next leg's topics
are noted, and so on down the way; when the groups of the last leg have passed theirs, all that was on the bus at the look is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.bus.contract import Bus

Leg = Sequence[tuple[str, str]]
"""Consumer groups, each with the topic it reads."""


class Progress:
    """Follows lines along `way`, leg by leg."""

    def __init__(self, bus: Bus, way: Sequence[Leg]) -> None:
        self._bus = bus
        self._way = tuple(way)
        self._looked_at: datetime | None = None
        self._leg = 0
        self._ends: Mapping[str, Mapping[int, int]] = {}
        self._reached: datetime | None = None

    async def reached(self, now: datetime) -> datetime | None:
        """The newest time up to which all that was received is stored, None when that is not known yet. BusError when the bus fails."""
        if self._looked_at is None:
            self._ends = await self._noted(0)
            self._looked_at, self._leg = now, 0
        while await self._passed():
            if self._leg + 1 == len(self._way):
                self._reached, self._looked_at = self._looked_at, None
                break
            self._ends = await self._noted(self._leg + 1)
            self._leg += 1
        return self._reached

    async def _noted(self, leg: int) -> Mapping[str, Mapping[int, int]]:
        return {topic: await self._bus.end_offsets(topic) for _, topic in self._way[leg]}

    async def _passed(self) -> bool:
        for group, topic in self._way[self._leg]:
            if any(lag.committed < self._ends[topic].get(lag.partition, 0) for lag in await self._bus.lag(group, topic)):
                return False
        return True
