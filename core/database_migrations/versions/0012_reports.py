"""Accident reports with their versions, the mayor's office feed with its issues, and investigations with findings and custody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID, create_cases

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    _reports()
    _feed()
    _investigations()


def _reports() -> None:
    create_cases(
        "reports",
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("versions", sa.Integer, nullable=False),
        sa.Column("receipt", sa.Text, nullable=False),
        sa.Column("submitted_at", INSTANT, nullable=True),
        sa.Column("received_at", INSTANT, nullable=True),
        sa.Column("late_seconds", sa.BigInteger, nullable=False),
        sa.Column("late_reason", sa.Text, nullable=False),
    )
    op.create_index("ix_reports_about", "reports", ["about"])
    op.create_table(
        "report_versions",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("report_id", ROW_ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("submitted_at", INSTANT, nullable=False),
        sa.Column("submitted_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_report_versions"),
        sa.UniqueConstraint("report_id", "number", name="uq_report_versions_report_id_number"),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_report_versions_report_id_reports"),
    )


def _feed() -> None:
    op.create_table(
        "feed_entries",
        sa.Column("seq", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("restates", sa.BigInteger, nullable=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_feed_entries"),
    )
    for column in ("at", "agency", "restates"):
        op.create_index(f"ix_feed_entries_{column}", "feed_entries", [column])
    op.create_index("ix_feed_entries_report_seq", "feed_entries", ["report", "seq"])
    op.create_table(
        "feed_issues",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feed_issues"),
        sa.UniqueConstraint("period", name="uq_feed_issues_period"),
    )
    op.create_table(
        "feed_files",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("issue_id", ROW_ID, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feed_files"),
        sa.UniqueConstraint("issue_id", "format", "language", name="uq_feed_files_issue_id_format_language"),
        sa.ForeignKeyConstraint(["issue_id"], ["feed_issues.id"], name="fk_feed_files_issue_id_feed_issues"),
    )


def _investigations() -> None:
    create_cases(
        "investigations",
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("findings", JSON, nullable=False),
        sa.Column("versions", sa.Integer, nullable=False),
        sa.Column("evidence", sa.Integer, nullable=False),
    )
    op.create_index("ix_investigations_about", "investigations", ["about"])
    op.create_table(
        "investigation_findings",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("investigation_id", ROW_ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("written_at", INSTANT, nullable=False),
        sa.Column("written_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_investigation_findings"),
        sa.UniqueConstraint("investigation_id", "number", name="uq_investigation_findings_investigation_id_number"),
        sa.ForeignKeyConstraint(
            ["investigation_id"], ["investigations.id"], name="fk_investigation_findings_investigation_id_investigations"
        ),
    )
    op.create_table(
        "investigation_custody",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("investigation_id", ROW_ID, nullable=False),
        sa.Column("item", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("evidence_sha256", sa.Text, nullable=False),
        sa.Column("intact", sa.Boolean, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("recorded_by", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_investigation_custody"),
        sa.UniqueConstraint("investigation_id", "number", name="uq_investigation_custody_investigation_id_number"),
        sa.ForeignKeyConstraint(
            ["investigation_id"], ["investigations.id"], name="fk_investigation_custody_investigation_id_investigations"
        ),
    )
