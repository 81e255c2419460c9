"""Evidence of incidents, to be taken out of the centre."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from api import disclosure
from api.auth.dependencies import Allowed, TheCentre
from api.cases import Number
from core.permissions import Action, Principal
from core.signing import load_signer
from respond import bundle
from respond.cases.records import LONGEST_REASON
from respond.incidents.queries import get_incident

router = APIRouter(prefix="/v1/incidents", tags=["incidents"])

Exporter = Annotated[Principal, Depends(Allowed(Action.EVIDENCE_EXPORT))]


class Taken(BaseModel):
    """Why evidence is taken out; it stands in the audit trail and in the bundle."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "Asked for by the police, case 2026-117"}]})

    reason: str = Field(min_length=1, max_length=LONGEST_REASON)


@router.post(
    "/{number}/evidence-bundle",
    summary="Take an incident's evidence out",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "A signed bundle"}},
)
def take_out(number: Number, taken: Taken, caller: Exporter, centre: TheCentre) -> Response:
    """Raw lines, rules and what was done, in one signed file that `bongsu evidence verify` checks offline. The taking is recorded."""
    signer = load_signer(centre.settings.signing_key)
    with centre.database.session() as session:
        detail = get_incident(session, disclosure.sight(caller, Action.EVIDENCE_EXPORT), number)
        content = bundle.make(session, detail, caller.actor, signer, taken.reason)
    headers = {"Content-Disposition": f'attachment; filename="{number}.evidence.zip"'}
    return Response(content, media_type="application/zip", headers=headers)
