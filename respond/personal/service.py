"""Personal-information cases: opening one, what is known, the privacy officer's decisions, and what the centre gives.

The controller is the case's agency: its officer describes, its privacy officer verifies, counts, signs and files; the centre adds findings
and logs its support [CO 19(4)]. History, trail and news name fields, counts, times and hashes, never a text of the facts.
An exercise is inherited from the incident a case is about; it starts no statutory clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Forbidden, Invalid, NotFound
from core.permissions import Agencies
from respond import audit, outbox
from respond.cases import records
from respond.cases.records import Taken
from respond.incidents.sight import Sight, visible
from respond.models import Incident
from respond.personal import letters, package
from respond.personal.evaluation import RETRACTION, Evaluation, evaluate, move, open_track, start_clock, stop_clock, tracks_of, unfinished
from respond.personal.facts import Facts, Findings, Words
from respond.personal.letters import LetterKind, Material
from respond.personal.machine import CASE
from respond.personal.models import PersonalCase, PersonalSupport
from respond.personal.packs import PackBook, Track
from respond.personal.rules import Determination, Finding, duty, why

_LETTERS_IN: Final[Mapping[str, frozenset[LetterKind]]] = {
    "possible": frozenset({LetterKind.POSSIBLE_NOTICE}),
    "not_leaked": frozenset({LetterKind.RETRACTION}),
    "verified": frozenset({LetterKind.FIRST_NOTICE, LetterKind.SUPPLEMENT_NOTICE, LetterKind.POSTING, LetterKind.REPORT}),
}


@dataclass(frozen=True, slots=True)
class Opening:
    """A suspicion. `about` is an incident's number, which gives the agency and whether it is an exercise; '' with an `agency`."""

    title: str
    about: str = ""
    agency: str = ""
    exercise: bool = False


def open_case(session: Session, scope: Agencies, actor: str, controllers: Mapping[str, Words], wanted: Opening) -> PersonalCase:
    """Open a case in `suspected`. NotFound: incident not in scope; Invalid: no known agency; Forbidden: outside the scope."""
    agency, exercise = wanted.agency, wanted.exercise
    if wanted.about:
        incident = session.scalar(sa.select(Incident).where(Incident.number == wanted.about, visible(Sight(scope, actor))))
        if incident is None:
            raise NotFound(f"there is no incident {wanted.about}")
        if agency not in ("", incident.agency):
            raise Invalid(f"{wanted.about} is of another agency")
        agency, exercise = incident.agency, incident.exercise
    if agency not in controllers:
        raise Invalid(f"a case needs the agency that controls the data; {agency or 'none'} is not one of this installation")
    if scope is not None and agency not in scope:
        raise Forbidden("this identity may not open a case of this agency")
    blank: dict[str, Any] = {"facts": {}, "findings": {}, "determination": {}, "pack": "", "possible_at": None, "aware_at": None}
    row = PersonalCase(agency=agency, exercise=exercise, about=wanted.about, title=wanted.title, **blank)
    records.open_case(session, CASE, row, actor, {"about": wanted.about, "agency": agency, "exercise": exercise})
    _tell(session, row, "open")
    return row


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    book: PackBook,
    number: str,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    given: Mapping[str, Any] | None = None,
) -> PersonalCase:
    """Take a step of a case. `given` by action: see `api.routes.personal`; what a step needs is said by Invalid."""
    step = records.begin(session, CASE, PersonalCase, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    case = _ACTS[action](step, book, dict(given or {}))
    _tell(session, case, action)
    return case


def support_log(session: Session, number: str) -> list[PersonalSupport]:
    """What the centre gave in a case, oldest first. The caller has found the case within its scope."""
    query = sa.select(PersonalSupport).where(PersonalSupport.case_number == number).order_by(PersonalSupport.id)
    return list(session.scalars(query).all())


def read_package(session: Session, actor: str, case: PersonalCase, entry: int) -> tuple[bytes, str]:
    """The zip of an entry and its SHA-256, recording who reads it, each time. NotFound when the entry has none."""
    number = case.number
    found = session.scalar(sa.select(PersonalSupport).where(PersonalSupport.case_number == number, PersonalSupport.id == entry))
    if found is None or found.package is None:
        raise NotFound(f"{number} has no package {entry}")
    audit.record(
        session,
        actor,
        "personal_case.read_package",
        f"{CASE.kind}/{number}",
        {"agency": case.agency, "entry": entry, "sha256": found.package_sha256},
    )
    return found.package, found.package_sha256


# ---- what is known ----


def _describe(step: Taken[PersonalCase], _book: PackBook, given: Mapping[str, Any]) -> PersonalCase:
    facts: Facts = given["facts"]
    told = _changed(step.case.facts, facts.model_dump(mode="json"))
    step.case.facts = facts.model_dump(mode="json")
    return step.done({"fields": told, "missing": list(facts.missing())})


def _add_findings(step: Taken[PersonalCase], _book: PackBook, given: Mapping[str, Any]) -> PersonalCase:
    findings: Findings = given["findings"]
    told = _changed(step.case.findings, findings.model_dump(mode="json"))
    step.case.findings = findings.model_dump(mode="json")
    return step.done({"fields": told, "estimated_subjects": findings.estimated_subjects})


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(name for name, value in after.items() if before.get(name) != value and (value or name in before))


# ---- the privacy officer's decisions ----


def _find_possible(step: Taken[PersonalCase], book: PackBook, given: Mapping[str, Any]) -> PersonalCase:
    at = _aware(step, given.get("aware_at"))
    pack = book.at(at)
    step.case.possible_at, step.case.pack = at, pack.id
    case = step.done({"aware_at": at.isoformat(), "pack": pack.id, "pack_sha256": pack.digest})
    found = duty(pack, Track.POSSIBLE_NOTICE, Determination())
    if found.finding is Finding.REQUIRED:
        now = Evaluation(step.session, case, pack, {}, step.actor, step.at)
        row = open_track(now, Track.POSSIBLE_NOTICE, found.finding, found.rules, why(pack, found, Determination()))
        start_clock(now, row, "possible_notice", found.rules, at, found.due_at(at))
    return case


def _dismiss(step: Taken[PersonalCase], book: PackBook, _given: Mapping[str, Any]) -> PersonalCase:
    now = _locked(step, book)
    case = step.done({})
    if now is not None and (row := now.tracks.get(Track.POSSIBLE_NOTICE)):
        if row.state == "sent":
            start_clock(now, row, RETRACTION, now.pack.of(Track.POSSIBLE_NOTICE), step.at, None)
        else:
            _drop_possible(now, "disproved before it was sent")
    return case


def _verify(step: Taken[PersonalCase], book: PackBook, given: Mapping[str, Any]) -> PersonalCase:
    at = _aware(step, given.get("aware_at"))
    now = _locked(step, book, at)
    step.case.aware_at = at
    return _judged(step, now, given)


def _determine(step: Taken[PersonalCase], book: PackBook, given: Mapping[str, Any]) -> PersonalCase:
    known_at = step.case.aware_at
    if known_at is None:
        raise Invalid(f"{step.case.number} was closed as not leaked: open a case for what is new")
    if given.get("aware_at") is not None:
        at = _aware(step, given["aware_at"])
        if at != known_at and not step.reason:
            raise Invalid("a corrected time of awareness needs a reason")
        step.case.aware_at = known_at = at
    return _judged(step, _locked(step, book, known_at), given)


def _judged(step: Taken[PersonalCase], now: Evaluation | None, given: Mapping[str, Any]) -> PersonalCase:
    if now is None or step.case.aware_at is None:
        raise Invalid(f"{step.case.number} has no time of awareness")
    known = Determination.model_validate({**step.case.determination, **given.get("determination", {})})
    step.case.determination, step.case.pack = known.model_dump(mode="json"), now.pack.id
    told = {**step.case.determination, "aware_at": step.case.aware_at.isoformat()}
    case = step.done({**told, "pack": now.pack.id, "pack_sha256": now.pack.digest})
    _drop_possible(now, "verified before it was sent: the notice of the leak takes its place")
    row = now.tracks.get(Track.POSSIBLE_NOTICE)
    if row is not None:
        stop_clock(now, row, RETRACTION)
    evaluate(now)
    return case


def _drop_possible(now: Evaluation, reason: str) -> None:
    row = now.tracks.get(Track.POSSIBLE_NOTICE)
    if row is not None and row.state == "due":
        row.finding = Finding.NOT_REQUIRED.value
        move(now, row, "waive", reason)
        stop_clock(now, row, "possible_notice")


def _close(step: Taken[PersonalCase], _book: PackBook, _given: Mapping[str, Any]) -> PersonalCase:
    tracks = tracks_of(step.session, step.case.number, lock=True)
    if left := unfinished(step.case, tracks):
        raise Invalid(f"{step.case.number} cannot be closed: {', '.join(left)}")
    return step.done({})


def _aware(step: Taken[PersonalCase], at: datetime | None) -> datetime:
    """When the controller learned of it: as told, or now. Invalid in the future."""
    aware = (at or step.at).astimezone(UTC)
    if aware > step.at:
        raise Invalid(f"aware_at is in the future: now it is {step.at.isoformat()}")
    return aware


def _locked(step: Taken[PersonalCase], book: PackBook, aware_at: datetime | None = None) -> Evaluation | None:
    """The case with its tracks locked, under the pack of `aware_at`, or of when a leak was found possible; None before both."""
    at = aware_at or step.case.possible_at
    if at is None:
        return None
    tracks = tracks_of(step.session, step.case.number, lock=True)
    return Evaluation(step.session, step.case, book.at(at), tracks, step.actor, step.at)


# ---- letters, and what the centre gives ----


def _write_letter(step: Taken[PersonalCase], _book: PackBook, given: Mapping[str, Any]) -> PersonalCase:
    kind, case = LetterKind(given["letter"]), step.case
    if kind not in _LETTERS_IN[case.state]:
        raise Invalid(f"{case.number} is {case.state}: what is written then is {', '.join(sorted(_LETTERS_IN[case.state]))}")
    known = Determination.model_validate(case.determination)
    notice = tracks_of(step.session, case.number).get(Track.NOTICE)
    material = Material(
        number=case.number,
        controller=given["controllers"].get(case.agency) or Words(ko=case.agency),
        facts=Facts.model_validate(case.facts),
        aware_at=case.aware_at or case.possible_at,
        subjects=known.subjects,
        count_final=known.count_final,
        notified=notice.given.get("notified") if notice is not None else None,
        exercise=case.exercise,
    )
    written = letters.write(kind, material)
    kept = letters.keep(step.session, written, case_number=case.number, kind=kind, pack=case.pack, actor=step.actor, at=step.at)
    return step.done({"letter": kind.value, "version": kept.version, "sha256": kept.sha256, "missing": kept.missing})


def _log_support(step: Taken[PersonalCase], _book: PackBook, given: Mapping[str, Any]) -> PersonalCase:
    _keep_support(step, given["kind"], given["summary"], None)
    return step.done({"kind": given["kind"]})


def _give_evidence(step: Taken[PersonalCase], _book: PackBook, given: Mapping[str, Any]) -> PersonalCase:
    asked = package.Asked(
        case=step.case.number,
        about=step.case.about,
        since=given["since"],
        until=given["until"],
        columns=tuple(dict.fromkeys(given["columns"])),
        purpose=given["purpose"],
        actor=step.actor,
        at=step.at,
    )
    made = package.build(step.session, asked)
    _keep_support(step, "evidence", asked.purpose, made)
    return step.done({"kind": "evidence", "rows": made.rows, "columns": list(asked.columns), "sha256": made.sha256})


def _keep_support(step: Taken[PersonalCase], kind: str, summary: str, made: package.Package | None) -> None:
    step.session.add(
        PersonalSupport(
            case_number=step.case.number,
            at=step.at,
            actor=step.actor,
            kind=kind,
            summary=summary,
            package_sha256=made.sha256 if made else "",
            package=made.content if made else None,
        )
    )


def _tell(session: Session, case: PersonalCase, action: str) -> None:
    outbox.tell(session, f"{CASE.kind}.{action}", records.named(CASE, case.number), agency=case.agency, exercise=case.exercise)


_ACTS: Final[Mapping[str, Callable[[Taken[PersonalCase], PackBook, Mapping[str, Any]], PersonalCase]]] = {
    "describe": _describe,
    "correct": _describe,
    "add_findings": _add_findings,
    "log_support": _log_support,
    "give_evidence": _give_evidence,
    "find_possible": _find_possible,
    "dismiss": _dismiss,
    "verify": _verify,
    "determine": _determine,
    "write_letter": _write_letter,
    "close": _close,
}
