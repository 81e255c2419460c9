"""The file behind the embedded bus: one SQLite database in WAL mode. Nothing here knows of asyncio.

Invariants:
- One process at a time: an exclusive lock on `<file>.lock` is held from `open` to `close`; the kernel lets go of it when we are killed.
- One thread changes the file (`write`, `tidy`); any number of threads `read` on connections of their own and never wait for the writer.
- When `write` returns, its changes are on the disk (synchronous=FULL); when it raises, none of them are.
- What is held in memory (`Stream`, progress, bytes kept) changes only after a commit, and only in the writing thread.
- The row id of a message is its stream's number and its offset (`number << 40 | offset`): a partition is one range of one B-tree.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.bus.changes import OFFSET_BITS, OVERHEAD, Advance, Append, Change, Register, Stream
from core.bus.contract import Position, Record
from core.clock import Clock, from_millis, millis
from core.errors import BusError, BusFull, BusUnavailable

_VERSION = 1
_PAGE = 32768  # of 4, 16, 32 and 64 KiB the best for values of megabytes that does not slow small commits down
_CHECKPOINT_AFTER = 64 << 20
_SPARE = 64 << 20  # free pages kept in the file for the next messages
_TRIM_MESSAGES = 8192
_TRIM_BYTES = 64 << 20
_VACUUM_PAGES = 2048
_TIDY_EVERY = 1.0  # seconds
_BUSY_SECONDS = 2.0

_SCHEMA = """
CREATE TABLE meta (epoch TEXT NOT NULL);
CREATE TABLE stream (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, first INTEGER NOT NULL, UNIQUE (topic, partition)
);
CREATE TABLE message (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, headers TEXT NOT NULL, value BLOB NOT NULL);
CREATE TABLE progress (reader TEXT NOT NULL, stream INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (reader, stream)) WITHOUT ROWID;
"""


@dataclass(slots=True)
class _Pending:
    """What a transaction will have changed in memory once it is committed."""

    next: dict[Stream, int] = field(default_factory=dict)
    first: dict[Stream, int] = field(default_factory=dict)
    progress: dict[tuple[str, Stream], int] = field(default_factory=dict)
    registered: list[Register] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)
    written: int = 0


class Journal:
    """The open file. Make it with `open`."""

    epoch: str
    _lock: int
    _writer: sqlite3.Connection

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._streams: dict[str, list[Stream]] = {}
        self._groups: defaultdict[str, set[str]] = defaultdict(set)  # by topic
        self._progress: dict[tuple[str, Stream], int] = {}  # by group
        self._kept: Counter[str] = Counter()
        self._trimmable: set[Stream] = set()
        self._tidied_at = time.monotonic()
        self._unsettled = 0  # bytes written to the WAL since the last checkpoint, about

    @classmethod
    def open(cls, path: Path, *, topics: Iterable[str], partitions: int, clock: Clock) -> Journal:
        """Open or make the file; every topic gets at least `partitions` partitions, and all get the same number.

        BusUnavailable when another process has it open, or it cannot be read or made.
        """
        journal = cls(path, clock)
        try:
            journal._lock = _take_lock(path)
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # log lines are personal data: for our own user only
                journal._writer = journal._connect()
                journal._prepare(topics, partitions)
            except BaseException:
                journal._let_go()
                raise
        except OSError as error:
            raise BusUnavailable(f"{path} cannot be opened: {error.strerror}") from error
        except sqlite3.Error as error:
            raise journal.explain(error) from error
        return journal

    def close(self) -> None:
        """Write everything into the main file and let go of it. No other call may be running."""
        try:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise self.explain(error) from error  # nothing is lost: the WAL is read at the next start
        finally:
            self._let_go()

    def streams(self, topic: str) -> Sequence[Stream]:
        """The partitions of `topic`, in order; BusError when there is no such topic."""
        try:
            return self._streams[topic]
        except KeyError:
            raise BusError(f"the bus has no topic {topic!r}") from None

    def progress(self, group: str, stream: Stream) -> int:
        """The next offset `group` will read."""
        return self._progress.get((group, stream), stream.first)

    def kept(self, topic: str) -> int:
        """Bytes of `topic` that are still needed by a group, or that no group has ever read."""
        return self._kept[topic]

    @property
    def trimmable(self) -> bool:
        """Whether there are messages every group is done with."""
        return bool(self._trimmable)

    def free_disk(self) -> int:
        """Bytes the file system has left for us."""
        return shutil.disk_usage(self._path.parent).free

    def write(self, changes: Sequence[Change]) -> Sequence[Sequence[Position]]:
        """Make all `changes` durable in one transaction, and remove some of what every group is done with.

        Gives the positions of each Append (empty for the others). sqlite3.Error when nothing was written; see `explain`.
        """
        pending = _Pending()
        with self._transaction():
            self._trim(pending)
            positions = [self._apply(change, pending) for change in changes]
        self._settle(pending)
        return positions

    def probe(self) -> None:
        """Write something that changes nothing; sqlite3.Error when that cannot be done just now."""
        with self._transaction():
            self._writer.execute("UPDATE meta SET epoch = epoch")

    def tidy(self) -> None:
        """Bring the WAL into the main file once it is large or a second has passed; in quieter times also give free room to the disk."""
        now = time.monotonic()
        quiet = self._unsettled < _CHECKPOINT_AFTER
        if quiet and now - self._tidied_at < _TIDY_EVERY:
            return
        self._tidied_at = now
        if quiet:
            self._shrink()
        if self._unsettled:
            # RESTART waits for the short reads under way, so that the WAL starts again from its beginning and cannot grow for ever.
            self._writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            self._unsettled = 0

    def read(self, stream: Stream, offset: int, end: int, max_messages: int, max_bytes: int) -> list[Record]:
        """Messages from `offset` on and before `end`: as many as fit into both limits, and at least one if there is one."""
        reader = self._reader()
        first, last, size = stream.id(offset), -1, 0
        sizes = "SELECT id, length(value) FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        for row, length in reader.execute(sizes, (first, stream.id(end), max_messages)):
            size += length
            if last >= 0 and size > max_bytes:
                break
            last = row
        rows = reader.execute("SELECT id, at, headers, value FROM message WHERE id BETWEEN ? AND ? ORDER BY id", (first, last)).fetchall()
        base = stream.id(0)
        return [
            Record(stream.topic, stream.partition, row - base, value, json.loads(headers), from_millis(at))
            for row, at, headers, value in rows
        ]

    def explain(self, error: sqlite3.Error) -> BusError:
        """The error of ours that says what `error` means."""
        code = getattr(error, "sqlite_errorcode", 0)
        if code == sqlite3.SQLITE_FULL or (code & 0xFF == sqlite3.SQLITE_IOERR and self.free_disk() < _PAGE):
            return BusFull(f"the disk of {self._path} is full", retry_after=5.0)
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return _taken(self._path, "")
        return BusUnavailable(f"{self._path}: {error}")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        with self._guard:
            self._connections.append(connection)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _let_go(self) -> None:
        for connection in self._connections:
            connection.close()
        os.close(self._lock)

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
            self._local.connection = connection
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:  # a full disk has rolled it back already
                self._writer.execute("ROLLBACK")
            raise

    def _prepare(self, topics: Iterable[str], partitions: int) -> None:
        sql = self._writer
        (version,) = sql.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise BusUnavailable(f"{self._path} was written by a newer version of bongsu (format {version}, this one knows {_VERSION})")
        for pragma in (
            f"page_size={_PAGE}",
            "auto_vacuum=INCREMENTAL",
            "journal_mode=WAL",
            "wal_autocheckpoint=0",  # `tidy` does it after the waiting callers have their answer
            f"journal_size_limit={4 * _CHECKPOINT_AFTER}",
            "cache_size=-65536",
            "secure_delete=FAST",  # where it is on, every removed page would be written once more, as zeros
        ):
            sql.execute(f"PRAGMA {pragma}").fetchall()
        with self._transaction():
            if version == 0:
                for statement in _SCHEMA.strip().split(";\n"):
                    sql.execute(statement)
                sql.execute("INSERT INTO meta VALUES (?)", (secrets.token_hex(4),))
                sql.execute(f"PRAGMA user_version={_VERSION}")
            self._make_streams(topics, partitions)
        self._load()

    def _make_streams(self, topics: Iterable[str], partitions: int) -> None:
        sql = self._writer
        (existing,) = sql.execute("SELECT coalesce(max(partition) + 1, 0) FROM stream").fetchone()
        sql.executemany(
            "INSERT OR IGNORE INTO stream (topic, partition, first) VALUES (?, ?, 0)",
            [(topic, partition) for topic in topics for partition in range(max(partitions, existing))],
        )
        # Groups that read a topic read its new partitions too.
        sql.execute(
            "INSERT OR IGNORE INTO progress SELECT DISTINCT p.reader, n.number, n.first FROM progress p "
            "JOIN stream o ON o.number = p.stream JOIN stream n ON n.topic = o.topic"
        )

    def _load(self) -> None:
        sql = self._writer
        (self.epoch,) = sql.execute("SELECT epoch FROM meta").fetchone()
        by_number: dict[int, Stream] = {}
        for number, topic, partition, first in sql.execute("SELECT number, topic, partition, first FROM stream ORDER BY topic, partition"):
            stream = by_number[number] = Stream(number, topic, partition, first, first)
            self._streams.setdefault(topic, []).append(stream)
        kept = f"SELECT id >> {OFFSET_BITS}, max(id), sum(length(value) + {OVERHEAD}) FROM message GROUP BY 1"
        for number, last, size in sql.execute(kept):
            stream = by_number[number]
            stream.next = last - stream.id(0) + 1
            self._kept[stream.topic] += size
        for group, number, offset in sql.execute("SELECT reader, stream, next FROM progress"):
            self._progress[group, by_number[number]] = offset
            self._groups[by_number[number].topic].add(group)
        self._trimmable = {stream for stream in by_number.values() if stream.first < self._floor(stream)}

    def _floor(self, stream: Stream) -> int:
        """Messages before this offset are needed by nobody. A topic without a group needs all of them."""
        groups = self._groups[stream.topic]
        return min((self._progress[group, stream] for group in groups), default=stream.first)

    def _apply(self, change: Change, pending: _Pending) -> Sequence[Position]:
        match change:
            case Append():
                return self._append(change, pending)
            case Advance():
                self._advance(change, pending)
            case Register():
                self._register(change, pending)
        return ()

    def _append(self, change: Append, pending: _Pending) -> Sequence[Position]:
        at = millis(self._clock.now())
        rows, positions = [], []
        for stream, headers, value in change.messages:
            offset = pending.next.get(stream, stream.next)
            pending.next[stream] = offset + 1
            pending.kept[stream.topic] += len(value) + OVERHEAD
            rows.append((stream.id(offset), at, headers, value))
            positions.append(Position(stream.topic, stream.partition, offset))
        self._writer.executemany("INSERT INTO message VALUES (?, ?, ?, ?)", rows)
        pending.written += change.size
        return positions

    def _advance(self, change: Advance, pending: _Pending) -> None:
        for stream, offset in change.next_offsets.items():
            place = (change.group, stream)
            pending.progress[place] = max(offset, pending.progress.get(place, 0))
        self._writer.executemany(
            "INSERT INTO progress VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
            [(change.group, stream.number, offset) for stream, offset in change.next_offsets.items()],
        )

    def _register(self, change: Register, pending: _Pending) -> None:
        streams = [stream for topic in change.topics for stream in self._streams[topic]]
        oldest = {stream: pending.first.get(stream, stream.first) for stream in streams}
        for stream, offset in oldest.items():
            pending.progress.setdefault((change.group, stream), offset)
        self._writer.executemany(
            "INSERT OR IGNORE INTO progress VALUES (?, ?, ?)",
            [(change.group, stream.number, offset) for stream, offset in oldest.items()],
        )
        pending.registered.append(change)

    def _shrink(self) -> None:
        (free,) = self._writer.execute("PRAGMA freelist_count").fetchone()
        if free * _PAGE > _SPARE:
            # By `execute` only its first step, one page, would be done: it gives rows without columns, which sqlite3 does not fetch.
            self._writer.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            self._unsettled += _PAGE

    def _trim(self, pending: _Pending) -> None:
        """Remove some messages before the floor of each stream: what one transaction bears."""
        for stream in self._trimmable:
            end = floor = self._floor(stream)
            size = 0
            sizes = "SELECT id, length(value) FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
            for row, length in self._writer.execute(sizes, (stream.id(stream.first), stream.id(floor), _TRIM_MESSAGES)):
                size += length + OVERHEAD
                end = row - stream.id(0) + 1
                if size >= _TRIM_BYTES:
                    break
            self._writer.execute("DELETE FROM message WHERE id >= ? AND id < ?", (stream.id(stream.first), stream.id(end)))
            self._writer.execute("UPDATE stream SET first = ? WHERE number = ?", (end, stream.number))
            pending.first[stream] = end
            pending.kept[stream.topic] -= size

    def _settle(self, pending: _Pending) -> None:
        for stream, offset in pending.next.items():
            stream.next = offset
        for stream, offset in pending.first.items():
            stream.first = offset
        for place, offset in pending.progress.items():
            self._progress[place] = max(offset, self._progress.get(place, 0))
        for change in pending.registered:
            for topic in change.topics:
                self._groups[topic].add(change.group)
        self._kept.update(pending.kept)
        self._unsettled += pending.written + 4 * _PAGE
        touched = self._trimmable.union(stream for _, stream in pending.progress)
        self._trimmable = {stream for stream in touched if stream.first < self._floor(stream)}


def _take_lock(path: Path) -> int:
    """Take the lock file; its text is the process id, for the message of whoever comes second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
        os.close(handle)
        raise _taken(path, holder) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def _taken(path: Path, holder: str) -> BusUnavailable:
    who = f" (process {holder})" if holder else ""
    return BusUnavailable(f"{path} is locked: another bongsu runs there{who}; stop it, or give this one a data_dir of its own")
