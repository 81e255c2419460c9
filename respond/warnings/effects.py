"""What the level of a warning does to rules and the rota, kept in `core.level_effects` for the parts that act by it.

A warning has a row while it is in force or will be: from its start until its end, never for an exercise. The row is written in the
transaction of the step; `renew`, done by the clock, makes the rows what they should be from the warnings and the levels file in use, so
that a changed file, a restart or a step taken before an upgrade leave nothing behind.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, now
from core.level_effects import CALM, LevelEffect
from respond.cases import records
from respond.warnings.levels import Effects, Levels, Which
from respond.warnings.machine import MACHINE
from respond.warnings.models import Warning  # noqa: A004 - the ordinance's word

_LOCK: Final = "level_effects"
_COLUMNS: Final = ("level", "rank", "reached", "agencies", "starts_at", "ends_at", "rules")


def put(session: Session, warning: Warning, levels: Levels) -> None:
    """Write the effects of a warning down as it stands now."""
    if not warning.exercise:
        exclusive(session, _LOCK)
        session.merge(_row(warning, levels))
        session.flush()


def end(session: Session, warning: Warning) -> None:
    """A warning that has ended has no effects."""
    exclusive(session, _LOCK)
    session.execute(sa.delete(LevelEffect).where(LevelEffect.source == records.named(MACHINE, warning.number)))


def renew(session: Session, levels: Levels) -> bool:
    """Make every row what it should be; doing it again changes nothing. Gives whether something was changed."""
    exclusive(session, _LOCK)
    at = now(session)
    lasting = sa.or_(Warning.ends_at.is_(None), Warning.ends_at > at)
    query = sa.select(Warning).where(Warning.exercise.is_(False), Warning.state.not_in(MACHINE.ended), lasting)
    wanted = {row.source: row for row in (_calm(levels), *(_row(one, levels) for one in session.scalars(query)))}
    known = {row.source: row for row in session.scalars(sa.select(LevelEffect))}
    changed = [row for source, row in wanted.items() if source not in known or _said(row) != _said(known[source])]
    for row in changed:
        session.merge(row)
    gone = [row for source, row in known.items() if source not in wanted]
    for row in gone:
        session.delete(row)
    session.flush()
    return bool(changed or gone)


def _row(warning: Warning, levels: Levels) -> LevelEffect:
    rank = levels.rank(warning.level)
    return LevelEffect(
        source=records.named(MACHINE, warning.number),
        level=warning.level,
        rank=rank,
        reached=[one.id for one in levels.levels[: rank + 1]],
        agencies=sorted(warning.agencies),
        starts_at=warning.starts_at,
        ends_at=warning.ends_at,
        rules=_plain(levels, levels.find(warning.level).effects),
    )


def _calm(levels: Levels) -> LevelEffect:
    calmest = levels.levels[0]
    rules = _plain(levels, calmest.effects)
    return LevelEffect(source=CALM, level=calmest.id, rank=0, reached=[calmest.id], agencies=[], starts_at=None, ends_at=None, rules=rules)


def _said(row: LevelEffect) -> list[object]:
    return [getattr(row, name) for name in _COLUMNS]


def _plain(levels: Levels, effects: Effects) -> dict[str, Any]:
    """The effects on rules as `core.level_effects.Effect` reads them."""
    return {
        "off": [[one.id, _which(one)] for one in levels.rule_sets if one.id not in effects.rule_sets],
        "factor": effects.threshold_factor,
        "thresholds": [{"of": _which(one), "factor": one.factor, "condition": one.condition} for one in effects.thresholds],
        "raised": [{"of": _which(one), "level": one.level} for one in effects.raised],
    }


def _which(chosen: Which) -> dict[str, list[str]]:
    return {name: list(getattr(chosen, name)) for name in ("rules", "tags", "status", "folders")}
