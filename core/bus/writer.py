"""The one thread that writes the journal: changes asked for at the same time share one transaction, and so one fsync.

Invariants:
- Changes are made durable in the order they were submitted; a submission whose caller gave up before its turn is left out.
- A full disk fails only what does not fit: the changes of a failed transaction are tried again one by one, so that groups can still
  commit and room can be made.
- The thread ends by `close`, after everything submitted before it, or when its event loop is gone.
- `problem` tells of the last failure until a write succeeds; with nothing to write, the journal is probed.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence

import structlog

from core.bus.changes import Append, Change
from core.bus.contract import Position
from core.bus.journal import Journal
from core.errors import BusError, BusFull, BusUnavailable

_MOST_BYTES = 32 << 20
_MOST_CHANGES = 4096
_TICK = 0.5  # seconds without work after which the journal is tidied and the disk looked at

_log = structlog.get_logger()
_Submission = tuple[Change, asyncio.Future[Sequence[Position]]]
_Outcome = tuple[asyncio.Future[Sequence[Position]], Sequence[Position] | BusError]


class Writer:
    """The thread and its queue. `after_round` is called in the event loop whenever something may have changed."""

    def __init__(self, journal: Journal, after_round: Callable[[], None]) -> None:
        self.problem = ""
        self.free_disk = journal.free_disk()
        self._journal = journal
        self._after_round = after_round
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Submission | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="bus-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Change) -> asyncio.Future[Sequence[Position]]:
        """Queue a change; the future is done when it is durable, or has the BusError that says why not."""
        future: asyncio.Future[Sequence[Position]] = self._loop.create_future()
        self._queue.put((change, future))
        return future

    def close(self) -> None:
        """Finish what was submitted, then end. Blocks: not for the event loop's thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            submissions, last = self._gather()
            outcomes = self._round(submissions)
            last = not self._post(outcomes) or last
            self._look_after()

    def _gather(self) -> tuple[list[_Submission], bool]:
        """What is waiting, at most one transaction's worth, and whether it is the last."""
        gathered: list[_Submission] = []
        size = 0
        more_to_trim = self._journal.trimmable and not self.problem
        try:
            item = self._queue.get(timeout=0.0 if more_to_trim else _TICK)
            while item is not None:
                gathered.append(item)
                size += item[0].size if isinstance(item[0], Append) else 0
                if size >= _MOST_BYTES or len(gathered) >= _MOST_CHANGES:
                    return gathered, False
                item = self._queue.get_nowait()
        except queue.Empty:
            return gathered, False
        return gathered, True

    def _round(self, submissions: Sequence[_Submission]) -> Sequence[_Outcome]:
        wanted = [(change, future) for change, future in submissions if not future.cancelled()]
        if not wanted and not self._journal.trimmable and not self.problem:
            return ()
        try:
            if self.problem and not wanted:
                self._journal.probe()
            positions = self._journal.write([change for change, _ in wanted])
        except sqlite3.Error as error:
            return self._failed(wanted, self._journal.explain(error))
        except Exception as error:  # noqa: BLE001 - the thread's boundary: the callers must hear of it, and the thread must go on
            _log.exception("bus.defect")
            return self._failed(wanted, BusUnavailable(f"the journal failed: {error!r}"))
        self.problem = ""
        return [(future, given) for (_, future), given in zip(wanted, positions, strict=True)]

    def _failed(self, wanted: Sequence[_Submission], error: BusError) -> Sequence[_Outcome]:
        if isinstance(error, BusFull) and len(wanted) > 1:
            return [outcome for one in wanted for outcome in self._round([one])]
        self.problem = str(error)
        _log.error("bus.write_failed", error=self.problem, changes=len(wanted))
        return [(future, error) for _, future in wanted]

    def _look_after(self) -> None:
        try:
            self._journal.tidy()
            self.free_disk = self._journal.free_disk()
        except (sqlite3.Error, OSError) as error:
            self.problem = f"the journal cannot be tidied: {error}"
            _log.error("bus.tidy_failed", error=str(error))

    def _post(self, outcomes: Sequence[_Outcome]) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._resolve, outcomes)
        except RuntimeError:  # the loop was closed without closing the bus; nobody waits any more
            _log.warning("bus.loop_closed")
            return False
        return True

    def _resolve(self, outcomes: Sequence[_Outcome]) -> None:
        for future, outcome in outcomes:
            if future.done():
                continue
            if isinstance(outcome, BusError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self._after_round()
