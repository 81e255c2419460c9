"""What only the Kafka bus has to bear: a broker that goes and comes back, security, topics and messages made by others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from pydantic import SecretStr

from core.bus.contract import Consumer, Message, Record
from core.bus.kafka import KafkaBus
from core.clock import SystemClock
from core.config import KafkaSettings
from core.errors import BusError, BusUnavailable, ConfigError
from tests.servers.kafka import PASSWORD, USER, KafkaBroker

RAW, EVENTS = "logs.raw", "events"
PATIENCE = 60.0
Open = Callable[..., Awaitable[KafkaBus]]


@pytest.fixture
def prefix() -> str:
    return f"k{uuid4().hex[:12]}."


@pytest.fixture
async def open_bus(kafka_broker: KafkaBroker, prefix: str) -> AsyncIterator[Open]:
    """Opens a bus; arguments are those of KafkaSettings."""
    opened: list[KafkaBus] = []

    async def open_one(partitions: int = 1, epoch: str = "", **given: object) -> KafkaBus:
        bus = KafkaBus(
            settings(kafka_broker, **given), partitions=partitions, prefix=prefix, epoch=epoch, clock=SystemClock(), topics=(RAW, EVENTS)
        )
        await bus.start()
        opened.append(bus)
        return bus

    yield open_one
    for bus in opened:
        await bus.close()


@pytest.fixture
async def admin(kafka_broker: KafkaBroker) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap_servers)
    await client.start()
    yield client
    await client.close()


def settings(broker: KafkaBroker, **given: object) -> KafkaSettings:
    plain = {"bootstrap_servers": broker.bootstrap_servers, "replication_factor": 1, "min_insync_replicas": 1}
    return KafkaSettings.model_validate({**plain, **given})


def secure(broker: KafkaBroker, **given: object) -> dict[str, object]:
    return {
        "bootstrap_servers": broker.secure_servers,
        "security_protocol": "SASL_SSL",
        "sasl_username": USER,
        "sasl_password": SecretStr(PASSWORD),
        "ca_file": broker.ca_file,
        **given,
    }


async def read(consumer: Consumer, count: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while len(records) < count:
            records += await consumer.poll(max_messages=100, max_bytes=1 << 24, timeout=1.0)
    return records


async def test_without_the_broker_every_call_ends_and_with_it_all_goes_on(kafka_broker: KafkaBroker, open_bus: Open) -> None:
    bus = await open_bus()
    consumer = await bus.consumer("g", [RAW])
    await bus.produce(RAW, [Message(b"before")])
    (before,) = await read(consumer, 1)

    kafka_broker.stop()
    try:
        calls = (
            bus.produce(RAW, [Message(b"meanwhile")], timeout=1.0),
            bus.lag("g", RAW),
            bus.end_offsets(RAW),
            consumer.commit({(RAW, 0): 1}),
            bus.consumer("other", [RAW]),
        )
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, BusUnavailable)
            assert kafka_broker.bootstrap_servers in str(outcome)
        assert "Kafka at 127" in await bus.healthy()
        assert list(await consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=0.2)) == []
    finally:
        kafka_broker.start()

    async with asyncio.timeout(PATIENCE):
        await bus.produce(RAW, [Message(b"after")], timeout=PATIENCE)
        values = [before.value]
        while values[-1] != b"after":
            values += [record.value for record in await consumer.poll(max_messages=10, max_bytes=1 << 20, timeout=1.0)]
    end = (await bus.end_offsets(RAW))[0]
    await consumer.commit({(RAW, 0): end})
    assert await bus.healthy() == ""
    assert [lag.messages for lag in await bus.lag("g", RAW)] == [0]
    assert set(values) <= {b"before", b"meanwhile", b"after"}  # the call that gave up may have been carried out


async def test_what_was_acknowledged_survives_a_killed_broker(kafka_broker: KafkaBroker, open_bus: Open) -> None:
    bus = await open_bus()
    acknowledged: dict[int, bytes] = {}
    enough = asyncio.Event()

    async def produce(task: int) -> None:
        for number in range(1_000_000):
            value = b"%d/%d" % (task, number)
            try:
                (position,) = await bus.produce(RAW, [Message(value)], timeout=2.0)
            except BusUnavailable:
                return
            acknowledged[position.offset] = value
            if len(acknowledged) == 200:
                enough.set()

    tasks = [asyncio.create_task(produce(task)) for task in range(4)]
    await asyncio.wait_for(enough.wait(), PATIENCE)
    kafka_broker.kill()
    await asyncio.gather(*tasks)
    kafka_broker.start()

    await bus.produce(RAW, [Message(b"last")], timeout=PATIENCE)
    consumer = await bus.consumer("g", [RAW])
    stored = {record.offset: record.value for record in await read(consumer, (await bus.end_offsets(RAW))[0])}
    assert {offset: stored.get(offset) for offset in acknowledged} == acknowledged


async def test_closing_without_the_broker_ends(kafka_broker: KafkaBroker, open_bus: Open) -> None:
    bus = await open_bus()
    await bus.consumer("g", [RAW])
    kafka_broker.stop()
    try:
        with pytest.raises(BusUnavailable):
            await bus.produce(RAW, [Message(b"x")], timeout=0.5)
        async with asyncio.timeout(PATIENCE):
            await bus.close()
    finally:
        kafka_broker.start()


async def test_a_cluster_that_is_not_there_stops_the_start(kafka_broker: KafkaBroker, open_bus: Open) -> None:
    with pytest.raises(BusUnavailable, match=r"Kafka at 127\.0\.0\.1:9"):
        await open_bus(bootstrap_servers="127.0.0.1:9")


async def test_tls_and_scram(kafka_broker: KafkaBroker, open_bus: Open) -> None:
    bus = await open_bus(**secure(kafka_broker))
    await bus.produce(RAW, [Message(b"over TLS")])
    (record,) = await read(await bus.consumer("g", [RAW]), 1)

    assert record.value == b"over TLS"


@pytest.mark.parametrize(
    "wrong",
    [{"sasl_password": SecretStr("guessed")}, {"ca_file": None}, {"security_protocol": "SSL"}],
    ids=["password", "trust", "no login"],
)
async def test_a_wrong_identity_stops_the_start_and_shows_no_secret(
    kafka_broker: KafkaBroker, open_bus: Open, wrong: dict[str, object]
) -> None:
    with pytest.raises(BusUnavailable) as refused:
        await open_bus(**secure(kafka_broker, **wrong))

    assert "guessed" not in str(refused.value)
    assert PASSWORD not in str(refused.value)


async def test_a_ca_file_that_cannot_be_read_is_a_wrong_setting(kafka_broker: KafkaBroker, open_bus: Open, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bus\.kafka\.ca_file"):
        await open_bus(**secure(kafka_broker, ca_file=tmp_path / "missing.pem"))


async def test_topics_are_made_for_large_messages_and_honest_times(admin: AIOKafkaAdminClient, open_bus: Open, prefix: str) -> None:
    await open_bus(partitions=3)

    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, prefix + RAW)])
    configs = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert int(configs["max.message.bytes"]) > 32 << 20
    assert configs["message.timestamp.type"] == "LogAppendTime"
    assert configs["min.insync.replicas"] == "1"


async def test_all_topics_get_the_partitions_of_the_largest(admin: AIOKafkaAdminClient, open_bus: Open, prefix: str) -> None:
    await admin.create_topics([NewTopic(prefix + RAW, 5, 1)])

    bus = await open_bus(partitions=2)
    assert list(await bus.end_offsets(RAW)) == list(await bus.end_offsets(EVENTS)) == [0, 1, 2, 3, 4]
    await bus.close()

    bus = await open_bus(partitions=6)
    assert list(await bus.end_offsets(RAW)) == list(await bus.end_offsets(EVENTS)) == [0, 1, 2, 3, 4, 5]
    await bus.produce(EVENTS, [Message(b"x", partition=5)])


async def test_a_refused_message_does_not_block_those_after_it(admin: AIOKafkaAdminClient, open_bus: Open, prefix: str) -> None:
    await admin.create_topics([NewTopic(prefix + RAW, 1, 1, topic_configs={"max.message.bytes": "100000"})])
    bus = await open_bus()
    await bus.produce(RAW, [Message(b"first")])

    with pytest.raises(BusError, match=r"raise its max\.message\.bytes"):
        await bus.produce(RAW, [Message(bytes(200_000))])

    places = [(await bus.produce(RAW, [Message(b"%d" % number)], timeout=PATIENCE))[0].offset for number in range(3)]
    assert places == [1, 2, 3]


async def test_what_an_agencys_own_producer_writes_is_read(kafka_broker: KafkaBroker, open_bus: Open, prefix: str) -> None:
    bus = await open_bus()
    producer = AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap_servers, compression_type="gzip")
    await producer.start()
    await producer.send_and_wait(
        prefix + RAW, b"a bare line", headers=[("agency", b"\xff\xfe"), ("none", None), ("agency", "종로".encode())]
    )
    await producer.send_and_wait(prefix + RAW, None, key=b"k")
    await producer.stop()

    line, empty = await read(await bus.consumer("g", [RAW]), 2)

    assert (line.value, dict(line.headers)) == (b"a bare line", {"agency": "종로", "none": ""})
    assert empty.value == b""


async def test_a_key_has_the_partition_javas_producers_give_it(open_bus: Open) -> None:
    bus = await open_bus(partitions=4)
    places = await bus.produce(RAW, [Message(b"x", key="21"), Message(b"x", key="foobar")])
    # murmur2 of these two by the tests of Kafka's own client (org.apache.kafka.common.utils.UtilsTest)
    assert [place.partition for place in places] == [(-973932308 & 0x7FFFFFFF) % 4, (-790332482 & 0x7FFFFFFF) % 4]


async def test_the_epoch_of_the_settings_is_used(open_bus: Open) -> None:
    bus = await open_bus(epoch="second")

    assert await bus.epoch(RAW) == "second"
