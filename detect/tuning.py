"""What is changed about rules at agencies, as the detect stage applies it: on or off, level, and the thresholds of correlations.

Pure functions over columns, on what was read from the database last. A row for an agency goes before the row for every agency ('').
What people changed comes first; what the level of a warning does (`core.level_effects`) is laid over it by `laid_over`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core import level_effects
from core.database import Database
from core.level_effects import UNTOUCHED, Effect, Facts, Ruling, rulings
from core.rule_records import EVERY_AGENCY, RuleTuning
from detect.correlation.definition import Bound, Correlation, Kind
from detect.rules import Rule, RuleBook

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

LEVELS: Final = ("informational", "low", "medium", "high", "critical")
COUNTED: Final = frozenset({Kind.EVENT_COUNT, Kind.VALUE_COUNT, Kind.TEMPORAL, Kind.TEMPORAL_ORDERED})
"""Types of correlations whose number counts things."""
_FEWEST: Final = 2
_RELATIONS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "eq": "=", "neq": "!="}


@dataclass(frozen=True, slots=True)
class Change:
    """What is different about a rule at an agency. '' and () leave what the rule says."""

    enabled: bool = True
    level: str = ""
    bounds: tuple[Bound, ...] = ()


_NOTHING: Final = Change()
_NO_RULING: Final = (None, UNTOUCHED)


@dataclass(frozen=True)
class Tunings:
    """All changes, by rule id and agency."""

    changes: Mapping[tuple[str, str], Change] = field(default_factory=dict)

    @cached_property
    def _by_rule(self) -> Mapping[str, Mapping[str, Change]]:
        found: dict[str, dict[str, Change]] = {}
        for (rule_id, agency), change in self.changes.items():
            found.setdefault(rule_id, {})[agency] = change
        return found

    def of(self, rule_id: str, agency: str) -> Change:
        """What is different about the rule at the agency."""
        return self.changes.get((rule_id, agency)) or self.changes.get((rule_id, EVERY_AGENCY)) or _NOTHING

    def thresholds(self, correlation: Correlation, agency: str) -> tuple[Bound, ...]:
        """The bounds that hold for `correlation` at `agency`, in place of the rule's own where somebody set others."""
        return self.of(correlation.id, agency).bounds or correlation.bounds

    def applied(self, correlation: Correlation, agency: str) -> Correlation | None:
        """`correlation` as it is at `agency` ('' for one across agencies); None when it is off there."""
        change = self.of(correlation.id, agency)
        if not change.enabled:
            return None
        return replace(correlation, bounds=change.bounds or correlation.bounds, level=change.level or correlation.level)

    def widened(self, correlation: Correlation) -> Correlation:
        """`correlation` with the bounds of every agency beside its own: what all of them need is needed for it."""
        others = [bound for bounds in self.others(correlation) for bound in bounds]
        return replace(correlation, bounds=(*correlation.bounds, *others)) if others else correlation

    def others(self, correlation: Correlation) -> list[tuple[Bound, ...]]:
        """The bounds that agencies have in place of the correlation's own."""
        return [change.bounds for change in self._by_rule.get(correlation.id, {}).values() if change.bounds]

    def allowed(self, rule_ids: Sequence[str], rules: Ints, agencies: pa.ChunkedArray) -> Flags:
        """Which matches count: `rules` are places in `rule_ids`, `agencies` the agency of each match."""
        counts = np.ones(len(rules), bool)
        for (rule, here), change in self._pairs(rule_ids, rules, agencies):
            if not change.enabled:
                counts &= ~((rules == rule) & here)
        return counts

    def levels(self, rule_ids: Sequence[str], rules: Ints, agencies: pa.ChunkedArray, levels: pa.Array) -> pa.Array:
        """`levels` of the matches with what agencies changed laid over."""
        words: list[str] = []
        chosen = np.full(len(rules), -1, np.int64)
        for (rule, here), change in self._pairs(rule_ids, rules, agencies):
            if change.level:
                chosen[(rules == rule) & here] = len(words)
                words.append(change.level)
        if not words:
            return levels
        own = pa.concat_arrays([levels, pa.array(words, pa.string())])
        return own.take(pa.array(np.where(chosen < 0, np.arange(len(rules)), len(rules) + chosen)))

    def _pairs(self, rule_ids: Sequence[str], rules: Ints, agencies: pa.ChunkedArray) -> Iterator[tuple[tuple[int, Flags], Change]]:
        """The changes that concern a match, each with its rule's place and the rows of its agency; the one for every agency leaves out
        those that have one of their own."""
        if not self.changes:
            return
        there = {rule_ids[place]: int(place) for place in np.unique(rules)}
        coded = agencies.combine_chunks().dictionary_encode()
        codes, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
        for rule_id, place in there.items():
            changed = self._by_rule.get(rule_id, {})
            for agency, change in changed.items():
                if agency != EVERY_AGENCY:
                    of = [code for code, name in enumerate(names) if name == agency]
                else:
                    of = [code for code, name in enumerate(names) if name not in changed]
                if of:
                    yield (place, np.isin(codes, of)), change


class TuningReader:
    """Reads the changes for the rules of one process; what has not changed since the last time is the same object."""

    def __init__(self) -> None:
        self._seen: tuple[object, object, RuleBook | None] = ((), (), None)
        self._last = Tunings()

    def read(self, database: Database, book: RuleBook) -> Tunings:
        """The changes as they stand for the rules of `book`. StoreUnavailable when the database does not answer."""
        with database.session(readonly=True) as session:
            own = own_changes(session)
            effects = level_effects.in_force(session)
        if self._seen[:2] != (own, effects) or self._seen[2] is not book:
            self._last = laid_over(own, effects, book)
            self._seen = (own, effects, book)
        return self._last


def own_changes(session: Session, rule_ids: Collection[str] | None = None) -> dict[tuple[str, str], Change]:
    """What people changed, about all rules or some."""
    query = sa.select(RuleTuning)
    if rule_ids is not None:
        query = query.where(RuleTuning.rule_id.in_(rule_ids))
    return {(row.rule_id, row.agency): _change(row) for row in session.scalars(query)}


def laid_over(own: Mapping[tuple[str, str], Change], effects: Sequence[Effect], book: RuleBook) -> Tunings:
    """What people changed, with the effects in force (`level_effects.in_force`) over it.

    A rule that a person switched off stays off, and a level is raised, never lowered. What is no rule of `book` stays as it is.
    """
    if not effects:
        return Tunings(own)
    of_rule: dict[str, set[str]] = {}
    for rule_id, agency in own:
        of_rule.setdefault(rule_id, set()).add(agency)
    changes = dict(own)
    every: list[Rule | Correlation] = [*book.rules, *book.correlations]
    for rule in every:
        found = rulings(effects, facts_of(rule))
        for agency in {*found, *of_rule.get(rule.id, ())} if found else ():
            mine = own.get((rule.id, agency)) or own.get((rule.id, EVERY_AGENCY)) or _NOTHING
            _, told = found.get(agency) or found.get(EVERY_AGENCY) or _NO_RULING
            changes[rule.id, agency] = _ruled(rule, mine, told)
    return Tunings(changes)


def facts_of(rule: Rule | Correlation) -> Facts:
    """What a rule can be chosen by."""
    return Facts(rule.id, frozenset(rule.tags), rule.status, rule.file, isinstance(rule, Correlation))


def _ruled(rule: Rule | Correlation, own: Change, told: Ruling) -> Change:
    level = own.level or rule.level
    raised = told.level if told.level and LEVELS.index(told.level) > LEVELS.index(level) else own.level
    bounds = own.bounds
    if isinstance(rule, Correlation) and rule.bounds:
        wanted = own.bounds or (_bounds(told.condition) if told.condition else rule.bounds)
        bounds = scaled(wanted, told.factor, counts=rule.kind in COUNTED) if wanted != rule.bounds or told.factor != 1 else own.bounds
    return Change(own.enabled and not told.off, raised, bounds)


def scaled(bounds: Sequence[Bound], factor: float, *, counts: bool) -> tuple[Bound, ...]:
    """Lower bounds taken times `factor` (at most 1), so that they are reached sooner; others stay.

    Where things are counted it is rounded up, and a bound of two or more stays at two or more: below that, one thing alone would fire.
    """
    return tuple(_scaled(one, factor, counts=counts) for one in bounds)


def _scaled(bound: Bound, factor: float, *, counts: bool) -> Bound:
    if bound.relation not in (">", ">=") or bound.value <= 0:
        return bound
    if not counts:
        return replace(bound, value=bound.value * factor)
    beyond = bound.relation == ">"
    least = bound.value + beyond  # that reaches it
    return replace(bound, value=float(max(ceil(least * factor), min(least, _FEWEST)) - beyond))


def _change(row: RuleTuning) -> Change:
    return Change(row.enabled, row.level, _bounds(row.condition or {}))


def _bounds(condition: Mapping[str, float]) -> tuple[Bound, ...]:
    return tuple(Bound(_RELATIONS[word], float(value)) for word, value in condition.items())


UNCHANGED: Final = Tunings()
"""Every rule as it is written."""
