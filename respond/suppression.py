"""Suppression: of a rule's detections alike in some columns only the first in a while is kept as evidence; all are counted.

A rule asks for it (`custom: suppress:`), or people do for an agency (`RuleTuning.suppress`, which goes before the rule). Detections of
one rule, agency and drill with the same values of the columns `by` are a group. The first begins a span of event time; those less than
the span away from it are **held**: counted in the first one's incident whatever their own entity, its entities counted too, without
evidence. The first after the span begins another. The span ends with the incident: after it was closed or taken for false, the next is a
first again.

Runs in the transaction of the incidents, under their lock, so a repeated delivery changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from core import metrics
from core.clock import from_millis, millis
from core.database import AnyText, Base, UtcDateTime, insert_into
from core.rule_records import EVERY_AGENCY, RuleSet, RuleState, RuleTuning, Suppression, suppression
from respond.grouping import Ints, hashed
from respond.incidents.machine import ENDED
from respond.models import Incident

Flags = npt.NDArray[np.bool_]
_KEPT_AFTER: Final = timedelta(days=1)
_AT_A_TIME: Final = 5000
_NEVER: Final = np.iinfo(np.int64).min // 2


class SuppressedGroup(Base):
    """The span that a group is in: from `started_at` to `until`, in the incident of its first detection."""

    __tablename__ = "suppressed_groups"

    digest: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    rule_id: Mapped[str] = mapped_column(AnyText)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    entity_kind: Mapped[str] = mapped_column(AnyText)
    entity_value: Mapped[str] = mapped_column(AnyText)
    incident_id: Mapped[int] = mapped_column(sa.ForeignKey("incidents.id"), index=True)


@dataclass(frozen=True, slots=True)
class Held:
    """Findings with the entity that decides their incident, `since` when each belongs to it (milliseconds), and which rows are held.

    `began` are the rows with which a span to remember began; `digest_of` names their groups and `until` is when the spans end.
    """

    findings: pa.Table
    since: Ints
    held: Flags
    began: Sequence[int] = ()
    digest_of: Sequence[str] = ()
    until: Sequence[int] = ()

    def save(self, session: Session, incidents: Sequence[Incident], of_row: Ints, at: datetime) -> None:
        """Remember the spans that began; `of_row` is the place of each row's incident."""
        metrics.DETECTIONS_SUPPRESSED.inc(int(self.held.sum()))
        if not self.began:
            return
        session.execute(sa.delete(SuppressedGroup).where(SuppressedGroup.until < at - _KEPT_AFTER))
        rules = self.findings["rule_id"].take(pa.array(self.began)).to_pylist()
        rows = [
            {
                "digest": digest,
                "rule_id": rule,
                "started_at": from_millis(int(self.since[row])),
                "until": from_millis(until),
                "entity_kind": incidents[of_row[row]].entity_kind,
                "entity_value": incidents[of_row[row]].entity_value,
                "incident_id": incidents[of_row[row]].id,
            }
            for row, rule, digest, until in zip(self.began, rules, self.digest_of, self.until, strict=True)
        ]
        insert = insert_into(session, SuppressedGroup)
        changed = {name: insert.excluded[name] for name in rows[0] if name != "digest"}
        upsert = insert.on_conflict_do_update(index_elements=["digest"], set_=changed)
        for start in range(0, len(rows), _AT_A_TIME):
            session.execute(upsert, rows[start : start + _AT_A_TIME])


def hold(session: Session, findings: pa.Table) -> Held:
    """Which of `findings` (from `grouping.with_entity`) are held."""
    group, span = np.full(findings.num_rows, -1, np.int64), np.zeros(findings.num_rows, np.int64)
    digests: list[str] = []
    for asked, rows in _asked(session, findings):
        codes, names = _groups(findings.take(pa.array(rows)), asked)
        group[rows] = codes + len(digests)
        span[rows] = asked.seconds * 1000
        digests += names
    if not digests:
        return Held(findings, _times(findings), np.zeros(findings.num_rows, bool))
    return _held(findings, group, span, digests, _spans(session, digests))


def _held(findings: pa.Table, group: Ints, span: Ints, digests: Sequence[str], spans: Mapping[str, SuppressedGroup]) -> Held:
    times = _times(findings)
    since, held = times.copy(), np.zeros(len(times), bool)
    known = list(spans.values())
    place_of = {row.digest: len(times) + place for place, row in enumerate(known)}
    entity_of = np.arange(len(times))  # the row whose entity decides; behind the rows come the spans known before
    began: dict[int, int] = {}
    for rows in _by_group(group, times):
        place, length = int(group[rows[0]]), int(span[rows[0]])
        before = spans.get(digests[place])
        started = millis(before.started_at) if before else _NEVER
        near = np.abs(times[rows] - started) < length
        held[rows[near]], since[rows[near]], entity_of[rows[near]] = True, started, place_of.get(digests[place], 0)
        for first, following in _spells(rows[~near], times, length):
            held[following], since[following], entity_of[following] = True, times[first], first
            if times[first] > started:
                began[place] = first
    for name in ("entity_kind", "entity_value"):
        column = pa.concat_arrays([findings[name].combine_chunks(), pa.array([getattr(row, name) for row in known], pa.string())])
        findings = findings.set_column(findings.schema.get_field_index(name), name, column.take(pa.array(entity_of)))
    until = [int(times[row] + span[row]) for row in began.values()]
    return Held(findings, since, held, list(began.values()), [digests[place] for place in began], until)


def _spells(rows: Ints, times: Ints, span: int) -> Iterator[tuple[int, Ints]]:
    """Of rows in order of time: each that begins a span, with those it holds."""
    ordered, at = times[rows], 0
    while at < len(rows):
        end = int(np.searchsorted(ordered, ordered[at] + span))
        yield int(rows[at]), rows[at + 1 : end]
        at = end


def _by_group(group: Ints, times: Ints) -> Iterator[Ints]:
    """The rows of each group, in order of time."""
    grouped = np.flatnonzero(group >= 0)
    order = grouped[np.lexsort((times[grouped], group[grouped]))]
    yield from np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def _asked(session: Session, findings: pa.Table) -> Iterator[tuple[Suppression, Ints]]:
    """Each suppression that applies, with the rows it applies to."""
    ids = pc.unique(findings["rule_id"]).to_pylist()
    ruled = sa.select(RuleState).join(RuleSet).where(RuleState.rule_id.in_(ids), RuleState.suppress.is_not(None))
    of_rules = {row.rule_id: row.suppress for row in session.scalars(ruled.order_by(RuleSet.loaded_at))}
    tuned = sa.select(RuleTuning).where(RuleTuning.rule_id.in_(ids), RuleTuning.suppress.is_not(None))
    of_agencies = {(row.rule_id, row.agency): row.suppress for row in session.scalars(tuned)}
    if not of_rules and not of_agencies:
        return
    pairs = pa.table({name: findings[name] for name in ("rule_id", "agency")}).group_by(["rule_id", "agency"]).aggregate([])
    for rule, agency in zip(pairs["rule_id"].to_pylist(), pairs["agency"].to_pylist(), strict=True):
        own = of_agencies.get((rule, agency)) or of_agencies.get((rule, EVERY_AGENCY)) or of_rules.get(rule)
        if own:
            here = pc.and_(pc.equal(findings["rule_id"], rule), pc.equal(findings["agency"], agency))
            yield suppression(own), np.flatnonzero(here.to_numpy()).astype(np.int64)


def _groups(findings: pa.Table, asked: Suppression) -> tuple[Ints, list[str]]:
    """For each row of one rule and agency the place of its group, and the groups' digests."""
    key = list(dict.fromkeys(("rule_id", "agency", "exercise", *asked.by)))
    keyed = findings.select(key).append_column("row", pa.array(np.arange(findings.num_rows)))
    found = keyed.group_by(key, use_threads=False).aggregate([("row", "list")])
    codes = np.empty(findings.num_rows, np.int64)
    digests = []
    for place, one in enumerate(found.to_pylist()):
        codes[one["row_list"]] = place
        drill = [f"exercise={one['exercise']}"] if one["exercise"] else []
        digests.append(hashed(one["rule_id"], one["agency"], *drill, *(f"{name}={_word(one[name])}" for name in asked.by)))
    return codes, digests


def _word(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)


def _spans(session: Session, digests: Sequence[str]) -> Mapping[str, SuppressedGroup]:
    """The spans of these groups whose incident is still open."""
    found = {}
    for start in range(0, len(digests), _AT_A_TIME):
        some = digests[start : start + _AT_A_TIME]
        query = sa.select(SuppressedGroup).join(Incident, Incident.id == SuppressedGroup.incident_id)
        for row in session.scalars(query.where(SuppressedGroup.digest.in_(some), Incident.state.not_in(ENDED))):
            found[row.digest] = row
    return found


def _times(findings: pa.Table) -> Ints:
    return np.asarray(findings["event_time"].cast(pa.int64()).to_numpy()).astype(np.int64)
