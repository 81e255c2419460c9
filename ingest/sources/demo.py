"""The demo feed: invented agencies' devices writing realistic lines, and once a minute an attack (`demo_story`).

Everything follows from the settings, the seed and the clock's first answer. Lines go through the intake as from a sender that can be
held back, with the transport `demo`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import structlog

from core.clock import Clock
from core.config import Settings
from core.errors import ConfigError
from ingest.rawbatch import Origin
from ingest.sources.demo_formats import DEVICES, Device, FortiGate
from ingest.sources.demo_story import SCENES, STORY_SECONDS, Happening, Site, attacker, quiet, visit
from ingest.sources.intake import Intake

_TICK_SECONDS = 0.2
_LATE_SECONDS = 5.0
_BENCH_START = datetime(2026, 1, 1, tzinfo=UTC)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Post:
    """A device at its agency."""

    kind: str
    origin: Origin
    device: Device
    site: Site


class DemoFeed:
    """Writes demo lines for every source of the settings that is named after a device: `fortigate-1`, `paloalto-2`, `asa`, ...

    ConfigError when there is none.
    """

    def __init__(self, intake: Intake, settings: Settings, clock: Clock) -> None:
        self._intake = intake
        self._clock = clock
        self._rate = settings.demo.lines_per_second
        self._seed = settings.demo.seed
        self._posts = _posts(settings)

    async def run(self) -> None:
        """Feed until cancelled."""
        start = self._clock.now()
        happenings = self._happenings()
        offset, post, what = next(happenings)
        while True:
            elapsed = (self._clock.now() - start).total_seconds()
            if elapsed - offset > _LATE_SECONDS:  # the machine slept, or cannot make so many: go on from now
                start += timedelta(seconds=elapsed - offset)
                elapsed = offset
            lines: dict[Origin, list[bytes]] = defaultdict(list)
            while offset <= elapsed:
                lines[post.origin].append(post.device.line(start + timedelta(seconds=offset), what))
                offset, post, what = next(happenings)
            await asyncio.gather(*(self._intake.submit_lines(origin, some, insist=True) for origin, some in lines.items()))
            await asyncio.sleep(_TICK_SECONDS)

    def generate(self, n: int) -> Iterator[tuple[Origin, bytes]]:
        """The first `n` lines, as fast as they can be made; their times run from now at the configured rate."""
        start = self._clock.now()
        for offset, post, what in islice(self._happenings(), n):
            yield post.origin, post.device.line(start + timedelta(seconds=offset), what)

    def _happenings(self) -> Iterator[tuple[float, _Post, Happening]]:
        """What happens, where, at which second from the start; for ever."""
        return heapq.merge(self._quiet(), self._story(), key=lambda entry: entry[0])

    def _quiet(self) -> Iterator[tuple[float, _Post, Happening]]:
        random = Random(self._seed)  # noqa: S311 - invented logs, the same at every run
        number = 0
        while True:
            post = random.choice(self._posts)
            yield number / self._rate, post, (visit if post.kind == "webguard" else quiet)(random, post.site)
            number += 1

    def _story(self) -> Iterator[tuple[float, _Post, Happening]]:
        random = Random(self._seed + 1)  # noqa: S311 - likewise
        minute = 0
        while True:
            enemy = attacker(random)
            scenes = []
            for scene, kinds in SCENES:
                able = [post for post in self._posts if post.kind in kinds]
                if able:
                    post = random.choice(able)
                    scenes.append([(minute * STORY_SECONDS + at, post, what) for at, what in scene(random, post.site, enemy)])
            yield from heapq.merge(*scenes, key=lambda entry: entry[0])
            minute += 1


def fortigate_lines(n: int, seed: int, start: datetime = _BENCH_START) -> list[bytes]:
    """`n` FortiGate lines of some 600 bytes without line end, one a millisecond from `start`: for benches."""
    random = Random(seed)  # noqa: S311 - invented logs
    device = FortiGate("BENCH-FW01", "198.51.100.1")
    site = Site("10.200", "198.51.100.80", "www.bench.example")
    return [device.line(start + timedelta(milliseconds=number), quiet(random, site)) for number in range(n)]


def _posts(settings: Settings) -> Sequence[_Post]:
    posts = []
    for number, agency in enumerate(settings.agencies):
        site = Site(f"10.{11 + number % 200}", f"198.51.100.{10 + number % 80}", f"www.{agency.id}.example")
        for source in agency.sources:
            kind = source.name.partition("-")[0]
            if kind in DEVICES:
                origin = Origin(agency.id, source.name, "demo", timezone=source.timezone)
                device = DEVICES[kind](f"{agency.id}-{source.name}".upper(), site.web)
                posts.append(_Post(kind, origin, device, site))
    if not posts:
        raise ConfigError("agencies", f"the demo feed needs a source named after a device: one of {', '.join(DEVICES)}")
    return posts
