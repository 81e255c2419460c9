"""The rows of identity: people, their sessions, machines' keys, and failed attempts.

Invariants: no secret is stored, only its hash. Users and keys are ended (`disabled_at`, `revoked_at`), never deleted, so that the audit
trail's names keep their meaning; sessions and failed attempts are passing and are deleted when long over.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, UtcDateTime


class User(Base):
    """A person who may log in. `roles` are words of `Role` joined by commas; `agency` is '' for people of the centre itself."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text, unique=True)
    password_hash: Mapped[str] = mapped_column(sa.Text)
    roles: Mapped[str] = mapped_column(sa.Text)
    agency: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginSession(Base):
    """A person's session: what its cookie's SHA-256 is, and until when it holds."""

    __tablename__ = "login_sessions"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.Text, unique=True)
    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    peer: Mapped[str] = mapped_column(sa.Text)
    user_agent: Mapped[str] = mapped_column(AnyText)


class ApiKey(Base):
    """A machine's identity, shown by a key or by a certificate. `actions` are words of `Action` joined by commas; `agency` '' reaches all.

    Of a key there is `secret_hash` ('' of a certificate); of a certificate its SHA-256 (`certificate`, hex of the DER) and `subject`.
    `centre` is the number of the linked centre it belongs to, or ''.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    name: Mapped[str] = mapped_column(AnyText)
    secret_hash: Mapped[str] = mapped_column(sa.Text)
    agency: Mapped[str] = mapped_column(sa.Text, index=True)
    source: Mapped[str] = mapped_column(sa.Text)
    actions: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(sa.Text)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    centre: Mapped[str] = mapped_column(sa.Text, default="", server_default=sa.text("''"), index=True)
    subject: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))
    certificate: Mapped[str | None] = mapped_column(sa.Text, unique=True, index=True)


class FailedAttempts(Base):
    """Attempts to log in that failed of late, by `subject`: a digest of a user name, or of an address."""

    __tablename__ = "failed_attempts"

    subject: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    failures: Mapped[int] = mapped_column(sa.Integer)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
