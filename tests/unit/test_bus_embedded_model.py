"""The embedded bus against a simple model: lists of values and numbers of what was committed, through any sequence of calls."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.bus.contract import Message, Record
from core.bus.embedded import EmbeddedBus
from core.bus.sharing import EmbeddedConsumer
from core.clock import SystemClock

TOPICS = ("logs.raw", "events")
PARTITIONS = 3
_T = TypeVar("_T")
Place = tuple[str, int]

some_messages = st.lists(
    st.builds(
        Message,
        st.binary(max_size=40) | st.sampled_from([5000, 100_000]).map(bytes),
        st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
        st.none() | st.text(max_size=3),
        st.none() | st.integers(0, PARTITIONS - 1),
    ),
    max_size=6,
)


with_members = precondition(lambda machine: machine.members)
picks = st.integers(0, 5)


class BusMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.members: list[tuple[EmbeddedConsumer, tuple[str, ...]]] = []
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="bus-model-"))
        self.stored: dict[Place, list[Message]] = {(topic, p): [] for topic in TOPICS for p in range(PARTITIONS)}
        self.committed: dict[str, dict[Place, int]] = {}  # by group
        self.reached: dict[str, dict[Place, int]] = {}  # by group: the next offset to come
        self.owners: dict[str, dict[Place, EmbeddedConsumer]] = {}  # by group, since its last sharing out

    def run(self, call: Coroutine[Any, Any, _T]) -> _T:
        return self.loop.run_until_complete(asyncio.wait_for(call, 30))

    @initialize()
    def open(self) -> None:
        file = self.folder / "bus.sqlite"
        self.bus = EmbeddedBus(
            file, partitions=PARTITIONS, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=SystemClock(), topics=TOPICS
        )
        self.run(self.bus.start())

    @rule(topic=st.sampled_from(TOPICS), given=some_messages)
    def produce(self, topic: str, given: list[Message]) -> None:
        positions = self.run(self.bus.produce(topic, given))
        assert len(positions) == len(given)
        for message, position in zip(given, positions, strict=True):
            assert position.topic == topic
            assert message.partition in (None, position.partition)
            stored = self.stored[topic, position.partition]
            assert position.offset == len(stored)
            stored.append(message)

    @precondition(lambda machine: len(machine.members) < 5)
    @rule(group=st.sampled_from(["g", "h"]), topics=st.sampled_from([TOPICS, TOPICS[:1], TOPICS[1:]]))
    def join(self, group: str, topics: tuple[str, ...]) -> None:
        member = self.run(self.bus.consumer(group, topics))
        committed = self.committed.setdefault(group, {})
        for topic in topics:
            for lag in self.run(self.bus.lag(group, topic)):
                place = (topic, lag.partition)
                if place not in committed:  # a new group starts at the oldest message kept
                    others = [each[place] for each in self.committed.values() if place in each]
                    assert 0 <= lag.committed <= min(others, default=0)
                    committed[place] = lag.committed
        self.members.append((member, topics))
        self.shared_out(group)

    @with_members
    @rule(pick=picks, max_messages=st.integers(1, 8), max_bytes=st.sampled_from([1, 60, 6000, 1 << 20]))
    def poll(self, pick: int, max_messages: int, max_bytes: int) -> None:
        member, topics = self.members[pick % len(self.members)]
        records = self.run(member.poll(max_messages=max_messages, max_bytes=max_bytes, timeout=0.0))
        reached, owners = self.reached[member.group], self.owners[member.group]
        assert len(records) <= max_messages
        assert len(records) <= 1 or sum(len(record.value) for record in records) <= max_bytes
        for record in records:
            place = (record.topic, record.partition)
            assert owners.setdefault(place, member) is member
            assert record.offset == reached[place]
            self.is_stored(record)
            reached[place] += 1
        if not records and [other.group for other, _ in self.members].count(member.group) == 1:
            assert all(reached[place] == len(stored) for place, stored in self.stored.items() if place[0] in topics)

    @with_members
    @rule(pick=picks, back=st.integers(0, 3))
    def commit(self, pick: int, back: int) -> None:
        member, _ = self.members[pick % len(self.members)]
        committed, reached = self.committed[member.group], self.reached[member.group]
        mine = [place for place, owner in self.owners[member.group].items() if owner is member]
        wanted = {place: max(reached[place] - back, 0) for place in mine}
        self.run(member.commit(wanted))
        for place, offset in wanted.items():
            committed[place] = max(committed[place], offset)

    @with_members
    @rule(pick=picks)
    def leave(self, pick: int) -> None:
        member, _ = self.members.pop(pick % len(self.members))
        self.run(member.close())
        self.shared_out(member.group)

    @rule()
    def restart(self) -> None:
        epoch = self.run(self.bus.epoch(TOPICS[0]))
        self.run(self.bus.close())
        self.members.clear()
        self.open()
        assert self.run(self.bus.epoch(TOPICS[0])) == epoch

    @invariant()
    def figures_agree(self) -> None:
        if not hasattr(self, "bus"):
            return
        for topic in TOPICS:
            ends = self.run(self.bus.end_offsets(topic))
            assert ends == {p: len(self.stored[topic, p]) for p in range(PARTITIONS)}
            for group, committed in self.committed.items():
                for lag in self.run(self.bus.lag(group, topic)):
                    if (topic, lag.partition) in committed:
                        assert (lag.committed, lag.end) == (committed[topic, lag.partition], ends[lag.partition])

    def is_stored(self, record: Record) -> None:
        message = self.stored[record.topic, record.partition][record.offset]
        assert (record.value, dict(record.headers)) == (message.value, dict(message.headers))

    def shared_out(self, group: str) -> None:
        self.reached[group] = dict(self.committed[group])
        self.owners[group] = {}

    def teardown(self) -> None:
        if hasattr(self, "bus"):
            self.run(self.bus.close())
        self.loop.close()
        shutil.rmtree(self.folder)


BusMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # every step waits for the disk
)
TestBusMachine = BusMachine.TestCase
