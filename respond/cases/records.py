"""Opening cases, finding them within a scope, and taking a step: the state, history, audit row and news in one transaction.

Every function takes the caller's scope and applies it in the query: what is outside does not exist for the caller (NotFound). Nor does a
case about a restricted incident exist for who is no member of it (`respond.incidents.sight`); whoever names no `reader` is none.
A step is optimistic: the caller says which version it saw, and Stale tells when somebody was faster. Guards of a kind of case run
between `begin` and `Taken.done`; when one raises, nothing has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.clock import KST
from core.database import insert_into, now
from core.errors import Invalid, NotFound
from core.permissions import Agencies
from core.versions import check_seen
from respond import audit
from respond.cases.machine import Machine, Step
from respond.cases.models import CaseColumns, CaseCounter, CaseEvent
from respond.incidents.sight import open_to

Case = TypeVar("Case", bound=CaseColumns)

LONGEST_REASON: Final = 4000


@dataclass(frozen=True, slots=True)
class Page(Generic[Case]):
    """Some cases, newest first; `next_cursor` is '' on the last page."""

    items: Sequence[Case]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Taken(Generic[Case]):
    """A step under way on `case`, whose row is locked. Call `done` once, when its guards have passed and the case's own columns are set."""

    session: Session
    machine: Machine
    step: Step
    case: Case
    actor: str
    reason: str
    at: datetime

    def done(self, data: Mapping[str, Any]) -> Case:
        """Write the new state, the next version, the history and the audit row. `data` is what the actor gave, without personal data."""
        before, case = self.case.state, self.case
        case.state = self.step.to or before
        case.version += 1
        case.updated_at = self.at
        self.session.flush()
        _write(self.session, self.machine, case, self.actor, self.step.action, before, self.reason, data)
        return case


def next_numbers(session: Session, prefix: str, at: datetime, count: int = 1) -> list[str]:
    """The next `count` numbers of a kind of case; `at` decides the year (of Seoul)."""
    if not count:
        return []
    year = at.astimezone(KST).year
    insert = insert_into(session, CaseCounter).values(prefix=prefix, year=year, last=count)
    counted = insert.on_conflict_do_update(index_elements=["prefix", "year"], set_={"last": CaseCounter.last + count})
    last: int = session.execute(counted.returning(CaseCounter.last)).scalar_one()
    return [f"{prefix}-{year}-{number:06d}" for number in range(last - count + 1, last + 1)]


def open_case(
    session: Session, machine: Machine, case: Case, actor: str, data: Mapping[str, Any], *, state: str = "", number: str = ""
) -> Case:
    """Add `case` (its own columns, `agency` and `exercise` set) in the machine's first state, with number, history and audit row.

    `state` names the first state where the machine has several; ValueError when it is none of them. `number` is for a case that is part of
    another and named after it; the others are given the next one of their kind.
    """
    state = state or machine.initial
    if state != machine.initial and state not in machine.also_initial:
        raise ValueError(f"a {machine.kind} does not begin as {state}")
    at = now(session)
    case.number = number or next_numbers(session, machine.prefix, at)[0]
    case.state, case.version = state, 1
    case.created_at = case.updated_at = at
    case.created_by = actor
    session.add(case)
    session.flush()
    _write(session, machine, case, actor, "open", "", "", data)
    return case


def begin(
    session: Session,
    machine: Machine,
    model: type[Case],
    scope: Agencies,
    number: str,
    action: str,
    *conditions: sa.ColumnElement[bool],
    actor: str,
    if_version: int,
    reason: str = "",
) -> Taken[Case]:
    """Lock the case and see that the step is possible: NotFound, Stale (version), Conflict (state) or Invalid (reason).

    `conditions` limit what exists for the caller further than the scope does.
    """
    wanted = machine.action(action)
    seen = (within(model, scope), known_to(model, actor))
    query = sa.select(model).where(model.number == number, *seen, *conditions).with_for_update()
    case = session.scalar(query.execution_options(populate_existing=True))
    if case is None:
        raise NotFound(f"there is no {machine.kind} {number}")
    check_seen(number, case.version, if_version)
    machine.check(number, case.state, wanted)
    reason = checked_reason(reason, needed=wanted.needs_reason, action=action)
    return Taken(session, machine, wanted, case, actor, reason, now(session))


def checked_reason(reason: str, *, needed: bool, action: str) -> str:
    """`reason` without surrounding blanks; Invalid when it is missing or too long."""
    reason = reason.strip()
    if needed and not reason:
        raise Invalid(f"to {action} needs a reason")
    if len(reason) > LONGEST_REASON:
        raise Invalid(f"a reason has at most {LONGEST_REASON} characters")
    return reason


def find(
    session: Session,
    machine: Machine,
    model: type[Case],
    scope: Agencies,
    number: str,
    *conditions: sa.ColumnElement[bool],
    reader: str = "",
) -> Case:
    """The case called `number`; NotFound when there is none in scope, and known to the actor `reader`, that meets `conditions`."""
    seen = (within(model, scope), known_to(model, reader))
    case = session.scalar(sa.select(model).where(model.number == number, *seen, *conditions))
    if case is None:
        raise NotFound(f"there is no {machine.kind} {number}")
    return case


def page(
    session: Session,
    model: type[Case],
    scope: Agencies,
    *conditions: sa.ColumnElement[bool],
    cursor: str = "",
    limit: int = 50,
    reader: str = "",
) -> Page[Case]:
    """A page of cases that meet `conditions`, newest first; `cursor` is `next_cursor` of the page before. Invalid when it is not."""
    query = sa.select(model).where(within(model, scope), known_to(model, reader), *conditions)
    if cursor:
        last = session.scalar(sa.select(model.id).where(model.number == cursor))
        if last is None:
            raise Invalid("this cursor was not given by us")
        query = query.where(model.id < last)
    rows = session.scalars(query.order_by(model.id.desc()).limit(limit + 1)).all()
    return Page(rows[:limit], rows[limit - 1].number if len(rows) > limit else "")


def history(session: Session, machine: Machine, number: str) -> Sequence[CaseEvent]:
    """Every change of a case, oldest first. The caller has found the case within its scope."""
    return session.scalars(sa.select(CaseEvent).where(CaseEvent.object == named(machine, number)).order_by(CaseEvent.id)).all()


def within(model: type[Case], scope: Agencies) -> sa.ColumnElement[bool]:
    """The condition that limits rows to a scope; cases of the whole city (agency '') belong to nobody's own."""
    return sa.true() if scope is None else model.agency.in_(scope)


def known_to(model: type[CaseColumns], reader: str) -> sa.ColumnElement[bool]:
    """That a case is about no restricted incident `reader` is no member of."""
    name = model.incident_name()
    return sa.true() if name is None else open_to(name, reader)


def named(machine: Machine, number: str) -> str:
    """How history, trail, clocks and news name a case."""
    return f"{machine.kind}/{number}"


def note(session: Session, machine: Machine, case: CaseColumns, actor: str, action: str, data: Mapping[str, Any], reason: str = "") -> None:
    """Tell history and trail of something that was done beside the steps, such as a comment: neither state nor version change."""
    audit.record_all(session, noted(session, machine, [(case, data)], actor, action, now(session), reason=reason))


def noted(
    session: Session,
    machine: Machine,
    done: Sequence[tuple[CaseColumns, Mapping[str, Any]]],
    actor: str,
    action: str,
    at: datetime,
    *,
    before: str | None = None,
    reason: str = "",
) -> list[audit.Change]:
    """Write the history of many cases at once; gives what is to be recorded in the trail, at the end of the transaction.

    `before` is the state they came from (None: the one they are in).
    """
    rows, changes = [], []
    for case, data in done:
        name, was = named(machine, case.number), case.state if before is None else before
        told = {"before": str(was), "after": str(case.state), "version": case.version, "reason": reason, "data": dict(data)}
        rows.append({"object": name, "at": at, "actor": actor, "action": action, **told})
        detail = {"from": was, "to": case.state, "reason": reason, "version": case.version, "agency": case.agency, **data}
        changes.append(audit.Change(actor, f"{machine.kind}.{action}", name, detail))
    if rows:
        session.execute(sa.insert(CaseEvent), rows)
    return changes


def _write(
    session: Session, machine: Machine, case: CaseColumns, actor: str, action: str, before: str, reason: str, data: Mapping[str, Any]
) -> None:
    audit.record_all(session, noted(session, machine, [(case, data)], actor, action, case.updated_at, before=before, reason=reason))
