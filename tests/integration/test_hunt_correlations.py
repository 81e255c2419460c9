"""Correlations and what the stream missed: gaps and broken rules are caught up with, and new ones are asked of history."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core import arrow, topics
from core.bus.contract import Record
from core.events import DETECTIONS
from core.storage.writer import TableWriter
from detect import rules
from detect.correlation.history import fires
from detect.correlation.stage import CorrelateStage
from detect.hunt import findings, requests
from detect.hunt.ledger import LedgerStage
from detect.hunt.requests import Kind, State, Wish
from detect.stream import Detector, DetectStage
from tests.correlating import base, book, correlation, rule_id
from tests.hunting import NOW, Ground, events, ground

TODAY = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
"""Matches and firings are kept for a time by the engine's own clock."""
BASES = (base(1, "a", 22), base(2, "b", 23))
CORRELATIONS = (
    correlation(11, "Many", "type: event_count, rules: [a], group-by: [src_ip], timespan: 10s, condition: {gte: 4}", "many"),
    correlation(12, "Users", "type: value_count, rules: [a, b], group-by: [src_ip], timespan: 10s, condition: {field: user, gte: 3}"),
    correlation(13, "Both", "type: temporal, rules: [a, b], group-by: [src_ip], timespan: 3s"),
    correlation(14, "Then", "type: temporal_ordered, rules: [many, b], group-by: [src_ip], timespan: 20s"),
    correlation(15, "Much", "type: value_sum, rules: [a], group-by: [src_ip], timespan: 10s, condition: {field: bytes, gte: 150}"),
)
"""Conditions that further matches cannot undo."""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground(tmp_path) as made:
        made.clock.advance(datetime.now(UTC) - made.clock.now())
        yield made


@pytest.fixture
def centre(here: Ground) -> Iterator[Centre]:
    made = Centre(here)
    yield made
    made.end()


class Centre:
    """The stages that detect and correlate, over a ground."""

    def __init__(self, here: Ground) -> None:
        self.here = here
        self.records = 0
        self.detector: Detector | None = None

    def begin(self, *documents: str) -> None:
        """New processes, with other rules."""
        self.end()
        self.here.book = rules.parse("---\n".join(documents), "r.yml")
        self.detector = Detector(self.here.engine, self.here.book, self.here.clock)
        self.detect = DetectStage(self.here.bus, self.detector)
        self.correlate = CorrelateStage(self.here.bus, self.here.store, self.here.book, self.here.clock, timedelta(hours=24))

    def end(self) -> None:
        if self.detector is not None:
            self.detector.close()
            self.detector = None

    async def come(self, rows: pa.Table, *, missed: bool = False) -> None:
        """A message of events is stored, and evaluated unless it is `missed`."""
        self.records += 1
        await self.here.put(rows)
        if not missed:
            await self.detect.handle([Record(topics.EVENTS, 0, self.records, arrow.encode(rows), {}, NOW)], 1)

    async def settle(self) -> None:
        """Let everybody read what was said."""
        await LedgerStage(self.here.database).handle(await self.here.messages(topics.EVALUATED, "evaluated"), 1)
        while matches := await self.here.messages(topics.MATCHES, "correlate"):
            await self.correlate.handle(matches, 1)
        if found := await self.here.messages():
            await TableWriter(self.here.store, DETECTIONS).handle(found, 1)

    async def catch_up(self) -> None:
        """Everything the background does about it, twice, as after a restart."""
        for _ in range(2):
            service = self.here.runner()
            await service.background.look_around()
            while await service.step():
                pass
            await self.settle()

    async def buckets(self, origin: str = "stream") -> list[tuple[str, str, int]]:
        """Title, key and bucket of what was told of correlations, but of `Many`, which is silent while all run."""
        found = await self.here.detections(f"kind = 'correlation' AND origin = '{origin}' AND rule_title != 'Many'")
        return sorted(_bucket(row) for row in found)


def _bucket(row: dict[str, Any]) -> tuple[str, str, int]:
    said = json.loads(row["details"])
    at = datetime.fromisoformat(said["last"])
    return row["rule_title"], ",".join(said["group"].values()), int(at.timestamp()) // said["timespan_s"]


def at_hand(here: Ground, rows: Sequence[pa.Table]) -> list[tuple[str, str, int]]:
    """What must fire over all events, as far as it is told."""
    fired = fires(here.book, pa.concat_tables(rows), here.engine).to_pylist()
    return sorted(_bucket(row) for row in fired if row["rule_title"] != "Many")


def messages(seed: int, count: int = 12) -> list[pa.Table]:
    """Messages of five events each, half a second apart."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        rows = [
            {
                "log_class": "firewall",
                "dst_port": chance.choice((22, 22, 23)),
                "src_ip": f"192.0.2.{chance.randrange(2)}",
                "agency": chance.choice(("seogu", "parks")),
                "user": chance.choice(("kim", "lee", "park")),
                "bytes": chance.randrange(60),
            }
            for _ in range(5)
        ]
        made.append(events(rows, offset=number + 1, start=TODAY + timedelta(seconds=5 * number)))
    return made


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_not_evaluated_counts_for_correlations_once_it_is_caught_up_with(here: Ground, centre: Centre, seed: int) -> None:
    centre.begin(*BASES, *CORRELATIONS)
    made = messages(seed)
    missed = set(random.Random(seed).sample(range(1, len(made) - 1), 5))
    for number, rows in enumerate(made):
        await centre.come(rows, missed=number in missed)
    await centre.settle()
    before = await centre.buckets()
    await centre.catch_up()
    assert {hunt.state for hunt in here.hunts(Kind.BACKFILL)} == {State.DONE}
    wanted = at_hand(here, made)
    assert await centre.buckets() == wanted
    assert len(before) < len(wanted)

    wish = Wish(TODAY, TODAY + timedelta(hours=1), None, [rule_id(number) for number in range(11, 16)])
    with here.database.session() as session:
        requests.ask(session, wish, requests.chosen(here.book, wish).every, "person:test")
    await here.run()
    assert await centre.buckets("hunt") == wanted, "a hunt finds what the stream found"


async def test_a_correlation_of_a_rule_that_was_broken_is_caught_up_with(
    here: Ground, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In small messages; the other correlations went on, and nothing of theirs comes twice."""
    monkeypatch.setattr(findings, "BYTES_A_MESSAGE", 3 << 10)
    made = messages(7)
    second = {0: BASES[1], 3: BASES[1].replace("dst_port", "dst_port|foo"), 9: BASES[1].replace("dst_port: 23", "dst_port: [23, 2323]")}
    for number, rows in enumerate(made):
        if number in second:
            centre.begin(BASES[0], second[number], *CORRELATIONS)
        await centre.come(rows)
        await centre.settle()
    before = await centre.buckets()
    await centre.catch_up()
    asked = {about["title"] for hunt in here.hunts(Kind.BACKFILL) for about in hunt.rules}
    assert asked == {"Users", "Both", "Then"}
    wanted = at_hand(here, made)
    assert await centre.buckets() == wanted
    missed = Counter(wanted) - Counter(before)
    assert {title for title, _, _ in missed} == asked


async def test_an_operators_backfill_hands_over_only_what_is_not_there(here: Ground, centre: Centre) -> None:
    made = messages(1)
    for number, rows in enumerate(made):
        if number in (0, 6):
            centre.begin(*BASES, *(CORRELATIONS[2:3] if number else ()))
        await centre.come(rows)
    await centre.settle()
    wish = Wish(TODAY, TODAY + timedelta(hours=1), None, [rule_id(13)], kind=Kind.BACKFILL)
    counts = []
    for _ in range(2):
        with here.database.session() as session:
            requests.ask(session, wish, requests.chosen(here.book, wish).every, "person:test")
        service = here.runner()
        while await service.step():
            pass
        await centre.settle()
        counts.append((await here.store.query("SELECT count() AS n FROM matches"))["n"][0].as_py())
    assert await centre.buckets() == at_hand(here, made)
    assert counts[0] == counts[1] > 0


async def test_new_and_changed_correlations_say_when_they_would_have_fired(here: Ground) -> None:
    here.book = book(*BASES, *CORRELATIONS)
    made = messages(3, 40)
    for rows in made:
        await here.put(rows)

    async def search() -> dict[str, dict[str, tuple[int, int]]]:
        service = here.runner()
        await service.background.look_around()
        await here.run(service)
        with here.database.session(readonly=True) as session:
            rows = {one.id: requests.newest_version(session, one.id) for one in here.book.correlations}
        assert all(row is not None and row[1].state == State.DONE and row[0].found_at for row in rows.values())
        return {
            name: {agency: (one["count"], one["first"]) for agency, one in row[0].found.items()}
            for name, row in rows.items()
            if row is not None
        }

    def expected() -> dict[str, dict[str, tuple[int, int]]]:
        found: dict[str, dict[str, tuple[int, int]]] = {one.id: {} for one in here.book.correlations}
        for row in fires(here.book, pa.concat_tables(made), here.engine).to_pylist():
            at = round(row["event_time"].timestamp() * 1000)
            count, first = found[row["rule_id"]].get(row["agency"], (0, at))
            found[row["rule_id"]][row["agency"]] = (count + 1, min(first, at))
        return found

    assert await search() == expected()
    assert all(expected().values())
    here.clock.advance(timedelta(hours=1))
    here.book = book(*BASES, *CORRELATIONS[:2], CORRELATIONS[2].replace("timespan: 3s", "timespan: 1s"))
    assert await search() == expected()
    assert len(here.hunts(Kind.FIRST_KNOWABLE)) == 3, "one for the rules, one for the correlations, one for what changed"
    assert await here.detections() == [], "it only tells"
