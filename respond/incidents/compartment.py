"""The restricted compartment: an incident that exists only for its members [ours, for the confidentiality of DSO 10].

Nothing of it is shared or told as news. Who reads it is written to the trail, and so is every search that meets a restricted incident,
seen by whoever searched or not: of what was searched for only the hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid
from respond import audit
from respond.cases.records import Taken
from respond.incidents.models import IncidentPerson, Part
from respond.incidents.sight import closed
from respond.models import Incident

MOST_MEMBERS: Final = 100
_NUMBER: Final = re.compile(r"INC-[0-9]{4}-[0-9]{6,12}")


def restrict(step: Taken[Incident], members: Sequence[str]) -> dict[str, Any]:
    """Limit an incident to `members` and who does it; done again, these are the members from then on."""
    named = {*members, step.actor}
    if len(named) > MOST_MEMBERS:
        raise Invalid(f"a compartment has at most {MOST_MEMBERS} members")
    _set_members(step, sorted(named))
    return {"members": sorted(named)}


def unrestrict(step: Taken[Incident]) -> dict[str, Any]:
    """Open the compartment."""
    if not step.case.restricted:
        raise Invalid(f"{step.case.number} is not restricted")
    _set_members(step, ())
    return {}


def search(actor: str, q: str, shown: Sequence[str], withheld: int) -> audit.Change:
    """What the trail is told of a search that met restricted incidents."""
    detail = {"query_sha256": hashlib.sha256(q.encode()).hexdigest(), "shown": sorted(shown), "withheld": withheld}
    return audit.Change(actor, "incident.search", "incidents", detail)


def veiled(session: Session, reader: str, told: Any) -> Any:
    """`told` (a JSON value) with the numbers of incidents left out that are closed to `reader`, wherever they stand in its texts."""
    found = set(_NUMBER.findall(json.dumps(told, default=str)))
    if not found:
        return told
    hidden = set(session.scalars(sa.select(Incident.number).where(Incident.number.in_(found), Incident.number.in_(closed(reader)))))
    return _without(told, hidden) if hidden else told


def _without(told: Any, hidden: Collection[str]) -> Any:
    if isinstance(told, str):
        return _NUMBER.sub(lambda found: "" if found[0] in hidden else found[0], told)
    if isinstance(told, Mapping):
        return {name: _without(value, hidden) for name, value in told.items()}
    return [_without(value, hidden) for value in told] if isinstance(told, list | tuple) else told


def _set_members(step: Taken[Incident], members: Sequence[str]) -> None:
    """Close the incident to all but `members` (nobody: open it), and what it absorbed with it: that tells the same."""
    session, whole = step.session, sa.or_(Incident.id == step.case.id, Incident.merged_into_id == step.case.id)
    ids = session.scalars(sa.select(Incident.id).where(whole)).all()
    now_members = sa.and_(IncidentPerson.incident_id.in_(ids), IncidentPerson.part == Part.MEMBER.value)
    session.execute(sa.delete(IncidentPerson).where(now_members))
    own = {"part": Part.MEMBER.value, "at": step.at, "added_by": step.actor}
    session.add_all(IncidentPerson(incident_id=one, person=person, **own) for one in ids for person in members)
    session.execute(sa.update(Incident).where(Incident.merged_into_id == step.case.id).values(restricted=bool(members)))
    step.case.restricted = bool(members)
