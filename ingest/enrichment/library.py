"""The dictionaries in use, and the reading of their files: at the start, and again whenever one changes.

A file that cannot be used leaves what was read of it before in use, and is told of: in the log once, in the metrics, by `states`. All
tables are replaced together by one assignment, so a batch sees the old ones or the new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from core import metrics
from core.config import EnrichmentSettings
from core.errors import DictionaryError
from ingest.enrichment import assets, geography, threats
from ingest.enrichment.assets import Assets
from ingest.enrichment.geography import AddressDatabase, AutonomousSystem, Geography
from ingest.enrichment.threats import Threats

_EVERY_SECONDS: Final = 30.0
_KNOWN_BAD: Final = "known_bad."
_log = structlog.get_logger()

Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Tables:
    """What events are looked up in. None: not configured, or never readable."""

    assets: Assets | None = None
    geography: Geography | None = None
    threats: Threats | None = None

    def __bool__(self) -> bool:
        return self.by_address or self.threats is not None

    @property
    def by_address(self) -> bool:
        """Whether there is anything to say of addresses."""
        threats = self.threats is not None and self.threats.has_networks
        return threats or self.assets is not None or self.geography is not None


@dataclass(frozen=True, slots=True)
class State:
    """One dictionary: its setting below `enrichment`, its file, what is in use of it, and what is wrong with the file as it is now."""

    name: str
    file: Path
    held: str
    problem: str


class _Dictionary:
    """One file."""

    def __init__(self, name: str, file: Path, load: Callable[[Path], Any]) -> None:
        self.name = name
        self.file = file
        self.content: Any = None
        self.problem = ""
        self._load = load
        self._seen: Signature | None = None

    @property
    def held(self) -> str:
        if self.content is None:
            return "nothing"
        return self.content.description if isinstance(self.content, AddressDatabase) else f"{self.content.entries:,} entries"

    def refresh(self) -> bool:
        """Read the file if it is another than the one seen last; whether what is in use changed."""
        try:
            signature = _signature(self.file)
            if signature == self._seen:
                return False
            self._seen = signature
            self.content = self._load(self.file)
        except OSError as error:
            self._seen = None
            self._failed(f"{self.file}: {error.strerror or error}")
            return False
        except DictionaryError as error:
            self._failed(str(error))
            return False
        self.problem = ""
        metrics.DICTIONARY_BROKEN.labels(self.name).set(0)
        metrics.DICTIONARY_ENTRIES.labels(self.name).set(self.content.entries)
        _log.info("enrichment.read", dictionary=self.name, file=str(self.file), held=self.held)
        return True

    def _failed(self, problem: str) -> None:
        if problem != self.problem:
            _log.error("enrichment.broken", dictionary=self.name, error=problem, in_use=self.held)
        self.problem = problem
        metrics.DICTIONARY_BROKEN.labels(self.name).set(1)


class Library:
    """All dictionaries of an installation. `refresh` is for one thread at a time; `tables` may be read by any."""

    def __init__(self, settings: EnrichmentSettings, agencies: Collection[str]) -> None:
        """`agencies` are the ids an inventory may name. Nothing is read before `refresh`."""
        known = frozenset(agencies)
        wanted: list[tuple[str, Path | None, Callable[[Path], Any]]] = [
            ("assets", settings.assets, lambda file: assets.load(file, known)),
            ("country_db", settings.country_db, lambda file: AddressDatabase(file, geography.country, "")),
            ("asn_db", settings.asn_db, lambda file: AddressDatabase(file, geography.autonomous_system, AutonomousSystem())),
            *((_KNOWN_BAD + name, file, threats.load) for name, file in settings.known_bad.items()),
        ]
        self._dictionaries = [_Dictionary(name, file, load) for name, file, load in wanted if file is not None]
        self.tables = Tables()

    def __bool__(self) -> bool:
        return bool(self._dictionaries)

    @property
    def states(self) -> list[State]:
        return [State(one.name, one.file, one.held, one.problem) for one in self._dictionaries]

    def refresh(self) -> None:
        """Read the files that changed. Raises nothing for one that cannot be used."""
        changed = [one.refresh() for one in self._dictionaries]
        if any(changed):
            held = {one.name: one.content for one in self._dictionaries if one.content is not None}
            lists = {name.removeprefix(_KNOWN_BAD): content for name, content in held.items() if name.startswith(_KNOWN_BAD)}
            databases = (held.get("country_db"), held.get("asn_db"))
            self.tables = Tables(held.get("assets"), Geography(*databases) if any(databases) else None, Threats(lists) if lists else None)

    async def run(self) -> None:
        """Look for changed files now and then, for ever."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await asyncio.to_thread(self.refresh)


def _signature(file: Path) -> Signature:
    told = file.stat()
    return told.st_mtime_ns, told.st_size, told.st_ino
