"""Sigma's condition language: `not`, `and`, `or` (binding in this order), brackets, names, `1 of`, `any of`, `all of`.

pySigma's grammar reads `not_admin` as `not _admin` and refuses `1 of sel-*`; this one goes by whole words. Names beginning with `_` are
reached by `them` or a pattern only when the pattern itself begins with `_` (Sigma specification, condition).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from detect.tree import AllOf, AnyOf, Negation, Node

_TOKEN = re.compile(r"[()]|[^\s()]+")
_RESERVED = frozenset(("and", "or", "not", "of", "(", ")"))
_DEEPEST = 64


class ConditionError(ValueError):
    """A condition that cannot be read."""


def parse(text: str, detections: Mapping[str, Callable[[], Node]]) -> Node:
    """The tree of condition `text`; `detections` gives the tree of each name. ConditionError says what is wrong."""
    reader = _Reader(text, detections)
    node = reader.either()
    if reader.token:
        raise ConditionError(f"unexpected {reader.token!r} in the condition {text!r}")
    return node


class _Reader:
    def __init__(self, text: str, detections: Mapping[str, Callable[[], Node]]) -> None:
        if "|" in text:
            raise ConditionError("aggregations after '|' in a condition are no longer Sigma; write a correlation rule")
        self._text = text
        self._tokens = _TOKEN.findall(text)
        self._at = 0
        self._depth = 0
        self._detections = detections

    @property
    def token(self) -> str:
        """The next token, '' at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, word: str) -> bool:
        if self.token.lower() == word:
            self._at += 1
            return True
        return False

    def either(self) -> Node:
        nodes = [self._both()]
        while self._take("or"):
            nodes.append(self._both())
        return nodes[0] if len(nodes) == 1 else AnyOf(tuple(nodes))

    def _both(self) -> Node:
        nodes = [self._one()]
        while self._take("and"):
            nodes.append(self._one())
        return nodes[0] if len(nodes) == 1 else AllOf(tuple(nodes))

    def _one(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConditionError(f"the condition is nested deeper than {_DEEPEST} levels")
        try:
            if self._take("not"):
                return Negation(self._one())
            if self._take("("):
                node = self.either()
                if not self._take(")"):
                    raise ConditionError(f"a bracket is not closed in the condition {self._text!r}")
                return node
            return self._name()
        finally:
            self._depth -= 1

    def _name(self) -> Node:
        name = self.token
        if not name or name.lower() in _RESERVED:
            raise ConditionError(f"a name is missing {f'before {name!r}' if name else 'at the end'} of the condition {self._text!r}")
        self._at += 1
        if self.token.lower() == "of" and name.lower() in ("1", "any", "all"):
            self._at += 1
            return self._several(name.lower())
        if name not in self._detections:
            raise ConditionError(f"the condition names {name!r}, which is not in the detection")
        return self._detections[name]()

    def _several(self, quantifier: str) -> Node:
        pattern = self.token
        if not pattern or pattern.lower() in _RESERVED:
            raise ConditionError(f"a name or pattern is missing after '{quantifier} of'")
        self._at += 1
        wanted = "*" if pattern == "them" else pattern.replace("[", "[[]")
        hidden = wanted.startswith("_")
        nodes = tuple(make() for name, make in self._detections.items() if fnmatchcase(name, wanted) and (hidden or name[0] != "_"))
        if not nodes:
            raise ConditionError(f"'{quantifier} of {pattern}' fits nothing in the detection")
        if len(nodes) == 1:
            return nodes[0]
        return AllOf(nodes) if quantifier == "all" else AnyOf(nodes)
