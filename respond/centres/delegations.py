"""Who watches whom: the delegation map of article 17(3), as intervals that never overlap for one agency.

An agency is watched by its own centre or, with a reason (its size, the nature of its duties), by that of another. A new delegation ends
the one in force when it begins. One that is over never changes; everything under the lock `delegations`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, now
from core.errors import Conflict, Invalid, NotFound
from core.versions import check_seen
from respond import outbox
from respond.cases import records
from respond.cases.canonical import instant_text
from respond.centres.machine import ACTIVE, MACHINE
from respond.centres.models import Delegation, LinkedCentre

_LOCK: Final = "delegations"


@dataclass(frozen=True, slots=True)
class Wish:
    """`agency` is to be watched by `centre` (its number) from `since` on (None: from now on)."""

    agency: str
    centre: str
    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Watched:
    """Who watches `agency` at a moment. `delegation` is None where nobody does; `active` whether that centre is let in now."""

    agency: str
    delegation: Delegation | None
    centre: LinkedCentre | None
    own: bool
    active: bool


def delegate(session: Session, actor: str, known: Collection[str], wish: Wish) -> Delegation:
    """Let a centre watch an agency; what was in force ends when this begins.

    Invalid: no such agency or centre, or another agency's centre without a reason. Conflict: it would overlap what is planned or was.
    """
    hold(session)
    at = now(session)
    if wish.agency not in known:
        raise Invalid(f"there is no agency {wish.agency!r}")
    centre = session.scalar(sa.select(LinkedCentre).where(LinkedCentre.number == wish.centre).with_for_update())
    if centre is None or centre.state in MACHINE.ended:
        raise Invalid(f"there is no linked centre {wish.centre}, or it has ended")
    reason = records.checked_reason(wish.reason, needed=centre.agency != wish.agency, action="use another agency's centre")
    since = wish.since or at
    _make_room(session, actor, wish, since)
    made = Delegation(
        agency=wish.agency,
        centre=wish.centre,
        since=since,
        until=None,
        reason=reason,
        made_by=actor,
        made_at=at,
        ended_by="",
        ended_reason="",
    )
    session.add(made)
    session.flush()
    _tell(session, actor, centre, "delegate", made, since, reason)
    return made


def end(session: Session, actor: str, delegation_id: int, until: datetime | None, reason: str, *, seen: int | None = None) -> Delegation:
    """End a delegation, now or at `until`; one that has not begun is ended at its begin.

    NotFound; Stale unless of version `seen`; Conflict when it is over; Invalid.
    """
    hold(session)
    at = now(session)
    found = session.get(Delegation, delegation_id, with_for_update=True)
    if found is None:
        raise NotFound(f"there is no delegation {delegation_id}")
    check_seen(f"the delegation {delegation_id}", found.version, seen)
    if found.until is not None and found.until <= at:
        raise Conflict(f"the delegation {delegation_id} is over since {instant_text(found.until)}")
    if until is not None and (until < found.since or (found.until is not None and until > found.until)):
        raise Invalid("a delegation ends after it begins, and its end only moves nearer")
    reason = records.checked_reason(reason, needed=True, action="end a delegation")
    _end(session, actor, found, until or max(at, found.since), reason)
    return found


def hold(session: Session) -> None:
    """Take the lock of delegations, before any row is locked."""
    exclusive(session, _LOCK)


def end_all_of(session: Session, actor: str, centre: str, reason: str) -> int:
    """End every delegation to a centre that ends; gives how many there were. The caller holds the lock (`hold`)."""
    at = now(session)
    open_ones = (Delegation.centre == centre, sa.or_(Delegation.until.is_(None), Delegation.until > at))
    found = session.scalars(sa.select(Delegation).where(*open_ones).order_by(Delegation.id).with_for_update()).all()
    for one in found:
        _end(session, actor, one, max(at, one.since), reason)
    return len(found)


def watched_by(session: Session, centre: str, at: datetime) -> frozenset[str]:
    """The agencies a centre watches at `at`."""
    return frozenset(session.scalars(sa.select(Delegation.agency).where(Delegation.centre == centre, in_force(at))))


def in_force(at: datetime) -> sa.ColumnElement[bool]:
    """The condition that a delegation holds at `at`."""
    return sa.and_(Delegation.since <= at, sa.or_(Delegation.until.is_(None), Delegation.until > at))


def map_at(session: Session, agencies: Iterable[str], at: datetime) -> Sequence[Watched]:
    """For each agency who watches it at `at`."""
    query = sa.select(Delegation, LinkedCentre).join(LinkedCentre, LinkedCentre.number == Delegation.centre).where(in_force(at))
    found = {one.agency: (one, centre) for one, centre in session.execute(query)}
    watched = []
    for agency in agencies:
        one, centre = found.get(agency, (None, None))
        own, active = (centre.agency == agency, centre.state == ACTIVE) if centre else (False, False)
        watched.append(Watched(agency, one, centre, own, active))
    return watched


def find(session: Session, delegation_id: int) -> Delegation:
    """One delegation, over or not. NotFound when there is none."""
    found = session.get(Delegation, delegation_id)
    if found is None:
        raise NotFound(f"there is no delegation {delegation_id}")
    return found


def history(session: Session, *, agency: str, centre: str, before: int | None, limit: int) -> Sequence[Delegation]:
    """Delegations, newest first, those over included; `before` is the id of the last one already seen."""
    query = sa.select(Delegation)
    for column, value in ((Delegation.agency, agency), (Delegation.centre, centre)):
        if value:
            query = query.where(column == value)
    if before is not None:
        query = query.where(Delegation.id < before)
    return session.scalars(query.order_by(Delegation.id.desc()).limit(limit)).all()


def _make_room(session: Session, actor: str, wish: Wish, since: datetime) -> None:
    """End what is in force at `since`. Conflict when that centre is the same, or something was or will be in force after `since`."""
    later = sa.or_(Delegation.until.is_(None), Delegation.until > since)
    not_empty = sa.or_(Delegation.until.is_(None), Delegation.until > Delegation.since)
    found = session.scalars(sa.select(Delegation).where(Delegation.agency == wish.agency, later, not_empty).with_for_update()).all()
    for one in found:
        if one.since >= since or one.until is not None:
            raise Conflict(f"{wish.agency} is watched by {one.centre} from {instant_text(one.since)} on: end that first, or begin later")
        if one.centre == wish.centre:
            raise Conflict(f"{wish.agency} is watched by {wish.centre} already, since {instant_text(one.since)}")
    for one in found:
        _end(session, actor, one, since, f"{wish.centre} takes over")


def _end(session: Session, actor: str, one: Delegation, until: datetime, reason: str) -> None:
    one.until, one.ended_by, one.ended_reason, one.version = until, actor, reason, one.version + 1
    session.flush()
    centre = session.scalars(sa.select(LinkedCentre).where(LinkedCentre.number == one.centre)).one()
    _tell(session, actor, centre, "undelegate", one, until, reason)


def _tell(session: Session, actor: str, centre: LinkedCentre, action: str, one: Delegation, at: datetime, reason: str) -> None:
    data: dict[str, Any] = {"delegation": one.id, "agency": one.agency, "at": instant_text(at)}
    records.note(session, MACHINE, centre, actor, action, data, reason)
    outbox.tell(session, f"centre.{action}", records.named(MACHINE, centre.number), agency=one.agency, data={"title": centre.name, **data})
