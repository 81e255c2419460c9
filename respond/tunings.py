"""What people change about a rule at an agency: on or off, level, thresholds, suppression. Each with who answers for it and why.

There is one row for a rule and an agency ('' is every agency that has no row of its own); what it was before is in the audit trail, where
every change leaves a row. Calls take the caller's scope; rows for every agency are seen by all, since they hold everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive, now
from core.errors import Forbidden, Invalid, NotFound
from core.rule_records import EVERY_AGENCY, RELATIONS, RuleTuning, suppression
from core.versions import ABSENT, check_seen
from respond import audit
from respond.grouping import LEVELS

Scope = frozenset[str] | None

LONGEST_REASON: Final = 4000
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Tuning:
    """A rule at an agency. `level` '' and None leave what the rule says; `condition` is a correlation's, such as {"gte": 20}."""

    rule_id: str
    agency: str
    enabled: bool
    level: str
    condition: Mapping[str, float] | None
    suppress: Mapping[str, Any] | None
    owner: str
    reason: str
    at: datetime
    version: int = ABSENT


def put(session: Session, scope: Scope, actor: str, wish: Tuning, *, seen: int | None = None) -> Tuning:
    """Set how the rule is at the agency, in place of what was set before; `wish.at` and `wish.version` are not looked at.

    Invalid: what is wrong with it. Stale: what is set is not of the version `seen`, ABSENT where nothing was; None replaces whatever is.
    """
    _check(wish)
    _within(scope, wish.agency)
    exclusive(session, "tunings")
    row = session.get(RuleTuning, (wish.rule_id, wish.agency))
    check_seen(_named(wish.rule_id, wish.agency), row.version if row else ABSENT, seen)
    before = _changed(row) if row else None
    if row is None:
        if (session.scalar(sa.select(sa.func.count()).select_from(RuleTuning)) or 0) >= _MOST:
            raise Invalid(f"there are {_MOST} tunings already: change the rules instead")
        row = RuleTuning(rule_id=wish.rule_id, agency=wish.agency, version=ABSENT)
        session.add(row)
    row.version += 1
    row.enabled, row.level = wish.enabled, wish.level
    row.condition = dict(wish.condition) if wish.condition else None
    row.suppress = suppression(wish.suppress).plain if wish.suppress else None
    row.owner, row.reason, row.at = wish.owner.strip(), wish.reason.strip(), now(session)
    session.flush()
    detail = {"agency": row.agency, "before": before, "after": _changed(row), "owner": row.owner, "reason": row.reason}
    audit.record(session, actor, "rule.tuned", _object(wish.rule_id), detail)
    return _tuning(row)


def drop(session: Session, scope: Scope, actor: str, rule_id: str, agency: str, *, seen: int | None = None) -> None:
    """The rule is again at the agency as it is written. NotFound when nothing was changed about it; Stale as for `put`."""
    _within(scope, agency)
    row = session.get(RuleTuning, (rule_id, agency), with_for_update=True)
    if row is None:
        raise NotFound(f"nothing is changed about the rule {rule_id} at {agency or 'every agency'}")
    check_seen(_named(rule_id, agency), row.version, seen)
    before = _changed(row)
    session.delete(row)
    session.flush()
    audit.record(session, actor, "rule.tuning_dropped", _object(rule_id), {"agency": agency, "before": before})


def find(session: Session, scope: Scope, rule_id: str, agency: str) -> Tuning:
    """What is changed about the rule at the agency. NotFound when nothing is, or not within `scope`."""
    row = session.get(RuleTuning, (rule_id, agency))
    if row is None or not (scope is None or agency in scope or agency == EVERY_AGENCY):
        raise NotFound(f"nothing is changed about the rule {rule_id} at {agency or 'every agency'}")
    return _tuning(row)


def page(session: Session, scope: Scope, *, after: tuple[str, str] | None, limit: int) -> list[Tuning]:
    """What is changed, by rule and agency, at most `limit` after that rule and agency."""
    query = _within_reach(scope).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(RuleTuning.rule_id, RuleTuning.agency) > after)
    return [_tuning(row) for row in session.scalars(query)]


def listed(session: Session, scope: Scope, rule_id: str = "") -> list[Tuning]:
    """What is changed, by rule and agency; of one rule when it is named."""
    query = _within_reach(scope)
    if rule_id:
        query = query.where(RuleTuning.rule_id == rule_id)
    return [_tuning(row) for row in session.scalars(query)]


def _within_reach(scope: Scope) -> sa.Select[RuleTuning]:
    query = sa.select(RuleTuning).order_by(RuleTuning.rule_id, RuleTuning.agency)
    return query if scope is None else query.where(RuleTuning.agency.in_(scope | {EVERY_AGENCY}))


def _check(wish: Tuning) -> None:
    if not wish.reason.strip() or not wish.owner.strip():
        raise Invalid("a change of a rule needs a reason and an owner, who answers for it")
    if len(wish.reason) > LONGEST_REASON:
        raise Invalid(f"a reason has at most {LONGEST_REASON} characters")
    if wish.level and wish.level not in LEVELS:
        raise Invalid(f"a level is one of {', '.join(LEVELS)}")
    if wish.condition is not None:
        if not wish.condition or not set(wish.condition) <= set(RELATIONS):
            raise Invalid(f"a condition has one or more of {', '.join(RELATIONS)}, such as {{'gte': 20}}")
        if not all(isfinite(value) for value in wish.condition.values()):
            raise Invalid("a condition's values are numbers")
    if wish.suppress is not None:
        try:
            suppression(wish.suppress)
        except ValueError as error:
            raise Invalid(str(error)) from error


def _within(scope: Scope, agency: str) -> None:
    if scope is not None and agency not in scope:
        raise Forbidden("you may change rules at your own agency only: name it")


def _named(rule_id: str, agency: str) -> str:
    return f"what is changed about the rule {rule_id} at {agency or 'every agency'}"


def _object(rule_id: str) -> str:
    return f"rule/{rule_id}"[: audit.LONGEST_OBJECT]


def _changed(row: RuleTuning) -> dict[str, Any]:
    return {"enabled": row.enabled, "level": row.level, "condition": row.condition, "suppress": row.suppress}


def _tuning(row: RuleTuning) -> Tuning:
    return Tuning(row.rule_id, row.agency, row.enabled, row.level, row.condition, row.suppress, row.owner, row.reason, row.at, row.version)
