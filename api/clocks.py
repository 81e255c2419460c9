"""The clocks that run, of every kind of case a caller may read: what is due next, what is overdue.

A clock names its case as `<kind>/<number>`; the tracks of a personal-information case name theirs by the number of that case. Which cases
exist for the caller is decided as in their own lists (`api.cases.Kind`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.asking import ASKERS, Asker
from api.cases import KINDS
from core.database import UtcDateTime
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.models import CaseClock
from respond.duties.machine import DUTY
from respond.duties.models import Duty
from respond.personal.machine import CASE, TRACKS

_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Running:
    """A clock. `kind` is the word of its case; `due_at` None: the law says "without delay" and nobody set a target."""

    kind: str
    number: str
    agency: str
    exercise: bool
    name: str
    basis: str
    source: str
    started_at: datetime
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Clocks:
    """Some clocks, those due first at the front, and where the page ends; of all that run, how many there are and are overdue."""

    items: tuple[Running, ...]
    after: tuple[datetime, int] | None
    total: int
    overdue: int


@dataclass(frozen=True, slots=True)
class _Statements:
    """`counts` takes `at`; the pages take `most`, and `further` also `due` and `id` of the last clock seen."""

    counts: sa.Select[int, int]
    first: sa.Select[Any]
    further: sa.Select[Any]


def running(
    session: Session, caller: Principal, reader: str, at: datetime, limit: int, after: tuple[datetime, int] | None = None
) -> Clocks:
    """The clocks of the cases `caller` may read; of restricted incidents those `reader` (an actor; '' is nobody) is a member of.

    `after` is where the page before ended.
    """
    statements = _statements(Asker.of(caller, reader))
    if statements is None:
        return Clocks((), None, 0, 0)
    total, overdue = session.execute(statements.counts, {"at": at}).one()
    if after is None:
        rows = session.execute(statements.first, {"most": limit + 1}).all()
    else:
        rows = session.execute(statements.further, {"most": limit + 1, "due": after[0], "id": after[1]}).all()
    following = (rows[limit - 1].due, rows[limit - 1].id) if len(rows) > limit else None
    return Clocks(tuple(_running(row) for row in rows[:limit]), following, total, overdue)


@functools.lru_cache(maxsize=ASKERS)
def _statements(asker: Asker) -> _Statements | None:
    """The statements for `asker`, None when no case may be read. To write them takes twenty times as long as to run them."""
    selects = [_of_kind(*one, asker.reader) for one in _readable(asker.principal())]
    if not selects:
        return None
    found = sa.union_all(*selects).subquery()
    due = sa.func.coalesce(found.c.due_at, sa.literal(_NEVER, UtcDateTime), type_=UtcDateTime)
    counts = sa.select(sa.func.count(), sa.func.count().filter(found.c.due_at < sa.bindparam("at", type_=UtcDateTime)))
    first = sa.select(found, due.label("due")).order_by("due", found.c.id).limit(sa.bindparam("most", type_=sa.Integer))
    seen = sa.tuple_(sa.bindparam("due", type_=UtcDateTime), sa.bindparam("id", type_=sa.Integer))
    return _Statements(counts.select_from(found), first, first.where(sa.tuple_(due, found.c.id) > seen))


def _readable(caller: Principal) -> Iterator[tuple[str, type[Any], list[sa.ColumnElement[bool]]]]:
    """Words of clocks' names, the rows these name, and which of them exist for the caller."""
    for word, kind in KINDS.items():
        if any(caller.may(action) for action in kind.may):
            conditions = list(kind.visible(caller))
            yield word, kind.row, conditions
            if word == CASE.kind:
                for track in sorted({machine.kind for machine in TRACKS.values()}):
                    yield track, kind.row, conditions
    if caller.may(Action.DUTIES_READ):
        yield DUTY.kind, Duty, [records.within(Duty, caller.scope(Action.DUTIES_READ))]


def _of_kind(word: str, row: type[Any], conditions: list[sa.ColumnElement[bool]], reader: str) -> sa.Select[Any]:
    number = sa.func.substr(CaseClock.object, len(word) + 2)
    named = (CaseClock.object.startswith(f"{word}/", autoescape=True), row.number == number, CaseClock.stopped_at.is_(None))
    columns = (CaseClock.id, row.number, row.agency, row.exercise, CaseClock.name, CaseClock.basis, CaseClock.source, CaseClock.started_at)
    kind = sa.literal(CASE.kind if row is KINDS[CASE.kind].row else word).label("kind")
    return (
        sa.select(kind, *columns, CaseClock.due_at)
        .join(row, row.number == number)
        .where(*named, records.known_to(row, reader), *conditions)
    )


def _running(row: Any) -> Running:
    told: Mapping[str, Any] = row._mapping
    return Running(**{name: told[name] for name in Running.__slots__})
