"""A parser is data: one YAML file that says how to recognise a product's lines and what each column is.

The file is checked whole when it is loaded, and every complaint is a ParserError with file and line. `ingest.compile` turns a
`Definition` into SQL; `docs/adding-a-parser.md` explains every key to the people who write these files.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import yaml

from core.errors import ParserError
from core.events import DIRECTIONS, DISPOSITIONS, PARSED, SEVERITIES, LogClass
from ingest.headers import ALIASES as HEADER_NAMES

FOLDER: Final = Path(__file__).parent / "parsers"

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster; not every build has it
_GROUP: Final = re.compile(r"group\('(\w+)'\)")
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_KEYS: Final = frozenset(
    (
        *("name", "version", "vendor", "product", "tier", "docs", "notes"),
        *("recognise", "text", "delimiter", "pairs", "with", "malformed", "maps", "fragments", "cases"),
        *("log_class", "event_time", "columns"),
    )
)
_REQUIRED: Final = ("name", "version", "vendor", "product", "recognise", "log_class", "columns")
_OWN: Final = frozenset({"parser", "parser_version", "log_class", "event_time"})
COLUMNS: Final = frozenset(column.name for column in PARSED) - _OWN
WORDS: Final[Mapping[str, Collection[Any]]] = {
    "log_class": frozenset(LogClass),
    "disposition": DISPOSITIONS,
    "direction": DIRECTIONS,
    "severity_id": SEVERITIES,
}
"""What the columns of few words may hold."""
_LITERAL: Final = re.compile(r"'(\w*)'")
_RESERVED: Final = frozenset(("text", "line", "received", "zone", "json"))


class Tier(IntEnum):
    """Which parsers are asked first: a product's own, then a format many products share, then whatever has some structure."""

    PRODUCT = 0
    FORMAT = 1
    GENERIC = 2


@dataclass(frozen=True, slots=True)
class Pairs:
    """How key=value text is written: what stands before a key, between key and value, and after a bare value."""

    before: str = " "
    equals: str = "="
    after: str = " "


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of message: the first case whose `when` holds gives the groups of `match` and the constants of `set`."""

    when: str
    match: str
    set: Mapping[str, str]
    line: int

    @property
    def groups(self) -> Mapping[str, int]:
        """Number of each named group of `match`."""
        return re.compile(self.match).groupindex


@dataclass(frozen=True, slots=True)
class Cases:
    """The shapes of a free-text log; `of` is the text they are matched against."""

    of: str
    items: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """One parser file, checked for shape; expressions are still those of the author."""

    file: Path
    name: str
    version: int
    vendor: str
    product: str
    recognise: str
    log_class: str
    columns: Mapping[str, str]
    tier: Tier = Tier.PRODUCT
    text: str = "body"
    delimiter: str = ","
    pairs: Pairs = Pairs()
    aliases: Mapping[str, str] = field(default_factory=dict)
    malformed: tuple[tuple[str, str], ...] = ()
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cases: Cases | None = None
    event_time: str = "header_time"
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def fills(self) -> frozenset[str]:
        """The columns this parser can fill, the source's line permitting."""
        items = self.cases.items if self.cases else ()
        return frozenset((*self.columns, *(name for case in items for name in (*case.set, *case.groups) if name in COLUMNS)))

    def error(self, reason: str, *path: str) -> ParserError:
        """A complaint about the part of the file at `path`."""
        return ParserError(self.file, reason, self.lines.get(path, 0))


def load(file: Path) -> Definition:
    """The definition in `file`; ParserError with the line when it is not one."""
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=_LOADER)
        tree = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the safe one, or the same in C
    except (OSError, UnicodeDecodeError) as error:
        raise ParserError(file, f"cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        raise ParserError(
            file,
            f"is not YAML: {error.problem}; a text with ': ' in it needs quotes, or a block that begins with >",
            _line_of(error.problem_mark),
        ) from error
    if not isinstance(tree, dict):
        raise ParserError(file, "must hold a mapping", 1)
    return _Reader(file, tree, _lines(file, node)).definition()


def files(folder: Path = FOLDER) -> list[Path]:
    """The parser files of a folder, in the order of their names."""
    return sorted(folder.glob("*.yaml"))


def near(name: str) -> str:
    """What to look at instead of a column that is not there: names like it, and where all of them are."""
    like = get_close_matches(name, sorted(COLUMNS), n=3, cutoff=0.5)
    return f" (like it: {', '.join(like)}; all: docs/events.md)" if like else " (all: docs/events.md)"


def _line_of(mark: Any) -> int:
    return 0 if mark is None else int(mark.line) + 1


def _lines(file: Path, node: Any) -> dict[tuple[str, ...], int]:
    """Where each key stands. YAML itself lets a key come twice and keeps the last: that hides mistakes, so it is refused."""
    found: dict[tuple[str, ...], int] = {}

    def walk(inner: Any, path: tuple[str, ...]) -> None:
        if isinstance(inner, yaml.MappingNode):
            for key, value in inner.value:
                here = (*path, str(key.value))
                if here in found:
                    raise ParserError(file, f"{key.value!r} stands here twice", _line_of(key.start_mark))
                found[here] = _line_of(key.start_mark)
                walk(value, here)
        elif isinstance(inner, yaml.SequenceNode):
            for number, value in enumerate(inner.value):
                here = (*path, str(number))
                found[here] = _line_of(value.start_mark)
                walk(value, here)

    walk(node, ())
    return found


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping | list):
        for inner in tree.values() if isinstance(tree, Mapping) else tree:
            yield from _texts(inner)
    elif isinstance(tree, str):
        yield tree


class _Reader:
    """Reads the tree of one file key by key."""

    def __init__(self, file: Path, tree: Mapping[Any, Any], lines: Mapping[tuple[str, ...], int]) -> None:
        self._file = file
        self._tree = tree
        self._lines = lines
        self._asked = {name for text in _texts(tree) for name in _GROUP.findall(text)}

    def definition(self) -> Definition:
        self._known(self._tree, _KEYS, ())
        for key in _REQUIRED:
            if key not in self._tree:
                raise ParserError(self._file, f"has no {key!r}", 1)
        name = self._text("name")
        if not _NAME.fullmatch(name) or name != self._file.stem:
            raise self._wrong(f"name {name!r} must be lower case and the same as the file's", "name")
        version = self._tree["version"]
        if not isinstance(version, int) or not 0 < version < 65536:
            raise self._wrong("version must be a whole number from 1", "version")
        delimiter = self._text("delimiter", ",")
        if len(delimiter.encode()) != 1:
            raise self._wrong("delimiter must be one ASCII character", "delimiter")
        return Definition(
            file=self._file,
            name=name,
            version=version,
            vendor=self._text("vendor"),
            product=self._text("product"),
            recognise=self._text("recognise"),
            log_class=self._log_class(),
            columns=self._columns(),
            tier=self._tier(),
            text=self._text("text", "body"),
            delimiter=delimiter,
            pairs=self._pairs(),
            aliases=self._aliases(),
            malformed=self._malformed(),
            maps=self._maps(),
            cases=self._cases(),
            event_time=self._text("event_time", "header_time"),
            lines=self._lines,
        )

    def _wrong(self, reason: str, *path: str) -> ParserError:
        return ParserError(self._file, reason, self._lines.get(path, 0))

    def _known(self, tree: Mapping[Any, Any], allowed: Collection[str], path: tuple[str, ...]) -> None:
        for key in tree:
            if key not in allowed:
                raise self._wrong(f"there is no such key: {key!r}", *path, str(key))

    def _text(self, key: str, default: str = "") -> str:
        value = self._tree.get(key, default)
        if not isinstance(value, str) or (key in self._tree and not value.strip("\n")):
            raise self._wrong(f"{key} must be text", key)
        return value

    def _tier(self) -> Tier:
        word = self._text("tier", "product")
        try:
            return Tier[word.upper()]
        except KeyError:
            raise self._wrong(f"tier {word!r} is none of product, format, generic", "tier") from None

    def _log_class(self) -> str:
        expression = self._text("log_class")
        if literal := _LITERAL.fullmatch(expression.strip()):
            self._one_of("log_class", literal[1], "log_class")
        return expression

    def _mapping(self, key: str) -> Mapping[str, str]:
        """A mapping of names to text; numbers and words of YAML (1, true) are read as they are written."""
        tree = self._tree.get(key, {})
        if not isinstance(tree, dict):
            raise self._wrong(f"{key} must be a mapping", key)
        return {str(name): self._scalar(value, key, str(name)) for name, value in tree.items()}

    def _scalar(self, value: Any, *path: str) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self._wrong("must be text; put quotes around it", *path)
        return str(value)

    def _columns(self) -> Mapping[str, str]:
        columns = self._mapping("columns")
        for name in columns:
            if name not in COLUMNS:
                raise self._wrong(f"there is no column {name!r} a parser may set{near(name)}", "columns", name)
        return columns

    def _aliases(self) -> Mapping[str, str]:
        aliases = self._mapping("with")
        for name in aliases:
            if not _NAME.fullmatch(name) or name in COLUMNS or name in _RESERVED or name in _OWN or name in HEADER_NAMES:
                raise self._wrong(f"{name!r} cannot be a name here: it is taken, or not lower case", "with", name)
        return aliases

    def _pairs(self) -> Pairs:
        pairs = self._mapping("pairs")
        self._known(pairs, ("before", "equals", "after"), ("pairs",))
        return Pairs(**pairs)

    def _maps(self) -> Mapping[str, Mapping[str, str]]:
        tree = self._tree.get("maps", {})
        if not isinstance(tree, dict) or not all(isinstance(table, dict) and table for table in tree.values()):
            raise self._wrong("maps must be mappings of words to words", "maps")
        maps = {
            str(name): {
                self._scalar(key, "maps", str(name)): self._scalar(value, "maps", str(name), str(key)) for key, value in table.items()
            }
            for name, table in tree.items()
        }
        for key, value in maps.get("disposition", {}).items():
            self._one_of("disposition", value, "maps", "disposition", key)
        return maps

    def _one_of(self, column: str, value: str, *path: str) -> None:
        if column in WORDS and value not in map(str, WORDS[column]):
            raise self._wrong(f"{column} is {value!r}, which is none of {', '.join(map(str, WORDS[column]))}", *path)

    def _malformed(self) -> tuple[tuple[str, str], ...]:
        items = self._tree.get("malformed", [])
        if not isinstance(items, list):
            raise self._wrong("malformed must be a list of when and detail", "malformed")
        found = []
        for number, item in enumerate(items):
            if not isinstance(item, dict) or set(item) != {"when", "detail"}:
                raise self._wrong("must have when and detail", "malformed", str(number))
            found.append((str(item["when"]), str(item["detail"])))
        return tuple(found)

    def _cases(self) -> Cases | None:
        tree = self._tree.get("cases")
        if tree is None:
            return None
        if not isinstance(tree, dict) or not isinstance(tree.get("of"), str) or not isinstance(tree.get("items"), list):
            raise self._wrong("cases must have of (a text) and items (a list)", "cases")
        self._known(tree, ("of", "items"), ("cases",))
        return Cases(tree["of"], tuple(self._case(number, item) for number, item in enumerate(tree["items"])))

    def _filled(self, pattern: str, *path: str) -> str:
        """`pattern` with each %{NAME} replaced by that fragment."""
        fragments = self._mapping("fragments")
        try:
            return re.sub(r"%\{(\w+)\}", lambda found: fragments[found[1]], pattern)
        except KeyError as error:
            raise self._wrong(f"there is no fragment {error}", *path) from None

    def _case(self, number: int, item: Any) -> Case:
        path = ("cases", "items", str(number))
        if not isinstance(item, dict) or not (item.get("when") or item.get("match")):
            raise self._wrong("a case has when, or match, or both", *path)
        self._known(item, ("when", "match", "set"), path)
        constants = item.get("set", {})
        if not isinstance(constants, dict):
            raise self._wrong("set must be a mapping", *path, "set")
        match = self._filled(str(item.get("match", "")), *path, "match")
        try:
            re.compile(match)
        except re.error as error:
            raise self._wrong(f"match is not a regular expression: {error}", *path, "match") from error
        case = Case(
            when=str(item.get("when", "")),
            match=match,
            set={str(key): self._scalar(value, *path, "set", str(key)) for key, value in constants.items()},
            line=self._lines.get(path, 0),
        )
        for column, value in case.set.items():
            self._one_of(column, value, *path, "set", column)
        for name in case.groups:
            if name not in COLUMNS and name not in self._asked:
                raise self._wrong(f"the group {name!r} is no column{near(name)}, and nothing asks for group('{name}')", *path, "match")
        return case
