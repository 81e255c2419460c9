"""The duty of one agency: what it ticks off, what the centre finds, what is asked for after it, and the sign-off.

- The clock `duty` (basis `set`) runs from the duty's opening until it is done or waived; past its time the duty is overdue, which is shown
  and forbids nothing.
- Findings only grow; each is numbered. A finding may become a draft of a corrective request (15(3) after an inspection, 21(4) after a
  training), which goes out the way every request does.
- Words of findings and results stay in the duty: trail, history and news carry numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound
from core.permissions import Agencies
from respond import checklists, outbox
from respond.cases import clocks, files, records
from respond.cases.clocks import Basis
from respond.cases.files import CaseFile
from respond.cases.records import Taken
from respond.checklists import Proof
from respond.duties import provenance
from respond.duties.machine import CORRECTIVE, DUTY, Kind
from respond.duties.models import Campaign, Duty
from respond.duties.years import end_of
from respond.requests import service as requests

CLOCK: Final = "duty"
MOST_FINDINGS: Final = 500
MOST_ITEMS: Final = 100
RIGHTS: Final = "access-rights.json"
"""The file that keeps whose rights a review of access rights looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that was found. `subject` is one of the duty's, or ''; `measure` what is to be done about it."""

    subject: str
    severity: str
    finding: str
    measure: str


def prove(session: Session, scope: Agencies, actor: str, number: str, if_version: int, proof: Proof) -> Duty:
    """The agency ticks off a subject of its self-diagnosis, with what shows it."""
    step = _begin(session, scope, actor, number, "prove", if_version)
    step.case.subjects = checklists.ticked(step.case.subjects, proof, actor, step.at)
    return step.done({"subject": proof.measure, "applies": proof.applies, "sha256": proof.sha256})


def answer(session: Session, scope: Agencies, actor: str, number: str, if_version: int) -> Duty:
    """The agency hands its self-diagnosis in; every subject is ticked off."""
    step = _begin(session, scope, actor, number, "answer", if_version)
    if left := checklists.left(step.case.subjects):
        raise Invalid(f"not everything is answered: {', '.join(left)}")
    step.case.answered_at = step.at
    return _done(step)


def send_back(session: Session, scope: Agencies, actor: str, number: str, if_version: int, reason: str) -> Duty:
    """The answer does not do; the agency answers anew."""
    step = _begin(session, scope, actor, number, "send_back", if_version, reason)
    step.case.answered_at = None
    return _done(step)


def inspect(session: Session, scope: Agencies, actor: str, number: str, if_version: int, result: str, rights: bytes | None = None) -> Duty:
    """The centre looked itself. `rights` are the accounts and keys as they were, kept as a file: a review of access rights has them."""
    step = _begin(session, scope, actor, number, "inspect", if_version)
    if (rights is not None) != (step.case.kind == Kind.ACCESS_REVIEW):
        raise ValueError("a review of access rights, and nothing else, keeps the rights")
    step.case.result, step.case.inspected_at = _said(result, "what was looked at and how it was"), step.at
    case = _done(step)
    if rights is not None:
        files.attach(session, DUTY, case, actor, RIGHTS, rights)
    return case


def cite(session: Session, scope: Agencies, actor: str, number: str, if_version: int, name: str, note: str) -> Duty:
    """Use data already submitted; `name` is the record, such as report/RPT-2026-000001. Invalid when it is not this agency's."""
    step = _begin(session, scope, actor, number, "cite", if_version)
    case = step.case
    if len(note) > provenance.LONGEST_NOTE:
        raise Invalid(f"a note has at most {provenance.LONGEST_NOTE} characters")
    if any(one["object"] == name for one in case.provenance):
        raise Invalid(f"{number} cites {name} already")
    if len(case.provenance) >= provenance.MOST:
        raise Invalid(f"a duty cites at most {provenance.MOST} records")
    looked = provenance.looked_up(session, case.agency, name)
    case.provenance = [*case.provenance, {**looked, "note": note.strip(), "by": actor, "at": step.at.isoformat()}]
    return step.done({"object": looked["object"], "version": looked["version"], "sha256": looked["sha256"]})


def record_findings(
    session: Session, scope: Agencies, actor: str, number: str, if_version: int, result: str, found: Sequence[Found]
) -> Duty:
    """Write down what came of it, and add what was found; none when all was well."""
    step = _begin(session, scope, actor, number, "record_findings", if_version)
    case = step.case
    subjects = {one["id"] for one in case.subjects}
    if unknown := sorted({one.subject for one in found if one.subject} - subjects):
        raise Invalid(f"this duty has no subject {', '.join(unknown)}: it has {', '.join(sorted(subjects))}")
    if len(case.findings) + len(found) > MOST_FINDINGS:
        raise Invalid(f"a duty has at most {MOST_FINDINGS} findings")
    case.result = _said(result, "what came of it")
    first = len(case.findings) + 1
    case.findings = [*case.findings, *({"number": at, **asdict(one), "request": ""} for at, one in enumerate(found, first))]
    return _done(step, findings=len(case.findings))


def request_correction(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    if_version: int,
    numbers: Sequence[int],
    due_at: datetime | None,
    may_ask: Agencies = None,
) -> Duty:
    """Draft a corrective request of some findings: article 15(3) after an inspection, 21(4) after a training. It goes out when issued.

    `may_ask` are the agencies the actor may draft requests to; Forbidden for others.
    """
    step = _begin(session, scope, actor, number, "request_correction", if_version)
    case = step.case
    article = CORRECTIVE.get(Kind(case.kind))
    if article is None:
        raise Invalid(f"the ordinance knows corrective requests after inspections (15(3)) and trainings (21(4)), none after a {case.kind}")
    by_number = {one["number"]: one for one in case.findings}
    chosen = sorted(set(numbers))
    if wrong := [at for at in chosen if at not in by_number or by_number[at]["request"]]:
        raise Invalid(f"{number} has no finding {', '.join(map(str, wrong))} that was not requested yet")
    if not 1 <= len(chosen) <= MOST_ITEMS:
        raise Invalid(f"say which findings are to be put right, at most {MOST_ITEMS} in one request")
    wanted = requests.Draft(
        article=article,
        agency=case.agency,
        provider="",
        about=records.named(DUTY, number),
        title=f"{case.title}: {number}",
        purpose=_said("\n".join(by_number[at]["finding"] for at in chosen), "what was found"),
        items=tuple(by_number[at]["measure"] for at in chosen),
        due_at=due_at,
    )
    made = requests.draft(session, may_ask, actor, wanted)
    case.findings = [{**one, "request": made.number} if one["number"] in chosen else one for one in case.findings]
    return _done(step, request=made.number, findings=chosen)


def ask_internal_audit(session: Session, scope: Agencies, actor: str, number: str, if_version: int, body: str) -> Duty:
    """After an audit: an internal audit body was asked to look itself (article 25(2))."""
    step = _begin(session, scope, actor, number, "ask_internal_audit", if_version)
    if step.case.kind != Kind.AUDIT:
        raise Invalid("an internal audit is asked for after a cybersecurity audit (article 25(2))")
    step.case.internal_audit = _said(body, "which audit body is asked")
    return _done(step)


def sign_off(session: Session, scope: Agencies, actor: str, number: str, if_version: int, reason: str) -> Duty:
    """It is done. A finding that could have become a request and did not needs a reason."""
    step = _begin(session, scope, actor, number, "sign_off", if_version, reason)
    left = [one["number"] for one in step.case.findings if not one["request"]] if Kind(step.case.kind) in CORRECTIVE else []
    if left and not step.reason:
        raise Invalid(f"nothing was requested for the findings {', '.join(map(str, left))}: request it, or say why not")
    step.case.done_at, step.case.signed_off_by = step.at, actor
    return _end(step, without_request=len(left))


def extend(session: Session, scope: Agencies, actor: str, number: str, if_version: int, reason: str, due_at: datetime) -> Duty:
    """Give an agency another time, not beyond the year: article 15, 21 and 25 say at least once in it."""
    step = _begin(session, scope, actor, number, "extend", if_version, reason)
    if not step.at < due_at <= end_of(step.case.year):
        raise Invalid(f"another time lies in the future and in {step.case.year} (Seoul)")
    step.case.due_at = due_at.astimezone(UTC)
    _run(step)
    return _done(step, due_at=step.case.due_at.isoformat())


def waive(session: Session, scope: Agencies, actor: str, number: str, if_version: int, reason: str) -> Duty:
    """Nothing is done at this agency this time, for a reason. It does not count as done."""
    return _end(_begin(session, scope, actor, number, "waive", if_version, reason))


def reopen(session: Session, scope: Agencies, actor: str, number: str, if_version: int, reason: str) -> Duty:
    """Begin anew at an agency, under the same time. Invalid when the campaign has ended. What was found and cited stays."""
    step = _begin(session, scope, actor, number, "reopen", if_version, reason)
    campaign = session.scalar(sa.select(Campaign.state).where(Campaign.number == step.case.campaign).with_for_update())
    if campaign != "running":
        raise Invalid(f"{step.case.campaign} is {campaign}: plan another campaign")
    step.case.answered_at = step.case.inspected_at = step.case.done_at = None
    step.case.signed_off_by = ""
    _run(step)
    return _done(step)


def attach(session: Session, scope: Agencies, actor: str, number: str, name: str, content: bytes) -> CaseFile:
    """Keep a file as evidence. Conflict when the duty has ended: what was signed off stays as it was."""
    query = sa.select(Duty).where(Duty.number == number, records.within(Duty, scope)).with_for_update()
    case = session.scalar(query.execution_options(populate_existing=True))
    if case is None:
        raise NotFound(f"there is no duty {number}")
    if case.state in DUTY.ended:
        raise Conflict(f"{number} is {case.state}: no file is added to it any more")
    return files.attach(session, DUTY, case, actor, name, content)


def overdue(at: datetime) -> sa.ColumnElement[bool]:
    """The condition that a duty is neither done nor waived past its time."""
    return sa.and_(Duty.due_at <= at, Duty.state.not_in(DUTY.ended))


def is_overdue(case: Duty, at: datetime) -> bool:
    """The same, of one duty."""
    return case.due_at <= at and case.state not in DUTY.ended


def _run(step: Taken[Duty]) -> None:
    case = step.case
    clocks.start(
        step.session,
        records.named(DUTY, case.number),
        case.agency,
        CLOCK,
        basis=Basis.SET,
        source=f"campaign {case.campaign}",
        started_at=case.created_at,
        due_at=case.due_at,
    )


def _begin(session: Session, scope: Agencies, actor: str, number: str, action: str, if_version: int, reason: str = "") -> Taken[Duty]:
    return records.begin(session, DUTY, Duty, scope, number, action, actor=actor, if_version=if_version, reason=reason)


def _end(step: Taken[Duty], **data: object) -> Duty:
    clocks.stop_all(step.session, records.named(DUTY, step.case.number), step.at)
    return _done(step, **data)


def _done(step: Taken[Duty], **data: object) -> Duty:
    case = step.done(data)
    name = records.named(DUTY, case.number)
    outbox.tell(step.session, f"duty.{step.step.action}", name, agency=case.agency, data={"title": case.title})
    return case


def _said(text: str, what: str) -> str:
    text = text.strip()
    if not text:
        raise Invalid(f"say {what}")
    if len(text) > records.LONGEST_REASON:
        raise Invalid(f"a text has at most {records.LONGEST_REASON} characters")
    return text
