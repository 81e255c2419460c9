"""The tables of linked centres: the register, how each link stood when, who watches whom, and alerts on their way.

- What arrives (`last_seen_at`, `link`) changes no case's version: that counts what people decided.
- Rows of `CentreLink` and `Delegation` are history and are never removed. A delegation holds in [since, until); those of one agency never
  overlap (`respond.centres.delegations`).
- An alert keeps its content until it is on the bus; after that its id and hash, which make a replay change nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from core.versions import Versioned
from respond.cases.models import CaseColumns


class LinkedCentre(CaseColumns, Base):
    """A centre that the head of `agency` operates. `name` is its short name for machines, distinct and never changed.

    `linked_since` is when it was last let in, `last_seen_at` when a machine of it last called, `link` how the link stands: up, late, down,
    off (not let in), or '' before the first call.
    """

    __tablename__ = "linked_centres"

    name: Mapped[str] = mapped_column(AnyText, unique=True)
    name_ko: Mapped[str] = mapped_column(AnyText)
    name_en: Mapped[str] = mapped_column(AnyText)
    contact: Mapped[str] = mapped_column(AnyText)
    link: Mapped[str] = mapped_column(AnyText)
    linked_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CentreLink(Base):
    """From `since` on, until the next row of the same centre (its number), the link stood at `status`."""

    __tablename__ = "centre_links"
    __table_args__ = (sa.Index(None, "centre", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    centre: Mapped[str] = mapped_column(AnyText)
    status: Mapped[str] = mapped_column(AnyText)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Delegation(Versioned, Base):
    """`agency` is watched by `centre` (its number) in [since, until); `until` None: without end. `ended_by` is '' while nobody ended it."""

    __tablename__ = "delegations"
    __table_args__ = (sa.Index(None, "agency", "since"), sa.Index(None, "centre"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    agency: Mapped[str] = mapped_column(AnyText)
    centre: Mapped[str] = mapped_column(AnyText)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(AnyText)
    made_by: Mapped[str] = mapped_column(AnyText)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_by: Mapped[str] = mapped_column(AnyText)
    ended_reason: Mapped[str] = mapped_column(AnyText)


class CentreAlert(Base):
    """An alert of a linked centre (its number), under the id that one gave it. `position` is its place on the topic, once it has one."""

    __tablename__ = "centre_alerts"
    __table_args__ = (sa.UniqueConstraint("centre", "external_id"), sa.Index(None, "sent_at", "id"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    centre: Mapped[str] = mapped_column(AnyText)
    external_id: Mapped[str] = mapped_column(AnyText)
    agency: Mapped[str] = mapped_column(AnyText)
    sha256: Mapped[str] = mapped_column(sa.Text)
    content: Mapped[dict[str, Any] | None] = mapped_column(Json)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    position: Mapped[int | None] = mapped_column(sa.BigInteger, unique=True)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AlertSequence(Base):
    """The last position given to an alert, in the only `epoch` there is. The epoch is of this database: a new one begins a new order."""

    __tablename__ = "alert_sequence"

    epoch: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    last: Mapped[int] = mapped_column(sa.BigInteger)
