"""Issues of the feed: a period's entries, frozen when they are asked for first and the same byte for byte ever after.

- A period is issued when it has ended. What was published in it is then fixed: publishing and issuing take turns by one lock.
- A later version of a report is an entry of a later period that names the one it restates. `restated` tells which; the issue stays.
- CSV and PDF are made from the issue's JSON alone, on first demand, and kept as they were given out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from core.database import exclusive, insert_into, now
from core.errors import Conflict, Invalid, StoreError
from respond import audit
from respond.cases.canonical import canonical, instant_text, sha256
from respond.feed.entries import LOCK, open_to, shown
from respond.feed.models import FeedEntry, FeedFile, FeedIssue
from respond.feed.periods import Period, parse

MOST_ENTRIES: Final = 1000
"""An issue has no more; a longer period is asked for in parts."""

Names = Mapping[str, tuple[str, str]]
"""Agencies' names in Korean and English, by id."""


@dataclass(frozen=True, slots=True)
class File:
    """An issue in one form."""

    content: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Restatement:
    """That `version` of a report took the place of one in an issue, at `at`."""

    report: str
    version: int
    at: datetime


def find(session: Session, name: str) -> FeedIssue | None:
    """The issue of the period called `name`; None when nobody has asked for it yet."""
    return session.scalar(sa.select(FeedIssue).where(FeedIssue.period == name))


def issue(session: Session, actor: str, name: str, agencies: Names) -> FeedIssue:
    """The issue of the period called `name`, made when nobody has asked before. Conflict when the period has not ended yet."""
    period = parse(name)
    if now(session) < period.until:
        raise Conflict(f"{name} has not ended yet: it can be issued from {instant_text(period.until)} on")
    exclusive(session, LOCK)
    return find(session, name) or _freeze(session, actor, period, agencies)


def as_json(of: FeedIssue) -> File:
    """The issue itself."""
    return File(of.document.encode(), of.sha256)


def document(of: FeedIssue) -> dict[str, Any]:
    """What an issue says."""
    said: dict[str, Any] = json.loads(of.document)
    return said


def kept(session: Session, of: FeedIssue, form: str, language: str) -> File | None:
    """The issue in another form, as it was given out before."""
    wanted = (FeedFile.issue_id == of.id, FeedFile.format == form, FeedFile.language == language)
    row = session.execute(sa.select(FeedFile.content, FeedFile.sha256).where(*wanted)).one_or_none()
    return None if row is None else File(row[0], row[1])


def keep(session: Session, of: FeedIssue, form: str, language: str, content: bytes) -> File:
    """Keep the first file made of an issue in a form; gives the one that is kept, which may be another's."""
    values = {"issue_id": of.id, "format": form, "language": language, "content": content, "sha256": sha256(content)}
    insert = insert_into(session, FeedFile).values(**values, made_at=now(session))
    session.execute(insert.on_conflict_do_nothing(index_elements=["issue_id", "format", "language"]))
    found = kept(session, of, form, language)
    if found is None:
        raise StoreError(f"a file of the feed's issue {of.period} is not there after it was kept")
    return found


def listed(session: Session, cursor: str, limit: int) -> tuple[Sequence[FeedIssue], str]:
    """Issues, the latest periods first, and the cursor of the next page."""
    order = (FeedIssue.since.desc(), FeedIssue.until.desc())
    query = sa.select(FeedIssue).order_by(*order)
    if cursor:
        last = session.execute(sa.select(FeedIssue.since, FeedIssue.until).where(FeedIssue.period == cursor)).one_or_none()
        if last is None:
            raise Invalid("this cursor was not given by us")
        query = query.where(sa.or_(FeedIssue.since < last[0], sa.and_(FeedIssue.since == last[0], FeedIssue.until < last[1])))
    rows = session.scalars(query.limit(limit + 1)).all()
    return rows[:limit], rows[limit - 1].period if len(rows) > limit else ""


def restated(session: Session, of: FeedIssue, limit: int = 500) -> Sequence[Restatement]:
    """What was published after an issue's period and takes the place of something in it, oldest first."""
    old = aliased(FeedEntry)
    query = (
        sa.select(FeedEntry.report, FeedEntry.version, FeedEntry.at)
        .join(old, FeedEntry.restates == old.seq)
        .where(old.at >= of.since, old.at < of.until, FeedEntry.at >= of.until, open_to(""))
    )
    return [Restatement(*row) for row in session.execute(query.order_by(FeedEntry.seq).limit(limit))]


def _freeze(session: Session, actor: str, period: Period, agencies: Names) -> FeedIssue:
    at = now(session)
    query = sa.select(FeedEntry).where(FeedEntry.at >= period.since, FeedEntry.at < period.until, open_to(""))
    rows = session.scalars(query.order_by(FeedEntry.seq).limit(MOST_ENTRIES + 1)).all()
    if len(rows) > MOST_ENTRIES:
        raise Invalid(f"{period.name} has more than {MOST_ENTRIES} entries: ask for shorter periods")
    concerned = {row.agency for row in rows}
    named = {one: {"ko": ko, "en": en} for one, (ko, en) in agencies.items() if one in concerned}
    bounds = {"since": instant_text(period.since), "until": instant_text(period.until), "issued_at": instant_text(at)}
    document = canonical({"period": period.name, **bounds, "agencies": named, "items": [shown(row) for row in rows]})
    made = FeedIssue(
        period=period.name,
        since=period.since,
        until=period.until,
        issued_at=at,
        entries=len(rows),
        document=document,
        sha256=sha256(document),
    )
    session.add(made)
    session.flush()
    audit.record(session, actor, "feed.issue", f"feed/{period.name}", {"entries": len(rows), "sha256": made.sha256})
    return made
