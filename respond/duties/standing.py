"""How far the duties of a year are: counts and lists made by the database, within a scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.permissions import Agencies
from respond.cases import records
from respond.duties.machine import Kind
from respond.duties.models import Duty
from respond.duties.service import overdue


@dataclass(frozen=True, slots=True)
class Year:
    """The duties of one kind in a year. `done` are the agencies with one that is done, `late` those with one that is overdue.

    `open` and `waived` count duties; `last_at` is the newest sign-off.
    """

    open: int
    waived: int
    done: Sequence[str]
    late: Sequence[str]
    last_at: datetime | None


def of_campaign(session: Session, scope: Agencies, campaign: str) -> Mapping[str, int]:
    """How many duties of a campaign are in which state."""
    query = sa.select(Duty.state, sa.func.count()).where(Duty.campaign == campaign, records.within(Duty, scope))
    return {row[0]: row[1] for row in session.execute(query.group_by(Duty.state).order_by(Duty.state))}


def late(session: Session, scope: Agencies, campaign: str, at: datetime) -> Sequence[str]:
    """The agencies whose duty of a campaign is overdue at `at`, in order."""
    query = sa.select(Duty.agency).where(Duty.campaign == campaign, records.within(Duty, scope), overdue(at))
    return session.scalars(query.order_by(Duty.agency)).all()


def of_year(session: Session, scope: Agencies, kind: Kind, year: int, at: datetime) -> Year:
    """How the duties of `kind` stand. Overdue duties of earlier years are among `late`: they stay due until done or waived."""
    mine = (Duty.kind == kind.value, records.within(Duty, scope))
    this_year = (*mine, Duty.year == year)
    by_state = sa.select(Duty.state, sa.func.count()).where(*this_year).group_by(Duty.state)
    counts = {row[0]: row[1] for row in session.execute(by_state)}
    done = sa.select(Duty.agency).where(*this_year, Duty.state == "done").distinct().order_by(Duty.agency)
    behind = sa.select(Duty.agency).where(*mine, overdue(at)).distinct().order_by(Duty.agency)
    return Year(
        open=sum(count for state, count in counts.items() if state not in ("done", "waived")),
        waived=counts.get("waived", 0),
        done=session.scalars(done).all(),
        late=session.scalars(behind).all(),
        last_at=session.scalar(sa.select(sa.func.max(Duty.done_at)).where(*mine)),
    )
