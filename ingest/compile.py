"""Turns a parser's definition into SQL when it is first needed: a centre of few products need not wait for those of all others.

A compiled parser is one SELECT over a table of lines. Its columns: `_ok` (recognised), `_detail` ('' or what is broken), then the
normalised columns the parser sets, each already of its column's type. What it does not set is not computed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from core.config import IntakeSettings
from core.engine import Engine, Session
from core.errors import ConfigError, ParserError, StoreError
from core.events import EVENTS, PARSED, Kind
from ingest import parser
from ingest.macros import ADDRESS, LONG, MIDDLE, NUMBER
from ingest.parser import COLUMNS, Definition, Tier
from ingest.scope import Scope
from ingest.sql import quote
from ingest.statement import select, words

LINES: Final = pa.schema([pa.field("line", pa.string(), nullable=False), pa.field("received", pa.int64(), nullable=False)])
"""What the statements read: the line as text and its time of receipt in milliseconds."""

OK: Final = "_ok"
DETAIL: Final = "_detail"
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
class Statement:
    """What runs over a parser's lines. `narrow` is for lines of ASCII alone; `wide` keeps cut characters out of the columns."""

    narrow: str
    wide: str


class Parser:
    """A parser of an installation. Its statement is compiled when a session first needs it, and kept; safe for many threads.

    `question` is a SELECT of `known`: 1 for each line it recognises, else 0.
    """

    def __init__(self, definition: Definition) -> None:
        """ParserError when its recognising condition cannot be expanded; all else is found when it is compiled."""
        self.name = definition.name
        self.version = definition.version
        self.vendor = definition.vendor
        self.product = definition.product
        self.tier: Tier = definition.tier
        self.definition = definition
        scope = Scope(definition)
        recognise = _expand(definition, scope, definition.recognise, MIDDLE, "recognise")
        self.question = select(scope.aliases, {"known": f"toUInt8(ifNull({recognise}, 0) != 0)"})
        self._statement: Statement | None = None
        self._guard = threading.Lock()

    def statement(self, session: Session) -> Statement:
        """The parser's SQL; ParserError names the line that is wrong."""
        with self._guard:
            if self._statement is None:
                self._statement = _Compiler(self.definition, session).statement()
            return self._statement

    def prove(self, session: Session) -> None:
        """Compile it and run it on no lines; ParserError as in `statement`."""
        statement = self.statement(session)
        try:
            session.arrow(statement.wide, LINES.empty_table(), {"zone": "UTC"})
        except StoreError as error:
            raise self.definition.error(_reason(error)) from None


class ParserSet:
    """All parsers of an installation, those asked first in front."""

    def __init__(self, parsers: Iterable[Parser]) -> None:
        self.parsers = sorted(parsers, key=lambda one: (one.tier, one.name))
        self.by_name = {one.name: one for one in self.parsers}

    @classmethod
    def load(cls, *folders: Path) -> ParserSet:
        """Every parser of `folders`, ours where there are none; one of a later folder takes the place of one of the same name.

        Files are read and checked for shape, nothing is compiled. ParserError names the first wrong file, line and reason.
        """
        files = {file.stem: file for folder in folders or (parser.FOLDER,) for file in parser.files(folder)}
        return cls(Parser(parser.load(file)) for file in files.values())

    @classmethod
    def open(cls, engine: Engine, settings: IntakeSettings) -> ParserSet:
        """The parsers of an installation: ours, which tests have proved, and the operator's own, which are proved here.

        ParserError as in `load` and `Parser.prove`; ConfigError when there is no such folder.
        """
        own = settings.parsers_folder
        if own is None:
            return cls.load()
        if not own.is_dir():
            raise ConfigError("intake.parsers_folder", f"{own} is no folder")
        found = cls.load(parser.FOLDER, own)
        with closing(engine.session()) as session:
            for one in found.parsers:
                if one.definition.file.parent == own:
                    one.prove(session)
        return found


def _expand(definition: Definition, scope: Scope, expression: str, window: int, *path: str) -> str:
    try:
        return scope.expand(expression, window)
    except ValueError as error:
        raise definition.error(f"{'.'.join(path)}: {error}", *path) from None


class _Compiler:
    def __init__(self, definition: Definition, session: Session) -> None:
        self._definition = definition
        self._session = session
        self._kinds = {column.name: column.kind for column in EVENTS.columns}

    def statement(self) -> Statement:
        one = self._definition
        scope = Scope(one)
        for name in ("text", *one.aliases):
            self._expand(scope, name, MIDDLE, *(("text",) if name == "text" else ("with", name)))
        columns = self._columns(scope)
        checks = {OK: self._expand(scope, one.recognise, MIDDLE, "recognise")}
        if one.malformed:
            checks[DETAIL] = self._detail(scope)
        final = {**checks, **self._coerced(scope.aliases, checks, columns)}
        return Statement(
            narrow=select(scope.aliases, final),
            wide=select(scope.aliases, {name: self._wide(name, sql) for name, sql in final.items()}),
        )

    def _expand(self, scope: Scope, expression: str, window: int, *path: str) -> str:
        return _expand(self._definition, scope, expression, window, *path)

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
        referred = {name for sql in columns.values() for name in words(sql) if name in columns}
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
        described = self._session.arrow(f"DESCRIBE ({select(aliases, columns)})", LINES.empty_table(), {"zone": "UTC"})
        return dict(zip(described["name"].to_pylist(), described["type"].to_pylist(), strict=True))


def _closure(name: str, columns: Mapping[str, str]) -> set[str]:
    """`name` and the columns its expression refers to, through and through."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting += [word for word in words(columns[one]) if word in columns and word not in found]
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
