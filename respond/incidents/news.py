"""News of incidents. A restricted one makes none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from respond import outbox
from respond.cases import records
from respond.incidents.machine import MACHINE
from respond.models import Incident


def tell(session: Session, incident: Incident, action: str, data: Mapping[str, Any] | None = None) -> None:
    """Put `incident.<action>` into the outbox, with the incident's title and `data`."""
    if incident.restricted:
        return
    outbox.tell(
        session,
        f"incident.{action}",
        records.named(MACHINE, incident.number),
        agency=incident.agency,
        severity=incident.severity,
        exercise=incident.exercise,
        data={"title": incident.title, **(data or {})},
    )
