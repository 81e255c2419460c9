"""The table of requests. What an agency answers is the history's; the request keeps the last answer for lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, UtcDateTime
from respond.cases.models import CaseColumns


class Request(CaseColumns, Base):
    """Something the Mayor asks an agency, or a provider (`provider`, then `agency` is '') for.

    `about` names the case it came from (`incident/INC-2026-000001`) or is ''. `items` are what is asked for, one text each.
    """

    __tablename__ = "requests"
    __table_args__ = (sa.Index(None, "about"),)

    article: Mapped[str] = mapped_column(AnyText)
    provider: Mapped[str] = mapped_column(AnyText)
    about: Mapped[str] = mapped_column(AnyText)
    title: Mapped[str] = mapped_column(AnyText)
    purpose: Mapped[str] = mapped_column(AnyText)
    items: Mapped[list[str]] = mapped_column(Json)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reply: Mapped[dict[str, Any]] = mapped_column(Json)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.type_coerce(cls.about, AnyText())
