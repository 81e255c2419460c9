"""The topics on the cluster: made when missing, grown when they have too few partitions.

Invariant: all our topics end up with the same number of partitions, because what a stage writes for partition p of its input goes to
partition p of its output. Topics are never shrunk, and the settings of existing ones are the operator's.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import InvalidPartitionsError, TopicAlreadyExistsError, for_code

from core.bus.kafka_client import largest_request
from core.config import KafkaSettings

_log = structlog.get_logger()


async def ensure(admin: AIOKafkaAdminClient, names: Sequence[str], partitions: int, settings: KafkaSettings) -> None:
    """Make what is missing of `names`. Another process doing the same at the same time does no harm. KafkaError when refused."""
    known = await admin.describe_topics()  # all of them: asking for a missing one by name could make the broker create it
    existing = {topic["topic"]: len(topic["partitions"]) for topic in known if topic["topic"] in names}
    wanted = max(partitions, *existing.values(), 1)
    missing = [name for name in names if name not in existing]
    if missing:
        await _create(admin, missing, wanted, settings)
    for name, count in existing.items():
        if count < wanted:
            await _grow(admin, name, wanted)


async def _create(admin: AIOKafkaAdminClient, names: Sequence[str], partitions: int, settings: KafkaSettings) -> None:
    configs = {
        "min.insync.replicas": str(settings.min_insync_replicas),
        "max.message.bytes": str(largest_request()),
        "message.timestamp.type": "LogAppendTime",  # a record's time is when the bus took it, whatever the producer's clock says
    }
    topics = [NewTopic(name, partitions, settings.replication_factor, topic_configs=configs) for name in names]
    answer = await admin.create_topics(topics)
    for name, code, *reason in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"topic {name} cannot be made: {reason[0] if reason else error.description}")
        _log.info("bus.topic_made", topic=name, partitions=partitions)


async def _grow(admin: AIOKafkaAdminClient, name: str, partitions: int) -> None:
    try:
        await admin.create_partitions({name: NewPartitions(partitions)})
    except InvalidPartitionsError:
        return  # another process was faster
    _log.info("bus.topic_grown", topic=name, partitions=partitions)
