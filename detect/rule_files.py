"""The rules of folders and those people approved, and whether they have changed since they were read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from detect.approved import Approved, Fingerprint
from detect.rules import RuleBook, Text, rule_files


class RuleFiles:
    """The rules of folders, and of `approved` beside them, as they were when `fingerprint` was taken; `load` reads the folders and lays the
    texts it is given over them.
    """

    def __init__(self, folders: Iterable[Path], load: Callable[[Iterable[Text]], RuleBook], approved: Approved | None = None) -> None:
        self.folders = tuple(folders)
        self._approved = approved
        self.fingerprint = self.look()  # before reading: what changes meanwhile is seen at the next look
        self.book = load(approved.texts() if approved else ())
        self._load = load

    def look(self) -> Fingerprint:
        """The fingerprint as it is now."""
        found = fingerprint(self.folders)
        return found | self._approved.fingerprint() if self._approved else found

    def again(self) -> RuleFiles:
        """The rules as they are now."""
        return RuleFiles(self.folders, self._load, self._approved)


class RuleLibrary:
    """Rules that are read anew when they are asked for after a change. Threads may share it."""

    def __init__(self, files: RuleFiles) -> None:
        self._files = files
        self._guard = threading.Lock()

    def current(self) -> RuleBook:
        """The rule book; the same object as before when nothing changed. Blocks while it is read."""
        with self._guard:
            if self._files.look() != self._files.fingerprint:
                self._files = self._files.again()
            return self._files.book


def fingerprint(folders: Iterable[Path]) -> Fingerprint:
    """What tells whether a file of rules was added, changed or taken away: path, time of change (ns) and size of each."""
    found = set()
    for folder in folders:
        for path in rule_files(folder):
            try:
                told = path.stat()
            except FileNotFoundError:
                continue
            found.add((str(path), told.st_mtime_ns, told.st_size))
    return frozenset(found)
