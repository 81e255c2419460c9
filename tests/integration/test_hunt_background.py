"""What the centre searches history for by itself: new rules, and what the stream missed, each exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from core import arrow, topics
from core.bus.contract import Message, Record
from core.clock import FixedClock, millis
from core.config import validate
from core.database import Database
from core.events import DETECTIONS
from core.storage.writer import TableWriter
from detect import evaluations, rules
from detect.evaluations import Range, Told
from detect.hunt import ledger, requests, runner
from detect.hunt.ledger import LedgerStage
from detect.hunt.models import Evaluated, FirstKnowable
from detect.hunt.requests import Kind, State
from detect.rules import RuleBook
from detect.stream import Detector, DetectStage
from respond.models import Incident, IncidentEvidence
from respond.stage import RespondStage
from tests.hunting import DAY_AGO, NOW, Ground, events, ground, rule, rule_id

BAD = "{s: {url: /bad}, condition: s}"
WORSE = "{s: {url: /worse}, condition: s}"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground(tmp_path) as made:
        yield made


def known(here: Ground, number: int) -> tuple[FirstKnowable, Any]:
    with here.database.session(readonly=True) as session:
        found = requests.newest_version(session, rule_id(number))
    assert found is not None
    return found


async def search_all(here: Ground) -> None:
    """As the service does: look around, then search until nothing waits."""
    service = here.runner()
    await service.background.look_around()
    await here.run(service)


# ---- first knowable ----


async def test_new_and_changed_rules_are_searched_for_once(here: Ground) -> None:
    rows = [{"url": "/bad" if n in (3, 8, 9) else "/worse" if n == 5 else "/", "agency": ("seogu", "parks")[n % 2]} for n in range(20)]
    await here.put(events(rows))
    await here.put(events([{"url": "/bad"}], offset=90, start=NOW - timedelta(days=31)))
    here.rules(rule(1, BAD), rule(2, WORSE))
    await search_all(here)
    found, hunt = known(here, 1)
    assert hunt.state == State.DONE
    assert found.found == {
        "parks": {"count": 2, "first": millis(DAY_AGO) + 3000, "event": "e1-0-1-3"},
        "seogu": {"count": 1, "first": millis(DAY_AGO) + 8000, "event": "e1-0-1-8"},
    }
    assert (hunt.since, hunt.until) == (NOW - timedelta(days=30), NOW)
    assert known(here, 2)[0].found.keys() == {"parks"}
    assert await here.detections() == [], "it only tells"

    await search_all(here)
    assert len(here.hunts(Kind.FIRST_KNOWABLE)) == 1, "nothing is new"
    here.clock.advance(timedelta(hours=1))
    here.rules(rule(1, "{s: {url: [/bad, /worse]}, condition: s}"), rule(2, WORSE))
    await search_all(here)
    newest, second = known(here, 1)
    assert [about["id"] for about in second.rules] == [rule_id(1)]
    assert newest.found["parks"]["count"] == 3
    assert newest.rule_hash != found.rule_hash


async def test_all_rules_of_a_first_start_are_one_search(here: Ground) -> None:
    here.rules(*(rule(n, f"{{s: {{url|contains: word{n}}}, condition: s}}") for n in range(40)), rule(50, "{s: {Image: x}, condition: s}"))
    await here.put(events([{"url": f"/word{n}x"} for n in range(40)]))
    await search_all(here)
    (hunt,) = here.hunts(Kind.FIRST_KNOWABLE)
    assert (len(hunt.rules), hunt.state) == (40, State.DONE)
    texts = [f"/word{n}x" for n in range(40)]
    wanted = {rule_id(n): sum(f"word{n}" in text for text in texts) for n in range(40)}
    assert {one: found["seogu"]["count"] for one, found in hunt.found.items()} == wanted


async def test_nobodys_searches_wait_while_stages_lag_and_let_people_first(here: Ground) -> None:
    here.rules(rule(1, BAD))
    await here.put(events([{"url": "/bad"}]))
    service = here.runner()
    await service.background.look_around()
    here.lagging = True
    assert not await service.step()
    asked = here.ask(1)
    assert await service.step()
    assert here.hunt(asked).state == State.RUNNING
    here.lagging = False
    await service.step()
    assert here.hunt(asked).state == State.DONE
    assert [hunt.state for hunt in here.hunts(Kind.FIRST_KNOWABLE)] == [State.QUEUED]
    await here.run(service)
    assert [hunt.state for hunt in here.hunts(Kind.FIRST_KNOWABLE)] == [State.DONE]


# ---- what the stream evaluated ----


class Stream:
    """The detect stage over the events of a ground, and what becomes of what it says."""

    def __init__(self, here: Ground) -> None:
        self.here = here
        self.records = 0
        self.detector = None
        self.respond = RespondStage(here.database, validate({}), here.clock)
        self.begin()

    def begin(self) -> None:
        """A new process with the rules there are."""
        self.end()
        self.detector: Detector | None = Detector(self.here.engine, self.here.book, self.here.clock)
        self.stage = DetectStage(self.here.bus, self.detector)

    def end(self) -> None:
        if self.detector is not None:
            self.detector.close()
            self.detector = None

    def message(self, rows: pa.Table) -> Record:
        self.records += 1
        return Record(topics.EVENTS, 0, self.records, arrow.encode(rows), {}, NOW)

    async def see(self, *rows: pa.Table) -> None:
        await self.stage.handle([self.message(one) for one in rows], 1)

    async def settle(self) -> None:
        """Let the ledger, the store and respond read what was said."""
        await LedgerStage(self.here.database).handle(await self.here.messages(topics.EVALUATED, "evaluated"), 1)
        found = await self.here.messages()
        if found:
            await TableWriter(self.here.store, DETECTIONS).handle(found, 1)
            await self.respond.handle(found, 1)

    async def catch_up(self) -> None:
        """Everything the background does about it, twice, as after a restart."""
        for _ in range(2):
            service = self.here.runner()
            await service.background.look_around()
            while await service.step():
                pass
            await self.settle()

    def incidents(self) -> tuple[int, int, int]:
        """Incidents, detections they count, pieces of evidence."""
        with self.here.database.session(readonly=True) as session:
            counted = session.execute(
                sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Incident.detections), 0)).select_from(Incident)
            ).one()
            return counted[0], counted[1], session.scalar(sa.select(sa.func.count()).select_from(IncidentEvidence)) or 0


@pytest.fixture
def stream(here: Ground) -> Iterator[Stream]:
    here.rules(rule(1, BAD), rule(2, WORSE))
    made = Stream(here)
    yield made
    made.end()


def batch(offset: int, url: str = "/bad", **columns: Any) -> pa.Table:
    return events([{"url": url, "src_ip": "203.0.113.9"} | columns for _ in range(10)], offset=offset)


async def test_events_that_were_stored_and_not_evaluated_are_caught_up_with_once(here: Ground, stream: Stream) -> None:
    batches = [batch(offset) for offset in range(1, 9)]
    for rows in batches:
        await here.put(rows)
    await stream.see(*batches[:3])
    missed = [stream.message(rows) for rows in batches[3:5]]
    assert len(missed) == 2
    await stream.see(*batches[5:])
    await stream.settle()
    assert len(await here.detections()) == 60
    await stream.catch_up()
    (hunt,) = here.hunts(Kind.BACKFILL)
    assert hunt.ranges == [["e1", 0, 4, 5]]
    assert (hunt.state, hunt.kept) == (State.DONE, {rule_id(1): 20})
    found = await here.detections()
    assert len(found) == len({row["detection_id"] for row in found}) == 80
    assert {(row["raw_epoch"], row["origin"]) for row in found} == {("e1", "stream"), (f"fill{hunt.id}", "backfill")}
    assert stream.incidents() == (1, 80, 80)
    with here.database.session(readonly=True) as session:
        events_named = set(session.scalars(sa.select(IncidentEvidence.event_id)))
    assert events_named == {f"e1-0-{offset}-{line}" for offset in range(1, 9) for line in range(10)}


async def test_what_lies_between_without_events_is_no_gap(here: Ground, stream: Stream) -> None:
    await here.put(batch(1))
    await here.put(batch(9))
    await stream.see(batch(1))
    stream.message(batch(5))  # a message that never became events in the store, such as one that cannot be read
    await stream.see(batch(9))
    await stream.settle()
    await here.put(batch(12))
    await stream.catch_up()
    assert here.hunts(Kind.BACKFILL) == []
    with here.database.session(readonly=True) as session:
        assert ledger.gaps(session) == []


async def test_a_message_that_cannot_be_read_leaves_a_gap_that_is_filled(here: Ground, stream: Stream) -> None:
    for offset in (1, 2, 3, 4):
        await here.put(batch(offset))
    damaged = Record(topics.EVENTS, 0, 2, b"no arrow", {}, NOW)
    first, _, third = (stream.message(batch(offset)) for offset in (1, 2, 3))
    await stream.stage.handle([first, damaged, third], 1)
    await stream.settle()
    await stream.catch_up()
    (hunt,) = here.hunts(Kind.BACKFILL)
    assert hunt.ranges == [["e1", 0, 2, 2]]
    assert len(await here.detections()) == 30


async def test_a_rule_broken_on_the_stream_is_run_over_what_it_missed_once_repaired(here: Ground, stream: Stream) -> None:
    for offset in (1, 2, 3, 4):
        await here.put(batch(offset, "/worse"))
    await stream.see(batch(1, "/worse"))
    broken = rules.parse(rule(1, BAD) + "---\n" + rule(2, "{s: {url|foo: /worse}, condition: s}"), "rules.yml")
    assert broken.set_aside
    here.book = broken
    stream.begin()
    await stream.see(batch(2, "/worse"), batch(3, "/worse"))
    here.rules(rule(1, BAD), rule(2, "{s: {url: [/worse, /worst]}, condition: s}"))
    stream.begin()
    await stream.see(batch(4, "/worse"))
    await stream.settle()
    assert {row["detection_id"] for row in await here.detections()} == {f"{rule_id(2)}:e1-0-{o}-{n}" for o in (1, 4) for n in range(10)}
    await stream.catch_up()
    (hunt,) = here.hunts(Kind.BACKFILL)
    assert ([about["id"] for about in hunt.rules], hunt.ranges) == ([rule_id(2)], [["e1", 0, 2, 3]])
    found = await here.detections()
    assert len(found) == len({row["detection_id"] for row in found}) == 40
    assert stream.incidents()[1] == 40


async def test_a_rule_that_was_switched_off_is_not_run_over_the_time(here: Ground, stream: Stream) -> None:
    both = here.book
    await here.put(batch(1, "/worse"))
    await stream.see(batch(1, "/bad"))
    here.book = RuleBook(both.rules[:1])
    stream.begin()
    await stream.see(batch(2, "/worse"))
    here.rules(rule(1, BAD), rule(2, "{s: {url: [/worse, /worst]}, condition: s}"))
    stream.begin()
    await stream.see(batch(3))
    await stream.settle()
    await stream.catch_up()
    assert here.hunts(Kind.BACKFILL) == []


async def test_an_operators_backfill_adds_only_what_is_not_known(here: Ground, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule was absent for half of the time; a hunt's findings are not taken for known; pages are as small as can be."""
    monkeypatch.setattr(runner, "_AT_ONCE", 3)
    for offset in range(1, 7):
        await here.put(batch(offset, agency=("seogu", "parks")[offset % 2]))
    await stream.see(*(batch(offset, agency=("seogu", "parks")[offset % 2]) for offset in range(1, 4)))
    await stream.settle()
    here.ask(1)
    await here.run()
    fresh = events([{"url": "/bad"}], offset=50, start=NOW - timedelta(minutes=1))
    await here.put(fresh)
    filled = here.ask(1, kind=Kind.BACKFILL)
    await stream.catch_up()
    assert here.hunt(filled).kept == {rule_id(1): 30}
    again = here.ask(1, kind=Kind.BACKFILL)
    await stream.catch_up()
    assert here.hunt(again).kept == {}
    found = await here.detections("origin != 'hunt'")
    assert len(found) == len({row["detection_id"] for row in found}) == 60
    assert stream.incidents()[1] == 60


async def test_a_backfill_killed_in_the_middle_doubles_and_loses_nothing(
    here: Ground, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for offset in range(1, 4):
        rows = events([{"url": "/bad", "received_at": millis(DAY_AGO) + 90_000_000 * (n % 2)} for n in range(10)], offset=offset)
        await here.put(rows)
    filled = here.ask(1, kind=Kind.BACKFILL)
    here.clock.advance(timedelta(days=3))
    with here.database.session() as session:
        requests.get(session, None, filled).asked_at = here.clock.now()
    service = here.runner()
    await service.step()
    produce = here.bus.produce
    sent = 0

    async def dies(topic: str, messages: list[Message], **options: Any) -> Any:
        nonlocal sent
        if sent:
            raise KeyboardInterrupt
        sent += 1
        return await produce(topic, messages, **options)

    monkeypatch.setattr(here.bus, "produce", dies)
    with pytest.raises(KeyboardInterrupt):
        await service.step()
    monkeypatch.setattr(here.bus, "produce", produce)
    await stream.settle()
    assert len(await here.detections()) == 15, "the messages of one day"
    await here.run()
    found = await here.detections()
    assert len(found) == len({row["detection_id"] for row in found}) == 30


steps = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.booleans()), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def ledger_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/l.db", FixedClock(NOW))
    database.migrate()
    database.start()
    yield database
    database.close()


@settings(deadline=None, max_examples=60)
@given(steps)
def test_the_ledger_joins_what_is_told_and_knows_what_was_not(ledger_database: Database, told: list[tuple[int, int, bool, bool]]) -> None:
    """Against a plain set of raw offsets: batches of records, some left out, some told twice."""
    with ledger_database.session() as session:
        session.execute(sa.delete(Evaluated))
    evaluated: set[int] = set()
    missed: set[int] = set()
    record = raw = 0
    messages = []
    for records, offsets, left_out, twice in told:
        ranges = [Range("e1", 0, record, record + records - 1, raw, raw + offsets * records - 1)]
        of_step = set(range(raw, raw + offsets * records))
        record, raw = record + records, raw + offsets * records
        if left_out:
            missed |= of_step
            continue
        evaluated |= of_step
        said = evaluations._message({"set": "s", "ranges": [evaluations._plain(one) for one in ranges]}, 0)
        messages += [said] * (2 if twice else 1)
    stage = LedgerStage(ledger_database)
    asyncio.run(stage.handle([Record(topics.EVALUATED, 0, n, one.value, {}, NOW) for n, one in enumerate(messages)], 1))
    with ledger_database.session(readonly=True) as session:
        rows = list(session.scalars(sa.select(Evaluated)))
        gaps = ledger.gaps(session)
    covered = [offset for row in rows for offset in range(row.raw_first, row.raw_last + 1)]
    assert sorted(covered) == sorted(evaluated)
    between = {offset for offset in missed if evaluated and min(evaluated) < offset < max(evaluated)}
    assert {offset for gap in gaps for offset in range(gap.place[2], gap.place[3] + 1)} == between
    assert len(rows) == len(gaps) + bool(rows)


def test_messages_about_evaluations_that_are_none_are_refused() -> None:
    for value in (b"", b"[]", b"{}", b'{"set": "s", "ranges": [["e", 1]]}', b'{"set": "s", "ranges": 3}'):
        with pytest.raises(evaluations.BadMessage):
            evaluations.read(value)
    assert evaluations.read(b'{"set": "s", "ranges": []}') == Told("s", ())
