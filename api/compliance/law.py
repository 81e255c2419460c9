"""The paragraphs this system answers to, as data: `law.yaml` holds what each asks, where it is done, what proves it, what shows it.

The compliance page, `GET /v1/compliance` and `docs/law-map.md` are all made of it. Summaries are our own words, not the law's.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, model_validator

from api.compliance import facts_of_others, facts_of_privacy, facts_of_system, facts_of_work
from api.compliance.facts import FACTS
from respond import policies
from respond.policies import Part, Policy

FILE: Final = Path(__file__).parent / "law.yaml"
FACT_MODULES: Final = (facts_of_work, facts_of_others, facts_of_privacy, facts_of_system)
"""Importing them registers their facts."""

Screen = Literal["/", "/incidents/{name}", "/compliance"]


class Both(Part):
    """A text in Korean and English."""

    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Row(Both):
    """One paragraph. `routes` are written `GET /v1/...`, `tests` as pytest names them.

    `outside` says why nothing is done here where nothing is: the paragraph speaks to somebody else, or asks for nothing a program does.
    """

    id: str = Field(pattern=r"^(CO|PIO|DEC|CCTV|DSO) \d\S*$")
    routes: tuple[str, ...] = ()
    screens: tuple[Screen, ...] = ()
    tests: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    outside: Both | None = None

    @model_validator(mode="after")
    def _whole(self) -> Row:
        if self.outside is not None and (self.routes or self.facts):
            raise ValueError(f"{self.id} is outside, and has routes or facts")
        if self.outside is None and not (self.tests and self.facts and self.screens):
            raise ValueError(f"{self.id} needs a screen, tests and facts, or a word why it is outside")
        if unknown := [one for one in self.facts if one.partition(" ")[0] not in FACTS]:
            raise ValueError(f"{self.id}: there is no fact {', '.join(unknown)}")
        return self


class Act(Both):
    """One act with its short name; `basis` says which text of it this is."""

    id: Literal["CO", "PIO", "DEC", "CCTV", "DSO"]
    basis: str
    rows: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _of_it(self) -> Act:
        if wrong := [one.id for one in self.rows if not one.id.startswith(f"{self.id} ")]:
            raise ValueError(f"{', '.join(wrong)} does not stand in {self.id}")
        return self


class Law(Policy):
    """Every act."""

    acts: tuple[Act, ...]

    @model_validator(mode="after")
    def _distinct(self) -> Law:
        ids = [row.id for act in self.acts for row in act.rows]
        if len(set(ids)) != len(ids):
            raise ValueError("a paragraph stands twice")
        return self


@cache
def load() -> Law:
    """The paragraphs; FileError when the file is wrong."""
    return policies.load(FILE, Law)
