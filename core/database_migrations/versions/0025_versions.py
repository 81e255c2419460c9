"""A version on every record that people change, for the ETag it is read with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_CHANGED = ("api_keys", "delegations", "hunts", "incident_tasks", "indicator_feeds", "oncall_shifts", "rule_tunings", "silences")


def upgrade() -> None:
    for table in _CHANGED:
        op.add_column(table, sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("1")))
