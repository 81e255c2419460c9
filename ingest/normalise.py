"""Messages of `logs.raw` to rows of `events` and `quarantine`, in columns throughout.

Every line of every message ends in exactly one row of one of the two tables. Two kinds of rows stand for several lines (`lines`): one for
all lines of a message that hold nothing, and one for a message that cannot be read. The rows are in the order of the lines. The columns
of intake are attached here in Arrow; only the line and its time of receipt go through SQL.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core import metrics
from core.bus.contract import Record
from core.clock import Clock, millis
from core.config import IntakeSettings
from core.engine import Engine, Session
from core.errors import BadMessage, StoreError
from core.events import EVENTS, INTAKE, PARSED, QUARANTINE, IntakeFlag
from core.signing import Verifier
from core.storage.tables import in_shape
from ingest import rawbatch
from ingest.compile import LINES, ParserSet
from ingest.encoding import Array, escaped, to_text
from ingest.enrichment.columns import enrich
from ingest.enrichment.library import Library
from ingest.exercises import Exercises
from ingest.parse import LineParser, Outcome, Parsed, Part
from ingest.privacy.lines import masked
from ingest.privacy.masking import Masker
from ingest.rawbatch import Origin, RawBatch

BAD_MESSAGE: Final = "bad_message"
BLANK: Final = "blank"
_BAD_VALUE_KEPT: Final = 64 << 10
_EARLIEST: Final = 631_152_000_000  # 1990: what claims to be older is a device without a clock
_LATEST: Final = 4_102_444_800_000  # 2100
_TIME: Final = pa.timestamp("ms", "UTC")
NOTHING: Final = QUARANTINE.schema.empty_table()
_NONE: Final = np.zeros(0, np.int64)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Normalised:
    """Rows of `core.events.EVENTS` and of `core.events.QUARANTINE`, each in the order of the lines.

    `blank` are rows of quarantine too, one for the lines of a message that hold nothing.
    """

    events: pa.Table
    quarantine: pa.Table
    blank: pa.Table

    @property
    def refused(self) -> pa.Table:
        """All rows of quarantine, in the order of the lines."""
        if not self.blank.num_rows:
            return self.quarantine
        return pa.concat_tables([self.quarantine, self.blank]).sort_by([("raw_offset", "ascending"), ("raw_line", "ascending")])


@dataclass(frozen=True, slots=True)
class _Batch:
    """A message: its lines, where they came from, which of them were masked (None: none), and the drill they belong to."""

    record: Record
    origin: Origin
    received: int
    lines: pa.BinaryArray
    masked: Array | None
    exercise: str


@dataclass(frozen=True, slots=True)
class _Rows:
    """The lines of many messages that hold something, as text: `of` says which message each is from, `places` where in it.

    `blank` are the messages of the lines that hold nothing, one for each line.
    """

    text: pa.StringArray
    of: Array
    places: Array
    flags: Array
    wide: bool
    blank: Array


class Normaliser:
    """One session of the engine, and what it remembers of sources; not for two threads at once."""

    def __init__(
        self,
        engine: Engine,
        parsers: ParserSet,
        settings: IntakeSettings,
        clock: Clock,
        library: Library | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """`library` holds the dictionaries of enrichment, which somebody else reads; None: there are none.

        `verifier` is the centre's public key, by which lines are known to be an exercise; None: all are real.
        """
        self.parsers = parsers
        self.settings = settings
        self.clock = clock
        self.session: Session = engine.session()
        self.lines = LineParser(engine, self.session, parsers)
        self._masker = Masker(settings.masking, clock)
        self._library = library
        self._exercises = Exercises(verifier, clock)
        self._zones: dict[str, str] = {}

    def close(self) -> None:
        """Free the engine's sessions; the engine must not be closed before."""
        self.lines.close()
        self.session.close()

    def normalise(self, records: Sequence[Record], epoch: str) -> Normalised:
        """The rows of `records`, which are of one partition. StoreError when the engine itself fails."""
        read: list[tuple[Record, RawBatch]] = []
        broken: list[tuple[Record, str]] = []
        for record in records:
            try:
                read.append((record, rawbatch.decode(record)))
            except BadMessage as error:
                _log.warning("normalise.bad_message", error=str(error))
                broken.append((record, str(error)))
        clean = masked([raw for _, raw in read], self._masker)
        batches = [self._batch(record, raw) for (record, _), raw in zip(read, clean, strict=True)]
        lines = _rows(batches)
        done = self._normalise(batches, lines, epoch)
        if broken:
            bad = pa.concat_tables([self._bad_message(record, reason, epoch) for record, reason in broken])
            metrics.LINES_QUARANTINED.labels(BAD_MESSAGE).inc(len(broken))
            rows = pa.concat_tables([done.quarantine, bad])
            done = replace(done, quarantine=rows.sort_by([("raw_offset", "ascending"), ("raw_line", "ascending")]))
        return replace(done, blank=_blank(batches, lines.blank, epoch)) if len(lines.blank) else done

    def zone(self, name: str) -> str:
        """The zone a source's zoneless times are in: its own when that is a zone, else the installation's."""
        if name not in self._zones:
            self._zones[name] = name if name and self._is_zone(name) else self.settings.default_timezone
        return self._zones[name]

    def _is_zone(self, name: str) -> bool:
        """The engine has the last word: a name only it does not know would fail every statement."""
        try:
            self.session.arrow("SELECT toDateTime(0, {zone:String})", params={"zone": name})
        except StoreError:
            _log.warning("normalise.unknown_zone", zone=name[:64])
            return False
        return True

    def _normalise(self, batches: Sequence[_Batch], read: _Rows, epoch: str) -> Normalised:
        if not len(read.text):
            return Normalised(EVENTS.schema.empty_table(), NOTHING, NOTHING)
        received = np.array([batch.received for batch in batches], np.int64)[read.of]
        stops = np.searchsorted(read.of, np.arange(len(batches)), side="right").tolist()
        parts = [
            Part((batch.origin.agency, batch.origin.source), self.zone(batch.origin.timezone), start, stop)
            for batch, start, stop in zip(batches, [0, *stops], stops, strict=False)
            if stop > start
        ]
        lines = pa.table([read.text, pa.array(received)], schema=LINES)
        outcome = self.lines.parse(lines, parts, wide=read.wide)
        events, rows = parsed_columns(outcome.parsed, received)
        flags = read.flags
        limit = self.settings.max_clock_skew_minutes * 60_000
        skewed = np.abs(events["event_time"].cast(pa.int64()).to_numpy() - received[rows]) > limit
        live = flags[rows] & np.uint32(IntakeFlag.REPLAY) == 0
        flags[rows[skewed & live]] |= np.uint32(IntakeFlag.CLOCK_SKEW)
        intake = _intake(batches, read, epoch)
        known = _take(intake, rows)
        rows_of_events = pa.table(known.columns + events.columns, names=known.column_names + events.column_names)
        if self._library and self._library.tables:
            rows_of_events = enrich(rows_of_events, self._library.tables)
        return Normalised(in_shape(EVENTS, rows_of_events), _quarantined(outcome, intake), NOTHING)

    def _batch(self, record: Record, raw: RawBatch) -> _Batch:
        changed = raw.masking.changed(len(raw.binary)) if raw.masking.bits else None
        received = millis(raw.received_at)
        return _Batch(record, raw.origin, received, raw.binary, changed, self._exercises.number(raw.origin, received))

    def _bad_message(self, record: Record, reason: str, epoch: str) -> pa.Table:
        """The row for a message whose value is not what its headers say."""
        origin = rawbatch.origin_of(record.headers)
        value = self._masker.mask(record.value[:_BAD_VALUE_KEPT])
        told = {
            "intake_flags": int(origin.flags | IntakeFlag.MASKED if value.counts else origin.flags),
            "exercise": self._exercises.number(origin, millis(rawbatch.received_at(record))),
            "raw": escaped(value.data),
            "reason": BAD_MESSAGE,
            "detail": reason,
            "lines": rawbatch.lines_of(record),
        }
        return pa.Table.from_pylist([_row(record, origin, epoch) | told], schema=QUARANTINE.schema)


def _rows(batches: Sequence[_Batch]) -> _Rows:
    """All lines of all messages at once: what is done once for each message is dear where a message is a line."""
    counts = [len(batch.lines) for batch in batches]
    lines = to_text(pa.concat_arrays([batch.lines for batch in batches]) if batches else pa.array([], pa.binary()))
    of = np.repeat(np.arange(len(batches)), counts)[lines.places]
    places = lines.places - np.cumsum([0, *counts])[of].astype(np.uint32)
    flags = lines.flags | np.array([batch.origin.flags for batch in batches], np.uint32)[of]
    if any(batch.masked is not None for batch in batches):
        changed = np.concatenate([np.zeros(len(batch.lines), bool) if batch.masked is None else batch.masked for batch in batches])
        flags[changed[lines.places]] |= np.uint32(IntakeFlag.MASKED)
    missing = np.array(counts) - np.bincount(of, minlength=len(batches)) if lines.empty else _NONE
    return _Rows(lines.text, of, places, flags, lines.wide, np.repeat(np.arange(len(missing)), missing))


def _blank(batches: Sequence[_Batch], blank: Array, epoch: str) -> pa.Table:
    """A row for the blank lines of each message that has some; it stands behind the message's last line."""
    numbers, counts = np.unique(blank, return_counts=True)
    rows = []
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        batch = batches[number]
        metrics.LINES_EMPTY.labels(batch.origin.transport).inc(count)
        own = {"received_at": batch.received, "raw_line": len(batch.lines), "exercise": batch.exercise, "reason": BLANK, "lines": count}
        rows.append(_row(batch.record, batch.origin, epoch) | own)
    return pa.Table.from_pylist(rows, schema=QUARANTINE.schema)


def parsed_columns(parsed: Sequence[Parsed], received: Array) -> tuple[pa.Table, Array]:
    """The PARSED columns of all parsed rows in the order of the rows, and which rows these are.

    `received` (milliseconds, one for each row of the input) stands in where a line tells no time, or an impossible one.
    """
    schema = pa.schema([column.arrow for column in PARSED])
    if not parsed:
        return schema.empty_table(), np.zeros(0, np.int64)
    tables = [_complete(one, received, schema) for one in parsed]
    rows = np.concatenate([one.rows for one in parsed])
    table = pa.concat_tables(tables)
    for one in parsed:
        metrics.LINES_NORMALISED.labels(one.parser.name).inc(len(one.rows))
    order = np.argsort(rows, kind="stable")
    if (np.diff(rows) < 0).any():
        table = table.take(pa.array(order))
    return table, rows[order]


def _complete(one: Parsed, received: Array, schema: pa.Schema) -> pa.Table:
    """One statement's columns and the constants of its parser, as rows of PARSED."""
    count = len(one.rows)
    constants = {
        "parser": one.parser.name,
        "parser_version": one.parser.version,
        "vendor": one.parser.vendor,
        "product": one.parser.product,
    }
    columns: list[Any] = []
    for target in schema:
        if target.name == "event_time":
            columns.append(_event_time(one.columns["event_time"], received[one.rows]))
        elif target.name in one.columns.column_names:
            columns.append(one.columns[target.name].cast(target.type))
        elif target.nullable:
            columns.append(pa.nulls(count, target.type))
        else:
            columns.append(pa.repeat(pa.scalar(constants.get(target.name, ""), target.type), count))
    return pa.table(columns, schema=schema)


def _event_time(told: pa.ChunkedArray, received: Array) -> pa.ChunkedArray:
    possible = pc.and_(pc.greater_equal(told, _EARLIEST), pc.less(told, _LATEST))
    return pc.if_else(pc.fill_null(possible, False), told, pa.array(received)).cast(_TIME)


def _intake(batches: Sequence[_Batch], read: _Rows, epoch: str) -> pa.Table:
    """The INTAKE columns of all rows."""
    spread = pa.array(read.of)

    def each(values: list[Any], kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(values[0], kind), len(spread)) if len(values) == 1 else pa.array(values, kind).take(spread)

    columns = {
        "raw_epoch": pa.repeat(epoch, len(spread)),
        "raw_partition": each([batch.record.partition for batch in batches], pa.uint16()),
        "raw_offset": each([batch.record.offset for batch in batches], pa.uint64()),
        "raw_line": pa.array(read.places),
        "received_at": each([batch.received for batch in batches], pa.int64()).cast(_TIME),
        "agency": each([batch.origin.agency for batch in batches], pa.string()),
        "source": each([batch.origin.source for batch in batches], pa.string()),
        "transport": each([batch.origin.transport for batch in batches], pa.string()),
        "peer_ip": each([_address(batch.origin.peer) for batch in batches], pa.binary(16)),
        "intake_flags": pa.array(read.flags),
        "exercise": each([batch.exercise for batch in batches], pa.string()),
        "raw": read.text,
    }
    return pa.table(columns, schema=pa.schema([column.arrow for column in INTAKE]))


def _take(table: pa.Table, rows: Array) -> pa.Table:
    return table if len(rows) == table.num_rows else table.take(pa.array(rows))


def _quarantined(outcome: Outcome, intake: pa.Table) -> pa.Table:
    if not outcome.refused:
        return NOTHING
    rows = np.concatenate([one.rows for one in outcome.refused])
    reasons = [one.reason for one in outcome.refused for _ in one.details]
    details = [detail for one in outcome.refused for detail in one.details]
    for reason, count in Counter(reasons).items():
        metrics.LINES_QUARANTINED.labels(reason).inc(count)
    order = pa.array(np.argsort(rows, kind="stable"))
    columns = [*intake.take(pa.array(rows)).columns, pa.array(reasons), pa.array(details), pa.nulls(len(rows), pa.uint32())]
    return pa.table(columns, schema=QUARANTINE.schema).take(order)


def _row(record: Record, origin: Origin, epoch: str) -> dict[str, Any]:
    """What a row of quarantine that is made of no line has of its message."""
    return {
        "raw_epoch": epoch,
        "raw_partition": record.partition,
        "raw_offset": record.offset,
        "raw_line": 0,
        "received_at": rawbatch.received_at(record),
        "agency": origin.agency,
        "source": origin.source,
        "transport": origin.transport,
        "peer_ip": _address(origin.peer),
        "intake_flags": int(origin.flags),
        "exercise": "",
        "raw": "",
        "detail": "",
    }


def _address(text: str) -> bytes | None:
    """16 bytes of an address in text; None when it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed
