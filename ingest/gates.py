"""What a line must hold for a parser to know it, read out of the parser's own condition.

Asking a hundred conditions of every line costs more than parsing it. But most of them begin with words that must be there: the words of
all parsers are looked for in one pass, and a condition is asked only where one of its own was found.

A condition is an expression of AND and OR over tests. Of a test that is understood the words are known; one that is not understood says
nothing. Words are only ever necessary, never sufficient: what is found here decides no line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# re has no public name for the tree of a pattern
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as tree_of  # type: ignore[attr-defined]
from typing import Any, Final

from ingest.headers import app_pattern
from ingest.sql import arguments, tokens, unquote

_LEAST: Final = 6  # weight: lighter patterns are in too many lines to be worth looking for
_MOST: Final = 96  # patterns of one condition
_LONGEST_REPEAT: Final = 16
_PARTS: Final = frozenset(("rest", "head", "body", "app", "host"))  # all of them are pieces of `rest`
_CUT: Final = re.compile(r"substring\((?:rest|head|body), ")
_CATEGORIES: Final = {code.CATEGORY_DIGIT: "0-9", code.CATEGORY_WORD: "A-Za-z0-9_", code.CATEGORY_SPACE: "\\t-\\r "}


@dataclass(frozen=True, slots=True)
class Gate:
    """One of `patterns` (regular expressions, as vectorscan reads them) is in `rest` of each line the condition holds for.

    `weight` is of the lightest of them: two for a character that is told, one for a class of characters.
    """

    patterns: frozenset[str]
    weight: int


def gate(condition: str) -> Gate | None:
    """The gate of a parser's `recognise`; None when nothing is known of it."""
    found = _any(condition)
    return found if found and len(found.patterns) <= _MOST else None


def _any(expression: str) -> Gate | None:
    return _joined(map(_all, _split(_bare(expression), "OR")))


def _all(expression: str) -> Gate | None:
    """The gate of the conjunct that tells most."""
    parts = list(_split(_bare(expression), "AND"))
    return _test(parts[0]) if len(parts) == 1 else _best(map(_any, parts))


def _joined(gates: Iterable[Gate | None]) -> Gate | None:
    found = list(gates)
    known = [one for one in found if one]
    if not found or len(known) < len(found):
        return None
    return Gate(frozenset[str]().union(*(one.patterns for one in known)), min(one.weight for one in known))


def _best(gates: Iterable[Gate | None]) -> Gate | None:
    return max(filter(None, gates), key=lambda one: (one.weight, -len(one.patterns)), default=None)


def _bare(expression: str) -> str:
    """`expression` without brackets around the whole of it."""
    expression = expression.strip()
    while expression.startswith("(") and arguments(expression, 0)[1] == len(expression):
        expression = expression[1:-1].strip()
    return expression


def _split(expression: str, word: str) -> Iterator[str]:
    depth, start = 0, 0
    for kind, text, at in tokens(expression):
        if kind == "sign" and text in "([{":
            depth += 1
        elif kind == "sign" and text in ")]}":
            depth -= 1
        elif kind == "word" and depth == 0 and text.upper() == word:
            yield expression[start:at]
            start = at + len(text)
    yield expression[start:]


def _test(test: str) -> Gate | None:
    try:
        return _understood(_bare(test))
    except ValueError:  # a word that is not written out
        return None


def _understood(test: str) -> Gate | None:
    if not {"AND", "OR"}.isdisjoint(_outer_words(test)):
        return _any(test)
    named = re.fullmatch(r"app\s*(?:IN\s*(\(.*\))|=\s*('.*'))", test, re.DOTALL)
    if named:
        words = arguments(named[1], 0)[0] if named[1] else [named[2]]
        return Gate(frozenset((app_pattern(map(unquote, words)),)), _LEAST)
    opening = test.find("(")
    if opening < 1:
        return None
    args, end = arguments(test, opening)
    if len(args) != 2 or not (args[0] in _PARTS or _CUT.match(args[0])):
        return None
    return _of_call(test[:opening].strip(), args[1], test[end:].replace(" ", ""))


def _of_call(name: str, argument: str, after: str) -> Gate | None:
    if name == "position" and after in ("", ">0"):
        return _words([unquote(argument)])
    if after:
        return None
    if name == "startsWith":
        return _words([unquote(argument)])
    if name == "multiSearchAny":
        return _words(map(unquote, arguments(argument, 0)[0]))
    if name == "match":
        return _of_regex(unquote(argument))
    return None


def _outer_words(test: str) -> Iterator[str]:
    depth = 0
    for kind, text, _ in tokens(test):
        if kind == "sign" and text in "([{":
            depth += 1
        elif kind == "sign" and text in ")]}":
            depth -= 1
        elif kind == "word" and depth == 0:
            yield text.upper()


def _words(words: Iterable[str]) -> Gate | None:
    found = frozenset(words)
    return _heavy(frozenset(map(re.escape, found)), 2 * min(map(len, found), default=0))


def _heavy(patterns: frozenset[str], weight: int) -> Gate | None:
    return Gate(patterns, weight) if weight >= _LEAST else None


def _of_regex(pattern: str) -> Gate | None:
    try:
        tree = tree_of.parse(pattern)
    except (ValueError, re.error):
        return None
    return None if tree.state.flags & re.IGNORECASE else _of_sequence(tree)


def _of_sequence(items: Any) -> Gate | None:
    """The heaviest gate of what follows one another: a run of characters and classes of fixed length, or what is in a group."""
    found: list[Gate | None] = []
    run: list[tuple[str, int]] = []
    for op, argument in [*items, (code.ANY, None)]:
        plain = _plain(op, argument)
        if plain:
            run.append(plain)
            continue
        repeated = _plain(code.SUBPATTERN, (None, 0, 0, argument[2])) if op is code.MAX_REPEAT and argument[0] > 0 else None
        run += [repeated] if repeated else []
        found.append(_heavy(frozenset(("".join(text for text, _ in run),)), sum(weight for _, weight in run)))
        run = [repeated] if repeated else []
        if op is code.BRANCH:
            found.append(_joined(map(_of_sequence, argument[1])))
        elif op is code.SUBPATTERN and not argument[1] & re.IGNORECASE:
            found.append(_of_sequence(argument[3]))
        elif op in (code.MAX_REPEAT, code.MIN_REPEAT) and argument[0] > 0:
            found.append(_of_sequence(argument[2]))
    return _best(found)


def _plain(op: Any, argument: Any) -> tuple[str, int] | None:
    """Pattern and weight of what is simple enough and not long; None for all else."""
    if op is code.LITERAL:
        return re.escape(chr(argument)), 2
    if op is code.IN:
        inside = [_of_class(*item) for item in argument]
        return None if None in inside else (f"[{''.join(map(str, inside))}]", 1)
    if op is code.BRANCH:
        branches = [_sequence(branch) for branch in argument[1]]
        known = [branch for branch in branches if branch]
        return (f"(?:{'|'.join(text for text, _ in known)})", min(weight for _, weight in known)) if len(known) == len(branches) else None
    if op is code.SUBPATTERN and not argument[1] & re.IGNORECASE:
        return _sequence(argument[3])
    if op is code.MAX_REPEAT and argument[1] <= _LONGEST_REPEAT:
        least, most, repeated = argument
        once = _sequence(repeated)
        return (f"(?:{once[0]}){{{least},{most}}}", once[1] * least) if once else None
    return None


def _sequence(items: Any) -> tuple[str, int] | None:
    parts = [_plain(op, argument) for op, argument in items]
    known = [part for part in parts if part]
    return ("".join(text for text, _ in known), sum(weight for _, weight in known)) if len(known) == len(parts) else None


def _of_class(op: Any, argument: Any) -> str | None:
    if op is code.LITERAL:
        return re.escape(chr(argument))
    if op is code.RANGE:
        return f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
    return _CATEGORIES.get(argument) if op is code.CATEGORY else None
