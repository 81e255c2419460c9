"""People: making and changing their accounts. Every change writes an audit row in the same transaction."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth.tables import LoginSession, User
from core.crypto import hash_password, verify_password
from core.database import now
from core.errors import Invalid, NotFound
from core.permissions import Principal, Role, grants_of_roles, parse_roles
from respond import audit

SHORTEST_PASSWORD: Final = 10
LONGEST_PASSWORD: Final = 256
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
    return principal_of(user, "").actor


def list_users(session: Session) -> Sequence[User]:
    """Every user, by name."""
    return session.scalars(sa.select(User).order_by(User.name)).all()


def ensure_user(session: Session, name: str, password: str, roles: Iterable[str], agency: str = "", *, actor: str = "system:setup") -> User:
    """Make the user, or bring an existing one to this password, these roles and this agency; nothing is written when all is so already.

    A new password ends the user's sessions. Invalid when the name, password, roles or agency cannot be accepted.
    """
    name = plain_name(name)
    if not _NAME.fullmatch(name):
        raise Invalid("a user name has 1 to 64 letters, digits or . _ @ -")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Invalid(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    words = ",".join(parse_roles(roles, agency))
    user = find_user(session, name)
    if user is None:
        return _make(session, name, password, words, agency, actor)
    changed = {
        "password": not verify_password(user.password_hash, password),
        "roles": user.roles != words,
        "agency": user.agency != agency,
        "enabled": user.disabled_at is not None,
    }
    if any(changed.values()):
        user.roles, user.agency, user.disabled_at = words, agency, None
        if changed["password"]:
            user.password_hash, user.password_changed_at = hash_password(password), now(session)
            end_sessions(session, user)
        detail = {"roles": words, "agency": agency, "changed": [part for part, differs in changed.items() if differs]}
        audit.record(session, actor, "user.changed", f"user/{name}", detail)
    return user


def disable_user(session: Session, name: str, *, actor: str) -> None:
    """Shut a user out at once, sessions included. NotFound when there is none."""
    user = find_user(session, name)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    if user.disabled_at is None:
        user.disabled_at = now(session)
        end_sessions(session, user)
        audit.record(session, actor, "user.disabled", f"user/{user.name}", {})


def end_sessions(session: Session, user: User) -> None:
    """Revoke every session of `user`."""
    still_open = (LoginSession.user_id == user.id) & LoginSession.revoked_at.is_(None)
    session.execute(sa.update(LoginSession).where(still_open).values(revoked_at=now(session)))


def principal_of(user: User, session_id: str) -> Principal:
    """What `user` may do now, in the session `session_id`."""
    roles = tuple(Role(word) for word in user.roles.split(","))
    return Principal("user", user.id, user.name, user.agency, grants_of_roles(roles), roles, session=session_id)


def _make(session: Session, name: str, password: str, roles: str, agency: str, actor: str) -> User:
    at = now(session)
    user = User(
        id=uuid.uuid4().hex,
        name=name,
        password_hash=hash_password(password),
        roles=roles,
        agency=agency,
        created_at=at,
        password_changed_at=at,
        disabled_at=None,
    )
    session.add(user)
    session.flush()
    audit.record(session, actor, "user.created", f"user/{name}", {"roles": roles, "agency": agency})
    return user
