"""Answers kept for requests that are sent again, and what changed last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "answered_requests",
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", JSON, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_answered_requests"),
    )
    op.create_index("ix_answered_requests_at", "answered_requests", ["at"])
    op.create_index("ix_incidents_updated_at", "incidents", ["updated_at"])
