"""The tables of drills. A joint drill's `agency` is '' (the whole city); its agencies are its parties.

`Drill.scenario` is the scenario as it was when the drill was planned; a file that changes later changes nothing. How far its lines are
sent is kept in `sending`, `sent` (lines, in the order of the timeline) and the parties, without a new version: it is no person's
decision. The process `holder` sends until `held_until`, and another takes over when that has passed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from respond.cases.models import CaseColumns


class Drill(CaseColumns, Base):
    """A drill. `score` is empty before it is scored; `findings` are written when it is closed; `problem` is why sending broke off."""

    __tablename__ = "drills"

    title: Mapped[str] = mapped_column(AnyText)
    joint: Mapped[bool] = mapped_column(sa.Boolean)
    scenario_id: Mapped[str] = mapped_column(AnyText)
    scenario: Mapped[dict[str, Any]] = mapped_column(Json)
    planned_for: Mapped[datetime | None] = mapped_column(UtcDateTime)
    notice: Mapped[str] = mapped_column(AnyText)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sending: Mapped[str] = mapped_column(AnyText, index=True)
    problem: Mapped[str] = mapped_column(AnyText)
    holder: Mapped[str] = mapped_column(AnyText)
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sent: Mapped[int] = mapped_column(sa.Integer)
    score: Mapped[dict[str, Any]] = mapped_column(Json)
    findings: Mapped[str] = mapped_column(AnyText)


class Party(Base):
    """An agency in a drill: its part of the scenario (`place`), its notice with the receipt, how many of its lines were sent."""

    __tablename__ = "drill_parties"
    __table_args__ = (sa.UniqueConstraint("drill", "agency"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    drill: Mapped[str] = mapped_column(AnyText)
    agency: Mapped[str] = mapped_column(AnyText, index=True)
    place: Mapped[int] = mapped_column(sa.Integer)
    lines: Mapped[int] = mapped_column(sa.Integer)
    sent: Mapped[int] = mapped_column(sa.Integer)
    first_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    noticed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by: Mapped[str] = mapped_column(AnyText)
