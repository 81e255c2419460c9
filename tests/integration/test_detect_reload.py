"""Rules and tunings change while events flow: through the real engine, files and database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from core.clock import FixedClock
from core.database import Database
from core.engine import Engine
from core.rule_records import RuleSet, RuleState
from detect import published, rules
from detect.correlation.definition import Bound
from detect.reload import RuleWatcher
from detect.rule_files import RuleFiles
from detect.rules import RuleBook
from detect.stream import Detector
from detect.tuning import TuningReader, Tunings
from respond import tunings
from respond.tunings import Tuning
from tests.event_rows import table

NOW = datetime(2026, 5, 4, 1, 12, tzinfo=UTC)
TELNET = "00000000-0000-4000-8000-000000000001"
SSH = "00000000-0000-4000-8000-000000000002"


def rule(identity: str, port: object, level: str = "low", more: str = "") -> str:
    return (
        f"title: Port {port}\nid: {identity}\nlevel: {level}\nlogsource: {{category: firewall}}\n{more}"
        f"detection: {{s: {{dst_port: {port}}}, condition: s}}\n"
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/rules.db", FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


class Running:
    """A detector and its watcher over a folder of rules."""

    def __init__(self, folder: Path, engine: Engine, database: Database) -> None:
        self.folder = folder
        self.database = database
        self.clock = FixedClock(NOW)
        files = RuleFiles([folder], lambda texts: rules.load([folder], texts=texts))
        self.detector = Detector(engine, files.book, self.clock)
        self.watcher = RuleWatcher(self.detector, engine, database, files)
        self.watcher.start()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def look(self) -> None:
        """Twice: a change is taken when the files stood still in between."""
        self.watcher.look()
        self.watcher.look()

    def fired(self, agency: str = "gu", ports: tuple[int, ...] = (22, 23)) -> list[tuple[int, str]]:
        events = table([{"log_class": "firewall", "dst_port": port, "agency": agency, "raw_line": at} for at, port in enumerate(ports)])
        return [(row["dst_port"], row["rule_level"]) for row in self.detector.detect(events).to_pylist()]

    def published(self) -> published.InForce:
        with self.database.session(readonly=True) as session:
            found = published.in_force(session)
        assert found is not None
        return found


@pytest.fixture
def running(tmp_path: Path, engine: Engine, database: Database) -> Iterator[Running]:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "telnet.yml").write_text(rule(TELNET, 23), encoding="utf-8")
    running = Running(folder, engine, database)
    yield running
    running.detector.close()


def test_a_new_rule_runs_from_the_next_batch_and_is_published(running: Running) -> None:
    assert running.fired() == [(23, "low")]
    before = running.published()
    running.write("ssh.yml", rule(SSH, 22, "high"))
    running.look()
    assert running.fired() == [(22, "high"), (23, "low")]
    after = running.published()
    assert (before.rules, after.rules) == (1, 2)
    assert before.process.version != after.process.version


def test_a_change_is_taken_when_the_files_stand_still(running: Running) -> None:
    running.write("ssh.yml", "title: half wri")
    running.watcher.look()
    running.write("ssh.yml", rule(SSH, 22))
    running.watcher.look()
    assert running.fired() == [(23, "low")], "it was still being written at the last look"
    running.watcher.look()
    assert running.fired() == [(22, "low"), (23, "low")]
    assert running.published().set_aside == []


def test_a_broken_edit_sets_that_rule_aside_and_the_others_run(running: Running) -> None:
    running.write("ssh.yml", rule(SSH, 22))
    running.look()
    running.write("ssh.yml", rule(SSH, 22).replace("condition: s", "condition: nothing"))
    running.look()
    assert running.fired() == [(23, "low")]
    (wrong,) = running.published().set_aside
    assert wrong["file"].endswith("ssh.yml")
    assert wrong["line"] == 1
    assert "nothing" in wrong["reason"]
    assert REGISTRY.get_sample_value("bongsu_rules", {"state": "set_aside"}) == 1
    running.write("ssh.yml", rule(SSH, 22))
    running.look()
    assert running.fired() == [(22, "low"), (23, "low")]
    assert running.published().set_aside == []


def test_a_removed_file_stops_its_rule(running: Running) -> None:
    (running.folder / "telnet.yml").unlink()
    running.look()
    assert running.fired() == []
    assert running.published().rules == 0


def test_a_rule_with_a_suppression_that_cannot_be_read_is_set_aside(running: Running) -> None:
    running.write("ssh.yml", rule(SSH, 22, more="custom: {suppress: {by: [colour], for: 1h}}\n"))
    running.look()
    (wrong,) = running.published().set_aside
    assert "colour is no column" in wrong["reason"]
    running.write("ssh.yml", rule(SSH, 22, more="custom: {suppress: {by: [src_ip, dst_port], for: 1h}}\n"))
    running.look()
    with running.database.session(readonly=True) as session:
        assert session.scalar(sa.select(RuleState.suppress).where(RuleState.rule_id == SSH)) == {
            "by": ["src_ip", "dst_port"],
            "for": "3600s",
        }


def test_nothing_is_compiled_again_while_nothing_changes(running: Running) -> None:
    plan = running.detector.plan
    running.look()
    running.fired()
    assert running.detector.plan is plan
    os.utime(running.folder / "telnet.yml", ns=(1, 1))
    running.look()
    running.fired()
    assert running.detector.plan is not plan


def wish(agency: str = "", **changes: Any) -> Tuning:
    given: dict[str, Any] = {
        "enabled": True,
        "level": "",
        "condition": None,
        "suppress": None,
        "owner": "kim",
        "reason": "tested",
        "at": NOW,
    }
    return Tuning(TELNET, agency, **(given | changes))


def put(running: Running, one: Tuning) -> None:
    with running.database.session() as session:
        tunings.put(session, None, "user:kim", one)
    running.watcher.look()


def test_a_rule_is_off_at_one_agency_and_graver_at_another(running: Running) -> None:
    put(running, wish("gu", enabled=False))
    put(running, wish("dong", level="critical"))
    assert running.fired("gu") == []
    assert running.fired("dong") == [(23, "critical")]
    assert running.fired("si") == [(23, "low")]
    with running.database.session() as session:
        tunings.drop(session, None, "user:kim", TELNET, "gu")
    running.watcher.look()
    assert running.fired("gu") == [(23, "low")]


def test_what_is_set_for_every_agency_gives_way_to_what_an_agency_has_of_its_own(running: Running) -> None:
    put(running, wish("", enabled=False))
    put(running, wish("gu", level="medium"))
    assert running.fired("gu") == [(23, "medium")]
    assert running.fired("dong") == []


def test_a_batch_of_many_agencies_is_tuned_row_by_row(running: Running) -> None:
    put(running, wish("gu", enabled=False))
    put(running, wish("dong", level="critical"))
    agencies = ["si", "gu", "dong", "gu", "si", "dong"]
    events = table([{"log_class": "firewall", "dst_port": 23, "agency": agency, "raw_line": at} for at, agency in enumerate(agencies)])
    found = [(row["raw_line"], row["agency"], row["rule_level"]) for row in running.detector.detect(events).to_pylist()]
    assert found == [(0, "si", "low"), (2, "dong", "critical"), (4, "si", "low"), (5, "dong", "critical")]


def test_thresholds_of_a_correlation_are_its_own_or_the_agencys(running: Running) -> None:
    text = (
        "title: Many\nid: {0}\ncorrelation: {{type: event_count, rules: [a], group-by: [src_ip], timespan: 5m, condition: {{gte: 10}}}}\n"
    )
    (correlation,) = rules.parse(text.format(TELNET), "c.yml").correlations
    put(running, wish("gu", condition={"gt": 20, "lte": 50}))
    found = TuningReader().read(running.database, RuleBook((), (), (correlation,)))
    assert found.thresholds(correlation, "gu") == (Bound(">", 20.0), Bound("<=", 50.0))
    assert found.thresholds(correlation, "dong") == (Bound(">=", 10.0),)
    assert Tunings().thresholds(correlation, "gu") == (Bound(">=", 10.0),)


def test_processes_long_gone_are_forgotten_and_those_that_live_are_told_apart(running: Running) -> None:
    with running.database.session() as session:
        for name, age in (("old-1", timedelta(hours=2)), ("quiet-2", timedelta(minutes=10))):
            session.add(RuleSet(process=name, version="v", loaded_at=NOW - age, seen_at=NOW - age, set_aside=[]))
    running.write("ssh.yml", rule(SSH, 22))
    running.look()
    found = running.published()
    assert [(one.name, one.alive) for one in found.processes] == [(found.process.name, True), ("quiet-2", False)]
