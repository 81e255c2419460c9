"""What the level of a national warning changes about rules and the rota, in the rows that more than one part reads.

- `LevelEffect` is written by `respond.warnings.effects`, and read by the detect stages (`detect.tuning`), by searches of history, by the
  rota and by the API. A row counts from `starts_at` until `ends_at`, by the database's clock: it ends by itself, whoever runs.
- At an agency the gravest row that reaches it holds, alone: effects of several warnings are not mixed. What is of no agency (a
  correlation across agencies) keeps to the rows that reach every agency.
- The row `CALM` holds while no other reaches an agency; it is what keeps rule sets off that only a level switches on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from core.database import AnyText, Base, Json, UtcDateTime, now

CALM: Final = "levels"
"""The `source` of the row of the calmest level, under which no warning is in force."""


class LevelEffect(Base):
    """The effects of one warning (`source` its name, `warning/WRN-2026-000001`), or of none (`CALM`).

    `reached` are the levels from the calmest up to this one, `agencies` those concerned ([]: all). `rules` is what `Effect` holds, plain.
    """

    __tablename__ = "level_effects"

    source: Mapped[str] = mapped_column(AnyText, primary_key=True)
    level: Mapped[str] = mapped_column(AnyText)
    rank: Mapped[int] = mapped_column(sa.Integer)
    reached: Mapped[list[str]] = mapped_column(Json)
    agencies: Mapped[list[str]] = mapped_column(Json)
    starts_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rules: Mapped[dict[str, Any]] = mapped_column(Json)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule can be chosen by; `correlation`: it has thresholds."""

    rule_id: str
    tags: frozenset[str]
    status: str
    file: str
    correlation: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rules by id, tag, status or folder; a rule that is named in any of these ways is chosen."""

    rules: frozenset[str]
    tags: frozenset[str]
    status: frozenset[str]
    folders: frozenset[str]

    def holds(self, rule: Facts) -> bool:
        """Whether `rule` is chosen."""
        named = rule.rule_id in self.rules or rule.status in self.status or not self.tags.isdisjoint(rule.tags)
        return named or (bool(self.folders) and not self.folders.isdisjoint(PurePath(rule.file).parts[:-1]))


@dataclass(frozen=True, slots=True)
class Effect:
    """What a level does to rules: sets that are off, and of chosen rules thresholds (a factor, or values) and the lowest level."""

    source: str
    level: str
    agencies: frozenset[str]
    off: tuple[tuple[str, Chosen], ...]
    factor: float
    thresholds: tuple[tuple[Chosen, float | None, Mapping[str, float]], ...]
    raised: tuple[tuple[Chosen, str], ...]

    def reaches(self, agency: str) -> bool:
        """Whether it counts at `agency`; '' asks for every agency."""
        return not self.agencies or agency in self.agencies


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an effect does to one rule: `off` names the set that keeps it off, `level` the lowest it has, `condition` takes the place of a
    correlation's own thresholds, and whatever these are is taken times `factor`.
    """

    off: str = ""
    level: str = ""
    factor: float = 1.0
    condition: Mapping[str, float] | None = None


UNTOUCHED: Final = Ruling()


def in_force(session: Session) -> tuple[Effect, ...]:
    """The effects that count now, the gravest and of those the newest first."""
    return tuple(_effect(row) for row in session.scalars(_counting(now(session))))


def reached(session: Session) -> frozenset[str]:
    """The levels that a warning in force anywhere has reached."""
    return frozenset(level for row in session.scalars(_counting(now(session))) if row.source != CALM for level in row.reached)


def at(effects: Iterable[Effect], agency: str) -> Effect | None:
    """The effect that holds at `agency` ('': at every agency), of `effects` as `in_force` gives them."""
    return next((one for one in effects if one.reaches(agency)), None)


def rulings(effects: Sequence[Effect], rule: Facts) -> Mapping[str, tuple[Effect, Ruling]]:
    """What the effects do to `rule`: at the agencies some of them are limited to, and ('') at every other; empty when they do nothing."""
    limited = sorted({agency for effect in effects for agency in effect.agencies})
    found = {agency: (effect, ruling(effect, rule)) for agency in ("", *limited) if (effect := at(effects, agency)) is not None}
    return found if any(told != UNTOUCHED for _, told in found.values()) else {}


def ruling(effect: Effect, rule: Facts) -> Ruling:
    """What `effect` does to `rule`. Of several thresholds that choose it the first counts, of levels the last."""
    off = next((name for name, chosen in effect.off if chosen.holds(rule)), "")
    level = next((level for chosen, level in reversed(effect.raised) if chosen.holds(rule)), "")
    if not rule.correlation:
        return Ruling(off, level)
    for chosen, factor, condition in effect.thresholds:
        if chosen.holds(rule):
            return Ruling(off, level, 1.0 if factor is None else factor, condition or None)
    return Ruling(off, level, effect.factor)


def reason(effect: Effect, told: Ruling) -> str:
    """Why a rule is as it is, in words."""
    words = [f"off: its rule set {told.off} runs at a graver level only"] if told.off else []
    words += [f"at least {told.level}"] if told.level else []
    words += [f"thresholds {dict(told.condition)}"] if told.condition else []
    words += [f"thresholds times {told.factor:g}"] if told.factor != 1 else []
    by = "no warning is in force" if effect.source == CALM else f"{effect.level}, {effect.source.rpartition('/')[2]}"
    return f"{by}: {'; '.join(words) or 'as it is written'}"


def _counting(at_: datetime) -> sa.Select[LevelEffect]:
    begun = sa.or_(LevelEffect.starts_at.is_(None), LevelEffect.starts_at <= at_)
    open_ = sa.or_(LevelEffect.ends_at.is_(None), LevelEffect.ends_at > at_)
    calm_last = sa.case((LevelEffect.source == CALM, 1), else_=0)
    return sa.select(LevelEffect).where(begun, open_).order_by(calm_last, LevelEffect.rank.desc(), LevelEffect.source.desc())


def _effect(row: LevelEffect) -> Effect:
    rules = row.rules
    return Effect(
        row.source,
        row.level,
        frozenset(row.agencies),
        tuple((name, _chosen(chosen)) for name, chosen in rules["off"]),
        rules["factor"],
        tuple((_chosen(one["of"]), one["factor"], one["condition"]) for one in rules["thresholds"]),
        tuple((_chosen(one["of"]), one["level"]) for one in rules["raised"]),
    )


def _chosen(plain: Mapping[str, Sequence[str]]) -> Chosen:
    return Chosen(*(frozenset(plain[name]) for name in ("rules", "tags", "status", "folders")))
