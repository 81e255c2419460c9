"""Telling people and machines: deliveries, who is on call, calls, and what was read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    _deliveries()
    _oncall()
    op.create_table(
        "news_read",
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_news_read"),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("outbox_id", ROW_ID, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("to", sa.Text, nullable=False),
        sa.Column("message", JSON, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("problem", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], name="fk_deliveries_outbox_id_outbox"),
        sa.UniqueConstraint("outbox_id", "channel", "to", name="uq_deliveries_outbox_id_channel_to"),
    )
    op.create_index("ix_deliveries_state_next_at", "deliveries", ["state", "next_at"])


def _oncall() -> None:
    op.create_table(
        "oncall_shifts",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("tier", sa.Integer, nullable=False),
        sa.Column("begins_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_shifts"),
    )
    op.create_index("ix_oncall_shifts_ends_at_tier", "oncall_shifts", ["ends_at", "tier"])
    op.create_table(
        "pages",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("outbox_id", ROW_ID, nullable=False),
        sa.Column("tier", sa.Integer, nullable=False),
        sa.Column("called", JSON, nullable=False),
        sa.Column("next_at", INSTANT, nullable=True),
        sa.Column("acknowledged_at", INSTANT, nullable=True),
        sa.Column("acknowledged_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pages"),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], name="fk_pages_outbox_id_outbox"),
        sa.UniqueConstraint("outbox_id", name="uq_pages_outbox_id"),
    )
    op.create_index("ix_pages_acknowledged_at_next_at", "pages", ["acknowledged_at", "next_at"])
