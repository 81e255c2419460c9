"""Blocks: proposing, approving, undoing, and the signed list that firewalls pull."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.auth.dependencies import Allowed, TheCentre
from api.cases import CaseOut, IncidentFilter, Kind, Progress, Wish, add_list, add_read, add_steps
from api.centre import Centre
from api.etags import set_etag
from core.errors import NotFound
from core.instants import Instant
from core.permissions import Action, Principal
from core.signing import load_signer
from respond.blocks import service
from respond.blocks.machine import MACHINE
from respond.blocks.models import Block as Row
from respond.blocks.service import Proposal
from respond.cases.machine import Step

router = APIRouter(prefix="/v1/blocks", tags=["blocks"])

Reader = Annotated[Principal, Depends(Allowed(Action.BLOCKS_READ))]
Proposer = Annotated[Principal, Depends(Allowed(Action.BLOCKS_PROPOSE))]
_EXAMPLE: Final[dict[str, Any]] = {
    "kind": "ip",
    "value": "192.0.2.7",
    "agency": "",
    "about": "incident/INC-2026-000001",
    "why": "Guesses passwords at seven agencies",
    "expires_at": "2026-01-09T00:00:00Z",
}


class Proposed(BaseModel):
    """What is to be blocked, where, why and until when. `agency` empty: by every agency."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    kind: Literal["ip", "domain"]
    value: str = Field(min_length=1, max_length=255, description="An address, a network (not wider than /16, IPv6 /32) or a domain")
    agency: str = Field(default="", max_length=63)
    about: str = Field(default="", max_length=200, description="The case it came from")
    why: str = Field(min_length=1, max_length=4000)
    expires_at: Instant
    exercise: bool = False


class ExtendWish(Wish):
    """Until when it is blocked."""

    expires_at: Instant | None = None


class Block(CaseOut):
    """A block. It is on the list while it is approved and has not expired."""

    kind: str
    value: str
    about: str
    why: str
    expires_at: datetime
    approved_by: str


class BlockDetail(Block):
    """A block with how it went."""

    progress: Progress


class Wanted(IncidentFilter):
    """Which blocks to list."""

    agency: str = Field(default="", max_length=63)
    value: str = Field(default="", max_length=255)
    about: str = Field(default="", max_length=200)


@router.post("", status_code=201, summary="Propose a block")
def propose(proposed: Proposed, response: Response, caller: Proposer, centre: TheCentre) -> Block:
    """Ask for something to be blocked. Nothing is blocked before another person approves it."""
    wanted = Proposal(**proposed.model_dump())
    if wanted.agency and wanted.agency not in {one.id for one in centre.settings.agencies}:
        raise NotFound(f"there is no agency {wanted.agency}")
    with centre.database.session() as session:
        scope = caller.scope(Action.BLOCKS_PROPOSE)
        made = Block.model_validate(service.propose(session, scope, caller.actor, wanted, service.never_blocked(centre.settings)))
    set_etag(response, made.version)
    return made


@router.get(
    "/list/{agency}",
    summary="Pull an agency's block list",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "One entry a line"}, 304: {"description": "Nothing changed"}},
)
def pull(
    agency: Annotated[str, Path(max_length=63)],
    caller: Reader,
    centre: TheCentre,
    if_none_match: Annotated[str, Header(description="The ETag of the list as you have it")] = "",
) -> Response:
    """What the agency's firewalls are to block now. `X-Bongsu-Signature` is the centre's Ed25519 signature over it (docs/blocks.md)."""
    scope = caller.scope(Action.BLOCKS_READ)
    if agency not in {one.id for one in centre.settings.agencies} or (scope is not None and agency not in scope):
        raise NotFound(f"there is no agency {agency}")
    with centre.database.session(readonly=True) as session:
        content = service.list_text(service.published(session, agency, centre.clock.now())).encode()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if if_none_match == etag:
        return Response(status_code=304, headers={"ETag": etag})
    signer = load_signer(centre.settings.signing_key)
    headers = {"ETag": etag, "X-Bongsu-Key": signer.key_id, "X-Bongsu-Signature": signer.sign(service.SIGNED, content)}
    return Response(content, media_type="text/plain; charset=utf-8", headers=headers)


def _take(session: Session, _centre: Centre, caller: Principal, number: str, step: Step, version: int, wish: Wish) -> Row:
    expires_at = wish.expires_at if isinstance(wish, ExtendWish) else None
    scope = caller.scope(step.permission)
    return service.take(session, scope, caller.actor, number, step.action, version, reason=wish.reason, expires_at=expires_at)


_KIND: Final = Kind(MACHINE, Row, [Action.BLOCKS_READ], Block)
add_list(
    router,
    _KIND,
    Wanted,
    of="Blocks",
    name="list_blocks",
    summary="List blocks",
    description="Blocks within the caller's scope, newest first, ended ones too.",
)
add_read(
    router,
    _KIND,
    BlockDetail,
    name="get_block",
    summary="Read a block",
    description="A block with its history and the steps the caller may take. The ETag is to be sent as If-Match with a step.",
)
add_steps(router, MACHINE, _take, Block.model_validate, Block, wishes={"extend": ExtendWish})
