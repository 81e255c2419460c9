"""The table of proposals of readiness. They are the whole centre's (`agency` '') and never an exercise."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, UtcDateTime
from respond.cases.models import CaseColumns


class Proposal(CaseColumns, Base):
    """One proposal. `rule` is the policy's rule that made it ('' to stand down), `about` the readiness a proposal to stand down is about.

    `evidence` is what the rule held by: `incidents`, at most 100 of the `total`, and the rule's own numbers. `asked` is the user asked to
    answer ('' every SOC lead), since `asked_at`; `passed_on` counts how often nobody answered.
    """

    __tablename__ = "readiness"

    direction: Mapped[str] = mapped_column(AnyText)
    level: Mapped[str] = mapped_column(AnyText)
    rule: Mapped[str] = mapped_column(AnyText)
    about: Mapped[str] = mapped_column(AnyText)
    evidence: Mapped[dict[str, Any]] = mapped_column(Json)
    table_version: Mapped[str] = mapped_column(AnyText)
    measures: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    asked: Mapped[str] = mapped_column(AnyText)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    passed_on: Mapped[int] = mapped_column(sa.Integer)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
