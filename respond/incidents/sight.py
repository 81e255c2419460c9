"""Which incidents somebody sees. Every query of incidents for a person or a machine is limited by `visible`.

- Incidents of `_unknown`, the agency of sources nobody has claimed, are seen only by who sees the whole city.
- A privacy officer sees those of the own agency that are marked as concerning personal data.
- A restricted incident exists only for its members [ours, for the confidentiality of DSO 10]; for everybody else there is no such number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from core.events import UNKNOWN_AGENCY
from core.permissions import Agencies
from respond.incidents.models import IncidentPerson, Part
from respond.models import Incident


@dataclass(frozen=True, slots=True)
class Sight:
    """The agencies whose incidents are seen, as whom (an actor; '' is member of nothing), and whether only those about personal data."""

    agencies: Agencies
    member: str = ""
    only_personal: bool = False


WHOLE_CITY: Final = Sight(None)


def visible(sight: Sight) -> sa.ColumnElement[bool]:
    """That an incident is seen by `sight`, for a query."""
    open_to_all = Incident.restricted.is_(False)
    if not sight.member:
        return sa.and_(within(sight), open_to_all)
    member = sa.select(IncidentPerson.incident_id).where(IncidentPerson.part == Part.MEMBER.value, IncidentPerson.person == sight.member)
    return sa.and_(within(sight), sa.or_(open_to_all, Incident.id.in_(member)))


def within(sight: Sight) -> sa.ColumnElement[bool]:
    """That an incident would be seen by `sight` if it were not restricted."""
    limits = []
    if sight.agencies is not None:
        limits.append(Incident.agency.in_(sight.agencies - {UNKNOWN_AGENCY}))
    if sight.only_personal:
        limits.append(Incident.personal_data.is_(True))
    return sa.and_(sa.true(), *limits)
