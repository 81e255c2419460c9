"""What all cases share: numbers, history, clocks and the outbox. Numbers of incidents go on from where they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _counters()
    _events()
    _clocks()
    _outbox()


def _counters() -> None:
    op.create_table(
        "case_counters",
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("year", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("prefix", "year", name="pk_case_counters"),
    )
    op.execute("INSERT INTO case_counters (prefix, year, last) SELECT 'INC', year, last FROM incident_counters")
    op.drop_table("incident_counters")


def _events() -> None:
    op.create_table(
        "case_events",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_case_events"),
    )
    op.create_index("ix_case_events_object_id", "case_events", ["object", "id"])


def _clocks() -> None:
    op.create_table(
        "case_clocks",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("basis", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("due_at", _INSTANT, nullable=True),
        sa.Column("stopped_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_case_clocks"),
        sa.UniqueConstraint("object", "name", name="uq_case_clocks_object_name"),
    )
    op.create_index("ix_case_clocks_stopped_at_due_at", "case_clocks", ["stopped_at", "due_at"])


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("exercise", sa.Boolean, nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("handled_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_handled_at_id", "outbox", ["handled_at", "id"])
