"""The intake ledger of a centre: what it needs of the detector and the audit trail, which know nothing of it, and how it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from core.permissions import Agencies
from detect.hunt.ledger import covered
from ingest.ledger.chain import ACTOR, ANCHOR, OBJECT
from ingest.ledger.checking import closed_until
from ingest.ledger.closing import latest
from ingest.ledger.counting import Means
from ingest.ledger.models import LedgerCheck, LedgerEntry
from respond.audit import record
from respond.models import Audit

LOOKED_BACK: Final = timedelta(days=7)
MOST_NAMED: Final = 20


def anchors(session: Session) -> Iterator[tuple[int, str]]:
    """Number and hash of each entry the audit trail tells of, in order."""
    told = sa.select(Audit.detail).where(Audit.object == OBJECT, Audit.action == ANCHOR, Audit.actor == ACTOR).order_by(Audit.seq)
    for text in session.scalars(told):
        said = json.loads(text)
        yield said["seq"], said["head"]


MEANS: Final = Means(covered, record, anchors)


class Difference(BaseModel):
    """An hour of a source whose numbers do not agree."""

    model_config = ConfigDict(from_attributes=True)

    hour: datetime
    agency: str
    source: str
    exercise: bool
    received: int
    stored: int
    quarantined: int
    evaluated: int


class Numbers(BaseModel):
    """Lines."""

    received: int
    stored: int
    quarantined: int
    evaluated: int


class Discrepancy(BaseModel):
    """Something wrong. `what`: chain, differs, changed, open, gone or offsets; `said` is what the entry says, `found` what there is now."""

    what: str
    detail: str
    hour: datetime | None
    agency: str
    source: str
    exercise: bool
    said: Numbers | None
    found: Numbers | None


class LedgerStanding(BaseModel):
    """How the ledger stands, within a scope."""

    closed_until: datetime | None = Field(description="The end of the last hour that was entered; null: none was yet")
    holds: bool | None = Field(description="No hour of the last seven days differs and no check found anything; null: nothing is known")
    differences: int = Field(description="Hours of a source in the last seven days whose numbers do not agree")
    named: list[Difference] = Field(description="The newest of them, at most twenty")
    checked_at: datetime | None = Field(description="When all was last counted again")
    problems: int = Field(description="What the last checks found besides: a broken chain, numbers that are others now")
    told: list[Discrepancy] = Field(description="What these are, at most twenty; of other agencies nothing is said")


def standing(session: Session, scope: Agencies, now: datetime) -> LedgerStanding:
    """How the ledger stands for who may see the agencies of `scope`."""
    conditions = [LedgerEntry.holds.is_(False), LedgerEntry.hour >= now - LOOKED_BACK]
    if scope is not None:
        conditions.append(LedgerEntry.agency.in_(scope))
    differing = sorted(latest(session, *conditions).values(), key=lambda entry: entry.seq, reverse=True)
    checks = session.scalars(sa.select(LedgerCheck).order_by(LedgerCheck.at)).all()
    problems = _problems(checks, scope)
    until = closed_until(session)
    return LedgerStanding(
        closed_until=until,
        holds=None if until is None and not checks else not differing and not problems,
        differences=len(differing),
        named=[Difference.model_validate(entry) for entry in differing[:MOST_NAMED]],
        checked_at=max((check.at for check in checks), default=None),
        problems=len(problems),
        told=problems[:MOST_NAMED],
    )


def _problems(checks: Sequence[LedgerCheck], scope: Agencies) -> list[Discrepancy]:
    """What the newest check found; what an older check of all found stays until all is checked again.

    Hours that an entry itself says differ are told of by their entries.
    """
    found: dict[str, Discrepancy] = {}
    for check in reversed(checks):
        for one in check.report["problems"]:
            if one["what"] != "differs" and (scope is None or not one["agency"] or one["agency"] in scope):
                found.setdefault(json.dumps(one, sort_keys=True), Discrepancy.model_validate(one))
    return list(found.values())
