"""The in-process ClickHouse engine (chdb).

chdb allows one engine per process, on one path, and one process per path; so the process has one `Engine`, and everything that
computes in columns (normalise, detect) or stores (the embedded store) takes sessions of it. A session belongs to one thread at a
time. The engine frees the GIL while it works.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pyarrow as pa
from chdb.state import sqlitelike

from core.errors import StoreError, StoreUnavailable
from core.storage.failures import store_error
from core.storage.params import escaped

# Buffers are made on one thread and let go on a thread of the engine; Arrow's usual allocator then keeps what it was given back (half a
# gigabyte after a million lines through 139 streams), the system's does not, and is no slower.
pa.set_memory_pool(pa.system_memory_pool())

Params = Mapping[str, Any] | None
Settings = Mapping[str, int | float | str]


class Session:
    """One connection to the engine; not for two threads at once.

    chdb finds the table named in `Python(rows)` among the local variables of its callers: the argument `rows` is read that way.

    After an error chdb keeps what the failed query had already written, and puts it in front of the next result of that connection.
    So a connection on which anything failed is replaced by a new one with the same settings.
    """

    def __init__(self, where: str, settings: Settings) -> None:
        self._where = where
        self._settings = dict(settings)
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._connect()

    def arrow(self, sql: str, rows: pa.Table | None = None, params: Params = None) -> pa.Table:  # noqa: ARG002 - see the class
        """Run `sql` and give its result as an Arrow table.

        `rows` is readable in the SQL as `Python(rows)`; `{name:Type}` placeholders are bound on the engine's side from `params`.
        StoreError, QueryTooCostly or StoreUnavailable carries the engine's own message.
        """
        bound = escaped(params)
        with self._guarded():
            return self._connection.query(sql, "arrowtable", params=bound)

    def run(self, sql: str, rows: pa.Table | None = None, params: Params = None) -> None:  # noqa: ARG002 - see the class
        """Run a statement that gives no rows; errors as in `arrow`."""
        bound = escaped(params)
        with self._guarded():
            self._connection.query(sql, "Null", params=bound)

    def batches(
        self,
        sql: str,
        params: Params = None,
        rows: pa.RecordBatchReader | None = None,  # noqa: ARG002 - see the class
    ) -> Generator[pa.RecordBatch, None, None]:
        """The result of `sql` piece by piece, as the engine makes it; closing the generator cancels the query.

        The session is taken until the generator ends. `rows` is read as the engine comes to need it. Errors as in `arrow`, also in the
        middle.
        """
        bound = escaped(params)
        with self._guarded():
            result = self._connection.send_query(sql, "Arrow", params=bound)
            try:
                for chunk in result:
                    yield from pa.RecordBatchFileReader(chunk.bytes()).read_all().to_batches()
            finally:
                result.cancel()

    def stream(self, sql: str, schema: pa.Schema) -> Stream:
        """`sql` kept open for tables of `schema`, on a session of its own with these settings; it ends with this session at the latest."""
        stream = Stream(Session(self._where, {**self._settings, "max_threads": 1}), sql, schema)
        self._streams.add(stream)
        return stream

    def configure(self, settings: Settings) -> None:
        """Set `settings` for what follows on this session."""
        self._settings.update(settings)
        self._set(settings)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException as error:
            self._connection.close()
            self._connect()
            if isinstance(error, RuntimeError):
                raise store_error(str(error)) from error
            raise

    def _connect(self) -> None:
        try:
            self._connection: Any = sqlitelike.connect(self._where)
        except RuntimeError as error:
            raise StoreUnavailable(
                f"the embedded engine cannot open {self._where}: {error}; is another bongsu running on this folder?"
            ) from error
        self._set(self._settings)

    def _set(self, settings: Settings) -> None:
        if settings:
            values = ", ".join(f"{name} = {value!r}" for name, value in settings.items())
            self._connection.query(f"SET {values}", "Null")

    def close(self) -> None:
        """Release the connection and end its streams; waits for the query under way."""
        for stream in list(self._streams):
            stream.close()
        self._connection.close()


class Stream:
    """A statement over tables that come one after the other; not for two threads at once.

    It is analysed once, when it is opened: for a long statement that costs tens of milliseconds, and then a table of few rows one or two.
    The statement reads `Python(rows)` and gives one row for each row it reads, in their order. After an error, close it.
    """

    def __init__(self, session: Session, sql: str, schema: pa.Schema, params: Params = None) -> None:
        """Takes `session` over, whose setting `max_threads` is 1: more threads would wait for more tables before they give a result.

        Errors of the statement come with the first table.
        """
        self._tables: SimpleQueue[pa.RecordBatch | None] = SimpleQueue()
        self._results = session.batches(sql, params, pa.RecordBatchReader.from_batches(schema, _until_none(self._tables)))
        # A thread of the engine waits for the next table: it must have ended before the process does, whoever forgets to close this.
        self._end = weakref.finalize(self, _end, session, self._tables, self._results)

    def run(self, rows: pa.Table) -> pa.Table:
        """The result of the statement over `rows`, which has the stream's schema and is not empty. Errors as in `Session.arrow`."""
        for batch in rows.to_batches():
            self._tables.put(batch)
        pieces: list[pa.RecordBatch] = []
        missing = rows.num_rows
        while missing > 0:
            piece = next(self._results, None)
            if piece is None:
                raise StoreError("the engine ended a statement before its last row")
            pieces.append(piece)
            missing -= piece.num_rows
        return pa.Table.from_batches(pieces)

    def close(self) -> None:
        """End the statement and its session. Closing twice does nothing."""
        self._end()


def _end(session: Session, tables: SimpleQueue[pa.RecordBatch | None], results: Iterator[pa.RecordBatch]) -> None:
    tables.put(None)
    with suppress(StoreError):
        for _ in results:
            pass
    session.close()


def _until_none(tables: SimpleQueue[pa.RecordBatch | None]) -> Iterator[pa.RecordBatch]:
    while (table := tables.get()) is not None:
        yield table


class Engine:
    """The engine of this process; `path` None keeps nothing on disk.

    Opening raises StoreUnavailable when another process has the folder, and StoreError when this process runs the engine elsewhere.
    """

    _guard = threading.Lock()
    _path: str | None = None
    _users = 0

    def __init__(self, path: Path | None = None) -> None:
        wanted = str(path.absolute()) if path else ":memory:"
        with Engine._guard:
            if Engine._users and Engine._path != wanted:
                raise StoreError(f"this process already runs the engine on {Engine._path}; it cannot also open {wanted}")
            if path:
                path.mkdir(parents=True, exist_ok=True)
            self._where = wanted
            self._root: Session | None = self.session()  # keeps the engine up between other sessions
            Engine._path = wanted
            Engine._users += 1

    def session(self, settings: Settings | None = None) -> Session:
        """A new session with `settings`; close it when its thread ends."""
        return Session(self._where, settings or {})

    def stream(self, sql: str, schema: pa.Schema, params: Params = None) -> Stream:
        """`sql` kept open for tables of `schema`; close it when its thread ends."""
        return Stream(self.session({"max_threads": 1}), sql, schema, params)

    def close(self) -> None:
        """Close the engine; sessions must be closed before. Closing twice does nothing."""
        with Engine._guard:
            if self._root is None:
                return
            self._root.close()
            self._root = None
            Engine._users -= 1
