"""What migrations that make a table of cases share: the types, and the columns every case has."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

ROW_ID: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
INSTANT: Final = sa.DateTime(timezone=True)
JSON: Final = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def create_cases(table: str, *columns: sa.schema.SchemaItem | Any) -> None:
    """Make a table of cases with `columns` of its own."""
    op.create_table(
        table,
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("exercise", sa.Boolean, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("number", name=f"uq_{table}_number"),
    )
    op.create_index(f"ix_{table}_agency", table, ["agency"])
    op.create_index(f"ix_{table}_state", table, ["state"])
