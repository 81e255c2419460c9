"""Incidents as cases: merge and split, severity, compartments, sealing, and what people add; on the service level."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import FixedClock
from core.config import validate
from core.database import Database
from core.errors import Conflict, FileError, Invalid, NotFound
from respond.cases import records
from respond.cases.models import CaseClock, CaseColumns, CaseEvent, Outgoing
from respond.incidents import closing, linked, merging, queries, service, severity, story, work
from respond.incidents.machine import ENDED, MACHINE, State
from respond.incidents.models import IncidentComment, IncidentPerson
from respond.incidents.queries import Detail, Filters
from respond.incidents.sight import WHOLE_CITY, Sight
from respond.models import Audit, DetectionPosition, Incident, IncidentEntity, IncidentEvidence
from respond.readiness.models import Proposal
from respond.requests.models import Request
from respond.stage import RespondStage
from tests.case_tables import TABLES
from tests.detections import START, Finding, record, table

NOW = START + timedelta(hours=2)
FIRST, SECOND, THIRD = (f"INC-2026-{n:06d}" for n in (1, 2, 3))
LEE = "user:lee"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each engine."""
    url = f"sqlite:///{tmp_path}/cases.db" if request.param == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    yield from opened(url)


@pytest.fixture(scope="module")
def on_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for many examples."""
    yield from opened(f"sqlite:///{tmp_path_factory.mktemp('examples')}/cases.db")


def opened(url: str) -> Iterator[Database]:
    made = Database(url, FixedClock(NOW))
    made.migrate()
    made.start()
    yield made
    made.close()


def handle(database: Database, *findings: Finding, at: int = 0, keep: int = 200) -> None:
    stage = RespondStage(database, validate({"respond": {"evidence_per_incident": keep}}), FixedClock(NOW))
    asyncio.run(stage.handle([record(findings, at)], 1))


def by_rule(offset: int, rule: str, minute: float = 0, **more: Any) -> Finding:
    return Finding(offset, minute + offset / 1000, more=(("rule_id", rule), ("rule_title", rule), *more.items()))


def take(database: Database, number: str, action: str, *, sight: Sight = WHOLE_CITY, actor: str = LEE, **given: Any) -> Incident:
    """Take a step on the version that is."""
    with database.session() as session:
        version = queries.find(session, sight, number).version
        return service.take(session, sight, actor, number, action, version, reason="because", given=given)


def detail(database: Database, number: str, sight: Sight = WHOLE_CITY) -> Detail:
    with database.session(readonly=True) as session:
        return queries.get_incident(session, sight, number)


def listed(database: Database, sight: Sight = WHOLE_CITY, **filters: Any) -> list[str]:
    with database.session(readonly=True) as session:
        return [one.number for one in queries.list_incidents(session, sight, Filters(**filters)).items]


# ---- merge and split ----


def test_a_merged_incident_points_to_the_other_and_its_findings_go_there(database: Database) -> None:
    handle(database, by_rule(1, "scan"), by_rule(2, "login", 5))
    take(database, SECOND, "merge", into=FIRST)
    merged, absorbed = detail(database, FIRST), detail(database, SECOND)
    assert (merged.incident.detections, len(merged.evidence), merged.incident.rule_ids) == (2, 2, ("login", "scan"))
    assert (absorbed.incident.merged_into, absorbed.incident.detections, absorbed.incident.version) == (FIRST, 0, 2)
    assert merged.incident.version == 2
    handle(database, by_rule(3, "login", 60), by_rule(4, "login", 110), at=1)
    handle(database, by_rule(5, "login", 165), by_rule(6, "scan", 20), at=2)  # near the finding before, not near the first
    assert listed(database) == [FIRST]
    assert (detail(database, FIRST).incident.detections, len(detail(database, FIRST).evidence)) == (6, 6)
    with pytest.raises(Conflict, match=f"merged into {FIRST}"):
        take(database, SECOND, "triage")
    with database.session(readonly=True) as session:
        of_both = [(one.object[-1], one.action, one.reason) for one in session.scalars(sa.select(CaseEvent).order_by(CaseEvent.id))]
    assert of_both == [("1", "open", ""), ("2", "open", ""), ("1", "absorb", "because"), ("2", "merge", "because")]


def test_what_an_absorbed_incident_had_absorbed_goes_on_with_it(database: Database) -> None:
    handle(database, by_rule(1, "a"), by_rule(2, "b"), by_rule(3, "c"))
    take(database, THIRD, "merge", into=SECOND)
    take(database, SECOND, "merge", into=FIRST)
    assert detail(database, THIRD).incident.merged_into == FIRST
    handle(database, by_rule(4, "c", 1), at=1)
    assert listed(database) == [FIRST]
    assert detail(database, FIRST).incident.detections == 4


def test_nothing_joins_what_was_merged_into_an_ended_incident(database: Database) -> None:
    handle(database, by_rule(1, "a"), by_rule(2, "b"))
    take(database, SECOND, "merge", into=FIRST)
    take(database, FIRST, "triage")
    take(database, FIRST, "dismiss")
    handle(database, by_rule(3, "b", 1), at=1)
    assert listed(database) == [THIRD, FIRST]
    assert (detail(database, FIRST).incident.detections, detail(database, THIRD).incident.detections) == (2, 1)


def test_what_cannot_be_merged(database: Database) -> None:
    handle(database, by_rule(1, "a"), by_rule(2, "b"), by_rule(3, "c", agency="water"), by_rule(4, "d"))
    for number, into, error in ((FIRST, FIRST, Invalid), (FIRST, THIRD, Invalid), (FIRST, "INC-2026-000009", Invalid)):
        with pytest.raises(error):
            take(database, number, "merge", into=into)
    with pytest.raises(Invalid, match="there is no"):
        take(database, FIRST, "merge", sight=Sight(frozenset({"parks"})), into=THIRD)
    take(database, SECOND, "triage")
    take(database, SECOND, "dismiss")
    with pytest.raises(Conflict, match="ended"):
        take(database, FIRST, "merge", into=SECOND)
    take(database, FIRST, "restrict", members=[])
    with pytest.raises(Invalid, match="compartments"):
        take(database, FIRST, "merge", sight=Sight(None, LEE), into="INC-2026-000004")
    assert [detail(database, FIRST, Sight(None, LEE)).incident.detections, detail(database, THIRD).incident.detections] == [1, 1]


def test_a_split_takes_the_chosen_findings_and_nothing_else(database: Database) -> None:
    level = (("rule_level", "critical"), ("dst_importance", "low"), ("dst_ip", "198.51.100.5"))
    handle(database, Finding(1), Finding(2, 1, more=level), Finding(3, 2))
    parent = take(database, FIRST, "split", detections=["rule-scan:e1-0-2-0"], title=" The odd one ")
    assert (parent.detections, parent.evidence_kept, parent.version) == (2, 2, 2)
    child = detail(database, SECOND)
    assert (child.incident.title, child.incident.split_from, child.incident.state) == ("The odd one", FIRST, State.NEW)
    assert (child.incident.severity, child.incident.detections) == ("high", 1)  # critical on an asset of low importance
    assert [one.detection_id for one in child.evidence] == ["rule-scan:e1-0-2-0"]
    assert {(one.role, one.value, one.detections) for one in child.entities} == {("source", "192.0.2.7", 1), ("target", "198.51.100.5", 1)}
    assert {(one.role, one.value, one.detections) for one in detail(database, FIRST).entities} == {("source", "192.0.2.7", 2)}
    handle(database, Finding(4, 1), Finding(5, 1.5), at=1)
    assert [detail(database, number).incident.detections for number in (FIRST, SECOND)] == [4, 1]
    take(database, SECOND, "merge", into=FIRST)
    assert (detail(database, FIRST).incident.detections, len(detail(database, FIRST).evidence)) == (5, 5)


def test_what_cannot_be_split(database: Database) -> None:
    handle(database, Finding(1), Finding(2, 1), Finding(3, 2), keep=2)
    for chosen, said in (([], "1 to"), (["rule-scan:e1-0-3-0"], "keeps no line"), (["rule-scan:e1-0-1-0", "x"], "keeps no line")):
        with pytest.raises(Invalid, match=said):
            take(database, FIRST, "split", detections=chosen)
    take(database, FIRST, "split", detections=["rule-scan:e1-0-1-0", "rule-scan:e1-0-2-0"])
    assert [detail(database, number).incident.detections for number in (FIRST, SECOND)] == [1, 2]
    with pytest.raises(Invalid, match="leaves something"):
        take(database, SECOND, "split", detections=["rule-scan:e1-0-1-0", "rule-scan:e1-0-2-0"])


Deed = tuple[str, int, int]
DEEDS = st.lists(
    st.tuples(st.sampled_from(["findings", "findings", "merge", "split", "triage", "dismiss"]), st.integers(0, 5), st.integers(0, 5)),
    min_size=1,
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DEEDS)
def test_no_detection_is_lost_or_doubled_whatever_people_do(on_file: Database, deeds: list[Deed]) -> None:
    forget(on_file)
    sent: dict[str, str] = {}
    for offset, (deed, one, other) in enumerate(deeds):
        numbers = sorted(listed(on_file))
        if deed == "findings":
            rule, minute = f"rule-{one % 3}", float(other * 35)
            findings = [by_rule(2 * offset, rule, minute), by_rule(2 * offset + 1, rule, minute + 70)]
            handle(on_file, *findings, at=offset)
            handle(on_file, *findings, at=offset)  # a delivery that is repeated
            sent |= {finding.row()["detection_id"]: rule for finding in findings}
        elif numbers:
            act(on_file, deed, numbers[one % len(numbers)], numbers[other % len(numbers)])
        check_nothing_lost(on_file, sent)


def act(database: Database, deed: str, number: str, other: str) -> None:
    lines = [line.detection_id for line in detail(database, number).evidence]
    given = {"merge": {"into": other}, "split": {"detections": lines[: len(lines) // 2]}}.get(deed, {})
    try:
        take(database, number, deed, **given)
    except (Conflict, Invalid):
        return


def check_nothing_lost(database: Database, sent: dict[str, str]) -> None:
    with database.session(readonly=True) as session:
        rows = session.scalars(sa.select(Incident)).all()
        lines = {one.detection_id: one.incident_id for one in session.scalars(sa.select(IncidentEvidence))}
        entities: dict[int, int] = defaultdict(int)
        for one in session.scalars(sa.select(IncidentEntity)):
            entities[one.incident_id] += one.detections
    live = {row.id: row for row in rows if row.merged_into_id is None}
    assert lines.keys() == sent.keys()
    assert sum(row.detections for row in rows) == len(sent)
    for row in rows:
        own = [detection for detection, incident in lines.items() if incident == row.id]
        assert row.detections == row.evidence_kept == len(own) == entities[row.id]  # every finding names one address
        assert {sent[one] for one in own} <= set(row.rule_ids)
        if row.merged_into_id is not None:
            assert row.merged_into_id in live
            assert row.detections == 0


def forget(database: Database) -> None:
    with database.session() as session:
        for known in (IncidentEvidence, IncidentEntity, IncidentPerson, Incident, DetectionPosition, CaseEvent, Outgoing):
            session.execute(sa.delete(known))


# ---- the machine ----

WISHES: dict[str, dict[str, Any]] = {
    "assign": {"assignee": LEE},
    "assess": {"cause": "c", "impact": "i"},
    "rate": {"severity": "low"},
    "mark": {"personal_data": True},
    "restrict": {"members": []},
    "merge": {"into": FIRST},
    "split": {"detections": ["none"]},
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(TABLES["incidents"])), max_size=30), st.booleans())
def test_random_histories_skip_no_state_and_lose_no_version(on_file: Database, actions: Sequence[str], exercise: bool) -> None:
    forget(on_file)
    handle(on_file, Finding(1))
    with on_file.session() as session:
        session.execute(sa.update(Incident).values(exercise=exercise))
        (number,) = session.scalars(sa.select(Incident.number))
        session.execute(sa.delete(Outgoing))
    state, version = "new", 1
    for action in actions:
        sources, to, _ = TABLES["incidents"][action]
        with on_file.session() as session:
            try:
                case = service.take(session, Sight(None, LEE), LEE, number, action, version, reason="r", given=WISHES.get(action))
            except (Conflict, Invalid, NotFound):
                session.rollback()
                continue
            assert state in sources.split()
            state, version = to or state, version + 1
            assert (case.state, case.version) == (state, version)
    with on_file.session(readonly=True) as session:
        history = records.history(session, MACHINE, number)
        assert [one.version for one in history] == list(range(1, version + 1))
        assert all(one.before == earlier.after for earlier, one in pairwise(history))
        assert session.scalar(sa.select(sa.func.count()).select_from(CaseClock)) == 0
        assert all(one.exercise is exercise for one in session.scalars(sa.select(Outgoing)))


def test_confirming_says_who_knew_when_and_tells_the_agency(database: Database) -> None:
    handle(database, Finding(1))
    take(database, FIRST, "triage")
    with pytest.raises(Invalid, match="future"):
        take(database, FIRST, "confirm", aware_at=NOW + timedelta(seconds=1))
    take(database, FIRST, "confirm", aware_at=NOW - timedelta(minutes=20))
    found = detail(database, FIRST).incident
    assert (found.centre_aware_at, found.agency_told_at, found.agency_aware_at) == (NOW - timedelta(minutes=20), NOW, None)
    with database.session(readonly=True) as session:
        (news,) = session.scalars(sa.select(Outgoing).where(Outgoing.kind == "incident.confirm"))
        assert (news.object, news.agency, news.data["report_due_under"]) == (f"incident/{FIRST}", "parks", "CO 19(3)")
    officers = Sight(frozenset({"parks"}), "user:kim")
    take(database, FIRST, "acknowledge", sight=officers, actor="user:kim", aware_at=NOW - timedelta(hours=1))
    assert detail(database, FIRST).incident.agency_aware_at == NOW - timedelta(hours=1)
    with pytest.raises(Conflict, match="has known since"):
        take(database, FIRST, "acknowledge")


def to_recovering(database: Database, number: str) -> None:
    for action in ("triage", "confirm", "contain", "eradicate", "recover"):
        take(database, number, action)


def test_closing_needs_cause_impact_and_the_end_of_every_case_about_it(database: Database) -> None:
    handle(database, by_rule(1, "a"), by_rule(2, "b"))
    take(database, SECOND, "merge", into=FIRST)
    to_recovering(database, FIRST)
    with pytest.raises(Invalid, match="cause and impact"):
        take(database, FIRST, "close")
    take(database, FIRST, "assess", cause="A default password", impact="None")
    with database.session() as session:
        own = {"article": "12", "provider": "", "title": "t", "purpose": "p", "items": ["a"], "reply": {}, "due_at": None}
        for number, about, state in ((1, FIRST, "closed"), (2, SECOND, "issued"), (3, THIRD, "issued")):
            when = {"created_at": NOW, "updated_at": NOW, "created_by": LEE, "version": 1, "exercise": False}
            session.add(Request(number=f"REQ-2026-{number:06d}", agency="parks", state=state, about=f"incident/{about}", **own, **when))
    with pytest.raises(Conflict, match=r"every case about it has ended: REQ-2026-000002$"):
        take(database, FIRST, "close")
    with database.session() as session:
        session.execute(sa.update(Request).values(state="closed"))
    closed = take(database, FIRST, "close")
    assert (closed.state, len(closed.seal)) == (State.CLOSED, 64)


def test_the_seal_shows_any_change_of_the_evidence_and_ends_with_reopening(database: Database) -> None:
    handle(database, Finding(1, more=(("raw", "한글 \0 line"),)), Finding(2, 1))
    take(database, FIRST, "assess", cause="c", impact="i")
    to_recovering(database, FIRST)
    seal = take(database, FIRST, "close").seal
    with database.session(readonly=True) as session:
        row = queries.find(session, WHOLE_CITY, FIRST)
        assert closing.sealed(session, row.id) == (seal, 2)
    for column, value in (("raw", "another line"), ("rule_hash", "f" * 16), ("event_time", NOW), ("fields", {"src_ip": "192.0.2.8"})):
        with database.session() as session:
            session.execute(sa.update(IncidentEvidence).where(IncidentEvidence.detection_id.endswith("1-0")).values({column: value}))
            assert closing.sealed(session, row.id)[0] != seal, column
            session.rollback()
    assert take(database, FIRST, "reopen").seal == ""


def test_every_kind_of_case_about_an_incident_is_known_to_closing() -> None:
    tables = {mapper.class_ for mapper in Incident.registry.mappers if issubclass(mapper.class_, CaseColumns)}
    about = {table for table in tables if {"about", "incident"} & set(table.__mapper__.columns.keys())}
    about -= {Proposal}  # of readiness: about another of its kind
    assert about == {kind.about.class_ for kind in linked.KINDS}
    assert {table.__name__ for table in about if table.incident_name() is None} == set(), "or who is no member would see it"


# ---- severity ----


@pytest.mark.parametrize(
    ("level", "source", "target", "expected"),
    [
        ("high", "", "", "high"),
        ("high", "critical", "low", "critical"),
        ("medium", "", "high", "high"),
        ("low", "low", "", "informational"),
        ("critical", "", "low", "high"),
        ("critical", "low", "medium", "critical"),
        ("", "", "critical", "high"),
        ("strange", "strange", "", "medium"),
    ],
)
def test_severity_is_of_level_and_asset(level: str, source: str, target: str, expected: str) -> None:
    finding = Finding(1, more=(("rule_level", level), ("src_importance", source), ("dst_importance", target)))
    matrix = severity.load()
    assert matrix.rated(table([finding]))["incident_severity"].to_pylist() == [expected]
    assert matrix.of(level, source, target) == expected


def test_a_matrix_of_ones_own(tmp_path: Path, database: Database) -> None:
    flat = tmp_path / "flat.yaml"
    row = "{critical: low, high: low, medium: low, low: low, unknown: low}"
    flat.write_text("".join(f"{level}: {row}\n" for level in ("critical", "high", "medium", "low", "informational")))
    stage = RespondStage(database, validate({"respond": {"incidents": {"severity_matrix": str(flat)}}}), FixedClock(NOW))
    asyncio.run(stage.handle([record([Finding(1, more=(("rule_level", "critical"),))])], 1))
    assert detail(database, FIRST).incident.severity == "low"


@pytest.mark.parametrize("text", ["", "critical: {}", "- a", "critical: {critical: fatal}", "a: [", "\x00"])
def test_a_matrix_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(text)
    with pytest.raises(FileError, match=r"matrix\.yaml"):
        severity.load(file)


def test_what_a_person_rated_stands_until_they_take_it_back(database: Database) -> None:
    handle(database, Finding(1, more=(("rule_level", "low"),)))
    take(database, FIRST, "rate", severity="medium")
    handle(database, Finding(2, 1, more=(("rule_level", "critical"),)), at=1)
    found = detail(database, FIRST).incident
    assert (found.severity, found.severity_found, found.severity_by) == ("medium", "critical", LEE)
    back = take(database, FIRST, "rate", severity="")
    assert (back.severity, back.severity_by) == ("critical", "")
    with pytest.raises(Invalid):
        take(database, FIRST, "rate", severity="fatal")


# ---- who sees what ----


def test_a_restricted_incident_exists_for_its_members_alone(database: Database) -> None:
    handle(database, by_rule(1, "a"), by_rule(2, "b"))
    take(database, FIRST, "restrict", members=["user:kim"])
    member, stranger = Sight(frozenset({"parks"}), "user:kim"), Sight(None, "user:park")
    assert listed(database, member) == [SECOND, FIRST]
    assert listed(database, stranger) == listed(database, stranger, q="192.0.2.7") == listed(database) == [SECOND]
    for sight in (stranger, WHOLE_CITY, Sight(frozenset({"water"}), "user:kim")):
        with pytest.raises(NotFound):
            detail(database, FIRST, sight)
        with pytest.raises(NotFound):
            take_unseen(database, sight)
    with database.session() as session:
        with pytest.raises(NotFound):
            work.comment(session, stranger, "user:park", FIRST, "I know")
        assert sum(queries.counts(session, stranger).by_state.values()) == 1
        assert story.related(session, stranger, queries.find(session, stranger, SECOND)) == story.Related((), 0)
        assert queries.restricted_met(session, stranger, Filters(q="192.0.2.7")) == [FIRST]
        assert queries.restricted_met(session, stranger, Filters(q="192.0.2.99")) == []
    assert take(database, FIRST, "unrestrict", sight=member, actor="user:kim").restricted is False
    assert listed(database, stranger) == [SECOND, FIRST]


def take_unseen(database: Database, sight: Sight) -> None:
    with database.session() as session:
        service.take(session, sight, "user:park", FIRST, "triage", 2)


def test_a_restricted_incident_makes_no_news(database: Database) -> None:
    handle(database, Finding(1))
    member = Sight(None, LEE)
    take(database, FIRST, "restrict", members=[])
    with database.session() as session:
        session.execute(sa.delete(Outgoing))
    take(database, FIRST, "triage", sight=member)
    confirmed = take(database, FIRST, "confirm", sight=member)
    assert (confirmed.centre_aware_at, confirmed.agency_told_at) == (NOW, None)
    with database.session(readonly=True) as session:
        assert session.scalars(sa.select(Outgoing)).all() == []


def test_a_privacy_officer_sees_the_marked_of_the_own_agency(database: Database) -> None:
    handle(database, by_rule(1, "a"), by_rule(2, "b"), by_rule(3, "c", agency="water"))
    for number in (FIRST, THIRD):
        take(database, number, "mark", personal_data=True)
    privacy = Sight(frozenset({"parks"}), "user:yoon", only_personal=True)
    assert listed(database, privacy) == [FIRST]
    take(database, FIRST, "mark", personal_data=False)
    assert listed(database, privacy) == []


def test_related_incidents_elsewhere_are_only_counted(database: Database) -> None:
    handle(database, by_rule(1, "a"), by_rule(2, "a", agency="water"), by_rule(3, "b"), by_rule(4, "c", agency="roads"))
    handle(database, Finding(5, src="192.0.2.99"), at=1)
    with database.session(readonly=True) as session:
        officer = Sight(frozenset({"parks"}), "user:kim")
        found = story.related(session, officer, queries.find(session, officer, FIRST))
        assert ([one.title for one in found.items], found.elsewhere) == (["b"], 2)
        everywhere = story.related(session, WHOLE_CITY, queries.find(session, WHOLE_CITY, FIRST))
        assert (len(everywhere.items), everywhere.elsewhere) == (3, 0)


# ---- what people add ----


def test_what_people_add_is_told_and_leaves_the_version(database: Database) -> None:
    handle(database, Finding(1))
    with database.session() as session:
        work.comment(session, WHOLE_CITY, LEE, FIRST, "secret words")
        task = work.add_task(session, WHOLE_CITY, LEE, FIRST, "Ask the vendor", "", None)
        for _ in range(2):
            work.change_task(session, WHOLE_CITY, "user:kim", FIRST, task.id, done=True, assignee="user:kim")
        for name in ("a.txt", "a.txt", "b.txt"):
            work.attach(session, WHOLE_CITY, LEE, FIRST, name, b"bytes \0")
        for on in (True, True, False, False):
            work.watch(session, WHOLE_CITY, LEE, FIRST, on=on)
        row = queries.find(session, WHOLE_CITY, FIRST)
        assert (row.version, task.done_by) == (1, "user:kim")
        deeds = [one.action for one in records.history(session, MACHINE, FIRST)]
        assert deeds == ["open", "comment", "add_task", "assign_task", "do_task", "attach", "attach", "watch", "unwatch"]
        assert "secret" not in str([one.detail for one in session.scalars(sa.select(Audit))])
        (first, _) = work.attachments(session, row)
        assert work.attachment(session, row, first.id).content == b"bytes \0"
        for name in ("", "../x", "a\nb", "x" * 201):
            with pytest.raises(Invalid):
                work.attach(session, WHOLE_CITY, LEE, FIRST, name, b"x")


def test_what_was_added_goes_along_with_a_merge(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    handle(database, by_rule(1, "a"), by_rule(2, "b"))
    monkeypatch.setattr(work, "MOST", 1)
    with database.session() as session:
        work.comment(session, WHOLE_CITY, LEE, SECOND, "one")
        with pytest.raises(Conflict, match="has 1"):
            work.comment(session, WHOLE_CITY, LEE, SECOND, "two")
        for number in (FIRST, SECOND):
            work.watch(session, WHOLE_CITY, LEE, number, on=True)
    take(database, SECOND, "merge", into=FIRST)
    with database.session() as session:
        assert [one.text for one in work.comments(session, queries.find(session, WHOLE_CITY, FIRST))] == ["one"]
        with pytest.raises(Conflict, match="merged into"):
            work.comment(session, WHOLE_CITY, LEE, SECOND, "three")
        assert session.scalar(sa.select(sa.func.count()).select_from(IncidentComment)) == 1


def test_the_timeline_is_in_order_and_comes_in_pages(database: Database) -> None:
    handle(database, *(Finding(n, n / 2) for n in range(6)))
    take(database, FIRST, "triage")
    with database.session(readonly=True) as session:
        row = queries.find(session, WHOLE_CITY, FIRST)
        whole = story.timeline(session, row)
        assert [one.kind for one in whole] == ["detection"] * 6 + ["history"] * 2
        paged, after = [], None
        while page := story.timeline(session, row, after, limit=3):
            paged += page
            after = (page[-1].at, story.place(page[-1]))
        assert paged == list(whole)
        for wrong in ("x", "detection:x", "detection:", f"history:{'9' * 30}"):
            with pytest.raises(Invalid):
                story.timeline(session, row, (NOW, wrong))


def test_ended_is_the_machines_own_word() -> None:
    assert frozenset(ENDED) == MACHINE.ended
    assert merging.MOST_SPLIT <= 1000
