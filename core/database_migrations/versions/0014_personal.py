"""Personal-information cases: their tracks, letters and the support log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID, create_cases

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    create_cases(
        "personal_cases",
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("possible_at", INSTANT, nullable=True),
        sa.Column("aware_at", INSTANT, nullable=True),
        sa.Column("pack", sa.Text, nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("findings", JSON, nullable=False),
        sa.Column("determination", JSON, nullable=False),
    )
    op.create_index("ix_personal_cases_about", "personal_cases", ["about"])
    create_cases(
        "personal_tracks",
        sa.Column("case_number", sa.Text, nullable=False),
        sa.Column("track", sa.Text, nullable=False),
        sa.Column("finding", sa.Text, nullable=False),
        sa.Column("rules", JSON, nullable=False),
        sa.Column("why", JSON, nullable=False),
        sa.Column("given", JSON, nullable=False),
    )
    op.create_index("ix_personal_tracks_case_number", "personal_tracks", ["case_number"])
    _letters()
    _support()


def _letters() -> None:
    op.create_table(
        "personal_letters",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("case_number", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("pack", sa.Text, nullable=False),
        sa.Column("missing", JSON, nullable=False),
        sa.Column("text_ko", sa.Text, nullable=False),
        sa.Column("text_en", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_personal_letters"),
        sa.UniqueConstraint("case_number", "kind", "version", name="uq_personal_letters_case_number_kind_version"),
    )


def _support() -> None:
    op.create_table(
        "personal_support",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("case_number", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("package_sha256", sa.Text, nullable=False),
        sa.Column("package", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_personal_support"),
    )
    op.create_index("ix_personal_support_case_number", "personal_support", ["case_number"])
