"""What a silence or a suppression keeps from incidents, and that nothing is lost by it; on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from core.clock import FixedClock
from core.config import validate
from core.database import Database
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.rule_records import RuleSet, RuleState
from respond import audit, silences, tunings
from respond.incidents import queries as incidents
from respond.incidents.machine import State
from respond.incidents.queries import Detail, Filters
from respond.incidents.sight import WHOLE_CITY
from respond.models import Audit, DetectionPosition, Incident, IncidentEntity, IncidentEvidence
from respond.silences import Silence, Wish
from respond.stage import RespondStage
from respond.suppression import SuppressedGroup
from respond.tunings import Tuning
from tests.detections import START, Finding, record, table
from tests.incident_steps import step_to

NOW = START + timedelta(hours=2)
LONGEST = timedelta(days=90)
SCAN = "rule-scan"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each engine."""
    url = f"sqlite:///{tmp_path}/incidents.db" if request.param == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    made = Database(url, FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def on_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for many examples."""
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('examples')}/incidents.db", FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


def handle(database: Database, *messages: Sequence[Finding], at: timedelta = timedelta(0), first: int = 0) -> None:
    stage = RespondStage(database, validate({}), FixedClock(NOW + at))
    asyncio.run(stage.handle([record(message, first + offset) for offset, message in enumerate(messages)], 1))


def everything(database: Database) -> list[Detail]:
    with database.session(readonly=True) as session:
        found = incidents.list_incidents(session, WHOLE_CITY, Filters(), limit=1000).items
        return [incidents.get_incident(session, WHOLE_CITY, one.number) for one in reversed(found)]


def silence(database: Database, scope: frozenset[str] | None = None, days: float = 1, **wanted: Any) -> Silence:
    wish = Wish(**({"reason": "a scan", "owner": "kim", "expires_at": NOW + timedelta(days=days)} | wanted))
    with database.session() as session:
        return silences.make(session, scope, "user:kim", wish, LONGEST)


def as_it_is(database: Database, number: int) -> Silence:
    with database.session(readonly=True) as session:
        return silences.find(session, None, number)


def trail(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    with database.session(readonly=True) as session:
        assert audit.verify(session).problem == ""
        found = session.execute(sa.select(Audit.action, Audit.object, Audit.detail).order_by(Audit.seq))
        return [(action, named, json.loads(detail)) for action, named, detail in found if not action.startswith("incident")]


# ---- silences ----


def test_what_is_silenced_opens_and_joins_nothing_and_is_counted(database: Database) -> None:
    handle(database, [Finding(1, src="192.0.2.7")])
    made = silence(database, match={"src_ip": "192.0.2.0/25"})
    handle(database, [Finding(2, src="192.0.2.7"), Finding(3, src="192.0.2.99"), Finding(4, src="192.0.2.200")], first=1)
    assert [(one.incident.entity_value, one.incident.detections) for one in everything(database)] == [("192.0.2.7", 1), ("192.0.2.200", 1)]
    now = as_it_is(database, made.id)
    assert (now.detections, now.last_at, now.active) == (2, NOW, True)


def test_a_repeated_delivery_is_not_counted_twice(database: Database) -> None:
    made = silence(database, rule_id=SCAN)
    for _ in range(2):
        handle(database, [Finding(1), Finding(2)])
    assert everything(database) == []
    assert as_it_is(database, made.id).detections == 2


def test_a_silence_ends_by_itself_or_by_hand_and_stays_as_history(database: Database) -> None:
    expiring = silence(database, rule_id=SCAN, days=1)
    handle(database, [Finding(1)], at=timedelta(days=1) - timedelta(seconds=1))
    assert everything(database) == []
    handle(database, [Finding(2)], at=timedelta(days=1), first=1)
    assert len(everything(database)) == 1
    ended = silence(database, rule_id=SCAN, days=5)
    with database.session() as session:
        assert not silences.end(session, None, "user:lee", ended.id).active
        assert silences.end(session, None, "user:other", ended.id).ended_by == "user:lee", "ending it again changes nothing"
    handle(database, [Finding(3, src="198.51.100.1")], at=timedelta(days=1), first=2)
    assert len(everything(database)) == 2
    with database.session(readonly=True) as session:
        assert [one.id for one in silences.listed(session, None, active=True)] == [expiring.id]
        assert [one.id for one in silences.listed(session, None, active=False)] == [ended.id]
        assert [one.id for one in silences.listed(session, None, before=ended.id)] == [expiring.id]


def test_making_and_ending_are_in_the_trail_without_the_values(database: Database) -> None:
    made = silence(database, rule_id=SCAN, match={"user": "hong"})
    with database.session() as session:
        silences.end(session, None, "user:lee", made.id)
    (begun, named, about), (ended, _, counted) = trail(database)
    assert (begun, ended, named) == ("silence.made", "silence.ended", f"silence/{made.id}")
    assert (about["rule"], about["columns"], about["owner"], about["reason"]) == (SCAN, ["user"], "kim", "a scan")
    assert "hong" not in json.dumps(about)
    assert counted == {"detections": 0}


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({}, "silence everything"),
        ({"rule_id": SCAN, "reason": " "}, "reason and an owner"),
        ({"rule_id": SCAN, "owner": ""}, "reason and an owner"),
        ({"rule_id": SCAN, "days": 91}, "90 days"),
        ({"rule_id": SCAN, "days": 0}, "a minute"),
        ({"match": {"colour": "red"}}, "'colour' is no column"),
        ({"match": {"raw": "x"}}, "'raw' is no column"),
        ({"match": {"src_ip": "10.0.0.0/33"}}, "neither an address nor a network"),
        ({"match": {"dst_port": "65536"}}, "not a number below 65536"),
        ({"match": {"user": ""}}, "1 to 1000 characters"),
    ],
)
def test_what_makes_no_sense_is_refused(database: Database, wanted: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        silence(database, **wanted)


def test_there_are_only_so_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silences, "MOST_ACTIVE", 1)
    silence(database, rule_id=SCAN)
    with pytest.raises(Conflict, match="hold already"):
        silence(database, rule_id="other")


def test_who_sees_one_agency_sees_and_makes_silences_of_that_alone(database: Database) -> None:
    own, other, city = (silence(database, agency=agency, rule_id=SCAN) for agency in ("parks", "water", ""))
    parks = frozenset({"parks"})
    with database.session() as session:
        assert [one.id for one in silences.listed(session, parks)] == [own.id]
        for hidden in (other, city):
            with pytest.raises(NotFound):
                silences.find(session, parks, hidden.id)
            with pytest.raises(NotFound):
                silences.end(session, parks, "user:kim", hidden.id)
    for agency in ("water", ""):
        with pytest.raises(Forbidden):
            silence(database, parks, agency=agency, rule_id=SCAN)
    assert silence(database, parks, agency="parks").active


def addresses() -> st.SearchStrategy[str]:
    return st.one_of(st.ip_addresses(v=4, network="10.0.0.0/29"), st.ip_addresses(v=6, network="2001:db8::/125")).map(str)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.none() | addresses(), st.sampled_from(["", "Kim", "lee"]), st.sampled_from([None, 22, 23])), max_size=12),
    network=st.builds(lambda address, bits: f"{address}/{bits + (96 if ':' in address else 0)}", addresses(), st.integers(24, 32)),
    user=st.sampled_from(["", "KIM", "lee"]),
    port=st.sampled_from(["", "22"]),
)
def test_values_are_matched_as_the_standard_library_would(
    rows: list[tuple[str | None, str, int | None]], network: str, user: str, port: str
) -> None:
    findings = table([Finding(at, src=src, more=(("user", name), ("dst_port", to))) for at, (src, name, to) in enumerate(rows)])
    match = {"src_ip": network} | ({"user": user} if user else {}) | ({"dst_port": port} if port else {})
    within = ip_network(network, strict=False)
    expected = [
        src is not None and ip_address(src) in within and (not user or name.lower() == user.lower()) and (not port or to == int(port))
        for src, name, to in rows
    ]
    assert silences.held_by(findings, "", "", match).tolist() == expected


# ---- suppression ----


def ask(database: Database, **suppress: Any) -> None:
    """Let the rule ask for a suppression, as a detecting process publishes it."""
    with database.session() as session:
        session.add(RuleSet(process="p", version="v", loaded_at=NOW, seen_at=NOW, set_aside=[]))
        session.flush()
        about: dict[str, Any] = {}
        session.add(RuleState(process="p", rule_id=SCAN, title="Scan", level="low", kind="rule", hash="0", suppress=suppress, about=about))


def suppressed() -> float:
    return REGISTRY.get_sample_value("bongsu_suppressed_detections_total") or 0


def test_only_the_first_of_a_group_keeps_its_line_and_all_are_counted(database: Database) -> None:
    ask(database, by=["src_ip"], **{"for": "1h"})
    before = suppressed()
    handle(database, [Finding(at, minute=at) for at in range(10)], [Finding(10, minute=59), Finding(11, minute=60), Finding(12, minute=61)])
    (one,) = everything(database)
    assert one.incident.detections == 13
    assert [line.event_id for line in one.evidence] == ["e1-0-0-0", "e1-0-11-0"]
    assert one.incident.last_event_at == START + timedelta(minutes=61)
    assert suppressed() - before == 11
    assert {(entity.value, entity.detections) for entity in one.entities} == {("192.0.2.7", 13)}


def test_what_is_alike_joins_the_incident_of_the_first_whatever_its_own_entity(database: Database) -> None:
    ask(database, by=["dst_port"], **{"for": "1h"})
    port = (("dst_port", 22),)
    handle(database, [Finding(1, src="192.0.2.1", more=port), Finding(2, src="192.0.2.2", more=port)])
    handle(database, [Finding(3, src="192.0.2.3", more=port, minute=2), Finding(4, src="192.0.2.4", more=(("dst_port", 23),))], first=1)
    first, other = everything(database)
    assert (first.incident.entity_value, first.incident.detections, len(first.evidence)) == ("192.0.2.1", 3, 1)
    assert {entity.value for entity in first.entities} == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    assert (other.incident.entity_value, other.incident.detections) == ("192.0.2.4", 1)


def test_an_exercise_holds_back_nothing_that_is_real(database: Database) -> None:
    ask(database, by=["src_ip"], **{"for": "1h"})
    drill = (("exercise", "DRL-2026-000001"),)
    handle(database, [Finding(1, more=drill)], [Finding(2, minute=1)], [Finding(3, minute=2, more=drill), Finding(4, minute=3)])
    found = everything(database)
    assert [(one.incident.exercise, one.incident.drill) for one in found] == [(True, "DRL-2026-000001"), (False, "")]
    assert [(one.incident.detections, len(one.evidence)) for one in found] == [(2, 1), (2, 1)]


def test_far_apart_in_time_they_are_still_one_incident(database: Database) -> None:
    ask(database, by=["src_ip"], **{"for": "1d"})
    handle(database, [Finding(1)], [Finding(2, minute=300)])
    handle(database, [Finding(3, minute=1000), Finding(4, minute=900, src="192.0.2.9")], first=2)
    assert [(one.incident.detections, len(one.evidence)) for one in everything(database)] == [(3, 1), (1, 1)]


def test_the_span_ends_with_the_incident(database: Database) -> None:
    ask(database, by=["src_ip"], **{"for": "1d"})
    handle(database, [Finding(1)])
    (one,) = everything(database)
    with database.session() as session:
        step_to(session, WHOLE_CITY, "user:kim", one.incident.number, State.TRIAGED, "", 1)
        step_to(session, WHOLE_CITY, "user:kim", one.incident.number, State.FALSE_POSITIVE, "a test", 2)
    handle(database, [Finding(2, minute=5)], first=1)
    assert [(one.incident.detections, len(one.evidence)) for one in everything(database)] == [(1, 1), (1, 1)]


def test_an_absorbed_incident_takes_its_spans_along(database: Database) -> None:
    ask(database, by=["dst_port"], **{"for": "1h"})
    handle(database, [Finding(1, more=(("dst_port", 22),))], [Finding(2, minute=100, more=(("dst_port", 23),))])
    handle(database, [Finding(3, minute=50, more=(("dst_port", 24),))], first=2)
    handle(database, [Finding(4, minute=110, more=(("dst_port", 23),))], first=3)
    (one,) = everything(database)
    assert (one.incident.detections, len(one.evidence)) == (4, 3)


def test_an_agency_may_ask_for_another_suppression_than_the_rule(database: Database) -> None:
    ask(database, by=["src_ip"], **{"for": "1h"})
    with database.session() as session:
        wish = Tuning(SCAN, "parks", True, "", None, {"by": ["dst_port"], "for": "10m"}, "kim", "many ports", NOW)
        tunings.put(session, None, "user:kim", wish)
    rows = [Finding(at, more=(("dst_port", 22 + at % 2),)) for at in range(4)]
    handle(database, rows, [Finding(9, more=(("agency", "water"), ("dst_port", at))) for at in range(1)])
    found = {one.incident.agency: (one.incident.detections, len(one.evidence)) for one in everything(database)}
    assert found == {"parks": (4, 2), "water": (1, 1)}


def test_spans_long_over_are_forgotten(database: Database) -> None:
    ask(database, by=["src_ip"], **{"for": "1h"})
    handle(database, [Finding(1)])
    handle(database, [Finding(2, minute=3 * 1440, src="192.0.2.8")], at=timedelta(days=3), first=1)
    with database.session(readonly=True) as session:
        assert session.scalars(sa.select(SuppressedGroup.entity_value)).all() == ["192.0.2.8"]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3), st.sampled_from([22, 23])), min_size=1, max_size=20),
    seed=st.integers(0, 1000),
)
def test_nothing_is_lost_and_the_kept_are_the_firsts(on_file: Database, rows: list[tuple[int, int, int]], seed: int) -> None:
    """In order of time and cut anywhere, the kept lines are those a plain loop keeps; counts are exact always."""
    with on_file.session() as session:
        for known in (SuppressedGroup, IncidentEvidence, IncidentEntity, Incident, DetectionPosition, Audit, RuleState, RuleSet):
            session.execute(sa.delete(known))
    ask(on_file, by=["src_ip", "dst_port"], **{"for": "2h"})
    ordered = sorted(rows)
    began: dict[tuple[int, int], int] = {}
    kept = set()
    for at, (minute, host, port) in enumerate(ordered):
        if (host, port) not in began or minute >= began[host, port] + 120:
            began[host, port] = minute
            kept.add(f"e1-0-{at}-0")
    findings = [
        Finding(at, minute=minute, src=f"192.0.2.{host}", more=(("dst_port", port),)) for at, (minute, host, port) in enumerate(ordered)
    ]
    cuts = sorted(random.Random(seed).sample(range(len(findings) + 1), min(2, len(findings))))
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(findings)], strict=True)):
        if findings[start:end]:
            handle(on_file, findings[start:end], first=number)
    found = everything(on_file)
    assert sum(one.incident.detections for one in found) == len(rows)
    assert {line.event_id for one in found for line in one.evidence} == kept
    assert all(one.evidence for one in found)
