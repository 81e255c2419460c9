"""A set of rules as a whole: routed by log class, searched by witnesses in one scan, checked exactly where they stand.

Invariants:
- A plan gives every pair (rule, row) for which the rule's expression holds, and no other; witnesses and routing only spare work.
- A rule that cannot be compiled, can never fire here, or that the engine refuses is set aside with its reason; the others go on.
- A plan belongs to one thread at a time, like the session it runs on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core.engine import Session
from core.errors import RuleError, StoreError, StoreUnavailable
from core.events import EVENTS, LogClass
from detect.compiled import CompiledRule, compile_rule
from detect.event_columns import EventColumns, Source, selected
from detect.exact import Exact, holders, holding
from detect.fields import EventFields
from detect.kept import KeptOpen
from detect.rules import Rule
from detect.scan import Ints, Scan, firsts

# The text of a statement grows with the number of rules; the engine's usual limits are for people's queries.
SETTINGS: Final[Mapping[str, int | str]] = {
    "max_query_size": 256 << 20,
    "max_ast_elements": 50_000_000,
    "max_expanded_ast_elements": 50_000_000,
    "max_ast_depth": 10_000,
    "max_parser_depth": 10_000,
    "allow_hyperscan": 1,
    "short_circuit_function_evaluation": "force_enable",  # also spares comparisons: a list of networks costs more than a port
}
_FEWEST_SCANNED: Final = 16  # below this, checking every row costs less than a scan and a second statement
_PROBED_AT_ONCE: Final = 64
_EVERYWHERE: Final = frozenset(LogClass)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of positions, in order of row, then rule: `rules` into the plan's rules, `rows` into the table."""

    rules: Ints
    rows: Ints


class Plan:
    """Compiled rules, ready to run on batches of events."""

    def __init__(self, rules: Sequence[CompiledRule], set_aside: Sequence[RuleError], source: Source | None = None) -> None:
        self.rules = tuple(rules)
        self._source: Source = source or EventColumns()
        self.set_aside = list(set_aside)
        self._broken: set[int] = set()
        self._kept = KeptOpen()
        self._exact = Exact(self.rules, self._source, self._break)
        self._grouped: list[_Group] | None = None

    def run(self, session: Session, events: pa.Table) -> Matches:
        """Every match in `events`, a table of the columns of `EVENTS`.

        StoreError when the engine itself fails; a rule that fails is set aside and reported in `set_aside`.
        """
        routed = any(group.classes < _EVERYWHERE for group in self._groups())
        log_class = events.column("log_class") if routed else None
        present = set(pc.unique(log_class).to_pylist()) if routed else set()
        pairs = [np.empty((0, 2), np.int64)]
        for group in self._groups():
            part = self._source.given(events, group.columns)
            if present <= group.classes:
                pairs.append(self._group_matches(session, group, part))
            elif present & group.classes:
                mask = pc.is_in(log_class, pa.array(sorted(group.classes)))
                rows = np.flatnonzero(mask.to_numpy())
                found = self._group_matches(session, group, part.filter(mask))
                pairs.append(np.stack((rows[found[:, 0]], found[:, 1]), axis=1))
        return in_order(pairs)

    def _groups(self) -> list[_Group]:
        """The rules that run, by the classes they run on: each is analysed once for a batch, and sees only rows of its classes."""
        if self._grouped is None:
            by_classes: dict[frozenset[str], list[int]] = {}
            for index, compiled in enumerate(self.rules):
                if index not in self._broken:
                    by_classes.setdefault(frozenset(compiled.classes), []).append(index)
            self._grouped = [_Group(classes, self.rules, mine, self._source) for classes, mine in by_classes.items()]
        return self._grouped

    def _group_matches(self, session: Session, group: _Group, part: pa.Table) -> Ints:
        """(row, rule) pairs of one group."""
        if not part.num_rows:
            return np.empty((0, 2), np.int64)
        found = [self._direct(session, group, part)]
        if group.scan:
            rows, rules = self._candidates(session, group, group.scan, part)
            if len(rows):
                first = firsts(rows)
                some, at = rows[first], np.cumsum(first) - 1
                within = self._exact.decide(session, part.take(pa.array(some)), at, rules)
                found.append(np.stack((some[within[:, 0]], within[:, 1]), axis=1))
        return np.concatenate(found)

    def _direct(self, session: Session, group: _Group, part: pa.Table) -> Ints:
        """(row, rule) pairs of the rules that are checked on every row."""
        if not group.direct:
            return np.empty((0, 2), np.int64)
        tests = [f"{holding([self.rules[i].sql for i in group.direct])} AS rules"]
        every = np.arange(part.num_rows)
        try:
            hits = self._kept.run(session, ("direct", group.classes), lambda: selected(self._source, tests, part.column_names), part)
        except StoreUnavailable:
            raise
        except StoreError:
            return self._exact.checked(session, group.direct, part, every)
        return holders(hits, every, group.direct)

    def _candidates(self, session: Session, group: _Group, scan: Scan, part: pa.Table) -> tuple[Ints, Ints]:
        """Pairs of a row and a rule one of whose witnesses stands in it."""
        try:
            hits = self._kept.run(session, ("scan", group.classes), lambda: selected(self._source, scan.selected, part.column_names), part)
        except StoreUnavailable:
            raise
        except StoreError as error:
            _log.error("detect.scan_failed", error=str(error))
            every = np.asarray(group.scanned, np.int64)
            return np.repeat(np.arange(part.num_rows), len(every)), np.tile(every, part.num_rows)
        return scan.candidates(hits, len(self.rules))

    def _break(self, index: int, reason: str) -> None:
        rule = self.rules[index].rule
        self._broken.add(index)
        self.close()
        self.set_aside.append(RuleError(rule.file, f"the engine refuses it: {reason}", rule.line))
        _log.error("detect.rule_failed", rule=rule.id, title=rule.title, error=reason)

    def close(self) -> None:
        """End the statements kept open; the plan opens them again when it runs. Closing the session ends them too."""
        self._kept.close()
        self._exact.close()
        self._grouped = None

    @property
    def active(self) -> tuple[Rule, ...]:
        """The rules that run."""
        return tuple(compiled.rule for i, compiled in enumerate(self.rules) if i not in self._broken)


class _Group:
    """What runs on events of `classes`: rules checked on every row, and the scan that finds the rows of the others."""

    def __init__(self, classes: frozenset[str], compiled: Sequence[CompiledRule], mine: Sequence[int], source: Source) -> None:
        self.classes = classes
        self.scanned = [i for i in mine if compiled[i].witnesses]
        if len(self.scanned) < _FEWEST_SCANNED:
            self.scanned = []
        scanned = set(self.scanned)
        self.direct = [i for i in mine if i not in scanned]
        self.columns = sorted(frozenset().union(*(compiled[i].columns for i in mine)))
        self.scan = Scan({i: compiled[i].witnesses for i in self.scanned}, source) if self.scanned else None


def in_order(pairs: Sequence[Ints]) -> Matches:
    """The (row, rule) pairs as matches."""
    together = np.concatenate(pairs)
    ordered = together[np.lexsort((together[:, 1], together[:, 0]))]
    return Matches(rules=ordered[:, 1], rows=ordered[:, 0])


def compile_rules(rules: Iterable[Rule], session: Session, set_aside: Iterable[RuleError] = ()) -> Plan:
    """The plan of all `rules` that the engine accepts; the others join `set_aside` with their reasons."""
    fields = EventFields()
    errors = list(set_aside)
    compiled: list[CompiledRule] = []
    for rule in rules:
        try:
            compiled.append(compile_rule(rule, fields))
        except RuleError as error:
            errors.append(error)
    return Plan(accepted(session, compiled, errors, EventColumns(), _BLANK), errors)


def accepted(
    session: Session, compiled: Sequence[CompiledRule], errors: list[RuleError], source: Source, blank: pa.Table
) -> list[CompiledRule]:
    """Those of `compiled` the engine runs on `blank`, one row with nothing in it; the others join `errors`."""
    parts = (compiled[at : at + _PROBED_AT_ONCE] for at in range(0, len(compiled), _PROBED_AT_ONCE))
    return [one for part in parts for one in _accepted(session, part, errors, source, blank)]


def _accepted(
    session: Session, compiled: Sequence[CompiledRule], errors: list[RuleError], source: Source, blank: pa.Table
) -> list[CompiledRule]:
    """Those the engine runs on one blank row, every part of them (a pattern RE2 cannot read fails only when it is used)."""
    try:
        tests = selected(source, [f"[{', '.join(one.sql for one in compiled)}] AS tests"], blank.column_names)
        session.arrow(f"{tests} SETTINGS short_circuit_function_evaluation = 'disable'", blank)
    except StoreUnavailable:
        raise
    except StoreError as error:
        if len(compiled) == 1:
            session.arrow("SELECT 1")
            rule = compiled[0].rule
            errors.append(RuleError(rule.file, f"the engine refuses it: {error}", rule.line))
            return []
        half = len(compiled) // 2
        return [one for part in (compiled[:half], compiled[half:]) for one in _accepted(session, part, errors, source, blank)]
    return list(compiled)


def _blank() -> pa.Table:
    values: dict[str, Any] = {}
    for column in EVENTS.columns:
        arrow = column.arrow
        blank: Any = (
            None if arrow.nullable else "" if column.kind.is_text else bytes(16) if pa.types.is_fixed_size_binary(arrow.type) else 0
        )
        values[column.name] = pa.array([blank], arrow.type)
    return pa.table(values, schema=EVENTS.schema)


_BLANK: Final = _blank()
