"""Bringing the tracks of a verified case in line with what its pack asks: opening them, moving them, starting and stopping clocks.

- Nothing is deleted: a track no longer required says so with the reason, and what was already sent, posted or filed stays as it is.
- Statutory clocks start at awareness, never in an exercise. While it is open whether a report is due, the clock `decide` runs to the time
  it would have been due.
- Rows of a case are locked in one order everywhere: the case, its tracks, then the audit trail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from respond.cases import clocks, records
from respond.cases.clocks import Basis
from respond.personal.machine import TRACKS
from respond.personal.models import PersonalCase, PersonalTrack
from respond.personal.packs import Pack, Recipient, Rule, Track
from respond.personal.rules import Determination, Duty, Finding, duty, why

WAITING: Final[Mapping[Track, tuple[str, str]]] = {
    Track.NOTICE: ("due", "first_notice"),
    Track.POSTING: ("required", "post"),
    Track.REPORT: ("due", "first_report"),
    Track.POSSIBLE_NOTICE: ("due", "possible_notice"),
}
"""The state in which the first act of a track is waited for, and the clock of it."""
DECIDE: Final = "decide"
FURTHER: Final = "further_report"
STAY: Final = "stay_posted"
EXPLANATION: Final = "explanation"
RETRACTION: Final = "retraction"

_MOVES: Final[Mapping[tuple[Track, str, Finding], str]] = {
    (Track.POSTING, "required", Finding.NOT_REQUIRED): "waive",
    (Track.POSTING, "not_required", Finding.REQUIRED): "require",
    (Track.REPORT, "evaluate", Finding.REQUIRED): "require",
    (Track.REPORT, "evaluate", Finding.NOT_REQUIRED): "waive",
    (Track.REPORT, "not_required", Finding.REQUIRED): "require",
    (Track.REPORT, "not_required", Finding.UNKNOWN): "reconsider",
    (Track.REPORT, "due", Finding.NOT_REQUIRED): "waive",
}
Tracks = dict[Track, PersonalTrack]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation under way: the case and its tracks are locked."""

    session: Session
    case: PersonalCase
    pack: Pack
    tracks: Tracks
    actor: str
    at: datetime

    @property
    def known(self) -> Determination:
        return Determination.model_validate(self.case.determination)


def tracks_of(session: Session, case_number: str, *, lock: bool = False) -> Tracks:
    """The tracks of a case in the order they were opened."""
    query = sa.select(PersonalTrack).where(PersonalTrack.case_number == case_number).order_by(PersonalTrack.id)
    if lock:
        query = query.with_for_update()
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    return {Track(row.track): row for row in rows}


def evaluate(now: Evaluation) -> None:
    """Apply the pack to a verified case."""
    for track in (Track.CONTAINMENT, Track.NOTICE, Track.POSTING, Track.REPORT):
        if track is Track.CONTAINMENT:
            if track not in now.tracks:
                open_track(now, track, Finding.REQUIRED, (), {"ko": "PIO 7(2) [law]", "en": "PIO 7(2) [law]"})
            continue
        _evaluate(now, track, duty(now.pack, track, now.known))


def _evaluate(now: Evaluation, track: Track, found: Duty) -> None:
    reason = why(now.pack, found, now.known)
    row = now.tracks.get(track)
    if row is None:
        if track is Track.POSTING and found.finding is not Finding.REQUIRED:
            return
        row = open_track(now, track, found.finding, found.rules, reason)
    row.finding, row.why, row.rules = found.finding.value, reason, [rule.id for rule in found.rules]
    action = _MOVES.get((track, row.state, found.finding))
    if action is not None and not _decided_otherwise(row, action):
        move(now, row, action, reason["en"])
    _set_clocks(now, row, found)


def _decided_otherwise(row: PersonalTrack, action: str) -> bool:
    """Whether a person's decision stands against a move: an exemption of these very rules, or a report made by choice."""
    if action == "require":
        return bool(row.given.get("waived")) and set(row.rules) <= set(row.given["waived"])
    return action == "waive" and bool(row.given.get("voluntary"))


def open_track(now: Evaluation, track: Track, finding: Finding, rules: tuple[Rule, ...], reason: Mapping[str, str]) -> PersonalTrack:
    """Open a track of the case, in the first state of its machine."""
    row = PersonalTrack(
        agency=now.case.agency,
        exercise=now.case.exercise,
        case_number=now.case.number,
        track=track.value,
        finding=finding.value,
        rules=[rule.id for rule in rules],
        why=dict(reason),
        given={},
    )
    told = {"finding": finding.value, "rules": row.rules, "pack": now.pack.id}
    records.open_case(now.session, TRACKS[track], row, now.actor, told, number=f"{now.case.number}/{track}")
    now.tracks[track] = row
    return row


def move(now: Evaluation, row: PersonalTrack, action: str, reason: str) -> None:
    """Take a step of a track because of what was determined of its case; the history names who determined it."""
    machine = TRACKS[Track(row.track)]
    now.session.flush()
    step = records.begin(
        now.session, machine, PersonalTrack, None, row.number, action, actor=now.actor, if_version=row.version, reason=reason
    )
    step.done({"finding": row.finding, "rules": row.rules, "pack": now.pack.id})


def _set_clocks(now: Evaluation, row: PersonalTrack, found: Duty) -> None:
    track = Track(row.track)
    waiting, clock = WAITING[track]
    aware_at = now.case.aware_at
    if aware_at is None:
        raise ValueError(f"{now.case.number} is evaluated without awareness")
    if row.state == waiting and found.finding is Finding.REQUIRED:
        start_clock(now, row, clock, found.rules, aware_at, found.due_at(aware_at))
    elif row.state == "not_required":
        stop_clock(now, row, clock)
    if track is Track.REPORT:
        if row.state == "evaluate":
            start_clock(now, row, DECIDE, found.open_rules, aware_at, found.decide_by(aware_at))
        else:
            stop_clock(now, row, DECIDE)
        if row.state in ("first", "supplemented", "accepted"):
            set_further(now, row, found)


def set_further(now: Evaluation, row: PersonalTrack, found: Duty) -> None:
    """Wait for a further report while a group of recipients the rules name was told nothing; `given.lacking` names the groups."""
    if now.case.aware_at is None:
        return
    groups = found.lacking(recipients(row))
    row.given = {**row.given, "lacking": [list(group) for group in groups]}
    rules = tuple(rule for rule in found.rules if rule.to_any in groups)
    if rules:
        start_clock(now, row, FURTHER, rules, now.case.aware_at, Duty(found.track, found.finding, rules, ()).due_at(now.case.aware_at))
    else:
        stop_clock(now, row, FURTHER)


def recipients(row: PersonalTrack) -> frozenset[Recipient]:
    """Who was reported to so far."""
    return frozenset(Recipient(word) for word in row.given.get("to", []))


def start_clock(
    now: Evaluation, row: PersonalTrack, name: str, rules: tuple[Rule, ...], started_at: datetime, due_at: datetime | None
) -> None:
    """Start a statutory clock of a track, or set it anew; an exercise starts none."""
    if row.exercise:
        return
    source = f"{now.pack.id}: {', '.join(rule.id for rule in rules)}"
    told = track_name(row), row.agency, name
    clocks.start(now.session, *told, basis=Basis.PACK, source=source, started_at=started_at, due_at=due_at)


def stop_clock(now: Evaluation, row: PersonalTrack, name: str) -> None:
    """Stop a clock of a track now; one that stands stays."""
    clocks.stop(now.session, track_name(row), name, now.at)


def track_name(row: PersonalTrack) -> str:
    """How history, trail and clocks name a track."""
    return records.named(TRACKS[Track(row.track)], row.number)


def unfinished(case: PersonalCase, tracks: Tracks) -> list[str]:
    """The tracks that keep a case from being closed, with their states."""
    return [f"{track} is {row.state}" for track, row in tracks.items() if not _finished(case, row)]


def _finished(case: PersonalCase, row: PersonalTrack) -> bool:
    track = Track(row.track)
    if track is Track.POSSIBLE_NOTICE and case.state == "not_leaked" and row.state == "sent":
        return False
    if row.given.get("lacking"):
        return False
    return row.state in TRACKS[track].ended or (row.finding == Finding.NOT_REQUIRED and not row.given.get("voluntary"))
