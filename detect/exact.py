"""Decides exactly which candidate pairs of a rule and an event are matches.

Rules that have a formula (`detect.formula`) are decided by one scan of each column they ask for. Of the others the scan leaves what the
formula of a part of the rule lets through; that is decided by their expressions, some of them in a statement, which is opened when there
is something for it. A rule whose expression fails is found and given to `failed`.
For one thread at a time, like the session it runs on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core.engine import Session
from core.errors import StoreError, StoreUnavailable
from detect.compiled import CompiledRule
from detect.event_columns import Source, selected
from detect.formula import Formula, Formulas
from detect.hits import ColumnHits, ColumnScan, Hits
from detect.kept import KeptOpen
from detect.scan import Ints, firsts

Failed = Callable[[int, str], None]

_WORTH_TAKING: Final = 0.7  # to scan this part of a column and no more costs less than to scan all
_TOGETHER: Final = 32  # rules of one statement
_MOST_VARIANTS: Final = 4
_PREPARED: Final = "RegexpWithMultipleNeedlesGlobalCacheMiss"
_log = structlog.get_logger()


class Exact:
    """The exact tests of `rules`, which are told by their positions."""

    def __init__(self, rules: Sequence[CompiledRule], source: Source, failed: Failed) -> None:
        self._rules = rules
        self._source = source
        self._failed = failed
        self._broken: set[int] = set()
        self._kept = KeptOpen()
        self._opened: set[tuple[str, int]] = set()  # scans that ran once; when they run again they are watched
        self._unsettled: set[str] = set()
        self._watched: set[str] = set()  # of these, those that ran since `_before` was counted
        self._suspected: set[str] = set()  # one of those watched together was prepared again: now each is watched alone
        self._before = 0
        self._formulas = Formulas(source.fields)
        self._formula = [self._formulas.of(one.tree) if one.tree else None for one in rules]
        self._bounds: dict[int, Formula] = {}
        for rule, one in enumerate(rules):
            bound = self._formulas.bound(one.tree) if one.tree and self._formula[rule] is None else True
            if not isinstance(bound, bool):
                self._bounds[rule] = bound
        self._columns = [
            self._formulas.columns(test) if (test := self._bounds.get(rule) if formula is None else formula) is not None else frozenset()
            for rule, formula in enumerate(self._formula)
        ]
        self._scans = {column: ColumnScan(self._formulas, column) for column in self._formulas.fields}
        by_expression = [rule for rule, formula in enumerate(self._formula) if formula is None]
        self._place = {rule: place for place, rule in enumerate(by_expression)}
        self._statements = [by_expression[at : at + _TOGETHER] for at in range(0, len(by_expression), _TOGETHER)]

    def has_formula(self, rule: int) -> bool:
        """Whether it is decided without its expression."""
        return self._formula[rule] is not None

    def decide(self, session: Session, events: pa.Table, rows: Ints, rules: Ints) -> Ints:
        """(row, rule) of those of the pairs that match, each given once; `rows` are positions in `events`.

        StoreError when the engine itself fails.
        """
        if not len(rows):
            return np.empty((0, 2), np.int64)
        order = np.lexsort((rows, rules))
        rows, rules = rows[order], rules[order]
        starts = np.flatnonzero(np.diff(rules, prepend=-1))
        asked = {int(rules[start]): mine for start, mine in zip(starts, np.split(rows, starts[1:]), strict=True)}
        hits = Hits(self._formulas, self._scans_of(session, events, asked), events.num_rows)
        found = [np.empty((0, 2), np.int64)]
        by_expression: dict[int, list[Ints]] = {}
        for rule, mine in asked.items():
            formula = self._formula[rule]
            test = self._bounds.get(rule) if formula is None else formula
            try:
                holding = mine if test is None else mine[hits.holding(test, mine)]
            except StoreUnavailable:
                raise
            except StoreError as error:
                _log.error("detect.scan_failed", error=str(error))
                found.append(self.checked(session, [rule], events.take(pa.array(mine)), mine))
                continue
            if formula is not None:
                found.append(np.stack((holding, np.full(len(holding), rule)), axis=1))
            elif len(holding):
                by_expression.setdefault(self._place[rule] // _TOGETHER, []).append(holding)
        self._settle(session)
        wanted = rules * events.num_rows + rows
        for number, parts in by_expression.items():
            mine = np.sort(np.concatenate(parts))
            pairs = self._expressed(session, number, events, mine[firsts(mine)])
            keys = pairs[:, 1] * events.num_rows + pairs[:, 0]
            places = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
            found.append(pairs[wanted[places] == keys])
        return np.concatenate(found)

    def _scans_of(self, session: Session, events: pa.Table, asked: Mapping[int, Ints]) -> Callable[[str], ColumnHits | None]:
        """What gives the hits of a column, in those of its rows at least that `asked` has for a rule that asks for the column."""
        wanted: dict[str, npt.NDArray[np.bool_]] = {}
        for rule, rows in asked.items():
            for column in self._columns[rule]:
                if column not in wanted:
                    wanted[column] = np.zeros(events.num_rows, np.bool_)
                wanted[column][rows] = True
        return lambda column: self._scanned(session, column, events, np.flatnonzero(wanted[column]))

    def _scanned(self, session: Session, column: str, events: pa.Table, rows: Ints) -> ColumnHits | None:
        if events.schema.get_field_index(column) < 0:
            return None
        part, scan = self._source.given(events, [column]), self._scans[column]
        few = len(rows) < events.num_rows * _WORTH_TAKING
        if few:
            part = part.take(pa.array(rows))
        name = (column, scan.variant)
        alone = column in self._suspected
        before = self._pushed_out(session) if alone or (column in self._unsettled and not self._watched) else 0
        result = self._kept.run(session, name, lambda: selected(self._source, scan.selected, part.column_names), part)
        if alone:
            self._suspected.discard(column)
            if self._pushed_out(session) > before and scan.variant < _MOST_VARIANTS:
                self._scans[column] = ColumnScan(self._formulas, column, scan.variant + 1)
        elif column in self._unsettled:
            self._before = self._before if self._watched else before
            self._watched.add(column)
        elif name not in self._opened:
            self._opened.add(name)
            self._unsettled.add(column)
        hits = scan.read(result)
        return hits.among(rows, events.num_rows) if few else hits

    def _settle(self, session: Session) -> None:
        """Of the scans that ran again, those that may have been prepared again are watched one by one the next time."""
        if self._watched:
            self._unsettled -= self._watched
            if self._pushed_out(session) > self._before:
                self._suspected |= self._watched
            self._watched.clear()

    def _pushed_out(self, session: Session) -> int:
        """How often the engine had to prepare a search, in all: again and again when two have the same place in its table."""
        counted = session.arrow(f"SELECT sum(value) AS times FROM system.events WHERE event = '{_PREPARED}'")
        return int(counted.column("times")[0].as_py())

    def _expressed(self, session: Session, number: int, events: pa.Table, rows: Ints) -> Ints:
        """(row, rule) by the expressions of a statement, whether they were asked for or not."""
        mine = [rule for rule in self._statements[number] if rule not in self._broken]
        if not mine:
            return np.empty((0, 2), np.int64)
        columns = sorted(frozenset().union(*(self._rules[rule].columns for rule in mine)))
        part = self._source.given(events.take(pa.array(rows)), columns)
        tests = [f"{holding([self._rules[rule].sql for rule in mine])} AS rules"]
        try:
            hits = self._kept.run(session, number, lambda: selected(self._source, tests, part.column_names), part)
        except StoreUnavailable:
            raise
        except StoreError:
            return self.checked(session, mine, part, rows)
        return holders(hits, rows, mine)

    def checked(self, session: Session, rules: Sequence[int], part: pa.Table, rows: Ints) -> Ints:
        """(row, rule) by the expressions of `rules`, in statements of their own; `rows` tells what the rows of `part` are called.

        When a statement fails, the rule that makes it fail is found and given to `failed`.
        """
        tests = [f"{holding([self._rules[rule].sql for rule in rules])} AS rules"]
        columns = sorted(frozenset().union(*(self._rules[rule].columns for rule in rules)))
        given = self._source.given(part, columns)
        try:
            return holders(session.arrow(selected(self._source, tests, given.column_names), given), rows, rules)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if len(rules) == 1:
                session.arrow("SELECT 1")  # an engine that does not answer is no fault of the rule
                self._broken.add(rules[0])
                self.close()
                self._failed(rules[0], str(error))
                return np.empty((0, 2), np.int64)
            half = len(rules) // 2
            return np.concatenate([self.checked(session, some, part, rows) for some in (rules[:half], rules[half:])])

    def close(self) -> None:
        """End the statements kept open; they are opened again when they are needed."""
        self._kept.close()


def holding(tests: Sequence[str]) -> str:
    """SQL of the positions of those of `tests` that hold."""
    return f"arrayFilter((i, hit) -> hit, range({len(tests)}), [{', '.join(tests)}])"


def holders(hits: pa.Table, rows: Ints, rules: Sequence[int]) -> Ints:
    """(row, rule) of a column `rules` that `holding` made."""
    found = hits.column("rules").combine_chunks()
    return np.stack((rows[pc.list_parent_indices(found).to_numpy()], np.asarray(rules, np.int64)[found.flatten().to_numpy()]), axis=1)
