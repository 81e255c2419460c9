"""A set of rules as a whole: routed by log class, searched by witnesses in one scan, checked exactly where they stand.

Invariants:
- A plan gives every pair (rule, row) for which the rule's expression holds, and no other; witnesses and routing only spare work.
- A rule that cannot be compiled, can never fire here, or that the engine refuses is set aside with its reason; the others go on.
- A plan belongs to one thread at a time, like the session it runs on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core.engine import Session, Stream
from core.errors import RuleError, StoreError, StoreUnavailable
from core.events import EVENTS, Column, Kind, LogClass
from detect import literals
from detect.compiled import CompiledRule, compile_rule
from detect.fields import EventFields
from detect.rules import Rule
from detect.witness import Witness

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
_MOST_SCANNED: Final = 4096  # patterns of one search: the time to build one grows faster than their number
_WORD: Final = 64
# The only characters beyond ASCII whose lower case has a letter of ASCII: what has one may have any witness.
_FOLDING_TO_ASCII: Final = ("\u212a", "\u0130")
_PROBED_AT_ONCE: Final = 64
_EVERYWHERE: Final = frozenset(LogClass)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of positions, in order of row, then rule: `rules` into the plan's rules, `rows` into the table."""

    rules: Ints
    rows: Ints


class Source(Protocol):
    """Where the columns of the rules' expressions come from."""

    def needed(self, columns: Sequence[str]) -> Sequence[str]:
        """The columns of the table of events that give `columns`."""
        ...

    def columns(self, given: Sequence[str]) -> list[str]:
        """What to select of a table that has the columns `given`, those of masks among them."""
        ...

    def lowered(self, column: str) -> str:
        """The text column `column` in lower case, as far as it is ASCII at least."""
        ...


class Plan:
    """Compiled rules, ready to run on batches of events."""

    def __init__(self, rules: Sequence[CompiledRule], set_aside: Sequence[RuleError], source: Source | None = None) -> None:
        self.rules = tuple(rules)
        self._source: Source = source or EventColumns()
        self.set_aside = list(set_aside)
        self._broken: set[int] = set()
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
            part = events.select(self._source.needed(group.columns))
            if present <= group.classes:
                pairs.append(self._group_matches(session, group, part))
            elif present & group.classes:
                mask = pc.is_in(log_class, pa.array(sorted(group.classes)))
                rows = np.flatnonzero(mask.to_numpy())
                found = self._group_matches(session, group, part.filter(mask))
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
            self._grouped = [_Group(classes, self.rules, mine, self._source) for classes, mine in by_classes.items()]
        return self._grouped

    def _group_matches(self, session: Session, group: _Group, part: pa.Table) -> Ints:
        """(row, rule) pairs of one group."""
        if not part.num_rows:
            return np.empty((0, 2), np.int64)
        found = [self._direct(session, group, part)]
        if group.scans:
            rows, rules = self._candidates(session, group, part)
            if len(rows):
                some, at = np.unique(rows, return_inverse=True)
                wanted, which = np.unique(rules, return_inverse=True)
                narrowed = part.take(pa.array(some))
                for number, word in enumerate(_words(at, which, len(some), len(wanted))):
                    narrowed = narrowed.append_column(f"word{number}", pa.array(word))
                masks = {rule: f"bitTest(word{n // _WORD}, {n % _WORD})" for n, rule in enumerate(wanted.tolist())}
                within = self._checked(session, list(masks), narrowed, masks)
                found.append(np.stack((some[within[:, 0]], within[:, 1]), axis=1))
        return np.concatenate(found)

    def _direct(self, session: Session, group: _Group, part: pa.Table) -> Ints:
        """(row, rule) pairs of the rules that are checked on every row."""
        if not group.direct:
            return np.empty((0, 2), np.int64)
        tests = [self.rules[i].sql for i in group.direct]
        try:
            hits = group.statement("direct", session, [f"{_holding(tests)} AS rules"], self._source, part.schema).run(part)
        except StoreUnavailable:
            raise
        except StoreError:
            group.close()
            return self._checked(session, group.direct, part)
        found = hits.column("rules").combine_chunks()
        rules = np.asarray(group.direct, np.int64)[found.flatten().to_numpy()]
        return np.stack((pc.list_parent_indices(found).to_numpy().astype(np.int64), rules), axis=1)

    def _candidates(self, session: Session, group: _Group, part: pa.Table) -> tuple[Ints, Ints]:
        """Pairs of a row and a rule one of whose witnesses stands in it."""
        try:
            hits = group.statement("scan", session, group.scans, self._source, part.schema).run(part)
        except StoreUnavailable:
            raise
        except StoreError as error:
            group.close()
            _log.error("detect.scan_failed", error=str(error))
            every = np.asarray(group.scanned, np.int64)
            return np.repeat(np.arange(part.num_rows), len(every)), np.tile(every, part.num_rows)
        pairs = [np.empty(0, np.int64)]
        for column, owners in group.owners.items():
            found = hits.column(column).combine_chunks()
            row = pc.list_parent_indices(found).to_numpy().astype(np.int64)
            pairs.append(owners.of(row * len(self.rules), found.flatten().to_numpy().astype(np.int64) - 1))
        distinct = np.unique(np.concatenate(pairs))
        rows, rules = np.divmod(distinct, len(self.rules))
        return rows, rules

    def _checked(self, session: Session, rules: Sequence[int], part: pa.Table, masks: Mapping[int, str] | None = None) -> Ints:
        """(row, rule) pairs by the exact expressions, each tested where its mask holds.

        When the statement fails, the rule that makes it fail is found and set aside.
        """
        rules = [i for i in rules if i not in self._broken]
        if not rules:
            return np.empty((0, 2), np.int64)
        tests = [f"({masks[i]} AND {self.rules[i].sql})" if masks else self.rules[i].sql for i in rules]
        try:
            hits = _ask(session, self._source, _check(tests), part)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if len(rules) == 1:
                session.arrow("SELECT 1")  # an engine that does not answer is no fault of the rule
                self._break(rules[0], str(error))
                return np.empty((0, 2), np.int64)
            half = len(rules) // 2
            parts = [self._checked(session, some, part, masks) for some in (rules[:half], rules[half:])]
            return np.concatenate(parts)
        own = np.asarray(rules, np.int64)[hits.column("rule").to_numpy()]
        return np.stack((hits.column("row").to_numpy().astype(np.int64), own), axis=1)

    def _break(self, index: int, reason: str) -> None:
        rule = self.rules[index].rule
        self._broken.add(index)
        self.close()
        self.set_aside.append(RuleError(rule.file, f"the engine refuses it: {reason}", rule.line))
        _log.error("detect.rule_failed", rule=rule.id, title=rule.title, error=reason)

    def close(self) -> None:
        """End the statements kept open; the plan opens them again when it runs. Closing the session ends them too."""
        for group in self._grouped or ():
            group.close()
        self._grouped = None

    @property
    def active(self) -> tuple[Rule, ...]:
        """The rules that run."""
        return tuple(compiled.rule for i, compiled in enumerate(self.rules) if i not in self._broken)


class _Group:
    """What runs on events of `classes`: rules checked on every row, and the scans that find the rows of the others."""

    def __init__(self, classes: frozenset[str], compiled: Sequence[CompiledRule], mine: Sequence[int], source: Source) -> None:
        self.classes = classes
        self.scanned = [i for i in mine if compiled[i].witnesses]
        if len(self.scanned) < _FEWEST_SCANNED:
            self.scanned = []
        scanned = set(self.scanned)
        self.direct = [i for i in mine if i not in scanned]
        self.columns = sorted(frozenset().union(*(compiled[i].columns for i in mine)))
        self.owners: dict[str, _Owners] = {}
        self.scans: list[str] = []
        self._open: dict[str, tuple[pa.Schema, Stream]] = {}
        self._scan({i: compiled[i].witnesses for i in self.scanned}, source)

    def _scan(self, wanted: Mapping[int, Iterable[Witness]], source: Source) -> None:
        """For each column which witnesses stand in it; `owners` then says whose they are, in the order of the patterns."""
        by_column: dict[str, dict[str, list[int]]] = {}
        for index, found in wanted.items():
            for witness in found:
                by_column.setdefault(witness.column, {}).setdefault(witness.literal, []).append(index)
        for column, literal_owners in sorted(by_column.items()):
            everyone = sorted({index for owners in literal_owners.values() for index in owners})
            patterns = [*literal_owners.items(), *((character, everyone) for character in _FOLDING_TO_ASCII)]
            for first in range(0, len(patterns), _MOST_SCANNED):
                some = patterns[first : first + _MOST_SCANNED]
                listed = ", ".join(literals.string(re.escape(literal)) for literal, _ in some)
                name = f"in_{column}_{first}"
                self.scans.append(f"multiMatchAllIndices({source.lowered(column)}, [{listed}]) AS `{name}`")
                self.owners[name] = _Owners([owners for _, owners in some])

    def statement(self, name: str, session: Session, select: Sequence[str], source: Source, schema: pa.Schema) -> Stream:
        """What `select` gives for each row of tables of `schema`, analysed once and kept open: that costs a millisecond and more a rule."""
        known, stream = self._open.get(name, (None, None))
        if stream is None or known != schema:
            if stream is not None:
                stream.close()
            rows = f"(SELECT {', '.join(source.columns(schema.names))} FROM Python(rows))"
            stream = session.stream(f"SELECT {', '.join(select)} FROM {rows}", schema)
            self._open[name] = (schema, stream)
        return stream

    def close(self) -> None:
        """End the statements kept open."""
        for _, stream in self._open.values():
            stream.close()
        self._open.clear()


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


@dataclass(frozen=True, slots=True)
class _Question:
    """What to select of which rows."""

    select: str
    where: str


def _words(rows: Ints, bits: Ints, row_count: int, bit_count: int) -> Iterator[npt.NDArray[np.uint64]]:
    """The pairs as bits of one number a row and 64 bits."""
    for first in range(0, bit_count, _WORD):
        word = np.zeros(row_count, np.uint64)
        mine = (bits >= first) & (bits < first + _WORD)
        np.bitwise_or.at(word, rows[mine], np.uint64(1) << (bits[mine] - first).astype(np.uint64))
        yield word


def _check(tests: Sequence[str]) -> _Question:
    """Rows with the position in `tests` of each that holds; rows of none are left out by `arrayJoin`.

    A WHERE over the same tests would be analysed a second time, which for most batches costs more than it spares.
    """
    return _Question(f"arrayJoin({_holding(tests)}) AS rule", "1")


def _holding(tests: Sequence[str]) -> str:
    """The positions of those of `tests` that hold."""
    return f"arrayFilter((i, hit) -> hit, range({len(tests)}), [{', '.join(tests)}])"


def _ask(session: Session, source: Source, question: _Question, part: pa.Table, settings: str = "") -> pa.Table:
    """Put `question` to the rows of `part`, with `row` the position in it."""
    numbered = part.append_column("row", pa.array(np.arange(part.num_rows, dtype=np.uint32)))
    rows = f"(SELECT row, {', '.join(source.columns(part.column_names))} FROM Python(rows))"
    return session.arrow(f"SELECT row, {question.select} FROM {rows} WHERE {question.where}{settings}", numbered)


class EventColumns:
    """A table of columns of `EVENTS`; addresses take the type they have in the store."""

    def needed(self, columns: Sequence[str]) -> Sequence[str]:
        return columns

    def columns(self, given: Sequence[str]) -> list[str]:
        return [as_stored(EVENTS.column(name)) if name in EVENTS.names else name for name in given]

    def lowered(self, column: str) -> str:
        return f"lower(`{column}`)"


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
        tests = _Question(f"[{', '.join(one.sql for one in compiled)}] AS tests", "1")
        _ask(session, source, tests, blank, " SETTINGS short_circuit_function_evaluation = 'disable'")
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
