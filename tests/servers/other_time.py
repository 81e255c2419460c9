"""`bongsu` on a machine whose clock was moved: `python -m tests.servers.other_time FILE up --config ...`.

FILE holds how many seconds the clock is ahead of the real one; it may be written anew while the command runs. Only the wall clock moves,
as on a real machine: what waits for some seconds still waits for them.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.clock import SystemClock
from runtime.cli import main


class MovedClock:
    """The machine's clock as FILE moves it, and the same from outside, to move it."""

    def __init__(self, file: Path, at: datetime | None = None) -> None:
        self.file = file
        if at is not None:
            self._write((at - datetime.now(UTC)).total_seconds())

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self.file.read_text(encoding="ascii")))

    def advance(self, by: timedelta) -> None:
        self._write(float(self.file.read_text(encoding="ascii")) + by.total_seconds())

    def _write(self, seconds: float) -> None:
        made = self.file.with_suffix(".new")
        made.write_text(repr(seconds), encoding="ascii")
        made.replace(self.file)


if __name__ == "__main__":
    moved = MovedClock(Path(sys.argv.pop(1)))
    SystemClock.now = lambda _self: moved.now()  # type: ignore[method-assign]
    main()
