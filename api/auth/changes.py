"""Changes of accounts that need two people: proposed by the SOC lead or an administrator, approved by the mayor's office [ours].

The domain's matrix gives the mayor's office A on users and the SOC lead propose; an administrator, who runs the system, gives nobody rights
alone. Nobody proposes or decides anything for the own account, and nobody decides what they proposed themselves. What takes rights away
at once (`users.disable_user`) needs no second person. Of administrators one stays enabled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.auth.tables import AccountChange, User
from api.auth.users import checked_name, end_sessions, find_user, make_user
from core.database import exclusive, now
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.permissions import Principal, Role, parse_roles
from core.versions import check_seen
from respond import audit

Kind = Literal["create", "change", "enable"]
State = Literal["proposed", "approved", "rejected", "withdrawn"]
OPEN: Final = "proposed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an account is to become; for `enable` it keeps the roles and the agency it has."""

    user: str
    kind: Kind
    roles: Iterable[str] = ()
    agency: str = ""
    reason: str = ""


def propose(session: Session, caller: Principal, wanted: Wanted) -> AccountChange:
    """Write down what is wanted. Invalid or Conflict when it cannot come to be; Forbidden for the own account."""
    name = checked_name(wanted.user)
    _of_another(caller, name)
    user = find_user(session, name)
    if wanted.kind == "create":
        if user is not None:
            raise Conflict(f"there is a user {name!r} already")
        roles, agency = ",".join(parse_roles(wanted.roles, wanted.agency)), wanted.agency
    elif user is None:
        raise NotFound(f"there is no user {name!r}")
    elif wanted.kind == "change":
        _ours(user)
        roles, agency = ",".join(parse_roles(wanted.roles, wanted.agency)), wanted.agency
        if (roles, agency) == (user.roles, user.agency):
            raise Conflict("the account has these roles and this agency already")
    else:
        if user.disabled_at is None:
            raise Conflict("the account is enabled already")
        roles, agency = user.roles, user.agency
    if session.scalar(sa.select(AccountChange.id).where(AccountChange.user == name, AccountChange.state == OPEN)):
        raise Conflict("a change of this account waits for a decision already")
    row = AccountChange(
        user=name,
        kind=wanted.kind,
        roles=roles,
        agency=agency,
        reason=wanted.reason,
        state=OPEN,
        version=1,
        proposed_by=caller.actor,
        proposed_at=now(session),
        decided_by="",
        decided_at=None,
        decision="",
    )
    session.add(row)
    session.flush()
    _tell(session, caller, row, "proposed")
    return row


def approve(session: Session, caller: Principal, change_id: int, version: int) -> AccountChange:
    """Let it come to be. Conflict when somebody decided before, or the account has changed so that it cannot."""
    row = _open(session, change_id, version)
    _of_another(caller, row.user)
    if row.proposed_by == caller.actor:
        raise Forbidden("somebody else approves what you proposed")
    user = find_user(session, row.user)
    if row.kind == "create":
        if user is not None:
            raise Conflict(f"there is a user {row.user!r} by now")
        make_user(session, row.user, row.roles, row.agency, caller.actor)
    elif user is None:
        raise NotFound(f"there is no user {row.user!r}")
    else:
        if Role.ADMIN not in row.roles.split(","):
            keep_an_admin(session, user)
        user.roles, user.agency, user.version = row.roles, row.agency, user.version + 1
        if row.kind == "enable":
            user.disabled_at = None
        end_sessions(session, user)
        changed = "enabled" if row.kind == "enable" else "roles"
        audit.record(
            session, caller.actor, "user.changed", f"user/{user.name}", {"roles": row.roles, "agency": row.agency, "changed": [changed]}
        )
    return _decide(session, caller, row, "approved", "")


def reject(session: Session, caller: Principal, change_id: int, version: int, reason: str) -> AccountChange:
    """Decline it, with a reason."""
    if not reason.strip():
        raise Invalid("say why it is rejected")
    row = _open(session, change_id, version)
    _of_another(caller, row.user)
    return _decide(session, caller, row, "rejected", reason)


def withdraw(session: Session, caller: Principal, change_id: int, version: int) -> AccountChange:
    """Take back what one proposed oneself."""
    row = _open(session, change_id, version)
    if row.proposed_by != caller.actor:
        raise Forbidden("who proposed it takes it back")
    return _decide(session, caller, row, "withdrawn", "")


def listed(session: Session, *, state: str = "", before: int = 0, limit: int = 100) -> Sequence[AccountChange]:
    """Changes, newest first; `before` is the id of the last one already seen."""
    query = sa.select(AccountChange).order_by(AccountChange.id.desc()).limit(limit)
    if state:
        query = query.where(AccountChange.state == state)
    if before:
        query = query.where(AccountChange.id < before)
    return session.scalars(query).all()


def find(session: Session, change_id: int) -> AccountChange:
    """One change. NotFound when there is none."""
    row = session.get(AccountChange, change_id)
    if row is None:
        raise NotFound("there is no such change")
    return row


def keep_an_admin(session: Session, user: User) -> None:
    """Conflict when without `user` no enabled account with the role of administrators would be left."""
    exclusive(session, "administrators")
    enabled = session.scalars(sa.select(User).where(User.disabled_at.is_(None))).all()
    admins = {one.id for one in enabled if Role.ADMIN in one.roles.split(",")}
    if admins == {user.id}:
        raise Conflict("this is the last administrator: make another one first")


def _open(session: Session, change_id: int, version: int) -> AccountChange:
    row = session.get(AccountChange, change_id, with_for_update=True)
    if row is None:
        raise NotFound("there is no such change")
    check_seen("the change", row.version, version)
    if row.state != OPEN:
        raise Conflict(f"this change is {row.state} already")
    return row


def _decide(session: Session, caller: Principal, row: AccountChange, state: State, reason: str) -> AccountChange:
    row.state, row.version, row.decision = state, row.version + 1, reason
    row.decided_by, row.decided_at = caller.actor, now(session)
    _tell(session, caller, row, state)
    return row


def _of_another(caller: Principal, name: str) -> None:
    if caller.kind == "user" and caller.name == name:
        raise Forbidden("nobody proposes or decides anything for the own account")


def _ours(user: User) -> None:
    if user.subject is not None:
        raise Conflict("the roles of this account come from the city's log-in: they are changed there")


def _tell(session: Session, caller: Principal, row: AccountChange, what: str) -> None:
    told = {"change": row.id, "kind": row.kind, "roles": row.roles, "agency": row.agency}
    audit.record(session, caller.actor, f"account_change.{what}", f"user/{row.user}", told)
