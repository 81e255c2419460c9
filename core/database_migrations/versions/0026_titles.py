"""Find incidents by the words of their titles."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.create_index("ix_incidents_title_id", "incidents", ["title", "id"])
