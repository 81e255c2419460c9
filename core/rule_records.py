"""The rows of rules in the transactional database, which more than one part reads: what runs, and what people changed about it.

- `RuleSet`, `RuleState` and `RuleText` are written by each process that detects (`detect.published`), and read by the API and by `respond`.
- `RuleTuning` is written for the API (`respond.tunings`), and read by the detect stage (`detect.tuning`) and by `respond`.
- `ApprovedRule` is written when people approve a draft (`respond.rule_drafts`), and read by whatever loads rules (`detect.approved`).
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from core.database import AnyText, Base, Json, UtcDateTime
from core.events import DETECTIONS, Kind
from core.versions import Versioned

EVERY_AGENCY: Final = ""
"""In place of an agency: all of them."""

RELATIONS: Final = ("lt", "lte", "gt", "gte", "eq", "neq")
"""The words of a correlation's thresholds."""

GROUPED: Final = frozenset(
    column.name
    for column in DETECTIONS.columns
    if column.kind is not Kind.TIME and column.set_by != "detect" and not column.name.startswith("raw") and column.name != "agency"
)
"""The columns a suppression may group by."""

_SPAN: Final = re.compile(r"([0-9]{1,6}) ?([smhd])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST_COLUMNS: Final = 8
LONGEST_SUPPRESSION: Final = 30 * 86_400
"""Seconds."""


def hash_of(sources: Sequence[str]) -> str:
    """The hash of a rule: 16 hex digits of the SHA-256 of its document, and with each filter of `<hash so far>/<hash of the filter>`."""
    first, *filters = (_digest(source) for source in sources)
    return functools.reduce(lambda so_far, one: _digest(f"{so_far}/{one}"), filters, first)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class RuleSet(Base):
    """The rules one process runs. `version` names them all; `seen_at` is when the process last said it lives."""

    __tablename__ = "rule_sets"

    process: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    version: Mapped[str] = mapped_column(sa.Text)
    loaded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    set_aside: Mapped[list[dict[str, Any]]] = mapped_column(Json)


class RuleState(Base):
    """One rule in force in one process. `suppress` is what `Suppression.plain` gives, or NULL; `about` the rest (`detect.published`)."""

    __tablename__ = "rule_states"

    process: Mapped[str] = mapped_column(sa.ForeignKey("rule_sets.process"), primary_key=True)
    rule_id: Mapped[str] = mapped_column(AnyText, primary_key=True)
    title: Mapped[str] = mapped_column(AnyText)
    level: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text)
    hash: Mapped[str] = mapped_column(sa.Text)
    suppress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    about: Mapped[dict[str, Any]] = mapped_column(Json)


class RuleText(Base):
    """What a version of a rule says, kept for ever once it has run: `sources` are JSON texts, and `hash_of` them is `hash`."""

    __tablename__ = "rule_texts"

    rule_id: Mapped[str] = mapped_column(AnyText, primary_key=True)
    hash: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    sources: Mapped[list[str]] = mapped_column(Json)
    first_run_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RuleTuning(Versioned, Base):
    """What is different about a rule at an agency ('': at every one that has no row of its own).

    `level` '' and NULLs leave what the rule says. `condition` is Sigma's of a correlation, such as {"gte": 20}.
    """

    __tablename__ = "rule_tunings"

    rule_id: Mapped[str] = mapped_column(AnyText, primary_key=True)
    agency: Mapped[str] = mapped_column(AnyText, primary_key=True)
    enabled: Mapped[bool] = mapped_column(sa.Boolean)
    level: Mapped[str] = mapped_column(sa.Text)
    condition: Mapped[dict[str, float] | None] = mapped_column(Json)
    suppress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    owner: Mapped[str] = mapped_column(AnyText)
    reason: Mapped[str] = mapped_column(AnyText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class ApprovedRule(Base):
    """A text of rules that people approved: it is in force beside the files, and its rules take the place of a file's with the same id.

    `draft` is the number of the draft it came from; no id stands in two rows.
    """

    __tablename__ = "approved_rules"

    draft: Mapped[str] = mapped_column(AnyText, primary_key=True)
    text: Mapped[str] = mapped_column(AnyText)
    rule_ids: Mapped[list[str]] = mapped_column(Json)
    approved_at: Mapped[datetime] = mapped_column(UtcDateTime)


@dataclass(frozen=True, slots=True)
class Suppression:
    """Detections of a rule with the same values of `by`, at one agency, within `seconds` of the first are counted and not kept."""

    by: tuple[str, ...]
    seconds: int

    @property
    def plain(self) -> dict[str, Any]:
        """What is stored."""
        return {"by": list(self.by), "for": f"{self.seconds}s"}


def suppression(value: Any) -> Suppression:
    """The suppression written as {by: [columns], for: 1h}; ValueError says what is wrong with it."""
    if not isinstance(value, Mapping) or set(value) != {"by", "for"}:
        raise ValueError("suppress is a map with the keys by and for, such as {by: [src_ip, dst_port], for: 1h}")
    names = [value["by"]] if isinstance(value["by"], str) else value["by"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not 0 < len(names) <= _MOST_COLUMNS:
        raise ValueError(f"suppress: by is a list of one to {_MOST_COLUMNS} columns")
    if unknown := [name for name in names if name not in GROUPED]:
        raise ValueError(f"suppress: {', '.join(unknown)} is no column that detections can be grouped by")
    found = _SPAN.fullmatch(str(value["for"]))
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_SUPPRESSION:
        raise ValueError(f"suppress: for is a number above 0 and one of s m h d, at most 30d; it is {value['for']!r}")
    return Suppression(tuple(dict.fromkeys(names)), seconds)
