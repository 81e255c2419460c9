"""Files kept with a case as evidence: byte for byte as they were given, under their SHA-256, never opened, changed or removed.

A file is told in the case's history and in the trail by its hash and size, not by its name, and changes neither state nor version.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, undefer

from core.database import AnyText, Base, RowId, UtcDateTime, now
from core.errors import Conflict, Invalid, NotFound
from respond.cases import records
from respond.cases.canonical import sha256
from respond.cases.machine import Machine
from respond.cases.models import CaseColumns

MOST: Final = 200
"""Files one case has."""
LONGEST_NAME: Final = 200


class CaseFile(Base):
    """A file of the case `object` names (`duty/DTY-2026-000001`). `content` is read by nobody but whoever downloads it."""

    __tablename__ = "case_files"
    __table_args__ = (sa.UniqueConstraint("object", "name", "sha256"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    object: Mapped[str] = mapped_column(AnyText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    author: Mapped[str] = mapped_column(AnyText)
    name: Mapped[str] = mapped_column(AnyText)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    sha256: Mapped[str] = mapped_column(sa.Text)
    content: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)


def attach(session: Session, machine: Machine, case: CaseColumns, actor: str, name: str, content: bytes) -> CaseFile:
    """Keep a file with `case`, whose row the caller has locked. The same bytes under the same name are kept once."""
    name, object, hashed = checked_name(name), records.named(machine, case.number), sha256(content)  # noqa: A001 - the column's name
    kept = of_case(session, object)
    if known := next((one for one in kept if (one.name, one.sha256) == (name, hashed)), None):
        return known
    if len(kept) >= MOST:
        raise Conflict(f"{case.number} has {MOST} files already")
    row = CaseFile(object=object, at=now(session), author=actor, name=name, size=len(content), sha256=hashed, content=content)
    session.add(row)
    session.flush()
    records.note(session, machine, case, actor, "attach", {"file": row.id, "sha256": hashed, "size": row.size})
    return row


def checked_name(name: str) -> str:
    """A file's name without surrounding blanks; Invalid when it is none."""
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or any(ord(letter) < 32 or letter in "/\\\x7f" for letter in name):
        raise Invalid(f"a file's name has 1 to {LONGEST_NAME} characters, without slashes and control characters")
    return name


def of_case(session: Session, object: str) -> Sequence[CaseFile]:  # noqa: A002 - the column's name
    """The files of a case without their content, oldest first."""
    return session.scalars(sa.select(CaseFile).where(CaseFile.object == object).order_by(CaseFile.id)).all()


def find(session: Session, object: str, file_id: int) -> CaseFile:  # noqa: A002 - the column's name
    """A file with its content; NotFound when the case has none of that number."""
    query = sa.select(CaseFile).where(CaseFile.object == object, CaseFile.id == file_id)
    row = session.scalar(query.options(undefer(CaseFile.content)))
    if row is None:
        raise NotFound(f"{object} has no file {file_id}")
    return row
