"""New rules and tunings without stopping: files are looked at every few seconds, and the compiled set is swapped between two batches.

- A change is taken once the files stand still for one look, so that a file half written is not read.
- What is on disk is what runs: a rule that was broken by an edit is set aside with its reason, as at a start, and the others run on. So a
  restart changes nothing, and the broken rule is told of in the log, in the metrics and by the API.
- Compiling happens in a thread beside the stream, which goes on with the rules it has. When the engine does not answer, it is tried again.
- The database says what people approved and tuned; while it does not answer, what was read last holds.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable
from typing import Final

import structlog

from core import metrics
from core.database import Database
from core.engine import Engine
from core.errors import BongsuError
from detect import published
from detect.correlation.stage import CorrelateStage
from detect.published import Snapshot
from detect.rule_files import RuleFiles
from detect.rules import RuleBook
from detect.ruleset import SETTINGS
from detect.stream import Detector, Prepared
from detect.tuning import TuningReader

EVERY_SECONDS: Final = 5.0
_SEEN_EVERY: Final = 6  # looks
_log = structlog.get_logger()


class FileWatcher:
    """Gives `take` the rules anew when a file changed, once the files stood still for one look. `look` is for one thread at a time."""

    def __init__(self, rules: RuleFiles, take: Callable[[RuleBook], None]) -> None:
        self._rules = rules
        self._take = take
        self._looked = rules.fingerprint

    @property
    def book(self) -> RuleBook:
        """The rules that were taken last."""
        return self._rules.book

    def look(self) -> None:
        """What `take` raises comes out, and the next look tries again."""
        found, looked = self._rules.look(), self._looked
        self._looked = found
        if found == self._rules.fingerprint or found != looked:
            return
        rules = self._rules.again()
        self._take(rules.book)
        self._rules = rules
        metrics.RULES_RELOADED.labels("done").inc()


async def look_for_ever(look: Callable[[], None], every: float = EVERY_SECONDS) -> None:
    """Call `look` in a thread now and then; what it raises is counted, logged when it is new, and what runs goes on."""
    problem = ""
    while True:
        await asyncio.sleep(every)
        try:
            await asyncio.to_thread(look)
            problem = ""
        except Exception as error:  # noqa: BLE001 - the loop's boundary: the rules that run must go on, whatever became of new ones
            metrics.RULES_RELOADED.labels("failed").inc()
            if str(error) != problem:
                _log.error("rules.not_renewed", error=str(error), exc_info=None if isinstance(error, BongsuError | OSError) else error)
            problem = str(error)


class CorrelationWatcher:
    """Keeps the correlations of a stage, and their tunings, as the files and the database have them."""

    def __init__(self, stage: CorrelateStage, database: Database, rules: RuleFiles) -> None:
        """`stage` runs the book of `rules`."""
        self._stage = stage
        self._database = database
        self._files = FileWatcher(rules, stage.replace)
        self._tunings = TuningReader()

    def look(self) -> None:
        """Take what changed since the last look. What it raises may have passed by the next."""
        self._files.look()
        self._stage.tunings = self._tunings.read(self._database, self._files.book)


class RuleWatcher:
    """Keeps a detector's rules and tunings as the files and the database have them. `look` is for one thread at a time."""

    def __init__(self, detector: Detector, engine: Engine, database: Database, rules: RuleFiles) -> None:
        """`detector` runs the book of `rules`."""
        self._detector = detector
        self._engine = engine
        self._database = database
        self._files = FileWatcher(rules, self._take)
        self._tunings = TuningReader()
        self._prepared = detector.prepared
        self._process = f"{platform.node()}-{os.getpid()}"
        self._told = ""
        self._looks = 0

    def start(self) -> None:
        """Take the tunings and say what runs, before the first batch. StoreUnavailable when the database does not answer."""
        self._take_tunings()
        self._publish()

    def look(self) -> None:
        """Take what changed since the last look. What it raises may have passed by the next."""
        self._files.look()
        self._take_tunings()
        self._publish()

    def _take(self, book: RuleBook) -> None:
        session = self._engine.session({**SETTINGS, "max_threads": 1})
        try:
            prepared = Prepared(book, session, self._engine)
        finally:
            session.close()
        self._detector.replace(prepared)
        self._prepared = prepared
        _log.info("rules.reloaded", active=len(prepared.plan.active), set_aside=len(prepared.plan.set_aside))

    def _take_tunings(self) -> None:
        found = self._tunings.read(self._database, self._files.book)
        if found != self._detector.tunings:
            self._detector.tunings = found
            _log.info("rules.tuned", changes=len(found.changes))

    def _publish(self) -> None:
        """Say what runs when that changed, and that we live every half minute."""
        snapshot = self._snapshot()
        self._looks += 1
        if snapshot.version == self._told and self._looks % _SEEN_EVERY:
            return
        with self._database.session() as session:
            if snapshot.version != self._told or not published.seen(session, self._process):
                published.publish(session, self._process, snapshot)
        self._told = snapshot.version

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._prepared.plan.active, self._prepared.correlations, tuple(self._prepared.plan.set_aside))
