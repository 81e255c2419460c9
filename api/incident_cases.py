"""The cases about an incident, of every kind a caller may read, in one statement.

Which cases exist for the caller is decided as in their own lists (`api.cases.Kind`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.asking import ASKERS, Asker
from api.cases import ABOUT_INCIDENTS, KINDS, Kind
from core.database import AnyText, UtcDateTime
from core.permissions import Principal
from respond.cases import records


@dataclass(frozen=True, slots=True)
class About:
    """A case as far as every kind has it; `kind` is its word."""

    kind: str
    number: str
    agency: str
    state: str
    exercise: bool
    created_at: datetime


def about(session: Session, caller: Principal, incident: str, limit: int, after: tuple[datetime, str] | None = None) -> Sequence[About]:
    """At most `limit` cases about the incident of that number, newest first; `after` is the time and number of the last one seen."""
    statement = _statement(Asker.of(caller, caller.actor), after is not None)
    if statement is None:
        return []
    seen = {"at": after[0], "last": after[1]} if after else {}
    rows = session.execute(statement, {"plain": incident, "named": f"incident/{incident}", "most": limit, **seen})
    return [About(*row) for row in rows]


@functools.lru_cache(maxsize=2 * ASKERS)
def _statement(asker: Asker, further: bool) -> sa.Select[Any] | None:
    """What takes `plain`, `named` and `most`, a further page also `at` and `last`; None when no case may be read."""
    caller = asker.principal()
    kinds = [KINDS[word] for word in sorted(ABOUT_INCIDENTS)]
    readable = [one for one in kinds if any(caller.may(action) for action in one.may)]
    if not readable:
        return None
    found = sa.union_all(*(_of_kind(one, caller, asker.reader) for one in readable)).subquery()
    newest = sa.select(found).order_by(found.c.created_at.desc(), found.c.number.desc()).limit(sa.bindparam("most", type_=sa.Integer))
    if not further:
        return newest
    last = sa.tuple_(sa.bindparam("at", type_=UtcDateTime), sa.bindparam("last", type_=AnyText))
    return newest.where(sa.tuple_(found.c.created_at, found.c.number) < last)


def _of_kind(kind: Kind[Any], caller: Principal, reader: str) -> sa.Select[Any]:
    row = kind.row
    columns = (getattr(row, name) for name in ("number", "agency", "state", "exercise", "created_at"))
    names = row.incident_name().in_([sa.bindparam("plain", type_=AnyText), sa.bindparam("named", type_=AnyText)])
    return sa.select(sa.literal(kind.machine.kind).label("kind"), *columns).where(
        names, records.known_to(row, reader), *kind.visible(caller)
    )
