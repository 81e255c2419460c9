"""Which parser each line is for, for a whole batch and any number of parsers.

1. One pass over every line finds which gates (`ingest.gates`) stand open: what some parser's condition needs.
2. Each parser's condition is asked of the lines that its gate lets through and that no parser before it has claimed. Products come
   first, those without a gate last among them: their conditions exclude one another, so that their order does not matter. Then
   come formats and what is generic, in the order of `ParserSet`.

So a line's parser depends on the line alone, and a condition costs nothing where no line can meet it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa

from ingest.compile import Parser, ParserSet
from ingest.encoding import Array
from ingest.gates import Gate, gate
from ingest.headers import ALIASES
from ingest.parser import Tier
from ingest.sql import quote
from ingest.statement import select

NOBODY: Final = 0
FAILED: Final = -1

Query = Callable[[str, Array, Callable[[Array, pa.Table], None]], Array]
"""Runs a statement over chosen rows, hands its answers with the places they are for to a taker, and gives the places that failed."""


class Detection:
    """The order in which parsers are asked, and the statements that ask."""

    def __init__(self, parsers: ParserSet) -> None:
        gates = {one.name: gate(one.definition.recognise) for one in parsers.parsers}
        self._order = sorted(parsers.parsers, key=lambda one: (one.tier, one.tier is Tier.PRODUCT and gates[one.name] is None))
        patterns = sorted(frozenset[str]().union(*(found.patterns for found in gates.values() if found)))
        places = {pattern: place for place, pattern in enumerate(patterns)}
        self._needs = [_needs(gates[one.name], places) for one in self._order]
        self._gates = _gates(patterns) if patterns else ""

    @property
    def order(self) -> list[Parser]:
        """The parsers; `claims` gives their places in this list, from 1."""
        return self._order

    def claims(self, rows: Array, query: Query) -> Array:
        """For each of `rows` the place of the parser that knows it, NOBODY, or FAILED when the engine could not say."""
        claims = np.zeros(len(rows), np.int32)
        opened = self._opened(rows, query, claims)
        for place, (parser, need) in enumerate(zip(self._order, self._needs, strict=True), 1):
            free = np.flatnonzero(claims == NOBODY)
            chosen = free if need is None else free[opened.any_of(need, free)]
            if chosen.size:
                _ask(parser, place, rows, chosen, claims, query)
        return claims

    def _opened(self, rows: Array, query: Query, claims: Array) -> _Opened:
        opened = _Opened(len(rows))
        if self._gates:
            claims[query(self._gates, rows, opened.take)] = FAILED
        return opened


class _Opened:
    """Which patterns were found in which lines."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._of: dict[int, list[Array]] = {}

    def take(self, places: Array, answer: pa.Table) -> None:
        found = answer["gates"].combine_chunks()
        numbers = found.values.to_numpy(zero_copy_only=False)
        lines = places[np.repeat(np.arange(len(found)), found.value_lengths().to_numpy(zero_copy_only=False))]
        order = np.argsort(numbers, kind="stable")
        kinds, starts = np.unique(numbers[order], return_index=True)
        for kind, of in zip(kinds, np.split(lines[order], starts)[1:], strict=True):
            self._of.setdefault(int(kind) - 1, []).append(of)

    def any_of(self, patterns: Array, among: Array) -> Array:
        """Which of the lines `among` hold any of `patterns`."""
        held = np.zeros(self._lines, bool)
        for pattern in patterns:
            for lines in self._of.get(int(pattern), ()):
                held[lines] = True
        return held[among]


def _ask(parser: Parser, place: int, rows: Array, chosen: Array, claims: Array, query: Query) -> None:
    def take(places: Array, answer: pa.Table) -> None:
        claims[chosen[places[answer["known"].to_numpy() > 0]]] = place

    claims[chosen[query(parser.question, rows[chosen], take)]] = FAILED


def _needs(found: Gate | None, places: dict[str, int]) -> Array | None:
    return None if found is None else np.array([places[pattern] for pattern in found.patterns])


def _gates(patterns: list[str]) -> str:
    """A SELECT of the numbers of the patterns found in a line, from 1."""
    listed = ", ".join(map(quote, patterns))
    return select({name: ALIASES[name] for name in ("pri_end", "rest")}, {"gates": f"multiMatchAllIndices(rest, [{listed}])"})
