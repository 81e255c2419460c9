"""Alerts of linked centres: taken here, found again as incidents of the agencies they are about."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.auth.dependencies import Allowed, TheCentre
from core import metrics
from core.config import Level
from core.errors import Forbidden, Invalid
from core.instants import Instant
from core.permissions import Action, Principal
from ingest.privacy.masking import Masker
from respond.centres import alerts
from respond.centres.alerts import Alert

router = APIRouter(prefix="/v1/alerts", tags=["linked centres"])

Machine = Annotated[Principal, Depends(Allowed(Action.ALERTS_WRITE))]
MOST_AT_ONCE: Final = 200
_EXAMPLE: Final[dict[str, Any]] = {
    "alerts": [
        {
            "id": "2026-05-01-000017",
            "agency": "seogu",
            "title": "SQL injection against the civil affairs portal",
            "level": "high",
            "time": "2026-05-01T03:10:00Z",
            "rule": "waf-942100",
            "tags": ["attack.t1190"],
            "entities": {"src_ip": "192.0.2.7", "dst_ip": "10.0.0.5", "dst_port": 443, "url": "/login?id=1"},
            "evidence": ["May  1 12:10:00 waf-1 deny 192.0.2.7 GET /login?id=1%20UNION%20SELECT"],
        }
    ]
}


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is no address") from error


Address = Annotated[str, Field(max_length=45), AfterValidator(_address)]
Port = Annotated[int, Field(ge=0, le=65535)]
Line = Annotated[str, Field(min_length=1, max_length=8192)]
Tag = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$")]


class Entities(BaseModel):
    """What an alert is about; names as in the columns of an event."""

    model_config = ConfigDict(extra="forbid")

    src_ip: Address | None = None
    src_port: Port | None = None
    dst_ip: Address | None = None
    dst_port: Port | None = None
    user: str = Field(default="", max_length=256)
    device: str = Field(default="", max_length=256, description="What reported it; empty: the centre")
    domain: str = Field(default="", max_length=253)
    url: str = Field(default="", max_length=2048)
    file_name: str = Field(default="", max_length=1024)
    file_hash: str = Field(default="", pattern=r"^([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})?$")


class AlertIn(BaseModel):
    """One alert. `id` is the centre's own and names it for ever; `rule` is what it calls what found it."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")
    agency: str = Field(default="", max_length=63, description="Empty: the only one the centre watches")
    title: str = Field(min_length=1, max_length=300)
    level: Level
    time: Instant = Field(description="When it happened")
    rule: str = Field(
        default="", pattern=r"^([a-z0-9][a-z0-9_.-]{0,62})?$", description="Alerts of one rule about one entity become one incident"
    )
    tags: list[Tag] = Field(default=[], max_length=20, description="Such as attack.t1190")
    entities: Entities = Entities()
    evidence: list[Line] = Field(default=[], max_length=50, description="Lines of logs that show it")


class Batch(BaseModel):
    """Some alerts, taken whole or not at all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    alerts: list[AlertIn] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Receipt(BaseModel):
    """What became of them: `accepted` are durable now, `known` ones had come before and change nothing."""

    accepted: int
    known: int


@router.post(
    "",
    status_code=202,
    summary="Send alerts of a linked centre",
    responses={409: {"description": "An id was given to another alert before"}, 503: {"description": "Send the same again"}},
)
def push(batch: Batch, caller: Machine, centre: TheCentre) -> Receipt:
    """202: every alert is durable, and becomes part of an incident of its agency. The same alert again, under the same id, changes nothing.

    403: an agency the centre does not watch now; nothing of the batch is taken then. Personal numbers and secrets are masked as in logs.
    """
    if not caller.centre:
        raise Forbidden("alerts are taken from machines of a linked centre only")
    masker = Masker(centre.settings.intake.masking, centre.clock)
    wanted = [_alert(one, _agency(caller, one.agency), masker) for one in batch.alerts]
    with centre.database.session() as session:
        taken = alerts.accept(session, caller.centre, wanted)
    return Receipt(accepted=taken.accepted, known=taken.known)


def _agency(caller: Principal, agency: str) -> str:
    scope = caller.scope(Action.ALERTS_WRITE) or frozenset()
    if not agency:
        if len(scope) != 1:
            raise Invalid(f"{caller.centre} watches {len(scope)} agencies: say which one an alert is about")
        return next(iter(scope))
    if agency not in scope:
        raise Forbidden(f"{caller.centre} does not watch {agency!r}")
    return agency


def _alert(given: AlertIn, agency: str, masker: Masker) -> Alert:
    """The alert without personal numbers and secrets."""
    entities = given.entities.model_dump(exclude_unset=True, exclude_none=True)
    names = [name for name, value in entities.items() if isinstance(value, str) and value]
    texts = [given.title, *(entities[name] for name in names), *given.evidence]
    masked = masker.mask_lines([text.encode() for text in texts])
    for kind, count in masked.counts.items():
        metrics.MASKED.labels(kind, agency).inc(count)
    title, *others = (line.decode() for line in masked.lines)
    return Alert(
        external_id=given.id,
        agency=agency,
        title=title,
        level=given.level,
        at=given.time,
        rule=given.rule,
        tags=tuple(given.tags),
        entities=entities | dict(zip(names, others, strict=False)),
        evidence=tuple(others[len(names) :]),
    )
