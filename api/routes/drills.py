"""Drills (articles 17(2)5 and 21): planning, notice and receipts, every step of their machine, and the after-action report."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api import drill_shapes as shapes
from api.auth.dependencies import Allowed, TheCentre
from api.cases import Kind, Number, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.drill_shapes import Drill, DrillDetail, DrillParty, ScenarioList, ScenarioOut, Score
from api.etags import set_etag
from core.errors import Conflict, Invalid
from core.permissions import Action, Agencies, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.drills import after_action, scenario, scoring, service
from respond.drills.machine import MACHINE
from respond.drills.models import Drill as Row
from respond.drills.service import Plan

router = APIRouter(prefix="/v1/drills", tags=["drills"])

Reader = Annotated[Principal, Depends(Allowed(Action.DRILLS_READ))]
Writer = Annotated[Principal, Depends(Allowed(Action.DRILLS_WRITE))]


class Form(StrEnum):
    """Forms of the after-action report."""

    JSON = "json"
    PDF = "pdf"


class Language(StrEnum):
    """Languages of a PDF."""

    KO = "ko"
    EN = "en"


@router.post("", status_code=201, summary="Plan a drill")
def plan(asked: shapes.Planned, response: Response, caller: Writer, centre: TheCentre) -> Drill:
    """Plan a drill of a scenario at some agencies. Nothing is sent before it is started."""
    known = scenario.library(centre.settings.respond.drills.scenarios_folder)
    if asked.scenario not in known:
        raise Invalid(f"there is no scenario {asked.scenario!r}: there are {', '.join(sorted(known))}")
    wanted = Plan(known[asked.scenario], tuple(asked.agencies), asked.title, asked.joint, asked.planned_for)
    agencies = {agency.id for agency in centre.settings.agencies}
    with centre.database.session() as session:
        made = _shown(service.plan(session, caller.scope(Action.DRILLS_WRITE), caller.actor, agencies, wanted))
    set_etag(response, made.version)
    return made


@router.get("/scenarios", summary="List scenarios")
def list_scenarios(_caller: Reader, centre: TheCentre) -> ScenarioList:
    """What can be trained: the scope of training that article 21(5) leaves to the city's own rules [ours]."""
    found = scenario.library(centre.settings.respond.drills.scenarios_folder).values()
    return ScenarioList(items=[_of_scenario(one) for one in sorted(found, key=lambda one: one.id)])


@router.get(
    "/{number}/report",
    summary="Read the after-action report of a drill",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "application/pdf": {}}}, 409: {"description": "It is not scored yet"}},
)
def get_report(
    number: Number,
    caller: Reader,
    centre: TheCentre,
    form: Annotated[Form, Query(alias="format")] = Form.JSON,
    language: Annotated[Language, Query(description="Of a PDF")] = Language.KO,
) -> Response:
    """What was trained and how it went, of the agencies within the caller's scope. The same score gives the same bytes."""
    scope = caller.scope(Action.DRILLS_READ)
    names = {one.id: (one.name_ko, one.name_en) for one in centre.settings.agencies}
    with centre.database.session(readonly=True) as session:
        row = records.find(session, MACHINE, Row, None, number, service.readable(scope))
        if not row.score:
            raise Conflict(f"{number} is not scored yet")
        document = after_action.document(row, scope, names, service.why_without_notice(session, number))
    name = f"bongsu-{number}"
    if form is Form.JSON:
        headers = {"Content-Disposition": f'attachment; filename="{name}.json"'}
        return Response(after_action.as_json(document), media_type="application/json", headers=headers)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{language}.pdf"'}
    return Response(after_action.as_pdf(document, language.value), media_type="application/pdf", headers=headers)


def _score(session: Session, centre: Centre, row: Row, scope: Agencies) -> Score | None:
    """The frozen score, or as it stands while the drill runs, of the agencies in scope."""
    told: dict[str, Any] = row.score
    if not told:
        if row.started_at is None:
            return None
        parties, known = service.parties_of(session, row.number), scoring.facts(session, row.number)
        told = scoring.score(row, service.scenario_of(row), parties, known, centre.clock.now())
    return Score.model_validate(scoring.limited(told, scope))


def _take(session: Session, _centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    actor, scope = caller.actor, caller.scope(step.permission)
    match wish:
        case shapes.NoticeWish():
            return service.give_notice(session, actor, number, version, wish.text)
        case shapes.AcknowledgeWish():
            return service.acknowledge(session, scope, actor, number, version, wish.agency)
        case shapes.CorrectionWish():
            asked = {one.agency: one.items for one in wish.requests}
            return service.ask_correction(session, scope, actor, number, version, asked)
        case shapes.CloseWish():
            return service.close(session, scope, actor, number, version, wish.findings)
    match step.action:
        case "waive_notice":
            return service.waive_notice(session, actor, number, version, wish.reason)
        case "start":
            return service.start(session, scope, actor, number, version)
        case "stop":
            return service.stop(session, scope, actor, number, version, wish.reason)
        case "score":
            return service.score(session, scope, actor, number, version)
        case _:
            return service.cancel(session, scope, actor, number, version, wish.reason)


def _shown(row: Row) -> Drill:
    return Drill.model_validate(row)


def _of_scenario(one: scenario.Scenario) -> ScenarioOut:
    told = one.model_dump(include={"id", "version", "title_ko", "title_en", "about_ko", "about_en"})
    return ScenarioOut(**told, seconds=one.seconds, roles=[role.name for role in one.roles], lines=[role.count for role in one.roles])


def _told(session: Session, centre: Centre, caller: Principal, row: Row, went: Progress) -> DrillDetail:
    scope = caller.scope(Action.DRILLS_READ)
    parties = [DrillParty.model_validate(one) for one in service.parties_of(session, row.number, scope)]
    return DrillDetail(**_shown(row).model_dump(), parties=parties, score=_score(session, centre, row, scope), progress=went)


def _sees(caller: Principal) -> list[sa.ColumnElement[bool]]:
    return [service.readable(caller.scope(Action.DRILLS_READ))]


def _all_shown(_session: Session, _centre: Centre, _caller: Principal, rows: Sequence[Row]) -> list[Drill]:
    return [_shown(one) for one in rows]


_KIND: Final = Kind(MACHINE, Row, [Action.DRILLS_READ], Drill, _sees, _all_shown)
add_list(
    router,
    _KIND,
    shapes.Wanted,
    of="Drills",
    name="list_drills",
    summary="List drills",
    description="Drills within the caller's scope, newest first; an agency sees its own and those it takes part in.",
)
add_read(
    router,
    _KIND,
    DrillDetail,
    _told,
    name="get_drill",
    summary="Read a drill",
    description="A drill with its agencies, the score so far, its history and the steps the caller may take.",
)
add_steps(
    router,
    MACHINE,
    _take,
    _shown,
    Drill,
    wishes={
        "give_notice": shapes.NoticeWish,
        "acknowledge": shapes.AcknowledgeWish,
        "ask_correction": shapes.CorrectionWish,
        "close": shapes.CloseWish,
    },
)
