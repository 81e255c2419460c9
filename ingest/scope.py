"""The names one parser's SQL is built from: each intermediate result is written once and referred to by its alias.

Aliases carry the parser's name, so that the recognising conditions of all parsers can stand in one statement. Only what is referred to
gets into the statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ingest import headers
from ingest.macros import CEF_MARK, MACROS, MIDDLE, PADDING
from ingest.parser import Case, Cases, Definition, Pairs
from ingest.sql import arguments, quote, tokens

_CEF_FIELD = r"((?:[^|\\]|\\.)*)"
_CEF_HEADER = r"^(CEF: ?\d+(?:\.\d+)?\|" + r"\|".join([_CEF_FIELD] * 6) + r"(?:\||$))"
_CEF_KEY = " +([A-Za-z0-9_.]+)="
_CEF_KEPT = r"\1="
_PAD = '"'
_BACKSLASH = "\\"
_MANY_ROWS = frozenset(("arrayjoin", "over", "select"))  # a statement gives one row for each line, as soon as it has read it
_PART = re.compile(r"\d+")


class Scope:
    """Expands one definition's expressions and gathers the aliases they need."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._aliases: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._json: dict[str, Any] = {}
        self._open: set[str] = set()
        self._columns = definition.fills - headers.ALIASES.keys()  # such a word means the header's
        self.pairs: Pairs = definition.pairs
        self.delimiter: str = definition.delimiter

    @property
    def aliases(self) -> Mapping[str, str]:
        """Alias to SQL; complete once everything has been expanded."""
        if not self._json:
            return self._aliases
        return {**self._aliases, self._json_alias: f"JSONExtract({self.text}, {quote(_json_type(self._json))})"}

    def expand(self, expression: str, window: int = MIDDLE) -> str:
        """The SQL of an author's expression; ValueError says what is wrong with it."""
        out: list[str] = []
        done = 0
        previous = ""
        for kind, text, at in tokens(expression):
            if at < done:
                continue
            done = at + len(text)
            if kind == "word" and text.lower() in _MANY_ROWS:
                raise ValueError(f"{text} gives more or fewer rows than there are lines")
            if kind == "word":
                opening = _opening(expression, done)
                if opening and text in MACROS:
                    args, done = arguments(expression, opening)
                    out.append(self._macro(text, args, window))
                elif opening or previous == ".":
                    out.append(text)
                else:
                    out.append(self._name(text))
            else:
                out.append(text)
            if kind != "space":
                previous = text
        return "".join(out)

    def _macro(self, name: str, args: list[str], window: int) -> str:
        try:
            return MACROS[name](self, args, window)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{name}({', '.join(args)}): {error}") from error

    def define(self, sql: str) -> str:
        """An alias for `sql`; the same SQL has the same alias. What refers to a column cannot have one: aliases come before columns."""
        if re.fullmatch(r"\w+", sql):
            return sql
        if any(kind == "word" and text in self._columns for kind, text, _ in tokens(sql)):
            return f"({sql})"
        if sql not in self._named:
            alias = f"{self._definition.name}__{len(self._named)}"
            self._named[sql] = alias
            self._aliases[alias] = sql
        return self._named[sql]

    def _name(self, word: str) -> str:
        if word == "text":
            return self.text
        if word in headers.ALIASES:
            return self._named_alias(word, word, headers.ALIASES[word])
        if word in self._definition.aliases:
            return self._named_alias(word, f"{self._definition.name}__{word}", self._definition.aliases[word])
        return word

    def _named_alias(self, word: str, alias: str, expression: str) -> str:
        if alias not in self._aliases:
            if word in self._open:
                raise ValueError(f"{word} refers to itself")
            self._open.add(word)
            self._aliases[alias] = self.expand(expression)
            self._open.discard(word)
        return alias

    @property
    def text(self) -> str:
        """The alias of the text the macros read."""
        return self._named_alias("text", f"{self._definition.name}__text", self._definition.text)

    def pairs_text(self) -> str:
        """The text key=value pairs are looked for in."""
        return self._padded(self.text)

    def _padded(self, text: str) -> str:
        before, after = self.pairs.before, self.pairs.after
        pad = _PAD * PADDING + (after if after == before else after + before)
        return self.define(f"concat({quote(pad)}, {text})")

    def fields(self) -> tuple[str, str]:
        """Arrays of the names the map `fields` gives the text's keys ('' for others) and of their values, found in one pass."""
        table = self.map("fields")
        pairs = self.define(f"extractKeyValuePairs({self.text}, {quote(self.pairs.equals)}, {quote(self.pairs.after)}, '\"')")
        keys = ", ".join(quote(key.lower()) for key in table)
        names = ", ".join(quote(name) for name in table.values())
        return (
            self.define(f"arrayMap(key -> transform(lower(key), [{keys}], [{names}], ''), mapKeys({pairs}))"),
            self.define(f"mapValues({pairs})"),
        )

    def map(self, name: str) -> Mapping[str, str]:
        return self._definition.maps[name]

    # CSV

    def csv_fields(self) -> str:
        """Array of fields. Delimiters inside quotes become \\x1f until a field is taken out; a doubled quote becomes one."""
        text = self.text
        mark = quote(self.delimiter)
        parts = f"splitByChar('\"', {text})"
        shielded = (
            f"arrayStringConcat(arrayMap((part, at, n) -> multiIf(at % 2 = 0, replaceAll(part, {mark}, '\\x1f'), "
            f"part = '' AND at > 1 AND at < n, '\"', part), {parts}, arrayEnumerate({parts}), "
            f"arrayWithConstant(length({parts}), length({parts}))))"
        )
        return self.define(f"splitByChar({mark}, if(position({text}, '\"') = 0, {text}, {shielded}))")

    # CEF

    def cef_header(self) -> str:
        """Array of seven: what begins the header, then its fields from vendor to severity. Empty when the header is not whole."""
        return self.define(f"if({self._cef_plain()}, if(length({self._cef_split()}) < 7, [], {self._cef_split()}), {self._cef_matched()})")

    def cef_extension(self) -> str:
        """The extension, padded, with CEF_MARK in place of the blanks before each key."""
        size = f"if({self._cef_plain()}, length(arrayStringConcat({self._cef_split()}, '|')) + 1, length({self._cef_matched()}[1]))"
        extension = f"trim(TRAILING ' ' FROM substring({self._cef_text()}, {size} + 1))"
        marked = f"replaceRegexpAll({extension}, {quote(_CEF_KEY)}, {quote(CEF_MARK + _CEF_KEPT)})"
        return self.define(f"concat({quote(_PAD * PADDING + CEF_MARK)}, {marked})")

    def cef_escapes(self) -> str:
        """True where the extension holds a backslash."""
        return self.define(f"position({self.cef_extension()}, {quote(_BACKSLASH)}) > 0")

    def _cef_text(self) -> str:
        return self.define(f"substring({self.text}, greatest(position({self.text}, 'CEF:'), 1))")

    def _cef_plain(self) -> str:
        """True where the header holds no escaped character: then each bar ends a field."""
        return self.define(f"position(substring({self._cef_text()}, 1, 512), {quote(_BACKSLASH)}) = 0")

    def _cef_split(self) -> str:
        return self.define(f"splitByChar('|', {self._cef_text()}, 7)")

    def _cef_matched(self) -> str:
        return self.define(f"extractGroups(substring({self._cef_text()}, 1, 4096), {quote(_CEF_HEADER)})")

    # JSON

    @property
    def _json_alias(self) -> str:
        return f"{self._definition.name}__json"

    def json_value(self, path: list[str]) -> str:
        """The text at a path of the document, which is read once whatever number of paths are asked."""
        sql = self._json_alias
        place: dict[str, Any] | None = self._json
        for number, part in enumerate(path, 1):
            if place is None:
                raise ValueError("a path goes on where another ends")
            sql = f"{sql}[{int(part) + 1}]" if _PART.fullmatch(part) else f"tupleElement({sql}, {quote(part)})"
            place = place.setdefault(part, {} if number < len(path) else None)
        if place is not None:
            raise ValueError("a path ends where another goes on")
        _ = self.text  # the document's alias refers to it
        return sql

    # Cases

    def _cases(self) -> Cases:
        if self._definition.cases is None:
            raise ValueError("this parser has no cases")
        return self._definition.cases

    def group(self, name: str) -> str:
        """A named group of the case that matched; '' when that case has none of this name."""
        places = [str(case.groups.get(name, 0)) for case in self._cases().items]
        if not any(place != "0" for place in places):
            raise ValueError("no case has a group of this name")
        return f"{self._groups()}[[{', '.join(places)}][{self.case()}]]"

    def constant(self, name: str) -> str:
        """What the case that matched sets `name` to; '' when it does not."""
        if not any(name in case.set for case in self._cases().items):
            raise ValueError("no case sets this")
        return f"[{', '.join(quote(case.set.get(name, '')) for case in self._cases().items)}][{self.case()}]"

    def case(self) -> str:
        """Number of the case that matched, from 1; 0 when none did."""
        of = self._of()
        branches = [
            f"{self.expand(case.when) if case.when else _matches(of, case)}, {number}" for number, case in enumerate(self._cases().items, 1)
        ]
        return self.define(f"multiIf({', '.join(branches)}, 0)")

    def _groups(self) -> str:
        case = self.case()
        branches = [
            f"{case} = {number}, extractGroups({self._of()}, {quote(item.match)})"
            for number, item in enumerate(self._cases().items, 1)
            if item.match
        ]
        return self.define(f"multiIf({', '.join(branches)}, [])")

    def _of(self) -> str:
        return self.define(self.expand(self._cases().of))


def _matches(of: str, case: Case) -> str:
    # match() looks for a literal of the pattern first and takes a wrong one from some: it then misses what extractGroups finds.
    groups = re.compile(case.match).groups
    return f"notEmpty(extractGroups({of}, {quote(case.match)}))" if groups else f"match({of}, {quote(case.match)})"


def _opening(sql: str, at: int) -> int:
    """Where the '(' of a call stands when the word before `at` is followed by one, else 0."""
    while at < len(sql) and sql[at].isspace():
        at += 1
    return at if at < len(sql) and sql[at] == "(" else 0


def _json_type(tree: Mapping[str, Any] | None) -> str:
    """The ClickHouse type that holds the asked paths."""
    if tree is None:
        return "String"
    if all(_PART.fullmatch(key) for key in tree):
        kinds = {_json_type(inner) for inner in tree.values()}
        if len(kinds) != 1:
            raise ValueError("places of one list are asked for different things")
        return f"Array({kinds.pop()})"
    return "Tuple(" + ", ".join(f"`{key}` {_json_type(inner)}" for key, inner in tree.items()) + ")"
