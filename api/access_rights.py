"""Whose rights a periodic review of access rights looks at: the accounts and keys of an agency as they are (decree, article 30(1)2).

No secret and no hash of one is in it.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth.tables import ApiKey, User
from respond.cases.canonical import canonical, instant_text

_PERSON = ("name", "roles", "created_at", "password_changed_at", "disabled_at")
_MACHINE = ("id", "name", "source", "actions", "created_by", "created_at", "expires_at", "revoked_at", "last_used_at")


def access_rights(session: Session, agency: str, at: datetime) -> bytes:
    """The accounts and keys of `agency` ('' the centre's own) at `at`, as canonical JSON in UTF-8, those that have ended among them."""
    people = session.scalars(sa.select(User).where(User.agency == agency).order_by(User.name)).all()
    keys = session.scalars(sa.select(ApiKey).where(ApiKey.agency == agency).order_by(ApiKey.id)).all()
    content = {
        "agency": agency,
        "at": instant_text(at),
        "accounts": [_plain(one, _PERSON) for one in people],
        "keys": [_plain(one, _MACHINE) for one in keys],
    }
    return canonical(content).encode()


def _plain(row: User | ApiKey, names: tuple[str, ...]) -> dict[str, str | None]:
    values = ((name, getattr(row, name)) for name in names)
    return {name: instant_text(value) if isinstance(value, datetime) else value for name, value in values}
