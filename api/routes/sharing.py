"""Sharing of threat information (CO 22): drafts, their release, new versions, revocation, and the signed bundle of each recipient."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

from anyio import from_thread
from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy.orm import Session

from api import disclosure, sharing
from api.auth.dependencies import Allowed, TheCentre
from api.cases import IncidentFilter, Kind, Number, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from api.sharing import STIX_MEDIA, EditWish, Peer, Peers, Policy, Receipt, Share, ShareDetail, ShareWish, SupersedeWish
from core.errors import Invalid, NotFound
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.incidents.queries import get_incident
from respond.sharing import peers, prefill, receipts, service
from respond.sharing.content import Content
from respond.sharing.machine import SHARE
from respond.sharing.models import Share as Row
from respond.sharing.policy import Tlp
from respond.sharing.service import Draft

router = APIRouter(prefix="/v1", tags=["sharing"])

Reader = Annotated[Principal, Depends(Allowed(Action.SHARING_READ))]
Drafter = Annotated[Principal, Depends(Allowed(Action.SHARING_WRITE))]
FeedReader = Annotated[Principal, Depends(Allowed(Action.INDICATORS_READ))]


class Wanted(IncidentFilter):
    """Which shares to list."""

    tlp: list[Tlp] = Field(default=[], max_length=5)
    kind: str = Field(default="", max_length=40)
    about: str = Field(default="", max_length=200)


@router.get("/sharing/policy", summary="Read the policy of sharing", dependencies=[Depends(Allowed(Action.SHARING_READ))])
def get_policy(centre: TheCentre) -> Policy:
    """The kinds of threat information of article 22(1), and what each TLP level means here."""
    return sharing.policy_shown(centre)


@router.get("/sharing/peers", summary="List peers that are read")
def list_peers(_caller: FeedReader, centre: TheCentre) -> Peers:
    """How far every collection of every peer was read, and what went wrong the last time."""
    with centre.database.session(readonly=True) as session:
        return Peers(items=[Peer.model_validate(one) for one in peers.states(session)])


@router.post("/shares", status_code=201, summary="Draft a share")
async def draft(wish: ShareWish, response: Response, caller: Drafter, centre: TheCentre) -> Share:
    """Write down what is to be shared. An agency's officer drafts for the own agency; the SOC lead releases."""
    content = wish.content
    if content is None:
        content = await asyncio.to_thread(_prefilled, centre, caller, wish.about)
    sourced = await sharing.with_sources(centre, caller, content)
    wanted = Draft(
        wish.kind,
        wish.tlp,
        sourced,
        agency=sharing.recipient(caller, Action.SHARING_WRITE),
        about=wish.about,
        recipients=tuple(wish.recipients),
        supersedes=wish.supersedes,
    )

    def write() -> Share:
        with centre.database.session() as session:
            return _shown(service.draft(session, caller.scope(Action.SHARING_WRITE), caller.actor, wanted, sharing.terms(centre)))

    made = await asyncio.to_thread(write)
    set_etag(response, made.version)
    return made


@router.get(
    "/shares/{number}/bundle",
    summary="Read a share as a signed STIX bundle",
    response_class=Response,
    responses={200: {"content": {STIX_MEDIA: {}}, "description": "A STIX 2.1 bundle"}},
)
def get_bundle(
    number: Number,
    caller: Reader,
    centre: TheCentre,
    recipient: Annotated[str, Query(max_length=63, description="As this agency gets it; empty: whole")] = "",
) -> Response:
    """What a recipient gets, or would get of a draft. `bongsu share verify` checks it offline. It is no receipt."""
    scope = caller.scope(Action.SHARING_READ)
    with centre.database.session(readonly=True) as session:
        row = records.find(session, SHARE, Row, scope, number, reader=caller.actor)
        terms = sharing.terms(centre)
        if recipient and recipient not in terms.agencies:
            raise NotFound(f"there is no agency {recipient}")
        content = service.look(session, row, recipient, terms)
    return Response(content, media_type=STIX_MEDIA)


def _prefilled(centre: Centre, caller: Principal, about: str) -> Content:
    if not about:
        raise Invalid("say what is to be shared: `content`, or the incident it is `about`")
    with centre.database.session(readonly=True) as session:
        detail = get_incident(session, disclosure.sight(caller, Action.INCIDENTS_READ), about.removeprefix("incident/"))
    if detail.incident.restricted:
        raise Invalid(f"{about} is restricted: nothing of it is shared")
    return prefill.from_incident(detail)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    scope, terms = caller.scope(step.permission), sharing.terms(centre)
    if isinstance(wish, EditWish):
        row = records.find(session, SHARE, Row, scope, number)
        content = from_thread.run(sharing.with_sources, centre, caller, wish.content)
        wanted = Draft(wish.kind, wish.tlp, content, row.agency, row.about, tuple(wish.recipients), row.supersedes)
        return service.edit(session, scope, caller.actor, number, version, wanted, terms)
    by = wish.by if isinstance(wish, SupersedeWish) else ""
    return service.take(session, scope, caller.actor, number, step.action, version, terms, reason=wish.reason, by=by)


def _shown(row: Row) -> Share:
    return Share.model_validate(row)


def _told(session: Session, _centre: Centre, caller: Principal, row: Row, went: Progress) -> ShareDetail:
    sent = [Receipt.model_validate(one) for one in receipts.of_share(session, caller.scope(Action.SHARING_READ), row.number)]
    return ShareDetail(**_shown(row).model_dump(), content=Content.model_validate(row.content), receipts=sent, progress=went)


def _all_shown(_session: Session, _centre: Centre, _caller: Principal, rows: Sequence[Row]) -> list[Share]:
    return [_shown(one) for one in rows]


_KIND: Final = Kind(SHARE, Row, [Action.SHARING_READ], Share, shows=_all_shown)
add_list(
    router,
    _KIND,
    Wanted,
    of="Shares",
    name="list_shares",
    summary="List shares",
    description="Shares of the own agency, or all for whoever sees the whole city, newest first.",
    path="/shares",
)
add_read(
    router,
    _KIND,
    ShareDetail,
    _told,
    name="get_share",
    summary="Read a share",
    description="A share with what it holds, its receipts, its history and the steps the caller may take.",
    path="/shares/{number}",
)
add_steps(router, SHARE, _take, _shown, Share, wishes={"edit": EditWish, "supersede": SupersedeWish}, path="/shares/{number}")
