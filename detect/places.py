"""Where in a text of rules something stands that an error speaks of: errors of Sigma name what is wrong, not where.

The place is that of the key or value the error names; where it names none, the beginning of its document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from detect.rules import documents

_NAMED: Final = re.compile(r"'([^']{1,300})'|\"([^\"]{1,300})\"")
_FIELDS: Final = re.compile(r"fields? ([\w.@, -]+?) (?:are|is) not in our events|has the fields ([\w.@, -]+):")
_SPOKEN_OF: Final = (
    *(("identifier", "id"), ("rule level", "level"), ("rule status", "status"), ("log source", "logsource"), ("logsource", "logsource")),
    *(("timespan", "timespan"), ("group-by", "group-by"), ("the type of a correlation", "type"), ("suppress", "suppress")),
    *(("condition", "condition"), ("tag", "tags"), ("date", "date"), ("title", "title"), ("correlation", "correlation")),
    *(("falsepositives", "falsepositives"), ("ATT&CK", "tags"), ("detection", "detection"), ("level", "level")),
)
"""Words of errors, and the key that is meant; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key, or a value of a list, of a document, and the scalar that stands at it ('' where none does)."""

    key: str
    value: str
    place: Place
    value_place: Place


class Places:
    """The keys and values of every document of a text."""

    def __init__(self, text: str) -> None:
        self._documents: dict[int, list[_Entry]] = {}
        self._broken: dict[int, Place] = {}
        for line, source in documents(text):
            try:
                root = yaml.compose(source, Loader=yaml.CSafeLoader)
            except yaml.MarkedYAMLError as error:
                mark = error.problem_mark
                self._broken[line] = Place(line + mark.line, mark.column + 1) if mark else Place(line, 1)
            except yaml.YAMLError:
                self._broken[line] = Place(line, 1)
            else:
                self._documents[line] = list(_entries(root, line)) if root else []

    def of(self, line: int, reason: str) -> Place:
        """Where the error `reason` about the document that begins on, or is broken in, `line` has its cause."""
        begins = max((first for first in (*self._documents, *self._broken) if first <= line), default=1)
        if begins in self._broken:
            return self._broken[begins]
        entries = self._documents.get(begins, [])
        found = _named(entries, reason) or _field(entries, reason) or _spoken_of(entries, reason)
        return found or Place(max(line, 1), 1)


def _named(entries: list[_Entry], reason: str) -> Place | None:
    """The first key or value that stands in quotes in the error."""
    for found in _NAMED.finditer(reason):
        word = found[1] or found[2]
        for entry in entries:
            if word == entry.key or word in entry.key.split("|")[1:]:
                return entry.place
            if word == entry.value:
                return entry.value_place
        for entry in entries:
            if entry.key == "condition" and re.search(rf"\b{re.escape(word)}\b", entry.value):
                return entry.value_place
    return None


def _field(entries: list[_Entry], reason: str) -> Place | None:
    told = _FIELDS.search(reason)
    names = {name.strip() for name in (told[1] or told[2]).split(",")} if told else set()
    return next((entry.place for entry in entries if entry.key.split("|")[0] in names), None)


def _spoken_of(entries: list[_Entry], reason: str) -> Place | None:
    for word, key in _SPOKEN_OF:
        if word in reason:
            for entry in entries:
                if entry.key == key:
                    return entry.place
    return None


def _entries(node: yaml.Node, first: int) -> Iterator[_Entry]:
    """The keys of a node and all below it, in the order of the text."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield _Entry(key.value, _scalar(value), _place(key, first), _place(value, first))
            yield from _entries(value, first)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            if isinstance(value, yaml.ScalarNode):
                yield _Entry("", value.value, _place(value, first), _place(value, first))
            yield from _entries(value, first)


def _scalar(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _place(node: yaml.Node, first: int) -> Place:
    return Place(first + node.start_mark.line, node.start_mark.column + 1)
