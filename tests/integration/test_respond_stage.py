"""Findings become incidents: once, whole, and the same ones however they come; on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import metrics
from core.clock import FixedClock
from core.config import validate
from core.database import Base, Database
from core.errors import StoreUnavailable
from core.events import DETECTIONS
from respond import audit, evidence
from respond import stage as stage_module
from respond.incidents import queries as incidents
from respond.incidents.machine import State
from respond.incidents.queries import Detail, Filters
from respond.incidents.sight import WHOLE_CITY, Sight
from respond.models import Audit, DetectionPosition, Incident, IncidentEntity, IncidentEvidence
from respond.stage import RespondStage
from tests.detections import START, Finding, packed, record, table
from tests.incident_steps import step_to

NOW = START + timedelta(hours=2)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each engine."""
    on_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/incidents.db" if on_file else request.getfixturevalue("postgres_server").new_database()
    made = Database(url, FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


def handle(database: Database, *messages: Sequence[Finding] | pa.Table, window: int = 60, keep: int = 200) -> None:
    """One call of the stage's handler with these messages."""
    tree = {"respond": {"group_window_minutes": window, "evidence_per_incident": keep}}
    stage = RespondStage(database, validate(tree), FixedClock(NOW))
    asyncio.run(stage.handle([record(message, offset) for offset, message in enumerate(messages)], 1))


def empty(database: Database) -> None:
    """Forget everything."""
    with database.session() as session:
        for known in (IncidentEvidence, IncidentEntity, Incident, DetectionPosition, Audit):
            session.execute(sa.delete(known))
        session.execute(sa.text("DELETE FROM case_counters"))


def everything(database: Database) -> list[Detail]:
    """All incidents that are listed, oldest first."""
    with database.session(readonly=True) as session:
        found = incidents.list_incidents(session, WHOLE_CITY, Filters(), limit=100_000).items
        return [incidents.get_incident(session, WHOLE_CITY, one.number) for one in reversed(found)]


def content(found: Sequence[Detail]) -> set[tuple[Any, ...]]:
    """What incidents are, without their numbers: those follow the order of opening."""
    return {
        (
            *(one.incident.agency, one.incident.title, one.incident.severity, one.incident.entity_kind, one.incident.entity_value),
            *(one.incident.first_event_at, one.incident.last_event_at, one.incident.detections, one.incident.tags, one.incident.rule_ids),
            frozenset((entity.kind, entity.role, entity.value, entity.detections) for entity in one.entities),
            frozenset(line.detection_id for line in one.evidence),
        )
        for one in found
    }


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with database.session(readonly=True) as session:
        return {
            name: sorted((tuple(row) for row in session.execute(sa.select(known))), key=repr)
            for name, known in Base.metadata.tables.items()
        }


def test_what_a_hunt_found_opens_no_incident_and_moves_no_position(database: Database) -> None:
    handle(database, [Finding(1, more=(("origin", "hunt"), ("raw_epoch", "hunt7"))), Finding(1, minute=1, more=(("origin", "backfill"),))])
    assert [len(one.evidence) for one in everything(database)] == [1]
    with database.session(readonly=True) as session:
        assert session.scalars(sa.select(DetectionPosition.raw_epoch)).all() == ["e1"]


def test_findings_become_an_incident_with_evidence_and_entities(database: Database) -> None:
    more = (
        ("dst_ip", "198.51.100.5"),
        ("dst_port", 22),
        ("user", "김철수"),
        ("url", "/a\0b"),
        ("domain", "example.org"),
        ("dns_query", ""),
    )
    first = Finding(10, 1.5, more=(*more, ("raw", "line one \0 end"), ("rule_level", "high"), ("device", "fw-1")))
    second = Finding(11, 0.5, line=3, more=(("dst_ip", "2001:db8::5"), ("rule_level", "low")))
    opened = metrics.INCIDENTS_OPENED.labels("high")._value.get()
    handle(database, [first, second])
    (found,) = everything(database)
    incident = found.incident
    assert (incident.number, incident.agency, incident.title, incident.severity) == ("INC-2026-000001", "parks", "Port scan", "high")
    assert (incident.state, incident.version, incident.exercise, incident.merged_into) == (State.NEW, 1, False, "")
    assert (incident.entity_kind, incident.entity_value) == ("ip", "192.0.2.7")
    assert (incident.first_event_at, incident.last_event_at) == (START + timedelta(seconds=30), START + timedelta(seconds=90))
    assert (incident.opened_at, incident.updated_at) == (NOW, NOW)
    assert (incident.detections, incident.evidence_kept) == (2, 2)
    assert (incident.rule_ids, incident.tags) == (("rule-scan",), ("attack.discovery", "attack.t1046"))
    assert {(one.kind, one.role, one.value, one.detections) for one in found.entities} == {
        ("ip", "source", "192.0.2.7", 2),
        ("ip", "target", "198.51.100.5", 1),
        ("ip", "target", "2001:db8::5", 1),
        ("user", "named", "김철수", 1),
        ("url", "requested", "/a\0b", 1),
        ("domain", "requested", "example.org", 1),
        ("device", "reporter", "fw-1", 1),
    }
    earlier, later = found.evidence
    assert (earlier.detection_id, earlier.event_id, earlier.raw) == ("rule-scan:e1-0-11-3", "e1-0-11-3", "a line")
    assert (later.raw, later.rule_level, later.rule_hash, later.event_time) == (
        *("line one \0 end", "high", "0123456789abcdef"),
        START + timedelta(seconds=90),
    )
    assert later.fields == {
        **{"agency": "parks", "source": "fw1", "transport": "tcp", "parser": "fortigate", "parser_version": 0, "log_class": "firewall"},
        **{"src_ip": "192.0.2.7", "dst_ip": "198.51.100.5", "dst_port": 22, "user": "김철수", "url": "/a\0b", "domain": "example.org"},
        "device": "fw-1",
    }
    assert metrics.INCIDENTS_OPENED.labels("high")._value.get() == opened + 1
    with database.session(readonly=True) as session:
        (row,) = session.scalars(sa.select(Audit))
        assert (row.actor, row.action, row.object) == ("system:respond", "incident.open", "incident/INC-2026-000001")
        assert json.loads(row.detail) == {
            **{"from": "", "to": "new", "reason": "", "version": 1},
            **{"agency": "parks", "rules": ["rule-scan"], "severity": "high"},
        }
        assert audit.verify(session).problem == ""


def test_every_detected_column_is_kept_somewhere(database: Database) -> None:
    """A column added to the event table reaches the evidence without anybody thinking of it."""
    texts = {column.name: f"v-{column.name}" for column in DETECTIONS.columns if column.kind.is_text}
    numbers = {column.name: 7 for column in DETECTIONS.columns if column.kind.is_number}
    addresses = {column.name: "192.0.2.3" for column in DETECTIONS.columns if not (column.kind.is_text or column.kind.is_number)}
    addresses = {name: value for name, value in addresses.items() if pa.types.is_fixed_size_binary(DETECTIONS.column(name).arrow.type)}
    handle(database, [Finding(7, src="192.0.2.3", line=7, partition=7, more=tuple((texts | numbers | addresses).items()))])
    (line,) = everything(database)[0].evidence
    held = {
        **line.fields,
        "raw": line.raw,
        **{name: getattr(line, name) for name in texts if name.startswith("rule_") and name != "rule_tags"},
    }
    expected = texts | numbers | addresses
    for name in ("detection_id", "rule_tags", "raw_epoch", "raw_partition", "raw_offset", "raw_line"):
        expected.pop(name)
    assert held == expected
    assert line.event_id == "v-raw_epoch-7-7-7"


def test_the_same_records_twice_change_nothing(database: Database) -> None:
    messages = [[Finding(1), Finding(2, 200)], [Finding(3, src="192.0.2.9")]]
    handle(database, *messages)
    before = rows(database)
    handle(database, *messages)
    handle(database, messages[1])
    assert rows(database) == before
    handle(database, messages[1], [Finding(4, 1)])
    assert sorted(one.incident.detections for one in everything(database)) == [1, 1, 2]


def test_a_repeated_message_regrouped_counts_only_what_is_new(database: Database) -> None:
    handle(database, [Finding(1), Finding(2)], [Finding(1), Finding(2), Finding(3)])
    handle(database, [Finding(2), Finding(3), Finding(4), Finding(4, line=1)])
    (found,) = everything(database)
    assert found.incident.detections == 5
    assert [line.event_id for line in found.evidence] == ["e1-0-1-0", "e1-0-2-0", "e1-0-3-0", "e1-0-4-0", "e1-0-4-1"]


def test_two_rules_of_one_id_do_not_stop_the_stage(database: Database) -> None:
    """Each finding counts once, within a message and after it."""
    twice = pa.concat_tables([table([Finding(1), Finding(2)])] * 2)
    handle(database, twice)
    handle(database, table([Finding(3)]).set_column(0, "detection_id", pa.array(["rule-scan:e1-0-1-0"])))
    (found,) = everything(database)
    assert (found.incident.detections, len(found.evidence)) == (3, 2)


def test_positions_are_by_epoch_and_partition(database: Database) -> None:
    handle(database, [Finding(9)], [Finding(1, partition=1)], [Finding(2, more=(("raw_epoch", "e2"),))])
    handle(database, [Finding(9)], [Finding(1, partition=1)], [Finding(2, more=(("raw_epoch", "e2"),))])
    (found,) = everything(database)
    assert found.incident.detections == 3
    handle(database, [Finding(9), Finding(2, partition=1), Finding(2, more=(("raw_epoch", "e2"),))])
    (found,) = everything(database)
    assert found.incident.detections == 4


def test_a_kill_in_the_middle_leaves_nothing_and_the_retry_everything(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [Finding(1), Finding(2, 1, src="192.0.2.9"), Finding(3)]
    before = rows(database)
    with monkeypatch.context() as patched:

        def killed(*_: object) -> None:
            raise SystemExit

        patched.setattr(audit, "exclusive", killed)  # the last thing in the transaction
        with pytest.raises(SystemExit):
            handle(database, findings)
    assert rows(database) == before
    handle(database, findings)
    assert [one.incident.detections for one in everything(database)] == [2, 1]
    assert [one.incident.number for one in everything(database)] == ["INC-2026-000001", "INC-2026-000002"]


def test_joining_by_event_time(database: Database) -> None:
    handle(database, [Finding(1, 100)], window=60)
    handle(database, [Finding(2, 160)], window=60)
    handle(database, [Finding(3, 40)], window=60)
    (found,) = everything(database)
    assert (found.incident.first_event_at, found.incident.last_event_at) == (START + timedelta(minutes=40), START + timedelta(minutes=160))
    handle(database, [Finding(4, 220.1)], window=60)
    assert [one.incident.detections for one in everything(database)] == [3, 1]


def test_a_finding_between_two_new_incidents_makes_them_one(database: Database) -> None:
    handle(database, [Finding(1, 0, more=(("dst_ip", "198.51.100.1"),))])
    handle(database, [Finding(2, 100, more=(("dst_ip", "198.51.100.1"), ("rule_level", "critical")))])
    handle(database, [Finding(3, 50, more=(("dst_ip", "198.51.100.2"),))])
    (found,) = everything(database)
    assert found.incident.number == "INC-2026-000001"
    assert (found.incident.detections, found.incident.evidence_kept, found.incident.severity) == (3, 3, "critical")
    assert len(found.evidence) == 3
    assert {(one.value, one.detections) for one in found.entities} == {("192.0.2.7", 3), ("198.51.100.1", 2), ("198.51.100.2", 1)}
    with database.session(readonly=True) as session:
        absorbed = incidents.get_incident(session, WHOLE_CITY, "INC-2026-000002")
        assert (absorbed.incident.merged_into, absorbed.incident.detections, absorbed.evidence) == ("INC-2026-000001", 0, ())
        assert [row.action for row in session.scalars(sa.select(Audit).order_by(Audit.seq))] == [
            *["incident.open"] * 2,
            "incident.merge",
            "incident.absorb",
        ]
        assert sum(incidents.counts(session, WHOLE_CITY).by_state.values()) == 1


def move(database: Database, number: str, *path: State) -> None:
    with database.session() as session:
        for to in path:
            version = incidents.get_incident(session, WHOLE_CITY, number).incident.version
            step_to(session, WHOLE_CITY, "user:kim", number, to, "because", version)


def test_incidents_people_work_on_are_never_merged_by_the_machine(database: Database) -> None:
    handle(database, [Finding(1, 0)])
    handle(database, [Finding(2, 100)])
    move(database, "INC-2026-000001", State.TRIAGED)
    move(database, "INC-2026-000002", State.TRIAGED)
    handle(database, [Finding(3, 50)])
    assert [(one.incident.number, one.incident.detections) for one in everything(database)] == [
        ("INC-2026-000001", 2),
        ("INC-2026-000002", 1),
    ]


def test_the_one_somebody_works_on_stays(database: Database) -> None:
    handle(database, [Finding(1, 0)])
    handle(database, [Finding(2, 100)])
    move(database, "INC-2026-000002", State.TRIAGED)
    handle(database, [Finding(3, 50)])
    (found,) = everything(database)
    assert (found.incident.number, found.incident.detections, found.incident.state) == ("INC-2026-000002", 3, State.TRIAGED)


def test_nothing_joins_an_ended_incident_and_versions_are_peoples(database: Database) -> None:
    handle(database, [Finding(1, 0)])
    handle(database, [Finding(2, 1)])
    assert everything(database)[0].incident.version == 1
    move(database, "INC-2026-000001", State.TRIAGED, State.FALSE_POSITIVE)
    handle(database, [Finding(3, 2)])
    assert [(one.incident.state, one.incident.detections) for one in everything(database)] == [(State.FALSE_POSITIVE, 2), (State.NEW, 1)]


def test_sources_of_no_agency_are_seen_by_the_whole_city_only(database: Database) -> None:
    handle(database, [Finding(1, more=(("agency", "_unknown"),)), Finding(2)])
    with database.session(readonly=True) as session:
        assert {one.agency for one in incidents.newest(session, WHOLE_CITY, 9)} == {"_unknown", "parks"}
        assert {one.agency for one in incidents.newest(session, Sight(frozenset({"_unknown", "parks"})), 9)} == {"parks"}


def test_the_first_evidence_is_kept_and_everything_is_counted(database: Database) -> None:
    handle(database, [Finding(place, 10 - place) for place in range(5)], keep=3)
    handle(database, [Finding(place) for place in range(5, 9)], keep=3)
    (found,) = everything(database)
    assert (found.incident.detections, found.incident.evidence_kept) == (9, 3)
    assert {line.event_id for line in found.evidence} == {"e1-0-0-0", "e1-0-1-0", "e1-0-2-0"}


def test_entities_are_bounded_and_the_kept_ones_exact(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "ENTITIES", 3)
    handle(database, [Finding(1, more=(("dst_ip", "198.51.100.1"),)), Finding(2, more=(("dst_ip", "198.51.100.2"),))])
    handle(database, [Finding(place, more=(("dst_ip", f"198.51.100.{place}"),)) for place in range(3, 9)])
    handle(database, [Finding(9, more=(("dst_ip", "198.51.100.2"),)), Finding(10, more=(("dst_ip", "198.51.100.3"),))])
    (found,) = everything(database)
    assert [(one.value, one.detections) for one in found.entities] == [("192.0.2.7", 10), ("198.51.100.2", 2), ("198.51.100.1", 1)]


NOT_UTF8 = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())


@pytest.mark.parametrize(
    "value",
    [
        record([Finding(1, minute=60 * 24 * 365 * 400)]).value,
        b"",
        b"not arrow at all",
        record([Finding(1)]).value[:-200],
        record([Finding(1)]).value[:40] + b"\xff" * 80 + record([Finding(1)]).value[120:],
        record(table([Finding(1)]).drop_columns(["agency"])).value,
        record(table([Finding(1)]).set_column(0, "detection_id", pa.array([None], pa.string()))).value,
        record(table([Finding(1)]).set_column(0, "detection_id", pa.array([[7]]))).value,
        record(table([Finding(1)]).set_column(0, "detection_id", NOT_UTF8)).value,
    ],
    ids=["time", "empty", "text", "cut", "damaged", "column missing", "null", "other type", "not utf-8"],
)
def test_a_message_that_cannot_be_read_is_counted_and_passed_over(tmp_path: Path, value: bytes) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db", FixedClock(NOW))
    database.migrate()
    database.start()
    skipped = metrics.MESSAGES_SKIPPED.labels("respond")._value.get()
    bad = record([])
    bad = type(bad)(bad.topic, bad.partition, 5, value, {}, bad.timestamp)
    stage = RespondStage(database, validate({}), FixedClock(NOW))
    asyncio.run(stage.handle([bad, record([Finding(1)], 6)], 1))
    assert len(everything(database)) == 1
    assert metrics.MESSAGES_SKIPPED.labels("respond")._value.get() == skipped + 1
    database.close()


tens_of_minutes = st.integers(0, 9).map(lambda tens: tens * 10)  # the window is 20: many lie just between two others
sources = st.sampled_from(["192.0.2.1", "192.0.2.1", "192.0.2.1", None])
levels = st.sampled_from(["low", "high", ""])
drawn_findings = st.lists(st.tuples(tens_of_minutes, sources, levels), min_size=3, max_size=9)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=drawn_findings, order=st.randoms(use_true_random=False), largest=st.integers(1, 3))
def test_any_order_and_any_cutting_into_messages_give_the_same_incidents(
    database: Database, drawn: list[tuple[int, str | None, str]], order: random.Random, largest: int
) -> None:
    """Each finding comes from a partition of its own, so that the bus may deliver them in any order."""
    findings = [
        Finding(1, minute, src, partition=place, more=(("rule_level", level), ("dst_ip", f"198.51.100.{place % 3}")))
        for place, (minute, src, level) in enumerate(drawn)
    ]
    empty(database)
    handle(database, findings, window=20)
    whole = content(everything(database))
    assert sum(one[7] for one in whole) == len(findings)

    order.shuffle(findings)
    messages = []
    while findings:
        size = order.randint(1, largest)
        messages.append(findings[:size])
        del findings[:size]
    empty(database)
    for message in messages:
        handle(database, message, window=20)
    assert content(everything(database)) == whole
    empty(database)
    handle(database, *messages, window=20)
    assert content(everything(database)) == whole
    with database.session(readonly=True) as session:
        assert audit.verify(session).problem == ""


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=drawn_findings, cuts=st.sets(st.integers(1, 8)), again=st.integers(0, 8))
def test_any_cutting_of_one_partition_with_a_delivery_that_begins_again(
    database: Database, drawn: list[tuple[int, str | None, str]], cuts: set[int], again: int
) -> None:
    findings = [Finding(place, minute, src, more=(("rule_level", level),)) for place, (minute, src, level) in enumerate(drawn)]
    empty(database)
    handle(database, findings, window=20)
    whole = content(everything(database))
    edges = [0, *sorted(cut for cut in cuts if cut < len(findings)), len(findings)]
    messages = [findings[start:end] for start, end in pairwise(edges)]
    empty(database)
    for number, message in enumerate(messages):
        handle(database, message, window=20)
        if number == again:
            handle(database, *messages[: number + 1], window=20)
    assert content(everything(database)) == whole


def test_workers_on_different_partitions_open_one_incident(database: Database) -> None:
    """What two processes on a bus of many partitions do."""

    def work(partition: int) -> None:
        for offset in range(15):
            other = Finding(offset, line=1, src="192.0.2.8", partition=partition)
            handle(database, [Finding(offset, offset, partition=partition), other])

    with ThreadPoolExecutor(3) as workers:
        list(workers.map(work, range(3)))
    assert [one.incident.detections for one in everything(database)] == [45, 45]
    with database.session(readonly=True) as session:
        assert audit.verify(session) == audit.Verified(2, audit.verify(session).head, "")


def big(rows: int, *, sources: int) -> pa.Table:
    """Many findings without a Python object for each."""
    one = table([Finding(0)])
    many = one.take(pa.array([0] * rows))
    lines = pa.array(range(rows), pa.uint32())
    ids = pa.array([f"rule-scan:e1-0-0-{line}" for line in range(rows)])
    addresses = pa.array(
        [packed(f"10.{n % sources >> 16}.{n % sources >> 8 & 255}.{n % sources & 255}") for n in range(rows)], pa.binary(16)
    )
    for name, column in (("raw_line", lines), ("detection_id", ids), ("src_ip", addresses)):
        many = many.set_column(many.schema.get_field_index(name), one.schema.field(name), column)
    return many


@pytest.mark.parametrize("sources", [1, 2_000])
def test_tens_of_thousands_of_findings_in_one_message(database: Database, sources: int) -> None:
    handle(database, big(50_000, sources=sources), keep=2)
    with database.session(readonly=True) as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Incident)) == sources
        assert session.scalar(sa.select(sa.func.sum(Incident.detections))) == 50_000
        assert session.scalar(sa.select(sa.func.count()).select_from(IncidentEvidence)) == 2 * sources
        assert session.scalar(sa.select(sa.func.sum(IncidentEntity.detections))) == 50_000


def test_many_messages_are_several_transactions_with_one_outcome(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "_ROWS_A_TRANSACTION", 3)
    messages = [[Finding(offset, offset), Finding(offset, offset, line=1)] for offset in range(5)]
    handle(database, *messages)
    before = rows(database)
    assert [one.incident.detections for one in everything(database)] == [10]
    handle(database, *messages)
    assert rows(database) == before


def test_a_database_away_is_unavailable_and_the_retry_works(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres_server")
    made = Database(server.new_database(), FixedClock(NOW))
    made.migrate()
    made.start()
    server.stop()
    try:
        with pytest.raises(StoreUnavailable):
            handle(made, [Finding(1)])
    finally:
        server.start()
    handle(made, [Finding(1)])
    assert len(everything(made)) == 1
    made.close()
