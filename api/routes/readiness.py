"""The centre's own readiness [ours]: what its rules propose, and the SOC lead's decision. It is no warning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseFilter, CaseOut, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.checklists import Measure, ProofWish, proof
from core.permissions import Action, Principal
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


class InForce(BaseModel):
    """The readiness in force (None: the centre works as usual), the proposals that wait for an answer, and the rules in use."""

    readiness: Readiness | None
    waiting: list[Readiness]
    policy: Policy
    note_ko: str = NO_WARNING_KO
    note_en: str = NO_WARNING_EN


class Wanted(CaseFilter):
    """Which proposals to list."""

    direction: list[Direction] = Field(default=[], max_length=2)


@router.get("/in-force", summary="Read the readiness in force")
def in_force(caller: Reader, centre: TheCentre) -> InForce:
    """What is in force, what waits for an answer, and the rules in use."""
    with centre.database.session(readonly=True) as session:
        present = service.in_force(session)
        shown = _read(session, present, caller) if present else None
        waiting = [_read(session, one, caller) for one in service.waiting(session)]
    return InForce(readiness=shown, waiting=waiting, policy=_policy(centre))


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


def _all_shown(session: Session, _centre: Centre, caller: Principal, rows: Sequence[Row]) -> list[Readiness]:
    return [_read(session, one, caller) for one in rows]


_KIND: Final = Kind(MACHINE, Row, [Action.READINESS_READ], Readiness, shows=_all_shown)
add_list(
    router,
    _KIND,
    Wanted,
    of="Proposals",
    name="list_readiness",
    summary="List proposals of readiness",
    description="Every proposal and what came of it, newest first.",
)
add_read(
    router,
    _KIND,
    ReadinessDetail,
    name="get_readiness",
    summary="Read a proposal of readiness",
    description="A proposal with its evidence, its measures, its history and the centre's targets.",
)
add_steps(router, MACHINE, _take, _shown, Readiness, wishes={"prove": ProofWish})
