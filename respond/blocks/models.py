"""The table of blocks."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, UtcDateTime
from respond.cases.models import CaseColumns


class Block(CaseColumns, Base):
    """Something firewalls of `agency` ('': of every agency) are to block until `expires_at`.

    `value` is an address, a network or a domain, in its one spelling; `about` names the case it came from, or is ''.
    """

    __tablename__ = "blocks"
    __table_args__ = (sa.Index(None, "state", "expires_at"),)

    kind: Mapped[str] = mapped_column(AnyText)
    value: Mapped[str] = mapped_column(AnyText)
    about: Mapped[str] = mapped_column(AnyText)
    why: Mapped[str] = mapped_column(AnyText)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    approved_by: Mapped[str] = mapped_column(AnyText)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.type_coerce(cls.about, AnyText())
