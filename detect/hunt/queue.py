"""The queue of searches as the runner sees it: which one is next, what of it is done, and who has it.

People's hunts go first, then what the stream missed, then what is asked of new rules; of one kind the oldest. A search is held for a minute
at a time: when its holder dies, another takes it up behind its last finished slice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import Database, exclusive, now
from detect.hunt.models import FirstKnowable, Hunt
from detect.hunt.requests import OPEN, Kind, State
from detect.hunt.search import Tally
from detect.hunt.slices import Slice

HELD: Final = timedelta(minutes=1)
_URGENCY: Final = {kind.value: rank for rank, kind in enumerate(Kind)}


@dataclass
class Outcome:
    """What one slice gave: matches by rule id, detections made by rule id, and rules that could not be judged."""

    tallies: Sequence[tuple[str, Tally]] = ()
    kept: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class Queue:
    """The searches in `database`, for one runner called `holder`. Every method is a transaction, and blocks."""

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self._holder = holder

    def take(self, *, background: bool) -> Hunt | None:
        """The search to go on with; without `background` only one that people asked for. It is held from now on."""
        kinds = list(Kind) if background else [Kind.HUNT]
        with self._database.session() as session:
            exclusive(session, "hunts")
            at = now(session)
            free = sa.or_(Hunt.held_until.is_(None), Hunt.held_until < at, Hunt.holder == self._holder)
            query = (
                sa.select(Hunt)
                .where(Hunt.state.in_(OPEN), Hunt.kind.in_(kinds), free)
                .order_by(sa.case(_URGENCY, value=Hunt.kind), Hunt.asked_at, Hunt.id)
                .limit(1)
            )
            row = session.scalars(query).one_or_none()
            if row is not None:
                row.holder, row.held_until = self._holder, at + HELD
                row.state, row.started_at = State.RUNNING.value, row.started_at or at
            return row

    def hold(self, hunt_id: str, rows: int = 0) -> bool:
        """Keep a search for another minute, with `rows` of its slice looked at; False when it was cancelled or taken."""
        with self._database.session() as session:
            row = self._held(session, hunt_id)
            if row is not None:
                row.held_until = now(session) + HELD
                if rows and row.slices is not None:
                    row.rows_done = min(_rows(row) + rows, row.rows_total)
            return row is not None

    def planned(self, hunt_id: str, slices: Sequence[Slice]) -> None:
        """Write down how a search is cut."""
        with self._database.session() as session:
            if row := self._held(session, hunt_id):
                row.slices = [list(asdict(one).values()) for one in slices]
                row.rows_total = sum(one.rows for one in slices)

    def advance(self, hunt_id: str, number: int, outcome: Outcome) -> None:
        """Slice `number` is done; with the last one the search is."""
        with self._database.session() as session:
            row = self._held(session, hunt_id)
            if row is None or row.slices_done != number or row.slices is None:
                return
            row.slices_done = number + 1
            row.rows_done = _rows(row)
            row.found = _added(row.found, outcome.tallies)
            row.kept = {**row.kept, **{rule: row.kept.get(rule, 0) + made for rule, made in outcome.kept.items()}}
            row.problems = {**row.problems, **outcome.problems}
            if row.slices_done == len(row.slices):
                broken = len(row.problems) == len(row.rules)
                self._end(session, row, State.FAILED if broken else State.DONE, "no rule could be judged" if broken else "")

    def fail(self, hunt_id: str, problem: str) -> None:
        """End a search that cannot go on."""
        with self._database.session() as session:
            if row := self._held(session, hunt_id):
                self._end(session, row, State.FAILED, problem)

    def _end(self, session: Session, row: Hunt, state: State, problem: str) -> None:
        row.state, row.problem, row.ended_at = state.value, problem, now(session)
        if row.kind == Kind.FIRST_KNOWABLE and state is State.DONE:
            for known in session.scalars(sa.select(FirstKnowable).where(FirstKnowable.hunt_id == row.id)):
                if known.rule_id not in row.problems:
                    known.found, known.found_at = row.found.get(known.rule_id, {}), row.ended_at

    def _held(self, session: Session, hunt_id: str) -> Hunt | None:
        row = session.get(Hunt, hunt_id, with_for_update=True)
        return row if row is not None and row.state == State.RUNNING and row.holder == self._holder else None

    def release(self) -> None:
        """Let go of every search, for another to take up at once."""
        with self._database.session() as session:
            session.execute(sa.update(Hunt).where(Hunt.holder == self._holder, Hunt.state.in_(OPEN)).values(held_until=None))


def _rows(hunt: Hunt) -> int:
    """The rows of the slices that are done."""
    return sum(rows for _, _, rows in hunt.slices[: hunt.slices_done])  # type: ignore[index]


def _added(found: Mapping[str, Any], tallies: Sequence[tuple[str, Tally]]) -> dict[str, Any]:
    """`found` with the matches of one more slice, which is later than those before."""
    merged = {rule: dict(agencies) for rule, agencies in found.items()}
    for rule, tally in tallies:
        agencies = merged.setdefault(rule, {})
        before = agencies.get(tally.agency)
        if before is None:
            agencies[tally.agency] = {"count": tally.count, "first": tally.first, "event": tally.event}
        else:
            agencies[tally.agency] = {**before, "count": before["count"] + tally.count}
    return merged


def slice_of(hunt: Hunt) -> Slice:
    """The next slice of a planned search."""
    return Slice(*hunt.slices[hunt.slices_done])  # type: ignore[index]
