"""What a case is to be about, where its `about` is a name that somebody gives."""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFound
from respond.incidents.sight import Sight, visible
from respond.models import Incident

_INCIDENT: Final = re.compile(r"(?:incident/)?(INC-\d{4}-\d{6,12})", re.IGNORECASE)


def incident_named(session: Session, actor: str, about: str) -> Incident | None:
    """The incident that `about` names; None when it names something else. NotFound when there is none that `actor` may know of.

    So a case about a restricted incident is opened by its members alone; for others it is as if the incident were not there.
    """
    named = _INCIDENT.fullmatch(about.strip())
    if named is None:
        return None
    found = session.scalar(sa.select(Incident).where(Incident.number == named[1].upper(), visible(Sight(None, actor))))
    if found is None:
        raise NotFound(f"there is no incident {named[1]}")
    return found
