"""Runs the detectors by the clock: each tick once, in order, its detections on the bus before it is remembered as done.

- A tick is due when everything received before its window's end, and a lag more, is in the store (`progress`).
- After downtime the ticks of the last 24 hours are made up. A detector that never ran begins with the newest tick.
- A tick that fails is tried again after a minute; one that is too much for the store's limits is given up, counted and logged. No detector
  waits for another's failure.
- Two watches beside each other do the same twice, which changes nothing: the same tick gives the same rows at the same place, and is
  remembered once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from core import arrow, metrics, topics
from core.baseline_settings import BaselineSettings
from core.bus.contract import Bus, Message
from core.bus.progress import Leg, Progress
from core.clock import Clock
from core.errors import BusError, QueryTooCostly, StoreError
from core.events import DETECTIONS
from core.storage.contract import Store
from detect.baselines.beacon import Beacon
from detect.baselines.detector import About, Asked, Detector, Finding, Window, end_of, windows
from detect.baselines.evidence import detections
from detect.baselines.falling import Falling
from detect.baselines.first_seen import FirstSeen
from detect.baselines.memory import SLOT, WATCH, Memory, Seen
from detect.baselines.outbound import Outbound
from detect.baselines.population import Agencies
from detect.baselines.rare import Rare
from detect.baselines.silence import Silence

DETECTORS: Final[Sequence[Detector]] = (Silence(), Falling(), FirstSeen(), Rare(), Beacon(), Outbound())
MADE_UP: Final = timedelta(hours=24)
MOST_FINDINGS: Final = 500
"""Detections of one tick; what is more is logged and left out."""

_EVERY_SECONDS: Final = 5.0
_AFTER_FAILURE: Final = timedelta(minutes=1)
_Found = tuple[Finding, BaselineSettings]
_log = structlog.get_logger()


class Watch:
    """The service. `problem` is what failed last, '' when all is well."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, settings: BaselineSettings, way: Sequence[Leg]) -> None:
        """`way` is the way of a line from the bus into the store."""
        self.problem = ""
        self._store = store
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._memory = Memory(store)
        self._progress = Progress(bus, way)
        self._lag = timedelta(seconds=settings.lag_seconds)
        self._done: dict[str, int] = {}
        self._remembers = False
        self._rests: dict[str, datetime] = {}
        self._there_since: datetime | None = None
        self._looked_at: datetime | None = None

    async def run(self) -> None:
        """Do what is due, for ever."""
        while True:
            await self.step()
            await asyncio.sleep(_EVERY_SECONDS)

    async def step(self) -> None:
        """Do every tick that is due now. Failures are told of in `problem`, the log and the metrics, and tried again by a later step."""
        self.problem = ""
        await self._guarded("progress", self._look())

    async def _look(self) -> None:
        now = self._clock.now()
        if not self._remembers:
            self._done |= await self._memory.last_ticks()
            self._remembers = True
        await self._be_there(now)
        reached = await self._progress.reached(now)
        if reached is not None:
            for detector in (one for one in DETECTORS if self._rests.get(one.about.word, now) <= now):
                await self._guarded(detector.about.word, self._catch_up(detector, reached - self._lag))

    async def _be_there(self, now: datetime) -> None:
        """Remember the slots through which the watch ran."""
        if self._there_since is None or self._looked_at is None or now - self._looked_at > SLOT:
            self._there_since = now
        self._looked_at = now
        for slot in windows(SLOT, self._there_since, now):
            await self._memory.write(WATCH, slot.tick, (), slot.start)
            self._there_since = slot.end

    async def _catch_up(self, detector: Detector, horizon: datetime) -> None:
        """Do the detector's ticks whose windows end by `horizon`."""
        about, done = detector.about, self._done
        if not any(detector.enabled(settings) for _, settings in self._groups()):
            return
        since = end_of(done[about.word]) if about.word in done else horizon - 2 * about.every
        due = list(windows(about.every, max(since, horizon - MADE_UP), horizon))
        for window in due if about.word in done else due[-1:]:
            await self._do(detector, window)
            done[about.word] = window.tick
        if about.word in done:
            behind = self._clock.now() - end_of(done[about.word])
            metrics.BASELINE_BEHIND.labels(about.word).set(behind.total_seconds())

    async def _do(self, detector: Detector, window: Window) -> None:
        about = detector.about
        outcome = "done"
        try:
            found, seen, sums = await self._evaluate(detector, window)
            rows = await detections(self._store, about, window, found, self._clock.now())
        except QueryTooCostly as error:
            outcome = "given_up"
            _log.error("baselines.given_up", detector=about.word, window=str(window.end), error=str(error))
            rows, seen, sums = DETECTIONS.schema.empty_table(), [], []
        if rows.num_rows:
            await self._bus.produce(topics.DETECTIONS, [Message(arrow.encode(rows), partition=0)])
            metrics.DETECTIONS.labels(about.rule_id).inc(rows.num_rows)
        if sums:
            await self._memory.write_sums(about.word, window.tick, sums, window.end)
        await self._memory.write(about.word, window.tick, seen, window.end)
        metrics.BASELINE_TICKS.labels(about.word, outcome).inc()

    async def _evaluate(self, detector: Detector, window: Window) -> tuple[list[_Found], list[Seen], list[Seen]]:
        found: list[_Found] = []
        seen: list[Seen] = []
        sums: list[Seen] = []
        for agencies, settings in self._groups():
            if detector.enabled(settings):
                outcome = await detector.evaluate(Asked(self._store, self._memory, window, agencies, settings))
                found += [(finding, settings) for finding in outcome.findings]
                seen += outcome.seen
                sums += outcome.sums
        if detector.about.repeat is not None:
            found = await self._not_told(detector.about, window, detector.about.repeat, found)
            seen += [Seen(finding.agency, finding.subject, window.end) for finding, _ in found]
        if len(found) > MOST_FINDINGS:
            _log.warning("baselines.left_out", detector=detector.about.word, window=str(window.end), found=len(found), kept=MOST_FINDINGS)
        return found[:MOST_FINDINGS], seen, sums

    async def _not_told(self, about: About, window: Window, repeat: timedelta, found: list[_Found]) -> list[_Found]:
        if not found:
            return []
        told = await self._memory.told(about.word, window.tick, window.end - repeat)
        return [one for one in found if told.get((one[0].agency, one[0].subject), window.end - repeat) <= window.end - repeat]

    def _groups(self) -> Iterator[tuple[Agencies, BaselineSettings]]:
        """The agencies of one mind, and what they have it set to."""
        special = self._settings.agencies
        yield Agencies(frozenset(special), all_but=True), self._settings
        for agency in special:
            yield Agencies(frozenset((agency,)), all_but=False), self._settings.of(agency)

    async def _guarded(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except (BusError, StoreError) as error:
            self._failed(what, error)
        except Exception as error:  # noqa: BLE001 - the loop's boundary: a defect in one detector must not stop the others
            self._failed(what, error, defect=True)

    def _failed(self, what: str, error: Exception, *, defect: bool = False) -> None:
        self.problem = f"{what}: {error}" if str(error) else f"{what}: {type(error).__name__}"
        self._rests[what] = self._clock.now() + _AFTER_FAILURE
        metrics.BASELINE_TICKS.labels(what, "failed").inc()
        _log.error("baselines.failed", detector=what, error=str(error), exc_info=error if defect else None)
