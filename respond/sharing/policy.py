"""Kinds of threat information, the TLP mapping and the rules of redaction, from a YAML file the city may replace.

Article 22(1)4 leaves further kinds to "the relevant rules"; the mapping of TLP and what is redacted are ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, cast

from pydantic import Field, IPvAnyNetwork, model_validator

from core.sharing_settings import SharingSettings
from respond import policies
from respond.policies import Part, Policy

OURS: Final = Path(__file__).parent / "policy.yaml"
Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]
LEVELS: Final[tuple[Tlp, ...]] = ("clear", "green", "amber", "amber+strict", "red")
"""The Traffic Light Protocol 2.0 (FIRST), the strictest last."""
Removable = Literal["agency_names", "internal_addresses", "accounts", "sightings"]


class Kind(Part):
    """A kind of threat information: the item of article 22(1) it is, and the STIX report type it becomes."""

    id: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    article: str = Field(min_length=1)
    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)
    report_type: str = Field(min_length=1)


class Level(Part):
    """What a TLP level means here."""

    reach: Literal["agencies", "named"]
    onward: bool
    reply_hours: float | None = Field(default=None, gt=0, le=24 * 366)


class Rule(Part):
    """What is taken out for whom."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    to: Literal["victim", "others"]
    levels: tuple[Tlp, ...] = Field(min_length=1)
    remove: frozenset[Removable]


class SharingPolicy(Policy):
    """The whole file."""

    kinds: tuple[Kind, ...] = Field(min_length=1, max_length=50)
    tlp: dict[Tlp, Level]
    redaction: tuple[Rule, ...]
    internal_networks: tuple[IPvAnyNetwork, ...]
    chase_hours: float = Field(gt=0, le=24 * 366)

    @model_validator(mode="after")
    def _whole(self) -> SharingPolicy:
        if missing := set(LEVELS) - set(self.tlp):
            raise ValueError(f"tlp says nothing of {', '.join(sorted(missing))}")
        if len({kind.id for kind in self.kinds}) != len(self.kinds):
            raise ValueError("two kinds have the same id")
        for level in LEVELS:
            for to in ("victim", "others"):
                if not any(level in rule.levels and rule.to == to for rule in self.redaction):
                    raise ValueError(f"no rule of redaction says what {to} get under {level}")
        return self

    def kind(self, word: str) -> Kind | None:
        """The kind called `word`, or None."""
        return next((one for one in self.kinds if one.id == word), None)

    def rule(self, level: str, *, victim: bool) -> Rule:
        """What is taken out of a share of `level` for the agency it happened at, or for others."""
        to = "victim" if victim else "others"
        return next(one for one in self.redaction if level in one.levels and one.to == to)


def load(settings: SharingSettings) -> SharingPolicy:
    """The policy in force; FileError when the city's file is wrong."""
    return policies.load(settings.policy_file or OURS, SharingPolicy)


def strictest(levels: list[str]) -> str:
    """The strictest of several levels; 'clear' of none."""
    return max(levels, key=lambda level: LEVELS.index(cast(Tlp, level)), default="clear")
