"""What people changed about rules at agencies, as the detect stage applies it: on or off, level, and the thresholds of correlations.

Pure functions over columns, on what was read from the database last. A row for an agency goes before the row for every agency ('').
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from core.database import Database
from core.rule_records import EVERY_AGENCY, RuleTuning
from detect.correlation.definition import Bound, Correlation

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_RELATIONS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "eq": "=", "neq": "!="}


@dataclass(frozen=True, slots=True)
class Change:
    """What is different about a rule at an agency. '' and () leave what the rule says."""

    enabled: bool = True
    level: str = ""
    bounds: tuple[Bound, ...] = ()


_NOTHING: Final = Change()


@dataclass(frozen=True, slots=True)
class Tunings:
    """All changes, by rule id and agency."""

    changes: Mapping[tuple[str, str], Change] = field(default_factory=dict)

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
        return [change.bounds for (rule, _), change in self.changes.items() if rule == correlation.id and change.bounds]

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
        for (rule_id, agency), change in self.changes.items():
            if rule_id not in there:
                continue
            if agency != EVERY_AGENCY:
                of = [place for place, name in enumerate(names) if name == agency]
            else:
                of = [place for place, name in enumerate(names) if (rule_id, name) not in self.changes]
            if of:
                yield (there[rule_id], np.isin(codes, of)), change


def read(database: Database) -> Tunings:
    """The changes as they stand. StoreUnavailable when the database does not answer."""
    with database.session(readonly=True) as session:
        return Tunings({(row.rule_id, row.agency): _change(row) for row in session.scalars(sa.select(RuleTuning))})


def _change(row: RuleTuning) -> Change:
    bounds = tuple(Bound(_RELATIONS[word], float(value)) for word, value in (row.condition or {}).items())
    return Change(row.enabled, row.level, bounds)


UNCHANGED: Final = Tunings()
"""Every rule as it is written."""
