"""The tables of accident reports. What was submitted is a version, never changed or removed; the report's own `content` is the newest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from respond.cases.models import CaseColumns


class Report(CaseColumns, Base):
    """An accident report. `about` names its incident (`incident/INC-2026-000001`) or is ''.

    `receipt` is '' before it is received; `late_seconds` is how far past the centre's internal target it was submitted, 0 when it was not.
    """

    __tablename__ = "reports"
    __table_args__ = (sa.Index(None, "about"),)

    about: Mapped[str] = mapped_column(AnyText)
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    versions: Mapped[int] = mapped_column(sa.Integer)
    receipt: Mapped[str] = mapped_column(AnyText)
    submitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    late_seconds: Mapped[int] = mapped_column(sa.BigInteger)
    late_reason: Mapped[str] = mapped_column(AnyText)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.type_coerce(cls.about, AnyText())


class ReportVersion(Base):
    """What was submitted once: `kind` is first, followup or closing; `sha256` that of `content`, the JSON text exactly as it was hashed."""

    __tablename__ = "report_versions"
    __table_args__ = (sa.UniqueConstraint("report_id", "number"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    report_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("reports.id"))
    number: Mapped[int] = mapped_column(sa.Integer)
    kind: Mapped[str] = mapped_column(AnyText)
    content: Mapped[str] = mapped_column(AnyText)
    sha256: Mapped[str] = mapped_column(AnyText)
    submitted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    submitted_by: Mapped[str] = mapped_column(AnyText)
