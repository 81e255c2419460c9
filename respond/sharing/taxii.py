"""What TAXII 2.1 asks of what was published: collections, objects, manifests and versions, page by page.

A reader has one collection for each TLP level: what was published to its agency, or, for whoever sees the whole city, the centre's own
copies. The reader is part of every query: another's collection does not exist. One more collection takes objects in (`inbox`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound
from respond.cases import records
from respond.sharing.models import Published, Share, Submission
from respond.sharing.policy import LEVELS

INBOX: Final = "inbox"
MEDIA: Final = "application/taxii+json;version=2.1"
STIX: Final = "application/stix+json;version=2.1"
MOST: Final = 1000
"""Objects of one page."""
_SPACE: Final = uuid.UUID("0d6a3a4f-2b7c-5c3a-9d58-54a7a2b0c9e3")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a request (TAXII 2.1, 3.4). `versions` are `last`, `first`, `all` or instants; `place` is where the page before ended."""

    added_after: datetime | None = None
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    versions: tuple[str, ...] = ("last",)
    spec_versions: tuple[str, ...] = ()
    place: int = 0
    limit: int = MOST


@dataclass(frozen=True, slots=True)
class Found:
    """A page of rows, in the order they were added; `more` says that there are others."""

    rows: Sequence[Published]
    more: bool


def collection_id(recipient: str, level: str) -> str:
    """The id of a reader's collection."""
    return str(uuid.uuid5(_SPACE, f"{recipient}|{level}"))


def level_of(recipient: str, collection: str) -> str:
    """The TLP level of a reader's collection, by id or alias, or INBOX; NotFound when it is none of the reader's."""
    for level in (*LEVELS, INBOX):
        if collection in (level, collection_id(recipient, level)):
            return level
    raise NotFound(f"there is no collection {collection}")


def read(session: Session, recipient: str, level: str, member: str, wanted: Wanted) -> Found:
    """The published objects of a collection that meet the filters. `member` is the actor, for what is need-to-know."""
    if level == INBOX or (wanted.spec_versions and "2.1" not in wanted.spec_versions):
        return Found([], more=False)
    query = _rows(recipient, level, member)
    if wanted.added_after is not None:
        query = query.where(Published.added_at > wanted.added_after)
    if wanted.ids:
        query = query.where(Published.object_id.in_(wanted.ids))
    if wanted.types:
        query = query.where(Published.object_type.in_(wanted.types))
    if wanted.place:
        query = query.where(Published.id > wanted.place)
    query = query.where(_versions(wanted.versions))
    rows = session.scalars(query.order_by(Published.id).limit(wanted.limit + 1)).all()
    return Found(rows[: wanted.limit], len(rows) > wanted.limit)


def knows(session: Session, recipient: str, level: str, member: str, object_id: str) -> None:
    """NotFound when the collection has no such object."""
    if session.scalar(_rows(recipient, level, member).where(Published.object_id == object_id).limit(1)) is None:
        raise NotFound(f"there is no object {object_id} in this collection")


def submission(session: Session, agency: str, number: str) -> Submission:
    """What became of objects the agency sent; NotFound when it sent none under that id."""
    found = session.scalar(sa.select(Submission).where(Submission.id == number, Submission.agency == agency))
    if found is None:
        raise NotFound(f"there is no status {number}")
    return found


def instant(text: str, name: str) -> datetime:
    """A timestamp of a request (RFC 3339, UTC); Invalid when it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{name} is a timestamp such as 2026-01-02T03:04:05.123456Z") from error
    if at.tzinfo is None:
        raise Invalid(f"{name} has a time zone, such as Z")
    return at.astimezone(UTC)


def stamp(at: datetime) -> str:
    """An instant as TAXII writes it, to the microsecond."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def entry(row: Published) -> dict[str, Any]:
    """A row of a manifest."""
    return {"id": row.object_id, "date_added": stamp(row.added_at), "version": stamp(row.version), "media_type": STIX}


def _rows(recipient: str, level: str, member: str) -> sa.Select[Published]:
    hidden = sa.select(Share.number).where(~records.known_to(Share, member))
    return sa.select(Published).where(Published.recipient == recipient, Published.tlp == level, Published.share.not_in(hidden))


def _versions(words: Sequence[str]) -> sa.ColumnElement[bool]:
    """Any of several versions; `all` is every one."""
    if "all" in words:
        return sa.true()
    either: list[sa.ColumnElement[bool]] = []
    for word in words:
        if word == "last":
            either.append(Published.newest.is_(True))
        elif word == "first":
            either.append(Published.oldest.is_(True))
        else:
            either.append(Published.version == instant(word, "match[version]"))
    return sa.or_(sa.false(), *either)
