"""The tables of rule drafts."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, UtcDateTime
from respond.cases.models import CaseColumns


class RuleDraft(CaseColumns, Base):
    """A text of Sigma rules somebody writes. It concerns the whole city (`agency` is '').

    `title` and `rule_ids` are those of its rules as far as they can be read; `authors` are all who wrote it; `origin` names what it came
    from (`rule/<id>`, `hunt/<id>`, `incident/<number>`), or is ''.
    """

    __tablename__ = "rule_drafts"

    title: Mapped[str] = mapped_column(AnyText)
    text: Mapped[str] = mapped_column(AnyText)
    origin: Mapped[str] = mapped_column(AnyText)
    rule_ids: Mapped[list[str]] = mapped_column(Json)
    authors: Mapped[list[str]] = mapped_column(Json)
    approved_by: Mapped[str] = mapped_column(AnyText)


class RuleDraftText(Base):
    """What a draft said from `version` (of the case) on; one row for each change of the text, never changed or removed."""

    __tablename__ = "rule_draft_texts"

    draft: Mapped[str] = mapped_column(AnyText, primary_key=True)
    version: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(AnyText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(AnyText)
