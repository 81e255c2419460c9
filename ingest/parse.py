"""Lines to parsed columns: which parser each line is for, and that parser's statement over all of its lines at once.

- The product that nearly all of a source's lines were of is remembered: its next lines go to that parser's statement straight away,
  which also says which of them it does not know after all. The recognising conditions of products exclude one another, so that a line's
  parser never depends on what came before it. Of a source that sends many products, such as a relay, none is remembered.
- All other lines are asked about (`ingest.detection`).
- A statement that fails is tried on pieces until the rows at fault stand alone; the others lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core.engine import Engine, Session
from core.errors import StoreError
from ingest.compile import DETAIL, LINES, OK, Parser, ParserSet
from ingest.detection import FAILED, NOBODY, Detection
from ingest.encoding import Array
from ingest.parser import Tier
from ingest.statements import Statements

NO_PARSER: Final = "no_parser"
MALFORMED: Final = "malformed"
PARSER_FAILED: Final = "parser_failed"

_MOST_REMEMBERED: Final = 65536
_NEARLY_ALL: Final = 0.75
_PIECES: Final = 16  # what fails is tried in: each failure opens the statement anew, and few large steps need fewer of them than halves
_ANY_ZONE: Final = "UTC"  # a line is recognised by its words, not by its time
T = TypeVar("T")
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
        self._detection = Detection(parsers)
        self._remembered: dict[tuple[str, str], Parser] = {}

    def close(self) -> None:
        self._statements.close()

    def parse(self, lines: pa.Table, parts: Sequence[Part], *, wide: bool, only: Parser | None = None) -> Outcome:
        """Parse every row; `parts` cover them, in order. `wide`: some byte is not ASCII. `only`: ask no other parser than this."""
        run = _Run(self._session, self._statements, lines, wide)
        zones = _Spread([part.zone for part in parts], parts)
        first = _Spread([only or self._remembered.get(part.source) for part in parts], parts)
        left: list[Array] = []
        for place, parser in enumerate(first.values):
            rows = np.flatnonzero(first.of == place)
            left.append(self._by(run, parser, rows, zones) if parser else rows)
        unknown = np.sort(np.concatenate(left))
        if only:
            run.refuse(unknown, NO_PARSER, f"not a line of {only.name}")
        elif unknown.size:
            self._ask(run, unknown, zones)
        self._remember(_Spread([part.source for part in parts], parts), run)
        return run.outcome

    def _by(self, run: _Run, parser: Parser, rows: Array, zones: _Spread[str]) -> Array:
        """Parse `rows`, each by its zone; the result is the rows the parser does not know."""
        of = zones.of[rows]
        return np.concatenate([run.by(parser, rows[of == place], zones.values[place]) for place in np.unique(of)])

    def _ask(self, run: _Run, rows: Array, zones: _Spread[str]) -> None:
        def query(select: str, chosen: Array, take: Callable[[Array, pa.Table], None]) -> Array:
            return run.query(select, chosen, _ANY_ZONE, take)

        claims = self._detection.claims(rows, query)
        for place in np.unique(claims):
            these = rows[claims == place]
            if place == NOBODY:
                run.refuse(these, NO_PARSER, "no parser knows this format")
            elif place == FAILED:
                run.refuse(these, PARSER_FAILED, "recognising it failed in the engine")
            else:
                run.refuse(
                    self._by(run, self._detection.order[place - 1], these, zones), NO_PARSER, "its parser does not know it after all"
                )

    def _remember(self, sources: _Spread[tuple[str, str]], run: _Run) -> None:
        """Keep for each source the product that nearly all of its lines here were of; of one that sends many, none."""
        products = [parsed for parsed in run.outcome.parsed if parsed.parser.tier is Tier.PRODUCT]
        if len(self._remembered) + len(sources.values) > _MOST_REMEMBERED:
            self._remembered.clear()
        lines = np.bincount(sources.of, minlength=len(sources.values))
        names = sorted({parsed.parser.name for parsed in products})
        counts = np.zeros((len(names) + 1, len(sources.values)), np.int64)
        for parsed in products:
            counts[names.index(parsed.parser.name)] += np.bincount(sources.of[parsed.rows], minlength=len(sources.values))
        best = counts.argmax(axis=0)
        for place, source in enumerate(sources.values):
            if counts[best[place], place] >= _NEARLY_ALL * lines[place]:
                self._remembered[source] = self._parsers.by_name[names[best[place]]]
            else:
                self._remembered.pop(source, None)


class _Spread(Generic[T]):
    """What is told of parts, told of rows: `of` gives for each row the place of its value in `values`, which are distinct."""

    def __init__(self, told: Sequence[T], parts: Sequence[Part]) -> None:
        places: dict[T, int] = {}
        numbers = [places.setdefault(value, len(places)) for value in told]
        self.values: list[T] = list(places)
        self.of: Array = np.repeat(np.array(numbers, np.int64), [part.stop - part.start for part in parts])


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
                    waiting += [piece for piece in np.array_split(chosen, _PIECES) if len(piece)]
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
