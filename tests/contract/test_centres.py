"""What linked centres promise when several act at once, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from core import arrow
from core.bus.embedded import EmbeddedBus
from core.clock import FixedClock
from core.database import Database
from core.errors import Conflict, Invalid
from core.topics import DETECTIONS
from respond.centres import alerts, delegations, links, service
from respond.centres.alerts import Alert
from respond.centres.delegations import Wish
from respond.centres.models import CentreAlert, CentreLink, Delegation
from respond.centres.relay import Relay
from respond.centres.service import About

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, UTC)
KNOWN = ("seogu", "parks")


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated, started database of each engine."""
    url = f"sqlite:///{tmp_path}/centres.db" if request.param == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    made = Database(url, FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


def at_once(acts: Sequence[Callable[[], object]]) -> list[object]:
    """What each of several gave when all began at the same moment; the name of the error for one that was refused."""
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        ready.wait()
        try:
            return act()
        except (Conflict, Invalid) as error:
            return type(error).__name__

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def active(database: Database, name: str) -> str:
    with database.session() as session:
        number = service.register(session, "user:lead", KNOWN, "seogu", name, About("센터", "", "")).number
        service.take(session, "user:lead", number, "activate", 1)
        return number


def an_alert(name: str) -> Alert:
    return Alert(name, "seogu", "t", "low", NOW, "", (), {"src_ip": "192.0.2.7"}, ("a line",))


def test_two_delegations_at_once_never_overlap(opened: Database) -> None:
    centres = [active(opened, name) for name in ("one", "two", "three")]
    planned = NOW + timedelta(days=1)

    def delegate(number: str) -> int:
        with opened.session() as session:
            return delegations.delegate(session, "user:lead", KNOWN, Wish("parks", number, planned, "its size")).id

    assert sorted(map(str, at_once([lambda n=n: delegate(n) for n in centres]))) == ["1", "Conflict", "Conflict"]  # type: ignore[misc]


def test_a_centre_that_ends_while_it_is_delegated_to_watches_nobody(opened: Database) -> None:
    for turn in range(5):
        number = active(opened, f"centre-{turn}")

        def delegate(number: str = number) -> str:
            with opened.session() as session:
                return delegations.delegate(session, "user:lead", KNOWN, Wish("parks", number, None, "its size")).centre

        def end(number: str = number) -> str:
            with opened.session() as session:
                return service.take(session, "user:lead", number, "end", 2, "over").state

        delegated, ended = at_once([delegate, end])
        assert (delegated in (number, "Invalid"), ended) == (True, "ended")
        with opened.session(readonly=True) as session:
            assert delegations.watched_by(session, number, NOW) == frozenset()
            assert session.scalars(sa.select(Delegation.until).where(Delegation.centre == number, Delegation.until.is_(None))).all() == []


def test_calls_at_once_bring_a_link_up_once(opened: Database) -> None:
    number = active(opened, "one")

    def call() -> None:
        with opened.session() as session:
            links.seen(session, number)

    at_once([call] * 4)
    with opened.session(readonly=True) as session:
        assert session.scalars(sa.select(CentreLink.status)).all() == ["up"]


def test_the_same_alerts_at_once_are_taken_and_sent_once(opened: Database, tmp_path: Path) -> None:
    number = active(opened, "one")

    def accept() -> int:
        with opened.session() as session:
            return alerts.accept(session, number, [an_alert(f"a-{n}") for n in range(20)]).accepted

    assert sorted(map(str, at_once([accept] * 4))) == ["0", "0", "0", "20"]
    positions = asyncio.run(_relayed(opened, tmp_path))
    assert positions == sorted(positions)
    assert set(positions) == set(range(1, 21))
    with opened.session(readonly=True) as session:
        assert session.scalar(sa.select(sa.func.count()).where(CentreAlert.sent_at.is_(None))) == 0


async def _relayed(database: Database, folder: Path) -> list[int]:
    """The positions on the topic, once each at its first coming, after two relays ran beside each other."""
    bus = EmbeddedBus(folder / "bus.sqlite", partitions=1, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=FixedClock(NOW))
    await bus.start()
    await asyncio.gather(*(Relay(database, bus).step() for _ in range(2)))
    consumer = await bus.consumer("test", [DETECTIONS])
    found = await consumer.poll(max_messages=100, max_bytes=8 << 20, timeout=1)
    await consumer.close()
    await bus.close()
    every = [offset for record in found for offset in arrow.decode(record.value)["raw_offset"].to_pylist()]
    return list(dict.fromkeys(every))
