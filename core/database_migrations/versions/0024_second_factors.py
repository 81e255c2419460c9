"""Second factors, half log-ins, the provider's subject, when sessions were used, and changes of accounts that are proposed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.database_migrations.cases import INSTANT, JSON, ROW_ID

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    _columns()
    _tables()


def _columns() -> None:
    op.add_column("users", sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("1")))
    op.add_column("users", sa.Column("must_change_password", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("users", sa.Column("totp_secret", sa.Text, nullable=True))
    op.add_column("users", sa.Column("totp_confirmed_at", INSTANT, nullable=True))
    op.add_column("users", sa.Column("totp_last_step", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("users", sa.Column("subject", sa.Text, nullable=True))
    op.add_column("users", sa.Column("last_login_at", INSTANT, nullable=True))
    op.create_index("ix_users_subject", "users", ["subject"], unique=True)
    op.add_column("login_sessions", sa.Column("last_seen_at", INSTANT, nullable=True))
    op.add_column("login_sessions", sa.Column("method", sa.Text, nullable=False, server_default=sa.text("'password'")))
    op.add_column("login_sessions", sa.Column("second_factor", sa.Boolean, nullable=False, server_default=sa.false()))


def _tables() -> None:
    op.create_table(
        "login_steps",
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_login_steps_user_id_users"), nullable=True),
        sa.Column("data", JSON, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_login_steps"),
    )
    op.create_index("ix_login_steps_expires_at", "login_steps", ["expires_at"])
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_recovery_codes_user_id_users"), nullable=False),
        sa.Column("code_hash", sa.Text, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name="pk_recovery_codes"),
    )
    op.create_table(
        "account_changes",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("proposed_by", sa.Text, nullable=False),
        sa.Column("proposed_at", INSTANT, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("decision", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account_changes"),
    )
    op.create_index("ix_account_changes_user_name", "account_changes", ["user_name"])
    op.create_index("ix_account_changes_state", "account_changes", ["state"])
