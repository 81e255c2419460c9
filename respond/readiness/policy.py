"""Levels of readiness and the rules that propose them, from a YAML file the city may replace [ours]."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from core.config import ReadinessSettings
from respond import policies
from respond.checklists import Measure, unique
from respond.grouping import LEVELS
from respond.policies import Part, Policy

OURS: Final = Path(__file__).parent / "rules.yaml"
IMPORTANCES: Final = ("low", "medium", "high", "critical")

Severity = Literal["informational", "low", "medium", "high", "critical"]
Minutes = Annotated[int, Field(ge=1, le=31 * 24 * 60)]


class Level(Part):
    """One level with what is done while it is confirmed, and after which it is looked at again (a target of the centre's)."""

    id: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)
    review_minutes: Minutes
    measures: Annotated[tuple[Measure, ...], AfterValidator(unique)]


class Rule(Part):
    """When a level is proposed: so many incidents, so grave, at so many agencies, on systems so important, within a time."""

    id: str = Field(pattern=r"^[a-z0-9_]{1,60}$")
    level: str
    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)
    incidents: int = Field(ge=1, le=10_000)
    agencies: int = Field(default=1, ge=1, le=10_000)
    severity: Severity
    importance: Literal["", "low", "medium", "high", "critical"] = ""
    within_minutes: Minutes


class StandDown(Part):
    """When standing down is proposed: for so long no incident of at least that severity."""

    quiet_minutes: Minutes
    severity: Severity


class Readiness(Policy):
    """The whole policy; levels from the lowest up. A proposal not answered in `answer_minutes` goes to the next person."""

    answer_minutes: Minutes
    levels: tuple[Level, ...] = Field(min_length=1, max_length=10)
    escalate: tuple[Rule, ...] = Field(max_length=200)
    stand_down: StandDown

    @model_validator(mode="after")
    def _whole(self) -> Readiness:
        words = [one.id for one in self.levels]
        if len(set(words)) != len(words):
            raise ValueError("two levels have the same id")
        if len({one.id for one in self.escalate}) != len(self.escalate):
            raise ValueError("two rules have the same id")
        for rule in self.escalate:
            if rule.level not in words:
                raise ValueError(f"rule {rule.id!r} proposes the unknown level {rule.level!r}")
        return self

    def find(self, word: str) -> Level:
        """The level `word`; one this file no longer has counts as the highest."""
        return next((one for one in self.levels if one.id == word), self.levels[-1])

    def rank(self, word: str) -> int:
        """How high a level is, 0 the lowest."""
        return self.levels.index(self.find(word))

    @property
    def reach(self) -> timedelta:
        """How far back any rule looks."""
        return timedelta(minutes=max([self.stand_down.quiet_minutes, *(rule.within_minutes for rule in self.escalate)]))

    @property
    def weighed(self) -> frozenset[str]:
        """The severities of incidents whose systems' importance some rule asks for."""
        asking = [LEVELS.index(rule.severity) for rule in self.escalate if rule.importance]
        return frozenset(LEVELS[min(asking) :]) if asking else frozenset()


def load(settings: ReadinessSettings) -> Readiness:
    """The policy in force; FileError when the city's file is wrong."""
    return policies.load(settings.rules_file or OURS, Readiness)
