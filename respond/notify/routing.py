"""Which channels a piece of news goes to, and when: pure functions of the settings.

An exercise never leaves the building: its news goes only by channels that say they end in it. Quiet hours (KST) hold news back until they
end; critical news they never hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from core.clock import KST
from core.config import NotifySettings, QuietHours, Route
from respond.cases.models import Outgoing

CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The names of the channels, and whether whoever is on call must acknowledge."""

    channels: Sequence[str]
    page: bool


def wanted(settings: NotifySettings, news: Outgoing) -> Wanted:
    """Where `news` goes: every route that fits counts."""
    fitting = [route for route in settings.routes if _fits(route, news)]
    inside = {channel.name for channel in settings.channels if channel.drills or not news.exercise}
    names = dict.fromkeys(name for route in fitting for name in route.channels if name in inside)
    return Wanted(tuple(names), any(route.page for route in fitting))


def not_before(quiet: QuietHours | None, severity: str, at: datetime) -> datetime:
    """When news that came `at` may go out."""
    if quiet is None or severity == CRITICAL or quiet.begin == quiet.end:
        return at
    local = at.astimezone(KST)
    end = local.replace(hour=quiet.end.hour, minute=quiet.end.minute, second=quiet.end.second, microsecond=0)
    if end <= local:
        end += timedelta(days=1)
    length = timedelta(seconds=(_seconds(quiet.end) - _seconds(quiet.begin)) % 86_400)
    return end.astimezone(at.tzinfo) if end - length <= local else at


def _seconds(at: object) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second  # type: ignore[attr-defined, no-any-return]


def _fits(route: Route, news: Outgoing) -> bool:
    return (
        any(fnmatchcase(news.kind, pattern) for pattern in route.kinds)
        and (not route.severities or news.severity in route.severities)
        and (not route.agencies or news.agency in route.agencies)
    )
