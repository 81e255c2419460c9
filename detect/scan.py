"""One search for all witnesses of a rule set: which rules may match which events.

A pair that is not found is no match (or, of a rule that holds where no witness stands, one); a pair that is found is yet to be decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detect import literals
from detect.event_columns import Source
from detect.witness import Witness

Ints = npt.NDArray[np.int64]

MOST_AT_ONCE: Final = 16_384  # patterns of one search; several searches take longer than one
_FEW_EXPRESSIONS: Final = 64
# The only characters beyond ASCII that have a letter of ASCII for lower case, or match one without case: where they stand, any may.
FOLDING_TO_ASCII: Final = ("\u212a", "\u0130", "\u017f")


class Scan:
    """The search for `wanted`, the witnesses of each rule by its number.

    Regular expressions are sought apart when they are many: then they slow literals down.
    """

    def __init__(self, wanted: Mapping[int, Iterable[Witness]], source: Source) -> None:
        self.selected: list[str] = []
        self._owners: dict[str, _Owners] = {}
        searches: dict[tuple[str, bool], dict[str, list[int]]] = {}
        apart = len({witness for found in wanted.values() for witness in found if not witness.is_literal}) > _FEW_EXPRESSIONS
        for rule, found in wanted.items():
            for witness in found:
                together = witness.is_literal or not apart
                searches.setdefault((witness.column, together), {}).setdefault(witness.pattern, []).append(rule)
        for (column, literal), pattern_owners in sorted(searches.items()):
            everyone = sorted({rule for owners in pattern_owners.values() for rule in owners})
            patterns = [*sorted(pattern_owners.items()), *((character, everyone) for character in FOLDING_TO_ASCII)]
            for first in range(0, len(patterns), MOST_AT_ONCE):
                some = patterns[first : first + MOST_AT_ONCE]
                name = f"in_{column}_{'literal' if literal else 'regex'}_{first}"
                self.selected.append(f"{search(source.lowered(column), [pattern for pattern, _ in some])} AS `{name}`")
                self._owners[name] = _Owners([owners for _, owners in some])

    def candidates(self, hits: pa.Table, rules: int) -> tuple[Ints, Ints]:
        """Pairs of a row and a rule (a number below `rules`) with a witness in it, of the result of `selected`; in order, each once."""
        pairs = [np.empty(0, np.int64)]
        for name, owners in self._owners.items():
            rows, patterns = listed(hits, name)
            pairs.append(owners.of(rows * rules, patterns))
        ordered = np.sort(np.concatenate(pairs))
        rows, owned = np.divmod(ordered[firsts(ordered)], rules)
        return rows, owned


class _Owners:
    """Whose each of a list of patterns is; one may be of many rules."""

    def __init__(self, owners: Sequence[Sequence[int]]) -> None:
        self._counts = np.asarray([len(some) for some in owners], np.int64)
        self._starts = np.cumsum(self._counts) - self._counts
        self._rules = np.asarray([rule for some in owners for rule in some], np.int64)

    def of(self, base: Ints, patterns: Ints) -> Ints:
        """For each of `patterns` its rules, with the `base` beside it added."""
        counts = self._counts[patterns]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        pairs: Ints = np.repeat(base, counts) + self._rules[np.repeat(self._starts[patterns], counts) + within]
        return pairs


def firsts(ordered: Ints) -> npt.NDArray[np.bool_]:
    """Where in ordered numbers above -1 another one begins."""
    begins: npt.NDArray[np.bool_] = np.diff(ordered, prepend=-1) != 0
    return begins


def search(text: str, patterns: Sequence[str]) -> str:
    """SQL of the positions, from 1, of those regular expressions that are found in the SQL `text`."""
    return f"multiMatchAllIndices({text}, [{', '.join(literals.string(pattern) for pattern in patterns)}])"


def listed(hits: pa.Table, name: str) -> tuple[Ints, Ints]:
    """Rows and positions, from 0, of a column that `search` made."""
    found = hits.column(name).combine_chunks()
    return pc.list_parent_indices(found).to_numpy().astype(np.int64), found.flatten().to_numpy().astype(np.int64) - 1
