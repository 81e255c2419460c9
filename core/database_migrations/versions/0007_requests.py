"""Requests of the Mayor to agencies and providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, create_cases

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    create_cases(
        "requests",
        sa.Column("article", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("items", JSON, nullable=False),
        sa.Column("due_at", INSTANT, nullable=True),
        sa.Column("reply", JSON, nullable=False),
    )
    op.create_index("ix_requests_about", "requests", ["about"])
