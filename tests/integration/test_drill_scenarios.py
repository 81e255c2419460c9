"""Our scenarios are found: their lines, through the real parsers, make our own rules fire at the agencies that expect it, in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from core.bus.contract import Record
from core.clock import FixedClock
from core.config import DetectSettings, IntakeSettings
from core.engine import Engine
from core.events import IntakeFlag
from core.exercise import SOURCE_PREFIX
from core.topics import LOGS_RAW
from detect.correlation.history import fires
from detect.hunt.correlations import closure
from detect.rules import RuleBook
from detect.ruleset import SETTINGS, compile_rules
from ingest import rawbatch
from ingest.compile import ParserSet
from ingest.normalise import Normaliser
from ingest.rawbatch import Origin
from respond.drills.scenario import Scenario, library
from respond.drills.timeline import Timeline
from runtime.bootstrap import rule_book
from tests.drills import SIGNER, ticket

START = datetime(2026, 5, 4, 1, 12, tzinfo=UTC)
AGENCIES = ("gu", "parks")
SCENARIOS = library()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def events_of(engine: Engine, parsers: ParserSet, scenario: Scenario) -> pa.Table:
    """The events of a drill of `scenario`, one for each of its lines."""
    shots = Timeline(scenario, len(scenario.roles)).shots
    records = []
    for offset, shot in enumerate(shots):
        at = START + timedelta(seconds=shot.at)
        agency = AGENCIES[shot.place]
        shown = ticket(START, agency=agency)
        origin = Origin(agency, f"{SOURCE_PREFIX}fw", "tcp", "127.0.0.1", IntakeFlag.REPLAY, shot.source.timezone, shown)
        message = rawbatch.message(origin, at, [shot.text(at).encode()])
        records.append(Record(LOGS_RAW, 0, offset, message.value, message.headers, at))
    known = (engine, parsers, IntakeSettings(), FixedClock(START))
    with closing(Normaliser(*known, verifier=SIGNER)) as normaliser:
        done = normaliser.normalise(records, "e1")
    assert done.quarantine.select(["reason", "raw"]).to_pylist() == []
    assert done.events.num_rows == len(shots)
    return done.events


@pytest.fixture(scope="module")
def book() -> RuleBook:
    """The rules our scenarios expect, with what they are made of."""
    every = rule_book(DetectSettings())
    wanted = {rule for one in SCENARIOS.values() for role in one.roles for find in role.expect for rule in find.rules}
    known = {one.id for one in every.rules} | {one.id for one in every.correlations}
    assert wanted <= known
    made_of = closure(every, [one for one in every.correlations if one.id in wanted])
    rules = {rule.id: rule for rule in (*made_of.rules, *(one for one in every.rules if one.id in wanted))}
    return RuleBook(tuple(rules.values()), (), made_of.correlations)


@pytest.fixture(scope="module")
def parsers() -> ParserSet:
    return ParserSet.load()


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_scenario_expects_is_found(engine: Engine, parsers: ParserSet, book: RuleBook, name: str) -> None:
    scenario = SCENARIOS[name]
    events = events_of(engine, parsers, scenario)
    assert set(events["exercise"].to_pylist()) == {"DRL-2026-000001"}
    assert max(abs(at - START) for at in events["event_time"].to_pylist()) < timedelta(seconds=scenario.seconds + 2)
    with closing(engine.session(SETTINGS)) as session:
        plan = compile_rules(book.rules, session)
        matches = plan.run(session, events)
    rows = events.to_pylist()
    found = {(rows[row]["agency"], plan.rules[rule].rule.id): rows[row] for rule, row in zip(matches.rules, matches.rows, strict=True)}
    fired = fires(book, events, engine).to_pylist()
    assert all(one["group_key"].endswith("]DRL-2026-000001") for one in fired)
    told = found.keys() | {(one["agency"], one["rule_id"]) for one in fired}
    for place, role in enumerate(scenario.roles):
        missing = [one.name for one in role.expect if not any((AGENCIES[place], rule) in told for rule in one.rules)]
        assert not missing, (name, role.name)


def test_an_exercise_and_real_events_never_fire_together(engine: Engine, parsers: ParserSet, book: RuleBook) -> None:
    """Half of a scan is real: neither half is enough by itself, though both are of one address."""
    scenario = SCENARIOS["scan-then-brute-force"]
    scan = replace_lines(scenario, 12)
    events = events_of(engine, parsers, scan)
    assert [one["rule_id"] for one in fires(book, events, engine).to_pylist()] != []
    half = pa.array(["DRL-2026-000001" if place % 2 else "" for place in range(events.num_rows)])
    mixed = events.set_column(events.schema.get_field_index("exercise"), events.schema.field("exercise"), half)
    assert fires(book, mixed, engine).num_rows == 0


def replace_lines(scenario: Scenario, repeat: int) -> Scenario:
    """The first lines of the scenario alone, so often."""
    role = scenario.roles[0]
    lines = (role.lines[0].model_copy(update={"repeat": repeat}),)
    return scenario.model_copy(update={"roles": (role.model_copy(update={"lines": lines}),)})
