"""Clocks of cases: what somebody waits for since when, who set the time, and whether it ran out.

- `TARGET` is the centre's own wish from its settings, shown as such; the ordinance gives no number [DOMAIN trap 1]. `PACK` is a time a
  rule pack of the personal information law gives. `SET` was set by whoever asked (a request's due date).
- Running out forbids nothing: it is shown, and being late asks for a reason where the case says so.
- An exercise starts no clock of a PACK; its others are marked by their case.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import insert_into
from core.permissions import Agencies
from respond.cases.models import CaseClock


class Basis(StrEnum):
    """Who set a time. The words are stored."""

    TARGET = "target"
    PACK = "pack"
    SET = "set"


def start(
    session: Session,
    object: str,  # noqa: A002 - the column's name
    agency: str,
    name: str,
    *,
    basis: Basis,
    source: str,
    started_at: datetime,
    due_at: datetime | None,
    exercise: bool = False,
) -> None:
    """Start the clock `name` of a case, or set its time anew while it runs. `source` says where the time is written.

    ValueError when it is due before it starts, or an exercise would start a statutory one.
    """
    if exercise and basis is Basis.PACK:
        raise ValueError(f"an exercise starts no statutory clock: {object} {name}")
    if due_at is not None and due_at < started_at:
        raise ValueError(f"the clock {name} of {object} would be due before it starts")
    values = {"agency": agency, "basis": basis.value, "source": source, "started_at": started_at, "due_at": due_at, "stopped_at": None}
    insert = insert_into(session, CaseClock).values(object=object, name=name, **values)
    session.execute(insert.on_conflict_do_update(index_elements=["object", "name"], set_=values))


def stop(session: Session, object: str, name: str, at: datetime) -> None:  # noqa: A002 - the column's name
    """Stop a clock, no earlier than it started. Stopping one that stands, or was never started, changes nothing."""
    running = (CaseClock.object == object) & (CaseClock.name == name) & CaseClock.stopped_at.is_(None)
    stopped = sa.case((CaseClock.started_at > at, CaseClock.started_at), else_=sa.literal(at, CaseClock.stopped_at.type))
    session.execute(sa.update(CaseClock).where(running).values(stopped_at=stopped).execution_options(synchronize_session=False))


def stop_all(session: Session, object: str, at: datetime) -> None:  # noqa: A002 - the column's name
    """Stop every clock of a case, as when it ends."""
    for name in session.scalars(sa.select(CaseClock.name).where(CaseClock.object == object, CaseClock.stopped_at.is_(None))).all():
        stop(session, object, name, at)


def of_case(session: Session, object: str) -> Sequence[CaseClock]:  # noqa: A002 - the column's name
    """The clocks of one case, in the order they were started first."""
    return session.scalars(sa.select(CaseClock).where(CaseClock.object == object).order_by(CaseClock.id)).all()


def running(session: Session, scope: Agencies, limit: int = 500) -> Sequence[CaseClock]:
    """Clocks that run, those due first at the front, those without a time at the end."""
    query = sa.select(CaseClock).where(CaseClock.stopped_at.is_(None))
    if scope is not None:
        query = query.where(CaseClock.agency.in_(scope))
    return session.scalars(query.order_by(CaseClock.due_at.is_(None), CaseClock.due_at, CaseClock.id).limit(limit)).all()


def late(at: datetime) -> sa.ColumnElement[bool]:
    """That a clock runs and is past its time."""
    return CaseClock.stopped_at.is_(None) & (CaseClock.due_at < at)


def overdue(clock: CaseClock, at: datetime) -> timedelta:
    """How far past its time a clock is, or was when it stopped; zero when it is not, or has no time."""
    if clock.due_at is None:
        return timedelta(0)
    return max((clock.stopped_at or at) - clock.due_at, timedelta(0))
