"""The way of a line through the real stages of a test's centre, each driven by hand: nothing moves but when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from core import topics
from core.bus.contract import Bus, Consumer
from core.clock import FixedClock
from core.config import IntakeSettings
from core.database import Database
from core.engine import Engine
from core.events import EVENTS, QUARANTINE
from core.signing import Verifier
from core.stage import Handler, next_offsets
from core.storage.contract import Store
from core.storage.writer import TableWriter
from detect import rules
from detect.hunt.ledger import LedgerStage
from detect.stream import Detector, DetectStage
from ingest import parser, rawbatch
from ingest.compile import Parser, ParserSet
from ingest.ledger.receiving import Receiving
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from ingest.stage import NormaliseStage
from tests.parsing import fortigate

_RULE = """title: Telnet
id: 00000000-0000-4000-8000-000000000002
logsource: {category: firewall}
detection: {s: {dst_port: 23}, condition: s}
"""
GOOD = fortigate()
BAD = b"nobody reads this"


@dataclass
class Turn:
    """A stage: its group, its topic, and how it handles."""

    group: str
    topic: str
    handler: Handler
    consumer: Consumer


@dataclass
class Flow:
    """`turns` by the name of their group, in the order of the way."""

    bus: Bus
    turns: dict[str, Turn]

    async def put(self, lines: Sequence[bytes], at: datetime, agency: str = "seogu", source: str = "fw-1", exercise: str = "") -> None:
        """A message of `lines`, received at `at`."""
        origin = Origin(agency, source, "tcp", "192.0.2.1", exercise=exercise)
        await self.bus.produce(topics.LOGS_RAW, [rawbatch.message(origin, at, lines)])

    async def run(self, *groups: str, commit: bool = True) -> None:
        """Let these stages (all of them, in order) do what there is for them; without `commit` they are killed before they say so."""
        for name in groups or tuple(self.turns):
            turn = self.turns[name]
            while records := await turn.consumer.poll(max_messages=1000, max_bytes=1 << 24, timeout=0.01):
                await turn.handler(records, turn.consumer.generation)
                if commit:
                    await turn.consumer.commit(next_offsets(records))

    async def restart(self, name: str) -> None:
        """A stage that was killed comes back: what it did not commit comes again."""
        turn = self.turns[name]
        await turn.consumer.close()
        turn.consumer = await self.bus.consumer(turn.group, [turn.topic])


@asynccontextmanager
async def flowing(
    bus: Bus, store: Store, database: Database, engine: Engine, clock: FixedClock, verifier: Verifier | None = None
) -> AsyncIterator[Flow]:
    """The stages on the parts of a centre; one parser, one rule."""
    parsers = ParserSet([Parser(parser.load(next(parser.FOLDER.rglob("fortigate.y*ml"))))])
    normalise = NormaliseStage(bus, [Normaliser(engine, parsers, IntakeSettings(), clock, verifier=verifier)])
    detector = Detector(engine, rules.parse(_RULE, "r.yml"), clock)
    stages: list[tuple[str, str, Handler]] = [
        ("ledger", topics.LOGS_RAW, Receiving(bus, database, clock, verifier).handle),
        ("normalise", topics.LOGS_RAW, normalise.handle),
        ("store-events", topics.EVENTS, TableWriter(store, EVENTS).handle),
        ("store-quarantine", topics.QUARANTINE, TableWriter(store, QUARANTINE).handle),
        ("detect", topics.EVENTS, DetectStage(bus, detector).handle),
        ("evaluated", topics.EVALUATED, LedgerStage(database).handle),
    ]
    turns = {name: Turn(name, topic, handler, await bus.consumer(name, [topic])) for name, topic, handler in stages}
    try:
        yield Flow(bus, turns)
    finally:
        for turn in turns.values():
            await turn.consumer.close()
        await normalise.close()
        detector.close()
