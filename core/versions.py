"""Versions of records that people change: whoever changes one says which version was seen, so that nobody overwrites what nobody looked at.

The API gives the version as ETag and takes it as If-Match (RFC 9110, 13.1.1).
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.errors import Stale

ABSENT: Final = 0
"""The version of what is not there."""


class Versioned:
    """A table with the column `version`: 1 when made, one more with everything people change. What counters do leaves it as it is."""

    version: Mapped[int] = mapped_column(sa.Integer, default=1, server_default=sa.text("1"))


def check_seen(name: str, version: int, seen: int | None) -> None:
    """Stale when `name` is not of the version that was seen; None: whoever asks takes it as it is (the operator's command line)."""
    if seen is None or seen == version:
        return
    if version == ABSENT:
        raise Stale(f"{name} is not there any more: you saw version {seen}")
    if seen == ABSENT:
        raise Stale(f"{name} is there already: read it, and send its ETag as If-Match")
    raise Stale(f"{name} was changed meanwhile: you saw version {seen}, it is version {version}")
