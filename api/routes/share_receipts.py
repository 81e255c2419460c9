"""What was shared with an agency: its receipts, its own signed bundle of each, and its reply."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api import paging, sharing
from api.auth.dependencies import Allowed, TheCentre
from api.cases import Number, Wish, add_steps, progress, set_etag
from api.centre import Centre
from api.sharing import STIX_MEDIA, Receipt, ReceiptDetail, ReplyWish
from core.permissions import Action, Principal
from respond.cases import records
from respond.cases.machine import Step
from respond.sharing import receipts, service
from respond.sharing.machine import RECEIPT, SHARE
from respond.sharing.models import Receipt as Row
from respond.sharing.models import Share

router = APIRouter(prefix="/v1/share-receipts", tags=["sharing"])

Reader = Annotated[Principal, Depends(Allowed(Action.SHARING_READ))]


class ReceiptPage(BaseModel):
    """Receipts, newest first. `next_cursor` is empty on the last page."""

    items: list[Receipt]
    next_cursor: str


class Wanted(BaseModel):
    """What to list; several states mean any of them."""

    model_config = ConfigDict(extra="forbid")

    state: list[str] = Field(default=[], max_length=16)
    agency: str = Field(default="", max_length=63)
    share: str = Field(default="", max_length=40)
    cursor: paging.Cursor = ""
    limit: int = Field(default=50, ge=1, le=500)


@router.get("", summary="List receipts of shares")
def list_receipts(wanted: Annotated[Wanted, Query()], caller: Reader, centre: TheCentre) -> ReceiptPage:
    """What was shared with the agencies of the caller's scope, newest first."""
    conditions = [_open_to(caller)]
    if wanted.state:
        conditions.append(Row.state.in_(wanted.state))
    if wanted.agency:
        conditions.append(Row.agency == wanted.agency)
    if wanted.share:
        conditions.append(Row.share == wanted.share)
    with centre.database.session(readonly=True) as session:
        scope = caller.scope(Action.SHARING_READ)
        found = records.page(session, Row, scope, *conditions, cursor=wanted.cursor, limit=wanted.limit)
    return ReceiptPage(items=[_shown(one) for one in found.items], next_cursor=found.next_cursor)


@router.get("/{number}", summary="Read a receipt of a share")
def get_receipt(number: Number, response: Response, caller: Reader, centre: TheCentre) -> ReceiptDetail:
    """A receipt with its history and the centre's target for the reply, which is no deadline of the law."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, RECEIPT, Row, caller.scope(Action.SHARING_READ), number, _open_to(caller))
        told = progress(session, RECEIPT, row, caller, centre.clock.now())
    set_etag(response, row.version)
    return ReceiptDetail(**_shown(row).model_dump(), progress=told)


@router.get(
    "/{number}/bundle",
    summary="Read what was shared as a signed STIX bundle",
    response_class=Response,
    responses={200: {"content": {STIX_MEDIA: {}}, "description": "A STIX 2.1 bundle"}},
)
def get_bundle(number: Number, caller: Reader, centre: TheCentre) -> Response:
    """What this recipient got, redacted for it and signed; revoked objects say so."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, RECEIPT, Row, caller.scope(Action.SHARING_READ), number, _open_to(caller))
        share = records.find(session, SHARE, Share, None, row.share)
        content = service.look(session, share, row.agency, sharing.terms(centre))
    return Response(content, media_type=STIX_MEDIA)


def _open_to(caller: Principal) -> sa.ColumnElement[bool]:
    return Row.share.not_in(sa.select(Share.number).where(sa.not_(service.unrestricted(caller.actor))))


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    if step.action == "recall":
        return service.recall(session, caller.actor, number, version, sharing.terms(centre), wish.reason)
    done = wish.done if isinstance(wish, ReplyWish) else None
    scope = caller.scope(step.permission)
    return receipts.take(session, scope, caller.actor, number, step.action, version, reason=wish.reason, done=done)


def _shown(row: Row) -> Receipt:
    return Receipt.model_validate(row)


add_steps(router, RECEIPT, _take, _shown, Receipt, wishes={"reply": ReplyWish})
