"""A member of a consumer group on Kafka.

Invariants:
- Nothing is committed but by `commit`; after every rebalance reading starts at the committed offsets.
- What was fetched and not yet given to the caller belongs to the generation it was fetched in, and is dropped with it.
- The group is kept alive by aiokafka in the background, however long the caller takes between two polls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition

from core.bus.contract import Record
from core.bus.kafka_client import ANSWER_SECONDS, answering, largest_request, options
from core.clock import from_millis
from core.config import KafkaSettings
from core.errors import BusError, BusUnavailable

_JOIN_SECONDS = 60  # a member that was killed is waited for until its session ends
_COMMIT_SECONDS = 15
_LEAVE_SECONDS = 5
_SESSION_MS = 15_000
_HEARTBEAT_MS = 1_000
_LONGEST_HANDLING_MS = 24 * 3600 * 1000


class KafkaConsumer:
    """See the module; made by `KafkaBus.consumer`. One task polls at a time."""

    def __init__(self, settings: KafkaSettings, prefix: str, group: str, topics: Sequence[str]) -> None:
        self._settings = settings
        self._prefix = prefix
        self._group = group
        self._generation = 0
        self._fetched: deque[ConsumerRecord] = deque()
        self._closed = False
        self._consumer = AIOKafkaConsumer(
            **options(settings),
            group_id=prefix + group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_bytes=2 * largest_request(),
            max_partition_fetch_bytes=largest_request(),
            max_poll_interval_ms=_LONGEST_HANDLING_MS,
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
        )
        self._consumer.subscribe([prefix + topic for topic in topics], listener=_Watch(self))

    async def join(self) -> None:
        """Join the group; BusUnavailable when the broker does not answer."""
        try:
            async with answering(f"joining group {self._group}", self._settings, _JOIN_SECONDS):
                await self._consumer.start()
        except BaseException:
            await self.close()
            raise

    @property
    def generation(self) -> int:
        return self._generation

    def reassigned(self) -> None:
        """The partitions may have changed hands: what was fetched is not ours to give any more."""
        self._generation += 1
        self._fetched.clear()

    async def poll(self, *, max_messages: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        """As the contract says. A broker that does not answer shows as nothing coming; aiokafka connects again by itself."""
        self._check_open()
        if not self._fetched:
            async with answering("polling", self._settings, timeout + ANSWER_SECONDS):
                self._fetched.extend(await self._fetch(max_messages, timeout))
        taken: list[Record] = []
        size = 0
        while self._fetched and len(taken) < max_messages:
            size += len(self._fetched[0].value or b"")
            if taken and size > max_bytes:
                break
            taken.append(self._record(self._fetched.popleft()))
        return taken

    async def commit(self, next_offsets: Mapping[tuple[str, int], int]) -> None:
        """As the contract says. BusError when a partition is another member's by now."""
        self._check_open()
        offsets = {TopicPartition(self._prefix + topic, partition): offset for (topic, partition), offset in next_offsets.items()}
        async with answering(f"committing for {self._group}", self._settings, _COMMIT_SECONDS):
            await self._consumer.commit(offsets)

    async def close(self) -> None:
        """Leave the group. With the broker gone it is left when the session ends."""
        if self._closed:
            return
        self._closed = True
        try:
            async with answering("leaving the group", self._settings, _LEAVE_SECONDS):
                await self._consumer.stop()
        except BusUnavailable:
            await self._consumer._client.close()  # stop waits for a coordinator that may never come back

    async def _fetch(self, max_messages: int, timeout: float) -> list[ConsumerRecord]:
        try:
            async with asyncio.timeout(timeout + 0.05):  # during a rebalance aiokafka waits longer than it is told
                by_partition = await self._consumer.getmany(timeout_ms=int(timeout * 1000), max_records=max_messages)
        except TimeoutError:
            return []
        return [record for records in by_partition.values() for record in records]

    def _record(self, record: ConsumerRecord) -> Record:
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        topic = record.topic.removeprefix(self._prefix)
        return Record(topic, record.partition, record.offset, record.value or b"", headers, from_millis(record.timestamp))

    def _check_open(self) -> None:
        if self._closed:
            raise BusError(f"this consumer of {self._group} is closed")


class _Watch(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the consumer of every rebalance: when partitions are taken, and again when they were dealt out."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - aiokafka's signature
        self._consumer.reassigned()

    async def on_partitions_assigned(self, assigned: Any) -> None:  # noqa: ARG002 - aiokafka's signature
        self._consumer.reassigned()
