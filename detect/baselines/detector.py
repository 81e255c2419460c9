"""What a detector is: something that looks at one closed stretch of receive time and says what in it is unusual.

Invariant: `evaluate` gives the same for the same tick whenever it is asked, as long as the events are kept: it reads events received before
the window's end and what earlier ticks remembered, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from core.baseline_settings import BaselineSettings
from core.storage.contract import Limits, Store
from detect.baselines.memory import Memory, Seen
from detect.baselines.population import Agencies, Population

LIMITS: Final = Limits(seconds=300.0, rows=1_000_000, memory_bytes=2 << 30)
"""The most a detector's query may take."""

_MINUTE: Final = timedelta(minutes=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class About:
    """What a detector says of itself. `word` names it in the settings, in positions and in the store.

    It runs once `every` so long. What it told of a subject it does not tell again within `repeat`; None: it sees to that itself.
    """

    word: str
    rule_id: str
    title: str
    title_ko: str
    level: str
    tags: tuple[str, ...]
    every: timedelta
    repeat: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The receive times [start, end) that one tick is about; UTC."""

    start: datetime
    end: datetime

    @property
    def tick(self) -> int:
        """Minutes since the epoch of the end: a number that does not change its meaning when a detector's interval does."""
        return (self.end - _EPOCH) // _MINUTE


def end_of(tick: int) -> datetime:
    """When the window of a tick ends, UTC."""
    return _EPOCH + tick * _MINUTE


def windows(every: timedelta, since: datetime, until: datetime) -> Iterator[Window]:
    """The windows of that length, counted from the epoch, that lie wholly between `since` and `until`, in order."""
    start = _EPOCH - (_EPOCH - since) // every * every
    while start + every <= until:
        yield Window(start, start + every)
        start += every


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a detector: a window, and the agencies these settings hold for."""

    store: Store
    memory: Memory
    window: Window
    agencies: Agencies
    settings: BaselineSettings


@dataclass(frozen=True, slots=True)
class Finding:
    """Something unusual about `subject`. Its events are those of `population` received in [since, until) with that subject.

    `title` and `title_ko` say more than the detector's own, `level` is '' for the detector's. `columns` replace those of the newest event.
    """

    agency: str
    subject: str
    population: Population
    since: datetime
    until: datetime
    details: Mapping[str, Any]
    title: str = ""
    title_ko: str = ""
    level: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tick found, and what is to be remembered of it: what was seen, and amounts to be added up later (`Memory.sums`)."""

    findings: Sequence[Finding] = ()
    seen: Sequence[Seen] = ()
    sums: Sequence[Seen] = ()


class Detector(Protocol):
    """One detector."""

    @property
    def about(self) -> About: ...

    def enabled(self, settings: BaselineSettings) -> bool: ...

    async def evaluate(self, asked: Asked) -> Outcome:
        """What is unusual in the window. StoreError when the store fails, QueryTooCostly when it is too much to look at."""
        ...
