"""Whom a team is made of, from a YAML file the city may replace: article 20(3) leaves it to "the relevant rules" [ours]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, model_validator

from core.config import TeamSettings
from core.errors import Invalid
from respond import policies
from respond.policies import Part, Policy

OURS: Final = Path(__file__).parent / "composition.yaml"


class TeamRole(Part):
    """One role. `origin` says where its people come from."""

    id: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)
    origin: Literal["centre", "agency", "city", "outside"]
    at_least: int = Field(ge=0, le=100)
    at_most: int = Field(ge=1, le=100)

    @model_validator(mode="after")
    def _possible(self) -> TeamRole:
        if self.at_most < self.at_least:
            raise ValueError(f"role {self.id!r} needs more people than it may have")
        return self


class Composition(Policy):
    """The roles of a team, and the centre's target for acknowledging a call."""

    acknowledge_minutes: int = Field(ge=1, le=7 * 24 * 60)
    roles: tuple[TeamRole, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _distinct(self) -> Composition:
        if len({one.id for one in self.roles}) != len(self.roles):
            raise ValueError("two roles have the same id")
        return self

    def role(self, word: str) -> TeamRole:
        """The role `word`; Invalid when there is none."""
        for one in self.roles:
            if one.id == word:
                return one
        raise Invalid(f"there is no role {word!r}: there are {', '.join(one.id for one in self.roles)}")

    def missing(self, roles: Iterable[str]) -> list[str]:
        """What `roles`, one word for each person, lack of the least numbers."""
        there = Counter(roles)
        return [f"{one.at_least - there[one.id]} more {one.id}" for one in self.roles if there[one.id] < one.at_least]

    def too_many(self, roles: Iterable[str]) -> list[str]:
        """The roles `roles` fill with more people than they may have."""
        there = Counter(roles)
        return [one.id for one in self.roles if there[one.id] > one.at_most]


def load(settings: TeamSettings) -> Composition:
    """The composition in force; FileError when the city's file is wrong."""
    return policies.load(settings.composition_file or OURS, Composition)
