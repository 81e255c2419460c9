"""The records of feeds in the transactional database. The indicators themselves are in the columnar store.

- A feed that was deleted keeps its imports, and what they met in history: those are findings.
- An import is whole when `finished_at` is set. `history_next` is where the search of history goes on, None when there is none to do.
- Of refused entries the first are kept; `IndicatorImport.refused` counts all, by reason.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from core.versions import Versioned


class IndicatorFeed(Versioned, Base):
    """A feed, and what holds for those of its indicators that do not say it themselves. `expire_days` 0: they do not end."""

    __tablename__ = "indicator_feeds"

    name: Mapped[str] = mapped_column(AnyText, primary_key=True)
    expire_days: Mapped[int]
    tlp: Mapped[str] = mapped_column(AnyText)
    confidence: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(AnyText)


class IndicatorImport(Base):
    """One import. `fresh` of the `accepted` were not in force in the feed before; those are searched for in history."""

    __tablename__ = "indicator_imports"
    __table_args__ = (sa.Index(None, "feed", "id"), sa.Index(None, "history_next"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    feed: Mapped[str] = mapped_column(AnyText)
    format: Mapped[str] = mapped_column(AnyText)
    sha256: Mapped[str] = mapped_column(AnyText)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_by: Mapped[str] = mapped_column(AnyText)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    accepted: Mapped[int] = mapped_column(sa.BigInteger)
    fresh: Mapped[int] = mapped_column(sa.BigInteger)
    refused: Mapped[dict[str, Any]] = mapped_column(Json)
    history_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    history_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    history_next: Mapped[datetime | None] = mapped_column(UtcDateTime)
    history_events: Mapped[int] = mapped_column(sa.BigInteger)
    history_capped: Mapped[bool]


class IndicatorRefusal(Base):
    """An entry of a feed's file that could not be taken. `place` counts entries from 1."""

    __tablename__ = "indicator_refusals"

    import_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("indicator_imports.id"), primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    given: Mapped[str] = mapped_column(AnyText)
    reason: Mapped[str] = mapped_column(AnyText)


class IndicatorSighting(Base):
    """An indicator that an agency's history knew. Times are the devices' own; `first_event` is the id of the earliest event."""

    __tablename__ = "indicator_sightings"

    import_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("indicator_imports.id"), primary_key=True, autoincrement=False)
    agency: Mapped[str] = mapped_column(AnyText, primary_key=True)
    hash: Mapped[str] = mapped_column(AnyText, primary_key=True)
    type: Mapped[str] = mapped_column(AnyText)
    value: Mapped[str] = mapped_column(AnyText)
    tlp: Mapped[str] = mapped_column(AnyText)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    first_event: Mapped[str] = mapped_column(AnyText)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    events: Mapped[int] = mapped_column(sa.BigInteger)
