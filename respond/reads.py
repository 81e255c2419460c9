"""Reads of restricted and personal data in the audit trail: who read what of which case, once an hour [ours].

Opening the same thing again within the hour adds nothing to know and would bury the rest: of rows alike in all but time, the first of each
hour (UTC) is written. What leaves as a package or a bundle of evidence is written each time, in the transaction that gives it.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import Database, now
from respond import audit
from respond.audit import Change
from respond.models import Audit


def of(actor: str, name: str, agency: str, what: str) -> Change:
    """That `actor` reads `what` of the case `name` (such as `report/RPT-2026-000001`), which is of `agency`."""
    return Change(actor, f"{name.partition('/')[0]}.read", name, {"agency": agency, "what": what})


def once(database: Database, reads: Sequence[Change]) -> None:
    """Write reads down, but those that were in this hour; in a transaction of its own, that only reads where nothing is to be written."""
    if not reads:
        return
    with database.session(readonly=True) as session:
        new = [one for one in reads if not _written(session, one)]
    if new:
        with database.session() as session:
            audit.record_all(session, new)


def _written(session: Session, read: Change) -> bool:
    hour = now(session).replace(minute=0, second=0, microsecond=0)
    alike = (Audit.object == read.object, Audit.actor == read.actor, Audit.action == read.action, Audit.at >= hour)
    return audit.canonical(read.detail) in set(session.scalars(sa.select(Audit.detail).where(*alike)))
