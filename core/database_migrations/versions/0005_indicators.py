"""Feeds of indicators."""

from __future__ import annotations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Tables come with the feature."""
