"""Silences and the tuning of rules."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Tables come with the feature."""
