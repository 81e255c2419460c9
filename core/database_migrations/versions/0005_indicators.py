"""Feeds of indicators, their imports, what of them was refused, and what they met in history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "indicator_feeds",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("expire_days", sa.Integer, nullable=False),
        sa.Column("tlp", sa.Text, nullable=False),
        sa.Column("confidence", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_indicator_feeds"),
    )
    op.create_table(
        "indicator_imports",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("feed", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("finished_at", _INSTANT, nullable=True),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("fresh", sa.BigInteger, nullable=False),
        sa.Column("refused", _JSON, nullable=False),
        sa.Column("history_since", _INSTANT, nullable=True),
        sa.Column("history_until", _INSTANT, nullable=True),
        sa.Column("history_next", _INSTANT, nullable=True),
        sa.Column("history_events", sa.BigInteger, nullable=False),
        sa.Column("history_capped", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_indicator_imports"),
    )
    op.create_index("ix_indicator_imports_feed_id", "indicator_imports", ["feed", "id"])
    op.create_index("ix_indicator_imports_history_next", "indicator_imports", ["history_next"])
    op.create_table(
        "indicator_refusals",
        sa.Column("import_id", _ROW_ID, autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("given", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("import_id", "place", name="pk_indicator_refusals"),
        sa.ForeignKeyConstraint(["import_id"], ["indicator_imports.id"], name="fk_indicator_refusals_import_id_indicator_imports"),
    )
    op.create_table(
        "indicator_sightings",
        sa.Column("import_id", _ROW_ID, autoincrement=False, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("tlp", sa.Text, nullable=False),
        sa.Column("first_at", _INSTANT, nullable=False),
        sa.Column("first_event", sa.Text, nullable=False),
        sa.Column("last_at", _INSTANT, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("import_id", "agency", "hash", name="pk_indicator_sightings"),
        sa.ForeignKeyConstraint(["import_id"], ["indicator_imports.id"], name="fk_indicator_sightings_import_id_indicator_imports"),
    )
