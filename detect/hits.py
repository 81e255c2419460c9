"""Which literals of a rule set stand in which rows of a table, and which formulas therefore hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detect import literals, predicates
from detect.formula import BLANK, EDGE, PRESENT, Every, Formula, Formulas, Not, Some, Sought
from detect.scan import MOST_AT_ONCE, Ints, listed, search
from detect.witness import are_plain

_FEW: Final = 64
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ColumnHits:
    """The `rows` in which patterns stand, in order of the patterns' numbers; those of pattern n are `starts[n]` to `starts[n + 1]`."""

    present: Bools
    blank: Bools
    rows: Ints
    starts: Ints

    def among(self, rows: Ints, count: int) -> ColumnHits:
        """The same, of `rows` of a table of `count` rows; nothing is known of its other rows."""
        present, blank = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        present[rows], blank[rows] = self.present, self.blank
        return ColumnHits(present, blank, rows[self.rows], self.starts)


class ColumnScan:
    """The search for all patterns of a column: `selected` is what to ask the engine for. `variant` changes its text and nothing else."""

    def __init__(self, formulas: Formulas, column: str, variant: int = 0) -> None:
        self.variant = variant
        text = predicates.text_of(formulas.fields[column])
        sought = formulas.sought.get(column, {})
        self.selected = [f"{text.present} AS {PRESENT}", f"{text.blank} AS {BLANK}"]
        self._count = len(sought)
        self._numbers: dict[str, Ints] = {}
        kinds: dict[tuple[bool, bool], list[tuple[Sought, int]]] = {}
        for one, number in sought.items():
            kinds.setdefault((one.cased, one.bounded), []).append((one, number))
        for (cased, bounded), patterns in kinds.items():
            for first in range(0, len(patterns), MOST_AT_ONCE):
                some = patterns[first : first + MOST_AT_ONCE]
                name = f"found{len(self._numbers)}"
                self._numbers[name] = np.asarray([number for _, number in some], np.int64)
                searched, wanted = text.sql if cased else text.folded, [one for one, _ in some]
                found = _literals(searched, wanted, variant) if bounded else search(searched, [one.wanted for one in wanted])
                self.selected.append(f"{found} AS {name}")

    def read(self, result: pa.Table) -> ColumnHits:
        """What the engine answered to `selected`."""
        rows, patterns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for name, numbers in self._numbers.items():
            mine, positions = listed(result, name)
            rows.append(mine)
            patterns.append(numbers[positions])
        flat = np.concatenate(patterns).astype(np.uint16 if self._count < 1 << 16 else np.uint32)  # short ones sort fast
        order = np.argsort(flat, kind="stable")
        starts = np.searchsorted(flat[order], np.arange(self._count + 1))
        present, blank = (result.column(name).to_numpy().astype(np.bool_) for name in (PRESENT, BLANK))
        return ColumnHits(present, blank, np.concatenate(rows)[order], starts)


def _literals(text: str, wanted: Sequence[Sought], variant: int) -> str:
    """SQL of the positions, from 1, of those of `wanted`, all cased or none, that stand in the SQL `text`, if need be between edges.

    The engine keeps what it prepared for `search` in a table of few places, where one may push out another: few literals go another way,
    and many have another place with another `variant`, a literal that stands nowhere.
    """
    edge = literals.string(EDGE)
    bounded = any(EDGE in one.wanted for one in wanted)
    searched = f"concat({edge}, replaceAll({text}, {edge}, ' '), {edge})" if bounded else text
    if len(wanted) > _FEW:
        needles = [_written(one, re.escape) for one in wanted]
        return f"multiMatchAllIndices({searched}, [{', '.join(needles)}, {literals.string(f'{EDGE * 3}{variant}')}])"
    needles = [_written(one, str) for one in wanted]
    return f"arrayFilter((i, at) -> at > 0, range(1, {len(wanted) + 1}), multiSearchAllPositions({searched}, [{', '.join(needles)}]))"


def _written(one: Sought, escaped: Callable[[str], str]) -> str:
    """`one` as a string literal, its case folded as the engine folds the text's."""
    literal = literals.string(escaped(one.wanted))
    return literal if one.cased or are_plain(one.wanted.strip(EDGE)) else f"lowerUTF8({literal})"


class Hits:
    """The literals of `formulas` in a table of so many rows; a column is scanned when it is first asked for.

    `scanned` gives None for a column the table does not have.
    """

    def __init__(self, formulas: Formulas, scanned: Callable[[str], ColumnHits | None], rows: int) -> None:
        self._formulas = formulas
        self._scanned = scanned
        self._rows = rows
        self._columns: dict[str, ColumnHits | None] = {}
        self._literals: dict[int, Bools] = {}

    def holding(self, formula: Formula, rows: Ints) -> Bools:
        """For each of `rows` whether `formula` holds. StoreError when a scan fails."""
        match formula:
            case Not(inner):
                return ~self.holding(inner, rows)
            case Every(formulas):
                every: Bools = np.logical_and.reduce([self.holding(one, rows) for one in formulas])
                return every
            case Some(formulas):
                some: Bools = np.logical_or.reduce([self.holding(one, rows) for one in formulas])
                return some
        return self._literal(formula)[rows]

    def _literal(self, number: int) -> Bools:
        if number not in self._literals:
            self._literals[number] = self._stands(number)
        return self._literals[number]

    def _stands(self, number: int) -> Bools:
        literal = self._formulas.literals[number]
        if literal.column not in self._columns:
            self._columns[literal.column] = self._scanned(literal.column)
        hits = self._columns[literal.column]
        if hits is None:
            return np.zeros(self._rows, np.bool_)
        if isinstance(literal.patterns, str):
            return hits.present if literal.patterns == PRESENT else hits.blank
        wanted = np.asarray(literal.patterns)
        standing = np.zeros(self._rows, np.bool_)
        starts, ends = hits.starts[wanted], hits.starts[wanted + 1]
        for start, end in zip(starts[starts < ends].tolist(), ends[starts < ends].tolist(), strict=True):
            standing[hits.rows[start:end]] = True
        return standing
