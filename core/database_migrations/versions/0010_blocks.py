"""Blocks of attackers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, create_cases

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    create_cases(
        "blocks",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("approved_by", sa.Text, nullable=False),
    )
    op.create_index("ix_blocks_state_expires_at", "blocks", ["state", "expires_at"])
