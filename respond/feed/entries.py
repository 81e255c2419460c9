"""Entries of the feed: publishing one, and reading on from where a reader was.

Publishing takes turns by a lock that is held until the transaction ends. So numbers become visible in their order: a reader who goes on
from the last number seen misses nothing, and a period that has been issued gets no entry any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, now
from core.errors import Invalid
from core.permissions import Agencies
from respond.cases.canonical import canonical, instant_text, sha256
from respond.feed.models import FeedEntry, FeedIssue
from respond.incidents.linked import closed_names

LOCK: Final = "feed"


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in the order they were published. `next_cursor` is where to go on, now when there is `more`, or later."""

    items: Sequence[FeedEntry]
    next_cursor: str
    more: bool


def publish(session: Session, content: Mapping[str, Any]) -> FeedEntry:
    """Publish a version of a report: `content` is plain JSON and names at least `report`, `agency` and `version`.

    A version of a report that is in the feed already restates the one before, and says which and of when.
    """
    exclusive(session, LOCK)
    seq, at = session.execute(sa.select(sa.func.max(FeedEntry.seq), sa.func.max(FeedEntry.at))).one()
    issued = session.scalar(sa.select(sa.func.max(FeedIssue.until)))
    at = max(when for when in (now(session), at, issued) if when is not None)
    before = session.scalars(
        sa.select(FeedEntry).where(FeedEntry.report == content["report"]).order_by(FeedEntry.seq.desc()).limit(1)
    ).one_or_none()
    seq = (seq or 0) + 1
    restates = before and {"seq": before.seq, "version": before.version, "published_at": instant_text(before.at)}
    text = canonical({**content, "seq": seq, "published_at": instant_text(at), "restates": restates})
    entry = FeedEntry(
        seq=seq,
        at=at,
        agency=content["agency"],
        report=content["report"],
        version=content["version"],
        restates=before.seq if before else None,
        content=text,
        sha256=sha256(text),
    )
    session.add(entry)
    session.flush()
    return entry


def read(
    session: Session, scope: Agencies, reader: str, *also: sa.ColumnElement[bool], since: datetime | None, cursor: str, limit: int
) -> Page:
    """Entries published at or after `since`, after `cursor`, oldest first. Invalid when the cursor was not given by us.

    `also` are conditions they meet besides. `reader` is the actor who reads: of incidents that were restricted since, only their
    members go on seeing entries.
    """
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise Invalid("this cursor was not given by us")
    query = sa.select(FeedEntry).where(within(scope), open_to(reader), *also, FeedEntry.seq > int(cursor or 0))
    if since is not None:
        query = query.where(FeedEntry.at >= since)
    rows = session.scalars(query.order_by(FeedEntry.seq).limit(limit + 1)).all()
    items = rows[:limit]
    return Page(items, str(items[-1].seq) if items else cursor, len(rows) > limit)


def shown(entry: FeedEntry) -> dict[str, Any]:
    """An entry as it is given out: its content and the SHA-256 of the content's canonical JSON."""
    said: dict[str, Any] = json.loads(entry.content)
    return {**said, "sha256": entry.sha256}


def within(scope: Agencies) -> sa.ColumnElement[bool]:
    """That an entry is of an agency in `scope`."""
    return sa.true() if scope is None else FeedEntry.agency.in_(scope)


def open_to(reader: str) -> sa.ColumnElement[bool]:
    """That an entry is of no report about a restricted incident `reader` is no member of; '' is nobody."""
    names = sa.select(sa.func.replace(closed_names(reader).subquery().c[0], "report/", ""))
    return FeedEntry.report.not_in(names)
