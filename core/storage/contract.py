"""What every columnar store promises.

- `insert` is atomic per call when all rows fall into one table partition (see `core.events.Table.partition_by`), and idempotent:
  the same `token` writes its rows once, however often it is given within the deduplication window.
- Values go to the engine beside the SQL (`{name:Type}` placeholders), never in its text. A value is a text, number, bool, aware
  datetime (for `DateTime64(3, 'UTC')`), address, or list of these; anything else is a TypeError.
- `query` and `stream` cannot write. A query has limits; passing one raises QueryTooCostly. A store that cannot be reached, is locked
  or full raises StoreUnavailable.
- All methods are coroutines; the work is done outside the event loop. `close` lets running calls finish.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """The most one query may take."""

    seconds: float = 30.0
    rows: int = 100_000  # of the result
    memory_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Health:
    """`problem` is '' when the store answers."""

    problem: str
    engine: str = ""  # name and version
    revision: str = ""  # of the schema, where that has one


class Store(Protocol):
    """A columnar store; made by `runtime.bootstrap`."""

    async def start(self) -> None: ...

    async def migrate(self) -> Sequence[str]:
        """Apply the numbered migrations that are missing, in order; gives the names of those applied. Safe to call at every start."""
        ...

    async def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Write `rows`, whose columns are those of the table in `core.events`. Durable on return.

        When it raises StoreUnavailable the rows may have been written: give the same rows with the same token again.
        """
        ...

    async def delete(self, table: str, where: str, params: Params) -> None:
        """Remove the rows of `table`, which has no projections, for which the condition `where` holds.

        What is asked for after it returns does not see them.
        """
        ...

    async def query(self, sql: str, params: Params | None = None, limits: Limits | None = None) -> pa.Table:
        """The whole result. Addresses come as 16 bytes, times as UTC milliseconds.

        A cancelled call ends at once for its caller; the engine may work on until the query ends or passes its limits.
        """
        ...

    def stream(self, sql: str, params: Params | None = None, limits: Limits | None = None) -> AsyncIterator[pa.RecordBatch]:
        """The result in batches, in constant memory; closing the iterator cancels the query. `limits.rows` does not apply."""
        ...

    async def health(self) -> Health: ...

    async def close(self) -> None: ...
