"""Cursors: where a page ended, as an opaque word for the caller to give back."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated

from fastapi import Query

from core.errors import Invalid

Cursor = Annotated[str, Query(max_length=512, description="`next_cursor` of the page before; empty: from the start")]


def encode_instant(at: datetime, name: str) -> str:
    """The cursor after the row of this instant and name."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {name}".encode()).decode().rstrip("=")


def decode_instant(cursor: str) -> tuple[datetime, str] | None:
    """Instant and name of the last row seen; None for ''. Invalid when it is no cursor of ours."""
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, name = text.partition(" ")
        instant = datetime.fromisoformat(at)
    except (ValueError, binascii.Error) as error:
        raise Invalid("this cursor was not given by us") from error
    if instant.tzinfo is None or not name:
        raise Invalid("this cursor was not given by us")
    return instant, name
