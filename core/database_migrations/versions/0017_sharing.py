"""Shared threat information: items, receipts, published objects, submissions, and how far peers were read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID, create_cases

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    create_cases(
        "shares",
        *_texts("about", "victim", "kind", "title", "tlp"),
        sa.Column("recipients", JSON, nullable=False),
        sa.Column("content", JSON, nullable=False),
        *_texts("supersedes", "root", "seed", "policy_version"),
        *_instants("first_released_at", "released_at"),
    )
    op.create_index("ix_shares_about", "shares", ["about"])
    create_cases(
        "share_receipts",
        *_texts("share", "title", "tlp"),
        sa.Column("reply", JSON, nullable=False),
        *_instants("collected_at", "received_at", "replied_at", "chased_at"),
    )
    op.create_index("ix_share_receipts_share_agency", "share_receipts", ["share", "agency"])
    _objects()
    op.create_table(
        "share_submissions",
        *_texts("id", "agency", "actor"),
        sa.Column("at", INSTANT, nullable=False),
        *_texts("share"),
        sa.Column("successes", JSON, nullable=False),
        sa.Column("failures", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_share_submissions"),
    )
    op.create_table(
        "share_peers",
        *_texts("peer", "collection", "added_after"),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("objects", sa.BigInteger, nullable=False),
        sa.Column("indicators", sa.BigInteger, nullable=False),
        *_texts("problem"),
        sa.PrimaryKeyConstraint("peer", "collection", name="pk_share_peers"),
    )


def _objects() -> None:
    op.create_table(
        "share_objects",
        sa.Column("id", ROW_ID, nullable=False),
        *_texts("recipient", "tlp", "share", "root", "object_id", "object_type"),
        sa.Column("version", INSTANT, nullable=False),
        sa.Column("added_at", INSTANT, nullable=False),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("newest", "oldest", "revoked")),
        *_texts("content"),
        sa.PrimaryKeyConstraint("id", name="pk_share_objects"),
        sa.UniqueConstraint("recipient", "tlp", "object_id", "version", name="uq_share_objects_recipient_tlp_object_id_version"),
        sa.UniqueConstraint("added_at", name="uq_share_objects_added_at"),
    )
    op.create_index("ix_share_objects_recipient_tlp_added_at", "share_objects", ["recipient", "tlp", "added_at"])
    op.create_index("ix_share_objects_root_recipient", "share_objects", ["root", "recipient"])
    op.create_index("ix_share_objects_share", "share_objects", ["share"])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _instants(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, INSTANT, nullable=True) for name in names]
