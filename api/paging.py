"""How rows are named in paths and pages: a row by its own number, where a page ended by an opaque word for the caller to give back."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated

from fastapi import Path, Query

from core.errors import Invalid

Cursor = Annotated[str, Query(max_length=512, description="`next_cursor` of the page before; empty: from the start")]
RowCursor = Annotated[str, Query(pattern=r"^[0-9]{0,18}$", description="`next_cursor` of the page before; empty: from the start")]
"""Where a page ended, by the number of a row."""
RowNumber = Annotated[int, Path(ge=1, lt=1 << 63)]
"""The number a database gave a row, within what it can hold."""


def encode_instant(at: datetime, name: str) -> str:
    """The cursor after the row of this instant and name."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {name}".encode()).decode().rstrip("=")


def encode_words(*words: str) -> str:
    """The cursor after the row of these words."""
    return base64.urlsafe_b64encode(json.dumps(words, ensure_ascii=False).encode()).decode().rstrip("=")


def decode_words(cursor: str, count: int) -> list[str]:
    """The words of the last row seen. Invalid when it is no cursor of ours, with `count` of them."""
    try:
        words = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError) as error:
        raise Invalid("this cursor was not given by us") from error
    if not isinstance(words, list) or len(words) != count or not all(isinstance(word, str) for word in words):
        raise Invalid("this cursor was not given by us")
    return words


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
