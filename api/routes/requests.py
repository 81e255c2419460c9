"""Requests of the Mayor: drafting, reading, and every step of their machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, IncidentFilter, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from core.errors import Forbidden
from core.instants import Instant
from core.permissions import Action, Principal, Role
from respond.cases import records
from respond.cases.machine import Step
from respond.requests import service
from respond.requests.machine import MACHINE, WORDING, Article
from respond.requests.models import Request as Row
from respond.requests.service import Draft

router = APIRouter(prefix="/v1/requests", tags=["requests"])

Reader = Annotated[Principal, Depends(Allowed(Action.REQUESTS_READ))]
Drafter = Annotated[Principal, Depends(Allowed(Action.REQUESTS_DRAFT))]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
_EXAMPLE: Final[dict[str, Any]] = {
    "article": "19(2)",
    "agency": "seogu",
    "about": "incident/INC-2026-000001",
    "title": "Keep the civil affairs service running",
    "purpose": "To minimise what the accident does to citizens",
    "items": ["Move the service to the standby servers", "Tell when it is done"],
    "due_at": "2026-12-01T09:00:00Z",
}


class Asked(BaseModel):
    """What is asked, of an agency or (article 17(4)) of a provider."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    article: Article
    agency: str = Field(default="", max_length=63)
    provider: str = Field(default="", max_length=200, description="Of cloud services, for article 17(4); then without `agency`")
    about: str = Field(default="", max_length=200, description="The case it came from, such as incident/INC-2026-000001")
    title: str = Field(min_length=1, max_length=300)
    purpose: Text
    items: list[Text] = Field(min_length=1, max_length=100)
    due_at: Instant | None = Field(default=None, description="Needed at the latest when it is issued")
    exercise: bool = False


class EditWish(Asked, Wish):
    """A draft as it is to be."""


class IssueWish(Wish):
    """When the answer is due; empty: as drafted, or as before."""

    due_at: Instant | None = None


class AnswerWish(Wish):
    """What the agency did, item by item in their order."""

    items: list[str] = Field(default=[], max_length=100)


class Request(CaseOut):
    """A request. `wording` is what it says about the duty to follow it; `reply` is the last answer; `overdue` forbids nothing."""

    article: str
    wording_ko: str
    wording_en: str
    overdue: bool
    provider: str
    about: str
    title: str
    purpose: str
    items: list[str]
    due_at: Instant | None
    reply: dict[str, Any]


class RequestDetail(Request):
    """A request with how it went."""

    progress: Progress


class Wanted(IncidentFilter):
    """Which requests to list."""

    agency: str = Field(default="", max_length=63)
    article: list[Article] = Field(default=[], max_length=8)
    about: str = Field(default="", max_length=200)


@router.post("", status_code=201, summary="Draft a request")
def draft(asked: Asked, response: Response, caller: Drafter, centre: TheCentre) -> Request:
    """Write a request down. It goes out when it is issued."""
    with centre.database.session() as session:
        made = _shown(service.draft(session, caller.scope(Action.REQUESTS_DRAFT), caller.actor, _draft(asked)))
    set_etag(response, made.version)
    return made


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    scope = caller.scope(step.permission)
    if (
        step.permission is Action.REQUESTS_ISSUE
        and Role.MAYORS_OFFICE not in caller.roles
        and not centre.settings.respond.lead_issues_requests
    ):
        raise Forbidden("the mayor has not delegated this: `respond.lead_issues_requests` is off")
    if isinstance(wish, EditWish):
        return service.edit(session, scope, caller.actor, number, version, _draft(wish))
    given = wish.model_dump(exclude={"reason"}, exclude_unset=True)
    return service.take(session, scope, caller.actor, number, step.action, version, reason=wish.reason, given=given)


def _draft(asked: Asked) -> Draft:
    fields = asked.model_dump(exclude={"reason"})
    return Draft(**fields | {"items": tuple(asked.items)})


def _shown(row: Row, at: datetime | None = None) -> Request:
    """The request as it is at `at`; by default when it was changed."""
    korean, english = WORDING[Article(row.article)]
    made = {"wording_ko": korean, "wording_en": english, "overdue": service.overdue(row, at or row.updated_at)}
    fields = {name: getattr(row, name) for name in Request.model_fields if name not in made}
    return Request.model_validate({**fields, **made})


def _sees(caller: Principal) -> list[sa.ColumnElement[bool]]:
    """A draft is nobody's business but of those who draft."""
    drafts = [] if caller.may(Action.REQUESTS_DRAFT) else [Row.state != MACHINE.initial]
    return [records.within(Row, caller.scope(Action.REQUESTS_READ)), *drafts]


def _all_shown(_session: Session, centre: Centre, _caller: Principal, rows: Sequence[Row]) -> list[Request]:
    return [_shown(one, centre.clock.now()) for one in rows]


_KIND: Final = Kind(MACHINE, Row, [Action.REQUESTS_READ], Request, _sees, _all_shown)
add_list(
    router,
    _KIND,
    Wanted,
    of="Requests",
    name="list_requests",
    summary="List requests",
    description="Requests within the caller's scope, newest first.",
)
add_read(
    router,
    _KIND,
    RequestDetail,
    name="get_request",
    summary="Read a request",
    description="A request with its history, its clock and the steps the caller may take. The ETag is to be sent as If-Match with a step.",
)
add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    Request,
    wishes={
        "edit": EditWish,
        **dict.fromkeys(("issue", "reissue"), IssueWish),
        **dict.fromkeys(("comply", "comply_partly", "note_complied", "note_partial"), AnswerWish),
    },
)
