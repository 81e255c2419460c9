"""What a case takes over from the incident it names in `about`: whether it is an exercise [DOMAIN trap 5]."""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound
from respond.incidents.machine import MACHINE
from respond.incidents.sight import Sight, visible
from respond.models import Incident

_INCIDENT: Final = re.compile(rf"(?:{MACHINE.kind}/)?({MACHINE.prefix}-\d{{4}}-\d{{6,12}})", re.IGNORECASE)


def exercise(session: Session, sight: Sight, about: str, wished: bool) -> bool:
    """Whether a case about `about` is an exercise: as its incident, or as wished when it is about something else or nothing.

    An incident is named with `incident/` or without, as `respond.incidents.linked` understands it.
    NotFound when there is no such incident in sight, Invalid when an exercise is wished about a real one.
    """
    named = _INCIDENT.fullmatch(about.strip())
    if named is None:
        return wished
    number = named[1].upper()
    found = session.scalar(sa.select(Incident.exercise).where(Incident.number == number, visible(sight)))
    if found is None:
        raise NotFound(f"there is no incident {number}")
    if wished and not found:
        raise Invalid(f"{number} is no exercise, so what is about it is none")
    return found
