"""Drafts of rules, what each version of them said, and the rules that people approved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, create_cases

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    create_cases(
        "rule_drafts",
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("rule_ids", JSON, nullable=False),
        sa.Column("authors", JSON, nullable=False),
        sa.Column("approved_by", sa.Text, nullable=False),
    )
    op.create_table(
        "rule_draft_texts",
        sa.Column("draft", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("draft", "version", name="pk_rule_draft_texts"),
    )
    op.create_table(
        "approved_rules",
        sa.Column("draft", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("rule_ids", JSON, nullable=False),
        sa.Column("approved_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("draft", name="pk_approved_rules"),
    )
