"""Linked centres: the register, links, delegations, alerts on their way; and machines that show a certificate or belong to a centre."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID, create_cases

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    create_cases(
        "linked_centres",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "name_ko", "name_en", "contact", "link")),
        sa.Column("linked_since", INSTANT, nullable=True),
        sa.Column("last_seen_at", INSTANT, nullable=True),
        sa.UniqueConstraint("name", name="uq_linked_centres_name"),
    )
    op.create_table(
        "centre_links",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("centre", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_centre_links"),
    )
    op.create_index("ix_centre_links_centre_id", "centre_links", ["centre", "id"])
    _delegations()
    _alerts()
    _keys()


def _delegations() -> None:
    op.create_table(
        "delegations",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("centre", sa.Text, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("ended_by", sa.Text, nullable=False),
        sa.Column("ended_reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_delegations"),
    )
    op.create_index("ix_delegations_agency_since", "delegations", ["agency", "since"])
    op.create_index("ix_delegations_centre", "delegations", ["centre"])


def _alerts() -> None:
    op.create_table(
        "centre_alerts",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("centre", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("content", JSON, nullable=True),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=True),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_centre_alerts"),
        sa.UniqueConstraint("centre", "external_id", name="uq_centre_alerts_centre_external_id"),
        sa.UniqueConstraint("position", name="uq_centre_alerts_position"),
    )
    op.create_index("ix_centre_alerts_sent_at_id", "centre_alerts", ["sent_at", "id"])
    op.create_table(
        "alert_sequence",
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("epoch", name="pk_alert_sequence"),
    )


def _keys() -> None:
    op.add_column("api_keys", sa.Column("centre", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("api_keys", sa.Column("subject", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("api_keys", sa.Column("certificate", sa.Text, nullable=True))
    op.create_index("ix_api_keys_certificate", "api_keys", ["certificate"], unique=True)
    op.create_index("ix_api_keys_centre", "api_keys", ["centre"])
