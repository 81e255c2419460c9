"""What the detectors have learned, for people: how far each is, how each source stands, and which values are known.

It is asked within a scope (the agencies the asker may see, None for all).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from core.baseline_settings import BaselineSettings
from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where
from detect.baselines.detector import About, Window, end_of, windows
from detect.baselines.memory import SLOT, Memory
from detect.baselines.population import SEPARATOR, Agencies
from detect.baselines.seasons import hour_of, start_of, usual
from detect.baselines.silence import LONGEST, Silence, missed_slots
from detect.baselines.sources import HISTORY, Source, hours, sources
from detect.baselines.watch import DETECTORS

State = Literal["learning", "heard", "quiet", "silent"]
_LIMITS: Final = Limits(seconds=60.0, rows=100_000)
_SLOTS_AN_HOUR: Final = 12


@dataclass(frozen=True, slots=True)
class DetectorState:
    """A detector and the end of the last window it has looked at, None when it has not yet."""

    about: About
    enabled: bool
    until: datetime | None


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source, and what is usual for the hour under way.

    `state` is learning (known for too short), heard (in the last slots), quiet (not, but that is usual so far), or silent (told of).
    `first` and `last` are the slots it was heard in; `silence_told` is when it was last told of, be it back since or not; `missed_slots`
    is in how many slots it would have been heard since. What is usual is None while nothing is comparable.
    """

    agency: str
    source: str
    state: State
    first: datetime
    last: datetime
    silence_told: datetime | None
    missed_slots: float
    usual_lines: float | None
    usual_slots: float | None


@dataclass(frozen=True, slots=True)
class TermState:
    """A term at an agency: how many values are known, since when they are watched, and from when new ones are told."""

    agency: str
    term: str
    values: int
    since: datetime
    told_from: datetime


@dataclass(frozen=True, slots=True)
class Learned:
    """All of it, as of `at`."""

    at: datetime
    detectors: Sequence[DetectorState]
    sources: Sequence[SourceState]
    terms: Sequence[TermState]


async def learned(store: Store, settings: BaselineSettings, now: datetime, scope: Scope) -> Learned:
    """What is known at `now`. StoreError when the store does not answer."""
    agencies = Agencies(frozenset(), all_but=True) if scope is None else Agencies(frozenset(scope), all_but=False)
    ticks = await Memory(store).last_ticks()
    detectors = [
        DetectorState(one.about, one.enabled(settings), end_of(ticks[one.about.word]) if one.about.word in ticks else None)
        for one in DETECTORS
    ]
    under_way = next(windows(SLOT, now - SLOT + timedelta(microseconds=1), now + SLOT))
    return Learned(
        now,
        detectors,
        await _sources(store, settings, under_way.end, agencies),
        await _terms(store, settings, agencies),
    )


async def _sources(store: Store, settings: BaselineSettings, until: datetime, agencies: Agencies) -> list[SourceState]:
    known = await sources(store, agencies, until)
    memory = Memory(store)
    told = await memory.told(Silence.about.word, Window(until, until).tick + 1, until - HISTORY)
    watched = await memory.watched(until - LONGEST, until)
    keys = [one.key for one in known]
    alike = await hours(store, keys, start_of(hour_of(until)) - LONGEST * 4, until, of_day=until.hour) if known else {}
    quiet = [one.key for one in known if one.last < until - 2 * SLOT]
    sent = await hours(store, quiet, until - LONGEST * 5, until) if quiet else {}
    states = []
    for one in known:
        of_hour = alike.get(one.key, {})
        lines = usual({hour: float(seen.lines) for hour, seen in of_hour.items()}, hour_of(until), one.first_hour)
        slots = usual({hour: float(seen.active_slots) for hour, seen in of_hour.items()}, hour_of(until), one.first_hour)
        states.append(
            SourceState(
                agency=one.agency,
                source=one.name,
                state=_state(one, settings, until, told.get(one.key)),
                first=one.first,
                last=one.last,
                silence_told=told.get(one.key),
                missed_slots=round(missed_slots(one, sent[one.key], watched), 2) if one.key in sent else 0.0,
                usual_lines=lines.median if lines else None,
                usual_slots=slots.median if slots else None,
            )
        )
    return states


def _state(source: Source, settings: BaselineSettings, until: datetime, told: datetime | None) -> State:
    if told is not None and told > source.last:
        return "silent"
    if source.last >= until - 2 * SLOT:
        young = until - source.first < timedelta(hours=settings.of(source.agency).silence.learn_hours)
        return "learning" if young else "heard"
    return "quiet"


async def _terms(store: Store, settings: BaselineSettings, agencies: Agencies) -> list[TermState]:
    where = Where(["detector = 'firstseen'", "subject != ''", f"NOT endsWith(subject, '{SEPARATOR}')"])
    agencies.add_to(where)
    found = await store.query(
        f"SELECT agency, substringIndex(subject, '{SEPARATOR}', 1) AS term, uniqExact(subject) AS known, min(at) AS since "
        f"FROM baseline_memory WHERE {where.sql} GROUP BY agency, term ORDER BY agency, term",
        where.params,
        _LIMITS,
    )
    return [_term(row, settings) for row in found.to_pylist()]


def _term(row: Mapping[str, Any], settings: BaselineSettings) -> TermState:
    since = row["since"].astimezone(UTC)
    learning = timedelta(days=settings.of(row["agency"]).first_seen.learn_days)
    return TermState(row["agency"], row["term"], row["known"], since, since + learning)
