"""From the outbox to the channels, in steps that may each be cut off anywhere: nothing is forgotten, and what goes out twice says so.

`sort_out` turns news into deliveries and calls, in one transaction with marking the news handled. `deliver` leases deliveries that are due,
sends them outside any transaction, and writes down how it went: a process killed between sending and writing sends again, with the same id
in the message, so whoever receives it can tell. What is about a restricted incident goes nowhere: its members read it on screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from core import metrics
from core.config import Channel, NotifySettings
from core.database import Database, exclusive, now
from core.errors import NotFound
from respond import audit
from respond.cases.models import Outgoing
from respond.notify import channels, messages, oncall, routing
from respond.notify.channels import Failed
from respond.notify.closed import closed_news, of_closed
from respond.notify.models import Delivery

EVERY_SECONDS: Final = 2.0
_AT_A_TIME: Final = 200
_SENT_AT_A_TIME: Final = 20
_LEASE: Final = timedelta(minutes=5)
_FIRST_RETRY: Final = timedelta(seconds=30)
_LONGEST_RETRY: Final = timedelta(hours=1)
_log = structlog.get_logger()


def work(database: Database, settings: NotifySettings) -> None:
    """One round: news sorted out, calls made, deliveries sent until none is due."""
    sort_out(database, settings)
    with database.session() as session:
        oncall.escalate(session, settings)
    while deliver(database, settings):
        pass


def sort_out(database: Database, settings: NotifySettings) -> int:
    """Make deliveries and calls of the news not yet handled; gives how much there was."""
    with database.session() as session:
        exclusive(session, "outbox")
        at = now(session)
        query = sa.select(Outgoing).where(Outgoing.handled_at.is_(None)).order_by(Outgoing.id).limit(_AT_A_TIME)
        found = session.scalars(query).all()
        withheld = set(session.scalars(sa.select(Outgoing.id).where(Outgoing.id.in_([news.id for news in found]), closed_news(""))))
        for news in found:
            if news.id not in withheld:
                _sorted(session, settings, news, at)
            news.handled_at = at
        return len(found)


def deliver(database: Database, settings: NotifySettings) -> int:
    """Send some of what is due; gives how many were tried."""
    known = {channel.name: channel for channel in settings.channels}
    leased = _lease(database)
    for delivery in leased:
        _try(database, settings, known.get(delivery.channel), delivery)
    return len(leased)


def dead(session: Session, reader: str, before: int | None, limit: int) -> Sequence[Delivery]:
    """Deliveries given up, newest first and older than the row `before`, of what is open to the actor `reader`."""
    query = sa.select(Delivery).where(Delivery.state == "dead", ~of_closed(Delivery.outbox_id, reader))
    if before is not None:
        query = query.where(Delivery.id < before)
    return session.scalars(query.order_by(Delivery.id.desc()).limit(limit)).all()


def again(session: Session, actor: str, delivery_id: int) -> Delivery:
    """Send a delivery that was given up once more. NotFound when there is none."""
    mine = (Delivery.id == delivery_id, Delivery.state == "dead", ~of_closed(Delivery.outbox_id, actor))
    found = session.scalar(sa.select(Delivery).where(*mine).with_for_update())
    if found is None:
        raise NotFound(f"there is no delivery {delivery_id} that was given up")
    found.state, found.attempts, found.next_at = "waiting", 0, now(session)
    session.flush()
    audit.record(session, actor, "delivery.again", f"delivery/{delivery_id}", {"channel": found.channel})
    return found


def _sorted(session: Session, settings: NotifySettings, news: Outgoing, at: datetime) -> None:
    wanted = routing.wanted(settings, news)
    when = routing.not_before(settings.quiet_hours, news.severity, at)
    for name in wanted.channels:
        session.add(
            Delivery(
                outbox_id=news.id,
                channel=name,
                to="",
                message=messages.of(news),
                state="waiting",
                attempts=0,
                next_at=when,
                sent_at=None,
                problem="",
            )
        )
    if wanted.page:
        oncall.page(session, news)


def _lease(database: Database) -> Sequence[Delivery]:
    """Deliveries that are due, for this process alone for a while."""
    with database.session() as session:
        at = now(session)
        query = sa.select(Delivery).where(Delivery.state == "waiting", Delivery.next_at <= at).order_by(Delivery.next_at, Delivery.id)
        query = query.where(~of_closed(Delivery.outbox_id, ""))
        found = session.scalars(query.limit(_SENT_AT_A_TIME).with_for_update(skip_locked=True)).all()
        for delivery in found:
            delivery.next_at = at + _LEASE
            delivery.attempts += 1
        return found


def _try(database: Database, settings: NotifySettings, channel: Channel | None, delivery: Delivery) -> None:
    with database.session(readonly=True) as session:
        at = now(session)
    problem = ""
    try:
        if channel is None:
            raise Failed(f"there is no channel {delivery.channel} any more")
        channels.send(channel, delivery.to, delivery.message, at)
    except Failed as error:
        problem = str(error)
        _log.warning("notify.failed", channel=delivery.channel, delivery=delivery.id, attempt=delivery.attempts, problem=problem)
    given_up = bool(problem) and delivery.attempts >= settings.attempts
    outcome = "sent" if not problem else "dead" if given_up else "waiting"
    metrics.DELIVERIES.labels(delivery.channel, "failed" if outcome == "waiting" else outcome).inc()
    pause = min(_FIRST_RETRY * 2 ** (delivery.attempts - 1), _LONGEST_RETRY)
    values = {"state": outcome, "problem": problem, "next_at": at + pause, "sent_at": None if problem else at}
    with database.session() as session:
        session.execute(sa.update(Delivery).where(Delivery.id == delivery.id).values(**values))
