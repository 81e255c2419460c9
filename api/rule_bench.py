"""Where drafts of rules are tried: their text compiled by the real engine, and raw lines read by the real parsers and run through it.

Nothing that is tried here reaches the bus, the store or a detector.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from core.bus.contract import Record
from core.clock import Clock
from core.config import Settings
from core.engine import Engine, Session
from core.errors import NotFound
from core.events import ENRICHED, PARSED
from core.storage.rows import to_jsonable
from core.topics import LOGS_RAW
from detect import drafts, explain
from detect.correlation.history import fires
from detect.drafts import Checked
from detect.explain import Part
from detect.rules import RuleBook
from detect.ruleset import SETTINGS
from ingest import rawbatch
from ingest.compile import ParserSet
from ingest.enrichment.library import Library
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin

MOST_LINES: Final = 50
LONGEST_LINE: Final = 16_384
_SHOWN: Final = tuple(column.name for column in (*PARSED, *ENRICHED))
_LIMITS: Final = {**SETTINGS, "max_threads": 1, "max_execution_time": 20, "max_memory_usage": 1 << 30}
_EPOCH: Final = "draft"


@dataclass(frozen=True, slots=True)
class Line:
    """What came of a line: the columns of its event, or why there is none; and for each rule by id how its condition fared."""

    text: str
    parser: str
    refused: str
    event: Mapping[str, Any]
    rules: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class Tried:
    """A text, looked at, and the lines it was tried on. `fired` are the groups its correlations fire for, by rule id."""

    checked: Checked
    lines: Sequence[Line] = ()
    fired: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)


class Bench:
    """Tries drafts, one at a time: threads wait for each other, so that people who write rules do not take the machine from detection.

    Close it before the engine.
    """

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._guard = threading.Lock()
        self._parsers: ParserSet | None = None
        self._library: Library | None = None
        self._reader: Normaliser | None = None

    def close(self) -> None:
        """Give back what is kept open of the engine."""
        with self._guard:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    @property
    def parsers(self) -> ParserSet:
        """The parsers of this installation. ParserError and ConfigError as `ParserSet.open`."""
        if self._parsers is None:
            self._parsers = ParserSet.open(self._engine, self._settings.intake)
        return self._parsers

    def check(self, text: str, around: RuleBook) -> Checked:
        """What is wrong with `text`, and what it becomes beside the rules of `around`. StoreError when the engine fails."""
        return self.run(text, around).checked

    def run(self, text: str, around: RuleBook, lines: Sequence[str] = (), parser: str = "", agency: str = "") -> Tried:
        """The same, and what comes of `lines` if they were received now from `agency`.

        `parser` names the only parser to ask; '' lets them all look, as they do at a source nobody knows. NotFound when there is none.
        """
        with self._guard, closing(self._engine.session(_LIMITS)) as session:
            checked = drafts.check(session, text, around)
            if not lines:
                return Tried(checked)
            events, refused = self._events(lines, parser, agency)
            return Tried(checked, _lines(session, checked, lines, events, refused), self._fired(checked, around, events))

    def _events(self, lines: Sequence[str], parser: str, agency: str) -> tuple[pa.Table, dict[int, str]]:
        """The events of the lines (`raw_line` says of which), and why the others are none."""
        if parser and parser not in self.parsers.by_name:
            raise NotFound(f"there is no parser {parser!r}")
        now = self._clock.now()
        message = rawbatch.message(Origin(agency, "draft", "file"), now, [line.encode("utf-8", "surrogatepass") for line in lines])
        record = Record(LOGS_RAW, 0, 0, message.value, message.headers, now)
        if parser:
            with closing(self._made(ParserSet([self.parsers.by_name[parser]]))) as reader:
                done = reader.normalise([record], _EPOCH)
        else:
            self._reader = self._reader or self._made(self.parsers)  # kept: opening the statements of all parsers takes seconds
            done = self._reader.normalise([record], _EPOCH)
        rows = done.quarantine.select(["raw_line", "reason", "detail"]).to_pylist()
        return done.events, {row["raw_line"]: f"{row['reason']}: {row['detail']}".rstrip(": ") for row in rows}

    def _made(self, parsers: ParserSet) -> Normaliser:
        return Normaliser(self._engine, parsers, self._settings.intake, self._clock, self._enrichment())

    def _enrichment(self) -> Library | None:
        if self._library is None:
            self._library = Library(self._settings.enrichment, [one.id for one in self._settings.agencies])
        if not self._library:
            return None
        self._library.refresh()
        return self._library

    def _fired(self, checked: Checked, around: RuleBook, events: pa.Table) -> dict[str, list[dict[str, str]]]:
        if not checked.book.correlations or checked.errors or not events.num_rows:
            return {}
        fired = fires(drafts.together_with(checked, around), events, self._engine).to_pylist()
        found: dict[str, list[dict[str, str]]] = {}
        for row in fired:
            found.setdefault(row["rule_id"], []).append(json.loads(row["details"])["group"])
        return {rule_id: groups for rule_id, groups in found.items() if rule_id in checked.rule_ids}


def _lines(session: Session, checked: Checked, lines: Sequence[str], events: pa.Table, refused: Mapping[int, str]) -> list[Line]:
    judged: dict[int, dict[str, Part]] = {}
    places: list[int] = events["raw_line"].to_pylist()
    if places:
        for rule in checked.plan.active:
            for place, part in zip(places, explain.of_events(session, rule, events), strict=True):
                judged.setdefault(place, {})[rule.id] = part
    shown = dict(zip(places, to_jsonable(events.select(_SHOWN)), strict=True))
    return [
        Line(text, str(shown.get(place, {}).get("parser", "")), refused.get(place, ""), shown.get(place, {}), judged.get(place, {}))
        for place, text in enumerate(lines)
    ]
