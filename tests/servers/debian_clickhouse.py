"""Debian's ClickHouse server for tests: 18.16 of 2018, the only real server among our packages; what it can prove is in its tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import NetworkError
from pydantic import SecretStr

from core.config import ClickHouseSettings
from tests.servers.centre import free_port

_PROGRAM: Final = Path("/usr/sbin/clickhouse-server")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_CONFIG: Final = """<yandex>
  <logger><level>information</level><console>1</console></logger>
  <listen_host>{host}</listen_host>
  <tcp_port>{port}</tcp_port>
  <path>{data}/</path>
  <tmp_path>{data}/tmp/</tmp_path>
  <mark_cache_size>67108864</mark_cache_size>
  <timezone>UTC</timezone>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <users_config>{folder}/users.xml</users_config>
</yandex>
"""
# In 2018 LowCardinality was still behind a switch.
_USERS: Final = """<yandex>
  <profiles><default><allow_experimental_low_cardinality_type>1</allow_experimental_low_cardinality_type></default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password>{password}</password><networks><ip>{host}</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
</yandex>
"""


class DebianClickHouse:
    """One server in a folder of its own, in the foreground. `stop` kills it; `start` brings it back on the same data and port."""

    host = "127.0.0.1"
    password = "a <secret>"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        known = {"host": self.host, "port": self.port, "folder": folder, "data": folder / "data", "password": escape(self.password)}
        (folder / "config.xml").write_text(_CONFIG.format(**known))
        (folder / "users.xml").write_text(_USERS.format(**known))

    def settings(self) -> ClickHouseSettings:
        return ClickHouseSettings(host=self.host, port=self.port, database="default", password=SecretStr(self.password))

    def client(self) -> Client:
        """The driver alone, without our store."""
        return Client(self.host, self.port, password=self.password)

    def start(self) -> None:
        """Start and wait until it answers."""
        log = self._folder / "log"
        with log.open("ab") as output:
            command = [str(_PROGRAM), f"--config-file={self._folder / 'config.xml'}"]
            self._process = subprocess.Popen(command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"the server ended: {log.read_text()}"
            assert time.monotonic() < deadline, f"the server did not answer within {_START_SECONDS} s: {log.read_text()}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(_STOP_SECONDS)
        self._process = None

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.execute("SELECT 1")
        except NetworkError:
            return False
        return True


@pytest.fixture(scope="session")
def debian_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianClickHouse]:
    """A server that runs for the whole session; its tables are its tests' own."""
    yield from _running(tmp_path_factory.mktemp("debian-clickhouse"))


@pytest.fixture
def own_debian_clickhouse(tmp_path: Path) -> Iterator[DebianClickHouse]:
    """A server of the test's own, to be killed."""
    yield from _running(tmp_path / "debian-clickhouse")


def _running(folder: Path) -> Iterator[DebianClickHouse]:
    if not _PROGRAM.exists():
        pytest.skip("Debian's ClickHouse server is not installed (package clickhouse-server)")
    server = DebianClickHouse(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
