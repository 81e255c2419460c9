"""The bus of a cluster: Kafka, through aiokafka.

Invariants (beside those of `core.bus.contract`):
- A message counts as produced when all in-sync replicas have it; the producer is idempotent, so that its own retries double nothing.
- A batch the cluster refused for good leaves a hole in the idempotent producer's numbering; the producer is then replaced.
- A call that timed out may still be carried out when the broker comes back: its caller repeats it, and readers drop what is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from core import topics as topic_names
from core.bus import kafka_topics
from core.bus.contract import Lag, Message, Position
from core.bus.kafka_client import LARGEST_MESSAGE, answering, largest_request, options
from core.bus.kafka_consumer import KafkaConsumer
from core.clock import Clock, millis
from core.config import KafkaSettings
from core.errors import BusError, BusUnavailable

_START_SECONDS = 30
_STOP_SECONDS = 5
_BATCH_BYTES = 1 << 20
_log = structlog.get_logger()


class KafkaBus:
    """See the module. `epoch` '' takes the cluster's id; topics and groups are called `prefix` + their name."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        partitions: int,
        prefix: str,
        epoch: str,
        clock: Clock,
        topics: Sequence[str] = topic_names.ALL,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._prefix = prefix
        self._epoch = epoch
        self._clock = clock
        self._topics = frozenset(topics)
        self._state = "not started"
        self._renewing = asyncio.Lock()
        self._broken = False
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._consumers: WeakSet[KafkaConsumer] = WeakSet()

    async def start(self) -> None:
        """Connect and make the topics that are missing. BusUnavailable when the cluster cannot be reached or refuses."""
        common = options(self._settings)
        self._admin = AIOKafkaAdminClient(**common)
        self._offsets = AIOKafkaConsumer(**common)
        self._producer = self._new_producer()
        try:
            async with answering("starting", self._settings, _START_SECONDS):
                await self._admin.start()
                cluster = await self._admin.describe_cluster()
                await kafka_topics.ensure(self._admin, sorted(map(self._name, self._topics)), self._partitions, self._settings)
                await self._offsets.start()
                await self._producer.start()
        except BaseException:
            await self._disconnect()
            raise
        self._epoch = self._epoch or "".join(filter(str.isalnum, cluster["cluster_id"] or "kafka"))[:8]
        self._state = ""

    async def produce(self, topic: str, messages: Sequence[Message], *, timeout: float = 30.0) -> Sequence[Position]:
        """As the contract says; of a call that fails, some messages may have been written."""
        name = self._known(topic)
        self._under_way += 1
        try:
            async with answering(f"producing to {topic}", self._settings, timeout):
                done = await self._produce(topic, name, messages)
        finally:
            self._under_way -= 1
            if self._state and not self._under_way:
                self._quiet.set()
        return [Position(topic, each.partition, each.offset) for each in done]

    async def consumer(self, group: str, topics: Sequence[str]) -> KafkaConsumer:
        """Join `group`; returns when partitions were dealt out."""
        for topic in topics:
            self._known(topic)
        consumer = KafkaConsumer(self._settings, self._prefix, group, topics)
        await consumer.join()
        self._consumers.add(consumer)
        return consumer

    async def lag(self, group: str, topic: str) -> Sequence[Lag]:
        places = await self._places(topic)
        async with answering(f"asking for the lag of {group}", self._settings):
            committed = await self._admin.list_consumer_group_offsets(self._prefix + group, partitions=places)
            first = await self._offsets.beginning_offsets(places)
            end = await self._offsets.end_offsets(places)
        done = {place: committed[place].offset if place in committed else -1 for place in places}
        return [Lag(topic, p.partition, done[p] if done[p] >= 0 else first[p], end[p]) for p in places]

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        places = await self._places(topic)
        async with answering(f"asking for the end of {topic}", self._settings):
            end = await self._offsets.end_offsets(places)
        return {place.partition: end[place] for place in places}

    async def epoch(self, topic: str) -> str:
        """The one of the settings, or the first eight letters and digits of the cluster's id."""
        self._known(topic)
        return self._epoch

    async def healthy(self) -> str:
        if self._state:
            return f"the bus is {self._state}"
        try:
            async with answering("asking for the topics", self._settings, 5.0):
                await self._admin.describe_topics(sorted(map(self._name, self._topics)))
        except BusError as error:
            return str(error)
        return ""

    async def close(self) -> None:
        """Let its consumers leave, send what is under way, disconnect; bounded when the broker is gone."""
        if self._state:
            return
        self._state = "closed"
        await asyncio.gather(*(consumer.close() for consumer in self._consumers))
        if self._under_way:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), _STOP_SECONDS)
        await self._disconnect()

    def _name(self, topic: str) -> str:
        return self._prefix + topic

    def _known(self, topic: str) -> str:
        """The topic's name on the cluster; BusError when it is not one of ours, or the bus is not open."""
        if self._state:
            raise BusError(f"the bus is {self._state}")
        if topic not in self._topics:
            raise BusError(f"the bus has no topic {topic!r}")
        return self._name(topic)

    async def _places(self, topic: str) -> list[TopicPartition]:
        name = self._known(topic)
        async with answering(f"asking for the partitions of {topic}", self._settings):
            return [TopicPartition(name, partition) for partition in sorted(await self._producer.partitions_for(name))]

    async def _produce(self, topic: str, name: str, messages: Sequence[Message]) -> Sequence[Any]:
        producer = await self._working_producer()
        partitions = await producer.partitions_for(name)
        for message in messages:
            _check(topic, message, partitions)
        sent: list[asyncio.Future[Any]] = []
        try:
            for message in messages:
                sent.append(await self._send(producer, name, message))
            return await asyncio.gather(*sent)
        except KafkaError as error:
            self._broken = self._broken or not error.retriable
            raise
        finally:
            for future in sent:
                future.cancel()  # nobody will ask for the rest of a call that failed

    async def _send(self, producer: AIOKafkaProducer, name: str, message: Message) -> asyncio.Future[Any]:
        key = None if message.key is None else message.key.encode()
        headers = [(header, value.encode()) for header, value in message.headers.items()]
        now = millis(self._clock.now())  # counts only on a topic that was not made by us: ours take the broker's time
        future: asyncio.Future[Any] = await producer.send(name, message.value, key, message.partition, now, headers)
        return future

    def _new_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **options(self._settings),
            acks="all",
            enable_idempotence=True,
            max_request_size=largest_request(),
            max_batch_size=_BATCH_BYTES,
        )

    async def _working_producer(self) -> AIOKafkaProducer:
        async with self._renewing:
            if self._broken:
                _log.warning("bus.producer_replaced")
                await _stop(self._producer)
                self._producer = self._new_producer()
                await self._producer.start()
                self._broken = False
            return self._producer

    async def _disconnect(self) -> None:
        await _stop(self._producer)
        for client in (self._offsets.stop, self._admin.close):
            with suppress(BusUnavailable):
                async with answering("disconnecting", self._settings, _STOP_SECONDS):
                    await client()


def _check(topic: str, message: Message, partitions: set[int]) -> None:
    if len(message.value) > LARGEST_MESSAGE:
        raise BusError(f"a message of {len(message.value)} bytes is larger than {LARGEST_MESSAGE}, the most the bus takes")
    if message.partition is not None and message.partition not in partitions:
        raise BusError(f"{topic} has no partition {message.partition}, it has {len(partitions)}")


async def _stop(producer: AIOKafkaProducer) -> None:
    """Send what is under way and disconnect. An idempotent producer tries for ever, so that with the broker gone it is cut off."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
    except (TimeoutError, KafkaError):
        with suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(_STOP_SECONDS):
                await producer._sender.close()
        producer._message_accumulator.fail_all(KafkaError("the producer was closed"))
        await producer.client.close()
