"""A rule set over events given as JSON lines, by the names their fields have: what `bongsu bench detect` runs.

Log sources are passed over: every rule is judged on every event, as `bongsu rules match` judges. What an event's fields mean is said in
`detect.match`. The witnesses of all rules are searched in the lines as they are, before any JSON is read: where none of a rule's stands,
the rule's verdict is known. Only lines with candidates are read, grouped by their shape, the names of their fields that any rule asks for,
so that the engine extracts no other fields; then the candidates are decided exactly. The witnesses are chosen on a sample of the first
lines.

What JSON may write in several ways would hide a witness: a line with a needless escape is written anew first. So is an event with objects
within it: it is made flat, its fields named by their dotted paths. One that holds lists, or a rule asks for both a field and one within
it, is judged by the rules' expressions over all values of each field, without witnesses: right, and slow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from core.engine import Session
from core.errors import RuleError
from core.events import LogClass
from detect import literals, match
from detect.compile import expression
from detect.compiled import CompiledRule
from detect.event_columns import selected
from detect.exact import Exact
from detect.fields import LINE, Fields, ObjectFields
from detect.kept import KeptOpen
from detect.object_columns import LINES, MemberColumns, Members, ValueColumns
from detect.rules import Rule
from detect.ruleset import Matches, Plan, accepted, in_order
from detect.scan import Ints, Scan, firsts
from detect.tree import fields_of, has_keywords
from detect.witness import Counts, Witness, signs

_SPACES: Final = " \t\r\n"
# What the search would not read as it is: an object or a list within; escapes of characters that need none, or whose lower case is ASCII;
# other spaces round a colon than one behind it.
_UNUSUAL: Final = (
    *(f'"{opening}{bracket}' for opening in (":", ": ") for bracket in "[{"),
    *(r"\/", r"\u212a", r"\u0130", r"\u017f", *(rf"\u00{digit}" for digit in range(2, 8))),
    *(f'"{space}{other}' for space in _SPACES for other in f":{_SPACES}"),
    *(f'":{space}' for space in _SPACES[1:]),
    *(f'": {space}' for space in _SPACES),
)
# What the engine would not read as it is compared: numbers that it writes otherwise; truth values, which it leaves out of all the values of
# an object, where keywords are searched.
_MISREAD_AS: Final = ('": ?-?[0-9]+([.][0-9]+)?[eE]', '": ?-0', '": ?-?[0-9]{20}')
_SHAPE: Final = "cityHash64(JSONExtractKeys(line))"  # the same where members have the same names
_MISREAD: Final = 0  # in place of it
_TRUTH: Final = '": ?(true|false)'
_SAMPLED: Final = 128
_FEW: Final = 2048  # events of a shape that are not worth statements of their own go together with other shapes'
_UNUSUAL_AT_ONCE: Final = 1024


class ObjectRules:
    """`rules` over JSON lines. For one thread at a time, like the session it runs on.

    `unreadable` counts lines that are no JSON objects; they match nothing. `set_aside` holds rules the engine refuses.
    """

    def __init__(self, rules: Sequence[Rule], session: Session) -> None:
        self.rules = tuple(rules)
        self.set_aside: dict[str, RuleError] = {}
        self.unreadable = 0
        self._session = session
        self._asked = frozenset().union(*(fields_of(rule.tree) for rule in rules))
        self._source = MemberColumns(sorted(self._asked))
        self._kept = KeptOpen()
        self._shapes: dict[int, frozenset[str]] = {}
        self._ready: _Ready | None = None
        self._number = {id(rule): number for number, rule in enumerate(self.rules)}
        self._deep_plans: dict[frozenset[str], Plan] = {}

    def run(self, lines: pa.Array) -> Matches:
        """Every match in `lines`, an array of text without nulls; `rows` are positions in it."""
        if not len(lines):
            return in_order([np.empty((0, 2), np.int64)])
        ready = self._ready = self._ready or self._prepared(lines)
        looked = self._kept.run(self._session, "scan", lambda: selected(self._source, ready.selected, LINES.names), _table(lines))
        rows, rules = ready.scan.candidates(looked, ready.numbers)
        plain = looked.column("valid").to_numpy().astype(np.bool_)
        plain[rows[rules == ready.unusual]] = False
        rows, rules = rows[plain[rows]], rules[plain[rows]]
        some = rows[firsts(rows)]
        shapes = self._shapes_of(lines.take(pa.array(some)), ready.shape)
        if not shapes.all():
            plain[some[shapes == _MISREAD]] = False
            rows, rules, some, shapes = rows[plain[rows]], rules[plain[rows]], some[plain[some]], shapes[plain[some]]
        pairs = [self._decided(lines, shapes, rows, rules), ready.untouched(np.flatnonzero(plain), rows, rules)]
        unusual = np.flatnonzero(~plain)
        for at in range(0, len(unusual), _UNUSUAL_AT_ONCE):
            pairs += self._of_unusual(lines, unusual[at : at + _UNUSUAL_AT_ONCE].tolist(), ready)
        return in_order(pairs)

    def _shapes_of(self, lines: pa.Array, shape: str) -> Any:
        """For each of `lines` the number that the SQL `shape` gives."""
        if not len(lines):
            return np.empty(0, np.uint64)
        select = [f"{shape} AS shape"]
        return self._kept.run(self._session, shape, lambda: selected(self._source, select, LINES.names), _table(lines))["shape"].to_numpy()

    def _decided(self, lines: pa.Array, shapes: Any, rows: Ints, rules: Ints) -> Ints:
        """Those of the candidate pairs, in order of `rows`, that match; `shapes` are those of the rows, each told once."""
        found = [np.empty((0, 2), np.int64)]
        first = firsts(rows)
        some, at = rows[first], np.cumsum(first) - 1
        for names, places in self._by_fields(lines, some, shapes).items():
            number = np.full(len(some), -1, np.int64)
            number[places] = np.arange(len(places))
            mine = number[at]
            here = mine >= 0
            part = self._extracted(names, _table(lines.take(pa.array(some[places]))))
            within = self._exact.decide(self._session, part, mine[here], rules[here])
            found.append(np.stack((some[places[within[:, 0]]], within[:, 1]), axis=1))
        return np.concatenate(found)

    def _by_fields(self, lines: pa.Array, some: Ints, shape: Any) -> dict[frozenset[str], Ints]:
        """Positions in `some`, rows of `lines`, by the fields rules ask for."""
        if not len(some):
            return {}
        found: dict[frozenset[str], list[Ints]] = {}
        order = np.argsort(shape, kind="stable")
        few: list[Ints] = []
        names_of_few: frozenset[str] = frozenset()
        for mine in np.split(order, np.flatnonzero(np.diff(shape[order])) + 1):
            names = self._names(int(shape[mine[0]]), lines[int(some[mine[0]])].as_py())
            if len(mine) < _FEW:
                few.append(mine)
                names_of_few |= names
            else:
                found.setdefault(names, []).append(mine)
        if few:
            found.setdefault(names_of_few, []).extend(few)
        return {names: np.sort(np.concatenate(parts)) for names, parts in found.items()}

    def _names(self, shape: int, line: str) -> frozenset[str]:
        if shape not in self._shapes:
            self._shapes[shape] = self._asked.intersection(_object(line) or ())
        return self._shapes[shape]

    def _extracted(self, names: frozenset[str], lines: pa.Table) -> pa.Table:
        """A statement of its own, so that the rules' statements read the columns as they are: they would extract again for each test."""
        if not names:
            return lines
        made = self._kept.run(self._session, names, lambda: self._source.extraction(names), lines)
        return made.append_column(LINES.field("line"), lines.column("line"))

    def _prepared(self, lines: pa.Array) -> _Ready:
        """The rules the engine accepts, and their search."""
        compiled = [self._compiled(rule, self._source.fields) for rule in self.rules]
        self._exact = Exact(compiled, self._source, self._failed)
        by_expression = [one for number, one in enumerate(compiled) if not self._exact.has_formula(number)]
        errors: list[RuleError] = []
        blank = self._source.given(pa.table({"line": ["{}"]}, schema=LINES), sorted(self._source.names.values()))
        fine = {id(one) for one in accepted(self._session, by_expression, errors, self._source, blank)}
        self._note(errors)
        kept = [number for number, one in enumerate(compiled) if self._exact.has_formula(number) or id(one) in fine]
        sample = lines.take(pa.array(np.linspace(0, len(lines) - 1, min(_SAMPLED, len(lines)), dtype=np.int64)))
        return _Ready(self.rules, kept, _counts("\n".join(sample.to_pylist()).lower()))

    def _compiled(self, rule: Rule, fields: Fields) -> CompiledRule:
        made = expression(rule.tree, fields)
        return CompiledRule(rule, frozenset(LogClass), made.sql, made.columns, frozenset(), made.unknown, rule.tree)

    def _failed(self, number: int, reason: str) -> None:
        rule = self.rules[number]
        self._note([RuleError(rule.file, f"the engine refuses it: {reason}", rule.line)])

    def _note(self, errors: Sequence[RuleError]) -> None:
        self.set_aside.update({str(error): error for error in errors})

    def _of_unusual(self, lines: pa.Array, rows: Sequence[int], ready: _Ready) -> list[Ints]:
        """Matches in lines that are no objects, or objects that are not flat, or written with needless escapes."""
        flat: dict[int, dict[str, Any]] = {}
        deep: dict[int, dict[str, Any]] = {}
        for row in rows:
            event = _object(lines[row].as_py())
            if event is None:
                self.unreadable += 1
            elif (paths := _flat(event, self._asked)) is not None:
                flat[row] = paths
            else:
                deep[row] = event
        pairs = []
        if flat:
            pairs += self._of_flat(list(flat.values()), np.asarray(list(flat)), ready)
        if deep:
            pairs.append(self._of_deep(list(deep.values()), np.asarray(list(deep))))
        return pairs

    def _of_flat(self, events: Sequence[Mapping[str, Any]], rows: Ints, ready: _Ready) -> list[Ints]:
        written = [json.dumps(event, ensure_ascii=False) for event in events]
        lowered = _table(pa.array([line.lower() for line in written], pa.string()))
        looked = self._kept.run(self._session, "scan", lambda: selected(self._source, ready.selected, LINES.names), lowered)
        at, rules = ready.scan.candidates(looked, ready.numbers)
        known = rules != ready.unusual
        at, rules = at[known], rules[known]
        again = pa.array(written, pa.string())
        shapes = self._shapes_of(again.take(pa.array(at[firsts(at)])), _SHAPE)
        decided = self._decided(again, shapes, at, rules)
        untouched = ready.untouched(np.arange(len(written)), at, rules)
        return [np.stack((rows[pairs[:, 0]], pairs[:, 1]), axis=1) for pairs in (decided, untouched)]

    def _of_deep(self, events: Sequence[Mapping[str, Any]], rows: Ints) -> Ints:
        names = frozenset(name for name in self._asked if any(match.reaches(event, name) for event in events))
        columns = match.columns_of(events, sorted(names))
        if names not in self._deep_plans:
            fields = ObjectFields(sorted(names))
            compiled = [self._compiled(rule, fields) for rule in self.rules]
            source = ValueColumns(fields)
            errors: list[RuleError] = []
            kept = accepted(self._session, compiled, errors, source, match.columns_of([{}], sorted(names)))
            self._note(errors)
            self._deep_plans[names] = Plan(kept, errors, source)
        plan = self._deep_plans[names]
        found = plan.run(self._session, columns)
        own = np.asarray([self._number[id(one.rule)] for one in plan.rules], np.int64)
        return np.stack((rows[found.rows], own[found.rules]), axis=1)


class _Ready:
    """The search for the rules `kept`, numbers of `rules`; `unusual` is the number of what is no rule, a line to be written anew."""

    def __init__(self, rules: Sequence[Rule], kept: Sequence[int], counts: Counts) -> None:
        fields = Members()
        self.unusual = len(rules)
        self.numbers = len(rules) + 1
        found = {number: signs(rules[number].tree, fields, counts) for number in kept}
        misread = (*_MISREAD_AS, _TRUTH) if any(has_keywords(rules[number].tree) for number in kept) else _MISREAD_AS
        patterns = ", ".join(map(literals.string, misread))
        self.shape = f"if(multiMatchAny(line, [{patterns}]), {_MISREAD}, {_SHAPE})"
        unusual = [Witness(LINE, text) for text in _UNUSUAL]
        wanted = {number: sign.witnesses for number, sign in found.items()}
        self.scan = Scan({**wanted, self.unusual: unusual}, MemberColumns(()))
        self.selected = [*self.scan.selected, "isValidJSON(line) AND startsWith(line, '{') AS valid"]
        self._otherwise = [number for number, sign in found.items() if sign.otherwise]

    def untouched(self, events: Ints, rows: Ints, rules: Ints) -> Ints:
        """The pairs of `events` with rules that hold where none of their witnesses stands; (rows, rules) are where one does."""
        found = [np.empty((0, 2), np.int64)]
        for number in self._otherwise:
            alone = np.setdiff1d(events, rows[rules == number], assume_unique=True)
            found.append(np.stack((alone, np.full(len(alone), number)), axis=1))
        return np.concatenate(found)


def _table(lines: pa.Array) -> pa.Table:
    return pa.table({"line": lines}, schema=LINES)


def _counts(text: str) -> Counts:
    """How often a witness stands in `text`."""

    @cache
    def count(witness: Witness) -> int:
        return len(re.findall(witness.pattern, text)) if not witness.is_literal else text.count(witness.literal)

    return count


def _object(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _flat(event: Mapping[str, Any], asked: frozenset[str]) -> dict[str, Any] | None:
    """The event with dotted paths for names and text for values; None when that would not say the same."""
    found: dict[str, Any] = {}
    waiting = list(event.items())
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, list) or path in found or (isinstance(value, dict) and path in asked):
            return None
        if isinstance(value, dict):
            waiting += [(f"{path}.{name}", inner) for name, inner in value.items()]
        else:
            found[path] = value if value is None or isinstance(value, str) else match.text_of(value)
    return found
