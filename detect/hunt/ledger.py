"""Which events the stream evaluated with which rules, kept from the topic `evaluated`; and what is missing in it.

A gap is a stretch of a partition between messages that were evaluated, in which the store has events. What was stored before the first
entry of a partition is unknown, and no gap. A rule was broken in a rule set when the set before it had it, the set has not, and the file it
was in held a rule that could not run; it is repaired when the newest set has it with another hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from core import metrics
from core.bus.contract import Record
from core.database import Database, exclusive, insert_into
from core.errors import BadMessage
from detect.evaluations import Range, Told, read
from detect.hunt.models import Evaluated, EvaluatedRules, Filled
from detect.hunt.statements import Place

_log = structlog.get_logger()


class LedgerStage:
    """`handle` is the handler of a `core.stage.Stage` on the topic `evaluated`. A repeated message changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle(self, records: Sequence[Record], generation: int) -> None:  # noqa: ARG002 - nothing is remembered between calls
        """Keep what `records` tell; durable on return. StoreUnavailable when the database does not answer."""
        await asyncio.to_thread(self._keep, records)

    def _keep(self, records: Sequence[Record]) -> None:
        with self._database.session() as session:
            exclusive(session, "evaluated")
            for record in records:
                try:
                    told = read(record.value)
                except BadMessage as error:
                    metrics.MESSAGES_SKIPPED.labels("evaluated").inc()
                    _log.error("evaluated.message_skipped", partition=record.partition, offset=record.offset, error=str(error))
                    continue
                if told.rules is not None:
                    _keep_rules(session, told, told.rules)
                for one in told.ranges:
                    _keep_range(session, told.rule_set, one)


def _keep_rules(session: Session, told: Told, rules: dict[str, tuple[str, str]]) -> None:
    """The set told of last is the newest, also when it was told of before."""
    before = session.scalars(sa.select(EvaluatedRules).order_by(EvaluatedRules.number.desc()).limit(1)).one_or_none()
    if before is not None and before.id == told.rule_set:
        return
    broken: dict[str, str] = {}
    if before is not None:
        known = {rule_id: digest for rule_id, (digest, file) in before.rules.items() if file in told.aside} | before.broken
        broken = {rule_id: digest for rule_id, digest in known.items() if rule_id not in rules}
    insert = insert_into(session, EvaluatedRules)
    number = 1 if before is None else before.number + 1
    row = {"id": told.rule_set, "number": number, "rules": {k: list(v) for k, v in rules.items()}, "broken": broken}
    session.execute(insert.on_conflict_do_update(index_elements=["id"], set_={"number": number}), [row])


def _keep_range(session: Session, rule_set: str, one: Range) -> None:
    """Join a range to what it continues; what is known of it already is left out."""
    here = (Evaluated.raw_epoch == one.raw_epoch, Evaluated.raw_partition == one.raw_partition)
    first, known = one.raw_first, None
    query = sa.select(Evaluated).where(*here, Evaluated.raw_first <= one.raw_last).order_by(Evaluated.raw_last.desc()).limit(1)
    known = session.scalars(query).one_or_none()
    if known is not None and known.raw_last >= one.raw_last:
        return
    if known is not None:
        first = max(first, known.raw_last + 1)
        if known.rule_set == rule_set and known.record_last < one.record_last and one.record_first <= known.record_last + 1:
            known.record_last, known.raw_last = one.record_last, one.raw_last
            session.flush()
            return
    session.add(
        Evaluated(
            raw_epoch=one.raw_epoch,
            raw_partition=one.raw_partition,
            record_first=one.record_first,
            record_last=one.record_last,
            raw_first=first,
            raw_last=one.raw_last,
            rule_set=rule_set,
        )
    )
    session.flush()


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch nobody told of: raw offsets, and the records of `events` around it (both not included)."""

    place: Place
    after: int
    before: int


def gaps(session: Session) -> list[Gap]:
    """The stretches between evaluated ranges of each partition that nothing was told of, in order."""
    found = []
    for (epoch, partition), ranges in _by_place(session):
        for left, right in pairwise(ranges):
            if _is_gap(left, right):
                found.append(Gap((epoch, partition, left.raw_last + 1, right.raw_first - 1), left.record_last, right.record_first))
    return found


def covered(session: Session) -> dict[tuple[str, int], list[tuple[int, int]]]:
    """The stretches of raw offsets of each (epoch, partition) that were evaluated, in order, both ends included."""
    found = {}
    for place, ranges in _by_place(session):
        stretches: list[tuple[int, int]] = []
        last: Evaluated | None = None
        for one in ranges:
            joined = last is not None and not _is_gap(last, one)
            first = stretches.pop()[0] if joined else one.raw_first
            stretches.append((first, one.raw_last))
            last = one
        found[place] = stretches
    return found


def _by_place(session: Session) -> Iterator[tuple[tuple[str, int], Iterator[Evaluated]]]:
    rows = session.scalars(sa.select(Evaluated).order_by(Evaluated.raw_epoch, Evaluated.raw_partition, Evaluated.raw_first))
    return groupby(rows, key=lambda row: (row.raw_epoch, row.raw_partition))


def _is_gap(left: Evaluated, right: Evaluated) -> bool:
    return right.raw_first > left.raw_last + 1 and right.record_first > left.record_last + 1


def close(session: Session, gap: Gap, by: str) -> None:
    """Remember what was done about a gap: `hunt/ID`, or '' when the store has no events in it."""
    epoch, partition, first, last = gap.place
    session.add(
        Evaluated(
            raw_epoch=epoch,
            raw_partition=partition,
            record_first=gap.after + 1,
            record_last=max(gap.before - 1, gap.after + 1),
            raw_first=first,
            raw_last=last,
            rule_set=by,
        )
    )


@dataclass(frozen=True, slots=True)
class Repair:
    """A rule that runs again after it was broken, and the sets and stretches it was missing in."""

    rule_id: str
    rule_sets: tuple[str, ...]
    places: tuple[Place, ...]


def repairs(session: Session) -> list[Repair]:
    """What is to be caught up with for rules that were broken."""
    sets = session.scalars(sa.select(EvaluatedRules).order_by(EvaluatedRules.number)).all()
    if not sets:
        return []
    newest = sets[-1].rules
    done = {(row.rule_set, row.rule_id) for row in session.scalars(sa.select(Filled))}
    missing: dict[str, list[str]] = {}
    for one in sets[:-1]:
        for rule_id, digest in one.broken.items():
            if rule_id in newest and newest[rule_id][0] != digest and (one.id, rule_id) not in done:
                missing.setdefault(rule_id, []).append(one.id)
    return [Repair(rule_id, tuple(without), _places(session, without)) for rule_id, without in sorted(missing.items())]


def _places(session: Session, rule_sets: Sequence[str]) -> tuple[Place, ...]:
    query = sa.select(Evaluated).where(Evaluated.rule_set.in_(rule_sets)).order_by(Evaluated.id)
    return tuple((row.raw_epoch, row.raw_partition, row.raw_first, row.raw_last) for row in session.scalars(query))


def caught_up(session: Session, repair: Repair, by: str) -> None:
    """Remember that the hunt `by` runs the repaired rule."""
    for rule_set in repair.rule_sets:
        session.add(Filled(rule_set=rule_set, rule_id=repair.rule_id, hunt_id=by))
