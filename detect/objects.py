"""A rule set over events given as JSON lines, by the names their fields have: what `bongsu bench detect` runs.

Log sources are passed over: every rule is judged on every event, as `bongsu rules match` judges. What an event's fields mean is said in
`detect.match`. Events are grouped by their shape, the names of their fields that any rule asks for. Each shape has a plan of its own:
rules that need a field it lacks are folded away when it is compiled, and the engine extracts no other fields. A shape's witnesses are
chosen on a sample of its first events.

An event with objects within it is first made flat, its fields named by their dotted paths. One that holds lists, or a rule asks for both
a field and one within it, is judged by the rules' expressions over all values of each field, without witnesses: right, and slow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from core.engine import Session
from core.errors import RuleError
from core.events import LogClass
from detect import literals, match
from detect.compile import expression
from detect.compiled import CompiledRule
from detect.fields import LINE, Field, FieldKind, Fields, ObjectFields
from detect.rules import Rule
from detect.ruleset import Matches, Plan, Source, accepted
from detect.tree import fields_of
from detect.witness import Witness, witnesses

_LINES: Final = pa.schema([pa.field("line", pa.string(), nullable=False)])
# What the fast way would not read as it is: an object or a list within, and escapes of characters that need none.
_UNUSUAL: Final = (r":[ \t\r\n]*[\[{]", r"\\u00[2-7]", r"\\/")
_SAMPLED: Final = 256
_FEW: Final = 2048  # events of a shape that are not worth statements of their own go together with other shapes'


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
        self._shapes: dict[int, frozenset[str]] = {}
        self._plans: dict[tuple[frozenset[str], bool], tuple[Plan, list[int]]] = {}

    def run(self, lines: pa.Array) -> Matches:
        """Every match in `lines`, an array of text without nulls; `rows` are positions in it."""
        table = pa.table({"line": lines}, schema=_LINES)
        listed = ", ".join(literals.string(pattern) for pattern in _UNUSUAL)
        looked = self._session.arrow(
            f"SELECT cityHash64(JSONExtractKeys(line)) AS shape, multiMatchAny(line, [{listed}]) AS unusual FROM Python(rows)", table
        )
        shape, unusual = looked.column("shape").to_numpy(), looked.column("unusual").to_numpy().astype(bool)
        pairs = [np.empty((0, 2), np.int64)]
        hard: list[int] = []
        for names, rows in self._by_fields(lines, shape, np.flatnonzero(~unusual)).items():
            part = table if len(rows) == table.num_rows else table.take(pa.array(rows))
            if names is None:
                hard += rows.tolist()
            else:
                pairs.append(self._matches(names, part, rows))
        pairs += self._of_unusual(lines, [*hard, *np.flatnonzero(unusual).tolist()])
        together = np.concatenate(pairs)
        ordered = together[np.lexsort((together[:, 1], together[:, 0]))]
        return Matches(rules=ordered[:, 1], rows=ordered[:, 0])

    def _by_fields(self, lines: pa.Array, shape: Any, rows: Any) -> dict[frozenset[str] | None, Any]:
        """Rows by the fields rules ask for; None are rows without any name, which may be no objects."""
        found: dict[frozenset[str] | None, list[Any]] = {}
        order = rows[np.argsort(shape[rows], kind="stable")]
        few: list[Any] = []
        names_of_few: frozenset[str] = frozenset()
        for mine in np.split(order, np.flatnonzero(np.diff(shape[order])) + 1) if len(order) else ():
            names = self._names(int(shape[mine[0]]), lines[int(mine[0])].as_py())
            if names is not None and len(mine) < _FEW:
                few.append(mine)
                names_of_few |= names
            else:
                found.setdefault(names, []).append(mine)
        if few:
            found.setdefault(names_of_few, []).extend(few)
        return {names: np.sort(np.concatenate(parts)) for names, parts in found.items()}

    def _names(self, shape: int, line: str) -> frozenset[str] | None:
        if shape not in self._shapes:
            event = _object(line)
            if not event:
                return None
            self._shapes[shape] = self._asked.intersection(event)
        return self._shapes[shape]

    def _matches(self, names: frozenset[str], part: pa.Table, rows: Any) -> Any:
        plan, own = self._plan(names, part.column("line"))
        found = plan.run(self._session, self._extracted(names, part))
        return np.stack((rows[found.rows], np.asarray(own, np.int64)[found.rules]), axis=1)

    def _extracted(self, names: frozenset[str], part: pa.Table) -> pa.Table:
        """The columns of `_FlatFields(names)`.

        A statement of its own, so that the rules' statements read them as they are: they would extract and fold again for each test.
        """
        listed = sorted(names)
        if not listed:
            return part
        quoted = (name.replace("\\", "\\\\").replace("`", "\\`") for name in listed)
        wanted = literals.string(f"Tuple({', '.join(f'`{name}` Nullable(String)' for name in quoted)})")
        values = []
        for number in range(len(listed)):
            value = f"extracted.{number + 1}"
            values.append(f"ifNull({value}, '') AS f{number}, isNotNull({value}) AS has_f{number}, lowerUTF8(f{number}) AS low_f{number}")
        extracted = f"(SELECT JSONExtract(line, {wanted}) AS extracted FROM Python(rows))"
        made = self._session.arrow(f"SELECT {', '.join(values)} FROM {extracted}", part)
        return made.append_column(_LINES.field("line"), part.column("line"))

    def _plan(self, names: frozenset[str], lines: pa.ChunkedArray) -> tuple[Plan, list[int]]:
        key = (names, False)
        if key not in self._plans:
            fields = _FlatFields(sorted(names))
            counts = _counts(fields, [event for line in lines.slice(0, _SAMPLED).to_pylist() if (event := _object(line))])
            blank = self._extracted(names, pa.table({"line": ["{}"]}, schema=_LINES))
            self._plans[key] = self._compiled(fields, _Columns("has_", "low_"), blank, counts)
        return self._plans[key]

    def _compiled(self, fields: Fields, source: Source, blank: pa.Table, counts: Callable[[Witness], int] | None) -> tuple[Plan, list[int]]:
        compiled, places = [], {}
        for place, rule in enumerate(self.rules):
            made = expression(rule.tree, fields)
            if made.constant is not False:
                found = witnesses(rule.tree, fields, counts) if counts and made.constant is None else frozenset()
                one = CompiledRule(rule, frozenset(LogClass), made.sql, made.columns, found, made.unknown)
                compiled.append(one)
                places[id(one)] = place
        errors: list[RuleError] = []
        kept = accepted(self._session, compiled, errors, source, blank)
        self.set_aside.update({str(error): error for error in errors})
        return Plan(kept, errors, source), [places[id(one)] for one in kept]

    def _of_unusual(self, lines: pa.Array, rows: Sequence[int]) -> list[Any]:
        """Matches in lines that are no objects, or objects that are not flat, or written with needless escapes."""
        flat: dict[int, dict[str, Any]] = {}
        deep: dict[int, dict[str, Any]] = {}
        for row in rows:
            event = _object(lines[row].as_py())
            if event is None:
                self.unreadable += 1
            elif paths := _flat(event, self._asked):
                flat[row] = paths
            else:
                deep[row] = event
        pairs = []
        if flat:
            names = self._asked & frozenset().union(*flat.values())
            written = [json.dumps(one, ensure_ascii=False) for one in flat.values()]
            pairs.append(self._matches(names, pa.table({"line": written}, schema=_LINES), np.asarray(list(flat))))
        if deep:
            pairs.append(self._of_deep(list(deep.values()), np.asarray(list(deep))))
        return pairs

    def _of_deep(self, events: Sequence[Mapping[str, Any]], rows: Any) -> Any:
        names = [name for name in sorted(self._asked) if any(match.reaches(event, name) for event in events)]
        key = (frozenset(names), True)
        columns = match.columns_of(events, names)
        if key not in self._plans:
            blank = match.columns_of([{}], names)
            self._plans[key] = self._compiled(ObjectFields(names), _Columns("there_"), blank, None)
        plan, own = self._plans[key]
        found = plan.run(self._session, columns)
        return np.stack((rows[found.rows], np.asarray(own, np.int64)[found.rules]), axis=1)


class _FlatFields:
    """The fields `names` of flat JSON objects in the column `line`: f0, f1, ..., has_f0 that tells what is there, low_f0 in lower case."""

    absent_is_blank = False

    def __init__(self, names: Sequence[str]) -> None:
        self.names = {name: f"f{position}" for position, name in enumerate(names)}

    def field(self, name: str) -> Field | None:
        column = self.names.get(name)
        if column is None:
            return None
        return Field(
            f"`{column}`",
            FieldKind.TEXT,
            column,
            size=1,
            there=f"JSONHas(line, {literals.string(name)})",
            present=f"`has_{column}`",
            folded=f"`low_{column}`",
        )

    def line(self) -> Field:
        values = "arrayMap(pair -> pair.2, JSONExtractKeysAndValues(line, 'String'))"
        return Field(values, FieldKind.VALUES, "line", encoded=_encoded)


class _Columns:
    """A table whose columns are read as they are; a field is two of them or three."""

    def __init__(self, *beside: str) -> None:
        self._beside = beside

    def needed(self, columns: Sequence[str]) -> Sequence[str]:
        fields = [column for column in columns if column != LINE]
        return [*columns, *(prefix + column for column in fields for prefix in self._beside)]

    def columns(self, given: Sequence[str]) -> list[str]:
        return [f"`{name}`" for name in given]

    def lowered(self, column: str) -> str:
        return f"lower(`{column}`)" if column == LINE else f"`low_{column}`"


def _encoded(text: str) -> str:
    return json.dumps(text)[1:-1]


def _counts(fields: _FlatFields, events: Sequence[Mapping[str, Any]]) -> Callable[[Witness], int]:
    """How often a witness stands in the values of `events`."""
    texts = {
        column: "\n".join(v for event in events for v in match.values_of(event, name)).lower() for name, column in fields.names.items()
    }
    texts["line"] = "\n".join(json.dumps(event, ensure_ascii=False) for event in events).lower()
    return lambda witness: texts[witness.column].count(witness.literal)


def _object(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _flat(event: Mapping[str, Any], asked: frozenset[str]) -> dict[str, Any]:
    """The event with dotted paths for names; empty when that would not say the same."""
    found: dict[str, Any] = {}
    waiting = list(event.items())
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, list) or path in found or (isinstance(value, dict) and path in asked):
            return {}
        if isinstance(value, dict):
            waiting += [(f"{path}.{name}", inner) for name, inner in value.items()]
        else:
            found[path] = value
    return found
