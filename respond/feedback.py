"""What incidents say of a rule: how many it opened, how many were true or false alarms, and what a silence of the false ones would be.

An incident counts where it stands now and by when it was opened; exercises, restricted ones and those absorbed by others do not count.
Scope is in the query.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.permissions import Agencies
from respond.incidents.machine import State
from respond.incidents.sight import Sight, visible
from respond.models import Incident, IncidentEntity

_TRUE: Final = frozenset({State.CONFIRMED, State.CONTAINED, State.ERADICATED, State.RECOVERING, State.CLOSED})
_COLUMN: Final = {"user": "user", "device": "device"}


@dataclass(frozen=True, slots=True)
class Figures:
    """A rule's incidents at one agency."""

    agency: str
    incidents: int
    true_positives: int
    false_positives: int

    @property
    def precision(self) -> float | None:
        """The share of true ones of those that were judged; None when none was."""
        judged = self.true_positives + self.false_positives
        return self.true_positives / judged if judged else None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The entity most often taken for false, as a silence would name it, and in how many of the false alarms it was."""

    agency: str
    column: str
    value: str
    false_positives: int


def figures(session: Session, scope: Agencies, rule_id: str, since: datetime) -> list[Figures]:
    """By agency, those with incidents of the rule opened since."""
    grouped = sa.select(Incident.agency, Incident.state, sa.func.count()).where(*_of_rule(scope, rule_id, since))
    by_agency: dict[str, Counter[State]] = defaultdict(Counter)
    for agency, state, count in session.execute(grouped.group_by(Incident.agency, Incident.state)):
        by_agency[agency][state] += count
    return [_figures(agency, states) for agency, states in sorted(by_agency.items())]


def of_every_rule(session: Session, scope: Agencies, since: datetime) -> dict[str, Figures]:
    """The figures of each rule with incidents opened since, by its id, over all agencies of the scope (`agency` is '')."""
    named = sa.cast(Incident.rule_ids, sa.Text)
    grouped = sa.select(named, Incident.state, sa.func.count()).where(*_counted(scope, since)).group_by(named, Incident.state)
    by_rule: dict[str, Counter[State]] = defaultdict(Counter)
    for rules, state, count in session.execute(grouped):
        for rule_id in json.loads(rules):
            by_rule[rule_id][state] += count
    return {rule_id: _figures("", states) for rule_id, states in by_rule.items()}


def suggestion(session: Session, scope: Agencies, rule_id: str, since: datetime) -> Suggestion | None:
    """What to silence; None when nothing was taken for false since."""
    false = (*_of_rule(scope, rule_id, since), Incident.state == State.FALSE_POSITIVE)
    key = (Incident.agency, Incident.entity_kind, Incident.entity_value)
    count = sa.func.count()
    found = session.execute(
        sa.select(*key, count).where(*false, Incident.entity_value != "").group_by(*key).order_by(count.desc(), *key).limit(1)
    ).one_or_none()
    if found is None:
        return None
    agency, kind, value, times = found
    if kind == "ip":
        roles: Sequence[str] = session.scalars(
            sa.select(IncidentEntity.role)
            .join(Incident)
            .where(*false, Incident.agency == agency, IncidentEntity.kind == "ip", IncidentEntity.value == value)
        ).all()
        return Suggestion(agency, "src_ip" if "source" in roles else "dst_ip", value, times)
    return Suggestion(agency, _COLUMN[kind], value, times)


def recent(session: Session, sight: Sight, rule_id: str, limit: int, *, before: int | None = None) -> Sequence[Incident]:
    """The incidents of the rule, newest first, exercises too; `before` is the row id of the last one already seen."""
    query = sa.select(Incident).where(visible(sight), _named(rule_id), Incident.merged_into_id.is_(None))
    if before is not None:
        query = query.where(Incident.id < before)
    return session.scalars(query.order_by(Incident.id.desc()).limit(limit)).all()


def _of_rule(scope: Agencies, rule_id: str, since: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (_named(rule_id), *_counted(scope, since))


def _named(rule_id: str) -> sa.ColumnElement[bool]:
    # The list of rules is JSON text on both engines when cast; an id in quotes is found whole.
    return sa.cast(Incident.rule_ids, sa.Text).contains(f'"{rule_id}"', autoescape=True)


def _counted(scope: Agencies, since: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (visible(Sight(scope)), Incident.opened_at >= since, Incident.merged_into_id.is_(None), Incident.exercise.is_(False))


def _figures(agency: str, states: Counter[State]) -> Figures:
    return Figures(agency, states.total(), sum(states[state] for state in _TRUE), states[State.FALSE_POSITIVE])
