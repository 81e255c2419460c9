"""Annual duties: campaigns, the duty of each agency, and files kept with cases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID, create_cases

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    shared = (("kind", sa.Text), ("year", sa.Integer), ("title", sa.Text), ("standards", sa.Text), ("due_at", INSTANT), ("subjects", JSON))
    create_cases(
        "campaigns",
        *(sa.Column(name, type_, nullable=False) for name, type_ in shared),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("agencies", JSON, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
    )
    op.create_index("ix_campaigns_kind_year", "campaigns", ["kind", "year"])
    create_cases(
        "duties",
        sa.Column("campaign", sa.Text, nullable=False),
        *(sa.Column(name, type_, nullable=False) for name, type_ in shared),
        sa.Column("provenance", JSON, nullable=False),
        sa.Column("findings", JSON, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("internal_audit", sa.Text, nullable=False),
        sa.Column("answered_at", INSTANT, nullable=True),
        sa.Column("inspected_at", INSTANT, nullable=True),
        sa.Column("done_at", INSTANT, nullable=True),
        sa.Column("signed_off_by", sa.Text, nullable=False),
    )
    op.create_index("ix_duties_campaign", "duties", ["campaign"])
    op.create_index("ix_duties_kind_year", "duties", ["kind", "year"])
    op.create_index("ix_duties_due_at", "duties", ["due_at"])
    _files()


def _files() -> None:
    op.create_table(
        "case_files",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_case_files"),
        sa.UniqueConstraint("object", "name", "sha256", name="uq_case_files_object_name_sha256"),
    )
