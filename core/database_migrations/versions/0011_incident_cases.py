"""Incidents as cases: severity, awareness, assessment, compartment and seal, and what people add to them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, ROW_ID

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    _incidents()
    _added("incident_comments", sa.Column("text", sa.Text, nullable=False))
    _added(
        "incident_tasks",
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("assignee", sa.Text, nullable=False),
        sa.Column("due_at", INSTANT, nullable=True),
        sa.Column("done_at", INSTANT, nullable=True),
        sa.Column("done_by", sa.Text, nullable=False),
    )
    _added(
        "incident_attachments",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "incident_people",
        sa.Column("incident_id", ROW_ID, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "part", "person", name="pk_incident_people"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_incident_people_incident_id_incidents"),
    )


def _incidents() -> None:
    op.add_column("incidents", sa.Column("created_by", sa.Text, nullable=False, server_default="system:respond"))
    for name in ("severity_found", "severity_by", "split_from", "assignee", "cause", "impact", "seal"):
        op.add_column("incidents", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")))
    for name in ("restricted", "personal_data"):
        op.add_column("incidents", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    for name in ("centre_aware_at", "agency_told_at", "agency_aware_at"):
        op.add_column("incidents", sa.Column(name, INSTANT, nullable=True))
    op.execute("UPDATE incidents SET severity_found = severity")


def _added(table: str, *columns: Any) -> None:
    op.create_table(
        table,
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("incident_id", ROW_ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=f"fk_{table}_incident_id_incidents"),
    )
    op.create_index(f"ix_{table}_incident_id", table, ["incident_id"])
