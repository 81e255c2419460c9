"""The intake ledger through the real stages: its numbers, its chain, what verify finds; whatever is killed, repeated, late or altered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from api.ledger import MEANS
from core import topics
from core.bus.contract import Message
from core.clock import FixedClock, millis
from core.events import EVENTS
from core.exercise import SOURCE_PREFIX, Ticket, issue
from core.signing import load_signer
from core.stage import next_offsets
from detect.hunt.models import Evaluated
from ingest.ledger.chain import digest
from ingest.ledger.checking import Checking, Report
from ingest.ledger.closing import Closing
from ingest.ledger.counting import uncovered
from ingest.ledger.models import LedgerEntry, Received
from respond.models import Audit
from runtime.bootstrap import Parts, open_parts
from tests.flow import BAD, GOOD, Flow, flowing
from tests.servers.api import settings_for

NOW = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = NOW - HOUR  # in the hour from 02:00


@dataclass
class Books:
    """A centre's parts, its stages driven by hand, and its ledger."""

    parts: Parts
    flow: Flow
    clock: FixedClock

    def __post_init__(self) -> None:
        of = (self.parts.store, self.parts.bus, self.parts.database, self.clock, MEANS)
        self.closing, self.checking = Closing(*of), Checking(*of)

    async def close(self, by: timedelta = HOUR) -> list[datetime]:
        """Let time pass and close what is due."""
        self.clock.advance(by)
        return await self.closing.step()

    async def report(self) -> Report:
        return await self.checking.check("whole")

    def entries(self) -> list[tuple[str, str, bool, int, tuple[int, int, int, int]]]:
        with self.parts.database.session(readonly=True) as session:
            found = session.scalars(sa.select(LedgerEntry).order_by(LedgerEntry.seq))
            return [
                (one.agency, one.source, one.exercise, one.revision, (one.received, one.stored, one.quarantined, one.evaluated))
                for one in found
            ]

    def behind_its_back(self, statement: sa.Executable) -> None:
        with self.parts.database.session() as session:
            session.execute(statement)


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    settings, clock = settings_for(tmp_path), FixedClock(NOW)
    async with open_parts(settings, {"bus", "store", "database"}, clock) as parts:
        parts.database.migrate()
        await parts.store.migrate()
        signer = load_signer(settings.signing_key)
        async with flowing(parts.bus, parts.store, parts.database, parts.engine, clock, signer) as flow:
            yield Books(parts, flow, clock)


async def test_every_line_is_accounted_for_by_agency_source_and_hour(books: Books) -> None:
    await books.flow.put([GOOD, BAD, GOOD], AT)
    await books.flow.put([GOOD, b"   ", b"\t"], AT, source="fw-2")
    await books.flow.put([GOOD], AT - HOUR, agency="parks")
    await books.flow.put([GOOD], NOW, agency="parks")
    broken = Message(b"\0\0\0\xffx", {"agency": "parks", "source": "x", "framing": "length", "lines": "7", "received_at": str(millis(AT))})
    await books.parts.bus.produce(topics.LOGS_RAW, [broken])
    await books.flow.run()
    assert await books.close(timedelta(minutes=3)) == [AT.replace(hour=1, minute=0, second=0), AT.replace(minute=0, second=0)]
    assert books.entries() == [
        ("parks", "fw-1", False, 1, (1, 1, 0, 1)),
        ("parks", "x", False, 1, (7, 0, 7, 0)),
        ("seogu", "fw-1", False, 1, (3, 2, 1, 2)),
        ("seogu", "fw-2", False, 1, (3, 1, 2, 1)),
    ]
    found = await books.report()
    assert (found.holds, found.entries, found.hours, found.open_hours, found.waiting) == (True, 4, 3, 1, {})
    assert (found.counted.received, found.counted.stored, found.counted.quarantined, found.counted.evaluated) == (15, 5, 10, 5)
    assert await books.closing.step() == []


async def test_a_drill_is_counted_apart(books: Books) -> None:
    ticket = Ticket("DRL-2026-000001", "seogu", "fw-1", "", millis(AT), millis(AT + HOUR))
    shown = issue(load_signer(books.parts.settings.signing_key), ticket)
    await books.flow.put([GOOD, BAD], AT, source=f"{SOURCE_PREFIX}fw-1", exercise=shown)
    await books.flow.put([GOOD], AT, source=f"{SOURCE_PREFIX}fw-1", exercise="forged")
    await books.flow.run()
    await books.close(timedelta(minutes=3))
    assert books.entries() == [
        ("seogu", "exercise/fw-1", False, 1, (1, 1, 0, 1)),
        ("seogu", "exercise/fw-1", True, 1, (2, 1, 1, 1)),
    ]
    assert (await books.report()).holds


@pytest.mark.parametrize("slow", ["ledger", "normalise", "store-events", "store-quarantine", "detect", "evaluated"])
async def test_no_hour_is_closed_before_every_stage_has_passed_it(books: Books, slow: str) -> None:
    await books.flow.put([GOOD, BAD], AT)
    await books.flow.run(*(name for name in books.flow.turns if name != slow))
    assert await books.close() == []
    found = await books.report()
    assert (found.holds, found.open_hours, slow in found.waiting) == (True, int(slow != "ledger"), True)
    await books.flow.run()
    assert len(await books.close(timedelta(0))) == 1
    assert books.entries() == [("seogu", "fw-1", False, 1, (2, 1, 1, 1))]


@pytest.mark.parametrize("killed", ["ledger", "normalise", "store-events", "detect", "evaluated"])
async def test_what_comes_twice_counts_once(books: Books, killed: str) -> None:
    await books.flow.put([GOOD, GOOD, BAD], AT)
    await books.flow.run(*list(books.flow.turns)[: list(books.flow.turns).index(killed)])
    await books.flow.run(killed, commit=False)
    await books.flow.restart(killed)
    await books.flow.put([GOOD], AT)
    await books.flow.run()
    await books.close()
    assert books.entries() == [("seogu", "fw-1", False, 1, (4, 3, 1, 3))]
    assert (await books.report()).holds


async def test_late_lines_are_a_further_entry_and_no_other_text_of_an_old_one(books: Books) -> None:
    await books.flow.put([GOOD], AT)
    await books.flow.put([GOOD], AT, agency="parks")
    await books.flow.run()
    await books.close()
    await books.flow.put([GOOD, BAD], AT)
    await books.flow.run()
    assert len(await books.close(timedelta(seconds=1))) == 1
    assert books.entries() == [
        ("parks", "fw-1", False, 1, (1, 1, 0, 1)),
        ("seogu", "fw-1", False, 1, (1, 1, 0, 1)),
        ("seogu", "fw-1", False, 2, (3, 2, 1, 2)),
    ]
    found = await books.report()
    assert (found.holds, found.counted.received) == (True, 4)


async def test_two_that_close_at_once_enter_nothing_twice(books: Books) -> None:
    await books.flow.put([GOOD], AT)
    await books.flow.run()
    other = Closing(books.parts.store, books.parts.bus, books.parts.database, books.clock, MEANS)
    books.clock.advance(HOUR)
    await asyncio.gather(books.closing.step(), other.step())
    assert len(books.entries()) == 1


async def test_what_the_detector_missed_is_said_and_mended_by_a_further_entry(books: Books) -> None:
    for _ in range(3):
        await books.flow.put([GOOD, GOOD], AT)
        await books.flow.run()
    with books.parts.database.session() as session:
        (one,) = session.scalars(sa.select(Evaluated))
        first, last, records = one.raw_first, one.raw_last, one.record_last
        one.raw_last = one.record_last = 0
        whole = {"raw_epoch": one.raw_epoch, "raw_partition": one.raw_partition, "rule_set": one.rule_set}
        session.add(Evaluated(**whole, record_first=records, record_last=records, raw_first=last, raw_last=last))
    await books.close()
    assert books.entries() == [("seogu", "fw-1", False, 1, (6, 6, 0, 4))]
    found = await books.report()
    assert [(one.what, one.detail) for one in found.problems] == [
        ("differs", "6 received, 6 stored, 0 quarantined, 4 evaluated: 2 stored lines were not evaluated")
    ]
    books.behind_its_back(sa.update(Evaluated).where(Evaluated.raw_first == first).values(raw_last=last, record_last=records))
    await books.close()
    assert books.entries()[-1] == ("seogu", "fw-1", False, 2, (6, 6, 0, 6))
    assert (await books.report()).holds


async def two_hours(books: Books) -> None:
    """Three entries in two hours, closed one after the other."""
    await books.flow.put([GOOD, GOOD], AT)
    await books.flow.put([GOOD], AT, agency="parks")
    await books.flow.put([GOOD], NOW)
    await books.flow.run()
    await books.close()
    await books.close()
    assert (await books.report()).holds


ALTERED = {
    "a number": (sa.update(LedgerEntry).where(LedgerEntry.seq == 2).values(stored=1), "entry 2 (seogu, fw-1, 2026-05-01T02:00"),
    "the mark": (sa.update(LedgerEntry).where(LedgerEntry.seq == 2).values(holds=False), "was changed"),
    "one from the middle": (sa.delete(LedgerEntry).where(LedgerEntry.seq == 2), "entry 2 is missing: the next is 3"),
    "the end": (sa.delete(LedgerEntry).where(LedgerEntry.seq >= 2), "entries 2 to 3, of which the audit trail tells, are missing"),
    "the trail": (sa.delete(Audit).where(Audit.object == "ledger"), "of the entries after 0 the audit trail knows nothing"),
}


@pytest.mark.parametrize("how", ALTERED)
async def test_an_altered_ledger_is_found(books: Books, how: str) -> None:
    await two_hours(books)
    statement, told = ALTERED[how]
    books.behind_its_back(statement)
    for found in (await books.report(), await books.checking.check("recent")):
        assert told in next(one.detail for one in found.problems if one.what == "chain")
        assert not found.holds


async def test_a_ledger_made_anew_does_not_fit_the_trail(books: Books) -> None:
    await two_hours(books)
    with books.parts.database.session() as session:
        head = "0" * 64
        for entry in session.scalars(sa.select(LedgerEntry).order_by(LedgerEntry.seq)):
            entry.agency, entry.prev_hash = entry.agency.upper(), head
            entry.hash = head = digest(entry)
    found = await books.report()
    assert "is not the one of which the audit trail tells" in found.problems[0].detail


async def test_a_line_taken_from_the_store_or_put_into_it_is_found(books: Books) -> None:
    await two_hours(books)
    session = books.parts.engine.session()
    session.run("ALTER TABLE events DELETE WHERE agency = 'parks' SETTINGS mutations_sync = 2")
    row = session.arrow(
        f"SELECT {', '.join(f'`{name}`' for name in EVENTS.names)} FROM events WHERE agency = 'seogu' AND raw_offset = 0 LIMIT 1"
    )
    session.close()
    ghost = row.set_column(row.column_names.index("agency"), "agency", pa.array(["ghost"]))
    await books.parts.store.insert("events", ghost.cast(EVENTS.schema), "ghost")
    found = await books.report()
    assert [(one.what, one.agency, one.hour and one.hour.hour) for one in found.problems] == [("open", "ghost", 2), ("changed", "parks", 2)]
    assert "1 lines are there that were never received" in found.problems[0].detail
    assert "now there are 1 received, 0 stored, 0 quarantined, 0 evaluated" in found.problems[1].detail


async def test_counts_that_do_not_fit_the_offsets_are_found(books: Books) -> None:
    await two_hours(books)
    books.behind_its_back(sa.update(Received).where(Received.agency == "parks").values(messages=5))
    found = await books.report()
    assert [one.what for one in found.problems] == ["offsets"]
    assert "messages are counted, but its offsets say" in found.problems[0].detail


async def test_lines_from_before_the_ledger_are_told_apart(books: Books) -> None:
    await books.flow.put([GOOD, BAD], AT)
    await books.flow.run("normalise", "store-events", "store-quarantine", "detect", "evaluated")
    ledger = books.flow.turns["ledger"].consumer
    await ledger.commit(next_offsets(await ledger.poll(max_messages=10, max_bytes=1 << 20, timeout=1)))
    await books.flow.put([GOOD], AT)
    await books.flow.run()
    await books.close()
    assert books.entries() == [("seogu", "fw-1", False, 1, (1, 1, 0, 1))]
    found = await books.report()
    assert (found.holds, found.before) == (True, 2)


async def test_names_of_any_length_and_signs_are_counted(books: Books) -> None:
    long = "가" * 300 + "\0\\'"
    await books.flow.put([GOOD], AT, agency=long, source=long)
    await books.flow.run()
    await books.close()
    assert books.entries() == [("가" * 200, "가" * 200, False, 1, (1, 1, 0, 1))]
    assert (await books.report()).holds


STRETCHES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=6)


@given(st.integers(0, 40), st.integers(0, 20), STRETCHES)
def test_what_is_uncovered_is_what_no_stretch_holds(first: int, size: int, made: list[tuple[int, int]]) -> None:
    covered = sorted((start, start + length) for start, length in made)
    left = {at for a, b in uncovered((first, first + size), covered) for at in range(a, b + 1)}
    assert left == {at for at in range(first, first + size + 1) if not any(a <= at <= b for a, b in covered)}
