"""The columnar store inside this process: chdb through sessions of the process's one Engine.

- One thread writes, through one session; a few threads read, each through a session that may not write (`readonly`); each stream has a
  thread and a session of its own. Nothing runs on the event loop.
- An insert is one block, so one part: all of it or nothing.
- A call that is cancelled goes on in its thread until it ends or passes its limits; its result is dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final, TypeVar

import pyarrow as pa

from core.engine import Engine, Session, Settings
from core.errors import StoreError
from core.events import Column, Kind, Table
from core.storage import migrations
from core.storage.contract import Health, Limits, Params
from core.storage.streaming import STREAMING, Batches, Streams
from core.storage.tables import filled, in_shape, table_named

_READERS: Final = 3
_WRITING: Final[Settings] = {"max_threads": 1, "max_insert_threads": 1}
_ONE_BLOCK: Final = "insert_deduplicate = 1, min_insert_block_size_rows = 1000000000, min_insert_block_size_bytes = 0"
_T = TypeVar("_T")


class EmbeddedStore:
    """The embedded implementation of `core.storage.contract.Store`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing = ThreadPoolExecutor(1, "store-write")
        self._reading = ThreadPoolExecutor(_READERS, "store-read")
        self._writer: Session | None = None
        self._readers: SimpleQueue[Session] = SimpleQueue()
        self._streams = Streams()
        self._closed = False

    async def start(self) -> None:
        """Open the sessions. StoreUnavailable when another process has the folder."""
        self._writer = await self._in(self._writing, lambda: self._engine.session(_WRITING))
        for _ in range(_READERS):
            self._readers.put(await self._in(self._reading, lambda: _reader(self._engine)))

    async def migrate(self) -> Sequence[str]:
        def work() -> tuple[str, ...]:
            session = self._write_session()
            return migrations.apply(lambda sql, params: session.run(sql, params=params), session.arrow)

        return await self._in(self._writing, work)

    async def insert(self, table: str, rows: pa.Table, token: str) -> None:
        target = table_named(table)
        rows = in_shape(target, rows)
        if rows.num_rows:
            await self._in(self._writing, lambda: self._insert(target, rows, token))

    async def delete(self, table: str, where: str, params: Params) -> None:
        sql = f"DELETE FROM {table_named(table).name} WHERE {where}"
        await self._in(self._writing, lambda: self._write_session().run(sql, params=params))

    async def query(self, sql: str, params: Params | None = None, limits: Limits | None = None) -> pa.Table:
        def work() -> pa.Table:
            session = self._readers.get()
            try:
                session.configure(_settings(limits or Limits()))
                return session.arrow(sql, params=params)
            finally:
                self._readers.put(session)

        return await self._in(self._reading, work)

    def stream(self, sql: str, params: Params | None = None, limits: Limits | None = None) -> AsyncGenerator[pa.RecordBatch, None]:
        self._check_open()
        return self._streams.batches(lambda: _batches(self._engine, sql, params, limits or Limits()))

    async def health(self) -> Health:
        try:
            version = (await self.query("SELECT version() AS version"))["version"][0].as_py()
        except StoreError as error:
            return Health(str(error))
        return Health("", f"ClickHouse {version} (embedded)")

    async def close(self) -> None:
        """Let running calls finish and end the streams; the engine may be closed after it."""
        if self._closed:
            return
        self._closed = True
        await self._streams.close()
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._reading.shutdown()
        self._writing.shutdown()
        while not self._readers.empty():
            self._readers.get().close()
        if self._writer is not None:
            self._writer.close()

    def _insert(self, table: Table, rows: pa.Table, token: str) -> None:
        columns = filled(table, rows)
        self._write_session().run(_insert_sql(table, columns, token), rows.select([column.name for column in columns]))

    def _write_session(self) -> Session:
        if self._writer is None:
            raise StoreError("the store was not started")
        return self._writer

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")


def _batches(engine: Engine, sql: str, params: Params | None, limits: Limits) -> Batches:
    session = _reader(engine)
    try:
        session.configure(_settings(limits) | STREAMING)
        yield from session.batches(sql, params)
    finally:
        session.close()


def _reader(engine: Engine) -> Session:
    return engine.session({"readonly": 2})


def _settings(limits: Limits) -> dict[str, int | float | str]:
    return {
        "max_execution_time": limits.seconds,
        "max_result_rows": limits.rows,
        "max_memory_usage": limits.memory_bytes,
    }


def _insert_sql(table: Table, columns: Sequence[Column], token: str) -> str:
    """The INSERT of `Python(rows)`, which has `columns`. Its token is a digest, as a setting's value can only stand in the text."""
    names = ", ".join(f"`{column.name}`" for column in columns)
    values = ", ".join(
        f"CAST(`{column.name}` AS {column.clickhouse})" if column.kind is Kind.IP else f"`{column.name}`" for column in columns
    )
    digest = hashlib.blake2b(token.encode(), digest_size=16).hexdigest()
    settings = f"{_ONE_BLOCK}, insert_deduplication_token = '{digest}'"
    return f"INSERT INTO {table.name} ({names}) SELECT {values} FROM Python(rows) SETTINGS {settings}"
