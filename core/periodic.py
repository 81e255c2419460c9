"""Work done now and then beside the stages: written once, so that a failure never ends it and never goes unseen.

The work must be such that doing it twice, or in two processes at once, changes nothing more than doing it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.orm import Session

from core import metrics
from core.database import Database
from core.errors import BongsuError

_log = structlog.get_logger()


async def every(seconds: float, name: str, job: Callable[[], None]) -> None:
    """Call `job` in a thread, for ever; see `repeat`."""
    await repeat(seconds, name, lambda: asyncio.to_thread(job))


async def repeat(seconds: float, name: str, job: Callable[[], Awaitable[None]]) -> None:
    """Await `job`, for ever, `seconds` after it ended the last time; the first time at once.

    What it raises is counted, logged when it is new, and tried again the next time.
    """
    problem = ""
    while True:
        try:
            await job()
            problem = ""
            metrics.TURNS.labels(name, "done").inc()
        except Exception as error:  # noqa: BLE001 - the loop's boundary: the next time it may work
            metrics.TURNS.labels(name, "failed").inc()
            if str(error) != problem:
                trace = None if isinstance(error, BongsuError | OSError) else error
                _log.error("periodic.failed", task=name, error=str(error), exc_info=trace)
            problem = str(error)
        await asyncio.sleep(seconds)


def in_session(database: Database, work: Callable[[Session], object]) -> Callable[[], None]:
    """`work` as a job: one transaction."""

    def job() -> None:
        with database.session() as session:
            work(session)

    return job
