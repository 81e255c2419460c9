"""What the detect stage evaluated, told on the topic `evaluated`: the events nobody evaluated are then known, and can be caught up with.

A message is a JSON object: `set` names a set of rules and correlations; `ranges` are [epoch, partition, first record, last record, first
raw offset, last raw offset], all ends included, of consecutive messages of `events` that were run through it. When the set is not the one
told of last, `rules` gives for each id its hash and file, and `aside` the files that hold a rule that could not run. The hash of a
correlation is one over all it is made of, and it runs when all of these do. A range is told after its detections are durable and before
its messages are committed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from core import topics
from core.bus.contract import Bus, Message, Record
from core.errors import BadMessage
from detect.correlation.resolve import Resolved
from detect.ruleset import Plan

Rules = dict[str, tuple[str, str]]
"""By id the hash and the file of what runs."""


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive messages of one partition of `events`, and the raw offsets of their rows."""

    raw_epoch: str
    raw_partition: int
    record_first: int
    record_last: int
    raw_first: int
    raw_last: int


@dataclass(frozen=True, slots=True)
class Told:
    """A message, read. `rules`: by id (hash, file); None when the set was told before."""

    rule_set: str
    ranges: tuple[Range, ...]
    rules: Rules | None = None
    aside: frozenset[str] = frozenset()


class Evaluations:
    """Tells on `bus` what one detect stage does. BusError when that failed: the batch comes again."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._told = ""
        self._known: tuple[Plan, int, tuple[str, Rules, list[str]]] | None = None

    async def tell_rules(self, plan: Plan, resolved: Resolved, partition: int) -> None:
        """Say which rules and correlations run, if that has changed."""
        named, rules, aside = self._set(plan, resolved)
        if named == self._told:
            return
        await self._bus.produce(topics.EVALUATED, [_message({"set": named, "rules": rules, "aside": aside, "ranges": []}, partition)])
        self._told = named

    async def tell(self, plan: Plan, resolved: Resolved, batches: Sequence[tuple[Record, pa.Table]]) -> None:
        """Say that `batches` were evaluated; a rule that failed meanwhile has left the set."""
        await self.tell_rules(plan, resolved, batches[0][0].partition)
        by_partition: dict[int, list[tuple[Record, pa.Table]]] = {}
        for record, batch in batches:
            if batch.num_rows:
                by_partition.setdefault(record.partition, []).append((record, batch))
        messages = [
            _message({"set": self._told, "ranges": [_plain(one) for one in _ranges(of_partition)]}, partition)
            for partition, of_partition in by_partition.items()
        ]
        if messages:
            await self._bus.produce(topics.EVALUATED, messages)

    def _set(self, plan: Plan, resolved: Resolved) -> tuple[str, Rules, list[str]]:
        """What runs with a digest of it, and the files of what does not; made anew when a rule was set aside."""
        if self._known is None or self._known[0] is not plan or self._known[1] != len(plan.set_aside):
            rules, aside = _running(plan, resolved)
            told = sorted(f"{rule_id} {digest}" for rule_id, (digest, _) in rules.items()) + aside
            self._known = (plan, len(plan.set_aside), (_digest(told), rules, aside))
        return self._known[2]


def _running(plan: Plan, resolved: Resolved) -> tuple[Rules, list[str]]:
    rules = {rule.id: (rule.hash, rule.file) for rule in plan.active}
    aside = {error.file for error in plan.set_aside}
    running = {rule.hash: rule.hash for rule in plan.active}
    for one in resolved.correlations:  # each after those it is made of
        members = [running.get(use.of.hash) for use in resolved.uses if use.correlation is one]
        if None in members:
            aside.add(one.file)
            continue
        running[one.hash] = _digest([one.hash, *map(str, members)])
        rules[one.id] = (running[one.hash], one.file)
    return rules, sorted(aside)


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _message(said: dict[str, Any], partition: int) -> Message:
    return Message(json.dumps(said, separators=(",", ":")).encode(), partition=partition)


def _ranges(batches: Sequence[tuple[Record, pa.Table]]) -> Iterator[Range]:
    """The batches of one partition, joined where nothing lies between them."""
    last: Range | None = None
    for record, batch in batches:
        for epoch in pc.unique(batch["raw_epoch"]).to_pylist():
            rows = batch if pc.all(pc.equal(batch["raw_epoch"], epoch)).as_py() else batch.filter(pc.equal(batch["raw_epoch"], epoch))
            partition = int(rows["raw_partition"][0].as_py())
            low, high = pc.min_max(rows["raw_offset"]).as_py().values()
            if last and (last.raw_epoch, last.raw_partition) == (epoch, partition) and record.offset <= last.record_last + 1:
                last = Range(epoch, partition, last.record_first, record.offset, min(low, last.raw_first), max(high, last.raw_last))
            else:
                if last:
                    yield last
                last = Range(epoch, partition, record.offset, record.offset, low, high)
    if last:
        yield last


def _plain(one: Range) -> list[str | int]:
    return [one.raw_epoch, one.raw_partition, one.record_first, one.record_last, one.raw_first, one.raw_last]


def read(value: bytes) -> Told:
    """A message of the topic. BadMessage when it is none."""
    try:
        said = json.loads(value)
        ranges = tuple(Range(str(epoch), *map(int, numbers)) for epoch, *numbers in said["ranges"])
        rules = {rule_id: (str(digest), str(file)) for rule_id, (digest, file) in said["rules"].items()} if "rules" in said else None
        return Told(str(said["set"]), ranges, rules, frozenset(map(str, said.get("aside", ()))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadMessage(f"a message does not tell what was evaluated: {error}") from error
