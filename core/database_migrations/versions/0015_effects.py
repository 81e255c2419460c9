"""What the level of a warning changes, shifts for a level, and restricted incidents found at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "level_effects",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("reached", JSON, nullable=False),
        sa.Column("agencies", JSON, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=True),
        sa.Column("ends_at", INSTANT, nullable=True),
        sa.Column("rules", JSON, nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_level_effects"),
    )
    op.add_column("oncall_shifts", sa.Column("level", sa.Text, nullable=False, server_default=sa.text("''")))
    op.create_index("ix_incidents_restricted", "incidents", ["restricted"])
