"""Judging incidents by the rules of readiness. Pure: the same facts, policy and time give the same answer.

Severity counts as LEVELS of `respond.grouping`, importance as IMPORTANCES of the policy; what has none of either is below every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from respond.grouping import LEVELS
from respond.readiness.policy import IMPORTANCES, Readiness, Rule, StandDown


@dataclass(frozen=True, slots=True)
class Fact:
    """An incident as the rules see it. `importance` is that of the most important system its lines name, '' when unknown."""

    number: str
    agency: str
    severity: str
    importance: str
    opened_at: datetime

    def shown(self) -> dict[str, Any]:
        """The fact as evidence, in JSON."""
        told = {"number": self.number, "agency": self.agency, "severity": self.severity, "importance": self.importance}
        return told | {"opened_at": self.opened_at.isoformat()}


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that holds, and the incidents it holds by, oldest first."""

    rule: Rule
    facts: Sequence[Fact]


def highest(policy: Readiness, facts: Sequence[Fact], at: datetime) -> Held | None:
    """Of the rules that hold at `at` the one that proposes the highest level, the first of them in the file; None when none holds."""
    held = [Held(rule, found) for rule in policy.escalate if (found := _holding(rule, facts, at))]
    return max(held, key=lambda one: policy.rank(one.rule.level), default=None)


def is_quiet(wanted: StandDown, facts: Sequence[Fact], since: datetime, at: datetime) -> bool:
    """Whether from `since` on, and for the time asked for, no incident of that severity was opened."""
    start = at - timedelta(minutes=wanted.quiet_minutes)
    return since <= start and not any(fact.opened_at > start and _grave(fact, wanted.severity) for fact in facts)


def _holding(rule: Rule, facts: Sequence[Fact], at: datetime) -> list[Fact]:
    start = at - timedelta(minutes=rule.within_minutes)
    found = [fact for fact in facts if start < fact.opened_at <= at and _grave(fact, rule.severity) and _important(fact, rule.importance)]
    enough = len(found) >= rule.incidents and len({fact.agency for fact in found}) >= rule.agencies
    return sorted(found, key=lambda fact: (fact.opened_at, fact.number)) if enough else []


def _grave(fact: Fact, least: str) -> bool:
    return _place(LEVELS, fact.severity) >= LEVELS.index(least)


def _important(fact: Fact, least: str) -> bool:
    return not least or _place(IMPORTANCES, fact.importance) >= IMPORTANCES.index(least)


def _place(order: Sequence[str], word: str) -> int:
    return order.index(word) if word in order else -1
