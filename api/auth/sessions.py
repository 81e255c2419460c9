"""Sessions of people: logging in, recognising the cookie, logging out.

A session is known by a random token that only the browser holds; the database has its SHA-256. It ends at its expiry, when it was not used
for a while, when it is revoked, or when its user is disabled, whichever is first, with the next request. What a person must do first (a
password that an administrator gave, a second factor the role must have) is `due`, and grants nothing else.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth import lockout, second_factor, steps
from api.auth.passwords import LONGEST_PASSWORD, TEMPORARY_FOR
from api.auth.steps import HalfOpen, NotLetIn
from api.auth.tables import LoginSession, User
from api.auth.users import end_sessions, find_user, plain_name
from core import metrics
from core.config import ApiSettings
from core.crypto import digest, hash_password, is_outdated, token, verify_password
from core.database import Database, now
from core.errors import StoreUnavailable, TooMany, Unauthenticated
from core.permissions import Action, Principal, Reach, Role, grants_of_roles
from core.sealing import Sealer
from respond import audit

_KEPT_AFTER_END: Final = timedelta(days=30)
_USE_NOTED_EVERY: Final = timedelta(minutes=1)
_NOTHING: Final[Mapping[Action, Reach]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rules:
    """How sessions live. `password_users` are the only names that log in by password; None: whoever has one."""

    lifetime: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(hours=1)
    second_factor_roles: frozenset[Role] = frozenset()
    password_users: Collection[str] | None = None

    @classmethod
    def of(cls, settings: ApiSettings) -> Rules:
        """Those of the settings."""
        identity = settings.identity
        only = identity.oidc.password_users if identity.oidc else ()
        return cls(
            timedelta(hours=settings.session_hours),
            timedelta(minutes=identity.idle_minutes),
            frozenset(identity.second_factor_roles),
            frozenset(plain_name(one) for one in only) or None,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session. `token` goes into the cookie and is nowhere else."""

    token: str
    principal: Principal
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """Where somebody comes from: the address, and what their browser says it is."""

    peer: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What someone who wants to log in sent. `peer` is the address they come from."""

    name: str
    password: str
    peer: str
    user_agent: str

    @property
    def device(self) -> Device:
        """Where it came from."""
        return Device(self.peer, self.user_agent)


def log_in(database: Database, attempt: Attempt, rules: Rules) -> Opened | HalfOpen:
    """Open a session, or half of one where a code is needed besides. Blocks for some tens of milliseconds.

    Unauthenticated when name and password do not fit, TooMany when the name or the address has to wait; neither tells whether the user
    exists.
    """
    name, address = lockout.of_name(plain_name(attempt.name)), lockout.of_address(attempt.peer)
    _count(database, name, address)
    with database.session(readonly=True) as session:
        user = find_user(session, attempt.name)
        usable = user is not None and len(attempt.password) <= LONGEST_PASSWORD and _may_use_password(user, rules, now(session))
    right = verify_password((user.password_hash or None) if user and usable else None, attempt.password[:LONGEST_PASSWORD])
    if user is None or not right:
        _failed(database, "login.failed", user, attempt.peer)
        raise Unauthenticated("the name or the password is wrong")
    with database.session() as session:
        lockout.forgive(session, name, address)
        user = session.get_one(User, user.id)
        if is_outdated(user.password_hash):
            user.password_hash = hash_password(attempt.password)
        return enter(session, user, attempt.device, rules, "password")


def enter(session: Session, user: User, device: Device, rules: Rules, method: str, *, second: bool = False) -> Opened | HalfOpen:
    """Let in who showed a first factor, and with `second` a second one; halfway where our own is waited for."""
    if user.totp_confirmed_at is not None and not second:
        return steps.begin(session, "code", user.id, {"method": method})
    return _open(session, user, device, rules, method, second=second)


def finish(database: Database, cookie: str, code: str, device: Device, rules: Rules, sealer: Sealer) -> Opened:
    """Open the session that waits for a code: one of the app, or a recovery code.

    Unauthenticated when the code is wrong or was used before, NotLetIn when the first step is too long ago, TooMany when the account has to
    wait.
    """
    with database.session(readonly=True) as session:
        step = steps.find(session, "code", cookie)
    if step is None or step.user_id is None:
        raise NotLetIn("expired", "this log-in took too long or was finished: begin again with name and password")
    proof, address = lockout.of_proof(step.user_id), lockout.of_address(device.peer)
    _count(database, proof, address)
    with database.session() as session:
        user = session.get_one(User, step.user_id, with_for_update=True)
        shown = "" if user.disabled_at else second_factor.takes(session, user, code, sealer)
        if shown and steps.take(session, "code", cookie) is not None:
            lockout.forgive(session, proof, address)
            if shown == "recovery":
                audit.record(session, f"user:{user.name}", "recovery_code.used", f"user/{user.name}", {"peer": device.peer})
            return _open(session, user, device, rules, str(step.data["method"]), second=True)
    _failed(database, "login.code_failed", user, device.peer)
    raise Unauthenticated("this code is wrong, or was used before")


def log_out(database: Database, principal: Principal) -> str:
    """End the caller's session; gives by which method it was opened."""
    with database.session() as session:
        row = session.get(LoginSession, principal.session)
        if row is not None and row.revoked_at is None:
            row.revoked_at = now(session)
            audit.record(session, principal.actor, "logout", f"user/{principal.name}", {"session": row.id})
        return row.method if row is not None else ""


def end_all(database: Database, principal: Principal) -> None:
    """End every session of the caller, on every device."""
    with database.session() as session:
        end_sessions(session, session.get_one(User, principal.id))
        audit.record(session, principal.actor, "logout.everywhere", f"user/{principal.name}", {})


def by_token(database: Database, cookie: str, rules: Rules) -> Principal | None:
    """Whose session `cookie` is; None when it is of none, or of one that ended."""
    return _current(database, LoginSession.token_hash == digest(cookie), rules)


def still_valid(database: Database, principal: Principal, rules: Rules) -> Principal | None:
    """The same person as they are now, for a page that stays open; None when the session ended."""
    return _current(database, LoginSession.id == principal.session, rules)


def is_live(row: LoginSession, at: datetime, rules: Rules) -> bool:
    """Whether the session holds at this moment."""
    return row.revoked_at is None and row.expires_at > at and (row.last_seen_at or row.created_at) > at - rules.idle


def _current(database: Database, which: sa.ColumnElement[bool], rules: Rules) -> Principal | None:
    query = sa.select(User, LoginSession).join(User, User.id == LoginSession.user_id).where(which, LoginSession.revoked_at.is_(None))
    with database.session(readonly=True) as session:
        found = session.execute(query).one_or_none()
        at = now(session)
    if found is None:
        return None
    user, row = found
    if not is_live(row, at, rules) or user.disabled_at is not None:
        return None
    if (row.last_seen_at or row.created_at) < at - _USE_NOTED_EVERY:
        with suppress(StoreUnavailable), database.session() as session:  # the session is good even where its use cannot be noted
            session.execute(sa.update(LoginSession).where(LoginSession.id == row.id).values(last_seen_at=at))
    return _principal(user, row, rules)


def _may_use_password(user: User, rules: Rules, at: datetime) -> bool:
    if user.disabled_at is not None or (rules.password_users is not None and user.name not in rules.password_users):
        return False
    return not user.must_change_password or user.password_changed_at > at - TEMPORARY_FOR


def _count(database: Database, *subjects: lockout.Subject) -> None:
    try:
        with database.session() as session:
            lockout.count_attempt(session, subjects)
    except TooMany:
        metrics.LOGINS.labels("locked").inc()
        raise


def _failed(database: Database, action: str, user: User | None, peer: str) -> None:
    metrics.LOGINS.labels("failed").inc()
    with database.session() as session:
        audit.record(session, "anonymous", action, f"user/{user.name}" if user else "user/?", {"peer": peer})


def _open(session: Session, user: User, device: Device, rules: Rules, method: str, *, second: bool) -> Opened:
    at, secret = now(session), token()
    row = LoginSession(
        id=uuid.uuid4().hex,
        token_hash=digest(secret),
        user_id=user.id,
        created_at=at,
        expires_at=at + rules.lifetime,
        revoked_at=None,
        peer=device.peer[:64],
        user_agent=device.user_agent[:300],
        last_seen_at=at,
        method=method,
        second_factor=second,
    )
    session.add(row)
    user.last_login_at = at
    session.execute(sa.delete(LoginSession).where(LoginSession.expires_at < at - _KEPT_AFTER_END))
    told = {"peer": device.peer, "session": row.id, "method": method, "second_factor": second}
    audit.record(session, f"user:{user.name}", "login", f"user/{user.name}", told)
    metrics.LOGINS.labels("ok").inc()
    return Opened(secret, _principal(user, row, rules), row.expires_at)


def _principal(user: User, row: LoginSession, rules: Rules) -> Principal:
    """What `user` may do now, in this session."""
    roles = tuple(Role(word) for word in user.roles.split(","))
    due = ""
    if user.must_change_password and row.method == "password":
        due = "password"
    elif not row.second_factor and rules.second_factor_roles & set(roles):
        due = "second_factor"
    grants = _NOTHING if due else grants_of_roles(roles)
    return Principal("user", user.id, user.name, user.agency, grants, roles, session=row.id, due=due)
