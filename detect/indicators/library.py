"""The indicators in use on the stream: read from the store at the start, and again whenever a feed changed.

The whole index is replaced by one assignment, so a batch is judged by the old one or the new one. While the store does not answer, what
was read before stays in use: `problem` says so. For a moment there are two indexes in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import structlog

from core import metrics
from core.clock import Clock
from core.errors import StoreError
from core.storage import indicators
from core.storage.contract import Store
from detect.indicators.index import SCHEMA, Index

_EVERY_SECONDS: Final = 5.0
_log = structlog.get_logger()


class Library:
    """`index` may be read by any thread; the rest is for one task."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.index = Index(SCHEMA.empty_table())
        self.problem = ""
        self._store = store
        self._clock = clock
        self._newest: Mapping[str, int] = {}

    async def refresh(self) -> bool:
        """Read the indicators if some feed changed; whether they were read. StoreError when the store does not answer."""
        newest = await indicators.newest_imports(self._store)
        if newest == self._newest:
            return False
        self.index = await load(self._store, self._clock)
        known, self._newest = self._newest, newest
        for feed in {*known, *newest}:
            metrics.INDICATORS.labels(feed).set(0)
        for counted in self.index.rows["feed"].value_counts().to_pylist():
            metrics.INDICATORS.labels(counted["values"]).set(counted["counts"])
        _log.info("indicators.read", feeds=len(newest), indicators=len(self.index), mebibytes=self.index.nbytes >> 20)
        return True

    async def look(self) -> None:
        """`refresh`, unless the store does not answer."""
        try:
            await self.refresh()
            self.problem = ""
        except StoreError as error:
            if str(error) != self.problem:
                _log.warning("indicators.not_read", error=str(error), in_use=len(self.index))
            self.problem = str(error)

    async def run(self) -> None:
        """Look for changes now and then, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_SECONDS)


async def load(store: Store, clock: Clock, first_import: int | None = None) -> Index:
    """An index of what is in force now or later; of the new ones of one import, if that is given."""
    batches = [batch async for batch in indicators.in_force(store, clock.now(), first_import)]
    rows = pa.Table.from_batches(batches) if batches else SCHEMA.empty_table()
    return await asyncio.to_thread(lambda: Index(rows.cast(SCHEMA)))
