"""Searching history is the same on every store and every database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from core import topics
from core.bus.contract import Record
from core.clock import FixedClock
from core.database import Database
from core.storage.contract import Store
from detect import evaluations, rules
from detect.evaluations import Range
from detect.hunt import ledger, plan, requests, slices
from detect.hunt.findings import event_ids
from detect.hunt.ledger import LedgerStage
from detect.hunt.plan import estimate
from detect.hunt.queue import HELD, Outcome, Queue
from detect.hunt.requests import Kind, State, Wish
from detect.hunt.search import Search
from detect.hunt.slices import Slice
from detect.hunt.statements import Reach
from tests.hunting import DAY_AGO, NOW, events, rule, rule_id

TWO_DAYS = Reach(NOW - timedelta(days=2), NOW, frozenset({"seogu", "parks"}))


async def test_matches_are_counted_and_fetched(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        rule(1, "{s: {url: /bad}, condition: s}"),
        rule(2, "{s: [needle], n: {src_ip|cidr: 203.0.113.0/24}, condition: s and n}"),
    ]
    texts += [rule(n, f"{{s: {{url|contains: word{n}}}, condition: s}}") for n in range(10, 40)]
    book = rules.parse("---\n".join(texts), "r.yml")
    assert not book.set_aside
    rows = events(
        [
            {
                "agency": ("seogu", "parks", "others")[n % 3],
                "url": "/bad" if n % 4 == 0 else f"/word{n}x",
                "raw": "a Needle" if n % 5 == 0 else "hay",
                "src_ip": f"203.0.{112 + n % 2}.7",
            }
            for n in range(60)
        ]
    )
    await any_store.insert("events", rows, "t")
    for some in (book.rules[:2], book.rules):
        search = Search(any_store, requests.compiled(some))
        tallies = await search.tallies(TWO_DAYS, 100)
        counted = {(search.compiled[one.rule].rule.title, one.agency): one.count for one in tallies}
        bad = [n for n in range(60) if n % 4 == 0]
        assert counted["rule 1", "seogu"] == sum(n % 3 == 0 for n in bad)
        assert counted["rule 2", "parks"] == sum(n % 3 == 1 and n % 5 == 0 and n % 2 == 1 for n in range(60))
        assert not {agency for _, agency in counted} - {"seogu", "parks"}
        found = {
            search.compiled[lines.rule].rule.title: event_ids(lines.events).to_pylist()
            async for lines in search.lines(TWO_DAYS, tallies, {0: 7, 1: 100})
        }
        assert found["rule 1"] == [f"e1-0-{1 + n // 10}-{n % 10}" for n in bad if n % 3 != 2][:7]
        first = await search.first(TWO_DAYS, {0: 7, 1: 100})
        named = await search.named(TWO_DAYS, tallies, {0: ["seogu"]})
        assert {(one.rule, one.agency): (one.count, one.first) for one in first.tallies} == {
            (one.rule, one.agency): (one.count, one.first) for one in tallies
        }
        events_of = {
            one.rule: event_ids(one.events).to_pylist() async for one in search.lines(TWO_DAYS, first.tallies, {0: 7, 1: 100}, first.events)
        }
        assert {search.compiled[place].rule.title: ids for place, ids in events_of.items()} == found
        assert {(one.rule, one.agency): one.event for one in named}[0, "seogu"] == ""
        assert {(one.rule, one.agency): one.event for one in named}[0, "parks"] == f"e1-0-{1 + bad[1] // 10}-{bad[1] % 10}"
        paged = [
            event
            async for lines in search.every_line(TWO_DAYS, await search.tallies(TWO_DAYS, 2), 2)
            if lines.rule == 0
            for event in event_ids(lines.events).to_pylist()
        ]
        assert sorted(paged) == sorted(f"e1-0-{1 + n // 10}-{n % 10}" for n in bad if n % 3 != 2)
        assert not search.problems
    assert (await estimate(any_store, search, TWO_DAYS)).rows == 40
    monkeypatch.setattr(slices, "FEWEST_BY_INDEX", 1)
    monkeypatch.setattr(plan, "FEWEST_ROWS", 1)
    by_index = await plan.plan(any_store, search, Reach(TWO_DAYS.since, TWO_DAYS.until, None))
    assert sum(one.rows for one in by_index) == 60


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/d.db" if request.param == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    made = Database(url, FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


def clock_of(database: Database) -> FixedClock:
    assert isinstance(database._clock, FixedClock)
    return database._clock


def test_the_queue_gives_each_search_to_one_runner_and_peoples_first(database: Database) -> None:
    book = rules.parse(rule(1, "{s: {url: /bad}, condition: s}"), "r.yml")

    def ask(kind: Kind) -> str:
        wish = Wish(DAY_AGO, NOW, None, [rule_id(1)], kind=kind)
        with database.session() as session:
            return requests.ask(session, wish, requests.chosen(book, wish).every, "person:test").id

    new, missed, first, second = ask(Kind.FIRST_KNOWABLE), ask(Kind.BACKFILL), ask(Kind.HUNT), ask(Kind.HUNT)
    one, other = Queue(database, "one"), Queue(database, "other")
    hunts = {first, second}
    taken = one.take(background=True)
    assert taken is not None
    assert taken.id in hunts
    also = other.take(background=True)
    assert also is not None
    assert {taken.id, also.id} == hunts
    assert not other.hold(taken.id)
    one.planned(taken.id, [Slice(0, 1, 10), Slice(1, 2, 5)])
    one.advance(taken.id, 0, Outcome(kept={rule_id(1): 3}))
    one.advance(taken.id, 0, Outcome(kept={rule_id(1): 3}))  # the same again changes nothing
    other.advance(taken.id, 1, Outcome())  # nor does one who does not hold it
    clock_of(database).advance(2 * HELD)
    again = other.take(background=False)
    assert again is not None
    assert (again.id in hunts, again.slices_done in (0, 1)) == (True, True)
    one.release()
    with database.session(readonly=True) as session:
        row = requests.get(session, None, taken.id)
        assert (row.state, row.slices_done, row.rows_done, row.rows_total, row.kept) == (State.RUNNING, 1, 10, 15, {rule_id(1): 3})
    for hunt_id in hunts:
        with database.session() as session:
            requests.cancel(session, None, hunt_id)
    assert one.take(background=False) is None
    third = one.take(background=True)
    assert third is not None
    assert third.id == missed
    one.fail(third.id, "no good")
    fourth = one.take(background=True)
    assert fourth is not None
    assert fourth.id == new
    with database.session(readonly=True) as session:
        assert requests.get(session, None, missed).problem == "no good"
        assert [hunt.id for hunt in requests.listed(session, None, kind=Kind.BACKFILL)] == [missed]


def test_the_ledger_is_kept(database: Database) -> None:
    def said(first: int, last: int, offset: int) -> Record:
        told = {"set": "s", "ranges": [evaluations._plain(Range("e1", 3, first, last, first * 2, last * 2 + 1))]}
        return Record(topics.EVALUATED, 3, offset, evaluations._message(told, 3).value, {}, NOW)

    stage = LedgerStage(database)
    asyncio.run(stage.handle([said(0, 4, 0), said(5, 6, 1), said(5, 6, 1), said(9, 9, 2)], 1))
    with database.session(readonly=True) as session:
        (gap,) = ledger.gaps(session)
    assert gap.place == ("e1", 3, 14, 17)
    with database.session() as session:
        ledger.close(session, gap, "hunt/x")
    with database.session(readonly=True) as session:
        assert ledger.gaps(session) == []
        assert ledger.repairs(session) == []
