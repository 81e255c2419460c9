"""The centre's own readiness [ours]: what its rules propose, and the SOC lead's decision. It is no warning."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import paging
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, Number, Progress, Wish, add_steps, progress, set_etag
from api.centre import Centre
from api.checklists import Measure, ProofWish, proof
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.incidents.compartment import veiled
from respond.readiness import policy, service
from respond.readiness.machine import MACHINE, Direction
from respond.readiness.models import Proposal as Row
from respond.readiness.policy import Readiness as Policy

router = APIRouter(prefix="/v1/readiness", tags=["readiness"])

Reader = Annotated[Principal, Depends(Allowed(Action.READINESS_READ))]
NO_WARNING_KO: Final = "관제센터 자체의 준비태세이며, 국가 사이버위기경보가 아닙니다."
NO_WARNING_EN: Final = "The centre's own readiness; it is no national warning."


class Readiness(CaseOut):
    """A proposal to escalate or to stand down, and what came of it. Confirmed, one to escalate is the readiness in force.

    `evidence` is what the rule held by; `about` the readiness a proposal to stand down is about; `asked` who is to answer (empty: every
    SOC lead), `passed_on` how often nobody did.
    """

    direction: Direction
    level: str
    rule: str
    about: str
    evidence: dict[str, Any]
    table_version: str
    measures: list[Measure]
    asked: str
    asked_at: datetime
    passed_on: int
    confirmed_at: datetime | None
    ended_at: datetime | None


class ReadinessDetail(Readiness):
    """A proposal with how it went."""

    progress: Progress


class ReadinessPage(BaseModel):
    """Proposals, newest first. `next_cursor` is empty on the last page."""

    items: list[Readiness]
    next_cursor: str


class InForce(BaseModel):
    """The readiness in force (None: the centre works as usual), the proposals that wait for an answer, and the rules in use."""

    readiness: Readiness | None
    waiting: list[Readiness]
    policy: Policy
    note_ko: str = NO_WARNING_KO
    note_en: str = NO_WARNING_EN


class Wanted(BaseModel):
    """What to list; several states mean any of them."""

    model_config = ConfigDict(extra="forbid")

    state: list[str] = Field(default=[], max_length=16)
    direction: list[Direction] = Field(default=[], max_length=2)
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List proposals of readiness")
def list_readiness(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> ReadinessPage:
    """Every proposal and what came of it, newest first."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.state:
        conditions.append(Row.state.in_(wanted.state))
    if wanted.direction:
        conditions.append(Row.direction.in_([one.value for one in wanted.direction]))
    scope = caller.scope(Action.READINESS_READ)
    with centre.database.session(readonly=True) as session:
        found = records.page(session, Row, scope, *conditions, cursor=wanted.cursor, limit=wanted.limit)
        items = [_read(session, one, caller) for one in found.items]
    return ReadinessPage(items=items, next_cursor=found.next_cursor)


@router.get("/in-force", summary="Read the readiness in force")
def in_force(caller: Reader, centre: TheCentre) -> InForce:
    """What is in force, what waits for an answer, and the rules in use."""
    with centre.database.session(readonly=True) as session:
        present = service.in_force(session)
        shown = _read(session, present, caller) if present else None
        waiting = [_read(session, one, caller) for one in service.waiting(session)]
    return InForce(readiness=shown, waiting=waiting, policy=_policy(centre))


@router.get("/{number}", summary="Read a proposal of readiness")
def get_readiness(number: Number, response: Response, caller: Reader, centre: TheCentre) -> ReadinessDetail:
    """A proposal with its evidence, its measures, its history and the centre's targets."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, MACHINE, Row, caller.scope(Action.READINESS_READ), number)
        told = progress(session, MACHINE, row, caller, centre.clock.now())
        shown = _read(session, row, caller)
    set_etag(response, row.version)
    return ReadinessDetail(**shown.model_dump(), progress=told)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    actor, reason, rules = caller.actor, wish.reason, _policy(centre)
    if isinstance(wish, ProofWish):
        return service.prove(session, actor, number, version, proof(wish))
    if step.action == "confirm":
        return service.confirm(session, actor, rules, number, version, reason)
    if step.action == "pass_on":
        return service.pass_on(session, actor, rules, centre.settings.respond.readiness.on_call, number, version, reason)
    act = {"decline": service.decline, "stand_down": service.stand_down}[step.action]
    return act(session, actor, number, version, reason)


def _policy(centre: Centre) -> Policy:
    return policy.load(centre.settings.respond.readiness)


def _read(session: Session, row: Row, caller: Principal) -> Readiness:
    """A proposal as the caller is shown it: its evidence may name incidents that were restricted since."""
    shown = _shown(row)
    return shown.model_copy(update={"evidence": veiled(session, caller.actor, shown.evidence)})


def _shown(row: Row) -> Readiness:
    return Readiness.model_validate(row, from_attributes=True)


add_steps(router, MACHINE, _take, _shown, Readiness, wishes={"prove": ProofWish})
