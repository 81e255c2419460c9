"""What is proposed for accounts, and who decides it: the SOC lead or an administrator proposes, the mayor's office approves [ours]."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import changes
from api.auth.changes import State, Wanted
from api.auth.dependencies import Allowed, TheCentre
from api.auth.tables import AccountChange
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.errors import Invalid
from core.permissions import Action, Principal

router = APIRouter(prefix="/v1/account-changes", tags=["users"])

Reader = Annotated[Principal, Depends(Allowed(Action.USERS_READ))]
Proposer = Annotated[Principal, Depends(Allowed(Action.USERS_PROPOSE))]
Approver = Annotated[Principal, Depends(Allowed(Action.USERS_APPROVE))]
Id = Annotated[int, Path(ge=1, lt=1 << 63)]
_CHANGE: Final[dict[str, Any]] = {
    "id": 7,
    "user": "kim",
    "kind": "create",
    "roles": ["analyst"],
    "agency": "",
    "reason": "Joins the night shift in June",
    "state": "proposed",
    "proposed_by": "user:lead",
    "proposed_at": "2026-05-01T03:00:00Z",
    "decided_by": "",
    "decided_at": None,
    "decision": "",
    "version": 1,
}


class ChangeWish(BaseModel):
    """What an account is to become. `enable` needs no roles: those it has."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"user": "kim", "kind": "create", "roles": ["analyst"], "reason": "Joins the night shift in June"}]
        },
    )

    user: str = Field(min_length=1, max_length=64)
    kind: Literal["create", "change", "enable"]
    roles: list[str] = Field(default=[], max_length=8)
    agency: str = Field(default="", max_length=63, description="Empty: of the centre itself")
    reason: str = Field(default="", max_length=1000, description="What it is for")


class Decision(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The post is not filled this year"}]})

    reason: str = Field(default="", max_length=1000)


class Change(BaseModel):
    """A change of an account. `version` is the ETag."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CHANGE]})

    id: int
    user: str
    kind: str
    roles: list[str]
    agency: str
    reason: str
    state: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str
    decided_at: datetime | None
    decision: str
    version: int


class ChangePage(BaseModel):
    """Changes, newest first. `next_cursor` is empty on the last page."""

    items: list[Change]
    next_cursor: str


@router.get("", summary="List changes of accounts")
def list_changes(
    caller: Reader,  # noqa: ARG001 - whoever reads accounts reads what is proposed for them
    centre: TheCentre,
    state: Annotated[State | None, Query()] = None,
    cursor: Annotated[str, Query(pattern=r"^[0-9]{0,18}$", description="`next_cursor` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ChangePage:
    """What was proposed, and what became of it."""
    with centre.database.session(readonly=True) as session:
        rows = changes.listed(session, state=state or "", before=int(cursor or 0), limit=limit + 1)
    following = str(rows[limit - 1].id) if len(rows) > limit else ""
    return ChangePage(items=[_shown(row) for row in rows[:limit]], next_cursor=following)


@router.post("", status_code=201, summary="Propose a change of an account")
def propose(wish: ChangeWish, response: Response, caller: Proposer, centre: TheCentre) -> Change:
    """It comes to be when the mayor's office approves it. Nobody proposes anything for the own account."""
    if wish.agency and wish.agency not in {one.id for one in centre.settings.agencies}:
        raise Invalid(f"there is no agency {wish.agency!r}")
    with centre.database.session() as session:
        row = changes.propose(session, caller, Wanted(**wish.model_dump()))
    set_etag(response, row.version)
    return _shown(row)


@router.get("/{change_id}", summary="Read a change of an account")
def read_change(change_id: Id, response: Response, _caller: Reader, centre: TheCentre) -> Change:
    """One change; its ETag goes with the decision."""
    with centre.database.session(readonly=True) as session:
        row = changes.find(session, change_id)
    set_etag(response, row.version)
    return _shown(row)


@router.post("/{change_id}/approve", summary="Approve a change", responses=CONDITIONAL)
def approve(change_id: Id, caller: Approver, centre: TheCentre, version: SeenVersion, response: Response) -> Change:
    """The account is so from now on; a new one gets its first password from an administrator."""
    with centre.database.session() as session:
        row = changes.approve(session, caller, change_id, version)
    set_etag(response, row.version)
    return _shown(row)


@router.post("/{change_id}/reject", summary="Reject a change", responses=CONDITIONAL)
def reject(change_id: Id, decision: Decision, caller: Approver, centre: TheCentre, version: SeenVersion, response: Response) -> Change:
    """A reason is needed."""
    with centre.database.session() as session:
        row = changes.reject(session, caller, change_id, version, decision.reason)
    set_etag(response, row.version)
    return _shown(row)


@router.post("/{change_id}/withdraw", summary="Withdraw a change", responses=CONDITIONAL)
def withdraw(change_id: Id, caller: Proposer, centre: TheCentre, version: SeenVersion, response: Response) -> Change:
    """Who proposed it takes it back."""
    with centre.database.session() as session:
        row = changes.withdraw(session, caller, change_id, version)
    set_etag(response, row.version)
    return _shown(row)


def _shown(row: AccountChange) -> Change:
    return Change(**{name: getattr(row, name) for name in Change.model_fields if name != "roles"}, roles=row.roles.split(","))
