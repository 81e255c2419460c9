"""A source that sends far less in an hour than it does in such an hour.

Method: the lines of the hour against the median of the same hour of the week in up to four weeks (`seasons`). Told when they are below
`share` of the median (half) and more than `deviations` (3) median absolute deviations below it; hours whose median is under `min_lines`
are not judged. An hour without any line is for the detector of silence, and an hour in which the watch was not always running is passed
over. Told of a source once a day.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from core.baseline_settings import BaselineSettings, FallingSettings
from detect.baselines.detector import About, Asked, Finding, Outcome
from detect.baselines.memory import SLOT
from detect.baselines.seasons import Usual, hour_of, usual
from detect.baselines.silence import BY_SOURCE, about_source
from detect.baselines.sources import Source, hours, sources

_HOUR: Final = timedelta(hours=1)
_SLOTS_AN_HOUR: Final = 12
_FOUR_WEEKS: Final = timedelta(days=28)


class Falling:
    """The detector."""

    about = About(
        word="falling",
        rule_id="5f0a4d5c-2f4e-4f43-8a3d-9c1b7d2e6a22",
        title="Log source sends far less than usual",
        title_ko="로그 수집원의 로그량이 평소보다 크게 감소함",
        level="low",
        tags=("attack.defense-evasion", "attack.t1562.006"),
        every=_HOUR,
        repeat=timedelta(days=1),
    )

    def enabled(self, settings: BaselineSettings) -> bool:
        return settings.falling.enabled

    async def evaluate(self, asked: Asked) -> Outcome:
        """The sources whose hour was too thin."""
        window, settings = asked.window, asked.settings.falling
        if len(await asked.memory.watched(window.start, window.end)) < _HOUR / SLOT:
            return Outcome()
        known = await sources(asked.store, asked.agencies, window.end)
        judged = [one for one in known if one.last >= window.start and window.end - one.first >= timedelta(hours=settings.learn_hours)]
        if not judged:
            return Outcome()
        sent = await hours(asked.store, [one.key for one in judged], window.start - _FOUR_WEEKS, window.end, of_day=window.start.hour)
        hour = hour_of(window.start)
        findings = []
        for source in judged:
            lines = {at: float(one.lines) for at, one in sent.get(source.key, {}).items()}
            found = usual(lines, hour, source.first_hour)
            threshold = threshold_of(found, settings) if found else 0.0
            if found and 0 < lines.get(hour, 0.0) < threshold:
                findings.append(_finding(asked, source, lines[hour], found, threshold))
        return Outcome(findings)


def threshold_of(expected: Usual, settings: FallingSettings) -> float:
    """Fewer lines than this are told of; 0 when the hour is not judged."""
    if expected.median < settings.min_lines:
        return 0.0
    return max(0.0, min(settings.share * expected.median, expected.median - settings.deviations * expected.deviation))


def _finding(asked: Asked, source: Source, observed: float, expected: Usual, threshold: float) -> Finding:
    return Finding(
        agency=source.agency,
        subject=source.name,
        population=BY_SOURCE,
        since=asked.window.start,
        until=asked.window.end,
        details={
            "source": source.name,
            "observed": int(observed),
            "expected": expected.median,
            "deviation": round(expected.deviation, 2),
            "threshold": round(threshold, 2),
            "compared_with": expected.known,
            "unit": "lines an hour",
        },
        title=source.name,
        title_ko=source.name,
        columns=about_source(source.name, asked.window.end),
    )
