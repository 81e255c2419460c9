"""The tables of personal-information cases.

- A case's free texts are in `facts` and `findings`; they name kinds of data, systems and counts, never a data subject.
- A track is a case of its own (`PIC-2026-000001/notice`) with state, version and history. It is never removed: what is no longer required
  says so (`finding`, `why`).
- A letter is never changed: a new version is written. `sha256` is of both languages' text.
- An entry of the support log is never changed; `package` is what was given, exactly.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from respond.cases.models import CaseColumns


class PersonalCase(CaseColumns, Base):
    """Personal information that was, or may have been, divulged. `agency` is the controller; `about` an incident's number or ''.

    `possible_at` and `aware_at` are when the controller learned that it may have been, and that it was; `pack` the rules of that date.
    """

    __tablename__ = "personal_cases"
    __table_args__ = (sa.Index(None, "about"),)

    about: Mapped[str] = mapped_column(AnyText)
    title: Mapped[str] = mapped_column(AnyText)
    possible_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    aware_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pack: Mapped[str] = mapped_column(AnyText)
    facts: Mapped[dict[str, Any]] = mapped_column(Json)
    findings: Mapped[dict[str, Any]] = mapped_column(Json)
    determination: Mapped[dict[str, Any]] = mapped_column(Json)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.type_coerce(cls.about, AnyText())


class PersonalTrack(CaseColumns, Base):
    """One track of a case. `rules` are those of the pack that ask for it; `given` what its last steps were given (proofs).

    `finding` is whether it is required, as last evaluated: required, not_required or unknown.
    """

    __tablename__ = "personal_tracks"
    __table_args__ = (sa.Index(None, "case_number"),)

    case_number: Mapped[str] = mapped_column(AnyText)
    track: Mapped[str] = mapped_column(AnyText)
    finding: Mapped[str] = mapped_column(AnyText)
    rules: Mapped[list[str]] = mapped_column(Json)
    why: Mapped[dict[str, str]] = mapped_column(Json)
    given: Mapped[dict[str, Any]] = mapped_column(Json)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.select(PersonalCase.about).where(PersonalCase.number == cls.case_number).correlate(cls).scalar_subquery()


class PersonalLetter(Base):
    """One version of a letter, in both languages. `missing` are the items that were not known."""

    __tablename__ = "personal_letters"
    __table_args__ = (sa.UniqueConstraint("case_number", "kind", "version"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    case_number: Mapped[str] = mapped_column(AnyText)
    kind: Mapped[str] = mapped_column(AnyText)
    version: Mapped[int] = mapped_column(sa.Integer)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(AnyText)
    pack: Mapped[str] = mapped_column(AnyText)
    missing: Mapped[list[str]] = mapped_column(Json)
    text_ko: Mapped[str] = mapped_column(AnyText)
    text_en: Mapped[str] = mapped_column(AnyText)
    sha256: Mapped[str] = mapped_column(AnyText)


class PersonalSupport(Base):
    """Something the centre gave to the controller (article 19(4)). `package` is a zip, `package_sha256` '' when there is none."""

    __tablename__ = "personal_support"
    __table_args__ = (sa.Index(None, "case_number"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    case_number: Mapped[str] = mapped_column(AnyText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(AnyText)
    kind: Mapped[str] = mapped_column(AnyText)
    summary: Mapped[str] = mapped_column(AnyText)
    package_sha256: Mapped[str] = mapped_column(AnyText)
    package: Mapped[bytes | None] = mapped_column(sa.LargeBinary, deferred=True)
