"""The tables every kind of case shares, and the columns every case has.

- `number` (`RPT-2026-000007`, the year that of Seoul) is the name people use: given once, never changed or given again.
- `version` counts changes and is the ETag; the first is 1.
- `CaseEvent` is a case's history for people: one row for each change, never changed or removed. `Audit` tells the same to an auditor.
- `CaseClock` is a time somebody waits for; `basis` says who set it (`respond.cases.clocks`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime


class CaseColumns:
    """The columns of every case. `agency` is the one concerned; '' when the whole city is."""

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    number: Mapped[str] = mapped_column(AnyText, unique=True)
    agency: Mapped[str] = mapped_column(AnyText, index=True)
    state: Mapped[str] = mapped_column(AnyText, index=True)
    version: Mapped[int] = mapped_column(sa.Integer)
    exercise: Mapped[bool] = mapped_column(sa.Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(AnyText)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str] | None:
        """What names the incident a case is about, with `incident/` or without ('' for none); None: this kind is about none."""
        return None


class CaseCounter(Base):
    """The last number given to a kind of case in a year (of Seoul)."""

    __tablename__ = "case_counters"

    prefix: Mapped[str] = mapped_column(AnyText, primary_key=True)
    year: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(sa.Integer)


class CaseEvent(Base):
    """One change of a case. `object` is `<kind>/<number>`; `data` what the actor gave with it."""

    __tablename__ = "case_events"
    __table_args__ = (sa.Index(None, "object", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    object: Mapped[str] = mapped_column(AnyText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(AnyText)
    action: Mapped[str] = mapped_column(AnyText)
    before: Mapped[str] = mapped_column(AnyText)
    after: Mapped[str] = mapped_column(AnyText)
    version: Mapped[int] = mapped_column(sa.Integer)
    reason: Mapped[str] = mapped_column(AnyText)
    data: Mapped[dict[str, Any]] = mapped_column(Json)


class CaseClock(Base):
    """A time something waits for. `due_at` None: the law says "without delay" and nobody set a target."""

    __tablename__ = "case_clocks"
    __table_args__ = (sa.UniqueConstraint("object", "name"), sa.Index(None, "stopped_at", "due_at"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    object: Mapped[str] = mapped_column(AnyText)
    agency: Mapped[str] = mapped_column(AnyText)
    name: Mapped[str] = mapped_column(AnyText)
    basis: Mapped[str] = mapped_column(AnyText)
    source: Mapped[str] = mapped_column(AnyText)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Outgoing(Base):
    """Something people or machines are to be told; written in the transaction it tells of (`respond.outbox`)."""

    __tablename__ = "outbox"
    __table_args__ = (sa.Index(None, "handled_at", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(AnyText)
    object: Mapped[str] = mapped_column(AnyText)
    agency: Mapped[str] = mapped_column(AnyText)
    severity: Mapped[str] = mapped_column(AnyText)
    exercise: Mapped[bool] = mapped_column(sa.Boolean)
    data: Mapped[dict[str, Any]] = mapped_column(Json)
    handled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
