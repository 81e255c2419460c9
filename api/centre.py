"""What the API is given to work with. `runtime.bootstrap` fills it; nothing in `api` reads the environment or makes a client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from api.rule_bench import Bench
from core.bus.contract import Bus
from core.clock import Clock
from core.config import Settings
from core.database import Database
from core.storage.contract import Store
from detect.indicators.importing import Importer
from detect.rule_files import RuleLibrary
from ingest.attribution import Attribution
from ingest.sources.http import HttpIntake
from respond.personal.packs import PackBook


@dataclass(frozen=True, slots=True)
class StageState:
    """How one stage or part of this installation is doing.

    `problem` is '' when it works; `lag` is in messages not yet handled, None for what handles none.
    """

    name: str
    problem: str = ""
    lag: int | None = None


@dataclass(frozen=True, slots=True)
class Centre:
    """The parts of one running centre."""

    settings: Settings
    clock: Clock
    store: Store
    database: Database
    bus: Bus
    http_intake: HttpIntake
    attribution: Attribution
    importer: Importer
    stages: Callable[[], Sequence[StageState]]
    rules: RuleLibrary
    packs: PackBook
    bench: Bench
