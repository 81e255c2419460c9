"""Signed checkpoints of the audit chain, the agency each of its rows is about, and what versions of rules said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID

revision = "0008"
down_revision = "0007"

_AGENCY = {"sqlite": "json_extract(detail, '$.agency')", "postgresql": "detail::jsonb ->> 'agency'"}


def upgrade() -> None:
    op.create_table(
        "audit_checkpoints",
        sa.Column("seq", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_checkpoints"),
    )
    op.create_table(
        "rule_texts",
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("sources", JSON, nullable=False),
        sa.Column("first_run_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "hash", name="pk_rule_texts"),
    )
    op.add_column("audit", sa.Column("agency", sa.Text, nullable=True))
    op.execute(f"UPDATE audit SET agency = coalesce({_AGENCY[op.get_bind().dialect.name]}, '')")
    with op.batch_alter_table("audit") as table:
        table.alter_column("agency", nullable=False)
    op.create_index("ix_audit_agency_seq", "audit", ["agency", "seq"])
