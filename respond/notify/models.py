"""The tables of telling: what goes out, who is on call, who was called."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from core.versions import Versioned


class Delivery(Base):
    """One piece of news on its way through one channel. `to` names a person's address, or is '' for the channel's own.

    `state`: waiting, sent, or dead (given up until somebody asks for it again). `next_at`: not before.
    """

    __tablename__ = "deliveries"
    __table_args__ = (sa.UniqueConstraint("outbox_id", "channel", "to"), sa.Index(None, "state", "next_at"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    outbox_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("outbox.id"))
    channel: Mapped[str] = mapped_column(AnyText)
    to: Mapped[str] = mapped_column(AnyText)
    message: Mapped[dict[str, Any]] = mapped_column(Json)
    state: Mapped[str] = mapped_column(AnyText)
    attempts: Mapped[int] = mapped_column(sa.Integer)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    problem: Mapped[str] = mapped_column(AnyText)


class Shift(Versioned, Base):
    """Somebody on call from `begins_at` until `ends_at`; of those on call at once the lowest `tier` is called first.

    With a `level` only while a national warning of that level, or a graver one, is in force.
    """

    __tablename__ = "oncall_shifts"
    __table_args__ = (sa.Index(None, "ends_at", "tier"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    person: Mapped[str] = mapped_column(AnyText)
    address: Mapped[str] = mapped_column(AnyText)
    tier: Mapped[int] = mapped_column(sa.Integer)
    begins_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    level: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))
    made_by: Mapped[str] = mapped_column(AnyText)


class Page(Base):
    """A call to whoever is on call, until somebody acknowledges it. `tier` is the highest called so far, -1 nobody yet."""

    __tablename__ = "pages"
    __table_args__ = (sa.Index(None, "acknowledged_at", "next_at"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    outbox_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("outbox.id"), unique=True)
    tier: Mapped[int] = mapped_column(sa.Integer)
    called: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by: Mapped[str] = mapped_column(AnyText)


class NewsRead(Base):
    """How far a person has read the news on screen."""

    __tablename__ = "news_read"

    user_id: Mapped[str] = mapped_column(AnyText, primary_key=True)
    last_id: Mapped[int] = mapped_column(sa.BigInteger)
