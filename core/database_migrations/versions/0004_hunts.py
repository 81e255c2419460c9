"""Searches through history, what they said of each rule, and which events the stream evaluated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

_INSTANT = sa.DateTime(timezone=True)
_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _hunts()
    _first_knowable()
    _evaluated()


def _hunts() -> None:
    op.create_table(
        "hunts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("asked_at", _INSTANT, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=True),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("until", _INSTANT, nullable=False),
        sa.Column("agencies", _JSON, nullable=True),
        sa.Column("rules", _JSON, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("ranges", _JSON, nullable=True),
        sa.Column("slices", _JSON, nullable=True),
        sa.Column("slices_done", sa.Integer, nullable=False),
        sa.Column("rows_total", sa.BigInteger, nullable=False),
        sa.Column("rows_done", sa.BigInteger, nullable=False),
        sa.Column("found", _JSON, nullable=False),
        sa.Column("kept", _JSON, nullable=False),
        sa.Column("problems", _JSON, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("held_until", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_hunts"),
    )
    op.create_index("ix_hunts_state", "hunts", ["state"])
    op.create_index("ix_hunts_asked_at", "hunts", ["asked_at"])


def _first_knowable() -> None:
    op.create_table(
        "first_knowable",
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("rule_hash", sa.Text, nullable=False),
        sa.Column("hunt_id", sa.Text, nullable=False),
        sa.Column("noted_at", _INSTANT, nullable=False),
        sa.Column("found_at", _INSTANT, nullable=True),
        sa.Column("found", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "rule_hash", name="pk_first_knowable"),
        sa.ForeignKeyConstraint(["hunt_id"], ["hunts.id"], name="fk_first_knowable_hunt_id_hunts"),
    )
    op.create_index("ix_first_knowable_hunt_id", "first_knowable", ["hunt_id"])


def _evaluated() -> None:
    op.create_table(
        "evaluated_rules",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("rules", _JSON, nullable=False),
        sa.Column("broken", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_evaluated_rules"),
    )
    op.create_table(
        "evaluated",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("raw_epoch", sa.Text, nullable=False),
        sa.Column("raw_partition", sa.Integer, nullable=False),
        sa.Column("record_first", sa.BigInteger, nullable=False),
        sa.Column("record_last", sa.BigInteger, nullable=False),
        sa.Column("raw_first", sa.BigInteger, nullable=False),
        sa.Column("raw_last", sa.BigInteger, nullable=False),
        sa.Column("rule_set", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_evaluated"),
    )
    op.create_index("ix_evaluated_place", "evaluated", ["raw_epoch", "raw_partition", "raw_last"])
    op.create_index("ix_evaluated_rule_set", "evaluated", ["rule_set"])
    op.create_table(
        "filled",
        sa.Column("rule_set", sa.Text, nullable=False),
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("hunt_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("rule_set", "rule_id", name="pk_filled"),
        sa.ForeignKeyConstraint(["rule_set"], ["evaluated_rules.id"], name="fk_filled_rule_set_evaluated_rules"),
    )
