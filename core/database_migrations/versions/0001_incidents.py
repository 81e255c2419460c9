"""Incidents with their evidence and entities, how far the findings have been read, and the audit chain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _incidents()
    _evidence()
    _entities()
    _positions()
    _audit()


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("group_key", sa.Text, nullable=False),
        sa.Column("entity_kind", sa.Text, nullable=False),
        sa.Column("entity_value", sa.Text, nullable=False),
        sa.Column("first_event_at", _INSTANT, nullable=False),
        sa.Column("last_event_at", _INSTANT, nullable=False),
        sa.Column("opened_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.Column("detections", sa.BigInteger, nullable=False),
        sa.Column("evidence_kept", sa.Integer, nullable=False),
        sa.Column("rule_ids", _JSON, nullable=False),
        sa.Column("tags", _JSON, nullable=False),
        sa.Column("exercise", sa.Boolean, nullable=False),
        sa.Column("merged_into_id", _ROW_ID, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.UniqueConstraint("number", name="uq_incidents_number"),
        sa.ForeignKeyConstraint(["merged_into_id"], ["incidents.id"], name="fk_incidents_merged_into_id_incidents"),
    )
    op.create_index("ix_incidents_group_key_last_event_at", "incidents", ["group_key", "last_event_at"])
    op.create_index("ix_incidents_agency_id", "incidents", ["agency", "id"])
    op.create_index("ix_incidents_state_severity", "incidents", ["state", "severity"])
    op.create_index("ix_incidents_opened_at", "incidents", ["opened_at"])
    op.create_index("ix_incidents_merged_into_id", "incidents", ["merged_into_id"])


def _evidence() -> None:
    op.create_table(
        "incident_evidence",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("incident_id", _ROW_ID, nullable=False),
        sa.Column("detection_id", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event_time", _INSTANT, nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("detected_at", _INSTANT, nullable=False),
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("rule_title", sa.Text, nullable=False),
        sa.Column("rule_level", sa.Text, nullable=False),
        sa.Column("rule_hash", sa.Text, nullable=False),
        sa.Column("raw", sa.Text, nullable=False),
        sa.Column("fields", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incident_evidence"),
        sa.UniqueConstraint("detection_id", name="uq_incident_evidence_detection_id"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_incident_evidence_incident_id_incidents"),
    )
    op.create_index("ix_incident_evidence_incident_id", "incident_evidence", ["incident_id"])


def _entities() -> None:
    op.create_table(
        "incident_entities",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("incident_id", _ROW_ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("value_hash", sa.Text, nullable=False),
        sa.Column("detections", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incident_entities"),
        sa.UniqueConstraint("incident_id", "kind", "role", "value_hash", name="uq_incident_entities_incident_id_kind_role_value_hash"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_incident_entities_incident_id_incidents"),
    )
    op.create_index("ix_incident_entities_value_hash", "incident_entities", ["value_hash"])


def _positions() -> None:
    op.create_table(
        "incident_counters",
        sa.Column("year", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("year", name="pk_incident_counters"),
    )
    op.create_table(
        "detection_positions",
        sa.Column("raw_epoch", sa.Text, nullable=False),
        sa.Column("raw_partition", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("raw_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("raw_epoch", "raw_partition", name="pk_detection_positions"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", _ROW_ID, autoincrement=False, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_object_seq", "audit", ["object", "seq"])
