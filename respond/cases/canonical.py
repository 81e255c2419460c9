"""Texts that are kept as they were hashed: versions of a case, what was published of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def canonical(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no blanks, Korean as it is written: the same value gives the same text everywhere."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def instant_text(at: datetime) -> str:
    """An instant as the API gives it, too: ISO 8601 in UTC with `Z`, so that what is hashed can be checked from what is read."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def sha256(content: str | bytes) -> str:
    """The SHA-256 (hex) of bytes, or of a text in UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
