"""Drills: what was planned, their parties, and the incidents made of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID, create_cases

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("incidents", sa.Column("drill", sa.Text, nullable=False, server_default=sa.text("''")))
    op.create_index("ix_incidents_drill", "incidents", ["drill"])
    create_cases(
        "drills",
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("joint", sa.Boolean, nullable=False),
        sa.Column("scenario_id", sa.Text, nullable=False),
        sa.Column("scenario", JSON, nullable=False),
        sa.Column("planned_for", INSTANT, nullable=True),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("sending", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("held_until", INSTANT, nullable=True),
        sa.Column("sent", sa.Integer, nullable=False),
        sa.Column("score", JSON, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
    )
    op.create_index("ix_drills_sending", "drills", ["sending"])
    op.create_table(
        "drill_parties",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("drill", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("sent", sa.Integer, nullable=False),
        sa.Column("first_sent_at", INSTANT, nullable=True),
        sa.Column("last_sent_at", INSTANT, nullable=True),
        sa.Column("noticed_at", INSTANT, nullable=True),
        sa.Column("acknowledged_at", INSTANT, nullable=True),
        sa.Column("acknowledged_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drill_parties"),
        sa.UniqueConstraint("drill", "agency", name="uq_drill_parties_drill_agency"),
    )
    op.create_index("ix_drill_parties_agency", "drill_parties", ["agency"])
