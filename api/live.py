"""What is new, told while it happens (server-sent events): incidents that changed, detections, and the figures.

- An event is the thing as it is now, so hearing it twice does no harm; what changes several times between two looks is told once.
- `Last-Event-ID` says how far the caller came: what happened since is told, or `reset` when that is too much: read the lists anew. Figures
  are told as they are now.
- Incidents are asked for within the caller's sight; detections are read from the store once for all, and given to those in scope.
- The caller's identity is looked at again and again: when the session or key ends, the stream ends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import structlog

from core.clock import Clock, from_millis, millis
from core.database import Database
from core.errors import Invalid, StoreError, TooMany
from core.storage import detection_queries
from core.storage.contract import Store
from respond.incidents import queries
from respond.incidents.sight import Sight

MOST_STREAMS: Final = 8  # of one caller
MOST_TOLD_AGAIN: Final = 5000
LOOK_SECONDS: Final = 0.5
_IDENTITY_EVERY: Final = 60  # looks
_SILENT_LOOKS: Final = 30  # then a comment shows that the connection holds
_LATE: Final = timedelta(seconds=10)  # so long after the time it bears a change may be committed, and a detection stored
CHANGES_KEPT: Final = timedelta(seconds=30)
_log = structlog.get_logger()


class New(NamedTuple):
    """Something that is new: `key` names it, `at` (UTC) is when it became as `data` says."""

    key: str
    at: datetime
    data: Mapping[str, Any]


@dataclass
class Feed:
    """One kind of news for one caller, who came as far as `heard`.

    `read` gives at most 5,001 that are at or after a time, the oldest first. What was there when a caller without a past began is not told.
    """

    kind: str
    read: Callable[[datetime], Awaitable[Sequence[New]]]
    heard: datetime
    resumed: bool
    _told: dict[str, datetime] | None = None

    async def news(self) -> list[New]:
        """What was not told yet. TooMuch when that is more than is told again; what follows is told then."""
        found = await self.read(self.heard - _LATE)
        told = self._told if self._told is not None else {} if self.resumed else {one.key: one.at for one in found}
        fresh = [one for one in found if told.get(one.key) != one.at]
        self._told = {one.key: one.at for one in found}
        self.heard = max([self.heard, *(one.at for one in found)])
        if len(found) > MOST_TOLD_AGAIN:
            raise TooMuch
        return fresh


@dataclass
class Figures:
    """The figures for one caller, told last at `heard`: as they are when the caller comes, and when they change."""

    read: Callable[[], Awaitable[Mapping[str, Any]]]
    heard: datetime
    _told: Mapping[str, Any] | None = None

    async def news(self, now: datetime) -> list[Mapping[str, Any]]:
        """The figures, where they are others than those told."""
        found = await self.read()
        if found == self._told:
            return []
        self._told, self.heard = found, now
        return [found]


class TooMuch(Exception):
    """More happened than is told again."""


@dataclass
class Streams:
    """How many streams each caller has open."""

    _open: Counter[str] = field(default_factory=Counter)

    async def counted(self, caller: str, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream itself, counted while it runs."""
        self._open[caller] += 1
        try:
            async for event in events:
                yield event
        finally:
            self._open[caller] -= 1

    def check(self, caller: str) -> None:
        """TooMany when the caller has eight already."""
        if self._open[caller] >= MOST_STREAMS:
            raise TooMany(f"at most {MOST_STREAMS} streams at once", retry_after=5.0)


@dataclass
class Recent:
    """Detections of the last moments, read once for all who listen; belongs to one event loop."""

    _store: Store
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _from: datetime | None = None
    _read_at: float = 0.0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def since(self, at: datetime) -> list[dict[str, Any]]:
        """At most 5,001 detections found at or after `at`, of all agencies, the oldest first."""
        async with self._reading:
            if self._from is None or at < self._from or time.monotonic() - self._read_at >= LOOK_SECONDS:
                self._rows = await detection_queries.found_since(self._store, at, None, MOST_TOLD_AGAIN + 1)
                self._from, self._read_at = at, time.monotonic()
        return [row for row in self._rows if datetime.fromisoformat(row["detected_at"]) >= at]


@dataclass
class Changes:
    """Incidents that changed in the last half minute, asked for once for all open pages; belongs to one event loop.

    Who looks more often than that, and remembers what was told (number and `updated_at`), misses nothing that was committed within
    the ten seconds after the time it bears.
    """

    _database: Database
    _clock: Clock
    _rows: Sequence[queries.Change] = ()
    _read_at: float = -LOOK_SECONDS
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def latest(self, sight: Sight) -> list[queries.Change]:
        """What `sight` sees of it, in the order of the last change. TooMuch when more changed than is told: read the list anew."""
        async with self._reading:
            if time.monotonic() - self._read_at >= LOOK_SECONDS * 0.9:  # pages look every LOOK_SECONDS, not to the millisecond
                self._rows = await asyncio.to_thread(self._read)
                self._read_at = time.monotonic()
            rows = self._rows
        if len(rows) > MOST_TOLD_AGAIN:
            raise TooMuch
        return [one for one in rows if one.seen_by(sight)]

    def _read(self) -> Sequence[queries.Change]:
        with self._database.session(readonly=True) as session:
            return queries.changes(session, self._clock.now() - CHANGES_KEPT, MOST_TOLD_AGAIN + 1)


def heard(text: str, topics: int, now: datetime) -> list[datetime]:
    """The times that `Last-Event-ID` bears, one a topic; [] when there is none. Invalid when it is not ours."""
    words = text.split(".") if text else []
    if words and (len(words) != topics or not all(word.isascii() and word.isdecimal() and len(word) < 14 for word in words)):
        raise Invalid("this Last-Event-ID was not given by us, or for other topics")
    return [min(now, from_millis(int(word))) for word in words]


async def events(
    feeds: Sequence[Feed], figures: Sequence[Figures], holds: Callable[[], Awaitable[bool]], clock: Clock
) -> AsyncIterator[bytes]:
    """The stream, until the caller goes or `holds` says that the identity does not hold any more."""
    yield b"retry: 2000\n\n"
    looks = silent = 0
    places: list[Feed | Figures] = [*feeds, *figures]
    while looks % _IDENTITY_EVERY or await holds():
        made = [event for feed in feeds for event in await _news(feed, places, clock)]
        made += [_event("counters", now, places) for one in figures for now in await one.news(clock.now())]
        silent = 0 if made else silent + 1
        for event in made or ([b": still here\n\n"] if silent % _SILENT_LOOKS == 0 else []):
            yield event
        looks += 1
        await asyncio.sleep(LOOK_SECONDS)


async def _news(feed: Feed, places: Sequence[Feed | Figures], clock: Clock) -> list[bytes]:
    try:
        return [_event(feed.kind, one.data, places) for one in await feed.news()]
    except TooMuch:
        feed.heard = clock.now()
        return [_event("reset", {"of": feed.kind, "detail": "more happened than is told again: read the list anew"}, places)]
    except StoreError as error:
        _log.warning("live.unavailable", feed=feed.kind, error=str(error))
        return []


def _event(kind: str, data: Mapping[str, Any], places: Sequence[Feed | Figures]) -> bytes:
    place = ".".join(str(millis(one.heard)) for one in places)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {place}\nevent: {kind}\ndata: {text}\n\n".encode()
