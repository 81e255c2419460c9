"""The audit trail's copy in a second place: a folder, best on another machine's disk, of files that only grow.

One file for each year (of Seoul) holds what is signed, in the form of an export (`respond.trail`). What stands there is compared with the
database each time it is continued, so a database that was rolled back or rewritten is told at once.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.clock import KST
from core.database import Database
from core.signing import Signer
from respond.models import Audit, AuditCheckpoint
from respond.trail import TIME, Last, TrailBroken, lines, make_checkpoint

_TAIL: Final = 1 << 16


class TrailCopy:
    """The copy in the folder `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def continue_from(self, database: Database) -> int:
        """Append what is signed and not yet copied; gives the number of rows. TrailBroken when copy and database differ.

        OSError when the folder cannot be written; nothing is lost by that: the next time continues.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked(), database.session(readonly=True) as session:
            last = self._last()
            self._compare(session, last)
            until = session.scalar(sa.select(sa.func.max(AuditCheckpoint.seq))) or 0
            return self._append(lines(session, last.seq, until)) if until > last.seq else 0

    def compare(self, session: Session) -> None:
        """TrailBroken when the last row of the copy is not the database's."""
        self._compare(session, self._last())

    def texts(self) -> Iterator[str]:
        """Every line of the copy, in order."""
        for file in self._files():
            with file.open(encoding="ascii") as opened:
                yield from opened

    def _compare(self, session: Session, last: Last) -> None:
        if not last.seq:
            return
        found = session.scalar(sa.select(Audit.hash).where(Audit.seq == last.seq))
        if found != last.hash:
            what = "is gone from" if found is None else "is another in"
            raise TrailBroken(f"row {last.seq} of the audit trail's copy in {self._folder} {what} the database: verify both, find out who")

    def _append(self, texts: Iterable[str]) -> int:
        count, year = 0, ""
        files: dict[str, IO[str]] = {}
        with ExitStack() as opened:
            for text in texts:
                found = json.loads(text)
                if "seq" in found:
                    count, year = count + 1, _year(found["at"])
                if year not in files:
                    files[year] = opened.enter_context(_appended(self._folder / f"audit-{year}.jsonl"))
                files[year].write(text + "\n")
        return count

    def _last(self) -> Last:
        """The last row of the copy. A line cut short by a crash is taken off: its row comes again."""
        for file in reversed(self._files()):
            _cut_half_line(file)
            for text in _backwards(file):
                found = json.loads(text)
                if "seq" in found:
                    return Last(found["seq"], found["hash"])
        return Last()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("audit-[0-9][0-9][0-9][0-9].jsonl"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def keep(database: Database, signer: Signer, copy: TrailCopy) -> None:
    """What is done now and then: sign the newest row, continue the copy."""
    with database.session() as session:
        make_checkpoint(session, signer)
    copy.continue_from(database)


def _year(at: str) -> str:
    return str(datetime.strptime(at, TIME).replace(tzinfo=UTC).astimezone(KST).year)


@contextmanager
def _appended(file: Path) -> Iterator[IO[str]]:
    """A file to append to; on disk when the block ends."""
    with file.open("a", encoding="ascii") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def _cut_half_line(file: Path) -> None:
    with file.open("rb+") as opened:
        size = opened.seek(0, os.SEEK_END)
        reach = _TAIL
        while True:
            start = opened.seek(max(size - reach, 0))
            newline = opened.read().rfind(b"\n")
            if newline >= 0 or not start:
                opened.truncate(start + newline + 1)
                return
            reach *= 2


def _backwards(file: Path) -> Iterator[str]:
    """Some of the last lines, the last first: two at least where there are two, so that a row is among them."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        reach = _TAIL
        while True:
            start = opened.seek(max(size - reach, 0))
            found = opened.read().decode("ascii").splitlines()
            whole = found[1:] if start else found
            if len(whole) > 1 or not start:
                yield from reversed(whole)
                return
            reach *= 2
