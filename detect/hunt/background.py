"""The searches the centre starts by itself: what kept history says of new rules, and what the stream missed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from core.database import Database, exclusive, now
from core.errors import RuleError
from core.events import EVENTS
from core.storage.contract import Store
from core.storage.event_queries import Scope, Where
from core.storage.writer import highest_offsets
from detect.compiled import compile_rule
from detect.correlation.definition import Correlation
from detect.correlation.resolve import resolve
from detect.fields import EventFields
from detect.hunt import ledger, requests
from detect.hunt.ledger import Gap, Repair
from detect.hunt.models import FirstKnowable, Hunt
from detect.hunt.requests import Kind, Wish
from detect.hunt.statements import Place, Reach
from detect.rule_files import RuleLibrary
from detect.rules import Rule, RuleBook

_MOST_PLACES: Final = 200  # stretches one backfill looks at
_ALWAYS: Final = (datetime.fromisoformat("1900-01-01T00:00:00+00:00"), datetime.fromisoformat("2299-01-01T00:00:00+00:00"))
_MILLISECOND: Final = timedelta(milliseconds=1)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Stored:
    """The events the store has of some stretches."""

    rows: int
    first: datetime
    last: datetime


class Background:
    """Looks for what nobody asked for. `history` is how far back new rules are asked about."""

    def __init__(self, store: Store, database: Database, library: RuleLibrary, *, history: timedelta) -> None:
        self._store = store
        self._database = database
        self._library = library
        self._history = history
        self._known: RuleBook | None = None

    async def look_around(self) -> None:
        """Queue what is new: rules not yet asked about, gaps, repaired rules. StoreError when it cannot be told."""
        book = await asyncio.to_thread(self._library.current)
        if book is not self._known:
            await asyncio.to_thread(self._note_rules, book)
            self._known = book
        await self._fill_gaps(book)
        await self._fill_repairs(book)

    def _note_rules(self, book: RuleBook) -> None:
        """One search for all versions of rules that history was not asked about yet, and one for all of correlations."""
        with self._database.session() as session:
            exclusive(session, "hunts")
            known = {(row.rule_id, row.rule_hash) for row in session.execute(sa.select(FirstKnowable.rule_id, FirstKnowable.rule_hash))}
            self._note(session, [rule for rule in _able(book.rules) if (rule.id, rule.hash) not in known])
            self._note(session, [one for one in resolve(book).correlations if (one.id, one.hash) not in known])

    def _note(self, session: Session, new: Sequence[Rule | Correlation]) -> None:
        if not new:
            return
        until = now(session)
        hunt = requests.ask(session, Wish(until - self._history, until, None, kind=Kind.FIRST_KNOWABLE), new, requests.CENTRE)
        for rule in new:
            row = FirstKnowable(rule_id=rule.id, rule_hash=rule.hash, hunt_id=hunt.id, noted_at=until, found_at=None, found={})
            session.add(row)
        _log.info("hunt.new_rules", rules=len(new), hunt=hunt.id)

    async def _fill_gaps(self, book: RuleBook) -> None:
        """Run every rule and correlation over the events that were stored and not evaluated."""
        found = await asyncio.to_thread(self._read, ledger.gaps)
        if not found:
            return
        highest = await highest_offsets(self._store, EVENTS)
        settled = [gap for gap in found if highest.get(gap.place[:2], -1) > gap.place[3]][:_MOST_PLACES]
        stored = [(gap, await self._stored([gap.place])) for gap in settled]
        await asyncio.to_thread(self._queue_gaps, _telling(book), stored)

    def _queue_gaps(self, rules: Sequence[Rule | Correlation], stored: Sequence[tuple[Gap, _Stored]]) -> None:
        full = [(gap, there) for gap, there in stored if there.rows]
        with self._database.session() as session:
            exclusive(session, "evaluated")
            still = {gap.place for gap in ledger.gaps(session)}
            by = ""
            if full and rules:
                hunt = _ask(session, rules, [gap.place for gap, _ in full], [there for _, there in full])
                by = f"hunt/{hunt.id}"
                _log.warning("hunt.gap_found", events=sum(there.rows for _, there in full), hunt=hunt.id)
            for gap, there in stored:
                if gap.place in still:
                    ledger.close(session, gap, by if there.rows else "")

    async def _fill_repairs(self, book: RuleBook) -> None:
        """Run each repaired rule over what was evaluated while it was broken."""
        for repair in await asyncio.to_thread(self._read, ledger.repairs):
            if repair.rule_id in {*(rule.id for rule in _able(book.rules)), *(one.id for one in resolve(book).correlations)}:
                rules = [one for one in _telling(book) if one.id == repair.rule_id]
                parts = [repair.places[at : at + _MOST_PLACES] for at in range(0, len(repair.places), _MOST_PLACES)]
                stored = [(part, await self._stored(part)) for part in parts]
                await asyncio.to_thread(self._queue_repair, rules, repair, stored)

    def _queue_repair(self, rules: Sequence[Rule | Correlation], repair: Repair, stored: Sequence[tuple[Sequence[Place], _Stored]]) -> None:
        with self._database.session() as session:
            exclusive(session, "evaluated")
            if repair not in ledger.repairs(session):
                return
            asked = [_ask(session, rules, places, [there]).id for places, there in stored if there.rows and rules]
            ledger.caught_up(session, repair, ",".join(asked))
        _log.info("hunt.rule_repaired", rule=repair.rule_id, events=sum(there.rows for _, there in stored), hunts=asked)

    def _read(self, question: Any) -> Any:
        with self._database.session(readonly=True) as session:
            return question(session)

    async def _stored(self, places: Sequence[Place]) -> _Stored:
        where: Where = Reach(*_ALWAYS, None, tuple(places)).where()
        found = await self._store.query(
            f"SELECT count() AS rows, min(event_time) AS first, max(event_time) AS last FROM events WHERE {where.sql}", where.params
        )
        return _Stored(**found.to_pylist()[0])


def _ask(session: Session, rules: Sequence[Rule | Correlation], places: Sequence[Place], stored: Sequence[_Stored]) -> Hunt:
    since, until = min(there.first for there in stored), max(there.last for there in stored) + _MILLISECOND
    everywhere: Scope = None
    return requests.ask(session, Wish(since, until, everywhere, kind=Kind.BACKFILL), rules, requests.CENTRE, ranges=places)


def _telling(book: RuleBook) -> list[Rule | Correlation]:
    """What tells of what it finds: the rules that are there only for correlations count as members of these."""
    resolved = resolve(book)
    return [*_able([rule for rule in book.rules if rule.hash not in resolved.silent]), *resolved.correlations]


def _able(rules: Sequence[Rule]) -> list[Rule]:
    """The rules that can fire on our events; the others are shown as set aside elsewhere."""
    fields = EventFields()
    able = []
    for rule in rules:
        try:
            compile_rule(rule, fields)
        except RuleError:
            continue
        able.append(rule)
    return able
