"""A centre in this process for tests of the API: real engines in a folder, rows put in where the stages would put them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from fastapi import FastAPI

from api.app import create_app
from api.auth.gate import COOKIE, csrf_token
from api.auth.keys import KeyWish, create_key
from api.auth.tables import LoginSession
from api.auth.users import ensure_user, find_user
from api.centre import Centre, StageState
from api.rule_bench import Bench
from core.clock import FixedClock
from core.config import Settings, validate
from core.crypto import digest, token
from core.database import Database
from core.engine import Engine
from core.events import DETECTIONS, EVENTS, QUARANTINE, Kind, Table
from detect.indicators.importing import Importer
from detect.rule_files import RuleLibrary
from ingest.attribution import Attribution
from ingest.sources.http import HttpIntake
from ingest.sources.intake import Intake
from respond.audit import record as record_change
from respond.personal.packs import load as load_packs
from respond.stage import RespondStage
from runtime.bootstrap import open_parts, rule_files
from tests.detections import Finding, packed, record

PASSWORD = "a-long-password-for-tests"
AGENCIES = (
    {"id": "seogu", "name_ko": "서구청", "name_en": "Seogu District", "sources": [{"name": "fw-1", "timezone": "Asia/Seoul"}]},
    {"id": "parks", "name_ko": "공원녹지사업소", "name_en": "Parks Office"},
)
PEOPLE = {
    "mayor": ("mayors_office", ""),
    "analyst": ("analyst", ""),
    "lead": ("soc_lead", ""),
    "officer": ("agency_officer", "seogu"),
    "auditor": ("auditor", ""),
    "privacy": ("privacy_officer", "seogu"),
    "admin": ("admin", ""),
}


FIRST_SEEN = {"If-Match": '"1"'}
"""Changes what nobody has changed since it was made."""
NOT_THERE = {"If-None-Match": "*"}
"""Makes what is not there yet."""


@dataclass
class TestCentre:
    """The centre, its application, and ways to fill it. `stages` is what the running stages are said to be."""

    __test__ = False

    centre: Centre
    app: FastAPI
    clock: FixedClock
    engine: Engine
    stages: list[StageState] = field(default_factory=list)
    messages: int = 0

    def client(self, peer: str = "127.0.0.1", **options: Any) -> httpx.AsyncClient:
        """A client at the address `peer`, without identity."""
        transport = httpx.ASGITransport(self.app, client=(peer, 50000))
        return httpx.AsyncClient(transport=transport, base_url="http://bongsu.test", **options)

    def as_person(self, name: str) -> httpx.AsyncClient:
        """A client with a session of one of PEOPLE, as after a log-in; it sends its CSRF token."""
        secret, at = token(), self.clock.now()
        with self.centre.database.session() as session:
            user = find_user(session, name)
            assert user is not None
            session.add(
                LoginSession(
                    id=token()[:32],
                    token_hash=digest(secret),
                    user_id=user.id,
                    created_at=at,
                    expires_at=at + timedelta(hours=12),
                    revoked_at=None,
                    peer="127.0.0.1",
                    user_agent="test",
                    last_seen_at=at + timedelta(hours=12),  # never idle: tests move the clock
                )
            )
        return self.client(cookies={COOKIE: secret}, headers={"X-CSRF-Token": csrf_token(secret)})

    def as_machine(self, *actions: str, agency: str = "", source: str = "", days: float = 30) -> httpx.AsyncClient:
        """A client with a new key."""
        with self.centre.database.session() as session:
            _, text = create_key(session, KeyWish("test", actions, agency, source, timedelta(days=days)), actor="system:test")
        return self.client(headers={"Authorization": f"Bearer {text}"})

    async def put_events(self, agency: str, at: datetime, count: int = 1, **columns: Any) -> None:
        """Store `count` events of `agency`, a second apart from `at` on."""
        rows = [{"agency": agency, "source": "fw-1", "raw": f"line {n}", "parser": "generic_kv", **columns} for n in range(count)]
        await self._insert(EVENTS, rows, at)

    async def put_quarantined(self, agency: str, at: datetime, count: int = 1, **columns: Any) -> None:
        """Store `count` quarantined lines of `agency`."""
        known = {"agency": agency, "source": "fw-1", "reason": "no_parser", "detail": "no parser knows this format"}
        rows = [{**known, "raw": f"bad {n}", **columns} for n in range(count)]
        await self._insert(QUARANTINE, rows, at)

    async def put_detections(self, findings: Sequence[Finding]) -> None:
        """Let findings become incidents, as the stage does, and store them."""
        self.messages += 1
        await RespondStage(self.centre.database, self.centre.settings, self.clock).handle([record(findings, self.messages)], 1)
        rows = pa.Table.from_pylist([finding.row() for finding in findings], schema=DETECTIONS.schema)
        await self.centre.store.insert("detections", rows, f"detections-{self.messages}")

    async def _insert(self, table: Table, rows: Sequence[dict[str, Any]], at: datetime) -> None:
        self.messages += 1
        blank = {c.name: None if c.nullable else ("" if c.kind.is_text else 0) for c in table.columns}
        full = []
        for line, row in enumerate(rows):
            when = at + timedelta(seconds=line)
            place = {"raw_epoch": "e1", "raw_offset": self.messages, "raw_line": line, "received_at": when, "event_time": when}
            merged = blank | {"transport": "tcp"} | {k: v for k, v in place.items() if k in blank} | row
            full.append({k: packed(v) if table.column(k).kind is Kind.IP else v for k, v in merged.items()})
        await self.centre.store.insert(table.name, pa.Table.from_pylist(full, schema=table.schema), f"{table.name}-{self.messages}")


def settings_for(folder: Path, **sections: Any) -> Settings:
    """Settings of a centre in `folder` with two agencies."""
    intake = {"listeners": [], "linger_ms": 1, "max_body_mb": 1}
    return validate({"data_dir": str(folder), "agencies": AGENCIES, "intake": intake, "bus": {"min_free_disk_mb": 0}, **sections})


_made: list[tempfile.TemporaryDirectory[str]] = []


def _database_with_people() -> Path:
    """A migrated database file with PEOPLE in it, made once: hashing their passwords takes seconds."""
    if not _made:
        folder = tempfile.TemporaryDirectory(prefix="bongsu-api-")
        database = Database(settings_for(Path(folder.name)).database_url, FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
        database.migrate()
        database.start()
        with database.session() as session:
            for name, (role, agency) in PEOPLE.items():
                ensure_user(session, name, PASSWORD, [role], agency)
        database.close()
        _made.append(folder)
    return Path(_made[0].name) / "bongsu.db"


@asynccontextmanager
async def running_centre(settings: Settings, clock: FixedClock) -> AsyncIterator[TestCentre]:
    """A started centre with PEOPLE in it."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(_database_with_people(), settings.data_dir / "bongsu.db")
    async with open_parts(settings, {"bus", "store", "database"}, clock) as parts:
        await parts.store.migrate()
        intake = Intake(parts.bus, settings.intake, clock)
        stages: list[StageState] = []
        centre = Centre(
            settings=settings,
            clock=clock,
            store=parts.store,
            database=parts.database,
            bus=parts.bus,
            http_intake=HttpIntake(intake, settings.intake),
            attribution=Attribution(settings),
            importer=Importer(parts.store, parts.database, clock, record_change, settings.data_dir, timedelta(days=30)),
            stages=lambda: stages,
            rules=RuleLibrary(rule_files(settings.detect, parts.database)),
            packs=load_packs(settings.respond.personal.packs_folder),
            bench=Bench(parts.engine, settings, clock),
        )
        try:
            yield TestCentre(centre, create_app(centre), clock, parts.engine, stages)
        finally:
            centre.bench.close()
            await intake.close()
