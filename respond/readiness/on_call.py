"""Who is asked about a proposal, and who next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from respond.notify import oncall


def people(session: Session, otherwise: Sequence[str], at: datetime) -> Sequence[str]:
    """Who is on the rota at a moment, in their order; while nobody is, `otherwise`."""
    return [shift.person for shift in oncall.on_call(session, at)] or otherwise


def ask(people: Sequence[str], passed_on: int) -> str:
    """The user to ask after `passed_on` who did not answer, round and round; '' (every SOC lead) when nobody is named."""
    return people[passed_on % len(people)] if people else ""
