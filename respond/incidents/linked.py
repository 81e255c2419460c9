"""Which kinds of case can be about an incident, so that none is left open when it is closed. A new kind is one line here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from respond.cases.machine import Machine
from respond.requests.machine import MACHINE as REQUEST
from respond.requests.models import Request


@dataclass(frozen=True, slots=True)
class Linked:
    """A kind of case; `about` is its column that names an incident (`incident/INC-2026-000001`), and belongs to its table."""

    machine: Machine
    about: InstrumentedAttribute[Any]


KINDS: Final = (Linked(REQUEST, Request.about),)


def open_cases(session: Session, names: Sequence[str]) -> list[str]:
    """The numbers of cases about any of `names` that have not ended."""
    found: list[str] = []
    for kind in KINDS:
        table = kind.about.class_
        query = sa.select(table.number).where(kind.about.in_(names), table.state.not_in(kind.machine.ended))
        found += session.scalars(query.order_by(table.id)).all()
    return found
