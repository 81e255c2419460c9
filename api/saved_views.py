"""The views people keep of the list of incidents: a name, and the query that list is asked for with. Each is its owner's alone.

What a view shows is decided when it is opened, by what its owner may see then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from core.crypto import token
from core.database import AnyText, Base, UtcDateTime, exclusive, now
from core.errors import Conflict, NotFound
from core.versions import check_seen

MOST_VIEWS: Final = 100  # of one person


class SavedView(Base):
    """A view. `owner` is the actor (`user:lee`); `query` is a query string as `GET /v1/incidents` takes it, without `?`."""

    __tablename__ = "saved_views"
    __table_args__ = (sa.UniqueConstraint("owner", "name"),)

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    owner: Mapped[str] = mapped_column(AnyText)
    name: Mapped[str] = mapped_column(AnyText)
    query: Mapped[str] = mapped_column(AnyText)
    version: Mapped[int] = mapped_column(sa.Integer)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


def listed(session: Session, owner: str, *, after: str = "", limit: int = MOST_VIEWS) -> Sequence[SavedView]:
    """Views of `owner`, by name, after that name."""
    query = sa.select(SavedView).where(SavedView.owner == owner, SavedView.name > after)
    return session.scalars(query.order_by(SavedView.name).limit(limit)).all()


def find(session: Session, owner: str, view: str) -> SavedView:
    """One view of `owner`. NotFound when there is none."""
    row = session.scalar(sa.select(SavedView).where(SavedView.owner == owner, SavedView.id == view))
    if row is None:
        raise NotFound("there is no such view")
    return row


def keep(session: Session, owner: str, name: str, query: str) -> SavedView:
    """A new view. Conflict when there is one of that name, or there are too many."""
    exclusive(session, "saved_views")
    known = listed(session, owner)
    if len(known) >= MOST_VIEWS:
        raise Conflict(f"you have {MOST_VIEWS} views: remove one first")
    _free(known, name)
    row = SavedView(id=token()[:16], owner=owner, name=name, query=query, version=1, updated_at=now(session))
    session.add(row)
    session.flush()
    return row


def replace(session: Session, owner: str, view: str, version: int, name: str, query: str) -> SavedView:
    """Another name or query. NotFound; Stale when it was changed meanwhile; Conflict when another has that name."""
    exclusive(session, "saved_views")
    row = _seen(session, owner, view, version)
    _free([one for one in listed(session, owner) if one.id != row.id], name)
    row.name, row.query, row.version, row.updated_at = name, query, row.version + 1, now(session)
    session.flush()
    return row


def remove(session: Session, owner: str, view: str, version: int) -> None:
    """Take a view away. NotFound; Stale when it was changed meanwhile."""
    exclusive(session, "saved_views")
    session.delete(_seen(session, owner, view, version))


def _seen(session: Session, owner: str, view: str, version: int) -> SavedView:
    row = find(session, owner, view)
    check_seen("the view", row.version, version)
    return row


def _free(others: Sequence[SavedView], name: str) -> None:
    if any(one.name == name for one in others):
        raise Conflict(f"you have a view called {name!r} already")
