"""The columnar store on a ClickHouse server, over its native protocol (clickhouse-driver).

- A few threads share a few connections; each stream has its own. A connection on which something failed is closed and opened again.
- An insert goes as blocks of one INSERT that the server joins to one (squashing is set so), so it is one part: all of it or nothing.
- Queries run with `readonly`, with their limits as the query's settings; parameters travel beside the SQL.
- A call that is cancelled goes on in its thread until it ends or passes its limits; its result is dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import LifoQueue
from typing import Any, Final, TypeVar

import pyarrow as pa
from clickhouse_driver import Client, defines
from clickhouse_driver import errors as driver_errors
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str

from core.config import ClickHouseSettings
from core.errors import StoreError, StoreUnavailable
from core.events import Table
from core.storage import migrations
from core.storage.contract import Health, Limits, Params
from core.storage.failures import store_error
from core.storage.native import Block, BlockReader, write_block
from core.storage.params import plain
from core.storage.streaming import STREAMING, Batches, Streams
from core.storage.tables import in_shape, table_named

_CONNECTIONS: Final = 4
_BLOCK_ROWS: Final = 65_536
_CONNECT_SECONDS: Final = 5
_SILENCE_SECONDS: Final = 120  # a server at work reports progress far more often
_OLDEST_REVISION: Final = defines.DBMS_MIN_PROTOCOL_VERSION_WITH_PARAMETERS  # to an older server the driver sends none, and says nothing
_INSERTING: Final = {
    "insert_deduplicate": 1,
    "min_insert_block_size_rows": 1_000_000_000,
    "min_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
}
_T = TypeVar("_T")


class ServerStore:
    """The ClickHouse server implementation of `core.storage.contract.Store`."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_CONNECTIONS, "clickhouse")
        self._clients: LifoQueue[_Connection] = LifoQueue()
        for _ in range(_CONNECTIONS):
            self._clients.put(_Connection(settings))
        self._streams = Streams()
        self._closed = False

    async def start(self) -> None:
        """Make the database if it is missing. StoreUnavailable when the server does not answer."""
        name = self._settings.database

        def work() -> None:
            connection = _Connection(self._settings, database="")
            try:
                known = connection.table("SELECT name FROM system.databases WHERE name = {name:String}", {"name": name}, {})
                if not known.num_rows:  # asked first: a user may be allowed to use it and not to make it
                    connection.run(f"CREATE DATABASE IF NOT EXISTS `{name.replace('`', '``')}`", {}, {})
            finally:
                connection.close()

        await self._in_thread(work)

    async def migrate(self) -> Sequence[str]:
        def work(connection: _Connection) -> tuple[str, ...]:
            return migrations.apply(
                lambda sql, params: connection.run(sql, params, {}),
                lambda sql: connection.table(sql, {}, {}),
            )

        return await self._with_connection(work)

    async def insert(self, table: str, rows: pa.Table, token: str) -> None:
        target = table_named(table)
        rows = in_shape(target, rows)
        if rows.num_rows:
            await self._with_connection(lambda connection: connection.insert(target, rows, token))

    async def delete(self, table: str, where: str, params: Params) -> None:
        sql = f"DELETE FROM {table_named(table).name} WHERE {where}"
        await self._with_connection(lambda connection: connection.run(sql, params, {}))

    async def query(self, sql: str, params: Params | None = None, limits: Limits | None = None) -> pa.Table:
        settings = _query_settings(limits or Limits())
        return await self._with_connection(lambda connection: connection.table(sql, params or {}, settings))

    def stream(self, sql: str, params: Params | None = None, limits: Limits | None = None) -> AsyncGenerator[pa.RecordBatch, None]:
        self._check_open()
        settings = _query_settings(limits or Limits()) | STREAMING
        return self._streams.batches(lambda: _batches(_Connection(self._settings), sql, params or {}, settings))

    async def health(self) -> Health:
        try:
            version = (await self.query("SELECT version() AS version"))["version"][0].as_py()
        except StoreError as error:
            return Health(str(error))
        return Health("", f"ClickHouse {version} at {self._settings.host}:{self._settings.port}")

    async def close(self) -> None:
        """Let running calls finish, end the streams and close the connections."""
        if self._closed:
            return
        self._closed = True
        await self._streams.close()
        await asyncio.to_thread(self._threads.shutdown)
        while not self._clients.empty():
            self._clients.get().close()

    async def _with_connection(self, work: Callable[[_Connection], _T]) -> _T:
        def with_one() -> _T:
            connection = self._clients.get()
            try:
                return work(connection)
            finally:
                self._clients.put(connection)

        return await self._in_thread(with_one)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")


class _Connection:
    """One connection, opened when first used; not for two threads at once."""

    def __init__(self, settings: ClickHouseSettings, database: str | None = None) -> None:
        self._where = f"{settings.host}:{settings.port}"
        self._client = Client(
            settings.host,
            port=settings.port,
            database=settings.database if database is None else database,
            user=settings.user,
            password=settings.password.get_secret_value(),
            client_name="bongsu",
            secure=settings.secure,
            # Left alone, the driver prefers the authorities of the package certifi to the system's.
            ca_certs=str(settings.ca_file) if settings.ca_file else ssl.get_default_verify_paths().cafile,
            compression="lz4",
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=_SILENCE_SECONDS,
            tcp_keepalive=True,
            settings={"server_side_params": True},
        )

    def run(self, sql: str, params: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Run a statement that gives no rows."""
        for _ in self.blocks(sql, params, settings):
            pass

    def table(self, sql: str, params: Mapping[str, Any], settings: Mapping[str, Any]) -> pa.Table:
        """The whole result."""
        blocks = list(self.blocks(sql, params, settings))
        full = [block.to_arrow() for block in blocks if block.num_rows]
        if full:
            return pa.Table.from_batches(full)
        header = next((block for block in blocks if block.columns_with_types), Block([], [], 0))
        return header.empty()

    def blocks(self, sql: str, params: Mapping[str, Any], settings: Mapping[str, Any]) -> Generator[Block, None, None]:
        """The result block by block, the header first. Closing the generator before its end closes the connection, which cancels."""
        bound = {name: plain(value) for name, value in params.items()}
        with self._talking(sql, settings) as wire:
            wire.send_query(sql, params=bound)
            wire.send_external_tables(None)
            for packet in self._client.packet_generator():
                if packet.block is not None:
                    yield packet.block

    def insert(self, table: Table, rows: pa.Table, token: str) -> None:
        """Write `rows` in one INSERT."""
        names = ", ".join(f"`{name}`" for name in table.names)
        sql = f"INSERT INTO {table.name} ({names}) VALUES"
        digest = hashlib.blake2b(token.encode(), digest_size=16).hexdigest()
        with self._talking(sql, _INSERTING | {"insert_deduplication_token": digest}) as wire:
            wire.send_query(sql)
            wire.send_external_tables(None)
            self._client.receive_sample_block()
            try:
                self._send(wire, table, rows)
            except ConnectionError:  # a server that refuses says why, and may close while blocks are on their way
                self._client.receive_end_of_insert_query()
                raise
            self._client.receive_end_of_insert_query()

    def _send(self, wire: Any, table: Table, rows: pa.Table) -> None:
        for start in range(0, rows.num_rows, _BLOCK_ROWS):
            write_varint(ClientPacketTypes.DATA, wire.fout)
            write_binary_str("", wire.fout)
            write_block(wire.block_out, table.columns, rows.slice(start, _BLOCK_ROWS), wire.server_info.used_revision)
            self._client.receive_profile_events()
        wire.send_external_tables(None)  # an empty block: the end of the rows
        self._client.receive_profile_events()

    def close(self) -> None:
        self._client.disconnect()

    @contextmanager
    def _talking(self, sql: str, settings: Mapping[str, Any]) -> Iterator[Any]:
        """An open, idle connection with `settings`; whatever is raised meanwhile closes it, and is raised as a StoreError."""
        try:
            with self._client.disconnect_on_error(sql, dict(settings)):
                wire = self._client.connection
                self._check_revision(wire.server_info)
                if not isinstance(wire.block_in, BlockReader):
                    wire.block_in = BlockReader(wire.block_in)
                yield wire
        except GeneratorExit:
            self._client.disconnect()
            raise
        except driver_errors.ServerException as error:
            raise store_error(error.message.partition(" Stack trace:")[0], error.code) from error
        except (driver_errors.NetworkError, driver_errors.SocketTimeoutError, OSError, EOFError) as error:
            raise StoreUnavailable(f"ClickHouse at {self._where}: {error or type(error).__name__}") from error
        except (driver_errors.Error, pa.ArrowInvalid) as error:
            raise StoreError(f"ClickHouse at {self._where}: {error}") from error

    def _check_revision(self, server: Any) -> None:
        if server.used_revision < _OLDEST_REVISION:
            version = ".".join(map(str, server.version_tuple()))
            raise StoreError(
                f"ClickHouse {version} at {self._where} is too old: it speaks revision {server.used_revision} of the protocol, "
                f"{_OLDEST_REVISION} is the first with query parameters; use a newer server"
            )


def _batches(connection: _Connection, sql: str, params: Params, settings: Mapping[str, Any]) -> Batches:
    try:
        for block in connection.blocks(sql, params, settings):
            if block.num_rows:
                yield block.to_arrow()
    finally:
        connection.close()


def _query_settings(limits: Limits) -> dict[str, int | float]:
    return {
        "readonly": 2,
        "max_execution_time": limits.seconds,
        "max_result_rows": limits.rows,
        "max_memory_usage": limits.memory_bytes,
    }
