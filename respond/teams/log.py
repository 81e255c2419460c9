"""The duty log of a team: orders and what was done, in order, never changed.

Who writes gives each entry an id of its own: sending the same entry again, as after a broken connection, writes nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.crypto import token
from core.database import insert_into, now
from core.errors import Conflict, Forbidden, Invalid
from respond import audit
from respond.cases import records
from respond.teams import roster
from respond.teams.machine import MACHINE
from respond.teams.models import DutyEntry, Team

ORDER: Final = "order"
NOTE: Final = "note"
_WRITTEN_WHILE: Final = frozenset({"formed", "active", "stood_down"})


def note(session: Session, actor: str, account: str, team: Team, entry: str, text: str, *, leads: bool) -> DutyEntry:
    """Append what was done. Only people on the roster write, and whoever `leads` (may propose teams).

    Conflict when the team has no duty now, or `entry` is taken by another text.
    """
    if not leads and not roster.is_on(session, team.number, account):
        raise Forbidden("only people on the roster write the duty log")
    found = _entry(session, team.number, entry)
    if found is None:
        if team.state not in _WRITTEN_WHILE:
            raise Conflict(f"{team.number} is {team.state}: it has no duty log now")
        found = write(session, actor, team, NOTE, text, at=now(session), entry=entry)
        audit.record(session, actor, "team.logged", records.named(MACHINE, team.number), {"entry": found.id})
    if (found.actor, found.text) != (actor, text.strip()):
        raise Conflict(f"the entry {entry} is written already: the duty log only grows")
    return found


def write(session: Session, actor: str, team: Team, kind: str, text: str, *, at: datetime, entry: str = "") -> DutyEntry:
    """Append one line; gives the line of that `entry`, which is another's when somebody was faster."""
    if not text.strip():
        raise Invalid("an entry of the duty log says something")
    entry = entry or token()
    insert = insert_into(session, DutyEntry).values(team=team.number, entry=entry, at=at, actor=actor, kind=kind, text=text.strip())
    session.execute(insert.on_conflict_do_nothing(index_elements=["team", "entry"]))
    written = _entry(session, team.number, entry)
    if written is None:
        raise AssertionError("a line that was just written is not there")
    return written


def read(session: Session, team: str, *, after: int = 0, limit: int = 200) -> Sequence[DutyEntry]:
    """The lines after the one with id `after`, oldest first."""
    query = sa.select(DutyEntry).where(DutyEntry.team == team, DutyEntry.id > after)
    return session.scalars(query.order_by(DutyEntry.id).limit(limit)).all()


def _entry(session: Session, team: str, entry: str) -> DutyEntry | None:
    return session.scalar(sa.select(DutyEntry).where(DutyEntry.team == team, DutyEntry.entry == entry))
