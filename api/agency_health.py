"""How each agency's intake is doing, by when its newest line reached us: live, late, silent, or never heard at all.

The thresholds are the centre's own, for a glance at the whole city; which source is silent against its own habit, `detect.baselines` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from core.config import Agency
from core.permissions import Agencies
from core.storage.event_queries import Heard

LIVE_FOR: Final = timedelta(minutes=10)
LATE_FOR: Final = timedelta(hours=1)


class Health(StrEnum):
    """How an agency's intake is doing, the worst first."""

    SILENT = "silent"
    LATE = "late"
    NEVER = "never"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class AgencyHealth:
    """`heard_at` is when the newest line came; of its `sources` (configured, or heard of), `live` sent something just now."""

    agency: str
    health: Health
    heard_at: datetime | None
    sources: int
    live: int


def judged(heard_at: datetime | None, now: datetime) -> Health:
    """What it means that the newest line came then."""
    if heard_at is None:
        return Health.NEVER
    if now - heard_at < LIVE_FOR:
        return Health.LIVE
    return Health.LATE if now - heard_at < LATE_FOR else Health.SILENT


def healths(agencies: Sequence[Agency], heard: Iterable[Heard], scope: Agencies, now: datetime) -> list[AgencyHealth]:
    """Every configured agency in its order, then others that were heard, within `scope`."""
    newest: dict[str, dict[str, datetime | None]] = {agency.id: dict.fromkeys(one.name for one in agency.sources) for agency in agencies}
    for one in heard:
        newest.setdefault(one.agency, {})[one.source] = one.at
    return [_of(agency, newest[agency], now) for agency in newest if scope is None or agency in scope]


def _of(agency: str, sources: dict[str, datetime | None], now: datetime) -> AgencyHealth:
    heard_at = max((at for at in sources.values() if at is not None), default=None)
    live = sum(judged(at, now) is Health.LIVE for at in sources.values())
    return AgencyHealth(agency, judged(heard_at, now), heard_at, len(sources), live)
