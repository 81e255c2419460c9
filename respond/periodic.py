"""What the respond stage does by the clock: one transaction now and then, for ever.

The work of a task must be such that doing it twice, or in two processes at once, changes nothing more than doing it once. A failure is
logged and counted, and the next turn tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from core import metrics
from core.database import Database
from core.errors import StoreError

_log = structlog.get_logger()


class Periodic:
    """One task. `problem` is why its last turn failed, '' when it did not."""

    def __init__(self, name: str, database: Database, work: Callable[[Session], object], every_seconds: float) -> None:
        self.name = name
        self.problem = ""
        self._database = database
        self._work = work
        self._every = every_seconds

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(self._every)

    async def turn(self) -> None:
        """Do the work once."""
        try:
            await asyncio.to_thread(self._once)
        except StoreError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - the loop's boundary: the next turn must come
            self._failed(error, defect=True)
        else:
            self.problem = ""
            metrics.TURNS.labels(self.name, "done").inc()

    def _once(self) -> None:
        with self._database.session() as session:
            self._work(session)

    def _failed(self, error: Exception, *, defect: bool = False) -> None:
        self.problem = str(error) or type(error).__name__
        metrics.TURNS.labels(self.name, "failed").inc()
        _log.error("periodic.failed", task=self.name, error=self.problem, exc_info=error if defect else None)
