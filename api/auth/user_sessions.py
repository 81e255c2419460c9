"""The sessions of one person that hold now: as they are listed, and ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.auth.sessions import Rules, is_live
from api.auth.tables import LoginSession, User
from core.database import now
from core.errors import NotFound
from respond import audit

_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Whale/", "Whale"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_PROGRAM: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")


class SessionOut(BaseModel):
    """A session that holds. `device` is what its browser says it is, `last_seen_at` is to the minute."""

    id: str
    current: bool = Field(description="The session of this very request")
    device: str
    peer: str
    method: str = Field(description="password or oidc")
    second_factor: bool
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class Sessions(BaseModel):
    """The sessions of one person that hold now, the last used first."""

    items: list[SessionOut]


def listed(session: Session, user_id: str, rules: Rules, *, current: str = "") -> list[SessionOut]:
    """The sessions of the user that hold now, the last used first."""
    at = now(session)
    still_open = (LoginSession.user_id == user_id, LoginSession.revoked_at.is_(None), LoginSession.expires_at > at)
    open_ones = sa.select(LoginSession).where(*still_open)
    rows = [row for row in session.scalars(open_ones) if is_live(row, at, rules)]
    shown = [_shown(row, current) for row in rows]
    return sorted(shown, key=lambda one: (one.current, one.last_seen_at), reverse=True)


def end(session: Session, user: User, session_id: str, *, actor: str) -> None:
    """End one session of the user; ending it twice changes nothing. NotFound when the user has none such."""
    row = session.get(LoginSession, session_id, with_for_update=True)
    if row is None or row.user_id != user.id:
        raise NotFound("there is no such session")
    if row.revoked_at is None:
        row.revoked_at = now(session)
        audit.record(session, actor, "session.ended", f"user/{user.name}", {"session": row.id})


def device_name(user_agent: str) -> str:
    """What people call the browser and system of a `User-Agent`, such as "Firefox, Windows"; a program by its own name."""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if browser:
        return f"{browser}, {system}" if system else browser
    program = _PROGRAM.match(user_agent)
    return program[0] if program else "?"


def _first(known: Sequence[tuple[str, str]], user_agent: str) -> str:
    return next((name for mark, name in known if mark in user_agent), "")


def _shown(row: LoginSession, current: str) -> SessionOut:
    return SessionOut(
        id=row.id,
        current=row.id == current,
        device=device_name(row.user_agent),
        peer=row.peer,
        method=row.method,
        second_factor=row.second_factor,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at or row.created_at,
        expires_at=row.expires_at,
    )
