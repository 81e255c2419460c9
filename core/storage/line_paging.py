"""Pages of lines, newest first: the order, and the cursor that stands where a page ended.

Lines are ordered by a time of theirs and then by their position, so that lines which come later never move what a cursor points at.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Final

import pyarrow as pa

from core.clock import from_millis, millis
from core.errors import Invalid
from core.events import POSITION
from core.storage.event_queries import Where, is_position

_POSITION: Final = tuple(column.name for column in POSITION)
_LATEST: Final = 7_258_118_400_000  # the year 2200: later times have no cursor


def newest_first(time: str) -> str:
    """SQL of the order by the column `time`."""
    return ", ".join(f"{name} DESC" for name in (time, *_POSITION))


def cursor_after(shown: pa.Table, time: str) -> str:
    """The cursor after the last row of `shown`, which has the column `time` and those of the position."""
    row = shown.slice(shown.num_rows - 1).to_pylist()[0]
    key = [millis(row[time]), *(row[name] for name in _POSITION)]
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def go_on(where: Where, time: str, cursor: str) -> datetime:
    """Add that lines come after `cursor`; gives the time it stands at (UTC). Invalid when it is no cursor of ours."""
    try:
        at, *position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        instant = from_millis(int(at))
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise Invalid("the cursor is not one of ours") from None
    if not is_position(position) or not 0 <= at < _LATEST:
        raise Invalid("the cursor is not one of ours")
    types = ("DateTime64(3, 'UTC')", *(column.parameter for column in POSITION))
    where.add(lambda *p: f"({', '.join((time, *_POSITION))}) < ({', '.join(p)})", *zip(types, (instant, *position), strict=True))
    return instant
