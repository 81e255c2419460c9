"""The one place that builds clients. Embedded or cluster is decided here, from settings, and nowhere else.

`open_parts` opens what a process needs, in order, and closes it in the reverse order whatever happens.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeVar, cast

import sigma_rules
from core.bus.contract import Bus
from core.bus.embedded import EmbeddedBus
from core.clock import Clock, SystemClock
from core.config import DetectSettings, Settings
from core.database import Database
from core.engine import Engine
from core.errors import ConfigError
from core.signing import Verifier, load_signer
from core.storage.contract import Store
from core.storage.embedded import EmbeddedStore
from detect.approved import Approved
from detect.rule_files import RuleFiles
from detect.rules import RuleBook, Text
from detect.rules import load as load_rules

_T = TypeVar("_T")
Need = Literal["bus", "engine", "store", "database"]
OWN_RULES = Path(sigma_rules.__path__[0])


@dataclass(frozen=True, slots=True)
class Parts:
    """The clients of one process; asking for one it did not open is a defect."""

    settings: Settings
    clock: Clock
    opened_bus: Bus | None
    opened_engine: Engine | None
    opened_store: Store | None
    opened_database: Database | None

    @property
    def bus(self) -> Bus:
        return _opened(self.opened_bus)

    @property
    def engine(self) -> Engine:
        return _opened(self.opened_engine)

    @property
    def store(self) -> Store:
        return _opened(self.opened_store)

    @property
    def database(self) -> Database:
        return _opened(self.opened_database)


def _opened(part: _T | None) -> _T:
    if part is None:
        raise AssertionError("this process did not open that part")
    return part


@asynccontextmanager
async def open_parts(settings: Settings, needs: Collection[Need], clock: Clock | None = None) -> AsyncIterator[Parts]:
    """The parts named in `needs`, started; migrations are not applied here."""
    clock = clock or SystemClock()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        database = engine = store = bus = None
        if "database" in needs:
            database = Database(settings.database_url, clock)
            database.start()
            stack.callback(database.close)
        if "bus" in needs:
            bus = make_bus(settings, clock)
            stack.push_async_callback(bus.close)
            await bus.start()
        if "engine" in needs or ("store" in needs and settings.store.kind == "embedded"):
            engine = Engine(settings.data_dir / "store" if settings.store.kind == "embedded" and "store" in needs else None)
            stack.callback(engine.close)
        if "store" in needs:
            store = make_store(settings, engine)
            stack.push_async_callback(store.close)
            await store.start()
        yield Parts(settings, clock, bus, engine, store, database)


def make_bus(settings: Settings, clock: Clock) -> Bus:
    """The bus the settings name, not started."""
    bus = settings.bus
    if bus.kind == "embedded":
        return EmbeddedBus(
            settings.data_dir / "bus.sqlite",
            partitions=bus.partitions,
            max_backlog_bytes=bus.max_backlog_mb << 20,
            min_free_disk_bytes=bus.min_free_disk_mb << 20,
            clock=clock,
        )
    kafka = _cluster_module("core.bus.kafka", "bus.kind")
    return cast(Bus, kafka.KafkaBus(bus.kafka, partitions=bus.partitions, prefix=bus.topic_prefix, epoch=bus.epoch, clock=clock))


def make_store(settings: Settings, engine: Engine | None) -> Store:
    """The columnar store the settings name, not started."""
    if settings.store.kind == "embedded":
        return EmbeddedStore(_opened(engine))
    server = _cluster_module("core.storage.server", "store.kind")
    return cast(Store, server.ServerStore(settings.store.clickhouse))


def exercise_verifier(settings: Settings, *, makes_key: bool) -> Verifier | None:
    """The public key by which drills are known: that of the settings, else the centre's own where it is; None: no line is an exercise here.

    `makes_key`: this process may make the centre's key.
    """
    if settings.intake.exercise_key:
        return Verifier.of(settings.intake.exercise_key)
    return load_signer(settings.signing_key) if makes_key or settings.signing_key.exists() else None


def rule_book(settings: DetectSettings, texts: Iterable[Text] = ()) -> RuleBook:
    """The rules the settings name: our own, the operator's folders, `texts` over them, without those switched off."""
    return load_rules(rule_folders(settings), disabled=settings.disabled_rules, texts=texts)


def rule_folders(settings: DetectSettings) -> list[Path]:
    """Where the rules are that the settings name."""
    return [*([OWN_RULES] if settings.own_rules else []), *settings.rule_folders]


def rule_files(settings: DetectSettings, database: Database) -> RuleFiles:
    """The same with what people approved, and what is needed to see that they change."""
    return RuleFiles(rule_folders(settings), lambda texts: rule_book(settings, texts), Approved(database))


def _cluster_module(name: str, key: str) -> ModuleType:
    """A module that needs the extra `cluster`, which a one-machine installation does without."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(key, f"needs the Python package {error.name!r}: pip install 'bongsu[cluster]'") from error
