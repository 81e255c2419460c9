"""Lists of incidents in several orders, and the views people keep of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT

revision = "0023"
down_revision = "0022"

_OWN = "assignee <> ''"


def upgrade() -> None:
    op.drop_index("ix_incidents_state_severity", "incidents")
    op.create_index("ix_incidents_state_id", "incidents", ["state", "id"])
    op.create_index("ix_incidents_state_last_event_at_id", "incidents", ["state", "last_event_at", "id"])
    op.create_index("ix_incidents_state_severity_id", "incidents", ["state", "severity", "id"])
    op.create_index("ix_incidents_agency_state_id", "incidents", ["agency", "state", "id"])
    op.create_index(
        "ix_incidents_assignee_state_id",
        "incidents",
        ["assignee", "state", "id"],
        sqlite_where=sa.text(_OWN),
        postgresql_where=sa.text(_OWN),
    )
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.UniqueConstraint("owner", "name", name="uq_saved_views_owner_name"),
    )
