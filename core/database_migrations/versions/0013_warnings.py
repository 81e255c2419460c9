"""National warnings and their notices, the centre's readiness, emergency teams with their roster and duty log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID, create_cases

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    _warnings()
    _readiness()
    _teams()


def _warnings() -> None:
    create_cases(
        "warnings",
        *_texts("issuer", "reference", "level", "title", "reach"),
        sa.Column("agencies", JSON, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        *_texts("follows", "table_version"),
        sa.Column("measures", JSON, nullable=False),
    )
    create_cases(
        "warning_notices",
        *_texts("warning", "level", "table_version"),
        sa.Column("measures", JSON, nullable=False),
        sa.Column("acknowledged_at", INSTANT, nullable=True),
        sa.Column("done_at", INSTANT, nullable=True),
    )
    op.create_index("ix_warning_notices_warning", "warning_notices", ["warning"])


def _readiness() -> None:
    create_cases(
        "readiness",
        *_texts("direction", "level", "rule", "about"),
        sa.Column("evidence", JSON, nullable=False),
        *_texts("table_version"),
        sa.Column("measures", JSON, nullable=False),
        *_texts("asked"),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("passed_on", sa.Integer, nullable=False),
        sa.Column("confirmed_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
    )


def _teams() -> None:
    create_cases(
        "teams",
        *_texts("incident", "severity", "basis", "table_version", "order", "findings"),
        sa.Column("formed_at", INSTANT, nullable=True),
        sa.Column("active_at", INSTANT, nullable=True),
        sa.Column("stood_down_at", INSTANT, nullable=True),
    )
    op.create_index("ix_teams_incident", "teams", ["incident"])
    create_cases(
        "team_members",
        *_texts("team", "role", "name", "account", "organisation"),
        sa.Column("called_at", INSTANT, nullable=True),
        sa.Column("answered_at", INSTANT, nullable=True),
    )
    op.create_index("ix_team_members_team", "team_members", ["team"])
    op.create_index("ix_team_members_account", "team_members", ["account"])
    op.create_table(
        "team_log",
        sa.Column("id", ROW_ID, nullable=False),
        *_texts("team", "entry"),
        sa.Column("at", INSTANT, nullable=False),
        *_texts("actor", "kind", "text"),
        sa.PrimaryKeyConstraint("id", name="pk_team_log"),
        sa.UniqueConstraint("team", "entry", name="uq_team_log_team_entry"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
