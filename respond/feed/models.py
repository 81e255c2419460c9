"""The tables of the feed. Nothing here is ever changed or removed.

- `FeedEntry` is one version of a received report. `seq` counts from 1 without a gap, and `at` never goes back with it.
- `FeedIssue` is a period as it was given out first: `document` is the JSON text exactly as it was hashed.
- `FeedFile` is an issue as CSV or PDF, the bytes that were given out first.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, RowId, UtcDateTime


class FeedEntry(Base):
    """A version of a report that was published. `restates` is the `seq` of the version it takes the place of, or None."""

    __tablename__ = "feed_entries"
    __table_args__ = (sa.Index(None, "report", "seq"),)

    seq: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    agency: Mapped[str] = mapped_column(AnyText, index=True)
    report: Mapped[str] = mapped_column(AnyText)
    version: Mapped[int] = mapped_column(sa.Integer)
    restates: Mapped[int | None] = mapped_column(sa.BigInteger, index=True)
    content: Mapped[str] = mapped_column(AnyText)
    sha256: Mapped[str] = mapped_column(AnyText)


class FeedIssue(Base):
    """A period's entries: `since` <= `at` < `until`, bounds of a day, month or year in Seoul."""

    __tablename__ = "feed_issues"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    period: Mapped[str] = mapped_column(AnyText, unique=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    entries: Mapped[int] = mapped_column(sa.Integer)
    document: Mapped[str] = mapped_column(AnyText)
    sha256: Mapped[str] = mapped_column(AnyText)


class FeedFile(Base):
    """An issue in another form. `language` is '' where the form has none."""

    __tablename__ = "feed_files"
    __table_args__ = (sa.UniqueConstraint("issue_id", "format", "language"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    issue_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("feed_issues.id"))
    format: Mapped[str] = mapped_column(AnyText)
    language: Mapped[str] = mapped_column(AnyText)
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)
    sha256: Mapped[str] = mapped_column(AnyText)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
