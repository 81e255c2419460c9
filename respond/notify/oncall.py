"""Who is on call, calling them, and calling the next when nobody acknowledges.

Some are on call only while a national warning is grave enough (`core.level_effects`). Of those on call at a moment the lowest tier is
called first, each of its people; after `acknowledge_minutes` without an answer the next tier is called too. When the last was called the
call stays open, on screen, and begins again with the first tier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core import level_effects
from core.config import NotifySettings
from core.database import insert_into, now
from core.errors import Invalid, NotFound
from core.versions import check_seen
from respond import audit
from respond.cases.models import Outgoing
from respond.notify import messages
from respond.notify.closed import of_closed
from respond.notify.models import Delivery, Page, Shift

_LONGEST = timedelta(days=31)
_HIGHEST_TIER = 9


@dataclass(frozen=True, slots=True)
class NewShift:
    """Somebody's time on call; `address` is where calls go (e-mail). `level`: see `models.Shift`."""

    person: str
    address: str
    tier: int
    begins_at: datetime
    ends_at: datetime
    level: str = ""


def plan(session: Session, actor: str, wanted: NewShift) -> Shift:
    """Put somebody on call. Invalid when the time ends before it begins or is longer than a month."""
    if not timedelta(0) < wanted.ends_at - wanted.begins_at <= _LONGEST:
        raise Invalid("a shift ends after it begins, and within 31 days")
    if not 0 <= wanted.tier <= _HIGHEST_TIER:
        raise Invalid(f"a tier is a number from 0 to {_HIGHEST_TIER}: the lowest is called first")
    shift = Shift(
        person=wanted.person,
        address=wanted.address,
        tier=wanted.tier,
        begins_at=wanted.begins_at,
        ends_at=wanted.ends_at,
        level=wanted.level,
        made_by=actor,
    )
    session.add(shift)
    session.flush()
    audit.record(
        session, actor, "oncall.planned", f"oncall/{shift.id}", {"person": wanted.person, "tier": wanted.tier, "level": wanted.level}
    )
    return shift


def find(session: Session, shift_id: int) -> Shift:
    """One shift, over or not. NotFound when there is none."""
    shift = session.get(Shift, shift_id)
    if shift is None:
        raise NotFound(f"there is no shift {shift_id}")
    return shift


def remove(session: Session, actor: str, shift_id: int, *, seen: int | None = None) -> None:
    """Take a shift off the rota. NotFound when there is none; Stale unless of version `seen`."""
    shift = find(session, shift_id)
    check_seen(f"the shift {shift_id}", shift.version, seen)
    session.delete(shift)
    session.flush()
    audit.record(session, actor, "oncall.removed", f"oncall/{shift_id}", {"person": shift.person})


def shifts(session: Session, since: datetime, after: int | None, limit: int) -> Sequence[Shift]:
    """The shifts that end after `since`, as they begin, those that begin at once by tier; only those behind the shift `after`.

    Invalid when that one was taken off the rota.
    """
    query = sa.select(Shift).where(Shift.ends_at > since)
    if after is not None:
        last = session.get(Shift, after)
        if last is None:
            raise Invalid("the shift this cursor stands at was taken off the rota: read it from the start")
        higher = sa.or_(Shift.tier > last.tier, sa.and_(Shift.tier == last.tier, Shift.id > last.id))
        query = query.where(sa.or_(Shift.begins_at > last.begins_at, sa.and_(Shift.begins_at == last.begins_at, higher)))
    return session.scalars(query.order_by(Shift.begins_at, Shift.tier, Shift.id).limit(limit)).all()


def on_call(session: Session, at: datetime) -> Sequence[Shift]:
    """Who is on call at a moment, first called first."""
    called = (Shift.begins_at <= at, Shift.ends_at > at, Shift.level.in_(("", *level_effects.reached(session))))
    return session.scalars(sa.select(Shift).where(*called).order_by(Shift.tier, Shift.id)).all()


def page(session: Session, news: Outgoing) -> None:
    """Open a call about `news`; `escalate` makes it. A call that is open already stays as it is."""
    values = {"outbox_id": news.id, "tier": -1, "called": [], "next_at": now(session), "acknowledged_by": ""}
    session.execute(insert_into(session, Page).values(**values).on_conflict_do_nothing(index_elements=["outbox_id"]))


def escalate(session: Session, settings: NotifySettings) -> int:
    """Call the next tier of every call that was not acknowledged in time; gives how many calls went a tier on."""
    at = now(session)
    due = (
        sa.select(Page)
        .where(Page.acknowledged_at.is_(None), Page.next_at <= at, ~of_closed(Page.outbox_id, ""))
        .order_by(Page.id)
        .limit(100)
    )
    pages = session.scalars(due.with_for_update(skip_locked=True)).all()
    people = on_call(session, at)
    for one in pages:
        _call(session, settings, one, people, at)
    return len(pages)


def acknowledge(session: Session, actor: str, page_id: int) -> Page:
    """Somebody takes care of it. Acknowledging again changes nothing. NotFound when there is no such call."""
    found = session.scalar(sa.select(Page).where(Page.id == page_id, ~of_closed(Page.outbox_id, actor)).with_for_update())
    if found is None:
        raise NotFound(f"there is no call {page_id}")
    if found.acknowledged_at is None:
        found.acknowledged_at, found.acknowledged_by, found.next_at = now(session), actor, None
        session.flush()
        audit.record(session, actor, "page.acknowledged", f"page/{page_id}", {"called": [one["person"] for one in found.called]})
    return found


def open_pages(session: Session, reader: str, after: int, limit: int) -> Sequence[tuple[Page, Outgoing]]:
    """Calls nobody has acknowledged, oldest first and newer than the row `after`, with their news, of what `reader` may see."""
    waiting = (Page.acknowledged_at.is_(None), Page.id > after, ~of_closed(Page.outbox_id, reader))
    query = sa.select(Page, Outgoing).join(Outgoing, Outgoing.id == Page.outbox_id).where(*waiting)
    return [(found, news) for found, news in session.execute(query.order_by(Page.id).limit(limit))]


def _call(session: Session, settings: NotifySettings, one: Page, people: Sequence[Shift], at: datetime) -> None:
    one.next_at = at + timedelta(minutes=settings.acknowledge_minutes)
    tiers = sorted({person.tier for person in people})
    if not tiers:
        return  # looked at again later: somebody may be put on call
    one.tier = next((tier for tier in tiers if tier > one.tier), tiers[0])
    called = [person for person in people if person.tier == one.tier]
    one.called = [*one.called, *({"person": person.person, "tier": person.tier, "at": at.isoformat()} for person in called)]
    news = session.get_one(Outgoing, one.outbox_id)
    inside = {channel.name for channel in settings.channels if channel.drills or not news.exercise}
    if settings.page_channel in inside:
        for person in called:
            _deliver(session, settings.page_channel, person.address, news, at)


def _deliver(session: Session, channel: str, to: str, news: Outgoing, at: datetime) -> None:
    """Send at once; a person who was called about this already is called again."""
    values = {"message": messages.of(news), "state": "waiting", "attempts": 0, "next_at": at, "problem": ""}
    insert = insert_into(session, Delivery).values(outbox_id=news.id, channel=channel, to=to, **values)
    session.execute(insert.on_conflict_do_update(index_elements=["outbox_id", "channel", "to"], set_={**values, "sent_at": None}))
