"""What this machine does a second: each stage alone, then all of them together over a real socket.

Lines are FortiGate traffic lines of about 600 bytes, the same ones at every run. The sender is a process of its own and shares the
machine. CPU seconds are of the process that does the work, children not included.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import uvloop
import yaml

from core import arrow, topics
from core.bus.contract import Message, Record
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.config import Settings, validate
from core.engine import Engine
from core.errors import BongsuError
from core.events import EVENTS
from core.storage.embedded import EmbeddedStore
from core.storage.writer import TableWriter
from detect.stream import Detector
from ingest.attribution import Attribution
from ingest.compile import ParserSet
from ingest.normalise import Normaliser
from ingest.privacy.masking import KINDS
from ingest.rawbatch import Masking, Origin, message_of_blob
from ingest.sources.demo import fortigate_lines
from ingest.sources.intake import Intake
from ingest.sources.syslog import SyslogServer
from runtime.bootstrap import rule_book

_PER_MESSAGE = 16_384
_PER_POLL = 4  # messages a stage that is behind takes at once
_SEED = 7
_START = datetime(2026, 1, 1, tzinfo=UTC)
_CLOCK = SystemClock()
_ORIGIN = Origin("bench", "fw", "tcp", "127.0.0.1")
_MASKED = Masking(frozenset(KINDS))  # as a receiver leaves it
_DEADLINE_SECONDS = 300.0
_LOOK_EVERY_SECONDS = 0.25  # making the page of metrics takes the process some milliseconds


class BenchFailed(BongsuError):
    """A measurement did not come to its end."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure. `wall` and `cpu` are in seconds."""

    step: str
    lines: int
    wall: float
    cpu: float

    @property
    def per_second(self) -> float:
        return self.lines / self.wall

    @property
    def per_cpu_second(self) -> float:
        return self.lines / self.cpu


def run(lines: int, on_step: Callable[[str], None]) -> Iterator[Measured]:
    """Measure every step on `lines` lines; `on_step` hears what begins."""
    on_step("lines")
    blobs = list(_blobs(lines))
    with tempfile.TemporaryDirectory(prefix="bongsu-bench-") as name:
        folder = Path(name)
        on_step("receive")
        yield uvloop.run(_receive(folder, blobs, lines))
        on_step("normalise")
        engine = Engine(folder / "store")
        try:
            events, measured = _normalise(engine, blobs, lines)
            yield measured
            on_step("store")
            yield asyncio.run(_store(engine, events, lines))
            on_step("detect")
            yield _detect(engine, events, lines)
        finally:
            engine.close()
        on_step("all together")
        yield _together(folder, blobs, lines)


def _blobs(lines: int) -> Iterator[bytes]:
    """Messages of lines, one a millisecond: told over and over, the same times would make the store sort what no device mixes up."""
    for first in range(0, lines, _PER_MESSAGE):
        some = fortigate_lines(min(_PER_MESSAGE, lines - first), _SEED + first, _START + timedelta(milliseconds=first))
        yield b"\n".join(some)


@contextmanager
def _timed(step: str, lines: int, into: list[Measured]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into.append(Measured(step, lines, time.perf_counter() - wall, time.process_time() - cpu))


def _send(port: int, blobs: Sequence[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as stream:
        for blob in blobs:
            stream.sendall(blob + b"\n")


@contextmanager
def _sender(port: int, blobs: Sequence[bytes]) -> Iterator[None]:
    process = multiprocessing.get_context("fork").Process(target=_send, args=(port, blobs), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.join(_DEADLINE_SECONDS)


async def _receive(folder: Path, blobs: Sequence[bytes], lines: int) -> Measured:
    """TCP to the embedded bus, durable."""
    settings = _settings(folder, 0)
    bus = EmbeddedBus(folder / "bus.sqlite", partitions=1, max_backlog_bytes=64 << 30, min_free_disk_bytes=0, clock=_CLOCK)
    await bus.start()
    intake = Intake(bus, settings.intake, _CLOCK)
    server = SyslogServer(settings.intake.listeners[0], intake, Attribution(settings))
    await server.start()
    measured: list[Measured] = []
    with _timed("receive", lines, measured), _sender(server.port, blobs):
        held = 0
        consumer = await bus.consumer("bench", [topics.LOGS_RAW])
        while held < lines:
            records = await consumer.poll(max_messages=1000, max_bytes=1 << 30, timeout=_DEADLINE_SECONDS)
            if not records:
                raise BenchFailed(f"only {held:,} of {lines:,} lines arrived")
            held += sum(int(record.headers[topics.H_LINES]) for record in records)
    await server.stop()
    await intake.close()
    await consumer.close()
    await bus.close()
    return measured[0]


def _normalise(engine: Engine, blobs: Sequence[bytes], lines: int) -> tuple[list[bytes], Measured]:
    """Messages of `logs.raw` to messages of `events`, on one thread."""
    settings = Settings().intake
    normaliser = Normaliser(engine, ParserSet.open(engine, settings), settings, _CLOCK)
    for _ in normalised(normaliser, blobs[:1], 1):
        pass  # opens the parsers' statements
    measured: list[Measured] = []
    with _timed("normalise", lines, measured):
        events = [arrow.encode(table) for table in normalised(normaliser, blobs, _PER_POLL)]
    normaliser.close()
    return events, measured[0]


def normalised(normaliser: Normaliser, blobs: Sequence[bytes], at_once: int) -> Iterator[pa.Table]:
    """The events in `blobs`, which hold lines as a receiver leaves them, `at_once` messages together."""
    messages = (message_of_blob(_ORIGIN, _CLOCK.now(), blob, blob.count(b"\n") + 1, _MASKED) for blob in blobs)
    records = [_record(message, at) for at, message in enumerate(messages)]
    for first in range(0, len(records), at_once):
        yield normaliser.normalise(records[first : first + at_once], "bench").events


async def _store(engine: Engine, events: Sequence[bytes], lines: int) -> Measured:
    """Messages of `events` to rows of the table."""
    store = EmbeddedStore(engine)
    await store.start()
    await store.migrate()
    writer = TableWriter(store, EVENTS)
    measured: list[Measured] = []
    with _timed("store", lines, measured):
        for at, value in enumerate(events):
            await writer.handle([_record(Message(value), at, topics.EVENTS)], 0)
    held = (await store.query("SELECT count() AS held FROM events")).column("held")[0].as_py()
    await store.close()
    if held != lines:
        raise BenchFailed(f"{held:,} of {lines:,} lines were stored")
    return measured[0]


def _detect(engine: Engine, events: Sequence[bytes], lines: int) -> Measured:
    """Messages of `events` through our own rules, on one thread."""
    detector = Detector(engine, rule_book(Settings().detect), _CLOCK)
    detector.detect(arrow.decode(events[0]))
    measured: list[Measured] = []
    with _timed("detect", lines, measured):
        for value in events:
            detector.detect(arrow.decode(value))
    detector.close()
    return measured[0]


def _record(message: Message, offset: int, topic: str = topics.LOGS_RAW) -> Record:
    return Record(topic, 0, offset, message.value, message.headers, _CLOCK.now())


def _settings(folder: Path, api_port: int) -> Settings:
    return validate(_tree(folder, 0, api_port))


def _tree(folder: Path, syslog_port: int, api_port: int) -> dict[str, object]:
    listener = {"name": "tcp", "kind": "tcp", "host": "127.0.0.1", "port": syslog_port, "agency": "bench", "source": "fw"}
    return {
        "data_dir": str(folder / "data"),
        "api": {"port": api_port},
        "intake": {"listeners": [listener]},
        "agencies": [{"id": "bench", "name_ko": "측정"}],
    }


def _together(folder: Path, blobs: Sequence[bytes], lines: int) -> Measured:
    """`bongsu up` in a process of its own: from the first byte sent until every line is stored and evaluated."""
    syslog_port, api_port = _free_port(), _free_port()
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(_tree(folder, syslog_port, api_port), allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-m", "runtime", "up", "--config", str(file)]
    with (folder / "log.txt").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:  # noqa: S603 - our own command
        try:
            _until(lambda: bool(_counters(api_port)), process)
            cpu, wall = _cpu_seconds(process.pid), time.perf_counter()
            with _sender(syslog_port, blobs):
                _until(lambda: _handled(api_port) >= lines, process)
            return Measured("all together", lines, time.perf_counter() - wall, _cpu_seconds(process.pid) - cpu)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _handled(api_port: int) -> float:
    """How many lines are stored and evaluated."""
    counters = _counters(api_port)
    return min(counters.get('bongsu_stored_rows_total{table="events"}', 0.0), counters.get("bongsu_evaluated_events_total", 0.0))


def _until(done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.perf_counter() + _DEADLINE_SECONDS
    while not done():
        if process.poll() is not None or time.perf_counter() > deadline:
            raise BenchFailed("the centre did not come to the end of the lines")
        time.sleep(_LOOK_EVERY_SECONDS)


def _counters(api_port: int) -> dict[str, float]:
    """The counters of the running centre; none when it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{api_port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
