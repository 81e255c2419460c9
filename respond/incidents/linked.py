"""Which kinds of case can be about an incident, so that none is left open when it is closed. A new kind is one line here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from respond.blocks.machine import MACHINE as BLOCK
from respond.blocks.models import Block
from respond.cases.machine import Machine
from respond.investigations.machine import MACHINE as INVESTIGATION
from respond.investigations.models import Investigation
from respond.personal.machine import CASE as PERSONAL
from respond.personal.models import PersonalCase
from respond.reports.machine import MACHINE as REPORT
from respond.reports.models import Report
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request
from respond.sharing.machine import SHARE
from respond.sharing.models import Share
from respond.teams.machine import MACHINE as TEAM
from respond.teams.models import Team


@dataclass(frozen=True, slots=True)
class Linked:
    """A kind of case; `about` is its column that names an incident, with `incident/` or without, and belongs to its table.

    `settled` are states in which nobody has anything to do any more, besides those in which it has ended.
    """

    machine: Machine
    about: InstrumentedAttribute[Any]
    settled: frozenset[str] = frozenset()


KINDS: Final = (
    Linked(BLOCK, Block.about, frozenset({"approved"})),  # ends by itself
    Linked(REQUEST, Request.about),
    Linked(REPORT, Report.about),
    Linked(INVESTIGATION, Investigation.about),
    Linked(TEAM, Team.incident),
    Linked(PERSONAL, PersonalCase.about),
    Linked(SHARE, Share.about, frozenset({"released"})),
)


def open_cases(session: Session, names: Sequence[str]) -> list[str]:
    """The numbers of cases about any of `names` that have not ended."""
    found: list[str] = []
    spelled = {*names, *(name.removeprefix("incident/") for name in names)}
    for kind in KINDS:
        table = kind.about.class_
        query = sa.select(table.number).where(kind.about.in_(spelled), table.state.not_in(kind.machine.ended | kind.settled))
        found += session.scalars(query.order_by(table.id)).all()
    return found
