"""Readiness proposed by the rules and decided by the lead, on SQLite and PostgreSQL: once, with evidence, never from an exercise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.clock import FixedClock
from core.config import ReadinessSettings
from core.database import Database
from core.errors import Conflict
from respond.cases import clocks
from respond.cases.models import Outgoing
from respond.checklists import Proof
from respond.models import Incident, IncidentEvidence
from respond.readiness import policy, service
from respond.readiness.judge import judge
from respond.readiness.machine import Direction
from respond.readiness.models import Proposal

START = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
POLICY = policy.load(ReadinessSettings())
PEOPLE = ("kim", "lee")


class Place:
    """A database with incidents in it, and the judge over it."""

    def __init__(self, url: str) -> None:
        self.clock = FixedClock(START)
        self.database = Database(url, self.clock)
        self.database.migrate()
        self.database.start()
        self.count = 0

    def incident(self, agency: str, severity: str = "high", importance: str = "", *, state: str = "new", exercise: bool = False) -> None:
        self.count += 1
        at = self.clock.now()
        times = dict.fromkeys(("first_event_at", "last_event_at", "opened_at", "updated_at"), at)
        row = Incident(
            number=f"INC-2026-{self.count:06d}",
            agency=agency,
            title="t",
            severity=severity,
            state=state,
            group_key=str(self.count),
            entity_kind="ip",
            entity_value="192.0.2.1",
            detections=1,
            evidence_kept=1,
            rule_ids=["r"],
            tags=[],
            exercise=exercise,
            version=1,
            **times,
        )
        with self.database.session() as session:
            session.add(row)
            session.flush()
            told = {"event_time": at, "received_at": at, "detected_at": at, "rule_id": "r", "rule_title": "t", "rule_level": severity}
            fields = {"dst_importance": importance} if importance else {"dst_port": 22}
            place = {"incident_id": row.id, "detection_id": f"d{self.count}", "event_id": "e", "rule_hash": "h", "raw": "a line"}
            session.add(IncidentEvidence(**place, **told, fields=fields))

    def judge(self) -> list[Proposal]:
        with self.database.session() as session:
            return judge(POLICY, PEOPLE)(session)

    def act(self, work: Callable[[Session], Proposal]) -> Proposal:
        with self.database.session() as session:
            return work(session)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        made = Place(f"sqlite:///{tmp_path}/bongsu.db")
    else:
        made = Place(request.getfixturevalue("postgres_server").new_database())
    yield made
    made.database.close()


def test_from_a_proposal_to_standing_down(place: Place) -> None:
    assert place.judge() == []
    for agency in ("seogu", "parks"):
        place.incident(agency)
    place.incident("water", exercise=True)
    place.incident("water", state="false_positive")
    assert place.judge() == []
    place.incident("water")
    (made,) = place.judge()
    assert (made.number, made.state, made.level, made.rule, made.asked) == (
        *("RDY-2026-000001", "proposed", "raised", "several_agencies"),
        "kim",
    )
    assert made.evidence["total"] == 3
    assert [one["number"] for one in made.evidence["incidents"]] == ["INC-2026-000001", "INC-2026-000002", "INC-2026-000005"]
    assert place.judge() == [], "judging again changes nothing"
    place.clock.advance(timedelta(minutes=15))
    (asked,) = place.judge()
    assert (asked.number, asked.state, asked.asked, asked.passed_on) == (made.number, "unanswered", "lee", 1)
    assert place.judge() == []
    confirmed = place.act(lambda session: service.confirm(session, "user:lead", POLICY, made.number, 2, ""))
    assert confirmed.state == "confirmed"
    assert [one["id"] for one in confirmed.measures] == ["second_analyst", "related", "agencies_told"]
    proved = place.act(lambda session: service.prove(session, "user:lead", made.number, 3, Proof("related", "the same address")))
    assert proved.measures[1]["outcome"] == "done"
    place.clock.advance(timedelta(minutes=179))
    assert place.judge() == []
    place.clock.advance(timedelta(minutes=1))
    (calm,) = place.judge()
    assert (calm.direction, calm.about, calm.state) == ("stand_down", made.number, "proposed")
    assert place.judge() == []
    done = place.act(lambda session: service.confirm(session, "user:lead", POLICY, calm.number, 1, "quiet"))
    assert done.state == "stood_down"
    with place.database.session(readonly=True) as session:
        assert service.in_force(session) is None
        ended = session.scalars(sa.select(Proposal).where(Proposal.number == made.number)).one()
        assert (ended.state, ended.version) == ("stood_down", 5)
        told = {one.name: one for one in clocks.of_case(session, f"readiness/{made.number}")}
        assert {one.basis for one in told.values()} == {"target"}
        assert all(one.stopped_at is not None for one in told.values())
        news = session.scalars(sa.select(Outgoing.kind).order_by(Outgoing.id)).all()
    assert news == [
        *("readiness.propose", "readiness.pass_on", "readiness.confirm", "readiness.propose", "readiness.stand_down"),
    ]
    assert place.judge() == []


def test_what_was_declined_is_not_asked_again_on_the_same_incidents(place: Place) -> None:
    for agency in ("seogu", "parks", "water"):
        place.incident(agency)
    (made,) = place.judge()
    place.clock.advance(timedelta(seconds=1))
    place.act(lambda session: service.decline(session, "user:lead", made.number, 1, "a test of ours"))
    assert place.judge() == []
    place.clock.advance(timedelta(seconds=1))
    for agency in ("seogu", "parks"):
        place.incident(agency)
    assert place.judge() == []
    place.incident("water")
    (again,) = place.judge()
    assert (again.number, again.evidence["total"]) == ("RDY-2026-000002", 3)


def test_an_important_system_is_enough_and_a_higher_level_takes_the_lowers_place(place: Place) -> None:
    place.incident("seogu", importance="high")
    assert place.judge() == []
    place.incident("seogu", importance="critical")
    (raised,) = place.judge()
    assert (raised.rule, raised.evidence["incidents"][0]["importance"]) == ("important_system", "critical")
    place.act(lambda session: service.confirm(session, "user:lead", POLICY, raised.number, 1, ""))
    for n in range(5):
        place.incident("ab"[n % 2], "critical")
    (high,) = place.judge()
    assert high.level == "high"
    place.act(lambda session: service.confirm(session, "user:lead", POLICY, high.number, 1, ""))
    with place.database.session(readonly=True) as session:
        present = service.in_force(session)
        assert present is not None
        assert present.number == high.number
        lower = session.scalars(sa.select(Proposal).where(Proposal.number == raised.number)).one()
        assert lower.state == "stood_down"


def test_a_lower_level_does_not_take_the_place_of_a_higher(place: Place) -> None:
    for agency in ("seogu", "parks", "water"):
        place.incident(agency)
    (raised,) = place.judge()
    for n in range(5):
        place.incident("ab"[n % 2], "critical")
    (high,) = place.judge()
    place.act(lambda session: service.confirm(session, "user:lead", POLICY, high.number, 1, ""))
    with place.database.session(readonly=True) as session:
        assert session.scalars(sa.select(Proposal.state).where(Proposal.number == raised.number)).one() == "declined"
    direction = Direction.ESCALATE
    lower = place.act(lambda session: service.propose(session, "system:test", POLICY, (), direction, "raised", {}, at=START))
    with pytest.raises(Conflict):
        place.act(lambda session: service.confirm(session, "user:lead", POLICY, lower.number, 1, ""))


def test_standing_down_by_hand_answers_the_proposal_to_do_so(place: Place) -> None:
    place.incident("seogu", importance="critical")
    (made,) = place.judge()
    place.act(lambda session: service.confirm(session, "user:lead", POLICY, made.number, 1, ""))
    place.clock.advance(timedelta(hours=3))
    (calm,) = place.judge()
    place.act(lambda session: service.stand_down(session, "user:lead", made.number, 2, "over"))
    with place.database.session(readonly=True) as session:
        assert session.scalars(sa.select(Proposal.state).where(Proposal.number == calm.number)).one() == "declined"
        assert service.waiting(session) == []
    assert place.judge() == []


def test_judges_and_leads_at_once_agree(place: Place) -> None:
    for agency in ("seogu", "parks", "water"):
        place.incident(agency)
    with ThreadPoolExecutor(4) as pool:
        proposed = [one for made in pool.map(lambda _: place.judge(), range(4)) for one in made]
    assert [one.number for one in proposed] == ["RDY-2026-000001"]

    def decide(n: int) -> str:
        try:
            if n % 2:
                return place.act(lambda session: service.confirm(session, f"user:{n}", POLICY, "RDY-2026-000001", 1, "")).state
            return place.act(lambda session: service.decline(session, f"user:{n}", "RDY-2026-000001", 1, "no")).state
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(decide, range(4)))
    assert outcomes.count("conflict") == 3
    with place.database.session(readonly=True) as session:
        assert session.scalars(sa.select(Proposal.version)).all() == [2]
