"""Warning levels and what follows from each: names [found], measures and effects [ours], from a YAML file the city may replace.

Article 18(2) leaves the measures of a level to "the relevant rules"; these are ours until the city writes its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from core.config import WarningSettings
from core.rule_records import RELATIONS
from respond import policies
from respond.checklists import Measure, unique
from respond.grouping import LEVELS
from respond.policies import Part, Policy

OURS: Final = Path(__file__).parent / "levels.yaml"

Measures = Annotated[tuple[Measure, ...], AfterValidator(unique)]
Minutes = Annotated[int, Field(ge=1, le=366 * 24 * 60)]


class Which(Part):
    """Which rules: those with one of the ids, of the tags, of the Sigma statuses, or in a folder of one of the names."""

    rules: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _some(self) -> Which:
        if not (self.rules or self.tags or self.status or self.folders):
            raise ValueError("says of no rule that it is meant: name rules, tags, status or folders")
        return self


class WatchedSet(Which):
    """A set of rules that are off while no level in force has it among its `rule_sets`."""

    id: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Threshold(Which):
    """Other thresholds for some correlations: their own times `factor`, or `condition` in their place."""

    factor: float | None = Field(default=None, gt=0, le=1)
    condition: dict[str, float] | None = Field(default=None, min_length=1, max_length=len(RELATIONS))

    @model_validator(mode="after")
    def _one(self) -> Threshold:
        if (self.factor is None) == (self.condition is None):
            raise ValueError("has a factor or a condition")
        if unknown := sorted(set(self.condition or ()) - set(RELATIONS)):
            raise ValueError(f"a condition has no {', '.join(unknown)}; it has {', '.join(RELATIONS)}")
        return self


class Raised(Which):
    """The lowest level some rules have."""

    level: str

    @model_validator(mode="after")
    def _known(self) -> Raised:
        if self.level not in LEVELS:
            raise ValueError(f"a level of rules is one of {', '.join(LEVELS)}")
        return self


class Effects(Part):
    """What a level means for the centre's own work. Minutes and hours are internal targets; None where there is none."""

    banner: Literal["", "info", "warn", "alarm"] = Field(description="How the dashboard shows the level; empty: not at all")
    threshold_factor: float = Field(gt=0, le=1, description="Thresholds of correlations are taken times this")
    thresholds: tuple[Threshold, ...] = Field(default=(), description="Of some correlations in place of the factor; the first that fits")
    rule_sets: tuple[str, ...] = Field(description="Sets of rules that run besides")
    raised: tuple[Raised, ...] = Field(default=(), description="Rules whose detections are at least so grave; the last that fits")
    watch_people: int = Field(ge=0, le=1000, description="People on watch at once")
    rota_ko: str = Field(description="The watch rota in Korean")
    rota_en: str = Field(description="The watch rota in English")
    report_minutes: Minutes | None = Field(default=None, description="How often the state is reported")
    accident_report_hours: float | None = Field(
        default=None, gt=0, le=24 * 366, description="Internal target for reports of accidents, where it is shorter than the usual one"
    )
    acknowledge_minutes: Minutes | None = Field(default=None, description="Within which an agency is to acknowledge")
    measures_minutes: Minutes | None = Field(default=None, description="Within which an agency's measures are to be done")


class Level(Part):
    """One level with its measures for the Mayor's centre and for agencies."""

    id: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)
    centre: Measures
    agencies: Measures
    effects: Effects


class Levels(Policy):
    """Every level, the calmest first."""

    rule_sets: tuple[WatchedSet, ...] = Field(default=(), max_length=100)
    levels: tuple[Level, ...] = Field(min_length=2, max_length=10)

    @model_validator(mode="after")
    def _distinct(self) -> Levels:
        if len({one.id for one in self.levels}) != len(self.levels):
            raise ValueError("two levels have the same id")
        known = {one.id for one in self.rule_sets}
        if len(known) != len(self.rule_sets):
            raise ValueError("two rule sets have the same id")
        if unknown := sorted({name for one in self.levels for name in one.effects.rule_sets} - known):
            raise ValueError(f"there is no rule set {', '.join(unknown)}: describe it under rule_sets")
        return self

    def knows(self, word: str) -> bool:
        """Whether there is a level `word`."""
        return any(one.id == word for one in self.levels)

    def find(self, word: str) -> Level:
        """The level `word`. One this file no longer has counts as the gravest, so that an edit of the file never lowers the guard."""
        return next((one for one in self.levels if one.id == word), self.levels[-1])

    def rank(self, word: str) -> int:
        """How grave a level is, 0 the calmest."""
        return self.levels.index(self.find(word))


def load(settings: WarningSettings) -> Levels:
    """The levels in force; FileError when the city's file is wrong."""
    return policies.load(settings.levels_file or OURS, Levels)


def effects(levels: Levels, word: str) -> Effects:
    """What the level `word` means for the centre's own work; '' (no warning is in force): what the calmest does."""
    return levels.find(word).effects if word else levels.levels[0].effects
