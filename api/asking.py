"""Who asks, as far as statements over kinds of cases depend on it: what such a statement is kept under, since writing it takes longer than
running it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.permissions import Action, Principal, Reach

ASKERS: Final = 64
"""Statements of one kind that are kept: one for each role, agency and reader."""


@dataclass(frozen=True, slots=True)
class Asker:
    """What may be read, of which agencies, and as whom (`reader`, an actor; '' is nobody) cases of restricted incidents are."""

    grants: frozenset[tuple[Action, Reach]]
    agency: str
    watched: frozenset[str]
    reader: str

    @classmethod
    def of(cls, caller: Principal, reader: str) -> Asker:
        """The caller, reading as `reader`."""
        return cls(frozenset(caller.grants.items()), caller.agency, caller.watched, reader)

    def principal(self) -> Principal:
        """A caller of whom nothing else is known."""
        return Principal("", "", "", self.agency, dict(self.grants), watched=self.watched)
