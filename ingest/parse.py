"""Lines to parsed columns: which parser each line is for, and that parser's statement over all of its lines at once.

- A source's parser is remembered: its next lines go to that parser's statement straight away, which also says which of them it does not
  know after all. Only parsers of products are remembered, and the recognising conditions of these exclude one another, so that a
  line's parser never depends on what came before it.
- All other lines are asked about in one statement over the conditions of every parser.
- A statement that fails is tried on halves until the rows at fault stand alone; the others lose nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core.engine import Engine, Session
from core.errors import StoreError
from ingest.compile import DETAIL, LINES, OK, Parser, ParserSet
from ingest.encoding import Array
from ingest.parser import Tier
from ingest.statements import Statements

NO_PARSER: Final = "no_parser"
MALFORMED: Final = "malformed"
PARSER_FAILED: Final = "parser_failed"

_MOST_REMEMBERED: Final = 65536
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Part:
    """Rows `start` to `stop` came from one source; `zone` is the IANA name its zoneless times are in."""

    source: tuple[str, str]
    zone: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one statement made of `rows`, which ascend; `columns` has a row for each, in their order."""

    rows: Array
    parser: Parser
    columns: pa.Table


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows no event came of. `details` has an entry for each row."""

    rows: Array
    reason: str
    details: Sequence[str]


@dataclass(slots=True)
class Outcome:
    """Each row of the input is in exactly one of these."""

    parsed: list[Parsed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


class LineParser:
    """Runs parsers over tables of lines (`compile.LINES`) in sessions of its own and `session`; not for two threads at once."""

    def __init__(self, engine: Engine, session: Session, parsers: ParserSet) -> None:
        self._session = session
        self._statements = Statements(engine)
        self._parsers = parsers
        self._remembered: dict[tuple[str, str], Parser] = {}
        self._questions: dict[tuple[str, ...], tuple[str, list[Parser]]] = {}

    def close(self) -> None:
        self._statements.close()

    def parse(self, lines: pa.Table, parts: Sequence[Part], *, wide: bool, only: Parser | None = None) -> Outcome:
        """Parse every row. `wide`: some byte is not ASCII. `only`: ask no other parser than this."""
        run = _Run(self._session, self._statements, lines, wide)
        left: dict[str, list[Array]] = {}
        for (zone, name), rows in self._by_memory(parts, only).items():
            unknown = run.by(self._parsers.by_name[name], rows, zone) if name else rows
            left.setdefault(zone, []).append(unknown)
        first = tuple(sorted({parsed.parser.name for parsed in run.outcome.parsed}))
        for zone, pieces in left.items():
            rows = np.sort(np.concatenate(pieces))
            if only:
                run.refuse(rows, NO_PARSER, f"not a line of {only.name}")
            elif rows.size:
                self._ask(run, rows, zone, first)
        self._remember(parts, run)
        return run.outcome

    def _by_memory(self, parts: Sequence[Part], only: Parser | None) -> dict[tuple[str, str], Array]:
        """Rows by zone and the name of the parser to try first ('' when there is none)."""
        found: dict[tuple[str, str], list[Array]] = {}
        for part in parts:
            parser = only or self._remembered.get(part.source)
            found.setdefault((part.zone, parser.name if parser else ""), []).append(np.arange(part.start, part.stop))
        return {key: np.concatenate(pieces) for key, pieces in found.items()}

    def _ask(self, run: _Run, rows: Array, zone: str, first: tuple[str, ...]) -> None:
        question, candidates = self._question(first)
        numbers = np.zeros(len(rows), np.uint16)

        def number(chosen: Array, answer: pa.Table) -> None:
            numbers[chosen] = answer["parser"].to_numpy()

        failed = run.query(question, rows, zone, number)
        numbers[failed] = len(candidates) + 1
        for value in np.unique(numbers):
            these = rows[numbers == value]
            if value == 0:
                run.refuse(these, NO_PARSER, "no parser knows this format")
            elif value <= len(candidates):
                run.refuse(run.by(candidates[value - 1], these, zone), NO_PARSER, "its parser does not know it after all")
            else:
                run.refuse(these, PARSER_FAILED, "recognising it failed in the engine")

    def _question(self, first: tuple[str, ...]) -> tuple[str, list[Parser]]:
        if first not in self._questions:
            tried = [one for one in self._parsers.parsers if one.name in first and one.tier is Tier.PRODUCT]
            candidates = tried + [one for one in self._parsers.parsers if one not in tried]
            self._questions[first] = (self._parsers.detect(candidates), candidates)
        return self._questions[first]

    def _remember(self, parts: Sequence[Part], run: _Run) -> None:
        """Keep for each source the product that most of its lines here were of."""
        for part in parts:
            counts: Counter[str] = Counter()
            for parsed in run.outcome.parsed:
                if parsed.parser.tier is Tier.PRODUCT:
                    first, last = np.searchsorted(parsed.rows, (part.start, part.stop))
                    counts[parsed.parser.name] += int(last - first)
            if counts.total():
                if len(self._remembered) >= _MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[part.source] = self._parsers.by_name[counts.most_common(1)[0][0]]


class _Run:
    """One call of `LineParser.parse`."""

    def __init__(self, session: Session, statements: Statements, lines: pa.Table, wide: bool) -> None:
        self._session = session
        self._statements = statements
        self._lines = lines
        self._wide = wide
        self.outcome = Outcome()

    def refuse(self, rows: Array, reason: str, detail: str) -> None:
        if rows.size:
            self.outcome.refused.append(Refused(rows, reason, [detail] * len(rows)))

    def by(self, parser: Parser, rows: Array, zone: str) -> Array:
        """Parse `rows` by `parser`; the result is the rows it does not know."""
        unknown: list[Array] = []

        def keep(chosen: Array, answer: pa.Table) -> None:
            unknown.append(self._keep(parser, rows[chosen], answer))

        statement = parser.statement(self._session)
        failed = self.query(statement.wide if self._wide else statement.narrow, rows, zone, keep)
        self.refuse(rows[failed], PARSER_FAILED, f"{parser.name} failed in the engine")
        return np.concatenate(unknown) if unknown else rows[:0]

    def query(self, select: str, rows: Array, zone: str, take: Callable[[Array, pa.Table], None]) -> Array:
        """Run `select` over `rows` and hand each answer, with the places in `rows` it is for, to `take`. Gives the places that failed.

        StoreError when the statement fails on no rows as well: then it is the engine that fails, not a row.
        """
        failed: list[int] = []
        waiting = [np.arange(len(rows))] if len(rows) else []
        while waiting:
            chosen = waiting.pop()
            try:
                answer = self._statements.run(select, self._of(rows[chosen]), zone)
            except StoreError as error:
                if len(chosen) > 1:
                    waiting += np.array_split(chosen, 2)
                    continue
                self._session.arrow(select, LINES.empty_table(), {"zone": zone})
                _log.error("normalise.row_failed", error=str(error)[:400])
                failed.append(int(chosen[0]))
            else:
                take(chosen, answer)
        return np.array(sorted(failed), np.int64)

    def _of(self, rows: Array) -> pa.Table:
        return self._lines if len(rows) == self._lines.num_rows else self._lines.take(pa.array(rows))

    def _keep(self, parser: Parser, rows: Array, answer: pa.Table) -> Array:
        """File the answer's rows as parsed or malformed; the result is the rows that were not recognised."""
        known: Array = answer[OK].to_numpy().astype(bool)
        good = known
        columns = answer
        if DETAIL in answer.column_names:
            broken = known & (pc.binary_length(answer[DETAIL]).to_numpy() > 0)
            if broken.any():
                details = answer[DETAIL].filter(pa.array(broken)).to_pylist()
                self.outcome.refused.append(Refused(rows[broken], MALFORMED, [f"{parser.name}: {detail}" for detail in details]))
                good = known & ~broken
            columns = columns.drop_columns([DETAIL])
        columns = columns.drop_columns([OK])
        if good.all():
            self.outcome.parsed.append(Parsed(rows, parser, columns))
        elif good.any():
            self.outcome.parsed.append(Parsed(rows[good], parser, columns.filter(pa.array(good))))
        return rows[~known]
