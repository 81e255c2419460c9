"""The rules as they are in their folders now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from detect.rules import RuleBook

_Seen = frozenset[tuple[str, int, int]]


class RuleLibrary:
    """Gives the rule book `load` makes of `folders`, and loads it anew when a file of theirs has changed. Threads may share it."""

    def __init__(self, load: Callable[[], RuleBook], folders: Sequence[Path]) -> None:
        self._load = load
        self._folders = tuple(folders)
        self._guard = threading.Lock()
        self._seen: _Seen | None = None
        self._book = RuleBook(())

    def current(self) -> RuleBook:
        """The rule book; the same object as before when nothing changed. Blocks while it is loaded."""
        with self._guard:
            seen = self._look()
            if seen != self._seen:
                self._book = self._load()
                self._seen = seen
            return self._book

    def _look(self) -> _Seen:
        seen = set()
        for folder in self._folders:
            for file in folder.rglob("*.y*ml"):
                with suppress(OSError):  # gone meanwhile: it is not among them
                    stat = file.stat()
                    seen.add((str(file), stat.st_mtime_ns, stat.st_size))
        return frozenset(seen)
