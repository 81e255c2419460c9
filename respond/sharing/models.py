"""The tables of sharing. What was published to a recipient is kept as it was signed, version by version, and never changed or removed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from respond.cases.models import CaseColumns


class Share(CaseColumns, Base):
    """Something to be shared. `agency` is whose it is ('' the centre's), `victim` where it happened ('' nowhere that is to be hidden).

    `about` names its incident (`incident/INC-2026-000001`) or is ''. `recipients` are those wished for; none means every agency. `seed` is
    the UUID its STIX ids come from, and `root` the number of its first version: both stay the same from version to version.
    `first_released_at` is that of the first version. `policy_version` is that of the policy it was released under.
    """

    __tablename__ = "shares"
    __table_args__ = (sa.Index(None, "about"),)

    about: Mapped[str] = mapped_column(AnyText)
    victim: Mapped[str] = mapped_column(AnyText)
    kind: Mapped[str] = mapped_column(AnyText)
    title: Mapped[str] = mapped_column(AnyText)
    tlp: Mapped[str] = mapped_column(AnyText)
    recipients: Mapped[list[str]] = mapped_column(Json)
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    supersedes: Mapped[str] = mapped_column(AnyText)
    root: Mapped[str] = mapped_column(AnyText)
    seed: Mapped[str] = mapped_column(AnyText)
    policy_version: Mapped[str] = mapped_column(AnyText)
    first_released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.type_coerce(cls.about, AnyText())


class Receipt(CaseColumns, Base):
    """A share at one recipient (`agency`): `title` is what it may see of the title, `reply` its last answer.

    `chased_at` is when it was last reminded.
    """

    __tablename__ = "share_receipts"
    __table_args__ = (sa.Index(None, "share", "agency"),)

    share: Mapped[str] = mapped_column(AnyText)
    title: Mapped[str] = mapped_column(AnyText)
    tlp: Mapped[str] = mapped_column(AnyText)
    reply: Mapped[dict[str, Any]] = mapped_column(Json)
    collected_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    replied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    chased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @classmethod
    def incident_name(cls) -> sa.ColumnElement[str]:
        return sa.select(Share.about).where(Share.number == cls.share).correlate(cls).scalar_subquery()


class Published(Base):
    """One version of a STIX object as one recipient is given it ('' the centre's own, unredacted copy).

    `version` is the object's `modified` (or `created`, or when it was added, where it has none). `added_at` is later than that of every
    row before it. `share` is the item it came with, `root` that item's first version, '' for what stands by itself (identities, markings,
    addresses) and is never revoked. `content` is the JSON text exactly as it was signed.
    """

    __tablename__ = "share_objects"
    __table_args__ = (
        sa.UniqueConstraint("recipient", "tlp", "object_id", "version"),
        sa.Index(None, "recipient", "tlp", "added_at"),
        sa.Index(None, "root", "recipient"),
        sa.Index(None, "share"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    recipient: Mapped[str] = mapped_column(AnyText)
    tlp: Mapped[str] = mapped_column(AnyText)
    share: Mapped[str] = mapped_column(AnyText)
    root: Mapped[str] = mapped_column(AnyText)
    object_id: Mapped[str] = mapped_column(AnyText)
    object_type: Mapped[str] = mapped_column(AnyText)
    version: Mapped[datetime] = mapped_column(UtcDateTime)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime, unique=True)
    newest: Mapped[bool] = mapped_column(sa.Boolean)
    oldest: Mapped[bool] = mapped_column(sa.Boolean)
    revoked: Mapped[bool] = mapped_column(sa.Boolean)
    content: Mapped[str] = mapped_column(AnyText)


class Submission(Base):
    """Objects somebody sent us by TAXII: what became of each. `share` is the draft made of them, or ''."""

    __tablename__ = "share_submissions"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    agency: Mapped[str] = mapped_column(AnyText)
    actor: Mapped[str] = mapped_column(AnyText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    share: Mapped[str] = mapped_column(AnyText)
    successes: Mapped[list[dict[str, str]]] = mapped_column(Json)
    failures: Mapped[list[dict[str, str]]] = mapped_column(Json)


class PeerState(Base):
    """How far a collection of a peer was read. `added_after` is the peer's own word, given back to it as it came."""

    __tablename__ = "share_peers"

    peer: Mapped[str] = mapped_column(AnyText, primary_key=True)
    collection: Mapped[str] = mapped_column(AnyText, primary_key=True)
    added_after: Mapped[str] = mapped_column(AnyText)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    objects: Mapped[int] = mapped_column(sa.BigInteger)
    indicators: Mapped[int] = mapped_column(sa.BigInteger)
    problem: Mapped[str] = mapped_column(AnyText)
