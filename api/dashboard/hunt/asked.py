"""What a hunt page is asked for, as the URL's query says it: search, time, columns. A link to it is the search itself.

`range` is a time up to now (`15m`, `1h`, `24h`, `7d`); `since` and `until` (ISO 8601; without a zone Seoul's) are a time of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from core.clock import KST
from core.events import EVENTS, POSITION

RANGES: Final = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}
USUAL_RANGE: Final = "1h"
USUAL_COLUMNS: Final = ("event_time", "agency", "source", "src_ip", "dst_ip", "dst_port", "disposition", "raw")
COLUMNS_COOKIE: Final = "bongsu_hunt_columns"  # static/hunt.js sets it
SHOWABLE: Final = tuple(column.name for column in EVENTS.columns if column not in POSITION)


@dataclass(frozen=True, slots=True)
class Asked:
    """`range` is one of RANGES, or '' where `since` and `until` (UTC) say the time."""

    q: str = ""
    range: str = USUAL_RANGE
    since: datetime | None = None
    until: datetime | None = None
    columns: tuple[str, ...] = USUAL_COLUMNS

    @classmethod
    def of(cls, query: Mapping[str, str], columns: str = "") -> Asked:
        """What `query` says; `columns` are those this browser remembers. What cannot be read is as if it were not there."""
        since, until = moment(query.get("since", "")), moment(query.get("until", ""))
        if since is not None and until is not None and since >= until:
            since = until = None
        own = since is not None or until is not None
        wished = query.get("range", "")
        return cls(
            q=query.get("q", ""),
            range="" if own else wished if wished in RANGES else USUAL_RANGE,
            since=since,
            until=until,
            columns=_known(query.get("columns", "")) or _known(columns) or USUAL_COLUMNS,
        )

    def between(self, now: datetime) -> tuple[datetime, datetime]:
        """The time it means at `now`, UTC."""
        until = self.until or now
        return self.since or until - RANGES[self.range or USUAL_RANGE], until

    def within(self, since: datetime, until: datetime) -> Asked:
        """The same at another time."""
        return replace(self, range="", since=since, until=until)

    @property
    def url(self) -> str:
        """The page that shows it."""
        said = {"q": self.q, "range": "" if self.range == USUAL_RANGE else self.range, "since": _iso(self.since), "until": _iso(self.until)}
        if self.columns != USUAL_COLUMNS:
            said["columns"] = ",".join(self.columns)
        query = urlencode({name: value for name, value in said.items() if value})
        return f"/hunt?{query}" if query else "/hunt"


def moment(text: str) -> datetime | None:
    """The time `text` says, UTC; Seoul's when it names no zone; None when it is none."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=KST)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def local(at: datetime) -> str:
    """A time as a browser's field for it takes it, in Seoul's."""
    return at.astimezone(KST).strftime("%Y-%m-%dT%H:%M:%S")


def _iso(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _known(names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names.split(",") if name in SHOWABLE))
