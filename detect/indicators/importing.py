"""A feed's file into the store: read whole first, so that a broken file changes nothing, then written in order.

- Importing the same again replaces: a value is once in a feed, and the newest import says what holds for it. What a file does not name
  stays until it ends or the feed is deleted.
- Memory is bounded whatever the file's size: rows wait in a temporary file; of what the feed holds already only 16 bytes each are kept.
- The feed's mark is written last and the import's record closed after it. An import that is cut short before leaves indicators that the
  next import of the feed brings into use; give the file again.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.orm import Session

from core.clock import Clock, millis
from core.database import Database
from core.errors import Invalid, TooMany
from core.storage import indicators
from core.storage.contract import Store
from core.storage.tables import INDICATORS
from detect.indicators import csv_feed, feeds, misp, stix
from detect.indicators.feeds import MOST_REFUSALS, Defaults
from detect.indicators.findings import hash_of
from detect.indicators.hashing import Hashes
from detect.indicators.model import Indicator, Read, Refused

FORMATS: Final[Mapping[str, Callable[[BinaryIO], Read]]] = {"stix": stix.read, "misp": misp.read, "csv": csv_feed.read}
Record = Callable[[Session, str, str, str, Mapping[str, Any]], None]
"""Writes an audit row: session, actor, action, object, detail."""

_ROWS: Final = 100_000
_KEEP_ENDED: Final = timedelta(days=30)
_SPOOLED: Final = tuple(name for name in INDICATORS.names if name not in ("feed", "import_id", "first_import"))
_SCHEMA: Final = pa.schema([INDICATORS.column(name).arrow.with_nullable(True) for name in _SPOOLED])


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file. `fresh` of the `accepted` entries were not in force in the feed before; `refused` counts by reason."""

    import_id: int
    accepted: int
    fresh: int
    refused: Mapping[str, int]


@dataclass
class _Counts:
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    kept: list[Refused] = field(default_factory=list)


class Importer:
    """Imports one file at a time. `folder` is for temporary files; `history` is how far back new indicators are searched for."""

    def __init__(self, store: Store, database: Database, clock: Clock, record: Record, folder: Path, history: timedelta) -> None:
        self._store = store
        self._database = database
        self._clock = clock
        self._record = record
        self._folder = folder
        self._history = history
        self._busy = asyncio.Lock()

    async def run(self, file: BinaryIO, sha256: str, feed: str, form: str, defaults: Defaults, actor: str) -> Imported:
        """Take `file` into the feed; all of it is in the store on return.

        Invalid (422) when the file cannot be read as `form`, TooMany (429) while another import is under way; StoreError.
        """
        if self._busy.locked():
            raise TooMany("another import is under way: try again when it is done", retry_after=10.0)
        async with self._busy:
            with tempfile.TemporaryFile(dir=self._folder) as spool:
                counts = await asyncio.to_thread(_spool, FORMATS[form](file), spool)
                return await self._write(spool, counts, sha256, feed, form, defaults, actor)

    async def _write(self, spool: Any, counts: _Counts, sha256: str, feed: str, form: str, defaults: Defaults, actor: str) -> Imported:
        import_id, held = await asyncio.to_thread(self._begin, counts, sha256, feed, form, defaults, actor)
        fresh = 0
        known = await self._known(feed)
        spool.seek(0)
        for number, batch in enumerate(pa.ipc.open_stream(spool)):
            rows, new, known = await asyncio.to_thread(_complete, batch, feed, import_id, held, known, self._clock.now())
            fresh += new
            await self._store.insert(INDICATORS.name, rows, f"indicators/{import_id}/{number}")
        await self._store.insert(INDICATORS.name, _mark(feed, import_id), f"indicators/{import_id}/mark")
        await indicators.remove_ended(self._store, feed, self._clock.now() - _KEEP_ENDED)
        result = Imported(import_id, counts.accepted, fresh, dict(counts.refused))
        await asyncio.to_thread(self._finish, result, feed, form, sha256, actor)
        return result

    def _begin(self, counts: _Counts, sha256: str, feed: str, form: str, defaults: Defaults, actor: str) -> tuple[int, Defaults]:
        with self._database.session() as session:
            known = feeds.set_feed(session, feed, defaults, actor)
            row = feeds.begin_import(session, known, form, sha256, actor)
            feeds.keep_refusals(session, row.id, counts.kept)
            return row.id, Defaults(known.expire_days, known.tlp, known.confidence)

    def _finish(self, result: Imported, feed: str, form: str, sha256: str, actor: str) -> None:
        detail = {"import": result.import_id, "format": form, "sha256": sha256, "accepted": result.accepted, "new": result.fresh}
        with self._database.session() as session:
            feeds.finish_import(session, result.import_id, result.accepted, result.fresh, dict(result.refused), self._history)
            self._record(session, actor, "indicators.import", f"indicators/{feed}", detail | {"refused": sum(result.refused.values())})

    async def _known(self, feed: str) -> _Known:
        """What the feed holds in force."""
        parts = [
            (_identities(batch.column("type"), batch.column("value")), batch.column("first_import").to_numpy())
            async for batch in indicators.known(self._store, feed, self._clock.now())
        ]
        return _Known().plus(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else _Known()

    async def delete(self, feed: str, actor: str, seen: int | None = None) -> None:
        """Remove a feed with all its indicators; what they met stays. NotFound; Stale when it is not of the version `seen`."""
        await asyncio.to_thread(self._check_seen, feed, seen)
        await indicators.remove_feed(self._store, feed)
        await asyncio.to_thread(self._forget, feed, actor)

    def _check_seen(self, feed: str, seen: int | None) -> None:
        with self._database.session(readonly=True) as session:
            feeds.seen_feed(session, feed, seen)

    def _forget(self, feed: str, actor: str) -> None:
        with self._database.session() as session:
            feeds.delete_feed(session, feed, None)
            self._record(session, actor, "indicators.delete_feed", f"indicators/{feed}", {})


@dataclass(frozen=True, slots=True)
class _Known:
    """Indicators by identity, ascending, with the import that first brought each."""

    identities: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    first: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))

    def plus(self, identities: Hashes, first: Hashes) -> _Known:
        every, places = np.unique(np.concatenate([self.identities, identities]), return_index=True)
        return _Known(every, np.concatenate([self.first, first])[places])

    def find(self, identities: Hashes, otherwise: int) -> Hashes:
        """The import that first brought each; `otherwise` where it is not known."""
        if not len(self.identities):
            return np.full(len(identities), otherwise, np.uint64)
        places = np.minimum(np.searchsorted(self.identities, identities), len(self.identities) - 1)
        return np.where(self.identities[places] == identities, self.first[places], np.uint64(otherwise))


def _identities(types: pa.Array, values: pa.Array) -> Hashes:
    each = zip(types.to_pylist(), values.to_pylist(), strict=True)
    return np.fromiter((int(hash_of(kind, value), 16) for kind, value in each), np.uint64, len(values))


def _spool(read: Read, spool: BinaryIO) -> _Counts:
    """Write what is read to `spool`, count it, and keep the first of what is refused."""
    counts = _Counts()
    with pa.ipc.new_stream(spool, _SCHEMA) as writer:
        for rows in _batches(read, counts):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, _SCHEMA))
    if not counts.accepted and not counts.refused:
        raise Invalid("the file holds no indicators: nothing was changed")
    return counts


def _batches(read: Read, counts: _Counts) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for one in read:
        if isinstance(one, Refused):
            counts.refused[one.word] += 1
            if len(counts.kept) < MOST_REFUSALS:
                counts.kept.append(one)
            continue
        counts.accepted += 1
        rows.append(_row(one))
        if len(rows) == _ROWS:
            yield rows
            rows = []
    yield rows


def _row(one: Indicator) -> dict[str, Any]:
    value = one.value
    return {
        "type": value.type.value,
        "value": value.text,
        "address": value.address,
        "prefix": value.prefix,
        "valid_from": one.valid_from,
        "valid_until": one.valid_until,
        "confidence": one.confidence,
        "tlp": one.tlp or None,
        "source": one.source,
        "labels": one.labels,
        "reference": one.reference,
        "description": one.description,
    }


def _complete(
    batch: pa.RecordBatch, feed: str, import_id: int, held: Defaults, known: _Known, now: datetime
) -> tuple[pa.Table, int, _Known]:
    """The rows of the store, how many of them are new, and what is known after them."""
    identities = _identities(batch.column("type"), batch.column("value"))
    first = known.find(identities, import_id)
    columns = {name: batch.column(name) for name in _SPOOLED}
    columns["confidence"] = pc.fill_null(columns["confidence"], pa.scalar(held.confidence, pa.uint8()))
    columns["tlp"] = pc.fill_null(columns["tlp"], held.tlp)
    if held.expire_days:
        ends = pa.scalar(millis(now + timedelta(days=held.expire_days)), pa.int64()).cast(pa.timestamp("ms", "UTC"))
        columns["valid_until"] = pc.fill_null(columns["valid_until"], ends)
    columns["feed"] = pa.repeat(pa.scalar(feed), len(batch))
    columns["import_id"] = pa.array(np.full(len(batch), import_id, np.uint64))
    columns["first_import"] = pa.array(first)
    rows = pa.table([columns[name] for name in INDICATORS.names], schema=INDICATORS.schema)
    after = known.plus(identities, first)
    return rows, len(after.identities) - len(known.identities), after


def _mark(feed: str, import_id: int) -> pa.Table:
    """The feed's own mark (`core.storage.indicators`)."""
    row = {column.name: None if column.nullable else "" if column.kind.is_text else 0 for column in INDICATORS.columns}
    return pa.Table.from_pylist([row | {"feed": feed, "import_id": import_id, "first_import": import_id}], schema=INDICATORS.schema)
