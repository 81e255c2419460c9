"""Taking log lines over HTTP."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict

from api.auth.dependencies import Allowed, TheCentre
from core.errors import Forbidden
from core.permissions import Action, Principal

router = APIRouter(prefix="/v1", tags=["logs"])

_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "Lines, each ended by LF; or NDJSON. At most `intake.max_body_mb` after decompression.",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": '<189>date=2026-01-02 time=03:04:05 devname="fw-1" srcip=192.0.2.7 dstip=198.51.100.9 action="deny"\n',
            },
            "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"event_type": "alert", "src_ip": "192.0.2.7"}\n'},
        },
    }
}


class Taken(BaseModel):
    """Lines that are durable now. `truncated` of them were cut at the longest kept length; `empty` ones were passed over."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lines": 1000, "truncated": 0, "empty": 1}]})

    lines: int
    truncated: int
    empty: int


@router.post("/logs", summary="Push log lines", openapi_extra=_BODY)
async def push(
    request: Request,
    caller: Annotated[Principal, Depends(Allowed(Action.LOGS_WRITE))],
    centre: TheCentre,
    content_type: Annotated[str, Header()] = "",
    content_encoding: Annotated[str, Header(description="gzip, zstd or none")] = "",
) -> Taken:
    """Take lines for the key's agency and source. 200 means every line is durable.

    503 with Retry-After: not all lines are durable, send the same body again. 413: send smaller bodies. 415: not a type that is read.
    """
    if not caller.source:
        raise Forbidden("lines are taken from keys with an agency and a source only")
    peer = request.client.host if request.client else ""
    origin = centre.attribution.by_key(caller.agency, caller.source, peer)
    receipt = await centre.http_intake.accept(request.stream(), content_type, content_encoding, origin)
    return Taken(lines=receipt.lines, truncated=receipt.truncated, empty=receipt.empty)
