"""Searching history with rules: asking, watching, ending, and reading what was found."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from api.etags import CONDITIONAL, SeenVersion, set_etag
from core.clock import from_millis, millis
from core.errors import Forbidden, Invalid, NotFound
from core.instants import Instant
from core.permissions import Action, Agencies, Principal
from detect.compiled import CompiledRule
from detect.hunt import requests, results, tuned
from detect.hunt.models import Hunt as Row
from detect.hunt.plan import Estimate as Cost
from detect.hunt.plan import estimate
from detect.hunt.requests import Chosen, Kind, State, Wish
from detect.hunt.runner import MOST_KEPT
from detect.hunt.search import Search
from detect.hunt.statements import Reach
from respond import audit

router = APIRouter(prefix="/v1", tags=["hunts"])

Hunter = Annotated[Principal, Depends(Allowed(Action.HUNTS_RUN))]
RuleReader = Annotated[Principal, Depends(Allowed(Action.RULES_READ))]
HuntId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$", examples=["5f0c1d2e3b4a"])]
_EXAMPLE: Final[dict[str, Any]] = {
    "since": "2026-01-01T00:00:00Z",
    "until": "2026-01-08T00:00:00Z",
    "rule_ids": ["0d894093-71bc-43c3-8c4d-ecfc28dcf5d9"],
    "dry_run": True,
}


class Wanted(BaseModel):
    """What to search: saved rules by id, Sigma YAML, or both. A `backfill` opens incidents of what the stream missed, by saved rules."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    since: Instant = Field(description="Happened at or after")
    until: Instant = Field(description="Happened before")
    rule_ids: list[Annotated[str, Field(max_length=200)]] = Field(default=[], max_length=requests.MOST_RULES)
    rules: str = Field(default="", max_length=requests.LONGEST_TEXT, description="Sigma rules as YAML")
    agencies: list[Annotated[str, Field(max_length=63)]] | None = Field(
        default=None, max_length=1000, description="Only these; default: every agency within your scope"
    )
    kind: Annotated[str, Field(pattern="^(hunt|backfill)$")] = "hunt"
    dry_run: bool = Field(default=False, description="Only say what it would cost")


class Estimate(BaseModel):
    """`rows` to look at, `bytes` of their columns that the rules read, and the seconds that takes, from a trial on the newest rows."""

    rows: int
    bytes: int
    seconds: float


class Found(BaseModel):
    """The matches of a rule in one agency, and the earliest of them."""

    agency: str
    matches: int
    first_event_at: datetime
    first_event_id: str


class RuleResult(BaseModel):
    """What a rule found. `kept` matches were made detections, of which a hunt makes `MOST_KEPT` at most (`capped`); all are counted.

    `off_at` are the agencies where it is switched off: nothing of theirs counts. '' among them: every agency that is not told apart.
    """

    id: str
    title: str
    level: str
    hash: str
    matches: int
    kept: int
    capped: bool
    problem: str
    off_at: list[str]
    agencies: list[Found]


class Hunt(BaseModel):
    """A search and how far it is. `agencies` null: every agency."""

    id: str
    kind: Kind
    state: State
    problem: str
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    since: datetime
    until: datetime
    agencies: list[str] | None
    rows_total: int
    rows_done: int
    slices_total: int
    slices_done: int
    rules: list[RuleResult]
    version: int = Field(description="The ETag; it counts what people decide, not how far the search is")


class HuntPage(BaseModel):
    """Searches, newest first. `next_cursor` is empty on the last page."""

    items: list[Hunt]
    next_cursor: str


class DetectionPage(BaseModel):
    """Detections in order of event time, with the columns of their events. `next_cursor` is empty on the last page."""

    items: list[dict[str, Any]]
    next_cursor: str


class Hour(BaseModel):
    """Detections of one hour from `at`."""

    at: datetime
    detections: int


class Hours(BaseModel):
    """The hours in which the detections of a search happened, in order; hours without any are left out."""

    items: list[Hour]


class FirstKnowable(BaseModel):
    """What kept history says of a rule as it is now. `searched_at` null: it waits, is being searched, or `problem` says why not."""

    rule_id: str
    rule_hash: str
    hunt_id: str
    state: State
    since: datetime
    until: datetime
    searched_at: datetime | None
    problem: str
    matches: int
    agencies: list[Found]


@router.post("/hunts", summary="Search history", status_code=202, responses={200: {"model": Estimate, "description": "With dry_run"}})
async def ask(wanted: Wanted, caller: Hunter, centre: TheCentre, response: Response) -> Hunt | Estimate:
    """Put a search into the queue, or with `dry_run` say what it would cost."""
    wish = Wish(wanted.since, wanted.until, _agencies(caller, wanted.agencies), wanted.rule_ids, wanted.rules, Kind(wanted.kind))
    if wish.kind is Kind.BACKFILL and wish.text:
        raise Invalid("a backfill takes saved rules: those the stream runs")
    book = await asyncio.to_thread(centre.rules.current)
    chosen = await asyncio.to_thread(requests.chosen, book, wish)
    compiled = await asyncio.to_thread(requests.compiled, [*chosen.rules, *chosen.members.rules])
    if wanted.dry_run:
        response.status_code = 200
        found = await _cost(centre, compiled, wish)
        return Estimate(rows=found.rows, bytes=found.bytes, seconds=round(found.seconds, 3))
    return await asyncio.to_thread(_asked, centre, caller, wish, chosen)


async def _cost(centre: Centre, compiled: list[CompiledRule], wish: Wish) -> Cost:
    search = Search(centre.store, compiled)
    found = await estimate(centre.store, search, Reach(wish.since, wish.until, wish.agencies))
    if search.problems:
        raise Invalid("; ".join(f"{compiled[place].rule.title}: {why}" for place, why in search.problems.items()))
    return found


def _asked(centre: Centre, caller: Principal, wish: Wish, chosen: Chosen) -> Hunt:
    with centre.database.session() as session:
        row = requests.ask(session, wish, chosen.every, caller.actor)
        detail = {
            "kind": row.kind,
            "since": row.since.isoformat(),
            "until": row.until.isoformat(),
            "agencies": row.agencies,
            "rules": [f"{one.id} {one.hash}" for one in chosen.every],
        }
        audit.record(session, caller.actor, "hunt.asked", f"hunt/{row.id}", detail)
    return _hunt(row, caller.scope(Action.HUNTS_RUN))


@router.get("/hunts", summary="List searches of history")
def list_hunts(
    caller: Hunter,
    centre: TheCentre,
    kind: Annotated[Kind | None, Query(description="Only of this kind")] = None,
    cursor: paging.Cursor = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> HuntPage:
    """Searches within the caller's scope, newest first, those the centre started by itself among them."""
    scope = caller.scope(Action.HUNTS_RUN)
    with centre.database.session(readonly=True) as session:
        rows = requests.listed(session, scope, kind=kind or "", after=paging.decode_instant(cursor), limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return HuntPage(
        items=[_hunt(row, scope) for row in rows[:limit]], next_cursor=paging.encode_instant(last.asked_at, last.id) if last else ""
    )


@router.get("/hunts/{hunt_id}", summary="Read a search of history")
def get_hunt(hunt_id: HuntId, response: Response, caller: Hunter, centre: TheCentre) -> Hunt:
    """A search, its progress and what it has found so far."""
    scope = caller.scope(Action.HUNTS_RUN)
    with centre.database.session(readonly=True) as session:
        found = _hunt(requests.get(session, scope, hunt_id), scope)
    set_etag(response, found.version)
    return found


@router.delete("/hunts/{hunt_id}", summary="Cancel a search of history", responses=CONDITIONAL)
def cancel(hunt_id: HuntId, caller: Hunter, centre: TheCentre, version: SeenVersion, response: Response) -> Hunt:
    """End a search. What it has found stays."""
    scope = caller.scope(Action.HUNTS_RUN)
    with centre.database.session() as session:
        row = requests.cancel(session, scope, hunt_id, seen=version)
        audit.record(session, caller.actor, "hunt.cancelled", f"hunt/{row.id}", {"slices_done": row.slices_done})
    set_etag(response, row.version)
    return _hunt(row, scope)


@router.get("/hunts/{hunt_id}/detections", summary="Read what a search found", responses={200: {"model": DetectionPage}})
async def detections(
    hunt_id: HuntId,
    caller: Hunter,
    centre: TheCentre,
    rule_id: Annotated[str, Query(max_length=200, description="Only of this rule")] = "",
    cursor: paging.Cursor = "",
    limit: Annotated[int, Query(ge=1, le=results.MOST_PER_PAGE)] = 100,
) -> JSONResponse:
    """Detections with their events, raw lines included: needs `logs:read` too, and shows the agencies it reaches."""
    scope = _both(caller.scope(Action.HUNTS_RUN), caller.scope(Action.LOGS_READ))
    after = paging.decode_instant(cursor)
    row = await asyncio.to_thread(_row, centre, caller, hunt_id)
    page = await results.detections(centre.store, row, scope, rule_id=rule_id, after=_place(after), limit=limit)
    cursor_after = paging.encode_instant(from_millis(page.after[0]), f"{page.after[1]}.{page.after[2]}") if page.after else ""
    return JSONResponse({"items": page.rows, "next_cursor": cursor_after})


@router.get("/hunts/{hunt_id}/hours", summary="Count what a search found by the hour")
async def hours(hunt_id: HuntId, caller: Hunter, centre: TheCentre) -> Hours:
    """The detections a search made, by the hour of their events (`MOST_KEPT` of each rule at most), in the agencies within reach."""
    row = await asyncio.to_thread(_row, centre, caller, hunt_id)
    found = await results.by_hour(centre.store, row, caller.scope(Action.HUNTS_RUN))
    return Hours(items=[Hour(at=at, detections=count) for at, count in found.items()])


def _row(centre: Centre, caller: Principal, hunt_id: str) -> Row:
    with centre.database.session(readonly=True) as session:
        return requests.get(session, caller.scope(Action.HUNTS_RUN), hunt_id)


@router.get("/rules/{rule_id}/first-knowable", summary="Read what history says of a rule")
def first_knowable(rule_id: Annotated[str, Path(max_length=200)], caller: RuleReader, centre: TheCentre) -> FirstKnowable:
    """The earliest match of the newest version of a rule in each agency, and how many there are, in the history that was kept then."""
    scope = caller.scope(Action.RULES_READ)
    with centre.database.session(readonly=True) as session:
        found = requests.newest_version(session, rule_id)
    if found is None:
        raise NotFound("history was not searched for such a rule")
    known, row = found
    agencies = _found(known.found, scope)
    return FirstKnowable(
        rule_id=known.rule_id,
        rule_hash=known.rule_hash,
        hunt_id=row.id,
        state=State(row.state),
        since=row.since,
        until=row.until,
        searched_at=known.found_at,
        problem=row.problems.get(rule_id, row.problem),
        matches=sum(one.matches for one in agencies),
        agencies=agencies,
    )


def _agencies(caller: Principal, wanted: list[str] | None) -> Agencies:
    """The agencies a hunt reaches. Forbidden beyond the caller's scope."""
    scope = caller.scope(Action.HUNTS_RUN)
    if wanted is None:
        return scope
    if not wanted:
        raise Invalid("name at least one agency, or leave agencies out for all within your scope")
    if scope is not None and not set(wanted) <= scope:
        raise Forbidden("this identity does not reach all of these agencies")
    return frozenset(wanted)


def _both(one: Agencies, other: Agencies) -> Agencies:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _place(after: tuple[datetime, str] | None) -> tuple[int, int, int] | None:
    if after is None:
        return None
    offset, _, line = after[1].partition(".")
    if not (offset.isdecimal() and line.isdecimal() and len(offset) < 20 and len(line) < 10):
        raise Invalid("this cursor was not given by us")
    return millis(after[0]), int(offset), int(line)


def _hunt(row: Row, scope: Agencies) -> Hunt:
    return Hunt(
        id=row.id,
        kind=Kind(row.kind),
        state=State(row.state),
        problem=row.problem,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        since=row.since,
        until=row.until,
        agencies=row.agencies,
        rows_total=row.rows_total,
        rows_done=row.rows_done,
        slices_total=len(row.slices or ()),
        slices_done=row.slices_done,
        rules=[_result(row, about, scope) for about in row.rules],
        version=row.version,
    )


def _result(row: Row, about: dict[str, Any], scope: Agencies) -> RuleResult:
    agencies = _found(row.found.get(about["id"], {}), scope)
    matches, kept = sum(one.matches for one in agencies), row.kept.get(about["id"], 0)
    capped = row.kind == Kind.HUNT and kept >= MOST_KEPT and matches > kept
    off_at = [agency for agency in tuned.off_at(about) if scope is None or agency in scope or not agency]
    problem = row.problems.get(about["id"], "")
    told = {name: about[name] for name in ("id", "title", "level", "hash")}
    return RuleResult(**told, matches=matches, kept=kept, capped=capped, problem=problem, off_at=off_at, agencies=agencies)


def _found(found: dict[str, Any], scope: Agencies) -> list[Found]:
    return [
        Found(agency=agency, matches=one["count"], first_event_at=from_millis(one["first"]), first_event_id=one["event"])
        for agency, one in sorted(requests.told(found, scope).items())
    ]
