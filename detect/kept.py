"""Statements kept open for tables that come again and again: to analyse one costs a millisecond and more for each rule in it.

Not for two threads at once, like the session they run on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pyarrow as pa

from core.engine import Session, Stream
from core.errors import StoreError

_MOST = 192  # each holds a connection and a thread of the engine


class KeptOpen:
    """Statements by name. The one that was not used for longest is closed when there are too many."""

    def __init__(self) -> None:
        self._open: dict[Hashable, tuple[pa.Schema, Stream]] = {}

    def run(self, session: Session, name: Hashable, sql: Callable[[], str], rows: pa.Table) -> pa.Table:
        """What the statement `sql()` over `Python(rows)` gives: one row for each of `rows`, which is not empty.

        `sql` is asked only when `name` is not open for tables of this schema. StoreError when the statement fails; it is closed then.
        """
        known, stream = self._open.pop(name, (None, None))
        if stream is not None and known != rows.schema:
            stream.close()
            stream = None
        if stream is None:
            if len(self._open) >= _MOST:
                self._open.pop(next(iter(self._open)))[1].close()
            stream = session.stream(sql(), rows.schema)
        try:
            result = stream.run(rows)
        except StoreError:
            stream.close()
            raise
        self._open[name] = (rows.schema, stream)
        return result

    def close(self) -> None:
        """End them all; they are opened again when they are run."""
        for _, stream in self._open.values():
            stream.close()
        self._open.clear()
