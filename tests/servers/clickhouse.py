"""A ClickHouse server for tests: the native protocol on a real socket, answered by the embedded engine in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class ClickHouseServer:
    """One server. `stop` kills it as a power cut would; `start` brings it back on the same data, on another port."""

    host = "127.0.0.1"
    password = "a secret"

    def __init__(self, folder: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self.port = 0
        self._folder = folder
        self._certificate = certificate or ()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        arguments = [str(part) for part in (self._folder, self.password, *self._certificate)]
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
