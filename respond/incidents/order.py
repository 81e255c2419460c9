"""Pages of incidents in the orders people ask for, fast however many there are.

Each state is a short walk of an index that has the order in it (`state`, then what is sorted by, then `id`), and a page is merged of the
walks: no more rows are looked at than the page has, times the states asked for, when nothing else is filtered by. A cursor names the last
incident of a page and the value it stood there with, so that a page goes on where the one before ended, whatever changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import UtcDateTime
from core.errors import Invalid
from respond.grouping import LEVELS
from respond.incidents.machine import State
from respond.models import Incident

_GRAVEST_FIRST: Final = tuple(reversed(LEVELS))
_MARK: Final = "~"


class Order(StrEnum):
    """What stands first. Gravest and last event: of equals the newest."""

    NEWEST = "newest"
    OLDEST = "oldest"
    LAST_EVENT = "last_event"
    SEVERITY = "severity"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the incident, and by the order its last event or its severity then."""

    id: int
    at: datetime | None = None
    severity: str = ""


Condition = sa.ColumnElement[bool]


def ids(
    session: Session, order: Order, states: Iterable[State], conditions: Sequence[Condition], after: Place | None, limit: int
) -> list[int]:
    """The next `limit` incidents of `states` (none: all) that meet `conditions`, behind `after`, in order."""
    wanted = sorted(states) or list(State)
    if order is not Order.SEVERITY:
        return _walk(session, order, wanted, conditions, _behind(order, after), limit)
    found: list[int] = []
    for level in _GRAVEST_FIRST[_GRAVEST_FIRST.index(after.severity) if after else 0 :]:
        behind = [Incident.severity == level, *([Incident.id < after.id] if after and level == after.severity else [])]
        found += _walk(session, order, wanted, conditions, behind, limit - len(found))
        if len(found) >= limit:
            break
    return found


def place(session: Session, order: Order, cursor: str) -> Place | None:
    """What `cursor` names; None for ''. Invalid when it was not given for this order."""
    if not cursor:
        return None
    number, _, told = cursor.partition(_MARK)
    last = session.scalar(sa.select(Incident.id).where(Incident.number == number))
    if last is None or bool(told) != (order in (Order.LAST_EVENT, Order.SEVERITY)):
        raise Invalid("this cursor was not given by us, or for another order")
    match order:
        case Order.LAST_EVENT:
            return Place(last, at=_instant(told))
        case Order.SEVERITY if told not in LEVELS:
            raise Invalid("this cursor was not given by us, or for another order")
    return Place(last, severity=told)


def cursor_of(order: Order, number: str, last_event_at: datetime, severity: str) -> str:
    """The cursor behind an incident."""
    told = {Order.LAST_EVENT: last_event_at.isoformat(), Order.SEVERITY: severity}.get(order)
    return f"{number}{_MARK}{told}" if told else number


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid("this cursor was not given by us") from error
    if at.tzinfo is None:
        raise Invalid("this cursor was not given by us")
    return at


def _behind(order: Order, after: Place | None) -> list[Condition]:
    if after is None:
        return []
    if order is Order.OLDEST:
        return [Incident.id > after.id]
    if order is Order.LAST_EVENT:
        last = sa.tuple_(sa.literal(after.at, UtcDateTime), sa.literal(after.id))
        return [sa.tuple_(Incident.last_event_at, Incident.id) < last]
    return [Incident.id < after.id]


def _walk(
    session: Session, order: Order, states: Sequence[State], conditions: Sequence[Condition], behind: Sequence[Condition], limit: int
) -> list[int]:
    """One walk a state, merged."""
    walks = []
    for state in states:
        own = sa.select(Incident.id.label("id"), Incident.last_event_at.label("at"))
        own = own.where(Incident.state == state, Incident.merged_into_id.is_(None), *conditions, *behind)
        walks.append(own.order_by(*_keys(order, Incident.id, Incident.last_event_at)).limit(limit).subquery().select())
    merged = sa.union_all(*walks).subquery()
    chosen = sa.select(merged.c.id).order_by(*_keys(order, merged.c.id, merged.c.at)).limit(limit)
    return list(session.scalars(chosen))


def _keys(order: Order, row: Any, last_event_at: Any) -> list[Any]:
    if order is Order.OLDEST:
        return [row.asc()]
    return [last_event_at.desc(), row.desc()] if order is Order.LAST_EVENT else [row.desc()]
