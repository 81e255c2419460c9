"""Sends the lines of running drills, each at its time, as the devices of an agency would.

After an interruption the rest goes out in the rhythm of the scenario, later by what the interruption took. A line may then come twice,
none is left out. When the listener cannot be reached for some tries, the drill is broken off and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

import structlog
from sqlalchemy.orm import Session

from core.crypto import token
from core.database import Database
from core.errors import BongsuError
from respond.drills import sending
from respond.drills.links import Access, Links
from respond.drills.machine import Sending
from respond.drills.sending import Job, Progress
from respond.drills.timeline import Shot

_T = TypeVar("_T")

_LOOKS_EVERY: Final = 1.0  # seconds
_RECORDS_EVERY: Final = 1.0
_MOST_AT_ONCE: Final = 500  # lines between two records
_TRIES: Final = 5
_PAUSE: Final = 2.0
_log = structlog.get_logger()


class DrillRunner:
    """One of any number; which drill is whose is decided in the database."""

    def __init__(self, database: Database, access: Access, resume: timedelta) -> None:
        """`resume`: a drill that nobody has sent for longer is not taken up again."""
        self._database = database
        self._access = access
        self._resume = resume
        self._holder = token()
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look for drills and send them, for ever; cancel it to end. What is under way is then taken up by whoever looks next."""
        problem = ""
        try:
            while True:
                try:
                    while job := await self._with(lambda session: sending.claim(session, self._holder, self._resume)):
                        self._begin(job)
                    problem = ""
                except BongsuError as error:
                    if str(error) != problem:
                        _log.error("drills.cannot_look", error=str(error))
                    problem = str(error)
                await asyncio.sleep(_LOOKS_EVERY)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _begin(self, job: Job) -> None:
        _log.info("drill.sending", drill=job.number, agencies=job.agencies, lines=len(job.timeline.shots), sent=job.sent)
        task = asyncio.create_task(self._send(job), name=job.number)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, job: Job) -> None:
        links = Links(self._access, job)
        try:
            if await self._all_of(job, links):
                await links.finish()
                await self._with(lambda session: sending.end(session, job, Sending.DONE))
        except (OSError, TimeoutError) as error:
            problem = f"the listener cannot be reached: {error or type(error).__name__}"
            await self._with(lambda session: sending.end(session, job, Sending.BROKEN, problem))
        except Exception as error:  # noqa: BLE001 - the loop's boundary: nobody renews the hold, and the next look takes it up
            trace = None if isinstance(error, BongsuError) else error
            _log.error("drill.interrupted", drill=job.number, error=str(error), exc_info=trace)
        finally:
            links.close()

    async def _all_of(self, job: Job, links: Links) -> bool:
        """Send what is left, each line at its time; False when it was stopped, or taken over."""
        shots, place = job.timeline.shots, job.sent
        clock = asyncio.get_running_loop().time
        begun = clock() - (shots[place].at if place < len(shots) else 0.0)
        done, recorded = Progress(), -_RECORDS_EVERY
        while True:
            due = _due(shots, place, clock() - begun)
            if due:
                await self._insist(links, due)
                done.add_all([shot.place for shot in due], self._access.clock.now())
                place += len(due)
            if place == len(shots) or clock() - recorded >= _RECORDS_EVERY:
                if not await self._with(partial(sending.write_down, job=job, done=done)):
                    return False
                done, recorded = Progress(), clock()
            if place == len(shots):
                return True
            await asyncio.sleep(max(0.0, min(shots[place].at - (clock() - begun), _RECORDS_EVERY)))

    async def _insist(self, links: Links, due: Sequence[Shot]) -> None:
        for rest in reversed(range(_TRIES)):
            try:
                await links.send(due)
            except (OSError, TimeoutError):
                if not rest:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _with(self, work: Callable[[Session], _T]) -> _T:
        def transaction() -> _T:
            with self._database.session() as session:
                return work(session)

        return await asyncio.to_thread(transaction)


def _due(shots: Sequence[Shot], place: int, elapsed: float) -> Sequence[Shot]:
    """The lines from `place` on whose time has come, some at most."""
    end = place
    while end < len(shots) and end - place < _MOST_AT_ONCE and shots[end].at <= elapsed:
        end += 1
    return shots[place:end]
