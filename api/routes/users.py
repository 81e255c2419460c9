"""Accounts of people, for those who answer for them: reading, shutting out, and what an administrator does to help somebody in.

Rights are given by two people (`api.routes.account_changes`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth import lockout, passwords, second_factor, user_sessions
from api.auth.changes import keep_an_admin
from api.auth.dependencies import Allowed, TheCentre
from api.auth.sessions import Rules
from api.auth.tables import User
from api.auth.user_sessions import Sessions
from api.auth.users import disable_user, find_user, plain_name, set_password
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.errors import Conflict, Forbidden, NotFound
from core.permissions import Action, Principal
from core.versions import check_seen
from respond import audit

router = APIRouter(prefix="/v1/users", tags=["users"])

Reader = Annotated[Principal, Depends(Allowed(Action.USERS_READ))]
Operator = Annotated[Principal, Depends(Allowed(Action.USERS_OPERATE))]
Closer = Annotated[Principal, Depends(Allowed(Action.USERS_OPERATE, Action.USERS_APPROVE))]
Name = Annotated[str, Path(max_length=64, examples=["kim"])]


class UserOut(BaseModel):
    """An account, without anything secret. `version` is the ETag."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "kim",
                    "roles": ["analyst"],
                    "agency": "",
                    "comes_by": "password",
                    "created_at": "2026-05-01T03:00:00Z",
                    "last_login_at": "2026-05-04T00:12:09Z",
                    "password_changed_at": "2026-05-01T03:10:00Z",
                    "must_change_password": False,
                    "second_factor_since": "2026-05-01T03:12:00Z",
                    "disabled_at": None,
                    "version": 3,
                }
            ]
        }
    )

    name: str
    roles: list[str]
    agency: str = Field(description="Empty: of the centre itself")
    comes_by: str = Field(description="password, oidc (the city's log-in), or nothing yet: an administrator gives the first password")
    created_at: datetime
    last_login_at: datetime | None
    password_changed_at: datetime
    must_change_password: bool
    second_factor_since: datetime | None
    disabled_at: datetime | None
    version: int


class UserPage(BaseModel):
    """Accounts, by name. `next_cursor` is empty on the last page."""

    items: list[UserOut]
    next_cursor: str


class TemporaryPassword(BaseModel):
    """A password for one log-in, shown this once: its owner chooses another there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "q3J0c2VjcmV0LWV4YW1w", "holds_days": 7}]})

    password: str
    holds_days: int = passwords.TEMPORARY_FOR.days


@router.get("", summary="List accounts")
def list_users(
    caller: Reader,  # noqa: ARG001 - whoever reads accounts reads all of them
    centre: TheCentre,
    cursor: Annotated[str, Query(max_length=64, description="`next_cursor` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    q: Annotated[str, Query(max_length=64, description="Part of a name")] = "",
) -> UserPage:
    """Every account, disabled ones included."""
    query = sa.select(User).where(User.name > cursor).order_by(User.name).limit(limit + 1)
    if q:
        query = query.where(User.name.contains(plain_name(q), autoescape=True))
    with centre.database.session(readonly=True) as session:
        rows = session.scalars(query).all()
    following = rows[limit - 1].name if len(rows) > limit else ""
    return UserPage(items=[shown(row) for row in rows[:limit]], next_cursor=following)


@router.get("/{name}", summary="Read an account")
def read_user(name: Name, response: Response, caller: Reader, centre: TheCentre) -> UserOut:  # noqa: ARG001 - as above
    """One account; its ETag goes with a change."""
    with centre.database.session(readonly=True) as session:
        user = _found(session, name)
    set_etag(response, user.version)
    return shown(user)


@router.post("/{name}/disable", summary="Shut somebody out", responses=CONDITIONAL)
def disable(name: Name, caller: Closer, centre: TheCentre, version: SeenVersion, response: Response) -> UserOut:
    """At once, sessions included; enabling again is proposed and approved. The last administrator cannot be shut out, nor can oneself."""
    with centre.database.session() as session:
        user = _seen(session, name, version, caller)
        keep_an_admin(session, user)
        disable_user(session, user.name, actor=caller.actor)
    set_etag(response, user.version)
    return shown(user)


@router.post("/{name}/password", summary="Give somebody a password for one log-in", responses=CONDITIONAL)
def reset_password(name: Name, caller: Operator, centre: TheCentre, version: SeenVersion, response: Response) -> TemporaryPassword:
    """Ends their sessions. Whoever logs in with it must set one of their own, and reaches nothing before."""
    made = passwords.temporary()
    with centre.database.session() as session:
        user = _seen(session, name, version, caller)
        if user.subject is not None:
            raise Conflict("this account comes by the city's log-in, and has no password here")
        if user.disabled_at is not None:
            raise Conflict("this account is disabled")
        set_password(session, user, made, temporary=True)
        user.version += 1
        lockout.forget(session, lockout.of_name(user.name))
        audit.record(session, caller.actor, "password.reset", f"user/{user.name}", {})
    set_etag(response, user.version)
    return TemporaryPassword(password=made)


@router.post("/{name}/second-factor/reset", summary="Take somebody's second factor away", responses=CONDITIONAL)
def reset_second_factor(name: Name, caller: Operator, centre: TheCentre, version: SeenVersion, response: Response) -> UserOut:
    """For who lost it, and the recovery codes, too. See first that it is really them."""
    with centre.database.session() as session:
        user = _seen(session, name, version, caller)
        if user.totp_confirmed_at is None:
            raise Conflict("this account has no second factor")
        second_factor.remove(session, user, caller.actor)
        lockout.forget(session, lockout.of_proof(user.id))
    set_etag(response, user.version)
    return shown(user)


@router.post("/{name}/unlock", status_code=204, summary="Let somebody try again")
def unlock(name: Name, caller: Operator, centre: TheCentre) -> None:
    """After too many wrong passwords or codes: the account need not wait any longer. An address that tried many names still does."""
    with centre.database.session() as session:
        user = _found(session, name)
        _of_another(caller, user)
        lockout.forget(session, lockout.of_name(user.name))
        lockout.forget(session, lockout.of_proof(user.id))
        audit.record(session, caller.actor, "user.unlocked", f"user/{user.name}", {})


@router.get("/{name}/sessions", summary="List somebody's sessions")
def list_sessions(name: Name, caller: Operator, centre: TheCentre) -> Sessions:
    """Those that hold now, the last used first."""
    with centre.database.session(readonly=True) as session:
        user, rules = _found(session, name), Rules.of(centre.settings.api)
        return Sessions(items=user_sessions.listed(session, user.id, rules, current=caller.session))


@router.delete("/{name}/sessions/{session_id}", status_code=204, summary="End somebody's session")
def end_session(name: Name, session_id: Annotated[str, Path(max_length=64)], caller: Operator, centre: TheCentre) -> None:
    """At once."""
    with centre.database.session() as session:
        user_sessions.end(session, _found(session, name), session_id, actor=caller.actor)


def shown(user: User) -> UserOut:
    """The account as it is shown."""
    return UserOut(
        name=user.name,
        roles=user.roles.split(","),
        agency=user.agency,
        comes_by="oidc" if user.subject else "password" if user.password_hash else "",
        created_at=user.created_at,
        last_login_at=user.last_login_at,
        password_changed_at=user.password_changed_at,
        must_change_password=user.must_change_password,
        second_factor_since=user.totp_confirmed_at,
        disabled_at=user.disabled_at,
        version=user.version,
    )


def _found(session: Session, name: str) -> User:
    user = find_user(session, name)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    return user


def _seen(session: Session, name: str, version: int, caller: Principal) -> User:
    """The account, to be changed as the caller saw it; never the own one."""
    user = session.get_one(User, _found(session, name).id, with_for_update=True)
    _of_another(caller, user)
    check_seen(f"the account {user.name}", user.version, version)
    return user


def _of_another(caller: Principal, user: User) -> None:
    if caller.id == user.id:
        raise Forbidden("this is done for somebody else; your own account has a page of its own")
