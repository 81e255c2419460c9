"""The tables of annual duties. A campaign is the whole city's (`agency` ''); a duty is an agency's, or ('') the centre's own.

What an agency ticked off, what was cited and what was found only grows. Files of a duty are `respond.cases.files`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, UtcDateTime
from respond.cases.models import CaseColumns


class Campaign(CaseColumns, Base):
    """One round of the duties of one `kind` (`machine.Kind`) in `year` (of Seoul).

    `standards` is the version of the standards an audit goes by, `scope` what is looked at, in words. `agencies` are those concerned, none:
    all. `subjects` is what is to be looked at (`policy.Subject`), as it was in the policy `policy_version` when the campaign started.
    """

    __tablename__ = "campaigns"
    __table_args__ = (sa.Index(None, "kind", "year"),)

    kind: Mapped[str] = mapped_column(AnyText)
    year: Mapped[int] = mapped_column(sa.Integer)
    title: Mapped[str] = mapped_column(AnyText)
    standards: Mapped[str] = mapped_column(AnyText)
    scope: Mapped[str] = mapped_column(AnyText)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    agencies: Mapped[list[str]] = mapped_column(Json)
    policy_version: Mapped[str] = mapped_column(AnyText)
    subjects: Mapped[list[dict[str, Any]]] = mapped_column(Json)


class Duty(CaseColumns, Base):
    """A campaign at one agency. `kind`, `year`, `title`, `standards` are the campaign's.

    - `subjects` is a list of `respond.checklists` that the agency ticks off.
    - `provenance` is the data already submitted that was used: `object`, `version`, `sha256`, `known`, `note`, `by`, `at`.
    - `findings`: `number` from 1, `subject`, `severity`, `finding`, `measure`, `request` ('' or the number of the draft made of it).
    - `result` is what came of it in words; `internal_audit` the body asked under article 25(2), or ''.
    """

    __tablename__ = "duties"
    __table_args__ = (sa.Index(None, "campaign"), sa.Index(None, "kind", "year"), sa.Index(None, "due_at"))

    campaign: Mapped[str] = mapped_column(AnyText)
    kind: Mapped[str] = mapped_column(AnyText)
    year: Mapped[int] = mapped_column(sa.Integer)
    title: Mapped[str] = mapped_column(AnyText)
    standards: Mapped[str] = mapped_column(AnyText)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    subjects: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    provenance: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    result: Mapped[str] = mapped_column(AnyText)
    internal_audit: Mapped[str] = mapped_column(AnyText)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    inspected_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    signed_off_by: Mapped[str] = mapped_column(AnyText)
