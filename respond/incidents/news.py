"""News of incidents. A restricted one makes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from respond import outbox
from respond.cases import records
from respond.incidents.machine import MACHINE
from respond.models import Incident
from respond.outbox import News


def tell(session: Session, incidents: Sequence[Incident], action: str, data: Mapping[str, Any] | None = None) -> None:
    """Put `incident.<action>` into the outbox for each, with the incident's title and `data`."""
    outbox.tell_all(
        session,
        [
            News(
                f"incident.{action}",
                records.named(MACHINE, one.number),
                one.agency,
                one.severity,
                one.exercise,
                {"title": one.title, **(data or {})},
            )
            for one in incidents
            if not one.restricted
        ],
    )
