"""Work done now and then beside the stages: written once, so that a failure never ends it and never goes unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from core import metrics
from core.errors import BongsuError

_log = structlog.get_logger()


async def every(seconds: float, name: str, job: Callable[[], None]) -> None:
    """Call `job` in a thread, for ever, `seconds` after it ended the last time; the first time at once.

    What it raises is counted, logged when it is new, and tried again the next time.
    """
    problem = ""
    while True:
        try:
            await asyncio.to_thread(job)
            problem = ""
        except Exception as error:  # noqa: BLE001 - the loop's boundary: the next time it may work
            metrics.PERIODIC_FAILURES.labels(name).inc()
            if str(error) != problem:
                _log.error(
                    "periodic.failed", job=name, error=str(error), exc_info=None if isinstance(error, BongsuError | OSError) else error
                )
            problem = str(error)
        await asyncio.sleep(seconds)
