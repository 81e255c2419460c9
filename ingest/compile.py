"""Turns a parser's definition into SQL, and proves it by running it on no rows.

A compiled parser is one SELECT over a table of lines. Its columns: `_ok` (recognised), `_detail` ('' or what is broken), then the
normalised columns the parser sets, each already of its column's type. What it does not set is not computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from core.engine import Session
from core.errors import ParserError, StoreError
from core.events import EVENTS, PARSED, Kind
from ingest import parser
from ingest.macros import ADDRESS, LONG, MIDDLE, NUMBER
from ingest.parser import COLUMNS, Definition, Tier
from ingest.scope import Scope
from ingest.sql import arguments, quote, tokens

LINES: Final = pa.schema([pa.field("line", pa.string(), nullable=False), pa.field("received", pa.int64(), nullable=False)])
"""What the statements read: the line as text and its time of receipt in milliseconds."""

OK: Final = "_ok"
DETAIL: Final = "_detail"
SETTINGS: Final = "SETTINGS max_threads = 1, max_block_size = 4096, query_plan_merge_expressions = 0"
"""Measured: blocks that stay in the cache take a third less time than whole batches, and melting the levels of a statement into one
makes the engine compute, for every row, what only some need."""
_ORDER: Final = tuple(column.name for column in PARSED)

_KEY_OF: Final = {OK: "recognise", DETAIL: "malformed"}
_WINDOW: Final = {
    Kind.TEXT: LONG,
    Kind.WORD: MIDDLE,
    Kind.IP: ADDRESS,
    Kind.UINT8: NUMBER,
    Kind.UINT16: NUMBER,
    Kind.UINT32: NUMBER,
    Kind.UINT64: NUMBER,
    Kind.TIME: MIDDLE,
}


@dataclass(frozen=True, slots=True)
class Parser:
    """A parser ready to run. `select` is for lines of ASCII alone; `select_wide` keeps cut characters out of the columns."""

    name: str
    version: int
    vendor: str
    product: str
    tier: Tier
    file: Path
    select: str
    select_wide: str
    recognise: str
    aliases: Mapping[str, str]


class ParserSet:
    """All parsers of an installation, those asked first in front."""

    def __init__(self, parsers: list[Parser]) -> None:
        self.parsers = sorted(parsers, key=lambda one: (one.tier, one.name))
        self.by_name = {one.name: one for one in self.parsers}

    @classmethod
    def load(cls, session: Session, folder: Path = parser.FOLDER) -> ParserSet:
        """Every parser of `folder`; ParserError names the first wrong file, line and reason."""
        return cls([compile_parser(parser.load(file), session) for file in parser.files(folder)])

    def detect(self, candidates: list[Parser]) -> str:
        """A SELECT of one column: the number of the first of `candidates` that knows the line, from 1, or 0."""
        aliases: dict[str, str] = {}
        branches = []
        for number, one in enumerate(candidates, 1):
            aliases.update(one.aliases)
            branches.append(f"{one.recognise}, {number}")
        return _select(aliases, {"parser": f"toUInt16(multiIf({', '.join(branches)}, 0))"})


def compile_parser(definition: Definition, session: Session) -> Parser:
    """The SQL of `definition`; ParserError names the line that is wrong."""
    return _Compiler(definition, session).parser()


class _Compiler:
    def __init__(self, definition: Definition, session: Session) -> None:
        self._definition = definition
        self._session = session
        self._kinds = {column.name: column.kind for column in EVENTS.columns}

    def parser(self) -> Parser:
        one = self._definition
        scope = Scope(one)
        recognise = self._expand(scope, one.recognise, MIDDLE, "recognise")
        recognising = dict(scope.aliases)
        scope = Scope(one)
        for name in ("text", *one.aliases):
            self._expand(scope, name, MIDDLE, *(("text",) if name == "text" else ("with", name)))
        columns = self._columns(scope)
        checks = {OK: self._expand(scope, one.recognise, MIDDLE, "recognise")}
        if one.malformed:
            checks[DETAIL] = self._detail(scope)
        final = {**checks, **self._coerced(scope.aliases, checks, columns)}
        self._session.arrow(_select(scope.aliases, final), LINES.empty_table(), {"zone": "UTC"})
        return Parser(
            name=one.name,
            version=one.version,
            vendor=one.vendor,
            product=one.product,
            tier=one.tier,
            file=one.file,
            select=_select(scope.aliases, final),
            select_wide=_select(scope.aliases, {name: self._wide(name, sql) for name, sql in final.items()}),
            recognise=f"({recognise})",
            aliases=recognising,
        )

    def _expand(self, scope: Scope, expression: str, window: int, *path: str) -> str:
        try:
            return scope.expand(expression, window)
        except ValueError as error:
            raise self._definition.error(f"{'.'.join(path)}: {error}", *path) from None

    def _columns(self, scope: Scope) -> dict[str, str]:
        """Column to expanded expression, in the order of the table."""
        one = self._definition
        found = {
            "log_class": self._expand(scope, one.log_class, MIDDLE, "log_class"),
            "event_time": self._expand(scope, one.event_time, MIDDLE, "event_time"),
        }
        for name, expression in one.columns.items():
            found[name] = self._expand(scope, expression, _WINDOW[self._kinds[name]], "columns", name)
        for name in self._case_names() - set(found):
            found[name] = self._of_cases(scope, name)
        return {name: found[name] for name in _ORDER if name in found}

    def _case_names(self) -> set[str]:
        """Columns that some case sets or catches."""
        cases = self._definition.cases
        if cases is None:
            return set()
        names: set[str] = set()
        for item in cases.items:
            for name in item.set:
                if name not in COLUMNS and name != "log_class":
                    raise ParserError(self._definition.file, f"there is no column {name!r} a case may set", item.line)
                names.add(name)
            names |= {name for name in item.groups if name in COLUMNS}
        return names

    def _of_cases(self, scope: Scope, name: str) -> str:
        cases = self._definition.cases
        assert cases is not None  # noqa: S101 - there are names of cases only where there are cases
        caught = scope.group(name) if any(name in item.groups for item in cases.items) else ""
        constant = scope.constant(name) if any(name in item.set for item in cases.items) else ""
        if caught and constant:
            return f"if({constant} = '', {caught}, {constant})"
        return caught or constant

    def _detail(self, scope: Scope) -> str:
        branches = []
        for number, (when, detail) in enumerate(self._definition.malformed):
            condition = self._expand(scope, when, MIDDLE, "malformed", str(number))
            branches.append(f"{condition}, {quote(detail)}")
        return f"multiIf({', '.join(branches)}, '')"

    def _coerced(self, aliases: Mapping[str, str], checks: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, str]:
        """Each expression as the type of its column, by what type the engine says it has.

        Where one column refers to another it means the other as the type of its column: so the question holds those as well.
        """
        referred = {name for sql in columns.values() for name in _words(sql) if name in columns}
        asked = {name: _coerce(columns[name], "", self._kinds[name]) for name in referred}
        types = self._described(aliases, {**checks, **asked, **{f"_type_{name}": sql for name, sql in columns.items()}})
        return {name: _coerce(sql, types[f"_type_{name}"], self._kinds[name]) for name, sql in columns.items()}

    def _wide(self, name: str, sql: str) -> str:
        return f"toValidUTF8({sql})" if name in self._kinds and self._kinds[name].is_text else sql

    def _described(self, aliases: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, str]:
        """ClickHouse type of each expression; the one that does not compile is found and named."""
        try:
            return self._describe(aliases, columns)
        except StoreError as error:
            self._blame(aliases, columns)
            raise self._definition.error(_reason(error)) from None

    def _blame(self, aliases: Mapping[str, str], columns: Mapping[str, str]) -> None:
        """Raise for the first alias or column that does not compile by itself."""
        own = f"{self._definition.name}__"
        for number, alias in enumerate(aliases, 1):
            name = alias.removeprefix(own)
            path = ("with", name) if name in self._definition.aliases else (name,)
            self._check(dict(list(aliases.items())[:number]), {"x": alias}, path)
        for alias in columns:
            name = alias.removeprefix("_type_")
            wanted = _closure(alias, columns)
            path = ("columns", name) if name in self._definition.columns else (_KEY_OF.get(name, name),)
            self._check(aliases, {one: columns[one] for one in columns if one in wanted}, path)

    def _check(self, aliases: Mapping[str, str], columns: Mapping[str, str], path: tuple[str, ...]) -> None:
        try:
            self._describe(aliases, columns)
        except StoreError as error:
            raise self._definition.error(f"{'.'.join(path)}: {_reason(error)}", *path) from None

    def _describe(self, aliases: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, str]:
        select = _select(aliases, columns)
        described = self._session.arrow(f"DESCRIBE ({select})", LINES.empty_table(), {"zone": "UTC"})
        return dict(zip(described["name"].to_pylist(), described["type"].to_pylist(), strict=True))


def _select(aliases: Mapping[str, str], columns: Mapping[str, str]) -> str:
    """One SELECT of `columns`, the aliases in subqueries inside it.

    As WITH aliases they would cost the analyser a copy for each reference, of references inside references: tenths of a second for
    every statement. What is referred to once is put in its place: there the engine can leave it out for the rows that need no such
    branch of an `if`, which it does not over the border of a subquery.
    """
    aliases, columns = _inlined(aliases, columns)
    source = "Python(rows)"
    for level in _levels(aliases):
        source = f"(SELECT *, {', '.join(f'{aliases[name]} AS {name}' for name in level)} FROM {source})"
    return f"SELECT {', '.join(f'{sql} AS {name}' for name, sql in columns.items())} FROM {source} {SETTINGS}"


def _inlined(aliases: Mapping[str, str], columns: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The same with every alias that is referred to once in its place, and without those that are not referred to."""
    kept = dict(aliases)
    used = Counter(word for sql in (*kept.values(), *columns.values()) for word in _words(sql) if word in kept)
    singles = {name: sql for name, sql in kept.items() if used[name] == 1}

    def replaced(sql: str) -> str:
        return "".join(_bracketed(replaced(singles[text])) if kind == "word" and text in singles else text for kind, text, _ in tokens(sql))

    return (
        {name: replaced(sql) for name, sql in kept.items() if used[name] > 1},
        {name: replaced(sql) for name, sql in columns.items()},
    )


def _bracketed(sql: str) -> str:
    """`sql` in brackets unless it is one call: the engine's reader of SQL is slow in brackets inside brackets."""
    opening = sql.find("(")
    if opening > 0 and sql[:opening].isidentifier() and arguments(sql, opening)[1] == len(sql):
        return sql
    return f"({sql})"


def _levels(aliases: Mapping[str, str]) -> list[list[str]]:
    """The aliases in groups, each group needing only those before it."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 1 + max((depth(one) for one in _words(aliases[name]) if one in aliases), default=-1)
        return depths[name]

    groups: dict[int, list[str]] = {}
    for name in aliases:
        groups.setdefault(depth(name), []).append(name)
    return [groups[number] for number in sorted(groups)]


def _words(sql: str) -> list[str]:
    return [text for kind, text, _ in tokens(sql) if kind == "word"]


def _closure(name: str, columns: Mapping[str, str]) -> set[str]:
    """`name` and the columns its expression refers to, through and through."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting += [word for word in _words(columns[one]) if word in columns and word not in found]
    return found


def _coerce(sql: str, kind_of_sql: str, kind: Kind) -> str:
    """`sql` as the type of a column; NULL (or '' for text) where the value is none."""
    bare = kind_of_sql.replace("LowCardinality(", "").replace("Nullable(", "").rstrip(")").split("(")[0]
    textual = bare in ("String", "FixedString")
    if kind.is_text:
        return sql if kind_of_sql == "String" else f"ifNull(toString({sql}), '')"
    if kind is Kind.IP:
        return sql if bare == "IPv6" else f"toIPv6OrNull({sql if textual else f'toString({sql})'})"
    if kind is Kind.TIME:
        return _time(sql, bare)
    wanted = kind.name.replace("UINT", "UInt")
    if textual:
        return f"to{wanted}OrNull({sql})"
    return sql if bare == wanted else f"accurateCastOrNull({sql}, '{wanted}')"


def _time(sql: str, bare: str) -> str:
    """Milliseconds since 1970 as Nullable(Int64)."""
    if bare == "String":
        return f"toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({sql}, 3, {{zone:String}}))"
    if bare == "DateTime":
        return f"toInt64(toUnixTimestamp({sql})) * 1000"
    if bare == "DateTime64":
        return f"toUnixTimestamp64Milli(toDateTime64({sql}, 3))"
    return f"toNullable(toInt64({sql}))"


def _reason(error: StoreError) -> str:
    """The engine's message without its tail of scopes and versions."""
    text = str(error).split("DB::Exception: ", 1)[-1]
    return text.split(" In scope ", 1)[0].split("Stack trace", 1)[0].strip()[:400]
