"""Personal-information cases (article 19(4)): opening, reading as far as the caller may, the steps of a case and of its tracks, letters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api import disclosure, paging
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, Happened, Kind, Number, Progress, Take, Wish, add_list, add_read, add_steps, progress
from api.centre import Centre
from api.etags import set_etag
from api.personal import (
    AcceptWish,
    AtWish,
    AwareWish,
    DetermineWish,
    EvidenceWish,
    ExplainWish,
    FactsWish,
    FileWish,
    FindingsWish,
    InLieuWish,
    LetterOut,
    LetterText,
    LetterWish,
    Opened,
    PersonalCase,
    PersonalDetail,
    PersonalRedacted,
    PersonalStatus,
    PersonalTrackOut,
    PostWish,
    SendWish,
    SupportOut,
    SupportWish,
    TrackDetail,
    TrackStatus,
    Wanted,
)
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.personal import letters, service, tracks
from respond.personal.disclosure import READING, WRITING, View, proofs, scope, text, view
from respond.personal.evaluation import tracks_of
from respond.personal.facts import Facts, Findings, Words
from respond.personal.letters import LetterKind
from respond.personal.machine import CASE, TRACKS
from respond.personal.models import PersonalCase as CaseRow
from respond.personal.models import PersonalLetter, PersonalTrack
from respond.personal.packs import Pack, Track
from respond.personal.rules import Determination
from respond.personal.service import Opening

router = APIRouter(prefix="/v1/personal-cases", tags=["personal information"])

Reader = Annotated[Principal, Depends(Allowed(*READING))]
Writer = Annotated[Principal, Depends(Allowed(*WRITING))]
FullReader = Annotated[Principal, Depends(Allowed(Action.PERSONAL_READ))]


class Packs(BaseModel):
    """Every rule pack, the earliest first."""

    items: list[Pack]


# ---- reading ----


@router.get("/packs", summary="The rule packs in force")
def list_packs(_caller: Reader, centre: TheCentre) -> Packs:
    """Every rule pack with its rules, articles and markings, the earliest first."""
    return Packs(items=list(centre.packs.packs))


@router.post("", status_code=201, summary="Open a personal-information case")
def open_case(opened: Opened, response: Response, caller: Writer, centre: TheCentre) -> PersonalCase:
    """Write a suspicion down."""
    with centre.database.session() as session:
        row = service.open_case(session, scope(caller, WRITING), caller.actor, _controllers(centre), Opening(**opened.model_dump()))
        made = _shown(row)
    set_etag(response, made.version)
    return made


@router.get("/{number}/letters/{kind}/{version}", summary="Read a letter")
def get_letter(number: Number, kind: LetterKind, version: paging.RowNumber, caller: FullReader, centre: TheCentre) -> LetterText:
    """One version of a letter, in Korean and English."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, CASE, CaseRow, caller.scope(Action.PERSONAL_READ), number, reader=caller.actor)
        letter = LetterText.model_validate(letters.find(session, number, kind, version))
    disclosure.note_cases(centre.database, caller, CASE, [row], f"letter {kind}/{version}", personal=lambda _: True)
    return letter


@router.get(
    "/{number}/support/{entry}/package",
    summary="Fetch an evidence package",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "The zip as it was given"}},
)
def get_package(number: Number, entry: paging.RowNumber, caller: FullReader, centre: TheCentre) -> Response:
    """The zip as it was given. Who fetches it is recorded in the audit trail."""
    with centre.database.session() as session:
        row = records.find(session, CASE, CaseRow, caller.scope(Action.PERSONAL_READ), number, reader=caller.actor)
        content, sha256 = service.read_package(session, caller.actor, row, entry)
    names = {"Content-Disposition": f'attachment; filename="{number}-{entry}.zip"', "X-Content-SHA256": sha256}
    return Response(content, media_type="application/zip", headers=names)


def _common(row: CaseRow) -> dict[str, Any]:
    facts = Facts.model_validate(row.facts)
    names = (*CaseOut.model_fields, "about", "possible_at", "aware_at", "pack")
    known = {"determination": Determination.model_validate(row.determination), "missing": list(facts.missing())}
    return {name: getattr(row, name) for name in names} | known


def _shown(row: CaseRow) -> PersonalCase:
    return PersonalCase(
        **_common(row), title=row.title, facts=Facts.model_validate(row.facts), findings=Findings.model_validate(row.findings)
    )


def _statuses(session: Session, _centre: Centre, _caller: Principal, rows: Sequence[CaseRow]) -> list[PersonalStatus]:
    found = session.scalars(
        sa.select(PersonalTrack).where(PersonalTrack.case_number.in_([row.number for row in rows])).order_by(PersonalTrack.id)
    ).all()
    shown: dict[str, list[TrackStatus]] = {row.number: [] for row in rows}
    for one in found:
        shown[one.case_number].append(TrackStatus(track=one.track, state=one.state, finding=one.finding, version=one.version))
    return [PersonalStatus(**{name: getattr(row, name) for name in CaseOut.model_fields}, tracks=shown[row.number]) for row in rows]


def _told(
    session: Session, centre: Centre, caller: Principal, row: CaseRow, went: Progress
) -> PersonalDetail | PersonalRedacted | PersonalStatus:
    shown = view(caller, row.agency) or View.STATUS
    if shown is View.STATUS:
        return _statuses(session, centre, caller, [row])[0]
    written = session.scalars(sa.select(PersonalLetter).where(PersonalLetter.case_number == row.number).order_by(PersonalLetter.id)).all()
    at = centre.clock.now()
    parts: dict[str, Any] = {
        "tracks": [_track_detail(session, one, caller, at, shown) for one in tracks_of(session, row.number).values()],
        "letters": [LetterOut.model_validate(one) for one in written],
        "progress": _went(went, shown),
    }
    if shown is not View.FULL:
        return PersonalRedacted(**_common(row), **parts)
    support = [SupportOut.model_validate(one) for one in service.support_log(session, row.number)]
    return PersonalDetail(**_shown(row).model_dump(), **parts, support=support)


def _track_detail(session: Session, row: PersonalTrack, caller: Principal, at: datetime, shown: View) -> TrackDetail:
    told = _went(progress(session, TRACKS[Track(row.track)], row, caller, at), shown)
    return TrackDetail(**_track(row, shown).model_dump(), progress=told)


def _went(told: Progress, shown: View) -> Progress:
    history = [Happened(**{**one.model_dump(), "reason": text(one.reason, shown)}) for one in told.history]
    return Progress(history=history, clocks=told.clocks, steps=told.steps)


def _track(row: PersonalTrack, shown: View = View.FULL) -> PersonalTrackOut:
    names = (*CaseOut.model_fields, "track", "finding", "rules", "why")
    return PersonalTrackOut(**{name: getattr(row, name) for name in names}, given=proofs(row.given, shown))


def _controllers(centre: Centre) -> dict[str, Words]:
    return {one.id: Words(ko=one.name_ko, en=one.name_en) for one in centre.settings.agencies}


# ---- steps ----

_WISHES: Final[dict[str, type[Wish]]] = {
    "describe": FactsWish,
    "correct": FactsWish,
    "add_findings": FindingsWish,
    "log_support": SupportWish,
    "give_evidence": EvidenceWish,
    "find_possible": AwareWish,
    "verify": DetermineWish,
    "determine": DetermineWish,
    "write_letter": LetterWish,
}
_TRACK_WISHES: Final[dict[Track, dict[str, type[Wish]]]] = {
    Track.CONTAINMENT: {},
    Track.NOTICE: {
        "send_first": SendWish,
        "supplement": SendWish,
        "post_in_lieu": InLieuWish,
        "explain": ExplainWish,
        "take_down": AtWish,
    },
    Track.POSTING: {"post": PostWish, "take_down": AtWish},
    Track.REPORT: {"file": FileWish, "supplement": FileWish, "accept": AcceptWish},
    Track.POSSIBLE_NOTICE: {"send": SendWish, "retract": SendWish},
}


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> CaseRow:
    given: dict[str, Any] = {name: getattr(wish, name) for name in type(wish).model_fields if name != "reason"}
    if isinstance(wish, DetermineWish):
        given["determination"] = wish.determination.model_dump(exclude_unset=True)
    if isinstance(wish, LetterWish):
        given["controllers"] = _controllers(centre)
    allowed = caller.scope(step.permission)
    return service.take(session, allowed, caller.actor, centre.packs, number, step.action, version, reason=wish.reason, given=given)


def _taker(track: Track) -> Take[PersonalTrack]:
    def take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> PersonalTrack:
        given = {name: getattr(wish, name) for name in type(wish).model_fields if name != "reason"}
        allowed = caller.scope(step.permission)
        return tracks.take(
            session, allowed, caller.actor, centre.packs, number, track, step.action, version, reason=wish.reason, given=given
        )

    return take


def _sees(caller: Principal) -> list[sa.ColumnElement[bool]]:
    return [records.within(CaseRow, scope(caller))]


def _personal(caller: Principal, row: CaseRow, listed: bool) -> str:
    return "" if listed else (view(caller, row.agency) or View.STATUS).name.lower()


_KIND: Final = Kind(CASE, CaseRow, READING, PersonalStatus, _sees, _statuses, _personal, tuple(TRACKS.values()))
add_list(
    router,
    _KIND,
    Wanted,
    of="Cases",
    name="list_cases",
    summary="List personal-information cases",
    description="Cases within the caller's scope with their states, newest first.",
)
add_read(
    router,
    _KIND,
    PersonalDetail | PersonalRedacted | PersonalStatus,
    _told,
    name="get_case",
    summary="Read a personal-information case",
    description="The case as far as the caller may see it: in full, redacted or its status. The ETag is to be sent as If-Match with a "
    "step. Who reads it is written to the audit trail, once an hour.",
)
add_steps(router, CASE, _take, _shown, PersonalCase, wishes=_WISHES)
for _of, _machine in TRACKS.items():
    add_steps(router, _machine, _taker(_of), _track, PersonalTrackOut, wishes=_TRACK_WISHES[_of], path=f"/{{number}}/tracks/{_of}")
