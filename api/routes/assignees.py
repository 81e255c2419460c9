"""Who incidents and tasks can be given to: the names people choose from."""

from __future__ import annotations

from typing import Annotated, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.auth.dependencies import Allowed, TheCentre
from api.auth.tables import User
from core.permissions import GRANTS, Action, Principal

router = APIRouter(prefix="/v1/assignees", tags=["incidents"])

Writer = Annotated[Principal, Depends(Allowed(Action.INCIDENTS_WRITE))]
_TRIAGE: Final = frozenset(role.value for role, granted in GRANTS.items() if Action.INCIDENTS_WRITE in granted)


class Assignee(BaseModel):
    """Somebody who works on incidents."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "lee", "agency": ""}]})

    name: str
    agency: str = Field(description="Empty: of the centre itself")


class Assignees(BaseModel):
    """Everybody who can be chosen, by name."""

    items: list[Assignee]


@router.get("", summary="List who incidents can be assigned to")
def list_assignees(caller: Writer, centre: TheCentre) -> Assignees:
    """People who may work on incidents and may log in. Whoever is of an agency is told of its own people."""
    agencies = caller.scope(Action.INCIDENTS_WRITE)
    query = sa.select(User.name, User.agency, User.roles).where(User.disabled_at.is_(None)).order_by(User.name)
    if agencies is not None:
        query = query.where(User.agency.in_(agencies))
    with centre.database.session(readonly=True) as session:
        found = session.execute(query).all()
    return Assignees(items=[Assignee(name=one.name, agency=one.agency) for one in found if not _TRIAGE.isdisjoint(one.roles.split(","))])
