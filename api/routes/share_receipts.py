"""What was shared with an agency: its receipts, its own signed bundle of each, and its reply."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from pydantic import Field
from sqlalchemy.orm import Session

from api import sharing
from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseFilter, Kind, Number, Wish, add_list, add_read, add_steps
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


class Wanted(CaseFilter):
    """Which receipts to list."""

    agency: str = Field(default="", max_length=63)
    share: str = Field(default="", max_length=40)


@router.get(
    "/{number}/bundle",
    summary="Read what was shared as a signed STIX bundle",
    response_class=Response,
    responses={200: {"content": {STIX_MEDIA: {}}, "description": "A STIX 2.1 bundle"}},
)
def get_bundle(number: Number, caller: Reader, centre: TheCentre) -> Response:
    """What this recipient got, redacted for it and signed; revoked objects say so."""
    with centre.database.session(readonly=True) as session:
        row = records.find(session, RECEIPT, Row, caller.scope(Action.SHARING_READ), number, reader=caller.actor)
        share = records.find(session, SHARE, Share, None, row.share, reader=caller.actor)
        content = service.look(session, share, row.agency, sharing.terms(centre))
    return Response(content, media_type=STIX_MEDIA)


def _take(session: Session, centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    if step.action == "recall":
        return service.recall(session, caller.actor, number, version, sharing.terms(centre), wish.reason)
    done = wish.done if isinstance(wish, ReplyWish) else None
    scope = caller.scope(step.permission)
    return receipts.take(session, scope, caller.actor, number, step.action, version, reason=wish.reason, done=done)


def _shown(row: Row) -> Receipt:
    return Receipt.model_validate(row)


_KIND: Final = Kind(RECEIPT, Row, [Action.SHARING_READ], Receipt)
add_list(
    router,
    _KIND,
    Wanted,
    of="Receipts",
    name="list_receipts",
    summary="List receipts of shares",
    description="What was shared with the agencies of the caller's scope, newest first.",
)
add_read(
    router,
    _KIND,
    ReceiptDetail,
    name="get_receipt",
    summary="Read a receipt of a share",
    description="A receipt with its history and the centre's target for the reply, which is no deadline of the law.",
)
add_steps(router, RECEIPT, _take, _shown, Receipt, wishes={"reply": ReplyWish})
