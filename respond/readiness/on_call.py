"""Who is asked about a proposal, and who next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from respond.notify import oncall


def ask(session: Session, otherwise: Sequence[str], passed_on: int, at: datetime) -> str:
    """The user to ask after `passed_on` who did not answer, round and round: of the rota, else of `otherwise`; '': every SOC lead."""
    people = [shift.person for shift in oncall.on_call(session, at)] or otherwise
    return people[passed_on % len(people)] if people else ""
