"""Samples of rules: raw lines beside a rule that it must match and must not, run through the real parsers and the real rule set.

`<rule file>.samples.yml` holds `match` and `no_match`, lists of {parser, because, line}. Lines are read as if received at RECEIVED and
enriched by the dictionaries in `sigma_rules/dictionaries`. Where a file holds several rules, a line must make one of them match. What
rules match is looked at, not what they tell: a rule that only serves correlations has samples too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import yaml

from core.bus.contract import Record
from core.clock import FixedClock
from core.config import EnrichmentSettings, IntakeSettings
from core.engine import Engine, Session
from core.errors import FileError
from core.topics import LOGS_RAW
from detect.rules import OWN_RULES, Rule
from detect.ruleset import Plan
from ingest import rawbatch
from ingest.compile import ParserSet
from ingest.enrichment.library import Library
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin

RECEIVED: Final = datetime(2026, 5, 4, 1, 12, tzinfo=UTC)
_DICTIONARIES: Final = OWN_RULES / "dictionaries"
_ORIGIN: Final = Origin("gu", "samples", "file")
_EPOCH: Final = "samples"

Place = tuple[int, int]
"""Which of the files, and which of its samples."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A line, the parser that must read it ('': any), and whether the rule must match it."""

    line: str
    wanted: bool
    parser: str
    because: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Sample `number` of the file (from 1, in each of its lists) comes out otherwise than it says."""

    file: Path
    sample: str
    because: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.sample} ({self.because}): {self.problem}"


def file_of(rule_file: Path) -> Path:
    """Where the samples of a rule file stand."""
    return rule_file.with_suffix(".samples.yml")


def samples_of(file: Path) -> list[Sample]:
    """The samples of a file; FileError when it is not one."""
    try:
        told = yaml.safe_load(file.read_text("utf-8")) or {}
        return [
            Sample(str(one["line"]), wanted, str(one.get("parser", "")), str(one.get("because", "")))
            for name, wanted in (("match", True), ("no_match", False))
            for one in told.get(name) or ()
        ]
    except OSError as error:
        raise FileError(file, f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise FileError(file, f"must hold the lists match and no_match of maps with a line: {error}") from error


@contextmanager
def normaliser(engine: Engine, parsers: ParserSet, intake: IntakeSettings) -> Iterator[Normaliser]:
    """One that reads samples as they must be read."""
    wanted = EnrichmentSettings(
        assets=_DICTIONARIES / "assets.csv",
        country_db=_DICTIONARIES / "country.mmdb",
        known_bad={"samples": _DICTIONARIES / "known_bad.txt"},
    )
    library = Library(wanted, [_ORIGIN.agency])
    library.refresh()
    with closing(Normaliser(engine, parsers, intake, FixedClock(RECEIVED), library)) as made:
        yield made


def events_of(reader: Normaliser, batches: Iterable[Sequence[str]]) -> tuple[pa.Table, dict[Place, str]]:
    """The events of some batches of lines (`raw_offset`: the batch, `raw_line`: the line), and why the other lines are none."""
    records = []
    for offset, lines in enumerate(batches):
        message = rawbatch.message(_ORIGIN, RECEIVED, [line.encode("utf-8", "surrogatepass") for line in lines])
        records.append(Record(LOGS_RAW, 0, offset, message.value, message.headers, RECEIVED))
    done = reader.normalise(records, _EPOCH)
    refused = done.quarantine.select(["raw_offset", "raw_line", "reason", "detail"]).to_pylist()
    return done.events, {(row["raw_offset"], row["raw_line"]): f"{row['reason']}: {row['detail']}".rstrip(": ") for row in refused}


def differences(reader: Normaliser, session: Session, plan: Plan, files: Mapping[Path, Sequence[Rule]]) -> Iterator[Difference]:
    """What comes out otherwise, of the samples of `files` (each with the rules of `plan` beside it)."""
    samples = [(file, samples_of(file), {rule.id for rule in rules}) for file, rules in files.items()]
    if not any(some for _, some, _ in samples):
        return
    events, refused = events_of(reader, [[one.line for one in some] for _, some, _ in samples])
    places: list[Place] = list(zip(events["raw_offset"].to_pylist(), events["raw_line"].to_pylist(), strict=True))
    parsers: Mapping[Place, str] = dict(zip(places, events["parser"].to_pylist(), strict=True))
    matched: dict[Place, set[str]] = defaultdict(set)
    matches = plan.run(session, events)
    for rule, row in zip(matches.rules.tolist(), matches.rows.tolist(), strict=True):
        matched[places[row]].add(plan.rules[rule].rule.id)
    for offset, (file, some, ids) in enumerate(samples):
        for name, one, line in _named(some):
            place = (offset, line)
            if problem := _problem(one, parsers.get(place), refused.get(place, ""), bool(matched[place] & ids)):
                yield Difference(file, name, one.because, problem)


def _named(samples: Sequence[Sample]) -> Iterator[tuple[str, Sample, int]]:
    """Each sample with its name, such as `match 2`."""
    counts = {True: 0, False: 0}
    for line, one in enumerate(samples):
        counts[one.wanted] += 1
        yield f"{'match' if one.wanted else 'no_match'} {counts[one.wanted]}", one, line


def _problem(sample: Sample, parser: Any, refused: str, fired: bool) -> str:
    if parser is None:
        return f"the line goes to quarantine: {refused}"
    if sample.parser and parser != sample.parser:
        return f"the line is read by the parser {parser}, not by {sample.parser}"
    if fired != sample.wanted:
        return "the rule matches it" if fired else "the rule does not match it"
    return ""
