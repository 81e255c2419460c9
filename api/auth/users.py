"""People: making and changing their accounts. Every change writes an audit row in the same transaction."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth import passwords
from api.auth.tables import LoginSession, LoginStep, User
from core.crypto import hash_password, verify_password
from core.database import now
from core.errors import Invalid, NotFound
from core.identity_settings import SHORTEST_PASSWORD
from core.permissions import parse_roles
from respond import audit

_NAME: Final = re.compile(r"[a-z0-9가-힣][a-z0-9가-힣_.@-]{0,63}")


def plain_name(typed: str) -> str:
    """The spelling under which a user name is kept: without case and surrounding blanks."""
    return typed.strip().casefold()


def find_user(session: Session, name: str) -> User | None:
    """The user called `name`, disabled or not."""
    return session.scalar(sa.select(User).where(User.name == plain_name(name)))


def known_actor(session: Session, name: str) -> str:
    """How the trail names the user called `name`; Invalid when there is none who may log in."""
    user = find_user(session, name)
    if user is None or user.disabled_at is not None:
        raise Invalid(f"there is no user {name!r}")
    return f"user:{user.name}"


def list_users(session: Session) -> Sequence[User]:
    """Every user, by name."""
    return session.scalars(sa.select(User).order_by(User.name)).all()


def ensure_user(
    session: Session,
    name: str,
    password: str,
    roles: Iterable[str],
    agency: str = "",
    *,
    actor: str = "system:setup",
    shortest: int = SHORTEST_PASSWORD,
) -> User:
    """Make the user, or bring an existing one to this password, these roles and this agency; nothing is written when all is so already.

    A new password has `shortest` characters at least and ends the user's sessions. Invalid when the name, password, roles or agency cannot
    be accepted.
    """
    name = checked_name(name)
    words = ",".join(parse_roles(roles, agency))
    user = find_user(session, name)
    if user is None:
        passwords.check(password, name, shortest)
        return make_user(session, name, words, agency, actor, password_hash=hash_password(password))
    changed = {
        "password": not verify_password(user.password_hash, password),
        "roles": user.roles != words,
        "agency": user.agency != agency,
        "enabled": user.disabled_at is not None,
    }
    if any(changed.values()):
        if changed["password"]:
            passwords.check(password, name, shortest)
            set_password(session, user, password)
        user.roles, user.agency, user.disabled_at, user.version = words, agency, None, user.version + 1
        detail = {"roles": words, "agency": agency, "changed": [part for part, differs in changed.items() if differs]}
        audit.record(session, actor, "user.changed", f"user/{name}", detail)
    return user


def set_password(session: Session, user: User, password: str, *, temporary: bool = False, keep: str = "") -> None:
    """Give the user this password, which was checked; every session ends but `keep`. A temporary one is changed at the first log-in."""
    user.password_hash, user.password_changed_at = hash_password(password), now(session)
    user.must_change_password = temporary
    end_sessions(session, user, keep=keep)


def disable_user(session: Session, name: str, *, actor: str) -> None:
    """Shut a user out at once, sessions included. NotFound when there is none."""
    user = find_user(session, name)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    if user.disabled_at is None:
        user.disabled_at, user.version = now(session), user.version + 1
        end_sessions(session, user)
        audit.record(session, actor, "user.disabled", f"user/{user.name}", {})


def end_sessions(session: Session, user: User, *, keep: str = "") -> int:
    """Revoke every session of `user` but `keep`, and what is half open; gives how many they were."""
    still_open = (LoginSession.user_id == user.id) & LoginSession.revoked_at.is_(None) & (LoginSession.id != keep)
    ended = session.execute(sa.update(LoginSession).where(still_open).values(revoked_at=now(session)).returning(LoginSession.id)).all()
    session.execute(sa.delete(LoginStep).where(LoginStep.user_id == user.id))
    return len(ended)


def checked_name(typed: str) -> str:
    """The spelling under which a new name is kept; Invalid when it cannot be one."""
    name = plain_name(typed)
    if not _NAME.fullmatch(name):
        raise Invalid("a user name has 1 to 64 letters, digits or . _ @ -")
    return name


def make_user(
    session: Session, name: str, roles: str, agency: str, actor: str, *, password_hash: str = "", subject: str | None = None
) -> User:
    """A new account; without a password nobody logs in to it by one."""
    at = now(session)
    user = User(
        id=uuid.uuid4().hex,
        name=name,
        password_hash=password_hash,
        roles=roles,
        agency=agency,
        created_at=at,
        password_changed_at=at,
        disabled_at=None,
        version=1,
        must_change_password=False,
        totp_secret=None,
        totp_confirmed_at=None,
        totp_last_step=0,
        subject=subject,
        last_login_at=None,
    )
    session.add(user)
    session.flush()
    audit.record(session, actor, "user.created", f"user/{name}", {"roles": roles, "agency": agency})
    return user
