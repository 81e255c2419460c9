"""The tables of investigations. Findings and custody entries are never changed or removed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from respond.cases.models import CaseColumns


class Investigation(CaseColumns, Base):
    """An investigation of the incident `about` names. `findings` are the newest, `versions` how often they were written.

    `evidence` counts the things taken; they are numbered from 1.
    """

    __tablename__ = "investigations"
    __table_args__ = (sa.Index(None, "about"),)

    about: Mapped[str] = mapped_column(AnyText)
    findings: Mapped[dict[str, Any]] = mapped_column(Json)
    versions: Mapped[int] = mapped_column(sa.Integer)
    evidence: Mapped[int] = mapped_column(sa.Integer)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.type_coerce(cls.about, AnyText())


class Findings(Base):
    """What was found out so far; `sha256` is that of `content`, the JSON text exactly as it was hashed."""

    __tablename__ = "investigation_findings"
    __table_args__ = (sa.UniqueConstraint("investigation_id", "number"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    investigation_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("investigations.id"))
    number: Mapped[int] = mapped_column(sa.Integer)
    content: Mapped[str] = mapped_column(AnyText)
    sha256: Mapped[str] = mapped_column(AnyText)
    written_at: Mapped[datetime] = mapped_column(UtcDateTime)
    written_by: Mapped[str] = mapped_column(AnyText)


class Custody(Base):
    """One link of the chain of custody: `holder` has thing `item` from `at` on. `event` is taken or handed_over.

    `hash` covers the link and the one before it (`service.link_hash`); `intact` says whether `evidence_sha256` was that of the taking.
    """

    __tablename__ = "investigation_custody"
    __table_args__ = (sa.UniqueConstraint("investigation_id", "number"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    investigation_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("investigations.id"))
    number: Mapped[int] = mapped_column(sa.Integer)
    item: Mapped[int] = mapped_column(sa.Integer)
    event: Mapped[str] = mapped_column(AnyText)
    description: Mapped[str] = mapped_column(AnyText)
    holder: Mapped[str] = mapped_column(AnyText)
    place: Mapped[str] = mapped_column(AnyText)
    evidence_sha256: Mapped[str] = mapped_column(AnyText)
    intact: Mapped[bool] = mapped_column(sa.Boolean)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_by: Mapped[str] = mapped_column(AnyText)
    prev_hash: Mapped[str] = mapped_column(AnyText)
    hash: Mapped[str] = mapped_column(AnyText)
