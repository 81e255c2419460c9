"""The rows of identity: people, their sessions and second factors, what is proposed for them, machines' keys, and failed attempts.

Invariants: no secret is stored, only its hash; that of a second factor, which has to be read again, is sealed (`core.sealing`). Users and
keys are ended (`disabled_at`, `revoked_at`), never deleted, so that the audit trail's names keep their meaning; sessions, half log-ins and
failed attempts are passing and are deleted when long over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from core.versions import Versioned


class User(Base):
    """A person who may log in. `roles` are words of `Role` joined by commas; `agency` is '' for people of the centre itself.

    `password_hash` is '' for who has no password. `totp_secret` counts from `totp_confirmed_at` on; `totp_last_step` is the time step of
    the last code taken. `subject` is the issuer and subject of who comes by OpenID Connect. `version` is the ETag.
    """

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text, unique=True)
    password_hash: Mapped[str] = mapped_column(sa.Text)
    roles: Mapped[str] = mapped_column(sa.Text)
    agency: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(sa.Integer, default=1, server_default=sa.text("1"))
    must_change_password: Mapped[bool] = mapped_column(sa.Boolean, default=False, server_default=sa.false())
    totp_secret: Mapped[str | None] = mapped_column(sa.Text)
    totp_confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    totp_last_step: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default=sa.text("0"))
    subject: Mapped[str | None] = mapped_column(AnyText, unique=True, index=True)
    last_login_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginSession(Base):
    """A person's session: what its cookie's SHA-256 is, and until when it holds.

    `method` is how one logged in (password, oidc), `second_factor` whether a second factor was shown besides, to us or to the provider.
    `last_seen_at` is to the minute.
    """

    __tablename__ = "login_sessions"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.Text, unique=True)
    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    peer: Mapped[str] = mapped_column(sa.Text)
    user_agent: Mapped[str] = mapped_column(AnyText)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    method: Mapped[str] = mapped_column(sa.Text, default="password", server_default=sa.text("'password'"))
    second_factor: Mapped[bool] = mapped_column(sa.Boolean, default=False, server_default=sa.false())


class LoginStep(Base):
    """A log-in that is half done, by the SHA-256 of the cookie that carries it; it is taken away when it is finished or over.

    `kind` code: the password of `user_id` was right, and a code is waited for. `kind` oidc: somebody was sent to the provider with what
    `data` holds; `user_id` is None.
    """

    __tablename__ = "login_steps"

    token_hash: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.Text)
    user_id: Mapped[str | None] = mapped_column(sa.ForeignKey("users.id"))
    data: Mapped[dict[str, Any]] = mapped_column(Json)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class RecoveryCode(Base):
    """A code that stands in once for the second factor, as a hash."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AccountChange(Base):
    """What somebody proposed for an account, and what became of it. `kind` is create, change or enable; `roles` as in `User`."""

    __tablename__ = "account_changes"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    user: Mapped[str] = mapped_column("user_name", sa.Text, index=True)
    kind: Mapped[str] = mapped_column(sa.Text)
    roles: Mapped[str] = mapped_column(sa.Text)
    agency: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(AnyText)
    state: Mapped[str] = mapped_column(sa.Text, index=True)
    version: Mapped[int] = mapped_column(sa.Integer)
    proposed_by: Mapped[str] = mapped_column(sa.Text)
    proposed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[str] = mapped_column(sa.Text)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decision: Mapped[str] = mapped_column(AnyText)


class ApiKey(Versioned, Base):
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
