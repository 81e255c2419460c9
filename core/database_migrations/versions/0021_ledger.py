"""The intake ledger: what was received, how far that was counted, the chained entries, what the last checks found; counts of incidents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID

revision = "0021"
down_revision = "0020"

_ABOUT = ("hour", "agency", "source", "exercise", "revision")


def upgrade() -> None:
    _make_received()
    _make_ledger()
    op.create_table(
        "intake_checks",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("holds", sa.Boolean, nullable=False),
        sa.Column("report", JSON, nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_intake_checks"),
    )
    counted = ["exercise", "restricted", "merged_into_id", "state", "severity", "agency", "personal_data"]
    op.create_index("ix_incidents_counted", "incidents", counted)


def _make_received() -> None:
    op.create_table(
        "intake_received",
        sa.Column("raw_epoch", sa.Text, nullable=False),
        sa.Column("raw_partition", sa.Integer, nullable=False),
        sa.Column("hour", INSTANT, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("exercise", sa.Boolean, nullable=False),
        sa.Column("lines", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("counted_at", INSTANT, nullable=False),
        sa.Column("entered", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("raw_epoch", "raw_partition", "hour", "agency", "source", "exercise", name="pk_intake_received"),
    )
    op.create_index("ix_intake_received_entered_hour", "intake_received", ["entered", "hour"])
    op.create_index("ix_intake_received_hour", "intake_received", ["hour"])
    op.create_table(
        "intake_positions",
        sa.Column("raw_epoch", sa.Text, nullable=False),
        sa.Column("raw_partition", sa.Integer, nullable=False),
        sa.Column("first_offset", sa.BigInteger, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("missed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("raw_epoch", "raw_partition", name="pk_intake_positions"),
    )


def _make_ledger() -> None:
    op.create_table(
        "intake_ledger",
        sa.Column("seq", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("hour", INSTANT, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("exercise", sa.Boolean, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.Column("evaluated", sa.BigInteger, nullable=False),
        sa.Column("holds", sa.Boolean, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_intake_ledger"),
        sa.UniqueConstraint(
            "hour", "agency", "source", "exercise", "revision", name="uq_intake_ledger_hour_agency_source_exercise_revision"
        ),
    )
    op.create_index("ix_intake_ledger_agency_seq", "intake_ledger", ["agency", "seq"])
    op.create_index("ix_intake_ledger_holds_hour", "intake_ledger", ["holds", "hour"])
