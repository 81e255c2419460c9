"""Statements over tables of lines, kept open: what a statement costs is then little more than what its rows cost.

The analysis of a parser's statement takes tens of milliseconds, parsing a line some microseconds. A relay that sends ten products in
turns would otherwise pay for ten analyses with every batch.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import pyarrow as pa

from core.engine import Engine, Stream
from core.errors import StoreError
from ingest.compile import LINES

_MOST_OPEN: Final = 512  # all of 140 parsers; each holds half a megabyte or so and a thread that waits


class Statements:
    """The statements one thread runs; those not used for longest are closed first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open: OrderedDict[tuple[str, str], Stream] = OrderedDict()

    def run(self, sql: str, lines: pa.Table, zone: str) -> pa.Table:
        """The rows of `sql` for `lines` (`compile.LINES`, not empty); zoneless times are of `zone`. StoreError when it fails."""
        stream = self._stream(sql, zone)
        try:
            return stream.run(lines)
        except StoreError:
            self._open.pop((sql, zone)).close()
            raise

    def _stream(self, sql: str, zone: str) -> Stream:
        key = (sql, zone)
        if key in self._open:
            self._open.move_to_end(key)
        else:
            if len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            self._open[key] = self._engine.stream(sql, LINES, {"zone": zone})
        return self._open[key]

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()
