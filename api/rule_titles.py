"""Titles of rules in Korean, by the titles incidents bear: an incident keeps what its rule was called, people read it in their language.

Shared by all pages. What is known is in memory; `look` reads the rules in force again when they are others than before. Titles of rules
that are not in force any more, and those people wrote, are shown as they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from core.database import Database
from detect import published
from detect.baselines.watch import DETECTORS

_LOOKS_EVERY: Final = 10.0  # seconds
_OF_DETECTORS: Final = {one.about.title: one.about.title_ko for one in DETECTORS}


class RuleTitles:
    """What rules in force are called in Korean."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version = ""
        self._korean: Mapping[str, str] = {}
        self._looks_at = 0.0

    async def look(self) -> None:
        """Bring what is known up to date."""
        await asyncio.to_thread(self.look_now)

    def look_now(self) -> None:
        """As `look`, for a thread that may wait."""
        if time.monotonic() >= self._looks_at:
            self._read()
            self._looks_at = time.monotonic() + _LOOKS_EVERY

    def korean(self, title: str) -> str:
        """What `title` is in Korean; '' when it is no rule's, or its rule does not say."""
        if found := self._korean.get(title):
            return found
        detector, colon, about = title.partition(": ")  # what a detector of the unusual found, and where
        return f"{korean}{colon}{about}" if (korean := _OF_DETECTORS.get(detector)) else ""

    def with_words(self, text: str) -> frozenset[str]:
        """The titles whose Korean has `text` in it."""
        return frozenset(title for title, korean in self._korean.items() if text in korean)

    def _read(self) -> None:
        with self._database.session(readonly=True) as session:
            running = published.in_force(session)
            if running is None or running.process.version == self._version:
                return
            rules = published.every_rule(session, running.process.name)
        self._korean = {one.title: one.about["words"]["title_ko"] for one in rules if one.about["words"].get("title_ko")}
        self._version = running.process.version
