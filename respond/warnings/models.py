"""The tables of warnings. A warning is the whole city's (`agency` ''); a notice of it is an agency's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, UtcDateTime
from respond.cases.models import CaseColumns


class Warning(CaseColumns, Base):  # noqa: A001 - the ordinance's word
    """A national warning as its notice gives it: who issued it under which reference, its level and scope, from when until when.

    `agencies` are those concerned, none: all. `measures` is the centre's own list (`respond.checklists`), `table_version` the levels file's
    version it comes from. `ended_at` is when it was lifted, changed or ran out. `follows` is the warning whose level it changes, or ''.
    """

    __tablename__ = "warnings"

    issuer: Mapped[str] = mapped_column(AnyText)
    reference: Mapped[str] = mapped_column(AnyText)
    level: Mapped[str] = mapped_column(AnyText)
    title: Mapped[str] = mapped_column(AnyText)
    reach: Mapped[str] = mapped_column(AnyText)
    agencies: Mapped[list[str]] = mapped_column(Json)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    follows: Mapped[str] = mapped_column(AnyText)
    table_version: Mapped[str] = mapped_column(AnyText)
    measures: Mapped[list[dict[str, Any]]] = mapped_column(Json)


class Notice(CaseColumns, Base):
    """A warning at one agency: when it acknowledged, and its list of measures."""

    __tablename__ = "warning_notices"
    __table_args__ = (sa.Index(None, "warning"),)

    warning: Mapped[str] = mapped_column(AnyText)
    level: Mapped[str] = mapped_column(AnyText)
    table_version: Mapped[str] = mapped_column(AnyText)
    measures: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
