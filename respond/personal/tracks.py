"""The steps people take on a track: what each needs, and what it starts and stops. What is sent, posted or filed happens outside.

- A step says when it happened (`at`, by default now): never before awareness, never in the future. Being late is never refused; it needs
  a reason.
- A letter that goes out is one of the case's, by kind and version; its hash goes into the history.
- `given` of the row holds the proofs for those who read the case; the history gets numbers, times, hashes and words of ours alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid
from core.permissions import Agencies
from respond import outbox
from respond.cases import clocks, records
from respond.cases.records import Taken
from respond.personal import letters
from respond.personal.evaluation import (
    DECIDE,
    EXPLANATION,
    RETRACTION,
    STAY,
    WAITING,
    Evaluation,
    recipients,
    set_further,
    start_clock,
    stop_clock,
    track_name,
)
from respond.personal.letters import LetterKind
from respond.personal.machine import TRACKS
from respond.personal.models import PersonalCase, PersonalLetter, PersonalTrack
from respond.personal.packs import Pack, PackBook, Track
from respond.personal.rules import Determination, Duty, Finding, duty, posted_until

_PLACES: Final[Mapping[Track, frozenset[str]]] = {
    Track.POSSIBLE_NOTICE: frozenset({"possible", "not_leaked"}),
} | dict.fromkeys((Track.CONTAINMENT, Track.NOTICE, Track.POSTING, Track.REPORT), frozenset({"verified"}))
"""The states of a case in which its tracks go on."""
_REPORT_MAY_LACK: Final = frozenset({"subjects", "notice_result", "measures_taken"})


@dataclass(frozen=True, slots=True)
class Doing:
    """A step under way: the track's row is locked, the case is read. `given` is what came with the step."""

    taken: Taken[PersonalTrack]
    case: PersonalCase
    pack: Pack
    since: datetime
    given: Mapping[str, Any]

    @property
    def row(self) -> PersonalTrack:
        return self.taken.case

    @property
    def duty(self) -> Duty:
        return duty(self.pack, Track(self.row.track), Determination.model_validate(self.case.determination))

    @property
    def evaluation(self) -> Evaluation:
        """For starting and stopping clocks."""
        return Evaluation(self.taken.session, self.case, self.pack, {}, self.taken.actor, self.taken.at)

    def keep(self, **more: Any) -> None:
        """Add to the proofs of the row."""
        self.row.given = {**self.row.given, **more}

    def when(self) -> datetime:
        """When it happened, as the step says or now. Invalid before awareness or in the future."""
        at: datetime = (self.given.get("at") or self.taken.at).astimezone(UTC)
        if at > self.taken.at:
            raise Invalid(f"at is in the future: now it is {self.taken.at.isoformat()}")
        if at < self.since:
            raise Invalid(f"at is before the controller became aware ({self.since.isoformat()})")
        return at

    def letter(self, *kinds: LetterKind, may_lack: frozenset[str] | None = None) -> PersonalLetter:
        """The letter that goes out; by default it may lack what the pack lets a first notice lack."""
        lack = frozenset(self.pack.first_notice_may_lack) if may_lack is None else may_lack
        return letters.to_send(self.taken.session, self.case.number, kinds, self.given["letter"], lack)


Act = Callable[[Doing], dict[str, Any]]


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    book: PackBook,
    number: str,
    track: Track,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    given: Mapping[str, Any] | None = None,
) -> PersonalTrack:
    """Take a step of the track of case `number`. NotFound, Conflict or Invalid as for every case."""
    machine = TRACKS[track]
    taken = records.begin(
        session, machine, PersonalTrack, scope, f"{number}/{track}", action, actor=actor, if_version=if_version, reason=reason
    )
    case = session.scalars(sa.select(PersonalCase).where(PersonalCase.number == number).execution_options(populate_existing=True)).one()
    if case.state not in _PLACES[track]:
        raise Conflict(f"{number} is {case.state}: its {track} rests")
    since = case.possible_at if track is Track.POSSIBLE_NOTICE else case.aware_at
    if since is None:
        raise Conflict(f"{number} has no time of awareness for its {track}")
    pack = book.at(since) if track is Track.POSSIBLE_NOTICE else book.named(case.pack)
    doing = Doing(taken, case, pack, since, dict(given or {}))
    act = _ACTS.get((track, action))
    row = taken.done(act(doing) if act else {})
    outbox.tell(session, f"{machine.kind}.{action}", track_name(row), agency=row.agency, exercise=row.exercise)
    return row


def _in_time(doing: Doing, name: str, at: datetime) -> None:
    """Invalid when `at` is after the clock's time and no reason says why; else stop the clock at `at`."""
    for clock in clocks.of_case(doing.taken.session, track_name(doing.row)):
        if clock.name == name and clock.stopped_at is None and clocks.overdue(clock, at) and not doing.taken.reason:
            raise Invalid(f"it was due at {clock.due_at}: say in `reason` why it is late")
    clocks.stop(doing.taken.session, track_name(doing.row), name, at)


def _sent(letter: PersonalLetter, at: datetime) -> dict[str, Any]:
    return {"letter": f"{letter.kind}/{letter.version}", "sha256": letter.sha256, "missing": letter.missing, "at": at.isoformat()}


# ---- notice ----


def _send(*kinds: LetterKind) -> Act:
    def act(doing: Doing) -> dict[str, Any]:
        at, letter = doing.when(), doing.letter(*kinds)
        _in_time(doing, WAITING[Track(doing.row.track)][1], at)
        count = int(doing.given["recipients"])
        told = {**_sent(letter, at), "method": doing.given["method"], "recipients": count}
        doing.keep(**told, notified=doing.row.given.get("notified", 0) + count)
        return told

    return act


def _complete(doing: Doing) -> dict[str, Any]:
    if missing := doing.row.given.get("missing", []):
        raise Invalid(f"the last notice did not tell {', '.join(missing)}: send a supplement that does")
    return {}


def _post_in_lieu(doing: Doing) -> dict[str, Any]:
    offer = doing.duty.in_lieu
    if offer is None:
        raise Invalid(f"the pack {doing.pack.id} lets nothing take the place of notices here")
    at, letter, newspapers = doing.when(), doing.letter(LetterKind.POSTING), int(doing.given["newspapers"])
    if newspapers and not 0 < offer.newspapers <= newspapers:
        needed = f"at least {offer.newspapers} national dailies" if offer.newspapers else "no newspapers, but posting"
        raise Invalid(f"the pack {doing.pack.id} takes {needed} in place of notices")
    clocks.stop(doing.taken.session, track_name(doing.row), WAITING[Track.NOTICE][1], at)
    until = at if newspapers else posted_until(at, offer.days).astimezone(UTC)
    told = {**_sent(letter, at), "newspapers": newspapers, "until": until.isoformat()}
    doing.keep(**told, address=doing.given["address"], explained="")
    _stay(doing, at, until)
    if offer.explain_to:
        start_clock(doing.evaluation, doing.row, EXPLANATION, doing.duty.rules, at, None)
    return told


def _explain(doing: Doing) -> dict[str, Any]:
    at = doing.when()
    offer = doing.duty.in_lieu
    if offer is None or not offer.explain_to:
        raise Invalid(f"the pack {doing.pack.id} asks for no explanation")
    if doing.given["to"] not in offer.explain_to:
        raise Invalid(f"the reason is explained to {', '.join(offer.explain_to)}")
    clocks.stop(doing.taken.session, track_name(doing.row), EXPLANATION, at)
    doing.keep(explained=at.isoformat(), explanation_receipt=doing.given["receipt"])
    return {"at": at.isoformat(), "to": doing.given["to"]}


def _serve_in_lieu(doing: Doing) -> dict[str, Any]:
    offer = doing.duty.in_lieu
    if offer is not None and offer.explain_to and not doing.row.given.get("explained"):
        raise Invalid(f"the reason is to be explained in writing to {', '.join(offer.explain_to)} first")
    return _serve(doing)


# ---- posting ----


def _post(doing: Doing) -> dict[str, Any]:
    at, letter = doing.when(), doing.letter(LetterKind.POSTING)
    days = doing.duty.days or max((rule.days or 0 for rule in doing.pack.of(Track.POSTING)), default=0)
    _in_time(doing, WAITING[Track.POSTING][1], at)
    until = posted_until(at, days).astimezone(UTC)
    told = {**_sent(letter, at), "place": doing.given["place"], "until": until.isoformat()}
    doing.keep(**told, address=doing.given["address"])
    _stay(doing, at, until)
    return told


def _stay(doing: Doing, at: datetime, until: datetime) -> None:
    start_clock(doing.evaluation, doing.row, STAY, doing.duty.rules, at, until)


def _take_down(doing: Doing) -> dict[str, Any]:
    """The days already posted are lost [ours]: posting anew counts from its own day."""
    at = doing.when()
    stop_clock(doing.evaluation, doing.row, STAY)
    stop_clock(doing.evaluation, doing.row, EXPLANATION)
    if doing.duty.finding is Finding.REQUIRED:
        clock = WAITING[Track(doing.row.track)][1]
        start_clock(doing.evaluation, doing.row, clock, doing.duty.rules, doing.since, doing.duty.due_at(doing.since))
    doing.keep(until="", taken_down=at.isoformat())
    return {"at": at.isoformat()}


def _serve(doing: Doing) -> dict[str, Any]:
    until = datetime.fromisoformat(doing.row.given["until"])
    if doing.taken.at < until:
        raise Invalid(f"it stays posted until {until.isoformat()}; taken down before, its days begin anew")
    clocks.stop(doing.taken.session, track_name(doing.row), STAY, until)
    return {"until": until.isoformat()}


# ---- report, and what is decided against a rule ----


def _waive(doing: Doing) -> dict[str, Any]:
    found = doing.duty
    if found.finding is Finding.UNKNOWN:
        raise Invalid("whether it is required is not known yet: determine the count and the kinds of data first")
    if strict := [rule.source.article for rule in found.rules if rule.exemption is None]:
        raise Invalid(f"{', '.join(strict)} requires it and knows no exemption")
    for name in (WAITING[Track(doing.row.track)][1], STAY, DECIDE):
        stop_clock(doing.evaluation, doing.row, name)
    rules = [rule.id for rule in found.rules]
    doing.keep(waived=rules, voluntary=False)
    return {"exempted_from": rules}


def _require(doing: Doing) -> dict[str, Any]:
    """By choice where no rule asks; else the rules' own clock runs again."""
    found = doing.duty
    doing.keep(waived=[], voluntary=found.finding is not Finding.REQUIRED)
    if found.finding is Finding.REQUIRED:
        clock = WAITING[Track(doing.row.track)][1]
        start_clock(doing.evaluation, doing.row, clock, found.rules, doing.since, found.due_at(doing.since))
    return {"voluntary": found.finding is not Finding.REQUIRED}


def _reconsider(doing: Doing) -> dict[str, Any]:
    if doing.duty.finding is not Finding.UNKNOWN:
        raise Invalid("what is determined leaves nothing open: change the determination, or require the report")
    start_clock(doing.evaluation, doing.row, DECIDE, doing.duty.open_rules, doing.since, doing.duty.decide_by(doing.since))
    return {}


def _file(doing: Doing) -> dict[str, Any]:
    may_lack = _REPORT_MAY_LACK | frozenset(doing.pack.first_notice_may_lack)
    at, letter = doing.when(), doing.letter(LetterKind.REPORT, may_lack=may_lack)
    to = sorted({*recipients(doing.row), *doing.given["to"]})
    doing.keep(to=to)
    if doing.taken.step.action == "file":
        _check_recipients(doing)
        _in_time(doing, WAITING[Track.REPORT][1], at)
    set_further(doing.evaluation, doing.row, doing.duty)
    told = {**_sent(letter, at), "to": to}
    doing.keep(**told, receipt=doing.given["receipt"])
    return told


def _accept(doing: Doing) -> dict[str, Any]:
    _check_recipients(doing)
    doing.keep(accepted=doing.when().isoformat(), accepted_receipt=doing.given["receipt"])
    return {"at": doing.row.given["accepted"]}


def _check_recipients(doing: Doing) -> None:
    told = recipients(doing.row)
    if not told:
        raise Invalid("say to whom it is reported")
    if lacking := doing.duty.lacking(told):
        raise Invalid("the rules that apply also ask for a report to " + ", and to ".join(" or ".join(group) for group in lacking))


# ---- possible leak ----


def _retract(doing: Doing) -> dict[str, Any]:
    if doing.case.state != "not_leaked":
        raise Invalid(f"{doing.case.number} is {doing.case.state}: a notice is retracted when it has been disproved")
    at, letter = doing.when(), doing.letter(LetterKind.RETRACTION, may_lack=frozenset())
    clocks.stop(doing.taken.session, track_name(doing.row), RETRACTION, at)
    told = {**_sent(letter, at), "method": doing.given["method"], "recipients": int(doing.given["recipients"])}
    doing.keep(retraction=told)
    return told


def _waive_possible(doing: Doing) -> dict[str, Any]:
    if doing.case.state == "possible":
        raise Invalid("it is required as long as a leak is possible: verify or dismiss the case")
    return {}


_ACTS: Final[Mapping[tuple[Track, str], Act]] = {
    (Track.NOTICE, "send_first"): _send(LetterKind.FIRST_NOTICE),
    (Track.NOTICE, "supplement"): _send(LetterKind.SUPPLEMENT_NOTICE),
    (Track.NOTICE, "complete"): _complete,
    (Track.NOTICE, "post_in_lieu"): _post_in_lieu,
    (Track.NOTICE, "explain"): _explain,
    (Track.NOTICE, "take_down"): _take_down,
    (Track.NOTICE, "serve"): _serve_in_lieu,
    (Track.POSTING, "post"): _post,
    (Track.POSTING, "take_down"): _take_down,
    (Track.POSTING, "serve"): _serve,
    (Track.POSTING, "waive"): _waive,
    (Track.POSTING, "require"): _require,
    (Track.REPORT, "require"): _require,
    (Track.REPORT, "waive"): _waive,
    (Track.REPORT, "reconsider"): _reconsider,
    (Track.REPORT, "file"): _file,
    (Track.REPORT, "supplement"): _file,
    (Track.REPORT, "accept"): _accept,
    (Track.POSSIBLE_NOTICE, "send"): _send(LetterKind.POSSIBLE_NOTICE),
    (Track.POSSIBLE_NOTICE, "retract"): _retract,
    (Track.POSSIBLE_NOTICE, "waive"): _waive_possible,
}
