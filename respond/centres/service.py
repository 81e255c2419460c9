"""The register of linked centres: writing one down, letting it in, suspending and ending it.

Ending a centre ends its delegations with it: the agencies it watched are watched by nobody until somebody else is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid
from respond import outbox
from respond.cases import records
from respond.centres import delegations, links
from respond.centres.links import Link
from respond.centres.machine import ACTIVE, MACHINE
from respond.centres.models import LinkedCentre


@dataclass(frozen=True, slots=True)
class About:
    """What people call a centre, and who answers there."""

    name_ko: str
    name_en: str
    contact: str


def register(session: Session, actor: str, known: Collection[str], agency: str, name: str, about: About) -> LinkedCentre:
    """Write a centre down; it is let in when it is activated. Invalid without a known agency, Conflict when the name is taken."""
    if agency not in known:
        raise Invalid(f"there is no agency {agency!r}: a linked centre is operated by an agency")
    if number := session.scalar(sa.select(LinkedCentre.number).where(LinkedCentre.name == name)):
        raise Conflict(f"{number} is called {name!r} already, and names are not given twice")
    row = LinkedCentre(agency=agency, exercise=False, name=name, link="", linked_since=None, last_seen_at=None, **asdict(about))
    return records.open_case(session, MACHINE, row, actor, {"name": name, "agency": agency})


def take(session: Session, actor: str, number: str, action: str, if_version: int, reason: str = "") -> LinkedCentre:
    """Take any step but `edit`."""
    if action == "end":
        delegations.hold(session)
    step = records.begin(session, MACHINE, LinkedCentre, None, number, action, actor=actor, if_version=if_version, reason=reason)
    was_active = step.case.state == ACTIVE
    case = step.done({})
    if action in ("activate", "resume"):
        case.linked_since, case.link = step.at, ""
    elif was_active:
        links.change(session, case, Link.OFF, step.at)
    ended = delegations.end_all_of(session, actor, number, f"{number} has ended: {step.reason}") if action == "end" else 0
    session.flush()
    told = {"title": case.name, **({"delegations_ended": ended} if ended else {})}
    outbox.tell(session, f"centre.{action}", records.named(MACHINE, number), agency=case.agency, data=told)
    return case


def edit(session: Session, actor: str, number: str, if_version: int, about: About) -> LinkedCentre:
    """Correct what is said of a centre; whose it is and its short name stay."""
    step = records.begin(session, MACHINE, LinkedCentre, None, number, "edit", actor=actor, if_version=if_version)
    for name, value in asdict(about).items():
        setattr(step.case, name, value)
    return step.done({})
