"""Sessions of people: logging in, recognising the cookie, logging out.

A session is known by a random token that only the browser holds; the database has its SHA-256. It ends at its expiry, when it is
revoked, or when its user is disabled, whichever is first, with the next request.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth import lockout
from api.auth.tables import LoginSession, User
from api.auth.users import LONGEST_PASSWORD, end_sessions, find_user, plain_name, principal_of
from core import metrics
from core.crypto import digest, hash_password, is_outdated, token, verify_password
from core.database import Database, now
from core.errors import TooMany, Unauthenticated
from core.permissions import Principal
from respond import audit

_KEPT_AFTER_END: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session. `token` goes into the cookie and is nowhere else."""

    token: str
    principal: Principal
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """What someone who wants to log in sent. `peer` is the address they come from."""

    name: str
    password: str
    peer: str
    user_agent: str


def log_in(database: Database, attempt: Attempt, lifetime: timedelta) -> Opened:
    """Open a session. Blocks for some tens of milliseconds.

    Unauthenticated when name and password do not fit, TooMany when the name or the address has to wait; neither tells whether the user
    exists.
    """
    name, address = lockout.of_name(plain_name(attempt.name)), lockout.of_address(attempt.peer)
    try:
        with database.session() as session:
            lockout.count_attempt(session, (name, address))
    except TooMany:
        metrics.LOGINS.labels("locked").inc()
        raise
    with database.session(readonly=True) as session:
        user = find_user(session, attempt.name)
    usable = user is not None and user.disabled_at is None and len(attempt.password) <= LONGEST_PASSWORD
    right = verify_password(user.password_hash if user and usable else None, attempt.password[:LONGEST_PASSWORD])
    if user is None or not right:
        metrics.LOGINS.labels("failed").inc()
        with database.session() as session:
            audit.record(session, "anonymous", "login.failed", f"user/{user.name}" if user else "user/?", {"peer": attempt.peer})
        raise Unauthenticated("the name or the password is wrong")
    with database.session() as session:
        lockout.forgive(session, name, address)
        opened = _open(session, user.id, attempt, lifetime)
    metrics.LOGINS.labels("ok").inc()
    return opened


def log_out(database: Database, principal: Principal) -> None:
    """End the caller's session."""
    with database.session() as session:
        row = session.get(LoginSession, principal.session)
        if row is not None and row.revoked_at is None:
            row.revoked_at = now(session)
            audit.record(session, principal.actor, "logout", f"user/{principal.name}", {"session": row.id})


def end_all(database: Database, principal: Principal) -> None:
    """End every session of the caller, on every device."""
    with database.session() as session:
        end_sessions(session, session.get_one(User, principal.id))
        audit.record(session, principal.actor, "logout.everywhere", f"user/{principal.name}", {})


def by_token(database: Database, cookie: str) -> Principal | None:
    """Whose session `cookie` is; None when it is of none, or of one that ended."""
    return _current(database, LoginSession.token_hash == digest(cookie))


def still_valid(database: Database, principal: Principal) -> Principal | None:
    """The same person as they are now, for a page that stays open; None when the session ended."""
    return _current(database, LoginSession.id == principal.session)


def _current(database: Database, which: sa.ColumnElement[bool]) -> Principal | None:
    query = sa.select(User, LoginSession).join(User, User.id == LoginSession.user_id).where(which, LoginSession.revoked_at.is_(None))
    with database.session(readonly=True) as session:
        found = session.execute(query).one_or_none()
        if found is None:
            return None
        user, row = found
        if row.expires_at <= now(session) or user.disabled_at is not None:
            return None
        return principal_of(user, row.id)


def _open(session: Session, user_id: str, attempt: Attempt, lifetime: timedelta) -> Opened:
    at = now(session)
    user = session.get_one(User, user_id)
    if is_outdated(user.password_hash):
        user.password_hash = hash_password(attempt.password)
    secret = token()
    row = LoginSession(
        id=uuid.uuid4().hex,
        token_hash=digest(secret),
        user_id=user.id,
        created_at=at,
        expires_at=at + lifetime,
        revoked_at=None,
        peer=attempt.peer[:64],
        user_agent=attempt.user_agent[:300],
    )
    session.add(row)
    session.execute(sa.delete(LoginSession).where(LoginSession.expires_at < at - _KEPT_AFTER_END))
    principal = principal_of(user, row.id)
    audit.record(session, principal.actor, "login", f"user/{user.name}", {"peer": attempt.peer, "session": row.id})
    return Opened(secret, principal, row.expires_at)
