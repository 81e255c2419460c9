"""Log-ins that are half done: a cookie that says how far one got, and opens nothing.

It is no session: the gate does not know it. It holds for some minutes, its SHA-256 is what is stored, and it is finished once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth.tables import LoginStep
from core.crypto import digest, token
from core.database import now
from core.errors import DomainError

Kind = Literal["code", "oidc"]
HOLDS: Final = timedelta(minutes=10)


class NotLetIn(DomainError):
    """A log-in came to nothing. `code` is a word for the page: expired, refused, unknown, disabled, taken, or provider."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = {"provider": 503, "unknown": 403, "disabled": 403, "taken": 403}.get(code, 401)


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """A log-in that waits for its second step. `token` goes into the cookie and is nowhere else."""

    token: str


def begin(session: Session, kind: Kind, user_id: str | None, data: Mapping[str, Any]) -> HalfOpen:
    """Remember how far somebody got."""
    at, secret = now(session), token()
    session.execute(sa.delete(LoginStep).where(LoginStep.expires_at <= at))
    session.add(LoginStep(token_hash=digest(secret), kind=kind, user_id=user_id, data=dict(data), expires_at=at + HOLDS))
    return HalfOpen(secret)


def find(session: Session, kind: Kind, cookie: str) -> LoginStep | None:
    """What the cookie stands for; None when it is nothing, or over."""
    row = session.get(LoginStep, digest(cookie))
    return row if row is not None and row.kind == kind and row.expires_at > now(session) else None


def take(session: Session, kind: Kind, cookie: str) -> Mapping[str, Any] | None:
    """Take the step away, and give what it held; None when it was taken before, is over, or never was."""
    found = (LoginStep.token_hash == digest(cookie), LoginStep.kind == kind)
    taken = session.execute(sa.delete(LoginStep).where(*found).returning(LoginStep.data, LoginStep.expires_at)).one_or_none()
    if taken is None or taken[1] <= now(session):
        return None
    held: Mapping[str, Any] = taken[0]
    return held
