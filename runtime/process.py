"""What each process runs: the stages of the design, wired to the parts of `bootstrap`.

`up` runs every role in one process on the embedded engines; a cluster runs one role in each process. Only this module knows which
role needs which part and which services it is made of.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial

import structlog

from api import idempotency
from api.app import create_app
from api.centre import Centre, StageState
from api.ledger import MEANS
from api.rule_bench import Bench
from core import topics
from core.clock import Clock
from core.config import Settings
from core.crypto import token
from core.errors import ConfigError
from core.events import DETECTIONS, EVENTS, QUARANTINE
from core.periodic import every, in_session, repeat
from core.signing import Verifier, load_signer
from core.stage import Handler, Stage
from core.storage.writer import TableWriter, check_positions
from detect.baselines.watch import Watch
from detect.correlation.stage import CorrelateStage
from detect.hunt.ledger import LedgerStage
from detect.hunt.runner import HuntRunner
from detect.indicators.findings import Finder
from detect.indicators.history import History
from detect.indicators.importing import Importer
from detect.indicators.library import Library
from detect.reload import CorrelationWatcher, RuleWatcher, look_for_ever
from detect.rule_files import RuleLibrary
from detect.stream import Detector, DetectStage
from ingest.attribution import Attribution
from ingest.compile import ParserSet
from ingest.enrichment.library import Library as Enrichment
from ingest.exercises import Exercises
from ingest.ledger.checking import Checking
from ingest.ledger.closing import Closing
from ingest.ledger.keeping import EVERY_SECONDS as LEDGER_SECONDS
from ingest.ledger.keeping import Keeper
from ingest.ledger.receiving import Receiving
from ingest.normalise import Normaliser
from ingest.sources.demo import DemoFeed
from ingest.sources.http import HttpIntake
from ingest.sources.intake import Intake
from ingest.sources.syslog import SyslogServer
from ingest.stage import NormaliseStage
from respond.audit import record
from respond.centres import links, relay
from respond.duties import policy as subjects
from respond.notify import dispatch
from respond.personal.packs import load as load_packs
from respond.readiness import policy as readiness
from respond.readiness.judge import EVERY_SECONDS, judge
from respond.sharing import policy as sharing
from respond.sharing.receipts import chase
from respond.stage import RespondStage
from respond.teams import composition
from respond.trail_copy import TrailCopy, keep
from respond.warnings import levels
from respond.warnings.service import look
from runtime.bootstrap import Need, Parts, exercise_verifier, make_store, open_parts, rule_files
from runtime.drills import drill_service
from runtime.memory import set_aside_what_stays
from runtime.peers import PeerReader
from runtime.privacy import announce
from runtime.services import LagMonitor, PairService, Service, StageService, TaskService, run_until
from runtime.web import MetricsService, WebService

_log = structlog.get_logger()


class Role(StrEnum):
    """One kind of process of a cluster."""

    RECEIVE = "receive"
    NORMALISE = "normalise"
    STORE = "store"
    DETECT = "detect"
    CORRELATE = "correlate"
    WATCH = "watch"
    RESPOND = "respond"
    API = "api"


EVERY_ROLE: tuple[Role, ...] = tuple(Role)
_NEEDS: dict[Role, frozenset[Need]] = {
    Role.RECEIVE: frozenset({"bus"}),
    Role.NORMALISE: frozenset({"bus", "engine"}),
    Role.STORE: frozenset({"bus", "store"}),
    Role.DETECT: frozenset({"bus", "engine", "database"}),
    Role.CORRELATE: frozenset({"bus", "store", "database"}),
    Role.WATCH: frozenset({"bus", "store"}),
    Role.RESPOND: frozenset({"bus", "database"}),
    Role.API: frozenset({"bus", "store", "database", "engine"}),
}
GROUPS: tuple[tuple[str, str], ...] = (
    ("normalise", topics.LOGS_RAW),
    ("store-events", topics.EVENTS),
    ("store-quarantine", topics.QUARANTINE),
    ("store-detections", topics.DETECTIONS),
    ("detect", topics.EVENTS),
    ("correlate", topics.MATCHES),
    ("respond", topics.DETECTIONS),
    ("evaluated", topics.EVALUATED),
    ("ledger", topics.LOGS_RAW),
)
"""Every consumer group and the topic it reads."""
STORED: tuple[tuple[tuple[str, str], ...], ...] = (
    (("normalise", topics.LOGS_RAW),),
    (("store-events", topics.EVENTS), ("store-quarantine", topics.QUARANTINE)),
)
"""The way of a line into the store, leg by leg."""

# What one poll takes, compressed as on the bus. A statement has a fixed cost of tens of milliseconds, so a stage that is behind takes
# much at once.
_NORMALISE_BYTES = 3 << 20
_NORMALISE_MESSAGES = 4096  # many small sources send messages of a line or two
_NORMALISE_THREADS = 4  # at most; more processes scale further
_STORE_BYTES = 64 << 20  # some 200,000 lines: the larger the inserts, the less is merged
_DETECT_BYTES = 16 << 20
_CORRELATE_BYTES = 8 << 20

# How many seconds a stage to which little comes rests between two batches. Normalise gives the beat: what comes of one of its batches goes
# through detect, correlate and respond at once, as they rest shorter. Tables get few inserts that way, and so have little to merge.
_NORMALISE_RESTS = 1.8
_FOLLOWER_RESTS = 0.5
_STORE_RESTS = 2.0

_FORGETS_EVERY = 3600.0  # seconds
_LAGS_FROM = 64  # messages; searches nobody asked for wait for the stages


@dataclass
class Running:
    """A process that has started, as `on_ready` sees it."""

    parts: Parts
    url: str = ""
    syslog_ports: dict[str, int] = field(default_factory=dict)


async def run(
    settings: Settings,
    roles: Sequence[Role],
    on_ready: Callable[[Running], Awaitable[None]],
    *,
    demo: bool = False,
    clock: Clock | None = None,
) -> None:
    """Run `roles` until SIGINT or SIGTERM; raises the first failure of a service."""
    if len(roles) < len(EVERY_ROLE):
        _check_cluster(settings, roles)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    needs = frozenset[Need]().union(*(_NEEDS[role] for role in roles))
    async with open_parts(settings, needs, clock) as parts:
        await _prepare(parts)
        assembly = await _Assembly.of(parts, roles, demo=demo)
        with set_aside_what_stays() as set_aside:

            async def ready() -> None:
                await on_ready(assembly.running())
                set_aside()

            await run_until(stop, assembly.services, ready)
    _log.info("stopped")


def _check_cluster(settings: Settings, roles: Sequence[Role]) -> None:
    if settings.bus.kind == "embedded":
        raise ConfigError("bus.kind", f"a process of its own for {roles[0]} needs Kafka; on one machine use `bongsu up`")
    if settings.store.kind == "embedded" and any(role is Role.DETECT or "store" in _NEEDS[role] for role in roles):
        raise ConfigError("store.kind", f"a process of its own for {roles[0]} needs ClickHouse; on one machine use `bongsu up`")


async def _prepare(parts: Parts) -> None:
    """Apply what migrations are missing, refuse a bus and a store that do not belong together, and say what is not masked."""
    if parts.opened_database is not None:
        await asyncio.to_thread(parts.database.migrate)
        _check_policies(parts.settings)
    if parts.opened_store is not None:
        await parts.store.migrate()
        await check_positions(parts.store, parts.bus)
    await asyncio.to_thread(announce, parts.settings.intake.masking, parts.opened_database)


def _check_policies(settings: Settings) -> None:
    """Refuse to start on a file of the city's own that is wrong."""
    levels.load(settings.respond.warnings)
    readiness.load(settings.respond.readiness)
    composition.load(settings.respond.teams)
    sharing.load(settings.respond.sharing)
    subjects.load(settings.respond.duties)


class _Assembly:
    """The services of one process, in the order they start."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stages: list[Stage] = []
        self._listeners: list[SyslogServer] = []
        self._web: WebService | None = None
        self._monitor = LagMonitor(parts.bus, GROUPS)
        self._verifier: Verifier | None = None
        self.services: list[Service] = []

    @classmethod
    async def of(cls, parts: Parts, roles: Sequence[Role], *, demo: bool) -> _Assembly:
        self = cls(parts)
        if Role.RECEIVE in roles or Role.NORMALISE in roles:
            self._verifier = exercise_verifier(parts.settings, makes_key=Role.RESPOND in roles)
        if Role.RESPOND in roles:
            self._add_stage("respond", topics.DETECTIONS, RespondStage(parts.database, parts.settings, parts.clock).handle)
            self._add_audit()
            self._add_notify()
            self._add_respond_tasks()
            self.services.append(drill_service(parts, self._tcp_port))
        if Role.CORRELATE in roles:
            await self._add_correlate()
        if Role.DETECT in roles:
            await self._add_detect()
        if Role.WATCH in roles:
            watch = Watch(parts.store, parts.bus, parts.clock, parts.settings.detect.baselines, STORED)
            self.services.append(TaskService("watch", watch.run))
        if Role.STORE in roles:
            for table, topic in ((EVENTS, topics.EVENTS), (QUARANTINE, topics.QUARANTINE), (DETECTIONS, topics.DETECTIONS)):
                self._add_stage(f"store-{table.name}", topic, TableWriter(parts.store, table).handle, _STORE_BYTES, rest=_STORE_RESTS)
        if Role.NORMALISE in roles:
            await self._add_normalise()
        if Role.API in roles:
            self.services.append(TaskService("lag", self._monitor.run))
        elif parts.settings.stage_metrics.port:
            self.services.append(MetricsService(parts.settings.stage_metrics))
        if Role.API in roles or Role.RECEIVE in roles:
            self._add_intake(roles, demo=demo)
        return self

    def running(self) -> Running:
        return Running(
            self._parts,
            url=self._web.url if self._web else "",
            syslog_ports={server.listener.name: server.port for server in self._listeners},
        )

    def _add_stage(
        self,
        name: str,
        topic: str,
        handler: Handler,
        max_bytes: int = 16 << 20,
        max_messages: int = 256,
        rest: float = _FOLLOWER_RESTS,
    ) -> None:
        stage = Stage(name, self._parts.bus, [topic], handler, max_messages=max_messages, max_bytes=max_bytes, rest=rest)
        self._stages.append(stage)
        self.services.append(StageService(stage))

    def _tcp_port(self) -> int:
        """The port of this process's first TCP listener; 0: it has none."""
        return next((server.port for server in self._listeners if server.listener.kind == "tcp"), 0)

    def _add_audit(self) -> None:
        settings, database = self._parts.settings, self._parts.database
        signer, copy = load_signer(settings.signing_key), TrailCopy(settings.audit_copy)
        seconds = settings.audit.checkpoint_minutes * 60
        self.services.append(TaskService("audit", lambda: every(seconds, "audit", lambda: keep(database, signer, copy))))

    def _add_notify(self) -> None:
        database, settings = self._parts.database, self._parts.settings.notify
        self.services.append(
            TaskService("notify", lambda: every(dispatch.EVERY_SECONDS, "notify", lambda: dispatch.work(database, settings)))
        )

    def _add_respond_tasks(self) -> None:
        """What the respond stage does by the clock."""
        parts, settings = self._parts, self._parts.settings.respond.readiness
        policy = sharing.load(parts.settings.respond.sharing)
        work = {
            "readiness": judge(readiness.load(settings), settings.on_call),
            "warnings": look(levels.load(parts.settings.respond.warnings)),
            "sharing": lambda session: chase(session, policy),
            "centres": links.judge(parts.settings.respond.centres),
        }
        for name, turn in work.items():
            self.services.append(TaskService(name, partial(every, EVERY_SECONDS, name, in_session(parts.database, turn))))
        alerts = relay.Relay(parts.database, parts.bus).step
        self.services.append(TaskService("alerts", partial(repeat, relay.EVERY_SECONDS, "alerts", alerts)))

    async def _add_detect(self) -> None:
        parts = self._parts
        rules = rule_files(parts.settings.detect, parts.database)
        store = parts.opened_store
        if store is None:  # only the indicators are read from it, and detection begins without them when it is away
            store = make_store(parts.settings, None)
            self.services.append(PairService("indicators-store", stop=store.close))
        library = Library(store, parts.clock)
        await library.look()
        self.services.append(TaskService("indicators", library.run))
        detector = Detector(parts.engine, rules.book, parts.clock, indicators=Finder(library, parts.clock))
        watcher = RuleWatcher(detector, parts.engine, parts.database, rules)
        await asyncio.to_thread(watcher.start)
        self.services.append(TaskService("rules", lambda: look_for_ever(watcher.look)))
        self._add_stage("detect", topics.EVENTS, DetectStage(parts.bus, detector).handle, _DETECT_BYTES)

    async def _add_correlate(self) -> None:
        parts = self._parts
        detect = parts.settings.detect
        rules = rule_files(detect, parts.database)
        stage = CorrelateStage(parts.bus, parts.store, rules.book, parts.clock, timedelta(hours=detect.lateness_hours))
        # Sooner than the detectors look, so that their matches of a new correlation find it known.
        watcher = CorrelationWatcher(stage, parts.database, rules)
        await asyncio.to_thread(watcher.look)
        self.services.append(TaskService("correlations", lambda: look_for_ever(watcher.look, 1.0)))
        self._add_stage("correlate", topics.MATCHES, stage.handle, _CORRELATE_BYTES)

    async def _add_normalise(self) -> None:
        parts = self._parts
        parsers = ParserSet.open(parts.engine, parts.settings.intake)
        library = Enrichment(parts.settings.enrichment, [agency.id for agency in parts.settings.agencies])
        if library:
            await asyncio.to_thread(library.refresh)
            self.services.append(TaskService("enrichment", library.run))
        threads = min(len(os.sched_getaffinity(0)), _NORMALISE_THREADS)
        known = (parts.engine, parsers, parts.settings.intake, parts.clock, library, self._verifier)
        normalisers = [Normaliser(*known) for _ in range(threads)]
        stage = NormaliseStage(parts.bus, normalisers)
        self.services.append(PairService("normalisers", stop=stage.close))
        self._add_stage("normalise", topics.LOGS_RAW, stage.handle, _NORMALISE_BYTES, _NORMALISE_MESSAGES, _NORMALISE_RESTS)

    def _add_intake(self, roles: Sequence[Role], *, demo: bool) -> None:
        parts = self._parts
        settings = parts.settings
        intake = Intake(parts.bus, settings.intake, parts.clock)
        attribution = Attribution(settings)
        self.services.append(PairService("intake", stop=intake.close))
        if Role.API in roles:
            rules = RuleLibrary(rule_files(settings.detect, parts.database))
            self._add_hunts(rules)
            self._add_ledger()
            centre = Centre(
                settings=settings,
                clock=parts.clock,
                store=parts.store,
                database=parts.database,
                bus=parts.bus,
                http_intake=HttpIntake(intake, settings.intake),
                attribution=attribution,
                importer=Importer(
                    parts.store, parts.database, parts.clock, record, settings.data_dir, timedelta(days=settings.detect.history_days)
                ),
                stages=self._stage_states,
                rules=rules,
                packs=load_packs(settings.respond.personal.packs_folder),
                bench=Bench(parts.engine, settings, parts.clock),
            )
            self.services.append(PairService("bench", stop=partial(asyncio.to_thread, centre.bench.close)))
            for peer in settings.respond.sharing.peers:
                self.services.append(TaskService(f"peer {peer.name}", PeerReader(peer, parts.database, centre.importer, parts.clock).run))
            self.services.append(TaskService("indicators-history", History(parts.store, parts.database, parts.bus, parts.clock).run))
            forget = partial(every, _FORGETS_EVERY, "idempotency", in_session(parts.database, idempotency.forget))
            self.services.append(TaskService("idempotency", forget))
            self._web = WebService(create_app(centre), settings.api)
            self.services.append(self._web)
        if Role.RECEIVE in roles:
            exercises = Exercises(self._verifier, parts.clock)
            for listener in settings.intake.listeners:
                server = SyslogServer(listener, intake, attribution, exercises=exercises)
                self._listeners.append(server)
                self.services.append(PairService(f"listener {listener.name}", start=server.start, stop=server.stop))
        if demo:
            feed = DemoFeed(intake, settings, parts.clock)
            self.services.append(TaskService("demo", feed.run))

    def _add_hunts(self, rules: RuleLibrary) -> None:
        parts = self._parts
        self._add_stage("evaluated", topics.EVALUATED, LedgerStage(parts.database).handle, rest=_STORE_RESTS)
        runner = HuntRunner(
            parts.store,
            parts.bus,
            parts.database,
            parts.clock,
            rules,
            parts.engine,
            history=timedelta(days=parts.settings.detect.history_days),
            busy=self._stages_lag,
            holder="here" if parts.settings.store.kind == "embedded" else token(),
        )
        self.services.append(TaskService("hunts", runner.run))

    def _add_ledger(self) -> None:
        parts = self._parts
        verifier = self._verifier or exercise_verifier(parts.settings, makes_key=False)
        received = Receiving(parts.bus, parts.database, parts.clock, verifier)
        self._add_stage("ledger", topics.LOGS_RAW, received.handle, max_messages=_NORMALISE_MESSAGES, rest=_STORE_RESTS)
        of = (parts.store, parts.bus, parts.database, parts.clock, MEANS)
        keeper = Keeper(Closing(*of), Checking(*of), parts.clock)
        self.services.append(TaskService("ledger-closing", partial(repeat, LEDGER_SECONDS, "ledger", keeper.step)))

    def _stages_lag(self) -> bool:
        """Whether what searches history by itself should wait."""
        return any(state.messages > _LAGS_FROM for state in self._monitor.states.values())

    def _stage_states(self) -> Sequence[StageState]:
        problems = {stage.name: stage.problem for stage in self._stages}
        lags = self._monitor.states
        return [StageState(group, problems.get(group, ""), lags[group].messages if group in lags else 0) for group, _topic in GROUPS]
