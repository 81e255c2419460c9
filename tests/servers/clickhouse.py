"""A ClickHouse server for tests: the native protocol on a real socket, answered by the embedded engine in a process of its own."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_driver import Client

from core.config import ClickHouseSettings
from core.engine import Engine
from core.storage.contract import Store
from core.storage.embedded import EmbeddedStore
from core.storage.server import ServerStore

_databases = (f"test{number}" for number in itertools.count())

ROOT = Path(__file__).resolve().parents[2]


class ClickHouseServer:
    """One server. `stop` kills it as a power cut would; `start` brings it back on the same data."""

    host = "127.0.0.1"
    password = "a secret"

    def __init__(self, folder: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self.port = 0
        self._folder = folder
        self._certificate = certificate or ()
        self._process: subprocess.Popen[str] | None = None

    def settings(self, database: str) -> ClickHouseSettings:
        return ClickHouseSettings(host=self.host, port=self.port, database=database, password=self.password)

    def start(self, port: int = 0) -> None:
        arguments = [str(part) for part in (self._folder, self.password, port, *self._certificate)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.clickhouse_native", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server did not start"
        self.port = int(line)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """A server that runs for the whole session; give each test a database of its own."""
    server = ClickHouseServer(tmp_path_factory.mktemp("clickhouse") / "data")
    server.start()
    yield server
    server.stop()


@dataclass(frozen=True, slots=True)
class Raw:
    """The engine below a store, without the store: what a test needs to prepare or to look behind."""

    run: Callable[[str, Mapping[str, Any]], None]
    select: Callable[[str], pa.Table]


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A started store on an empty database, and what is below it."""

    store: Store
    raw: Raw


@pytest.fixture(params=["embedded", "server"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Every implementation of the store in turn, started, nothing migrated."""
    if request.param == "embedded":
        with closing(Engine(tmp_path / "store")) as engine, closing(engine.session()) as session:
            store = EmbeddedStore(engine)
            await store.start()
            yield OpenStore(store, Raw(lambda sql, params: session.run(sql, params=params), session.arrow))
            await store.close()
    else:
        server: ClickHouseServer = request.getfixturevalue("clickhouse_server")
        settings = server.settings(next(_databases))
        served = ServerStore(settings)
        await served.start()
        with Client(server.host, server.port, settings.database, password=server.password, settings={"server_side_params": True}) as client:
            yield OpenStore(served, Raw(lambda sql, params: client.execute(sql, dict(params)) and None, lambda sql: _table(client, sql)))
        await served.close()


@pytest.fixture
def bare_store(open_store: OpenStore) -> Store:
    """Every implementation of the store in turn, started, without tables."""
    return open_store.store


@pytest.fixture
async def any_store(open_store: OpenStore) -> Store:
    """Every implementation of the store in turn, started and migrated."""
    await open_store.store.migrate()
    return open_store.store


def _table(client: Client, sql: str) -> pa.Table:
    columns, named = client.execute(sql, with_column_types=True, columnar=True)
    names = [name for name, _ in named]
    return pa.table(columns or [pa.array([])] * len(names), names=names)
