"""The mayor's office feed of accident reports: entries to go on reading, and issues of whole periods that never change."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from core.errors import NotFound
from core.instants import Instant
from core.permissions import Action, Principal, Reach
from respond.feed import csv_file, entries, issues, paper
from respond.feed.issues import File
from respond.feed.models import FeedEntry, FeedIssue
from respond.reports import service
from respond.reports.content import Accident, PersonalData
from respond.reports.models import Report

router = APIRouter(prefix="/v1/feed", tags=["feed"])

Reader = Annotated[Principal, Depends(Allowed(Action.REPORTS_READ))]
_CSV = "text/csv; charset=utf-8"


class Form(StrEnum):
    """How entries are given."""

    JSON = "json"
    CSV = "csv"


class IssueForm(StrEnum):
    """How an issue is given."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


class Language(StrEnum):
    """The language of a paper."""

    KO = "ko"
    EN = "en"


class Restated(BaseModel):
    """The entry that an entry takes the place of."""

    seq: int
    version: int
    published_at: datetime


class Entry(BaseModel):
    """One version of a received report. `version_sha256` is that of the version; `sha256` that of this entry without it."""

    seq: int
    published_at: datetime
    report: str
    receipt: str
    agency: str
    incident: str
    version: int
    kind: str
    restates: Restated | None
    submitted_at: datetime
    received_at: datetime
    late_seconds: int = Field(description="Past the internal target of the centre, which is no time limit of the law")
    late_reason: str
    occurred_at: datetime | None
    learned_at: datetime
    system: str
    type: Accident
    summary: str
    impact: str
    cause: str
    actions: str
    personal_data: PersonalData
    version_sha256: str
    sha256: str


class EntryPage(BaseModel):
    """Entries in the order they were published. `next_cursor` is where to go on: now when there is `more`, or another day."""

    items: list[Entry]
    next_cursor: str
    more: bool


class Restatement(BaseModel):
    """A later version of a report."""

    model_config = ConfigDict(from_attributes=True)

    report: str
    version: int
    at: datetime


class Issue(BaseModel):
    """An issued period. `restated` are later versions of what is in it, with the time each was published; the issue itself stays."""

    model_config = ConfigDict(from_attributes=True)

    period: str
    since: datetime
    until: datetime
    issued_at: datetime
    entries: int
    sha256: str
    restated: list[Restatement]


class IssuePage(BaseModel):
    """Issues, the latest periods first. `next_cursor` is empty on the last page."""

    items: list[Issue]
    next_cursor: str


class Wanted(BaseModel):
    """Where to begin and how much to give."""

    model_config = ConfigDict(extra="forbid")

    since: Instant | None = Field(default=None, description="Published at or after")
    cursor: paging.Cursor = ""
    limit: int = Field(default=100, ge=1, le=500)
    format: Form = Form.JSON


@router.get("/reports", summary="Read the feed", response_model=EntryPage, responses={200: {"content": {"text/csv": {}}}})
def read_feed(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> Any:
    """Versions of received reports, oldest first, without exercises and contacts. CSV has the cursor in the header `Next-Cursor`."""
    scope = caller.scope(Action.REPORTS_READ)
    with centre.database.session(readonly=True) as session:
        page = entries.read(session, scope, caller.actor, *_limits(caller), since=wanted.since, cursor=wanted.cursor, limit=wanted.limit)
    items = [entries.shown(one) for one in page.items]
    if wanted.format is Form.CSV:
        return Response(csv_file.render(items), media_type=_CSV, headers={"Next-Cursor": page.next_cursor})
    return EntryPage(items=[Entry.model_validate(one) for one in items], next_cursor=page.next_cursor, more=page.more)


@router.get("/issues", summary="List issued periods")
def list_issues(
    caller: Reader, centre: TheCentre, cursor: paging.Cursor = "", limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> IssuePage:
    """What was issued, and what of it has been restated since. Issues are of the whole city: who sees less of it sees none."""
    if caller.scope(Action.REPORTS_READ) is not None:
        return IssuePage(items=[], next_cursor="")
    with centre.database.session(readonly=True) as session:
        found, next_cursor = issues.listed(session, cursor, limit)
        items = [_issue(one, issues.restated(session, one)) for one in found]
    return IssuePage(items=items, next_cursor=next_cursor)


@router.get(
    "/issues/{period}",
    summary="Read an issue",
    response_class=Response,
    responses={
        200: {"content": {"application/json": {}, "text/csv": {}, "application/pdf": {}}},
        409: {"description": "The period has not ended"},
    },
)
def get_issue(
    period: Annotated[str, Path(pattern=r"^\d{4}(-\d{2}){0,2}$", examples=["2026-05"])],
    caller: Reader,
    centre: TheCentre,
    form: Annotated[IssueForm, Query(alias="format")] = IssueForm.JSON,
    language: Annotated[Language, Query(description="Of a PDF")] = Language.KO,
) -> Response:
    """A day, a month or a year of Seoul, frozen when it is asked for first: the same bytes every time. The ETag is their SHA-256."""
    if caller.scope(Action.REPORTS_READ) is not None:
        raise NotFound(f"there is no issue {period}")
    issue = _found(centre, caller, period)
    match form:
        case IssueForm.JSON:
            return _answer(issue, issues.as_json(issue), "application/json", "json")
        case IssueForm.CSV:
            return _answer(issue, _file(centre, issue, "csv", ""), _CSV, "csv")
        case IssueForm.PDF:
            return _answer(issue, _file(centre, issue, "pdf", language.value), "application/pdf", f"{language}.pdf")


def _limits(caller: Principal) -> list[sa.ColumnElement[bool]]:
    """A privacy officer reads what is about personal data alone."""
    if caller.grants[Action.REPORTS_READ] is not Reach.OWN_PERSONAL:
        return []
    return [FeedEntry.report.in_(sa.select(Report.number).where(service.personal()))]


def _found(centre: Centre, caller: Principal, period: str) -> FeedIssue:
    with centre.database.session(readonly=True) as session:
        found = issues.find(session, period)
    if found is not None:
        return found
    names = {one.id: (one.name_ko, one.name_en) for one in centre.settings.agencies}
    with centre.database.session() as session:
        return issues.issue(session, caller.actor, period, names)


def _file(centre: Centre, issue: FeedIssue, form: str, language: str) -> File:
    """The file of an issue, made outside of any transaction when there is none yet."""
    with centre.database.session(readonly=True) as session:
        kept = issues.kept(session, issue, form, language)
    if kept is not None:
        return kept
    document = issues.document(issue)
    content = paper.render(document, language) if form == "pdf" else csv_file.render(document["items"])
    with centre.database.session() as session:
        return issues.keep(session, issue, form, language, content)


def _answer(issue: FeedIssue, file: File, media_type: str, ending: str) -> Response:
    name = f"bongsu-reports-{issue.period}.{ending}"
    headers = {"ETag": f'"{file.sha256}"', "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(file.content, media_type=media_type, headers=headers)


def _issue(row: FeedIssue, restated: Any) -> Issue:
    fields = {name: getattr(row, name) for name in Issue.model_fields if name != "restated"}
    return Issue(**fields, restated=[Restatement.model_validate(one) for one in restated])
