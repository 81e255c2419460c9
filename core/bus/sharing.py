"""How the consumers of one process share the partitions of the embedded bus.

Invariant: every partition a group reads belongs to exactly one of its open members that asked for its topic. When a member comes or
goes, all of the group are dealt their partitions anew, grow their generation and go back to the committed offsets.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from core.bus.changes import Stream
from core.bus.contract import Record
from core.errors import BusError


class _Source(Protocol):
    """What a consumer needs of the bus."""

    def check_open(self) -> None: ...

    def progress(self, group: str, stream: Stream) -> int: ...

    async def read(self, stream: Stream, offset: int, max_messages: int, max_bytes: int) -> list[Record]: ...

    async def advance(self, group: str, next_offsets: Mapping[Stream, int]) -> None: ...


class Sharing:
    """All groups and their open members."""

    def __init__(self) -> None:
        self._groups: defaultdict[str, list[EmbeddedConsumer]] = defaultdict(list)

    def join(self, member: EmbeddedConsumer) -> EmbeddedConsumer:
        """Let `member` into its group."""
        self._groups[member.group].append(member)
        self._deal(member.group)
        return member

    def leave(self, member: EmbeddedConsumer) -> None:
        """Let `member` go; the others get its partitions."""
        self._groups[member.group].remove(member)
        self._deal(member.group)

    def wake(self) -> None:
        """Let every member that waits look for messages again."""
        for members in self._groups.values():
            for member in members:
                member.wake()

    def _deal(self, group: str) -> None:
        members = self._groups[group]
        hands: dict[EmbeddedConsumer, list[Stream]] = {member: [] for member in members}
        streams = {stream.number: stream for member in members for stream in member.wanted}
        for number in sorted(streams):
            stream = streams[number]
            takers = [member for member in members if stream in member.wanted]
            hands[takers[stream.partition % len(takers)]].append(stream)
        for member, hand in hands.items():
            member.assign(hand)


class EmbeddedConsumer:
    """One member of a group; made by `EmbeddedBus.consumer`. One task polls at a time."""

    def __init__(self, bus: _Source, sharing: Sharing, group: str, wanted: Sequence[Stream]) -> None:
        self.group = group
        self.wanted = frozenset(wanted)
        self._bus = bus
        self._sharing = sharing
        self._generation = 0
        self._next: dict[Stream, int] = {}
        self._turn = 0
        self._news = asyncio.Event()
        self._closed = False

    @property
    def generation(self) -> int:
        return self._generation

    def assign(self, streams: Sequence[Stream]) -> None:
        """Read `streams` from the committed offsets on."""
        self._next = {stream: self._bus.progress(self.group, stream) for stream in streams}
        self._generation += 1
        self.wake()

    def wake(self) -> None:
        """There may be something to read, or a reason to stop waiting."""
        self._news.set()

    async def poll(self, *, max_messages: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        """As the contract says; `max_bytes` counts values."""
        self._check_open()
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            self._news.clear()
            records = await self._gather(max_messages, max_bytes)
            if records:
                return records
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
                self._check_open()
            except (TimeoutError, BusError):  # closed while waiting: this call ends empty, the next one says so
                return ()

    async def commit(self, next_offsets: Mapping[tuple[str, int], int]) -> None:
        """As the contract says. BusError when a partition is another member's by now; nothing is committed then."""
        self._check_open()
        mine = {(stream.topic, stream.partition): stream for stream in self._next}
        for (topic, partition), offset in next_offsets.items():
            stream = mine.get((topic, partition))
            if stream is None:
                raise BusError(f"{topic}/{partition} is not read by this member of {self.group}: its partitions were shared out anew")
            if not 0 <= offset <= stream.next:
                raise BusError(f"{topic}/{partition} ends at {stream.next}: {offset} cannot be committed")
        generation = self._generation
        await self._bus.advance(self.group, {mine[place]: offset for place, offset in next_offsets.items()})
        if generation == self._generation:  # what is done need not be read, and may be removed
            self._next.update({mine[place]: max(self._next[mine[place]], offset) for place, offset in next_offsets.items()})

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._sharing.leave(self)
            self.wake()

    async def _gather(self, max_messages: int, max_bytes: int) -> list[Record]:
        """What can be read now, each poll beginning at another partition. Positions move only when all of it is in hand."""
        generation = self._generation
        streams = list(self._next)
        self._turn += 1
        gathered: list[Record] = []
        reached: dict[Stream, int] = {}
        for at in range(len(streams)):
            stream = streams[(self._turn + at) % len(streams)]
            if self._next[stream] >= stream.next:
                continue
            records = await self._bus.read(stream, self._next[stream], max_messages - len(gathered), max_bytes)
            if generation != self._generation:
                return []
            if not records:
                continue
            size = sum(len(record.value) for record in records)
            if gathered and size > max_bytes:
                break
            gathered += records
            max_bytes -= size
            reached[stream] = records[-1].offset + 1
            if len(gathered) >= max_messages or max_bytes <= 0:
                break
        self._next.update(reached)
        return gathered

    def _check_open(self) -> None:
        self._bus.check_open()
        if self._closed:
            raise BusError(f"this consumer of {self.group} is closed")
