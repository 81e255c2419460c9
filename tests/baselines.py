"""A store with invented weeks in it, and the detectors of `detect.baselines` over it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from core import arrow, topics
from core.baseline_settings import BaselineSettings
from core.bus.embedded import EmbeddedBus
from core.clock import FixedClock
from core.engine import Engine, Session
from core.events import DETECTIONS
from core.storage.embedded import EmbeddedStore
from detect.baselines.detector import Asked, Detector, Outcome, Window
from detect.baselines.memory import SLOT, WATCH, Memory
from detect.baselines.population import Agencies
from detect.baselines.watch import Watch
from runtime.process import STORED

NOON = datetime(2040, 5, 23, 3, 0, tzinfo=UTC)
"""A Wednesday at noon in Seoul; in the future, as the store forgets by the machine's clock."""
EVERYONE = Agencies(frozenset(), all_but=True)


@dataclass
class Lab:
    """A store, a bus and a clock."""

    store: EmbeddedStore
    bus: EmbeddedBus
    clock: FixedClock
    session: Session
    inserted: int = 0

    async def events(self, since: datetime, every: float, count: int, *, table: str = "events", **columns: str) -> None:
        """`count` events, one each `every` seconds from `since` on; in `columns`, SQL, `number` counts from 0 and `at` is the time.

        Both times of an event are `at` unless columns say otherwise.
        """
        self.inserted += 1
        at = f"fromUnixTimestamp64Milli(toInt64({int(since.timestamp() * 1000)} + number * {every} * 1000), 'UTC')"
        given = {
            "raw_epoch": "'k1'",
            "raw_offset": str(self.inserted),
            "raw_line": "number",
            "received_at": "at",
            "agency": "'gangnam'",
            "source": "'fw1'",
            "raw": "concat('line ', toString(number))",
        }
        given |= ({"event_time": "at"} if table == "events" else {}) | columns
        names = ", ".join(f"`{name}`" for name in given)
        self.session.run(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(given.values())} FROM (SELECT number, {at} AS at FROM numbers({count})) "
            "SETTINGS max_partitions_per_insert_block = 0"
        )

    async def was_watched(self, since: datetime, until: datetime) -> None:
        """As if the watch had run all the time from `since` to `until`."""
        first, slots = int(since.timestamp()), int((until - since) / SLOT)
        self.session.run(
            "INSERT INTO baseline_memory (detector, tick, at) SELECT "
            f"'{WATCH}', intDiv({first}, 60) + 5 * number + 5, toDateTime64({first} + 300 * number, 3, 'UTC') FROM numbers({slots})"
        )

    async def ask(
        self, detector: Detector, end: datetime, settings: Mapping[str, Any] | None = None, agencies: Agencies = EVERYONE
    ) -> Outcome:
        """What `detector` finds in its window that ends at `end`."""
        chosen = BaselineSettings.model_validate(settings or {})
        window = Window(end - detector.about.every, end)
        return await detector.evaluate(Asked(self.store, Memory(self.store), window, agencies, chosen))

    async def ask_and_remember(self, detector: Detector, end: datetime, settings: Mapping[str, Any] | None = None) -> None:
        """Let `detector` learn what was before `end`, as a tick does."""
        found = await self.ask(detector, end, settings)
        await Memory(self.store).write(detector.about.word, Window(end, end).tick, found.seen, end)

    async def subjects(self, detector: Detector, end: datetime, settings: Mapping[str, Any] | None = None) -> set[tuple[str, str]]:
        """Agency and subject of all that `ask` finds; the parts of a subject are joined by a bar."""
        found = (await self.ask(detector, end, settings)).findings
        return {(finding.agency, finding.subject.replace("\x1f", "|")) for finding in found}

    def watch(self, *only: str, **settings: Any) -> Watch:
        """A watch that begins to run now, with the detectors whose settings are named, or all."""
        sections = ("silence", "falling", "first_seen", "rare", "beacon", "outbound") if only else ()
        for section in sections:
            settings[section] = {**settings.get(section, {}), "enabled": section in only}
        return Watch(self.store, self.bus, self.clock, BaselineSettings.model_validate({"lag_seconds": 0, **settings}), STORED)

    async def run(self, watch: Watch, until: datetime) -> None:
        """Let time pass until `until`, with the watch looking every five minutes."""
        while self.clock.now() < until:
            await watch.step()
            assert watch.problem == ""
            self.clock.advance(min(SLOT, until - self.clock.now()))
        await watch.step()
        assert watch.problem == ""

    async def messages(self, group: str = "test") -> list[pa.Table]:
        """The detections on the bus that `group` has not read yet, message by message."""
        consumer = await self.bus.consumer(group, [topics.DETECTIONS])
        records = await consumer.poll(max_messages=1000, max_bytes=1 << 30, timeout=0.2)
        if records:
            await consumer.commit({(topics.DETECTIONS, records[0].partition): records[-1].offset + 1})
        await consumer.close()
        return [arrow.decode(record.value) for record in records]

    async def told(self, group: str = "test") -> list[dict[str, Any]]:
        """The same as rows, `details` read."""
        tables = await self.messages(group)
        rows = pa.concat_tables([DETECTIONS.schema.empty_table(), *tables]).to_pylist()
        return [row | {"details": json.loads(row["details"])} for row in rows]


@asynccontextmanager
async def open_lab(folder: Path, at: datetime = NOON) -> AsyncIterator[Lab]:
    """A lab on an empty store whose clock stands at `at`."""
    clock = FixedClock(at)
    engine = Engine(folder / "store")
    session = engine.session()
    store = EmbeddedStore(engine)
    bus = EmbeddedBus(folder / "bus.sqlite", partitions=2, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=clock)
    await store.start()
    await bus.start()
    try:
        await store.migrate()
        for table in ("events", "quarantine"):  # weeks in one insert are many parts, and no power is cut here
            session.run(f"ALTER TABLE {table} MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")
        yield Lab(store, bus, clock, session)
    finally:
        await bus.close()
        await store.close()
        session.close()
        engine.close()


def ago(**parts: float) -> datetime:
    """So long before NOON."""
    return NOON - timedelta(**parts)
