"""The records of feeds and imports: made, changed and asked for in one transaction of the caller's, who writes the audit row."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from core.errors import Conflict, Invalid, NotFound
from core.versions import check_seen
from detect.indicators.model import Refused
from detect.indicators.tables import IndicatorFeed, IndicatorImport, IndicatorRefusal, IndicatorSighting

MOST_FEEDS: Final = 200
MOST_REFUSALS: Final = 1000
LONGEST_EXPIRY_DAYS: Final = 3650
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_SETTLE: Final = timedelta(minutes=1)  # what reached us before the stream had the indicators is looked for in history
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for indicators that do not say it themselves; None leaves what the feed has."""

    expire_days: int | None = None
    tlp: str | None = None
    confidence: int | None = None


FIRST_DEFAULTS: Final = Defaults(expire_days=90, tlp="amber", confidence=50)
"""Of a feed that was never told others."""


def set_feed(session: Session, name: str, wanted: Defaults, actor: str) -> IndicatorFeed:
    """The feed called `name`, made if there is none, with what `wanted` changes."""
    if not _NAME.fullmatch(name):
        raise Invalid("a feed's name is 1 to 63 small letters, digits, '_', '.' and '-', and begins with a letter or digit")
    feed = session.get(IndicatorFeed, name)
    if feed is None:
        if (session.scalar(sa.select(sa.func.count()).select_from(IndicatorFeed)) or 0) >= MOST_FEEDS:
            raise Conflict(f"there are {MOST_FEEDS} feeds, which is the most: delete one first")
        given = {key: value for key in ("expire_days", "tlp", "confidence") if (value := getattr(wanted, key)) is not None}
        first = replace(FIRST_DEFAULTS, **given)
        feed = IndicatorFeed(
            name=name,
            expire_days=first.expire_days,
            tlp=first.tlp,
            confidence=first.confidence,
            created_at=now(session),
            created_by=actor,
        )
        session.add(feed)
        return feed
    feed.version += 1
    feed.expire_days = feed.expire_days if wanted.expire_days is None else wanted.expire_days
    feed.tlp = wanted.tlp or feed.tlp
    feed.confidence = feed.confidence if wanted.confidence is None else wanted.confidence
    return feed


def begin_import(session: Session, feed: IndicatorFeed, form: str, sha256: str, actor: str) -> IndicatorImport:
    """A new import, under way. Its id is the order of imports."""
    row = IndicatorImport(
        feed=feed.name,
        format=form,
        sha256=sha256,
        started_at=now(session),
        started_by=actor,
        finished_at=None,
        accepted=0,
        fresh=0,
        refused={},
        history_since=None,
        history_until=None,
        history_next=None,
        history_events=0,
        history_capped=False,
    )
    session.add(row)
    session.flush()
    return row


def finish_import(session: Session, import_id: int, accepted: int, fresh: int, refused: dict[str, int], history: timedelta) -> None:
    """The import is whole. Its new indicators are to be searched for in what reached us in the time `history` before."""
    row = session.get_one(IndicatorImport, import_id)
    row.finished_at = now(session)
    row.accepted, row.fresh, row.refused = accepted, fresh, refused
    if fresh and history:
        row.history_until = row.finished_at + _SETTLE
        row.history_since = row.history_next = row.finished_at - history


def keep_refusals(session: Session, import_id: int, refusals: Sequence[Refused]) -> None:
    """Keep refused entries with their reasons, one for each place."""
    by_place = {one.place: one for one in refusals}
    session.add_all(IndicatorRefusal(import_id=import_id, place=one.place, given=one.given, reason=one.reason) for one in by_place.values())


def delete_feed(session: Session, name: str, seen: int | None) -> None:
    """Delete the feed's record, and end the search of history for it. NotFound when there is none; Stale unless of version `seen`."""
    session.delete(seen_feed(session, name, seen))
    session.execute(sa.update(IndicatorImport).where(IndicatorImport.feed == name).values(history_next=None))


def get_feed(session: Session, name: str) -> IndicatorFeed:
    """One feed; NotFound when there is none."""
    feed = session.get(IndicatorFeed, name)
    if feed is None:
        raise NotFound(f"there is no feed {name!r}")
    return feed


def seen_feed(session: Session, name: str, seen: int | None) -> IndicatorFeed:
    """One feed. NotFound when there is none; Stale unless it is of the version `seen`."""
    feed = get_feed(session, name)
    check_seen(f"the feed {name}", feed.version, seen)
    return feed


def list_feeds(session: Session) -> Sequence[tuple[IndicatorFeed, IndicatorImport | None]]:
    """Every feed by name, with its newest import."""
    newest = (
        sa.select(sa.func.max(IndicatorImport.id))
        .where(IndicatorImport.feed == IndicatorFeed.name)
        .correlate(IndicatorFeed)
        .scalar_subquery()
    )
    found = session.execute(
        sa.select(IndicatorFeed, IndicatorImport).outerjoin(IndicatorImport, IndicatorImport.id == newest).order_by(IndicatorFeed.name)
    )
    return [(feed, last) for feed, last in found]


def last_import(session: Session, name: str) -> IndicatorImport | None:
    """The newest import of a feed."""
    return session.scalars(
        sa.select(IndicatorImport).where(IndicatorImport.feed == name).order_by(IndicatorImport.id.desc()).limit(1)
    ).first()


def list_imports(session: Session, before: int | None, limit: int) -> Sequence[IndicatorImport]:
    """Imports, the newest first."""
    query = sa.select(IndicatorImport).order_by(IndicatorImport.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(IndicatorImport.id < before)).all()


def get_import(session: Session, import_id: int) -> IndicatorImport:
    """One import; NotFound when there is none."""
    row = session.get(IndicatorImport, import_id)
    if row is None:
        raise NotFound(f"there is no import {import_id}")
    return row


def refusals(session: Session, import_id: int) -> Sequence[IndicatorRefusal]:
    """The refused entries that were kept, in their order."""
    return session.scalars(
        sa.select(IndicatorRefusal).where(IndicatorRefusal.import_id == import_id).order_by(IndicatorRefusal.place)
    ).all()


def sightings(session: Session, import_id: int, agencies: Collection[str] | None, limit: int) -> Sequence[IndicatorSighting]:
    """What the new indicators of an import met in history, in those agencies (None: all), the earliest first."""
    query = sa.select(IndicatorSighting).where(IndicatorSighting.import_id == import_id)
    if agencies is not None:
        query = query.where(IndicatorSighting.agency.in_(sorted(agencies)))
    return session.scalars(query.order_by(IndicatorSighting.first_at, IndicatorSighting.agency, IndicatorSighting.hash).limit(limit)).all()


@dataclass(frozen=True, slots=True)
class FirstKnowable:
    """When an agency's own logs first knew one of an import's new indicators, and how many of them and of events there are."""

    agency: str
    first_at: datetime
    indicators: int
    events: int


def first_knowable(session: Session, import_id: int, agencies: Collection[str] | None) -> Sequence[FirstKnowable]:
    """By agency, the earliest first."""
    first = sa.func.min(IndicatorSighting.first_at, type_=IndicatorSighting.first_at.type)
    query = (
        sa.select(IndicatorSighting.agency, first, sa.func.count(), sa.func.sum(IndicatorSighting.events))
        .where(IndicatorSighting.import_id == import_id)
        .group_by(IndicatorSighting.agency)
        .order_by(first)
    )
    if agencies is not None:
        query = query.where(IndicatorSighting.agency.in_(sorted(agencies)))
    return [FirstKnowable(agency, at, indicators, int(events)) for agency, at, indicators, events in session.execute(query)]


def next_search(session: Session) -> IndicatorImport | None:
    """The import whose search of history is to go on: the oldest that is not done."""
    return session.scalars(
        sa.select(IndicatorImport).where(IndicatorImport.history_next.is_not(None)).order_by(IndicatorImport.id).limit(1)
    ).one_or_none()


def slice_of(row: IndicatorImport) -> tuple[int, datetime, datetime]:
    """Number, begin and end of the stretch of history to be searched next: days of UTC, by when events reached us."""
    if row.history_next is None or row.history_since is None or row.history_until is None:
        raise ValueError(f"no history is to be searched for import {row.id}")
    midnight = row.history_next.replace(hour=0, minute=0, second=0, microsecond=0)
    first = row.history_since.replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - first) // _DAY, row.history_next, min(midnight + _DAY, row.history_until)
