"""The order in which the lines of a drill go out: a pure function of the scenario and the number of agencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from core.line_templates import filled
from respond.drills.scenario import Lines, Scenario, Source


@dataclass(frozen=True)
class Shot:
    """One line: when it goes out (seconds after the start), from which source of the agency at `place`, and which repetition it is."""

    at: float
    place: int
    source: Source
    lines: Lines
    number: int

    def text(self, now: datetime) -> str:
        """The line as it is written at `now`, the time in it that of its source's zone."""
        return filled(self.lines.line, now.astimezone(ZoneInfo(self.source.timezone)), self.number)


@dataclass(frozen=True)
class Timeline:
    """A scenario played at so many agencies."""

    scenario: Scenario
    agencies: int

    @cached_property
    def shots(self) -> Sequence[Shot]:
        """All lines in the order in which they go out; the same every time."""
        found = [
            Shot(lines.at + number * lines.every, place, source, lines, number + 1)
            for place in range(self.agencies)
            for source in self.scenario.role_of(place).sources
            for lines in self.scenario.role_of(place).lines
            if lines.source == source.name
            for number in range(lines.repeat)
        ]
        return sorted(found, key=lambda shot: shot.at)
