"""What every bus promises.

- A message is in one partition of one topic and has one offset there; offsets grow by one.
- `produce` returns when every message is durable: on disk (embedded) or acknowledged by all in-sync replicas (Kafka).
- A group reads each partition in offset order and resumes at its committed offset. Delivery is at least once: what was polled and not
  committed comes again after a restart.
- `produce` makes the caller wait no longer than `timeout` and then raises BusFull (backlog or disk limit) or BusUnavailable; nothing of
  that call is to be taken as accepted, and the caller must push back on its sender.
- A topic the bus was not made with, a partition that does not exist and a message larger than the bus takes raise BusError at once.
- All topics of a bus have the same number of partitions; it can grow from one start to the next, never shrink.
- `close` finishes what is under way, then returns; a poll that waits ends empty. Calls after it raise BusError, a second `close` does
  nothing. Cancelling any call is safe.
- All methods are coroutines of one event loop; nothing blocks the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """What a producer gives. `partition` None: chosen by `key` (stable), or spread when there is no key."""

    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A place on a topic."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """What a consumer gets. `timestamp` is when the bus took it, UTC."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Mapping[str, str]
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a group is behind on one partition. `committed` is the next offset it will read, `end` the next to be written."""

    topic: str
    partition: int
    committed: int
    end: int

    @property
    def messages(self) -> int:
        return self.end - self.committed


class Consumer(Protocol):
    """One member of a group. One task polls at a time."""

    @property
    def generation(self) -> int:
        """Grows whenever the partitions this member reads may have changed hands: reload what you know of them.

        When it grows, reading resumes at the committed offsets, so what was polled and not committed comes again.
        """
        ...

    async def poll(self, *, max_messages: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        """The next records, in offset order per partition; empty when none came within `timeout` seconds.

        Stops gathering when `max_messages` or `max_bytes` is reached (one message is always given). Does not commit.
        """
        ...

    async def commit(self, next_offsets: Mapping[tuple[str, int], int]) -> None:
        """Record that everything before these offsets, by (topic, partition), is done. Durable on return.

        BusError when one of these partitions is not this member's any more; it may be another's by now.
        """
        ...

    async def close(self) -> None:
        """Leave the group without committing."""
        ...


class Bus(Protocol):
    """A bus; made by `runtime.bootstrap`."""

    async def start(self) -> None:
        """Connect or open, and create the topics that are missing. BusUnavailable when that cannot be done."""
        ...

    async def produce(self, topic: str, messages: Sequence[Message], *, timeout: float = 30.0) -> Sequence[Position]:
        """Write messages; durable on return, positions in the order given. All or none is not promised across partitions."""
        ...

    async def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """Join `group` to read `topics`. A new group starts at the oldest message kept."""
        ...

    async def lag(self, group: str, topic: str) -> Sequence[Lag]:
        """How far `group` is behind on each partition of `topic`."""
        ...

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        """The next offset of each partition."""
        ...

    async def epoch(self, topic: str) -> str:
        """A short word that is the same as long as offsets of `topic` go on, and differs when the topic was made anew. No '-' in it."""
        ...

    async def healthy(self) -> str:
        """'' when the bus answers, else what is wrong."""
        ...

    async def close(self) -> None: ...
