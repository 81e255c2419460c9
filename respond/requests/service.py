"""Asking agencies: drafting a request, issuing it with a due time, the agency's answer, and whether it is accepted.

The due time is set by whoever asks (clock `answer`, basis `set`); it stops with the agency's answer and starts anew when the request is
issued again. Being overdue is shown and forbids nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from core.database import now
from core.errors import Forbidden, Invalid
from core.permissions import Agencies
from respond import outbox
from respond.cases import clocks, records
from respond.cases.clocks import Basis
from respond.cases.records import Taken
from respond.incidents import subject
from respond.incidents.sight import Sight
from respond.requests.machine import MACHINE, UNANSWERED, Article
from respond.requests.models import Request

ANSWER: Final = "answer"
_NOTES: Final = frozenset({"note_receipt", "note_complied", "note_partial", "note_declined"})
_ANSWERS: Final = frozenset({"comply", "comply_partly", "claim_cause", "note_complied", "note_partial", "note_declined"})


@dataclass(frozen=True, slots=True)
class Draft:
    """What is asked, of whom, by when; see `models.Request`."""

    article: Article
    agency: str
    provider: str
    about: str
    title: str
    purpose: str
    items: tuple[str, ...]
    due_at: datetime | None
    exercise: bool = False


def draft(session: Session, scope: Agencies, actor: str, wanted: Draft) -> Request:
    """Write a request down; nobody is told before it is issued. Invalid when it asks nobody; Forbidden outside the scope.

    One about an incident is an exercise when the incident is; NotFound when there is none.
    """
    _check(session, scope, wanted)
    exercise = subject.exercise(session, Sight(scope, actor), wanted.about, wanted.exercise)
    row = Request(agency=wanted.agency, exercise=exercise, reply={}, **_asked(wanted))
    return records.open_case(
        session, MACHINE, row, actor, {"article": wanted.article.value, "agency": wanted.agency, "title": wanted.title}
    )


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    given: Mapping[str, Any] | None = None,
) -> Request:
    """Take any step but `edit`. `given`: `due_at` for `issue` and `reissue`, `items` (text by place) for answers."""
    step = records.begin(session, MACHINE, Request, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    if action in _NOTES and not step.case.provider:
        raise Invalid(f"{number} asks an agency, which answers for itself")
    told = dict(given or {})
    if action in ("issue", "reissue"):
        told = _issued(step, told.get("due_at"))
    elif action in _ANSWERS:
        step.case.reply = {"action": action, "reason": step.reason, **told}
        clocks.stop(session, _name(number), ANSWER, step.at)
    elif action == "close":
        clocks.stop_all(session, _name(number), step.at)
    case = step.done(told)
    outbox.tell(session, f"request.{action}", _name(number), agency=case.agency, exercise=case.exercise, data={"title": case.title})
    return case


def edit(session: Session, scope: Agencies, actor: str, number: str, if_version: int, wanted: Draft) -> Request:
    """Write a draft anew."""
    _check(session, scope, wanted)
    step = records.begin(session, MACHINE, Request, scope, number, "edit", actor=actor, if_version=if_version)
    if step.case.agency != wanted.agency:
        raise Invalid("a request stays with the agency it was drafted for: draft another")
    step.case.exercise = subject.exercise(session, Sight(scope, actor), wanted.about, step.case.exercise)
    for name, value in _asked(wanted).items():
        setattr(step.case, name, value)
    return step.done({"title": wanted.title})


def overdue(case: Request, at: datetime) -> bool:
    """Whether an answer is waited for past its time."""
    return case.state in UNANSWERED and case.due_at is not None and case.due_at < at


def _issued(step: Taken[Request], due_at: datetime | None) -> dict[str, Any]:
    case = step.case
    case.due_at = due_at or case.due_at
    if case.due_at is None or case.due_at <= step.at:
        raise Invalid("a request is issued with a due time in the future")
    clocks.start(
        step.session,
        _name(case.number),
        case.agency,
        ANSWER,
        basis=Basis.SET,
        source=f"request {case.number}",
        started_at=step.at,
        due_at=case.due_at,
    )
    return {"due_at": case.due_at.isoformat()}


def _check(session: Session, scope: Agencies, wanted: Draft) -> None:
    if bool(wanted.agency) == bool(wanted.provider):
        raise Invalid("a request is for one agency or for one provider")
    if (wanted.article is Article.CLOUD) != bool(wanted.provider):
        raise Invalid("article 17(4) asks a provider of cloud services, the other articles ask an agency")
    if scope is not None and wanted.agency not in scope:
        raise Forbidden("this identity may not ask this agency")
    if wanted.due_at is not None and wanted.due_at <= now(session):
        raise Invalid("the due time has passed already")


def _asked(wanted: Draft) -> dict[str, Any]:
    return {
        "article": wanted.article.value,
        "provider": wanted.provider,
        "about": wanted.about,
        "title": wanted.title,
        "purpose": wanted.purpose,
        "items": list(wanted.items),
        "due_at": wanted.due_at,
    }


def _name(number: str) -> str:
    return f"{MACHINE.kind}/{number}"
