"""Writing a draft of rules, having it approved by another person, and taking it out of force again.

What a text means is not known here: callers say what rules it holds (`Content`) and have seen that they can run before one is submitted
or approved. An approved text is in `ApprovedRule` exactly while its draft is in force; one that brings a rule anew retires the draft
that had it before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import exclusive
from core.errors import Conflict, Forbidden, Invalid, Stale
from core.permissions import Agencies
from core.rule_records import ApprovedRule
from respond import outbox
from respond.cases import records
from respond.cases.records import Taken
from respond.rule_drafts.machine import MACHINE
from respond.rule_drafts.models import RuleDraft, RuleDraftText

LONGEST_TEXT: Final = 100_000
MOST_DRAFTS: Final = 10_000
"""In force at once."""


@dataclass(frozen=True, slots=True)
class Content:
    """A text and what it holds: the title of its first rule ('' when it cannot be read) and the ids of its rules."""

    text: str
    title: str
    rule_ids: Sequence[str]


def write(session: Session, actor: str, content: Content, origin: str) -> RuleDraft:
    """Begin a draft. Invalid when it holds nothing."""
    _check(content)
    row = RuleDraft(
        agency="",
        exercise=False,
        title=content.title,
        text=content.text,
        origin=origin,
        rule_ids=list(content.rule_ids),
        authors=[actor],
        approved_by="",
    )
    made = records.open_case(session, MACHINE, row, actor, {"title": content.title, "origin": origin, "sha256": _digest(content.text)})
    _keep_text(session, made, actor)
    return made


def take(
    session: Session,
    scope: Agencies,
    actor: str,
    number: str,
    action: str,
    if_version: int,
    *,
    reason: str = "",
    content: Content | None = None,
) -> RuleDraft:
    """Take a step. `content` is the new text of `edit`, and what the text of the draft holds for `approve`.

    Forbidden when an author approves; Conflict when one of its rules is in force from a draft that holds others too.
    """
    step = records.begin(session, MACHINE, RuleDraft, scope, number, action, actor=actor, if_version=if_version, reason=reason)
    told: dict[str, Any] = {"title": step.case.title}
    if action == "edit":
        told |= _edit(step, content)
    elif action == "approve":
        told |= _approve(step, content)
    elif action == "retire":
        session.execute(sa.delete(ApprovedRule).where(ApprovedRule.draft == number))
    done = step.done(told)
    if action == "edit":
        _keep_text(session, done, actor)
    outbox.tell(session, f"rule_draft.{action}", records.named(MACHINE, number), agency="", exercise=False, data={"title": done.title})
    return done


def texts(session: Session, number: str) -> Sequence[RuleDraftText]:
    """Everything a draft said, oldest first. The caller has found the draft within its scope."""
    return session.scalars(sa.select(RuleDraftText).where(RuleDraftText.draft == number).order_by(RuleDraftText.version)).all()


def _edit(step: Taken[RuleDraft], content: Content | None) -> dict[str, Any]:
    if content is None:
        raise Invalid("say what the draft holds now: text")
    _check(content)
    case = step.case
    case.text, case.title, case.rule_ids = content.text, content.title, list(content.rule_ids)
    if step.actor not in case.authors:
        case.authors = [*case.authors, step.actor]
    return {"title": case.title, "sha256": _digest(case.text)}


def _approve(step: Taken[RuleDraft], content: Content | None) -> dict[str, Any]:
    session, case = step.session, step.case
    if step.actor in case.authors:
        raise Forbidden("a second person approves a rule: who wrote it does not")
    if content is None or content.text != case.text:
        raise Stale(f"{case.number} was changed meanwhile")
    exclusive(session, "approved_rules")
    standing = session.scalars(sa.select(ApprovedRule)).all()
    if len(standing) >= MOST_DRAFTS:
        raise Invalid(f"{MOST_DRAFTS} approved rules are in force: retire some first")
    replaced = [one for one in standing if set(one.rule_ids) & set(content.rule_ids)]
    for one in replaced:
        if others := sorted(set(one.rule_ids) - set(content.rule_ids)):
            raise Conflict(f"{one.draft} is in force and holds {', '.join(others)} too: retire it first, or take these along")
    for one in replaced:
        _replace(session, step.actor, one, case.number)
    case.approved_by, case.rule_ids = step.actor, list(content.rule_ids)
    session.add(ApprovedRule(draft=case.number, text=case.text, rule_ids=list(content.rule_ids), approved_at=step.at))
    return {"rules": list(content.rule_ids), "sha256": _digest(case.text), "replaces": [one.draft for one in replaced]}


def _replace(session: Session, actor: str, before: ApprovedRule, by: str) -> None:
    """Retire the draft that is in force with the same rules; whoever approves may."""
    row = records.find(session, MACHINE, RuleDraft, None, before.draft)
    step = records.begin(
        session, MACHINE, RuleDraft, None, row.number, "retire", actor=actor, if_version=row.version, reason=f"{by} takes its place"
    )
    session.delete(before)
    step.done({"title": row.title, "replaced_by": by})


def _check(content: Content) -> None:
    if not content.text.strip():
        raise Invalid("a draft holds a rule: give its text")
    if len(content.text) > LONGEST_TEXT:
        raise Invalid(f"a draft has at most {LONGEST_TEXT} characters")


def _keep_text(session: Session, draft: RuleDraft, actor: str) -> None:
    session.add(RuleDraftText(draft=draft.number, version=draft.version, text=draft.text, at=draft.updated_at, by=actor))
    session.flush()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
