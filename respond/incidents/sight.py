"""Which incidents somebody sees. Every query of incidents for a person or a machine is limited by `visible`.

- Incidents of `_unknown`, the agency of sources nobody has claimed, are seen only by who sees the whole city.
- A privacy officer sees those of the own agency that are marked as concerning personal data.
- A restricted incident exists only for its members [ours, for the confidentiality of DSO 10]; for everybody else there is no such number.
- So does whatever is about it: cases, their parts, news and rows of the trail are limited by `open_to`, which `respond.cases.records` lays
  on every kind of case that says which incident it is about (`CaseColumns.incident_name`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import aliased

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
_CENTRE: Final = "system:"
_Restricted = aliased(Incident)


def visible(sight: Sight) -> sa.ColumnElement[bool]:
    """That an incident is seen by `sight`, for a query."""
    open_to_all = Incident.restricted.is_(False)
    if not sight.member:
        return sa.and_(within(sight), open_to_all)
    member = sa.select(IncidentPerson.incident_id).where(IncidentPerson.part == Part.MEMBER.value, IncidentPerson.person == sight.member)
    return sa.and_(within(sight), sa.or_(open_to_all, Incident.id.in_(member)))


def sees(sight: Sight, agency: str, members: Collection[str], *, restricted: bool, personal_data: bool) -> bool:
    """Whether `visible` holds for an incident that was read already; `members` may see it while it is restricted."""
    if sight.agencies is not None and agency not in sight.agencies - {UNKNOWN_AGENCY}:
        return False
    if sight.only_personal and not personal_data:
        return False
    return not restricted or (sight.member != "" and sight.member in members)


def closed(reader: str) -> sa.Select[str]:
    """The numbers of the restricted incidents `reader` (an actor; '' is nobody) is no member of."""
    member = sa.select(IncidentPerson.incident_id).where(IncidentPerson.part == Part.MEMBER.value, IncidentPerson.person == reader)
    return sa.select(_Restricted.number).where(_Restricted.restricted.is_(True), _Restricted.id.not_in(member))


def closed_by(name: sa.ColumnElement[str], reader: str) -> sa.ColumnElement[bool]:
    """That `name`, with `incident/` or without, names an incident that is closed to `reader`."""
    return sa.func.replace(sa.func.coalesce(name, ""), "incident/", "").in_(closed(reader))


def open_to(name: sa.ColumnElement[str], reader: str) -> sa.ColumnElement[bool]:
    """That `name` names no incident that is closed to `reader`. The centre itself (`system:...`) works on every one."""
    return sa.true() if reader.startswith(_CENTRE) else ~closed_by(name, reader)


def within(sight: Sight) -> sa.ColumnElement[bool]:
    """That an incident would be seen by `sight` if it were not restricted."""
    limits = []
    if sight.agencies is not None:
        limits.append(Incident.agency.in_(sight.agencies - {UNKNOWN_AGENCY}))
    if sight.only_personal:
        limits.append(Incident.personal_data.is_(True))
    return sa.and_(sa.true(), *limits)
