"""How far the lines of drills are sent, in the database: which process sends which drill, and what it has sent.

A process holds a drill for `LEASE` and renews that with everything it writes down. When it ends without a word, another (or itself, started
anew) takes the drill up where the record stands, unless too long has passed: then sending is broken off, and says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import now
from respond import audit
from respond.cases import records
from respond.drills.machine import MACHINE, UNDER_WAY, Sending
from respond.drills.models import Drill, Party
from respond.drills.service import parties_of, scenario_of
from respond.drills.timeline import Timeline

LEASE: Final = timedelta(seconds=15)
ACTOR: Final = "system:drills"


@dataclass(frozen=True)
class Job:
    """A drill to be sent by the process `holder`: its agencies in the order of their places, and how many lines are sent already."""

    number: str
    holder: str
    timeline: Timeline
    agencies: tuple[str, ...]
    sent: int


@dataclass
class Progress:
    """What was sent since the last record: lines by place, with the first and the last time."""

    lines: int = 0
    by_place: dict[int, tuple[int, datetime, datetime]] = field(default_factory=dict)

    def add_all(self, places: Sequence[int], at: datetime) -> None:
        """Lines of the agencies at `places`, one each, were sent at `at`."""
        self.lines += len(places)
        for place, lines in Counter(places).items():
            count, first, _ = self.by_place.get(place, (0, at, at))
            self.by_place[place] = (count + lines, first, at)


def claim(session: Session, holder: str, resume: timedelta) -> Job | None:
    """A drill that waits to be sent, or whose sender is gone; None when there is none. One gone for longer than `resume` is broken off."""
    at = now(session)
    free = sa.or_(Drill.held_until.is_(None), Drill.held_until < at)
    query = sa.select(Drill).where(Drill.state == "running", Drill.sending.in_([one.value for one in UNDER_WAY]), free)
    drill = session.scalar(query.order_by(Drill.id).limit(1).with_for_update(skip_locked=True))
    if drill is None:
        return None
    if drill.held_until is not None and at - drill.held_until > resume:
        _end(session, drill, Sending.BROKEN, f"sending was interrupted at {drill.held_until.isoformat(timespec='seconds')} for too long")
        return None
    drill.sending, drill.holder, drill.held_until = Sending.SENDING.value, holder, at + LEASE
    agencies = tuple(one.agency for one in parties_of(session, drill.number))
    return Job(drill.number, holder, Timeline(scenario_of(drill), len(agencies)), agencies, drill.sent)


def write_down(session: Session, job: Job, done: Progress) -> bool:
    """Record what was sent and hold the drill longer; False when it is no longer this process's to send."""
    drill = _held(session, job)
    if drill is None:
        return False
    drill.sent += done.lines
    drill.held_until = now(session) + LEASE
    _count(parties_by_place(session, job.number), done)
    return True


def end(session: Session, job: Job, outcome: Sending, problem: str = "") -> None:
    """Sending is over."""
    drill = _held(session, job)
    if drill is not None:
        _end(session, drill, outcome, problem)


def parties_by_place(session: Session, number: str) -> Mapping[int, Party]:
    """The parties of a drill by their places."""
    return {one.place: one for one in parties_of(session, number)}


def _count(parties: Mapping[int, Party], done: Progress) -> None:
    for place, (count, first, last) in done.by_place.items():
        party = parties[place]
        party.sent += count
        party.first_sent_at = party.first_sent_at or first
        party.last_sent_at = last


def _held(session: Session, job: Job) -> Drill | None:
    query = sa.select(Drill).where(Drill.number == job.number, Drill.holder == job.holder, Drill.sending == Sending.SENDING.value)
    return session.scalar(query.with_for_update().execution_options(populate_existing=True))


def _end(session: Session, drill: Drill, outcome: Sending, problem: str) -> None:
    drill.sending, drill.problem, drill.holder, drill.held_until = outcome.value, problem, "", None
    told = {"sending": outcome.value, "sent": drill.sent, "problem": problem}
    audit.record_all(session, records.noted(session, MACHINE, [(drill, told)], ACTOR, "sent", now(session)))
