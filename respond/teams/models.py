"""The tables of emergency teams. A team's `agency` is that of its accident, a member's the one it comes from ('' centre or outside).

The duty log only grows: no row of it is changed or removed.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, RowId, UtcDateTime
from respond.cases.models import CaseColumns


class Team(CaseColumns, Base):
    """A team for the accident `incident`. `severity` is the incident's when the team was asked for, `basis` why it is grave enough.

    `order` is the Mayor's order that formed it, `findings` what the review found; '' before.
    """

    __tablename__ = "teams"
    __table_args__ = (sa.Index(None, "incident"),)

    incident: Mapped[str] = mapped_column(AnyText)
    severity: Mapped[str] = mapped_column(AnyText)
    basis: Mapped[str] = mapped_column(AnyText)
    table_version: Mapped[str] = mapped_column(AnyText)
    order: Mapped[str] = mapped_column(AnyText)
    findings: Mapped[str] = mapped_column(AnyText)
    formed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    active_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stood_down_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.type_coerce(cls.incident, AnyText())


class Member(CaseColumns, Base):
    """One person on a team's roster. `account` is the user that acknowledges ('' somebody without one), `organisation` of an outsider."""

    __tablename__ = "team_members"
    __table_args__ = (sa.Index(None, "team"), sa.Index(None, "account"))

    team: Mapped[str] = mapped_column(AnyText)
    role: Mapped[str] = mapped_column(AnyText)
    name: Mapped[str] = mapped_column(AnyText)
    account: Mapped[str] = mapped_column(AnyText)
    organisation: Mapped[str] = mapped_column(AnyText)
    called_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.select(Team.incident).where(Team.number == cls.team).correlate(cls).scalar_subquery()


class DutyEntry(Base):
    """One line of a team's duty log. `entry` is the writer's own id, so that sending a line again does not write it twice."""

    __tablename__ = "team_log"
    __table_args__ = (sa.UniqueConstraint("team", "entry"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    team: Mapped[str] = mapped_column(AnyText)
    entry: Mapped[str] = mapped_column(AnyText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(AnyText)
    kind: Mapped[str] = mapped_column(AnyText)
    text: Mapped[str] = mapped_column(AnyText)
