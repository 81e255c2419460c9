"""Which level is in force, and which was when.

A warning counts from its start to its end, whether or not agencies were told yet; of several the gravest counts. Exercises never count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from core.permissions import Agencies
from respond.warnings.levels import Levels
from respond.warnings.models import Warning  # noqa: A004 - the ordinance's word
from respond.warnings.service import readable

MOST = 1000
"""Warnings the history of levels looks back over, the newest."""


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on the level is that of `warning`; None: no warning was in force."""

    at: datetime
    warning: Warning | None


def current(session: Session, scope: Agencies, levels: Levels) -> Warning | None:
    """The warning in force within a scope, the gravest and of those the newest; None when there is none."""
    at = now(session)
    over = sa.or_(Warning.ends_at <= at, Warning.ended_at <= at)
    begun = (Warning.exercise.is_(False), Warning.starts_at <= at, sa.func.coalesce(over, sa.false()).is_(False))
    found = session.scalars(sa.select(Warning).where(*begun, readable(scope)).order_by(Warning.id)).all()
    return _gravest(found, levels)


def history(session: Session, scope: Agencies, levels: Levels) -> Sequence[Change]:
    """How the level changed until now, the newest change first."""
    at = now(session)
    query = sa.select(Warning).where(Warning.exercise.is_(False), Warning.starts_at <= at, readable(scope))
    found = session.scalars(query.order_by(Warning.id.desc()).limit(MOST)).all()
    return timeline(found[::-1], levels, at)[::-1]


def timeline(warnings: Sequence[Warning], levels: Levels, until: datetime) -> list[Change]:
    """The changes of the level in force up to `until`, oldest first; `warnings` in the order they were recorded."""
    edges = {one.starts_at for one in warnings} | {end for one in warnings if (end := _end(one)) is not None}
    changes: list[Change] = []
    for at in sorted(edge for edge in edges if edge <= until):
        found = _gravest([one for one in warnings if one.starts_at <= at and not _over(one, at)], levels)
        if found is not (changes[-1].warning if changes else None):
            changes.append(Change(at, found))
    return changes


def _gravest(warnings: Sequence[Warning], levels: Levels) -> Warning | None:
    return max(warnings, key=lambda one: (levels.rank(one.level), one.id), default=None)


def _end(warning: Warning) -> datetime | None:
    return min((end for end in (warning.ends_at, warning.ended_at) if end is not None), default=None)


def _over(warning: Warning, at: datetime) -> bool:
    end = _end(warning)
    return end is not None and end <= at
