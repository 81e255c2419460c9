"""The in-process ClickHouse engine (chdb).

chdb allows one engine per process, so the process has one `Engine`; everything that computes in columns (normalise, detect) or
stores (the embedded store) takes sessions of it. A session belongs to one thread at a time. The engine frees the GIL while it works.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from chdb.state import sqlitelike

from core.errors import StoreError

Params = Mapping[str, Any] | None


class Session:
    """One connection to the engine; not for two threads at once.

    chdb finds the table named in `Python(rows)` among the local variables of its callers: the argument `rows` is read that way.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def arrow(self, sql: str, rows: pa.Table | None = None, params: Params = None) -> pa.Table:  # noqa: ARG002 - see the class
        """Run `sql` and give its result as an Arrow table.

        `rows` is readable in the SQL as `Python(rows)`; `{name:Type}` placeholders are bound on the engine's side from `params`.
        StoreError carries the engine's own message.
        """
        try:
            return self._connection.query(sql, "arrowtable", params=dict(params or {}))
        except RuntimeError as error:
            raise StoreError(str(error)) from error

    def run(self, sql: str, rows: pa.Table | None = None, params: Params = None) -> None:  # noqa: ARG002 - see the class
        """Run a statement that gives no rows."""
        try:
            self._connection.query(sql, "Null", params=dict(params or {}))
        except RuntimeError as error:
            raise StoreError(str(error)) from error

    @property
    def raw(self) -> Any:
        """The chdb connection, for streaming reads and inserts."""
        return self._connection

    def close(self) -> None:
        self._connection.close()


class Engine:
    """The engine of this process; `path` None keeps nothing on disk."""

    _guard = threading.Lock()
    _path: str | None = None
    _users = 0

    def __init__(self, path: Path | None = None) -> None:
        wanted = str(path) if path else ":memory:"
        if path:
            path.mkdir(parents=True, exist_ok=True)
        with Engine._guard:
            if Engine._users and Engine._path != wanted:
                raise StoreError(f"this process already runs the engine on {Engine._path}; it cannot also open {wanted}")
            Engine._path = wanted
            Engine._users += 1
        self._where = wanted
        self._root = self.session()

    def session(self) -> Session:
        """A new session; close it when its thread ends."""
        try:
            return Session(sqlitelike.connect(self._where))
        except RuntimeError as error:
            raise StoreError(
                f"the embedded engine cannot open {self._where}: {error}; is another bongsu running on this folder?"
            ) from error

    def close(self) -> None:
        """Close the engine; sessions must be closed before."""
        self._root.close()
        with Engine._guard:
            Engine._users -= 1
