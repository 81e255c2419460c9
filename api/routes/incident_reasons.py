"""Why an incident's rules fired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api import disclosure, incident_reasons
from api.auth.dependencies import Allowed, TheCentre
from api.incident_shapes import Number
from core.permissions import Action, Principal
from detect.reasons import Hit
from respond.incidents import queries

router = APIRouter(prefix="/v1/incidents", tags=["incidents"])

Reader = Annotated[Principal, Depends(Allowed(Action.RULES_READ))]
_LINE: Final[dict[str, Any]] = {
    "detection_id": "0d894093-71bc-43c3-8c4d-ecfc28dcf5d9:e1-0-41-7",
    "rule_id": "0d894093-71bc-43c3-8c4d-ecfc28dcf5d9",
    "held": {"selection": True, "filter_main_inside": False},
    "member": "",
    "hits": [{"detection": "selection", "field": "dst_port", "test": "dst_port is 22", "value": "22", "spans": [[61, 63]]}],
}


class WhyRule(BaseModel):
    """A rule as it was when it fired. `exact` false: that version is not kept, this is the present one (or only its name is known).

    `detections` and `condition` are as the rule writes them (YAML); a correlation has no detections, and is its `condition`.
    """

    model_config = ConfigDict(from_attributes=True)

    rule_id: str
    hash: str
    title: str
    level: str
    exact: bool
    kind: str
    description: str
    log_source: str
    condition: str
    detections: dict[str, str]
    false_positives: list[str]
    tags: list[str]
    words: dict[str, str]


class WhyHit(BaseModel):
    """A test that held. `spans` are begin and end in the raw line, in characters; none when the line says it in other words."""

    model_config = ConfigDict(from_attributes=True)

    detection: str
    field: str
    test: str
    value: str
    spans: list[tuple[int, int]]


class WhyLine(BaseModel):
    """What held on a kept line: the rule's detections by name, and the tests. Of a correlation: of the `member` that matched the line.

    Callers who do not read raw logs are told of the detections only.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_LINE]})

    detection_id: str
    rule_id: str
    held: dict[str, bool]
    member: str
    hits: list[WhyHit]


class Why(BaseModel):
    """The versions of rules that fired, at most 20, and the first 200 kept lines in order of event time."""

    rules: list[WhyRule]
    lines: list[WhyLine] = Field(description="In the order of the incident's evidence")


@router.get("/{number}/reasons", summary="Read why an incident's rules fired")
def get_reasons(number: Number, caller: Reader, centre: TheCentre) -> Why:
    """The rules as they were when they fired, and which words of each kept line made them."""
    sight = disclosure.sight(caller)
    with centre.database.session(readonly=True) as session:
        detail = queries.get_incident(session, sight, number)
        rules, lines = incident_reasons.explain(session, centre.rules.current, detail.evidence)
    disclosure.note_read(centre.database, caller, detail.incident, "reasons")
    raw = disclosure.reads_raw_logs(caller, detail.incident.agency)
    return Why(
        rules=[WhyRule.model_validate(one) for one in rules],
        lines=[
            WhyLine(
                detection_id=one.detection_id,
                rule_id=one.rule_id,
                held=dict(one.held),
                member=one.member,
                hits=_shown(one.hits) if raw else [],
            )
            for one in lines
        ],
    )


def _shown(hits: Sequence[Hit]) -> list[WhyHit]:
    return [WhyHit.model_validate(one) for one in hits]
