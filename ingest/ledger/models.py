"""The tables of the intake ledger. Hours are UTC; `exercise` keeps the lines of drills apart; agency and source are cut at LONGEST.

- `Received` and `ReceivedPosition` change in one transaction: what was counted is known exactly, whatever is killed when.
- `LedgerEntry` rows are only ever added. The one with the greatest `revision` of an hour, agency, source and exercise holds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime

LONGEST: Final = 200
"""Characters of an agency's or source's name that are kept: an agency's own producer may write any."""


class Received(Base):
    """The lines that the messages of one partition brought of one source in one hour; `entered`: an entry tells of all of them."""

    __tablename__ = "intake_received"
    __table_args__ = (sa.Index(None, "entered", "hour"), sa.Index(None, "hour"))

    raw_epoch: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    raw_partition: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    agency: Mapped[str] = mapped_column(AnyText, primary_key=True)
    source: Mapped[str] = mapped_column(AnyText, primary_key=True)
    exercise: Mapped[bool] = mapped_column(sa.Boolean, primary_key=True)
    lines: Mapped[int] = mapped_column(sa.BigInteger)
    messages: Mapped[int] = mapped_column(sa.BigInteger)
    counted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    entered: Mapped[bool] = mapped_column(sa.Boolean)


class ReceivedPosition(Base):
    """What was counted of a partition: the messages from `first_offset` to before `next_offset`, but `missed` that were gone."""

    __tablename__ = "intake_positions"

    raw_epoch: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    raw_partition: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    first_offset: Mapped[int] = mapped_column(sa.BigInteger)
    next_offset: Mapped[int] = mapped_column(sa.BigInteger)
    missed: Mapped[int] = mapped_column(sa.BigInteger)


class LedgerEntry(Base):
    """One link of the chain. `holds` says that its four numbers agree."""

    __tablename__ = "intake_ledger"
    __table_args__ = (
        sa.UniqueConstraint("hour", "agency", "source", "exercise", "revision"),
        sa.Index(None, "agency", "seq"),
        sa.Index(None, "holds", "hour"),
    )

    seq: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    hour: Mapped[datetime] = mapped_column(UtcDateTime)
    agency: Mapped[str] = mapped_column(AnyText)
    source: Mapped[str] = mapped_column(AnyText)
    exercise: Mapped[bool] = mapped_column(sa.Boolean)
    revision: Mapped[int] = mapped_column(sa.Integer)
    received: Mapped[int] = mapped_column(sa.BigInteger)
    stored: Mapped[int] = mapped_column(sa.BigInteger)
    quarantined: Mapped[int] = mapped_column(sa.BigInteger)
    evaluated: Mapped[int] = mapped_column(sa.BigInteger)
    holds: Mapped[bool] = mapped_column(sa.Boolean)
    prev_hash: Mapped[str] = mapped_column(sa.Text)
    hash: Mapped[str] = mapped_column(sa.Text)


class LedgerCheck(Base):
    """What the last check of a kind (`recent`, `whole`) found: `report` is `checking.Report` as JSON."""

    __tablename__ = "intake_checks"

    kind: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    holds: Mapped[bool] = mapped_column(sa.Boolean)
    report: Mapped[Any] = mapped_column(Json)
