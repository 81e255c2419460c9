"""Alerts of linked centres, taken once: what was accepted is durable in the database and goes on by itself (`respond.centres.relay`).

An alert is named by its centre and the id that one gave it. The same alert again changes nothing; another one under the same id is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core import metrics
from core.database import insert_into, now
from core.errors import BusFull, Conflict, Invalid
from respond.cases.canonical import canonical, instant_text, sha256
from respond.centres.models import CentreAlert, LinkedCentre

MOST_WAITING: Final = 10_000
"""Alerts that may wait for the bus; senders wait beyond."""

_AHEAD: Final = timedelta(days=1)
_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `rule` is what the centre calls what found it ('': it does not say); `entities` are columns of an event by name;
    `evidence` are lines, without personal numbers already.
    """

    external_id: str
    agency: str
    title: str
    level: str
    at: datetime
    rule: str
    tags: tuple[str, ...]
    entities: Mapping[str, Any]
    evidence: tuple[str, ...]

    def content(self) -> dict[str, Any]:
        """What is kept of it until it is on the bus."""
        return {
            "title": self.title,
            "level": self.level,
            "at": instant_text(self.at),
            "rule": self.rule,
            "tags": list(self.tags),
            "entities": dict(self.entities),
            "evidence": list(self.evidence),
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: `accepted` alerts are durable now, `known` ones were before."""

    accepted: int
    known: int


def accept(session: Session, centre: str, alerts: Sequence[Alert]) -> Receipt:
    """Take a batch of a centre (its number), whole or not at all; durable when the session ends. The caller checked the agencies.

    Conflict: another alert has this id. Invalid: a time in the future. BusFull: too many wait.
    """
    at = now(session)
    hashes: dict[str, str] = {}
    wanted: dict[str, Alert] = {}
    for alert in alerts:
        if alert.at > at + _AHEAD:
            raise Invalid(f"the alert {alert.external_id} is of {instant_text(alert.at)}, which is in the future")
        content = sha256(canonical({"agency": alert.agency, **alert.content()}))
        if hashes.setdefault(alert.external_id, content) != content:
            raise Conflict(f"two alerts of this batch have the id {alert.external_id}")
        wanted[alert.external_id] = alert
    known = _known(session, centre, list(wanted))
    if changed := sorted(name for name, content in known.items() if hashes[name] != content):
        raise Conflict(f"the id {changed[0]} was given to another alert before: ids are given once")
    rows = [_row(centre, alert, hashes[name], at) for name, alert in wanted.items() if name not in known]
    taken = _insert(session, rows)
    name = session.scalar(sa.select(LinkedCentre.name).where(LinkedCentre.number == centre))
    metrics.ALERTS_RECEIVED.labels(name or centre).inc(taken)
    return Receipt(taken, len(alerts) - taken)


def _known(session: Session, centre: str, names: Sequence[str]) -> dict[str, str]:
    query = sa.select(CentreAlert.external_id, CentreAlert.sha256).where(CentreAlert.centre == centre, CentreAlert.external_id.in_(names))
    return {row.external_id: row.sha256 for row in session.execute(query)}


def _insert(session: Session, rows: Sequence[dict[str, Any]]) -> int:
    """Write what nobody else has written meanwhile; gives how many rows that were."""
    if not rows:
        return 0
    waiting = session.scalar(sa.select(sa.func.count()).select_from(CentreAlert).where(CentreAlert.sent_at.is_(None))) or 0
    if waiting + len(rows) > MOST_WAITING:
        raise BusFull(f"{waiting} alerts wait to go on: send these again", _RETRY_SECONDS)
    insert = insert_into(session, CentreAlert).values(list(rows)).on_conflict_do_nothing(index_elements=["centre", "external_id"])
    return len(session.scalars(insert.returning(CentreAlert.id)).all())


def _row(centre: str, alert: Alert, content_hash: str, at: datetime) -> dict[str, Any]:
    return {
        "centre": centre,
        "external_id": alert.external_id,
        "agency": alert.agency,
        "sha256": content_hash,
        "content": alert.content(),
        "received_at": at,
        "position": None,
        "sent_at": None,
    }
