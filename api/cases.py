"""What the routes of every kind of case share: its common fields, If-Match, its list, reading one, and one route for each step.

- A `Kind` says how cases are read: who may, which of them exist for a caller, and what is shown. `add_list` adds `GET /v1/reports` with the
  filters of a `CaseFilter`, `add_read` adds `GET /v1/reports/{number}` with how the case went. Paths match in the order they are added:
  a path of words, such as `/v1/warnings/levels`, comes before `add_read`.
- A step `submit` of reports is `POST /v1/reports/{number}/submit`, needs the permission its machine names, takes the body its module
  gives (a `Wish`), and answers with the case. So what a role may do at a route is exactly what the machine's table says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, create_model
from sqlalchemy.orm import Session

from api import disclosure, paging
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.permissions import Action, Principal
from respond.cases import clocks, records
from respond.cases.machine import Machine, Step
from respond.cases.models import CaseClock, CaseColumns
from respond.incidents.compartment import veiled

_CONFLICTS: Final[dict[int | str, dict[str, Any]]] = {
    **CONDITIONAL,
    409: {"description": "There is no such step now"},
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


Number = Annotated[str, Path(pattern=r"^[A-Z]{3}-\d{4}-\d{6,12}$", examples=["RPT-2026-000001"])]
"""The number of a case, of whatever kind."""


def progress(
    session: Session, machine: Machine, case: CaseColumns, caller: Principal, at: datetime, *, void: Collection[str] = ()
) -> Progress:
    """The progress of a case the caller was allowed to read; `void` are steps its state allows that would change nothing."""
    name = records.named(machine, case.number)
    happened = [Happened.model_validate(one).model_dump() for one in records.history(session, machine, case.number)]
    return Progress(
        history=[Happened(**one) for one in veiled(session, caller.actor, happened)],
        clocks=[_clock(one, at) for one in clocks.of_case(session, name)],
        steps=[one.action for one in machine.steps_from(case.state) if one.action not in void and _may(caller, one, case.agency)],
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
Condition = sa.ColumnElement[bool]


class CaseFilter(BaseModel):
    """What to list. A filter is called as its column, or is excluded from dumps and has its own condition; several values mean any."""

    model_config = ConfigDict(extra="forbid")

    state: list[str] = Field(default=[], max_length=16)
    overdue: bool = Field(default=False, exclude=True, description="Only those a clock of which runs past its time")
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)

    def conditions(self, row: type[Any], caller: Principal) -> list[Condition]:  # noqa: ARG002 - a kind may ask for the caller's own
        """What the cases meet that were asked for."""
        asked = self.model_dump(mode="json", exclude={"cursor", "limit"})
        chosen = [(getattr(row, name), value) for name, value in asked.items() if value]
        return [column.in_(value) if isinstance(value, list) else column == value for column, value in chosen]


class IncidentFilter(CaseFilter):
    """Filters of cases that may be about an incident, which they name with `incident/` or without."""

    incident: str = Field(default="", max_length=63, exclude=True)

    def conditions(self, row: type[Any], caller: Principal) -> list[Condition]:
        """What the cases meet that were asked for."""
        about = [row.incident_name().in_([self.incident, f"incident/{self.incident}"])] if self.incident else []
        return [*super().conditions(row, caller), *about]


def _nothing_personal(_caller: Principal, _case: Any, _listed: bool) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Kind(Generic[Case]):
    """How a kind of case is read. `may` are the permissions any of which suffices, `model` is what lists show.

    `sees` is what exists for a caller; by default what is within the scope of the first of `may`. `shows` makes models of some cases at
    once, in their order; by default of their columns. Cases about a restricted incident exist for its members alone, and who reads them is
    written to the trail. So is who reads personal data: `personal` says what of a case that is, read alone or listed, or ''. `parts`
    are the machines of what belongs to a case under its number and has clocks of its own.
    """

    machine: Machine
    row: type[Case]
    may: Sequence[Action]
    model: type[BaseModel]
    sees: Callable[[Principal], Sequence[Condition]] | None = None
    shows: Callable[[Session, Centre, Principal, Sequence[Case]], Sequence[BaseModel]] | None = None
    personal: Callable[[Principal, Case, bool], str] = _nothing_personal
    parts: Sequence[Machine] = ()

    def has_clock(self, which: Condition) -> Condition:
        """That a case has a clock that meets `which`."""
        names = [sa.literal(f"{one.kind}/").concat(self.row.number) for one in (self.machine, *self.parts)]
        return sa.exists().where(CaseClock.object.in_(names), which)

    def visible(self, caller: Principal) -> Sequence[Condition]:
        """What a case meets that exists for `caller`."""
        return self.sees(caller) if self.sees else [records.within(self.row, caller.scope(self.may[0]))]

    def shown(self, session: Session, centre: Centre, caller: Principal, rows: Sequence[Case]) -> Sequence[BaseModel]:
        """The cases as lists show them."""
        if self.shows is not None:
            return self.shows(session, centre, caller, rows)
        return [self.model.model_validate(one, from_attributes=True) for one in rows]

    def note(self, centre: Centre, caller: Principal, rows: Sequence[Case], *, listed: bool) -> None:
        """Write down that the caller reads these, where that is to be known."""
        what = "list" if listed or not rows else self.personal(caller, rows[0], listed) or "case"
        disclosure.note_cases(
            centre.database, caller, self.machine, rows, what, personal=lambda row: bool(self.personal(caller, row, listed))
        )


KINDS: Final[dict[str, Kind[Any]]] = {}
"""Every kind of case that is listed, by its word."""
ABOUT_INCIDENTS: Final[set[str]] = set()
"""The words of those that name the incident they are about."""


def add_list(
    router: APIRouter, kind: Kind[Case], wanted: type[CaseFilter], *, name: str, summary: str, description: str, of: str, path: str = ""
) -> None:
    """Add `GET <prefix>`, newest first. `of` begins the description of its page ("Requests"); `name` names the operation."""
    KINDS[kind.machine.kind] = kind
    if issubclass(wanted, IncidentFilter):
        ABOUT_INCIDENTS.add(kind.machine.kind)
    noted = f"{of}, newest first. `next_cursor` is empty on the last page."
    page = create_model(f"{kind.model.__name__}Page", __doc__=noted, items=(list[kind.model], ...), next_cursor=(str, ...))  # type: ignore[name-defined]

    def endpoint(wanted: CaseFilter, caller: Principal, centre: Centre) -> BaseModel:
        late = [kind.has_clock(clocks.late(centre.clock.now()))] if wanted.overdue else []
        conditions = [*kind.visible(caller), *wanted.conditions(kind.row, caller), *late]
        with centre.database.session(readonly=True) as session:
            found = records.page(session, kind.row, None, *conditions, cursor=wanted.cursor, limit=wanted.limit, reader=caller.actor)
            items = kind.shown(session, centre, caller, found.items)
        kind.note(centre, caller, found.items, listed=True)
        return page(items=items, next_cursor=found.next_cursor)

    endpoint.__annotations__ = {"wanted": Annotated[wanted, Query()], "caller": _reader(kind), "centre": TheCentre}
    router.add_api_route(path, endpoint, methods=["GET"], name=name, summary=summary, description=description, response_model=page)


Tell = Callable[[Session, Centre, Principal, Case, Progress], BaseModel]
"""Tells all of a case: session, centre, caller, the case, how it went."""


def add_read(
    router: APIRouter,
    kind: Kind[Case],
    model: Any,
    tell: Tell[Case] | None = None,
    *,
    name: str,
    summary: str,
    description: str,
    path: str = "/{number}",
) -> None:
    """Add `GET <prefix>/{number}` with its ETag. `model` is what is shown in lists and `progress` beside, unless `tell` gives more."""

    def endpoint(number: str, response: Response, caller: Principal, centre: Centre) -> BaseModel:
        with centre.database.session(readonly=True) as session:
            case = records.find(session, kind.machine, kind.row, None, number, *kind.visible(caller), reader=caller.actor)
            went = progress(session, kind.machine, case, caller, centre.clock.now())
            answer = (tell or plain)(session, centre, caller, case, went)
            version = case.version
        kind.note(centre, caller, [case], listed=False)
        set_etag(response, version)
        return answer

    def plain(session: Session, centre: Centre, caller: Principal, case: Case, went: Progress) -> BaseModel:
        (shown,) = kind.shown(session, centre, caller, [case])
        whole: BaseModel = model(**shown.model_dump(), progress=went)
        return whole

    endpoint.__annotations__ = {"number": Number, "response": Response, "caller": _reader(kind), "centre": TheCentre}
    router.add_api_route(path, endpoint, methods=["GET"], name=name, summary=summary, description=description, response_model=model)


def _reader(kind: Kind[Any]) -> Any:
    return Annotated[Principal, Depends(Allowed(*kind.may))]


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
            openapi_extra={"x-step": {"machine": machine.kind, "to": one.to, "needs_reason": one.needs_reason, "law": one.law}},
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
