"""A real `bongsu up` in a process of its own, as an operator would start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from core.engine import Engine

START_SECONDS = 120.0
PASSWORD = "a-long-password-for-tests"


def free_port() -> int:
    """A port that was free on loopback, for TCP and UDP, a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        stream.bind(("127.0.0.1", 0))
        port = int(stream.getsockname()[1])
        datagram.bind(("127.0.0.1", port))
        return port


class RunningCentre:
    """One installation in `folder`; start, stop, kill and look into it. `program` is how Python runs `bongsu`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], program: Sequence[str] = ("-m", "runtime")) -> None:
        self.folder = folder
        self._bongsu = (sys.executable, *program)
        self.data = folder / "data"
        self.config = folder / "settings.yaml"
        self.api_port = free_port()
        tree = {"data_dir": str(self.data), "api": {"port": self.api_port}, **settings}
        self.config.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
        self.log = folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[httpx.Client] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def command(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """Run another `bongsu` command on this installation; its standard output."""
        done = subprocess.run(
            [*self._bongsu, *words, "--config", str(self.config)],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*self._bongsu, "up", "--config", str(self.config)], stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not ready within {START_SECONDS} s:\n{self.log.read_text(encoding='utf-8')}")

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(40)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        """End it however it stands."""
        for client in self._clients:
            client.close()
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def user(self, name: str, role: str, agency: str = "") -> httpx.Client:
        """A client logged in as a new user."""
        scope = ["--agency", agency] if agency else []
        self.command("users", "set", name, "--role", role, *scope, environment={"BONGSU_PASSWORD": PASSWORD})
        client = httpx.Client(base_url=self.url, timeout=30)
        self._clients.append(client)
        assert client.post("/v1/login", json={"name": name, "password": PASSWORD}).status_code == 200
        return client

    def log_key(self, agency: str, source: str, *more: str) -> str:
        """An API key that may push the logs of one source, and do `more`."""
        actions = [word for action in ("logs:write", *more) for word in ("--action", action)]
        words = (*actions, "--agency", agency, "--source", source)
        return self.command("keys", "create", f"{agency} {source}", *words).strip()

    def wait_until_handled(self, lines: int, seconds: float = 180.0) -> None:
        """Wait until the store holds `lines` lines, as events or in quarantine."""
        deadline = time.monotonic() + seconds
        held = -1
        while time.monotonic() < deadline:
            held = self.held()
            if held >= lines:
                return
            time.sleep(0.2)
        raise AssertionError(f"{held} of {lines} lines after {seconds} s:\n{self.log.read_text(encoding='utf-8')[-4000:]}")

    def wait_until_idle(self, seconds: float = 60.0) -> None:
        """Wait until every stage has handled all that is on the bus."""
        deadline = time.monotonic() + seconds
        quiet = 0
        while quiet < 5 and time.monotonic() < deadline:
            lags = [value for name, value in self._metrics() if name.startswith("bongsu_bus_lag_messages{")]
            quiet = quiet + 1 if lags and not any(lags) else 0
            time.sleep(1.0)
        assert quiet == 5, f"not idle within {seconds} s"

    def _metrics(self) -> list[tuple[str, float]]:
        rows = (line.rsplit(" ", 1) for line in httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines() if line[:1] != "#")
        return [(name, float(value)) for name, value in rows]

    def held(self) -> int:
        """How many lines the running centre says it holds, by its metrics since its start."""
        tables = ('bongsu_stored_rows_total{table="events"}', 'bongsu_stored_rows_total{table="quarantine"}')
        return int(sum(value for name, value in self._metrics() if name in tables))

    def stored(self) -> StoredLines:
        """Every line in the store of the stopped centre."""
        engine = Engine(self.data / "store")
        try:
            session = engine.session()
            lines = {
                table: Counter(session.arrow(f"SELECT raw FROM {table}").column("raw").to_pylist()) for table in ("events", "quarantine")
            }
            session.close()
        finally:
            engine.close()
        return StoredLines(lines["events"], lines["quarantine"])


class StoredLines:
    """Raw lines by how often they are stored."""

    def __init__(self, events: Counter[str], quarantine: Counter[str]) -> None:
        self.events = events
        self.quarantine = quarantine

    @property
    def all(self) -> Counter[str]:
        return self.events + self.quarantine
