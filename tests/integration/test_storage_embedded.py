"""The embedded store alone: killed processes, a full disk, and the loop that must not wait."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.engine import Engine
from core.errors import StoreUnavailable
from core.events import EVENTS
from core.storage.embedded import EmbeddedStore
from core.storage.failures import store_error
from core.storage.writer import highest_offsets
from tests.rows import rows

ROOT = Path(__file__).resolve().parents[2]
LINES_PER_OFFSET = 500

_WRITE_FOR_EVER = """
import asyncio, itertools, sys
from pathlib import Path
from core import arrow
from core.bus.contract import Record
from core.engine import Engine
from core.events import EVENTS
from core.storage.embedded import EmbeddedStore
from core.storage.writer import TableWriter
from tests.rows import NOON, rows

async def main() -> None:
    store = EmbeddedStore(Engine(Path(sys.argv[1])))
    await store.start()
    await store.migrate()
    writer = TableWriter(store, EVENTS)
    for first in itertools.count(0, 4):  # always from the start: the writer itself must find what is there
        records = [Record("events", 0, o, arrow.encode(rows(500, raw_offset=o)), {}, NOON) for o in range(first, first + 4)]
        await writer.handle(records, 1)
        print(first + 3, flush=True)

asyncio.run(main())
"""


def test_kill_minus_nine_while_inserting_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    durable = -1
    for insertions in (1, 4, 9):
        writing = subprocess.Popen(
            [sys.executable, "-c", _WRITE_FOR_EVER, str(tmp_path / "store")], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writing.stdout is not None
        told = [int(line) for line, _ in zip(writing.stdout, range(insertions + (durable + 1) // 4), strict=False)]
        os.kill(writing.pid, signal.SIGKILL)
        writing.stdout.close()
        writing.wait()
        assert told, "the writer wrote nothing"
        durable = max(durable, told[-1])
    offsets, lines, distinct = asyncio.run(_stored(tmp_path / "store"))
    assert offsets >= durable
    assert lines == distinct == (offsets + 1) * LINES_PER_OFFSET


async def _stored(folder: Path) -> tuple[int, int, int]:
    """Highest offset, lines, distinct lines."""
    with closing(Engine(folder)) as engine:
        store = EmbeddedStore(engine)
        await store.start()
        highest = (await highest_offsets(store, EVENTS))["k1", 0]
        found = await store.query("SELECT count() AS n, uniqExact(raw_offset, raw_line) AS d FROM events")
        await store.close()
    return highest, found["n"][0].as_py(), found["d"][0].as_py()


async def test_the_loop_does_not_wait_for_the_engine(tmp_path: Path) -> None:
    with closing(Engine(tmp_path / "store")) as engine:
        store = EmbeddedStore(engine)
        await store.start()
        slow = asyncio.create_task(store.query("SELECT sleep(0.5)"))
        turns = 0
        while not slow.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100
        await store.close()


async def test_queries_run_beside_each_other(tmp_path: Path) -> None:
    """Each waits until it sees the others."""
    sql = "SELECT count() AS n FROM system.processes WHERE query LIKE 'SELECT sleep%'"
    with closing(Engine(tmp_path / "store")) as engine:
        store = EmbeddedStore(engine)
        await store.start()
        sleeping = [asyncio.create_task(store.query("SELECT sleep(2)")) for _ in range(2)]
        async with asyncio.timeout(10):
            while (await store.query(sql))["n"][0].as_py() != 2:  # noqa: ASYNC110 - the engine has no event for it
                await asyncio.sleep(0.01)
        await asyncio.gather(*sleeping)
        await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_is_a_failure_that_may_pass(small_disk: Path) -> None:
    with closing(Engine(small_disk / "store")) as engine:
        store = EmbeddedStore(engine)
        await store.start()
        await store.migrate()
        await store.insert("events", rows(100), "small")
        noise = [os.urandom(3000).hex() for _ in range(6000)]
        with pytest.raises(StoreUnavailable):
            await store.insert("events", rows(6000, raw=noise, raw_offset=1), "large")
        assert (await store.query("SELECT count() AS n FROM events"))["n"].to_pylist() == [100]
        await store.insert("events", rows(100, raw_offset=1), "small again")
        assert (await store.query("SELECT count() AS n FROM events"))["n"].to_pylist() == [200]
        await store.close()


def test_a_write_without_room_is_known_by_its_number() -> None:
    error = store_error("Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)")
    assert isinstance(error, StoreUnavailable)
