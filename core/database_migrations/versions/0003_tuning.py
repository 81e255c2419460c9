"""The rules in force, what people change about them at an agency, silences, and what is held back for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _rules()
    _tunings()
    _silences()
    _suppressed()


def _rules() -> None:
    op.create_table(
        "rule_sets",
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("loaded_at", _INSTANT, nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.Column("set_aside", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("process", name="pk_rule_sets"),
    )
    op.create_table(
        "rule_states",
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("suppress", _JSON, nullable=True),
        sa.Column("about", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("process", "rule_id", name="pk_rule_states"),
        sa.ForeignKeyConstraint(["process"], ["rule_sets.process"], name="fk_rule_states_process_rule_sets"),
    )


def _tunings() -> None:
    op.create_table(
        "rule_tunings",
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("condition", _JSON, nullable=True),
        sa.Column("suppress", _JSON, nullable=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "agency", name="pk_rule_tunings"),
    )


def _silences() -> None:
    op.create_table(
        "silences",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("match", _JSON, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("ended_by", sa.Text, nullable=False),
        sa.Column("detections", sa.BigInteger, nullable=False),
        sa.Column("last_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_silences"),
    )
    op.create_index("ix_silences_expires_at", "silences", ["expires_at"])


def _suppressed() -> None:
    op.create_table(
        "suppressed_groups",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("until", _INSTANT, nullable=False),
        sa.Column("entity_kind", sa.Text, nullable=False),
        sa.Column("entity_value", sa.Text, nullable=False),
        sa.Column("incident_id", _ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_suppressed_groups"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_suppressed_groups_incident_id_incidents"),
    )
    op.create_index("ix_suppressed_groups_until", "suppressed_groups", ["until"])
    op.create_index("ix_suppressed_groups_incident_id", "suppressed_groups", ["incident_id"])
