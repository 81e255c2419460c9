"""Facts: what the records say now about a paragraph, each a small function registered under the name `law.yaml` uses.

- A fact is for callers who may read what it counts, within their scope; for others it is left out.
- It is made by the database, never over all rows in Python, and counts no exercise.
- An argument stands after the name: `requests 15(3)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.centre import StageState
from core.clock import KST
from core.config import Settings
from core.permissions import Action, Agencies, Principal
from core.storage.event_queries import Heard
from respond.cases import records
from respond.cases.machine import Machine
from respond.cases.models import CaseColumns


class State(StrEnum):
    """How a paragraph stands. NOTHING: no evidence yet, as where the occasion has not come; HIDDEN: none the caller may read."""

    MET = "met"
    PARTLY = "partly"
    OVERDUE = "overdue"
    NOTHING = "nothing"
    HIDDEN = "hidden"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Fact:
    """One piece of evidence. `agencies` are those that lack something, `link` where the records are, `last_at` the newest of them."""

    state: State
    ko: str
    en: str
    link: str
    count: int = 0
    last_at: datetime | None = None
    agencies: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Ground:
    """What facts are made of. `scope` is the caller's for the fact at hand, `agencies` the city's within it, `year` that of Seoul.

    `heard` are the sources the caller may know of, from the columnar store; `stages` how the parts of this installation do.
    """

    session: Session
    settings: Settings
    caller: Principal
    at: datetime
    heard: Sequence[Heard]
    stages: Sequence[StageState]
    scope: Agencies = None
    agencies: Sequence[str] = field(default=())

    @property
    def year(self) -> int:
        return self.at.astimezone(KST).year

    @property
    def since(self) -> datetime:
        """The beginning of the year in Seoul."""
        return datetime(self.year, 1, 1, tzinfo=KST)


Maker = Callable[[Ground, str], Fact]


@dataclass(frozen=True, slots=True)
class Registered:
    """A fact's maker, and the actions of which one is needed; the first the caller holds gives the scope."""

    make: Maker
    actions: tuple[Action, ...]


FACTS: Final[dict[str, Registered]] = {}


def fact(name: str, *actions: Action) -> Callable[[Maker], Maker]:
    """Register a maker under `name` for who holds one of `actions`."""

    def registered(make: Maker) -> Maker:
        if name in FACTS:
            raise ValueError(f"two facts are called {name}")
        FACTS[name] = Registered(make, actions)
        return make

    return registered


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases of one kind: opened this year, those that have not ended, and when the newest was opened."""

    count: int
    open: int
    last_at: datetime | None


def cases(ground: Ground, machine: Machine, model: type[CaseColumns], *conditions: sa.ColumnElement[bool]) -> Cases:
    """The cases of a kind within the fact's scope that are no exercises."""
    counted = sa.select(
        sa.func.count().filter(model.created_at >= ground.since),
        sa.func.count().filter(model.state.not_in(machine.ended)),
        sa.func.max(model.created_at),
    )
    row: Any = ground.session.execute(counted.where(records.within(model, ground.scope), model.exercise.is_(False), *conditions)).one()
    return Cases(row[0], row[1], row[2])


def counted(found: Cases, ko: str, en: str, link: str, *, late: Sequence[str] = (), lacking: Sequence[str] = ()) -> Fact:
    """The fact about cases: overdue when some agencies are `late`, partly met when some are `lacking`, nothing when there is no case."""
    state = State.OVERDUE if late else State.PARTLY if lacking else State.MET if found.last_at else State.NOTHING
    return Fact(
        state,
        f"{ko}: 올해 {found.count}건, 진행 중 {found.open}건",
        f"{en}: {found.count} this year, {found.open} open",
        link,
        found.count,
        found.last_at,
        tuple(late or lacking),
    )
