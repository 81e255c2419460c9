"""The restricted compartment: an incident that exists only for its members [ours, for the confidentiality of DSO 10].

Nothing of it is shared or told as news. Who reads it is written to the trail, and so is every search that meets a restricted incident,
seen by whoever searched or not: of what was searched for only the hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Invalid
from respond import audit
from respond.cases.records import Taken
from respond.incidents.models import IncidentPerson, Part
from respond.models import Incident

MOST_MEMBERS: Final = 100


def restrict(step: Taken[Incident], members: Sequence[str]) -> dict[str, Any]:
    """Limit an incident to `members` and who does it; done again, these are the members from then on."""
    named = {*members, step.actor}
    if len(named) > MOST_MEMBERS:
        raise Invalid(f"a compartment has at most {MOST_MEMBERS} members")
    _forget_members(step)
    own = {"incident_id": step.case.id, "part": Part.MEMBER.value, "at": step.at, "added_by": step.actor}
    step.session.add_all(IncidentPerson(person=one, **own) for one in sorted(named))
    step.case.restricted = True
    return {"members": sorted(named)}


def unrestrict(step: Taken[Incident]) -> dict[str, Any]:
    """Open the compartment."""
    if not step.case.restricted:
        raise Invalid(f"{step.case.number} is not restricted")
    _forget_members(step)
    step.case.restricted = False
    return {}


def note_read(session: Session, actor: str, number: str, what: str) -> None:
    """Write down that `actor` read `what` of an incident."""
    audit.record(session, actor, "incident.read", f"incident/{number}", {"what": what})


def note_search(session: Session, actor: str, q: str, shown: Sequence[str], withheld: int) -> None:
    """Write down a search that met restricted incidents."""
    detail = {"query_sha256": hashlib.sha256(q.encode()).hexdigest(), "shown": sorted(shown), "withheld": withheld}
    audit.record(session, actor, "incident.search", "incidents", detail)


def _forget_members(step: Taken[Incident]) -> None:
    members = sa.and_(IncidentPerson.incident_id == step.case.id, IncidentPerson.part == Part.MEMBER.value)
    step.session.execute(sa.delete(IncidentPerson).where(members))
