"""The records of searches through history.

- A `Hunt` is a search of any kind with its progress: what is committed here is done, and a restart goes on behind it.
- `FirstKnowable` remembers of every version of every rule that kept history was searched for it, and what came out.
- `EvaluatedRules` and `Evaluated` say which events the stream evaluated, with which rules; `Filled` what was already done about a rule that
  was broken meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, RowId, UtcDateTime
from core.versions import Versioned


class Hunt(Versioned, Base):
    """A search. `agencies` None reaches every agency; `rules` are {id, title, level, hash, tuned (as in `detect.hunt.tuned`)}; `text` the
    rules that are not saved.

    `ranges` limits it to positions [epoch, partition, first, last] of `logs.raw`. `slices` are [start, end, rows] in milliseconds, None
    before it is planned. `found`: by rule and agency {count, first (milliseconds), event}; `kept`: by rule the detections made;
    `problems`: by rule why it could not be judged. `holder` runs it until `held_until`.
    """

    __tablename__ = "hunts"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.Text, index=True)
    asked_by: Mapped[str] = mapped_column(AnyText)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    agencies: Mapped[Any | None] = mapped_column(Json)
    rules: Mapped[Any] = mapped_column(Json)
    text: Mapped[str] = mapped_column(AnyText)
    ranges: Mapped[Any | None] = mapped_column(Json)
    slices: Mapped[Any | None] = mapped_column(Json)
    slices_done: Mapped[int] = mapped_column(sa.Integer)
    rows_total: Mapped[int] = mapped_column(sa.BigInteger)
    rows_done: Mapped[int] = mapped_column(sa.BigInteger)
    found: Mapped[Any] = mapped_column(Json)
    kept: Mapped[Any] = mapped_column(Json)
    problems: Mapped[Any] = mapped_column(Json)
    problem: Mapped[str] = mapped_column(AnyText)
    holder: Mapped[str] = mapped_column(sa.Text)
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class FirstKnowable(Base):
    """What kept history said of one version of a rule. `found_at` None: it is still being searched. `found` as of a hunt's rule."""

    __tablename__ = "first_knowable"

    rule_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    rule_hash: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    hunt_id: Mapped[str] = mapped_column(sa.ForeignKey("hunts.id"), index=True)
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    found_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    found: Mapped[Any] = mapped_column(Json)


class EvaluatedRules(Base):
    """A set of rules the stream ran; the greatest `number` was told of last. `rules`: by id [hash, file]; `broken`: by id the hash of
    those that were set aside meanwhile.
    """

    __tablename__ = "evaluated_rules"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger)
    rules: Mapped[Any] = mapped_column(Json)
    broken: Mapped[Any] = mapped_column(Json)


class Evaluated(Base):
    """Consecutive messages of `events` that were evaluated with one rule set, and the raw offsets in them (all ends included).

    `rule_set` is `hunt/ID` where a hunt filled a gap, and '' where the gap held no events.
    """

    __tablename__ = "evaluated"
    __table_args__ = (sa.Index("ix_evaluated_place", "raw_epoch", "raw_partition", "raw_last"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    raw_epoch: Mapped[str] = mapped_column(sa.Text)
    raw_partition: Mapped[int] = mapped_column(sa.Integer)
    record_first: Mapped[int] = mapped_column(sa.BigInteger)
    record_last: Mapped[int] = mapped_column(sa.BigInteger)
    raw_first: Mapped[int] = mapped_column(sa.BigInteger)
    raw_last: Mapped[int] = mapped_column(sa.BigInteger)
    rule_set: Mapped[str] = mapped_column(sa.Text, index=True)


class Filled(Base):
    """A rule that was broken in a rule set, and the hunt that ran its repaired version over what that set evaluated."""

    __tablename__ = "filled"

    rule_set: Mapped[str] = mapped_column(sa.ForeignKey("evaluated_rules.id"), primary_key=True)
    rule_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    hunt_id: Mapped[str] = mapped_column(sa.Text)
