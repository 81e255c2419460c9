"""How the link to each centre stands: up with any call of a machine of it, late and down when it stays silent too long.

`seen` is what a call does, `judge` what the clock does; both work on the locked row, so a call and a judgement at once leave one truth.
Only the worsening is judged and only a call mends, so running `judge` twice changes nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core import metrics
from core.centre_settings import CentreSettings
from core.database import now
from respond import outbox
from respond.cases import records
from respond.cases.canonical import instant_text
from respond.centres.machine import ACTIVE, MACHINE
from respond.centres.models import CentreLink, LinkedCentre

EVERY_SECONDS: Final = 10.0
NOTED_EVERY: Final = timedelta(seconds=10)
"""Calls within so short a time are one."""


class Link(StrEnum):
    """How a link stands. The words are stored; '' before the first call."""

    UP = "up"
    LATE = "late"
    DOWN = "down"
    OFF = "off"


_WORSE: Final = ("", Link.UP, Link.LATE, Link.DOWN)


def due_to_note(last_seen_at: datetime | None, at: datetime) -> bool:
    """Whether a call at `at` is worth writing down."""
    return last_seen_at is None or at - last_seen_at >= NOTED_EVERY


def seen(session: Session, number: str) -> None:
    """A machine of the centre called. Nothing happens where the centre is not let in."""
    centre = _locked(session, LinkedCentre.number == number)
    at = now(session)
    for one in centre:
        one.last_seen_at = max(one.last_seen_at or at, at)
        if one.link != Link.UP:
            change(session, one, Link.UP, at)


def judge(settings: CentreSettings) -> Callable[[Session], Sequence[str]]:
    """What is to be done now and then: it gives the numbers of the centres whose link became worse."""
    late, down = timedelta(seconds=settings.late_seconds), timedelta(seconds=settings.down_seconds)

    def turn(session: Session) -> Sequence[str]:
        at = now(session)
        worse = []
        metrics.CENTRE_SILENT.clear()
        for one in _locked(session):
            silent = at - max(time for time in (one.last_seen_at, one.linked_since, one.created_at) if time is not None)
            metrics.CENTRE_SILENT.labels(one.name).set(silent.total_seconds())
            status = Link.DOWN if silent >= down else Link.LATE if silent >= late else Link.UP
            if status is not Link.UP and _WORSE.index(status) > _WORSE.index(one.link):
                change(session, one, status, at)
                worse.append(one.number)
        return worse

    return turn


def change(session: Session, centre: LinkedCentre, status: Link, at: datetime) -> None:
    """Write down that the link stands otherwise from `at` on; going down, and coming up after it or at first, is news."""
    before, centre.link = centre.link, status.value
    session.add(CentreLink(centre=centre.number, status=status.value, since=at, last_seen_at=centre.last_seen_at))
    session.flush()
    if status is Link.DOWN or (status is Link.UP and before != Link.LATE):
        seen_at = instant_text(centre.last_seen_at) if centre.last_seen_at else ""
        outbox.tell(
            session,
            f"centre.{status}",
            records.named(MACHINE, centre.number),
            agency=centre.agency,
            severity="high" if status is Link.DOWN else "",
            data={"title": centre.name, "last_seen_at": seen_at},
        )


def history(session: Session, number: str, *, before: int | None, limit: int) -> Sequence[CentreLink]:
    """How the link stood, newest first; `before` is the id of the last row already seen."""
    query = sa.select(CentreLink).where(CentreLink.centre == number)
    if before is not None:
        query = query.where(CentreLink.id < before)
    return session.scalars(query.order_by(CentreLink.id.desc()).limit(limit)).all()


def counts(session: Session) -> dict[str, int]:
    """How many active centres have each state of the link; those that never called count as `down`."""
    query = sa.select(LinkedCentre.link, sa.func.count()).where(LinkedCentre.state == ACTIVE).group_by(LinkedCentre.link)
    found = dict.fromkeys((Link.UP.value, Link.LATE.value, Link.DOWN.value), 0)
    for link, count in session.execute(query):
        found[link or Link.DOWN.value] += count
    return found


def _locked(session: Session, *conditions: sa.ColumnElement[bool]) -> Sequence[LinkedCentre]:
    query = sa.select(LinkedCentre).where(LinkedCentre.state == ACTIVE, *conditions).order_by(LinkedCentre.id)
    return session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()
