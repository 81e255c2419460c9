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
from detect.ruleset import SETTINGS, Plan, compile_rules
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
BOOK = rule_book(DetectSettings())
SCENARIOS = library()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def events_of(engine: Engine, scenario: Scenario) -> pa.Table:
    """The events of a drill of `scenario`, one for each of its lines."""
    shots = Timeline(scenario, len(scenario.roles)).shots
    records = []
    for offset, shot in enumerate(shots):
        at = START + timedelta(seconds=shot.at)
        agency = AGENCIES[shot.place]
        origin = Origin(agency, f"{SOURCE_PREFIX}fw", "tcp", "127.0.0.1", IntakeFlag.REPLAY, shot.source.timezone, ticket(START, agency=agency))
        message = rawbatch.message(origin, at, [shot.text(at).encode()])
        records.append(Record(LOGS_RAW, 0, offset, message.value, message.headers, at))
    known = (engine, ParserSet.load(), IntakeSettings(), FixedClock(START))
    with closing(Normaliser(*known, verifier=SIGNER)) as normaliser:
        done = normaliser.normalise(records, "e1")
    assert done.quarantine.select(["reason", "raw"]).to_pylist() == []
    assert done.events.num_rows == len(shots)
    return done.events


def plan_of(engine: Engine) -> Plan:
    with closing(engine.session(SETTINGS)) as session:
        return compile_rules(BOOK.rules, session)


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_scenario_expects_is_found_and_nothing_but_an_exercise(engine: Engine, name: str) -> None:
    scenario = SCENARIOS[name]
    events = events_of(engine, scenario)
    assert set(events["exercise"].to_pylist()) == {"DRL-2026-000001"}
    assert max(abs(at - START) for at in events["event_time"].to_pylist()) < timedelta(seconds=scenario.seconds + 2)
    with closing(engine.session(SETTINGS)) as session:
        plan = compile_rules(BOOK.rules, session)
        matches = plan.run(session, events)
    rows = events.to_pylist()
    found = {(rows[row]["agency"], plan.rules[rule].rule.id): rows[row] for rule, row in zip(matches.rules, matches.rows, strict=True)}
    fired = fires(BOOK, events, engine).to_pylist()
    assert all(one["group_key"].endswith("]DRL-2026-000001") for one in fired)
    told = found.keys() | {(one["agency"], one["rule_id"]) for one in fired}
    for place, role in enumerate(scenario.roles):
        missing = [one.name for one in role.expect if not any((AGENCIES[place], rule) in told for rule in one.rules)]
        assert not missing, (name, role.name)


def test_an_exercise_and_real_events_never_fire_together(engine: Engine) -> None:
    """Half of a scan is real: neither half is enough by itself, though both are of one address."""
    scenario = SCENARIOS["scan-then-brute-force"]
    scan = replace_lines(scenario, 12)
    events = events_of(engine, scan)
    assert [one["rule_id"] for one in fires(BOOK, events, engine).to_pylist()] != []
    half = pa.array(["DRL-2026-000001" if place % 2 else "" for place in range(events.num_rows)])
    mixed = events.set_column(events.schema.get_field_index("exercise"), events.schema.field("exercise"), half)
    assert fires(BOOK, mixed, engine).num_rows == 0


def replace_lines(scenario: Scenario, repeat: int) -> Scenario:
    """The first lines of the scenario alone, so often."""
    role = scenario.roles[0]
    lines = (role.lines[0].model_copy(update={"repeat": repeat}),)
    return scenario.model_copy(update={"roles": (role.model_copy(update={"lines": lines}),)})
