"""A set of rules as a whole: routed by log class, searched by witnesses in one scan, checked exactly where they stand.

Invariants:
- A plan gives every pair (rule, row) for which the rule's expression holds, and no other; witnesses and routing only spare work.
- A rule that cannot be compiled, can never fire here, or that the engine refuses is set aside with its reason; the others go on.
- A plan belongs to one thread at a time, like the session it runs on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core.engine import Session
from core.errors import RuleError, StoreError, StoreUnavailable
from core.events import EVENTS, Column, Kind, LogClass
from detect import literals, logsources, predicates
from detect.compile import expression
from detect.fields import EventFields
from detect.rules import Rule
from detect.tree import AnyOf, Item, Pattern
from detect.witness import Witness, witnesses

Ints = npt.NDArray[np.int64]

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
class CompiledRule:
    """A rule with its expression over rows of `EVENTS`. `unknown` are the fields it names that no event has."""

    rule: Rule
    classes: frozenset[LogClass]
    sql: str
    columns: frozenset[str]
    witnesses: frozenset[Witness]
    unknown: frozenset[str]


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of positions, in order of row, then rule: `rules` into the plan's rules, `rows` into the table."""

    rules: Ints
    rows: Ints


def compile_rule(rule: Rule, fields: EventFields) -> CompiledRule:
    """RuleError says why the rule cannot fire on our events."""
    try:
        route = logsources.route(rule.logsource)
    except logsources.UnknownLogSource as error:
        raise RuleError(rule.file, str(error), rule.line) from error
    compiled = expression(rule.tree, fields)
    if compiled.constant is not None:
        names = ", ".join(sorted(compiled.unknown))
        because = f"the fields {names} are not in our events" if names else "no value of our columns can pass its tests"
        verdict = "it would match every event" if compiled.constant else "it can never match"
        raise RuleError(rule.file, f"{verdict}: {because}", rule.line)
    guards = [
        expression(AnyOf(tuple(Item(column, Pattern((word,))) for word in words)), fields)
        for column, words in (("vendor", route.vendors), ("product", route.products))
        if words
    ]
    sql = predicates.all_of([*(guard.sql for guard in guards), compiled.sql])
    columns = compiled.columns.union(*(guard.columns for guard in guards))
    return CompiledRule(rule, route.classes, str(sql), columns, witnesses(rule.tree, fields), compiled.unknown)


class Plan:
    """Compiled rules, ready to run on batches of events."""

    def __init__(self, rules: Sequence[CompiledRule], set_aside: Sequence[RuleError]) -> None:
        self.rules = tuple(rules)
        self.set_aside = list(set_aside)
        self._broken: set[int] = set()
        self._grouped: list[_Group] | None = None

    def run(self, session: Session, events: pa.Table) -> Matches:
        """Every match in `events`, a table of the columns of `EVENTS`.

        StoreError when the engine itself fails; a rule that fails is set aside and reported in `set_aside`.
        """
        log_class = events.column("log_class")
        present = set(pc.unique(log_class).to_pylist())
        pairs = [np.empty((0, 2), np.int64)]
        for group in self._groups():
            if group.classes >= _EVERYWHERE or present <= group.classes:
                pairs.append(self._group_matches(session, group, events.select(group.columns)))
            elif present & group.classes:
                mask = pc.is_in(log_class, pa.array(sorted(group.classes)))
                rows = np.flatnonzero(mask.to_numpy())
                found = self._group_matches(session, group, events.select(group.columns).filter(mask))
                pairs.append(np.stack((rows[found[:, 0]], found[:, 1]), axis=1))
        together = np.concatenate(pairs)
        ordered = together[np.lexsort((together[:, 1], together[:, 0]))]
        return Matches(rules=ordered[:, 1], rows=ordered[:, 0])

    def _groups(self) -> list[_Group]:
        """The rules that run, by the classes they run on: each is analysed once for a batch, and sees only rows of its classes."""
        if self._grouped is None:
            by_classes: dict[frozenset[str], list[int]] = {}
            for index, compiled in enumerate(self.rules):
                if index not in self._broken:
                    by_classes.setdefault(frozenset(compiled.classes), []).append(index)
            self._grouped = [_Group(classes, self.rules, mine) for classes, mine in by_classes.items()]
        return self._grouped

    def _group_matches(self, session: Session, group: _Group, part: pa.Table) -> Ints:
        """(row, rule) pairs of one group."""
        found = [self._checked(session, group.direct, part)]
        if group.scan:
            rows, rules = self._candidates(session, group, group.scan, part)
            if len(rows):
                within = self._checked(session, rules, part.take(pa.array(rows)))
                found.append(np.stack((rows[within[:, 0]], within[:, 1]), axis=1))
        return np.concatenate(found)

    def _candidates(self, session: Session, group: _Group, scan: _Question, part: pa.Table) -> tuple[Ints, list[int]]:
        """The rows where a witness stands, and the rules whose witnesses stand somewhere."""
        try:
            hits = _ask(session, scan, part)
        except StoreUnavailable:
            raise
        except StoreError as error:
            _log.error("detect.scan_failed", error=str(error))
            return np.arange(part.num_rows), group.scanned
        rules: set[int] = set()
        for column, owners in group.owners.items():
            for index in pc.unique(hits.column(column).combine_chunks().flatten()).to_pylist():
                rules.update(owners[index - 1])
        return np.sort(hits.column("row").to_numpy()).astype(np.int64), sorted(rules - self._broken)

    def _checked(self, session: Session, rules: Sequence[int], part: pa.Table) -> Ints:
        """(row, rule) pairs by the exact expressions. When the statement fails, the rule that makes it fail is found and set aside."""
        rules = [i for i in rules if i not in self._broken]
        if not rules or not part.num_rows:
            return np.empty((0, 2), np.int64)
        try:
            hits = _ask(session, _check([self.rules[i] for i in rules]), part)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if len(rules) == 1:
                session.arrow("SELECT 1")  # an engine that does not answer is no fault of the rule
                self._break(rules[0], str(error))
                return np.empty((0, 2), np.int64)
            half = len(rules) // 2
            return np.concatenate((self._checked(session, rules[:half], part), self._checked(session, rules[half:], part)))
        own = np.asarray(rules, np.int64)[hits.column("rule").to_numpy()]
        return np.stack((hits.column("row").to_numpy().astype(np.int64), own), axis=1)

    def _break(self, index: int, reason: str) -> None:
        rule = self.rules[index].rule
        self._broken.add(index)
        self._grouped = None
        self.set_aside.append(RuleError(rule.file, f"the engine refuses it: {reason}", rule.line))
        _log.error("detect.rule_failed", rule=rule.id, title=rule.title, error=reason)

    @property
    def active(self) -> tuple[Rule, ...]:
        """The rules that run."""
        return tuple(compiled.rule for i, compiled in enumerate(self.rules) if i not in self._broken)


class _Group:
    """What runs on events of `classes`: rules checked on every row, and the scan that finds the rows of the others."""

    def __init__(self, classes: frozenset[str], compiled: Sequence[CompiledRule], mine: Sequence[int]) -> None:
        self.classes = classes
        self.scanned = [i for i in mine if compiled[i].witnesses]
        if len(self.scanned) < _FEWEST_SCANNED:
            self.scanned = []
        self.direct = [i for i in mine if i not in set(self.scanned)]
        self.columns = sorted(frozenset().union(*(compiled[i].columns for i in mine)))
        self.owners: dict[str, list[list[int]]] = {}
        self.scan = self._scan({i: compiled[i].witnesses for i in self.scanned}) if self.scanned else None

    def _scan(self, wanted: Mapping[int, Iterable[Witness]]) -> _Question:
        """Rows with any witness, and for each column which; `owners` then says whose they are, in the order of the patterns."""
        by_column: dict[str, dict[str, list[int]]] = {}
        for index, found in wanted.items():
            for witness in found:
                by_column.setdefault(witness.column, {}).setdefault(witness.literal, []).append(index)
        scans = []
        for column, literal_owners in sorted(by_column.items()):
            patterns = ", ".join(literals.string(re.escape(literal)) for literal in literal_owners)
            scans.append(f"multiMatchAllIndices(lowerUTF8(`{column}`), [{patterns}]) AS `in_{column}`")
            self.owners[f"in_{column}"] = list(literal_owners.values())
        somewhere = " OR ".join(f"notEmpty(`{name}`)" for name in self.owners)
        return _Question(", ".join(scans), somewhere)


@dataclass(frozen=True, slots=True)
class _Question:
    """What to select of which rows."""

    select: str
    where: str


def _check(compiled: Sequence[CompiledRule]) -> _Question:
    """Rows with the position in `compiled` of each rule that holds; rows of none are left out by `arrayJoin`.

    A WHERE over the same tests would be analysed a second time, which for most batches costs more than it spares.
    """
    tests = ", ".join(one.sql for one in compiled)
    return _Question(f"arrayJoin(arrayFilter((i, hit) -> hit, range({len(compiled)}), [{tests}])) AS rule", "1")


def _ask(session: Session, question: _Question, part: pa.Table, settings: str = "") -> pa.Table:
    """Put `question` to the rows of `part`, with `row` the position in it; addresses take the type they have in the store."""
    numbered = part.append_column("row", pa.array(np.arange(part.num_rows, dtype=np.uint32)))
    columns = [as_stored(EVENTS.column(name)) for name in part.column_names]
    source = f"(SELECT row, {', '.join(columns)} FROM Python(rows))"
    return session.arrow(f"SELECT row, {question.select} FROM {source} WHERE {question.where}{settings}", numbered)


def as_stored(column: Column) -> str:
    """A column of a table given to the engine, in the type it has in the store."""
    name = f"`{column.name}`"
    return f"CAST({name}, '{column.clickhouse}') AS {name}" if column.kind is Kind.IP else name


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
    accepted: list[CompiledRule] = []
    for at in range(0, len(compiled), _PROBED_AT_ONCE):
        accepted += _accepted(session, compiled[at : at + _PROBED_AT_ONCE], errors)
    return Plan(accepted, errors)


def _accepted(session: Session, compiled: Sequence[CompiledRule], errors: list[RuleError]) -> list[CompiledRule]:
    """Those the engine runs on one blank row, every part of them (a pattern RE2 cannot read fails only when it is used)."""
    try:
        tests = _Question(f"[{', '.join(one.sql for one in compiled)}] AS tests", "1")
        _ask(session, tests, _BLANK, " SETTINGS short_circuit_function_evaluation = 'disable'")
    except StoreUnavailable:
        raise
    except StoreError as error:
        if len(compiled) == 1:
            session.arrow("SELECT 1")
            rule = compiled[0].rule
            errors.append(RuleError(rule.file, f"the engine refuses it: {error}", rule.line))
            return []
        half = len(compiled) // 2
        return [*_accepted(session, compiled[:half], errors), *_accepted(session, compiled[half:], errors)]
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
