"""Which kinds of case can be about an incident, so that none is left open when it is closed, and none tells of one that is restricted.

A new kind is one line here, and `incident_name` of its model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from respond.blocks.machine import MACHINE as BLOCK
from respond.blocks.models import Block
from respond.cases.machine import Machine
from respond.cases.models import CaseColumns
from respond.incidents.sight import closed, closed_by
from respond.investigations.machine import MACHINE as INVESTIGATION
from respond.investigations.models import Investigation
from respond.personal.machine import CASE as PERSONAL
from respond.personal.models import PersonalCase, PersonalTrack
from respond.reports.machine import MACHINE as REPORT
from respond.reports.models import Report
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request
from respond.sharing.machine import SHARE
from respond.sharing.models import Share
from respond.teams.machine import MACHINE as TEAM
from respond.teams.machine import MEMBER as TEAM_MEMBER
from respond.teams.models import Member, Team


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


def closed_names(reader: str) -> sa.CompoundSelect[str]:
    """How trail, news and clocks name the restricted incidents `reader` is no member of, and every case, or part of one, about such."""
    incidents = closed(reader).subquery()
    tracks: sa.ColumnElement[str] = sa.literal("personal_", sa.Text) + PersonalTrack.track + "/"
    kinds: list[tuple[sa.ColumnElement[str], type[CaseColumns]]] = [
        *((_prefix(one.machine), cast("type[CaseColumns]", one.about.class_)) for one in KINDS),
        (_prefix(TEAM_MEMBER), Member),
        (tracks, PersonalTrack),
    ]
    about = [
        sa.select(prefix + model.number).where(closed_by(name, reader))
        for prefix, model in kinds
        if (name := model.incident_name()) is not None
    ]
    return sa.union_all(sa.select(sa.literal("incident/", sa.Text) + incidents.c.number), *about)


def _prefix(machine: Machine) -> sa.ColumnElement[str]:
    return sa.literal(f"{machine.kind}/", sa.Text)


def open_cases(session: Session, names: Sequence[str]) -> list[str]:
    """The numbers of cases about any of `names` that have not ended."""
    found: list[str] = []
    spelled = {*names, *(name.removeprefix("incident/") for name in names)}
    for kind in KINDS:
        table = kind.about.class_
        query = sa.select(table.number).where(kind.about.in_(spelled), table.state.not_in(kind.machine.ended | kind.settled))
        found += session.scalars(query.order_by(table.id)).all()
    return found
