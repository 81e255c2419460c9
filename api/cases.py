"""What the routes of every kind of case share: its common fields, If-Match, and one route for each step of its machine.

A step `submit` of reports is `POST /v1/reports/{number}/submit`, needs the permission its machine names, takes the body its module
gives (a `Wish`), and answers with the case. So what a role may do at a route is exactly what the machine's table says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException

from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from core.errors import Invalid
from core.permissions import Principal
from respond.cases import clocks, records
from respond.cases.machine import Machine, Step
from respond.cases.models import CaseClock, CaseColumns
from respond.incidents.compartment import veiled

_ETAG: Final = re.compile(r'"(\d{1,9})"')
_CONFLICTS: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "Somebody else changed it, or there is no such step now"},
    428: {"description": "If-Match is missing"},
}


class Wish(BaseModel):
    """What a step is given; steps that take more have a model of their own."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=records.LONGEST_REASON, description="Why; some steps need it")


class CaseOut(BaseModel):
    """What every case has. `version` is the ETag; `agency` is empty when the whole city is concerned."""

    model_config = ConfigDict(from_attributes=True)

    number: str
    agency: str
    state: str
    version: int
    exercise: bool
    created_at: datetime
    created_by: str
    updated_at: datetime


class Happened(BaseModel):
    """One change of a case."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    actor: str
    action: str
    before: str
    after: str
    version: int
    reason: str
    data: dict[str, Any]


class Clock(BaseModel):
    """A time that is waited for. `basis`: target (the centre's own wish, not the law's), pack (a rule pack of the law) or set (by hand)."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    basis: str
    source: str
    started_at: datetime
    due_at: datetime | None
    stopped_at: datetime | None
    overdue_seconds: float


class Progress(BaseModel):
    """How a case went, what is waited for, and which steps the caller may take now."""

    history: list[Happened]
    clocks: list[Clock]
    steps: list[str]


def if_match(value: Annotated[str, Header(alias="If-Match", description="The ETag of the case as you saw it")] = "") -> int:
    """The version the caller saw; 428 when it did not say."""
    if not value:
        raise HTTPException(428, "send If-Match with the ETag of the case as you saw it")
    version = _ETAG.fullmatch(value)
    if version is None:
        raise Invalid('If-Match must be an ETag given by us, such as "3"')
    return int(version[1])


def _plausible(at: datetime) -> datetime:
    if not 2000 <= at.year < 2200:
        raise ValueError("a time lies between 2000 and 2199")
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_plausible)]
"""A time with its zone as a body gives it, in UTC."""
SeenVersion = Annotated[int, Depends(if_match)]
Number = Annotated[str, Path(pattern=r"^[A-Z]{3}-\d{4}-\d{6,12}$", examples=["RPT-2026-000001"])]
"""The number of a case, of whatever kind."""


def set_etag(response: Response, version: int) -> None:
    """Give the version as ETag."""
    response.headers["ETag"] = f'"{version}"'


def progress(session: Session, machine: Machine, case: CaseColumns, caller: Principal, at: datetime) -> Progress:
    """The progress of a case the caller was allowed to read."""
    name = records.named(machine, case.number)
    happened = [Happened.model_validate(one).model_dump() for one in records.history(session, machine, case.number)]
    return Progress(
        history=[Happened(**one) for one in veiled(session, caller.actor, happened)],
        clocks=[_clock(one, at) for one in clocks.of_case(session, name)],
        steps=[one.action for one in machine.steps_from(case.state) if _may(caller, one, case.agency)],
    )


def _clock(clock: CaseClock, at: datetime) -> Clock:
    late = clocks.overdue(clock, at).total_seconds()
    fields = {name: getattr(clock, name) for name in Clock.model_fields if name != "overdue_seconds"}
    return Clock(**fields, overdue_seconds=late)


def _may(caller: Principal, wanted: Step, agency: str) -> bool:
    if not caller.may(wanted.permission):
        return False
    scope = caller.scope(wanted.permission)
    return scope is None or agency in scope


Case = TypeVar("Case", bound=CaseColumns)
Take = Callable[[Session, Centre, Principal, str, Step, int, Wish], Case]
"""Takes a step: session, centre, caller (its scope is that of the step's permission), number, step, version seen, wish."""


def add_steps(
    router: APIRouter,
    machine: Machine,
    take: Take[Case],
    shown: Callable[[Case], BaseModel],
    model: type[BaseModel],
    wishes: Mapping[str, type[Wish]] | None = None,
    summaries: Mapping[str, str] | None = None,
    path: str = "/{number}",
) -> None:
    """Add `POST <path>/<action>` for every step of `machine`. `wishes` gives the bodies of actions that take more than a reason."""
    bodies, titles = wishes or {}, summaries or {}
    for one in machine.steps:
        router.add_api_route(
            f"{path}/{one.action}",
            _route(one, take, shown, bodies.get(one.action, Wish)),
            methods=["POST"],
            summary=titles.get(one.action) or f"{one.action.replace('_', ' ').capitalize()} a {machine.kind.replace('_', ' ')}",
            description=_description(one),
            operation_id=f"{machine.kind}_{one.action}",
            response_model=model,
            responses=_CONFLICTS,
        )


def _route(wanted: Step, take: Take[Case], shown: Callable[[Case], BaseModel], body: type[Wish]) -> Callable[..., BaseModel]:
    def endpoint(number: str, wish: Wish, caller: Principal, centre: Centre, version: int, response: Response) -> BaseModel:
        with centre.database.session() as session:
            case = take(session, centre, caller, number, wanted, version, wish)
            answer = shown(case)
        set_etag(response, case.version)
        return answer

    endpoint.__annotations__ = {
        "number": Number,
        "wish": body,
        "caller": Annotated[Principal, Depends(Allowed(wanted.permission))],
        "centre": TheCentre,
        "version": SeenVersion,
        "response": Response,
    }
    return endpoint


def _description(wanted: Step) -> str:
    sources: Sequence[str] = sorted(wanted.sources)
    law = f" [{wanted.law}]" if wanted.law else ""
    reason = " A reason is needed." if wanted.needs_reason else ""
    return f"From {', '.join(sources)} to {wanted.to or 'the same state'}; needs `{wanted.permission}`.{reason}{law}"
