"""What is looked at in each kind of duty, from a YAML file the city may replace.

Article 15(1) names three subjects and leaves others to "the relevant rules" (15(1)4); article 21(5) leaves the scope of training to them.
The three of article 15(1) are in every file; the rest is ours until the city writes its own [ours].
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from core.duty_settings import DutySettings
from respond import policies
from respond.checklists import Measure, unique
from respond.duties.machine import Kind
from respond.policies import Part, Policy

OURS: Final = Path(__file__).parent / "subjects.yaml"
_NAMED_BY_LAW: Final = ("CO 15(1)1", "CO 15(1)2", "CO 15(1)3")


class Subject(Measure):
    """One thing that is looked at. `law` is the item that names it; '' when it is the centre's own."""

    law: str = ""


class Round(Part):
    """What one kind looks at. `centre`: the centre itself has a duty, too, beside the agencies."""

    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)
    centre: bool = False
    subjects: Annotated[tuple[Subject, ...], AfterValidator(unique)] = Field(min_length=1, max_length=100)


class Subjects(Policy):
    """Every kind."""

    kinds: Mapping[Kind, Round]

    @model_validator(mode="after")
    def _whole(self) -> Subjects:
        if missing := set(Kind) - set(self.kinds):
            raise ValueError(f"kinds lack {', '.join(sorted(missing))}")
        named = {one.law for one in self.kinds[Kind.INSPECTION].subjects}
        if left := [law for law in _NAMED_BY_LAW if law not in named]:
            raise ValueError(f"an inspection looks at what the ordinance names: no subject has the law {', '.join(left)}")
        return self


def load(settings: DutySettings) -> Subjects:
    """The subjects in force; FileError when the city's file is wrong."""
    return policies.load(settings.subjects_file or OURS, Subjects)
