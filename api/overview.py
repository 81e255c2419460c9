"""The figures of the first page, for the API and the dashboard alike, computed once for all who look with the same scope.

Lines and events are counted by when they reached us. The hour just past is asked for at every refresh; what lies before it, back to
midnight in Seoul, changes only by late work and is asked for once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from api import agency_health, clocks, disclosure, ledger
from api.agency_health import AgencyHealth
from api.centre import Centre, StageState
from api.clocks import Clocks
from api.ledger import LedgerStanding
from core.clock import KST
from core.permissions import Action, Agencies, Principal, Reach
from core.storage import event_queries
from core.storage.event_queries import Counts, Heard, Minute
from respond.centres import links
from respond.incidents import queries as incidents
from respond.incidents.machine import ENDED, State
from respond.incidents.sight import Sight

CHART_MINUTES: Final = 60
_MINUTE: Final = timedelta(minutes=1)
_FRESH: Final = timedelta(seconds=1.5)
_ENDED_FRESH: Final = timedelta(seconds=15)
OPEN: Final = tuple(state for state in State if state not in ENDED)
_HEARD_FRESH: Final = timedelta(seconds=5)
_NOTHING: Final = Counts(0, 0, 0, [])
SHOWN_CLOCKS: Final = 12
_Scope = tuple[Agencies, Sight, frozenset[tuple[Action, Reach]], str]
"""What two callers must have in common to be shown the same."""


@dataclass(frozen=True, slots=True)
class _Records:
    """What the database says."""

    incidents: incidents.Counts
    ended: Mapping[tuple[str, str], int]
    centres: Mapping[str, int]
    clocks: Clocks
    ledger: LedgerStanding


@dataclass(frozen=True, slots=True)
class Overview:
    """How things stood at `at`, within somebody's scope. Today began at midnight in Seoul.

    `events_per_second` is the mean of the last minute; `minutes` are the last sixty, the present one last. `lag` counts messages waiting
    for any stage. Of incidents there are none for those who do not read them; `incidents` counts them by state and severity. `centres`
    counts the active linked centres by their link. `clocks` are those due next, of what the role may read; none of restricted incidents.
    """

    at: datetime
    events_per_second: float
    received_today: int
    quarantined_today: int
    detections_today: int
    lag: int
    stages: Sequence[StageState]
    open_incidents: int
    open_by_severity: Mapping[str, int]
    minutes: Sequence[Minute]
    centres: Mapping[str, int]
    incidents: Mapping[tuple[str, str], int]
    agencies: Sequence[AgencyHealth]
    clocks: Clocks
    ledger: LedgerStanding


class Overviews:
    """Overviews of one centre by scope, each kept for a moment; belongs to one event loop."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._kept: dict[_Scope, tuple[datetime, asyncio.Task[Overview]]] = {}
        self._earlier: dict[Agencies, tuple[datetime, Counts]] = {}
        self._kept_ended: dict[Sight, tuple[datetime, Mapping[tuple[str, str], int]]] = {}
        self._heard: tuple[datetime, Sequence[Heard]] | None = None

    async def get(self, caller: Principal) -> Overview:
        """The overview as `caller` may see it, at most a moment old.

        Forbidden when they may see none; StoreError when the store or the database does not answer.
        """
        scope = caller.scope(Action.COUNTERS_READ)
        of_incidents = disclosure.common_sight(caller) if caller.may(Action.INCIDENTS_READ) else Sight(frozenset())
        now = self._centre.clock.now()
        key = (scope, of_incidents, frozenset(caller.grants.items()), caller.agency)
        kept = self._kept.get(key)
        if kept is None or now - kept[0] > _FRESH or _failed(kept[1]):
            kept = self._kept[key] = (now, asyncio.create_task(self._compute(caller, scope, of_incidents, now)))
        return await asyncio.shield(kept[1])

    async def _compute(self, caller: Principal, scope: Agencies, of_incidents: Sight, now: datetime) -> Overview:
        midnight = now.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)
        minute = now.replace(second=0, microsecond=0)
        edge = minute - (CHART_MINUTES - 1) * _MINUTE
        recent = await event_queries.counts(self._centre.store, edge, minute + _MINUTE, scope)
        earlier = await self._until(edge, midnight, scope)
        today = [one for one in recent.minutes if one.at >= midnight]
        stages = self._centre.stages()
        records = await asyncio.to_thread(self._records, caller, scope, of_incidents, now)
        heard = await self._last_heard(now)
        quarantined = earlier.quarantined + sum(one.quarantined for one in today)
        return Overview(
            at=now,
            events_per_second=_rate(recent.minutes, now),
            received_today=earlier.events + sum(one.events for one in today) + quarantined,
            quarantined_today=quarantined,
            detections_today=earlier.detections + sum(one.detections for one in today),
            lag=sum(stage.lag or 0 for stage in stages),
            stages=stages,
            open_incidents=sum(records.incidents.open_by_severity.values()),
            open_by_severity=records.incidents.open_by_severity,
            minutes=recent.minutes,
            centres=records.centres,
            incidents={**records.incidents.by_both, **records.ended},
            agencies=agency_health.healths(self._centre.settings.agencies, heard, scope, now),
            clocks=records.clocks,
            ledger=records.ledger,
        )

    async def _until(self, edge: datetime, midnight: datetime, scope: Agencies) -> Counts:
        """What came today before `edge`."""
        if edge <= midnight:
            return _NOTHING
        kept = self._earlier.get(scope)
        if kept is None or kept[0] != edge:
            kept = self._earlier[scope] = (edge, await event_queries.counts(self._centre.store, midnight, edge, scope))
        return kept[1]

    async def health(self, caller: Principal) -> Sequence[AgencyHealth]:
        """How the agencies are doing that `caller` may see counted; Forbidden and StoreError as of `get`."""
        now, scope = self._centre.clock.now(), caller.scope(Action.COUNTERS_READ)
        return agency_health.healths(self._centre.settings.agencies, await self._last_heard(now), scope, now)

    async def _last_heard(self, now: datetime) -> Sequence[Heard]:
        """When each source was last heard, as of some seconds ago, asked once for all scopes."""
        if self._heard is None or now - self._heard[0] > _HEARD_FRESH:
            self._heard = (now, await event_queries.last_seen(self._centre.store, None))
        return self._heard[1]

    def _ended(self, session: Session, sight: Sight, now: datetime) -> Mapping[tuple[str, str], int]:
        """The incidents that ended, which are most of all, as of some seconds ago."""
        kept = self._kept_ended.get(sight)
        if kept is None or now - kept[0] > _ENDED_FRESH:
            kept = self._kept_ended[sight] = (now, incidents.counts(session, sight, ENDED).by_both)
        return kept[1]

    def _records(self, caller: Principal, scope: Agencies, sight: Sight, now: datetime) -> _Records:
        with self._centre.database.session(readonly=True) as session:
            return _Records(
                incidents.counts(session, sight, OPEN),
                self._ended(session, sight, now),
                links.counts(session),
                clocks.running(session, caller, "", now, SHOWN_CLOCKS),
                ledger.standing(session, scope, now),
            )


def _failed(task: asyncio.Task[Overview]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _rate(minutes: Sequence[Minute], now: datetime) -> float:
    """Events a second over the last sixty seconds: the minute under way, and of the one before the part that still counts."""
    before, under_way = minutes[-2:]
    elapsed = now.second + now.microsecond / 1e6
    return (under_way.events + before.events * (60 - elapsed) / 60) / 60
