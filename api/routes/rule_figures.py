"""What is told of rules beside themselves: how often they fire, what they say and become, and how they changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from api import disclosure, paging
from api.auth.dependencies import Allowed, TheCentre
from api.centre import Centre
from core.clock import KST, from_millis, millis
from core.errors import NotFound
from core.permissions import Action, Agencies, Principal
from core.rule_records import EVERY_AGENCY, RuleText
from core.storage import rule_queries
from detect import drafts, published
from detect.drafts import Becomes
from respond import feedback
from respond.models import Audit

router = APIRouter(prefix="/v1", tags=["rules"])

Reader = Annotated[Principal, Depends(Allowed(Action.RULES_READ))]
RuleId = Annotated[str, Path(max_length=128, examples=["0d894093-71bc-43c3-8c4d-ecfc28dcf5d9"])]
_LOOKED_BACK: Final = timedelta(days=30)
_MOST_CHANGES: Final = 200
_TUNED: Final = ("rule.tuned", "rule.tuning_dropped")


class RuleFigures(BaseModel):
    """How a rule does: detections of the last 24 hours and 7 days, the newest of 30, and what became of its incidents of 30 days.

    `precision` is the share of true ones of those judged, null while none was.
    """

    rule_id: str
    day: int
    week: int
    last_at: datetime | None
    incidents: int
    true_positives: int
    false_positives: int
    precision: float | None


class Figures(BaseModel):
    """Every rule that fired or opened an incident in the last 30 days, by id; the others did neither."""

    at: datetime
    items: list[RuleFigures]


class Day(BaseModel):
    """A day of Seoul (the moment it begins) and how often a rule fired in it."""

    at: datetime
    detections: int


class HitsByDay(BaseModel):
    """Detections by day, oldest first; days without any are there too."""

    items: list[Day]


class RuleIncident(BaseModel):
    """An incident a rule has detections in."""

    model_config = ConfigDict(from_attributes=True)

    number: str
    title: str
    severity: str
    state: str
    agency: str
    exercise: bool
    opened_at: datetime


class RuleIncidents(BaseModel):
    """The incidents of a rule, newest first. `next_cursor` is empty on the last page."""

    items: list[RuleIncident]
    next_cursor: str


class RuleSource(BaseModel):
    """What a rule in force says, and what it becomes over the columns of our events (`condition`, '' for a correlation).

    `yaml` is its document with nothing but what counts: without comments. `filters` are laid over it.
    """

    model_config = ConfigDict(from_attributes=True)

    rule_id: str
    hash: str
    yaml: str
    filters: list[str]
    condition: str
    classes: list[str]
    columns: list[str]
    looked_for: list[str]
    unknown: list[str]
    members: list[str]


class RuleChange(BaseModel):
    """One change of a rule. `kind`: version (it said something else from then on; `data` has its `hash` and `yaml`), rule.tuned or
    rule.tuning_dropped (at `agency`, '' every one; `data` has what was before and after).
    """

    at: datetime
    kind: str
    actor: str
    agency: str
    reason: str
    data: dict[str, Any]


class RuleHistory(BaseModel):
    """How a rule changed, newest first, at most 200 changes."""

    items: list[RuleChange]


class ParserName(BaseModel):
    """A parser of this installation and what it reads."""

    name: str
    vendor: str
    product: str


class Parsers(BaseModel):
    """The parsers, by name."""

    items: list[ParserName]


@router.get("/rules/figures", summary="Read how often each rule fires and is right")
async def figures(caller: Reader, centre: TheCentre) -> Figures:
    """Detections and incidents of each rule within the caller's scope; drills and what hunts found do not count."""
    scope, until = caller.scope(Action.RULES_READ), centre.clock.now()
    since = until - _LOOKED_BACK
    fired = {one.rule_id: one for one in await rule_queries.hits(centre.store, since, from_millis(millis(until) + 1), scope)}
    judged = await asyncio.to_thread(_judged, centre, scope, since)
    return Figures(at=until, items=[_figures(rule_id, fired.get(rule_id), judged.get(rule_id)) for rule_id in sorted({*fired, *judged})])


@router.get("/rules/{rule_id}/hits", summary="Read how often a rule fired, by day")
async def hits(
    rule_id: RuleId, caller: Reader, centre: TheCentre, days: Annotated[int, Query(ge=1, le=366, description="How far back")] = 30
) -> HitsByDay:
    """Detections of the last days within the caller's scope, today included; drills and what hunts found do not count."""
    until = centre.clock.now()
    midnight = until.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)
    since = midnight - timedelta(days=days - 1)
    scope = caller.scope(Action.RULES_READ)
    found = await rule_queries.hits_by_day(centre.store, rule_id, since, from_millis(millis(until) + 1), scope)
    begins = [(since + timedelta(days=number)).astimezone(UTC) for number in range(days)]
    return HitsByDay(items=[Day(at=at, detections=found.get(at, 0)) for at in begins])


@router.get("/rules/{rule_id}/incidents", summary="List the incidents a rule opened last")
def incidents(
    rule_id: RuleId,
    caller: Annotated[Principal, Depends(Allowed(Action.INCIDENTS_READ))],
    centre: TheCentre,
    cursor: paging.RowCursor = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> RuleIncidents:
    """Incidents within the caller's sight that hold a detection of the rule; restricted ones are not among them."""
    before = int(cursor) if cursor else None
    with centre.database.session(readonly=True) as session:
        found = feedback.recent(session, disclosure.common_sight(caller), rule_id, limit + 1, before=before)
        following = str(found[limit - 1].id) if len(found) > limit else ""
        return RuleIncidents(items=[RuleIncident.model_validate(one) for one in found[:limit]], next_cursor=following)


@router.get("/rules/{rule_id}/source", summary="Read what a rule says and becomes")
def source(rule_id: RuleId, caller: Reader, centre: TheCentre) -> RuleSource:  # noqa: ARG001 - whoever reads rules reads all of them
    """The document of a rule in force and of the filters over it, and its compiled expression."""
    with centre.database.session(readonly=True) as session:
        found = published.in_force(session)
        state = published.rule(session, found.process.name, rule_id) if found else None
        said = session.get(RuleText, (rule_id, state.hash)) if state else None
    if state is None or said is None:
        raise NotFound(f"no rule {rule_id} runs; GET /v1/rules tells which are set aside")
    first, *filters = (_written(one) for one in said.sources)
    checked = centre.bench.check(first, centre.rules.current())
    becomes = next((one for one in checked.rules if one.rule_id == rule_id), None) or _nothing(state)
    told = {name: list(getattr(becomes, name)) for name in ("classes", "columns", "looked_for", "unknown", "members")}
    return RuleSource(rule_id=rule_id, hash=state.hash, yaml=first, filters=filters, condition=becomes.condition, **told)


@router.get("/rules/{rule_id}/history", summary="Read how a rule changed")
def history(rule_id: RuleId, caller: Reader, centre: TheCentre) -> RuleHistory:
    """Each version that ever ran, and each change of it at agencies within the caller's scope; newest first."""
    scope = caller.scope(Action.RULES_READ)
    with centre.database.session(readonly=True) as session:
        found = [*_versions(session, rule_id), *_tunings(session, rule_id, scope)]
    return RuleHistory(items=sorted(found, key=lambda one: one.at, reverse=True)[:_MOST_CHANGES])


@router.get("/parsers", summary="List the parsers")
def parsers(
    caller: Annotated[Principal, Depends(Allowed(Action.RULES_READ, Action.COUNTERS_READ))],  # noqa: ARG001 - it only must be allowed
    centre: TheCentre,
) -> Parsers:
    """What this installation can read; their names may be given where lines are tried."""
    found = sorted(centre.bench.parsers.parsers, key=lambda one: one.name)
    return Parsers(items=[ParserName(name=one.name, vendor=one.vendor or "", product=one.product or "") for one in found])


def _judged(centre: Centre, scope: Agencies, since: datetime) -> dict[str, feedback.Figures]:
    with centre.database.session(readonly=True) as session:
        return feedback.of_every_rule(session, scope, since)


def _figures(rule_id: str, fired: rule_queries.Hits | None, judged: feedback.Figures | None) -> RuleFigures:
    return RuleFigures(
        rule_id=rule_id,
        day=fired.day if fired else 0,
        week=fired.week if fired else 0,
        last_at=fired.last_at if fired else None,
        incidents=judged.incidents if judged else 0,
        true_positives=judged.true_positives if judged else 0,
        false_positives=judged.false_positives if judged else 0,
        precision=judged.precision if judged else None,
    )


def _written(document: str) -> str:
    return drafts.written(json.loads(document))


def _nothing(state: published.State) -> Becomes:
    """What is told of a rule the files of this process do not have any more."""
    return Becomes(state.rule_id, state.title, state.level, state.kind, (), 1, "")


def _versions(session: Session, rule_id: str) -> Iterator[RuleChange]:
    query = sa.select(RuleText).where(RuleText.rule_id == rule_id).order_by(RuleText.first_run_at.desc()).limit(_MOST_CHANGES)
    for row in session.scalars(query):
        data = {"hash": row.hash, "yaml": _written(row.sources[0])}
        yield RuleChange(at=row.first_run_at, kind="version", actor="", agency="", reason="", data=data)


def _tunings(session: Session, rule_id: str, scope: Agencies) -> Iterator[RuleChange]:
    query = sa.select(Audit).where(Audit.object == f"rule/{rule_id}", Audit.action.in_(_TUNED))
    if scope is not None:
        query = query.where(Audit.agency.in_(scope | {EVERY_AGENCY}))
    for row in session.scalars(query.order_by(Audit.seq.desc()).limit(_MOST_CHANGES)):
        detail = json.loads(row.detail)
        data = {name: detail[name] for name in ("before", "after", "owner") if name in detail}
        told = {"agency": str(detail.get("agency", "")), "reason": str(detail.get("reason", ""))}
        yield RuleChange(at=row.at, kind=row.action, actor=row.actor, data=data, **told)
