"""A store, a bus, a database and a runner of hunts over them, in one folder, for tests; and rows of events to hunt in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from core import topics
from core.bus.contract import Record
from core.bus.embedded import EmbeddedBus
from core.clock import FixedClock, millis
from core.database import Database
from core.engine import Engine
from core.events import DETECTIONS
from core.storage.embedded import EmbeddedStore
from core.storage.writer import TableWriter
from detect import rules
from detect.hunt import requests
from detect.hunt.models import Hunt
from detect.hunt.requests import Kind, Wish
from detect.hunt.runner import HuntRunner
from detect.rule_files import RuleFiles, RuleLibrary
from tests.event_rows import table

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DAY_AGO = NOW - timedelta(days=1)


def rule(number: int, detection: str, category: str = "web", title: str = "") -> str:
    name = title or f"rule {number}"
    return f"title: {name}\nid: 00000000-0000-4000-8000-{number:012}\nlogsource: {{category: {category}}}\ndetection: {detection}\n"


def rule_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def events(rows: Sequence[dict[str, Any]], *, offset: int = 1, start: datetime = DAY_AGO) -> pa.Table:
    """Events a second apart from `start`, ten to a raw offset from `offset` on; what a row says goes over it."""
    full = []
    for number, row in enumerate(rows):
        at = millis(start) + 1000 * number
        place = {"raw_epoch": "e1", "raw_offset": offset + number // 10, "raw_line": number % 10}
        about = {"agency": "seogu", "source": "fw-1", "transport": "tcp", "log_class": "web", "raw": f"line {number}"}
        full.append(place | about | {"event_time": at, "received_at": at + 500} | row)
    return table(full)


@dataclass
class Ground:
    """What a hunt runs on. `book` is what the folders of rules hold."""

    engine: Engine
    store: EmbeddedStore
    bus: EmbeddedBus
    database: Database
    clock: FixedClock
    book: rules.RuleBook = field(default_factory=lambda: rules.RuleBook(()))
    lagging: bool = False
    stored: int = 0

    @property
    def library(self) -> RuleLibrary:
        return Always(self)

    def rules(self, *texts: str) -> None:
        """The rules there are from now on."""
        self.book = rules.parse("---\n".join(texts), "rules.yml")
        assert not self.book.set_aside, self.book.set_aside

    async def put(self, rows: pa.Table) -> None:
        self.stored += 1
        await self.store.insert("events", rows, f"test-{self.stored}")

    def runner(self, holder: str = "here") -> HuntRunner:
        return HuntRunner(
            self.store,
            self.bus,
            self.database,
            self.clock,
            self.library,
            self.engine,
            history=timedelta(days=30),
            busy=lambda: self.lagging,
            holder=holder,
        )

    def ask(self, *numbers: int, kind: Kind = Kind.HUNT, text: str = "", agencies: frozenset[str] | None = None) -> str:
        """Queue a search over the hour from DAY_AGO; its id."""
        wish = Wish(DAY_AGO, DAY_AGO + timedelta(hours=1), agencies, [rule_id(number) for number in numbers], text, kind)
        with self.database.session() as session:
            return requests.ask(session, wish, requests.chosen(self.book, wish).every, "person:test").id

    def hunt(self, hunt_id: str) -> Hunt:
        with self.database.session(readonly=True) as session:
            return requests.get(session, None, hunt_id)

    def hunts(self, kind: Kind) -> list[Hunt]:
        with self.database.session(readonly=True) as session:
            return list(requests.listed(session, None, kind=kind))

    async def run(self, runner: HuntRunner | None = None) -> None:
        """Search until nothing waits, and store what was found."""
        runner = runner or self.runner()
        while await runner.step():
            pass
        await self.store_detections()

    async def messages(self, topic: str = topics.DETECTIONS, group: str = "test") -> list[Record]:
        """Every message of a topic that `group` has not read yet."""
        reader = await self.bus.consumer(group, [topic])
        found: list[Record] = []
        while got := await reader.poll(max_messages=1000, max_bytes=1 << 28, timeout=0.2):
            found += got
        await reader.commit({(one.topic, one.partition): one.offset + 1 for one in found})
        await reader.close()
        return found

    async def store_detections(self) -> None:
        """As the store stage does, from the beginning each time: repeated deliveries change nothing."""
        if records := await self.messages():
            await TableWriter(self.store, DETECTIONS).handle(records, 1)

    async def detections(self, where: str = "1") -> list[dict[str, Any]]:
        found = await self.store.query(f"SELECT * FROM detections WHERE {where} ORDER BY detection_id")
        return list(found.to_pylist())


class Always(RuleLibrary):
    """The rules of a ground as they are now."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(RuleFiles((), lambda _texts: ground.book))
        self._ground = ground

    def current(self) -> rules.RuleBook:
        return self._ground.book


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """A fresh one in `folder`."""
    clock = FixedClock(NOW)
    engine = Engine(folder / "store")
    store = EmbeddedStore(engine)
    await store.start()
    await store.migrate()
    bus = EmbeddedBus(folder / "bus.db", partitions=2, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=clock)
    await bus.start()
    database = Database(f"sqlite:///{folder}/bongsu.db", clock)
    await asyncio.to_thread(database.migrate)
    database.start()
    try:
        yield Ground(engine, store, bus, database, clock)
    finally:
        database.close()
        await bus.close()
        await store.close()
        engine.close()
