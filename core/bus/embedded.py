"""The bus of a single process: a durable journal on SQLite, without a broker.

Invariants (beside those of `core.bus.contract`):
- Everything here runs in the event loop; the journal is written by `core.bus.writer`'s thread and read by a few reading threads.
- A topic may hold `max_backlog_bytes`; each has its own limit, so that a full `logs.raw` never keeps its readers from writing on.
- Intake leaves `min_free_disk_bytes` of the disk free. The other topics, which empty intake's, may use half of that.
- A message is removed when every group that ever read its topic has committed past it; a topic nobody reads keeps all.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core import topics as topic_names
from core.bus.changes import OVERHEAD, Advance, Append, Register, Stream
from core.bus.contract import Lag, Message, Position, Record
from core.bus.journal import Journal
from core.bus.sharing import EmbeddedConsumer, Sharing
from core.bus.writer import Writer
from core.clock import Clock
from core.errors import BusError, BusFull, BusUnavailable

LARGEST_MESSAGE = 64 << 20
_READING_THREADS = 4


class EmbeddedBus:
    """See the module. `path` is the journal's file; beside it stand its lock and SQLite's own `-wal` and `-shm`."""

    def __init__(
        self,
        path: Path,
        *,
        partitions: int,
        max_backlog_bytes: int,
        min_free_disk_bytes: int,
        clock: Clock,
        topics: Sequence[str] = topic_names.ALL,
    ) -> None:
        self._path = path
        self._partitions = partitions
        self._max_backlog = max_backlog_bytes
        self._min_free = min_free_disk_bytes
        self._clock = clock
        self._topics = tuple(topics)
        self._state = "not started"
        self._admitted: Counter[str] = Counter()  # bytes on their way to the journal, by topic
        self._changed = asyncio.Event()
        self._spread = itertools.count()
        self._sharing = Sharing()

    async def start(self) -> None:
        """Open the journal, or make it. BusUnavailable when another process has it, or it cannot be opened."""
        self._journal = await asyncio.to_thread(
            Journal.open, self._path, topics=self._topics, partitions=self._partitions, clock=self._clock
        )
        self._reading = ThreadPoolExecutor(_READING_THREADS, thread_name_prefix="bus-reader")
        self._writer = Writer(self._journal, self._after_round)
        self._state = ""

    async def produce(self, topic: str, messages: Sequence[Message], *, timeout: float = 30.0) -> Sequence[Position]:
        """As the contract says; all messages of one call become durable together, or none."""
        self.check_open()
        rows = self._rows(topic, messages)
        size = sum(len(value) + OVERHEAD for _, _, value in rows)
        admitted = False
        try:
            async with asyncio.timeout(timeout):
                while self._shortage(topic):
                    await self._changed.wait()
                    self.check_open()
                self._admitted[topic] += size
                admitted = True
                return await self._writer.submit(Append(rows, size))
        except TimeoutError:
            if admitted:
                raise BusUnavailable(f"the disk of {self._path} did not take a write within {timeout:g} s") from None
            raise BusFull(self._shortage(topic) or f"{topic}: no room came free within {timeout:g} s", retry_after=1.0) from None
        finally:
            if admitted:
                self._admitted[topic] -= size
                self._stir()

    async def consumer(self, group: str, topics: Sequence[str]) -> EmbeddedConsumer:
        """Join `group`: its members in this process share the partitions, and all of them see a new generation."""
        self.check_open()
        streams = [stream for topic in topics for stream in self._journal.streams(topic)]
        await self._writer.submit(Register(group, tuple(topics)))
        self.check_open()
        return self._sharing.join(EmbeddedConsumer(self, self._sharing, group, streams))

    async def lag(self, group: str, topic: str) -> Sequence[Lag]:
        self.check_open()
        return [Lag(topic, s.partition, self._journal.progress(group, s), s.next) for s in self._journal.streams(topic)]

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        self.check_open()
        return {stream.partition: stream.next for stream in self._journal.streams(topic)}

    async def epoch(self, topic: str) -> str:
        """Made at random with the file."""
        self.check_open()
        self._journal.streams(topic)
        return self._journal.epoch

    async def healthy(self) -> str:
        if self._state:
            return f"the bus is {self._state}"
        shortages = (self._shortage(topic) for topic in self._topics)
        return self._writer.problem or next(filter(None, shortages), "")

    async def close(self) -> None:
        """Wait for the writes and reads under way, let go of the file. Polls that wait return empty."""
        if self._state:
            return
        self._state = "closed"
        self._after_round()
        await asyncio.to_thread(self._shut)

    def check_open(self) -> None:
        """BusError before `start` and after `close`."""
        if self._state:
            raise BusError(f"the bus is {self._state}")

    def progress(self, group: str, stream: Stream) -> int:
        """The next offset `group` will read from `stream`."""
        return self._journal.progress(group, stream)

    async def read(self, stream: Stream, offset: int, max_messages: int, max_bytes: int) -> list[Record]:
        """Messages from `offset` on; see `Journal.read`."""
        self.check_open()
        loop, read = asyncio.get_running_loop(), self._journal.read
        try:
            return await loop.run_in_executor(self._reading, read, stream, offset, stream.next, max_messages, max_bytes)
        except sqlite3.Error as error:
            raise self._journal.explain(error) from error

    async def advance(self, group: str, next_offsets: Mapping[Stream, int]) -> None:
        """Make a group's progress durable."""
        self.check_open()
        await self._writer.submit(Advance(group, next_offsets))

    def _shut(self) -> None:
        self._writer.close()
        self._reading.shutdown(wait=True)
        self._journal.close()

    def _after_round(self) -> None:
        self._sharing.wake()
        self._stir()

    def _stir(self) -> None:
        """Let every producer that waits for room look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _shortage(self, topic: str) -> str:
        """Why nothing more may be written to `topic` just now; '' when there is room."""
        backlog = self._journal.kept(topic) + self._admitted[topic]
        if backlog >= self._max_backlog:
            return f"{topic} holds {backlog >> 20} MiB that its readers have not done yet; the limit is {self._max_backlog >> 20} MiB"
        needed = self._min_free if topic == topic_names.LOGS_RAW else self._min_free // 2
        if self._writer.free_disk < needed:
            return f"the disk of {self._path} has {self._writer.free_disk >> 20} MiB left; {needed >> 20} MiB must stay free"
        return ""

    def _rows(self, topic: str, messages: Sequence[Message]) -> list[tuple[Stream, str, bytes]]:
        streams = self._journal.streams(topic)
        rows = []
        for message in messages:
            if len(message.value) > LARGEST_MESSAGE:
                raise BusError(f"a message of {len(message.value)} bytes is larger than {LARGEST_MESSAGE}, the most the bus takes")
            rows.append((self._stream(streams, message), json.dumps(dict(message.headers)), message.value))
        return rows

    def _stream(self, streams: Sequence[Stream], message: Message) -> Stream:
        if message.partition is None:
            number = next(self._spread) if message.key is None else zlib.crc32(message.key.encode())
            return streams[number % len(streams)]
        if not 0 <= message.partition < len(streams):
            raise BusError(f"{streams[0].topic} has no partition {message.partition}, it has {len(streams)}")
        return streams[message.partition]
