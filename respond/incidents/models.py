"""What people add to an incident: comments, tasks, files, and who watches it or may see it. The incident itself is in `respond.models`.

Nothing of it is removed, but that somebody watches or may see. Adding changes neither the incident's state nor its version.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from core.database import AnyText, Base, RowId, UtcDateTime
from core.versions import Versioned


class Part(StrEnum):
    """What somebody is to an incident. The words are stored."""

    WATCHER = "watcher"
    MEMBER = "member"


class _Added:
    """When, and by whom, something was added to which incident."""

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    author: Mapped[str] = mapped_column(AnyText)

    @declared_attr
    def incident_id(self) -> Mapped[int]:
        return mapped_column(RowId, sa.ForeignKey("incidents.id"), index=True)


class IncidentComment(_Added, Base):
    """What somebody has to say."""

    __tablename__ = "incident_comments"

    text: Mapped[str] = mapped_column(AnyText)


class IncidentTask(Versioned, _Added, Base):
    """Something to be done. `assignee` '' is nobody yet; `done_at` None: it is open."""

    __tablename__ = "incident_tasks"

    title: Mapped[str] = mapped_column(AnyText)
    assignee: Mapped[str] = mapped_column(AnyText)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_by: Mapped[str] = mapped_column(AnyText)


class IncidentAttachment(_Added, Base):
    """A file, byte for byte as it was given. `content` is read by nobody but whoever downloads it."""

    __tablename__ = "incident_attachments"

    name: Mapped[str] = mapped_column(AnyText)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    sha256: Mapped[str] = mapped_column(sa.Text)
    content: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)


class IncidentPerson(Base):
    """Somebody who watches an incident, or may see it while it is restricted. `person` is the actor, such as `user:lee`."""

    __tablename__ = "incident_people"

    incident_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("incidents.id"), primary_key=True)
    part: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    person: Mapped[str] = mapped_column(AnyText, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    added_by: Mapped[str] = mapped_column(AnyText)
