"""The level of a warning in detection: recorded, a correlation fires sooner at the agencies concerned; lifted, it does so no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.clock import FixedClock
from core.config import WarningSettings
from core.database import Database
from core.level_effects import in_force, reached
from detect.hunt import tuned
from detect.tuning import TuningReader
from respond import tunings
from respond.notify import oncall
from respond.tunings import Tuning
from respond.warnings import effects, levels, service
from respond.warnings.levels import Levels
from respond.warnings.service import National
from tests.correlating import BASES, NOW, Centre, book, correlation, event, opened, rule_id

MANY, QUIET = rule_id(11), rule_id(12)
BOOK = book(
    *BASES,
    correlation(11, "Many", "type: event_count, rules: [a], group-by: [src_ip], timespan: 1m, condition: {gte: 6}"),
    correlation(12, "Quiet", "type: event_count, rules: [b], group-by: [src_ip], timespan: 1m, condition: {gte: 3}"),
)
KNOWN = {"gu", "dong"}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with opened(tmp_path) as centre:
        yield centre


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def database(tmp_path: Path, clock: FixedClock) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/rules.db", clock)
    made.migrate()
    made.start()
    yield made
    made.close()


@pytest.fixture
def table(tmp_path: Path) -> Levels:
    """Our levels, with a set of one rule that runs from `alert` on."""
    tree = yaml.safe_load(levels.OURS.read_text(encoding="utf-8"))
    tree["rule_sets"] = [{"id": "watchful", "ko": "집중", "en": "Watchful", "rules": [QUIET]}]
    for level in tree["levels"]:
        level["effects"] |= {"rule_sets": ["watchful"] if level["id"] in ("alert", "serious") else [], "raised": []}
    tree["levels"][3]["effects"]["raised"] = [{"rules": [QUIET], "level": "critical"}]
    file = tmp_path / "levels.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    return levels.load(WarningSettings(levels_file=file))


class Story:
    """The same few events again and again, a minute and more apart, under the tunings as the database has them."""

    def __init__(self, centre: Centre, database: Database, table: Levels) -> None:
        self.centre, self.database, self.table = centre, database, table
        self.reader, self.round = TuningReader(), 0

    def renew(self) -> bool:
        with self.database.session() as session:
            return effects.renew(session, self.table)

    def record(self, *agencies: str, exercise: bool = False, **more: Any) -> str:
        wanted = National("NCSC", f"n{self.round} {exercise}", "alert", "t", "", agencies, NOW + more.get("after", timedelta()), None)
        with self.database.session() as session:
            made = service.record(session, "user:lead", self.table, KNOWN, wanted, exercise=exercise)
            return service.propagate(session, "user:lead", made.number, made.version, self.table, KNOWN).number

    def lift(self, number: str) -> None:
        with self.database.session() as session:
            found = service.find(session, None, number)
            service.lift(session, "user:lead", number, found.version, "notice 2")

    async def fired(self) -> list[tuple[str, str, str]]:
        """Title, agency and level of what four events of each of two rules at each of two agencies give."""
        self.round += 1
        now = self.reader.read(self.database, BOOK)
        batch = [
            event(1000 * self.round + 4 * n + place, 300 * self.round + n, port=22 + place // 2, agency=("gu", "dong")[place % 2])
            for n in range(4)
            for place in range(4)
        ]
        await self.centre.detect(BOOK, [batch], tunings=now)
        stage = self.centre.stage(BOOK)
        stage.tunings = now
        await self.centre.correlate(stage)
        return sorted((row["rule_title"], row["agency"], row["rule_level"]) for row in (await self.centre.detections()).to_pylist())


async def test_a_warning_lowers_thresholds_where_it_reaches_until_it_is_lifted(centre: Centre, database: Database, table: Levels) -> None:
    story = Story(centre, database, table)
    assert story.renew()
    assert await story.fired() == [], "six are needed, and the set of the other is off"
    number = story.record("gu")
    assert await story.fired() == [("Many", "gu", "high"), ("Quiet", "gu", "critical")]
    story.reader = TuningReader()
    assert not story.renew(), "a restart finds all as it is"
    assert await story.fired() == [("Many", "gu", "high"), ("Quiet", "gu", "critical")], "again for what is new, and once"
    story.lift(number)
    assert await story.fired() == []
    assert not story.renew()


async def test_an_exercise_and_a_warning_to_come_change_nothing_yet(
    centre: Centre, database: Database, table: Levels, clock: FixedClock
) -> None:
    story = Story(centre, database, table)
    story.renew()
    story.record("gu", exercise=True)
    story.record("dong", after=timedelta(hours=1))
    assert await story.fired() == []
    clock.advance(timedelta(hours=1))
    assert await story.fired() == [("Many", "dong", "high"), ("Quiet", "dong", "critical")], "it begins by itself"


def test_a_warning_ends_by_itself_whoever_runs(database: Database, table: Levels, clock: FixedClock) -> None:
    with database.session() as session:
        effects.renew(session, table)
        wanted = National("NCSC", "1", "alert", "t", "", (), NOW, NOW + timedelta(hours=2))
        service.record(session, "user:lead", table, KNOWN, wanted)
    reader = TuningReader()
    assert reader.read(database, BOOK).of(QUIET, "gu").enabled
    clock.advance(timedelta(hours=2))
    assert not reader.read(database, BOOK).of(QUIET, "gu").enabled
    with database.session() as session:
        service.look(table)(session)
        assert [one.source for one in in_force(session)] == ["levels"]


def test_what_a_person_switched_off_stays_off(database: Database, table: Levels) -> None:
    with database.session() as session:
        tunings.put(session, None, "user:lead", Tuning(QUIET, "gu", False, "", None, None, "lead", "broken", NOW))
        service.record(session, "user:lead", table, KNOWN, National("NCSC", "1", "serious", "t", "", (), NOW, None))
    found = TuningReader().read(database, BOOK)
    assert [found.of(QUIET, agency).enabled for agency in ("gu", "dong")] == [False, True]


def test_a_search_of_history_judges_as_the_stream_does_now(database: Database, table: Levels) -> None:
    every = [*BOOK.rules, *BOOK.correlations]

    def judged() -> dict[tuple[str, str], tuple[bool, str]]:
        with database.session(readonly=True) as session:
            noted = tuned.noted(session, every)
        read = tuned.tunings_of([{"id": rule_id, "tuned": changes} for rule_id, changes in noted.items()])
        now = TuningReader().read(database, BOOK)
        for one in every:
            for agency in KNOWN:
                assert (read.of(one.id, agency).enabled, read.of(one.id, agency).level) == (
                    now.of(one.id, agency).enabled,
                    now.of(one.id, agency).level,
                )
        return {(QUIET, agency): (read.of(QUIET, agency).enabled, read.of(QUIET, agency).level) for agency in sorted(KNOWN)}

    with database.session() as session:
        effects.renew(session, table)
    assert judged() == {(QUIET, "dong"): (False, ""), (QUIET, "gu"): (False, "")}
    with database.session() as session:
        service.record(session, "user:lead", table, KNOWN, National("NCSC", "1", "alert", "t", "", ("gu",), NOW, None))
    assert judged() == {(QUIET, "dong"): (False, ""), (QUIET, "gu"): (True, "critical")}


def test_a_shift_for_a_level_is_on_call_while_it_is_reached(database: Database, table: Levels) -> None:
    with database.session() as session:
        for person, level in (("kim", ""), ("lee", "caution"), ("park", "serious")):
            wanted = oncall.NewShift(person, f"{person}@soc.example", 0, NOW, NOW + timedelta(hours=8), level)
            oncall.plan(session, "user:lead", wanted)

    def called() -> list[str]:
        with database.session(readonly=True) as session:
            return [one.person for one in oncall.on_call(session, NOW)]

    assert called() == ["kim"]
    with database.session() as session:
        made = service.record(session, "user:lead", table, KNOWN, National("NCSC", "1", "alert", "t", "", ("gu",), NOW, None))
        assert reached(session) == {"normal", "attention", "caution", "alert"}
    assert called() == ["kim", "lee"]
    with database.session() as session:
        service.lift(session, "user:lead", made.number, made.version, "over")
    assert called() == ["kim"]
