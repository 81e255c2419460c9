"""A source that sends nothing when it always did.

Method: of every hour it is known in what share of its five-minute slots a source is usually heard: the median over the same hour of the
week (`seasons`). Since it was last heard, the shares of the slots gone by add up to the number of slots in which it would have been heard
by now; from `slots` on (3) it is told. So one that sends all the time is told after a quarter of an hour, one that sends a batch an hour
after three hours, and one that is quiet at night not at night. Only slots in which the watch itself ran count.
Told once for each silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from core.baseline_settings import BaselineSettings
from detect.baselines.detector import About, Asked, Finding, Outcome
from detect.baselines.memory import SLOT, Seen
from detect.baselines.population import LIVE, Population
from detect.baselines.seasons import hour_of, usual
from detect.baselines.sources import Hour, Source, hours, sources

LONGEST: Final = timedelta(days=7)
"""A silence is added up for no longer; a source that is silent for longer is none any more."""

BY_SOURCE: Final = Population(LIVE, "toString(source)")
_SLOTS_AN_HOUR: Final = 12
_NOBODYS: Final = dict.fromkeys(("src_ip", "dst_ip", "src_port", "dst_port"), None) | dict.fromkeys(("user", "url", "domain"), "")


class Silence:
    """The detector."""

    about = About(
        word="silence",
        rule_id="0b6f3f3e-7a52-4c1e-9d0e-5b3a6f0c8a11",
        title="Log source has fallen silent",
        title_ko="로그 수집원이 침묵함",
        level="medium",
        tags=("attack.defense-evasion", "attack.t1562.006"),
        every=SLOT,
    )

    def enabled(self, settings: BaselineSettings) -> bool:
        return settings.silence.enabled

    async def evaluate(self, asked: Asked) -> Outcome:
        """The sources of which too many expected slots went by."""
        window, settings = asked.window, asked.settings.silence
        recent = await sources(asked.store, asked.agencies, window.end, LONGEST)
        quiet = {one.key: one for one in recent if one.last < window.start}
        told = await asked.memory.told(self.about.word, window.tick, window.end - LONGEST) if quiet else {}
        untold = {key for key, one in quiet.items() if key not in told or told[key] <= one.last}
        known = await sources(asked.store, asked.agencies, window.end, keys=untold) if untold else []
        waiting = [one for one in known if window.end - one.first >= timedelta(hours=settings.learn_hours)]
        if not waiting:
            return Outcome()
        watched = await asked.memory.watched(window.end - LONGEST, window.end)
        sent = await hours(asked.store, [one.key for one in waiting], window.end - LONGEST * 5, window.end)
        missed = {one.key: missed_slots(one, sent.get(one.key, {}), watched) for one in waiting}
        silent = [one for one in waiting if missed[one.key] >= settings.slots]
        findings = [_finding(one, window.end, missed[one.key], settings.slots) for one in silent]
        return Outcome(findings, [Seen(one.agency, one.name, window.end) for one in silent])


def missed_slots(source: Source, sent: Mapping[int, Hour], watched: Sequence[datetime]) -> float:
    """In how many of the slots `watched` after the last one it was heard in the source would have been heard."""
    shares = {hour: one.active_slots / _SLOTS_AN_HOUR for hour, one in sent.items()}
    expected: dict[int, float] = {}
    total = 0.0
    for slot in watched:
        if slot > source.last:
            hour = hour_of(slot)
            if hour not in expected:
                found = usual(shares, hour, source.first_hour)
                expected[hour] = found.median if found else 0.0
            total += expected[hour]
    return total


def _finding(source: Source, end: datetime, missed: float, threshold: float) -> Finding:
    return Finding(
        agency=source.agency,
        subject=source.name,
        population=BY_SOURCE,
        since=source.last,
        until=source.last + SLOT,
        details={
            "source": source.name,
            "silent_minutes": (end - source.last) // timedelta(minutes=1),
            "observed": 0,
            "expected": round(missed, 2),
            "threshold": threshold,
            "unit": "five-minute slots",
        },
        title=source.name,
        title_ko=source.name,
        columns=about_source(source.name, end),
    )


def about_source(name: str, at: datetime) -> dict[str, object]:
    """Columns of a finding that is about a source and none of its events: it stands for the device, and `at` is when it was noticed."""
    return {**_NOBODYS, "source": name, "device": name, "event_time": at, "raw": ""}
