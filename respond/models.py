"""The tables of incidents and of the audit trail.

- `Incident.number` (`INC-2026-000123`) is the name people use: given once, never changed or given again.
- `Incident.version` counts what people decided, and is the ETag; detections that join an incident change its counts, not its version,
  so that a busy attacker does not keep an analyst from saving.
- An incident that was absorbed by another keeps its number and points to it (`merged_into_id`); it is not listed any more.
- `severity` is what counts: `severity_found` by the matrix (`respond.incidents.severity`), or what the person `severity_by` set.
- `centre_aware_at` and `agency_aware_at` are when each party learned that there is an incident, `agency_told_at` when we told the agency.
- Who sees a restricted incident, or one marked `personal_data`, is decided in `respond.incidents.sight`.
- `drill` is the number of the drill whose lines it is made of; such an incident is an `exercise`.
- `seal` is the SHA-256 of the evidence while the incident is closed (`respond.incidents.closing`).
- Evidence is a copy: it stays when the columnar store forgets the event. It is never changed or removed.
- `Audit` rows are written by `respond.audit` alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column, synonym

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from respond.cases.models import CaseColumns
from respond.incidents.machine import State


class StateText(sa.types.TypeDecorator[State]):
    """A state as its word."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: State | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the same on both engines
        return None if value is None else State(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> State | None:  # noqa: ARG002 - the same on both engines
        return None if value is None else State(value)


class Incident(CaseColumns, Base):
    """Findings that belong together. Times of events are the devices' own; `opened_at`, a case's `created_at`, is ours."""

    __tablename__ = "incidents"
    __table_args__ = (
        sa.Index(None, "group_key", "last_event_at"),
        sa.Index(None, "agency", "id"),
        # How lists are walked (`respond.incidents.order`).
        sa.Index(None, "state", "id"),
        sa.Index(None, "state", "last_event_at", "id"),
        sa.Index(None, "state", "severity", "id"),
        sa.Index(None, "agency", "state", "id"),
        sa.Index(None, "assignee", "state", "id", sqlite_where=sa.text("assignee <> ''"), postgresql_where=sa.text("assignee <> ''")),
        # All that counting them by state and severity asks for, so that no row is read.
        sa.Index("ix_incidents_counted", "exercise", "restricted", "merged_into_id", "state", "severity", "agency", "personal_data"),
        sa.Index(None, "title", "id"),  # `respond.incidents.titles`
        sa.Index(None, "opened_at"),
        sa.Index(None, "restricted"),
        sa.Index(None, "updated_at"),
    )

    agency: Mapped[str] = mapped_column(AnyText)
    state: Mapped[State] = mapped_column(StateText)
    created_at: Mapped[datetime] = mapped_column("opened_at", UtcDateTime)
    opened_at: Mapped[datetime] = synonym("created_at")
    created_by: Mapped[str] = mapped_column(AnyText, default="system:respond", server_default="system:respond")
    title: Mapped[str] = mapped_column(AnyText)
    severity: Mapped[str] = mapped_column(AnyText)
    severity_found: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))
    severity_by: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))
    group_key: Mapped[str] = mapped_column(AnyText)
    entity_kind: Mapped[str] = mapped_column(AnyText)
    entity_value: Mapped[str] = mapped_column(AnyText)
    first_event_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_event_at: Mapped[datetime] = mapped_column(UtcDateTime)
    detections: Mapped[int] = mapped_column(sa.BigInteger)
    evidence_kept: Mapped[int] = mapped_column(sa.Integer)
    rule_ids: Mapped[list[str]] = mapped_column(Json)
    tags: Mapped[list[str]] = mapped_column(Json)
    merged_into_id: Mapped[int | None] = mapped_column(RowId, sa.ForeignKey("incidents.id"), index=True)
    drill: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"), index=True)
    split_from: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))
    assignee: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))
    restricted: Mapped[bool] = mapped_column(sa.Boolean, default=False, server_default=sa.false())
    personal_data: Mapped[bool] = mapped_column(sa.Boolean, default=False, server_default=sa.false())
    centre_aware_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    agency_told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    agency_aware_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cause: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))
    impact: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))
    seal: Mapped[str] = mapped_column(AnyText, default="", server_default=sa.text("''"))


class IncidentEvidence(Base):
    """One finding of an incident with the line it was found in and the rule that found it."""

    __tablename__ = "incident_evidence"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    incident_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("incidents.id"), index=True)
    detection_id: Mapped[str] = mapped_column(AnyText, unique=True)
    event_id: Mapped[str] = mapped_column(AnyText)
    event_time: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    detected_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rule_id: Mapped[str] = mapped_column(AnyText)
    rule_title: Mapped[str] = mapped_column(AnyText)
    rule_level: Mapped[str] = mapped_column(AnyText)
    rule_hash: Mapped[str] = mapped_column(AnyText)
    raw: Mapped[str] = mapped_column(AnyText)
    fields: Mapped[dict[str, Any]] = mapped_column(Json)


class IncidentEntity(Base):
    """Something an incident's findings name, and in how many of them."""

    __tablename__ = "incident_entities"
    __table_args__ = (
        sa.UniqueConstraint("incident_id", "kind", "role", "value_hash"),
        sa.Index(None, "value_hash"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    incident_id: Mapped[int] = mapped_column(RowId, sa.ForeignKey("incidents.id"))
    kind: Mapped[str] = mapped_column(AnyText)
    role: Mapped[str] = mapped_column(AnyText)
    value: Mapped[str] = mapped_column(AnyText)
    value_hash: Mapped[str] = mapped_column(AnyText)
    detections: Mapped[int] = mapped_column(sa.BigInteger)


class DetectionPosition(Base):
    """How far the findings of a partition of `logs.raw` have become incidents; everything up to `raw_offset` has."""

    __tablename__ = "detection_positions"

    raw_epoch: Mapped[str] = mapped_column(AnyText, primary_key=True)
    raw_partition: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    raw_offset: Mapped[int] = mapped_column(sa.BigInteger)


class Audit(Base):
    """One link of the audit chain. `detail` is the JSON text exactly as it was hashed; `agency` repeats its `agency`, to be asked for."""

    __tablename__ = "audit"
    __table_args__ = (sa.Index(None, "object", "seq"), sa.Index(None, "agency", "seq"))

    seq: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(AnyText)
    action: Mapped[str] = mapped_column(AnyText)
    object: Mapped[str] = mapped_column(AnyText)
    detail: Mapped[str] = mapped_column(AnyText)
    prev_hash: Mapped[str] = mapped_column(AnyText)
    hash: Mapped[str] = mapped_column(AnyText)
    agency: Mapped[str] = mapped_column(AnyText)


class AuditCheckpoint(Base):
    """The chain up to row `seq`, signed: `key` and `signature` are base64 (`core.signing`)."""

    __tablename__ = "audit_checkpoints"

    seq: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(AnyText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    key: Mapped[str] = mapped_column(AnyText)
    signature: Mapped[str] = mapped_column(AnyText)
