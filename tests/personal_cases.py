"""A desk for tests of personal-information cases: a database, a clock, and steps taken with the version at hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from core.clock import FixedClock
from core.database import Database
from respond.cases.models import CaseClock, CaseEvent
from respond.personal import service, tracks
from respond.personal.evaluation import tracks_of
from respond.personal.facts import Facts, Findings, Words
from respond.personal.models import PersonalCase, PersonalTrack
from respond.personal.packs import Track, load
from respond.personal.service import Opening

BOOK = load()
CONTROLLERS = {"seogu": Words(ko="서구청", en="Seogu District"), "parks": Words(ko="공원녹지사업소")}
FACTS = Facts.model_validate(
    {
        "items": ["name", "phone number"],
        "occurred_from": "2026-05-01T00:00:00+09:00",
        "circumstances": {"ko": "회원 조회 화면이 외부에서 조회됨", "en": "The member search was reached from outside"},
        "subject_measures": {"ko": "비밀번호를 바꾸십시오", "en": "Change your password"},
        "countermeasures": {"ko": "화면을 닫고 점검함"},
        "department": {"ko": "정보통신과", "en": "IT Division"},
        "contact": "02-0000-0000",
        "measures_taken": {"ko": "접속 차단", "en": "Access was shut"},
    }
)


class Desk:
    """Everybody at once: `do` takes a step of the case, `on` one of a track. `scope` is every agency."""

    def __init__(self, database: Database, clock: FixedClock, *, exercise: bool = False) -> None:
        self.database, self.clock = database, clock
        with database.session() as session:
            opened = service.open_case(session, None, "user:kim", CONTROLLERS, Opening("A leak", agency="seogu", exercise=exercise))
            self.number = opened.number

    def do(self, action: str, reason: str = "", **given: Any) -> PersonalCase:
        defaults: dict[str, Any] = {"facts": FACTS, "findings": Findings(), "controllers": CONTROLLERS, "aware_at": None}
        with self.database.session() as session:
            version = session.scalars(sa.select(PersonalCase.version).where(PersonalCase.number == self.number)).one()
            case = service.take(session, None, "user:kim", BOOK, self.number, action, version, reason=reason, given={**defaults, **given})
            session.expunge_all()
        return case

    def on(self, track: Track, action: str, reason: str = "", **given: Any) -> PersonalTrack:
        defaults: dict[str, Any] = {"letter": 1, "method": "letter", "recipients": 10, "newspapers": 0, "address": "", "receipt": ""}
        defaults |= {"place": "website", "to": ["kisa"], "at": None}
        with self.database.session() as session:
            row = tracks_of(session, self.number).get(track)
            version = row.version if row is not None else 1
            row = tracks.take(
                session, None, "user:kim", BOOK, self.number, track, action, version, reason=reason, given={**defaults, **given}
            )
            session.expunge_all()
        return row

    def wait(self, **delta: float) -> None:
        self.clock.advance(timedelta(**delta))

    def case(self) -> PersonalCase:
        with self.database.session(readonly=True) as session:
            found = session.scalars(sa.select(PersonalCase).where(PersonalCase.number == self.number)).one()
            session.expunge_all()
        return found

    def tracks(self) -> dict[Track, PersonalTrack]:
        with self.database.session(readonly=True) as session:
            found = tracks_of(session, self.number)
            session.expunge_all()
        return found

    def states(self) -> dict[str, str]:
        return {track.value: row.state for track, row in self.tracks().items()}

    def clocks(self) -> dict[str, CaseClock]:
        """Those of the case and its tracks, by name."""
        with self.database.session(readonly=True) as session:
            found = session.scalars(sa.select(CaseClock).where(CaseClock.object.contains(self.number))).all()
            session.expunge_all()
        return {clock.name: clock for clock in found}

    def history(self) -> list[CaseEvent]:
        """Every change of the case and its tracks, oldest first."""
        with self.database.session(readonly=True) as session:
            found = session.scalars(sa.select(CaseEvent).where(CaseEvent.object.contains(self.number)).order_by(CaseEvent.id)).all()
            session.expunge_all()
        return list(found)
